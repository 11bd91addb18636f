"""Does a run that is killed at any moment end in the same bytes as one that never was?

    python benchmarks/kills.py [--kills 50] [--out benchmarks/results]

Each recipe is run once undisturbed. Then it is run in a process that is killed (SIGKILL) after a random share of that time, again and again in the same
folder, until a process comes to its end before its time is up; the folder's files are compared with the undisturbed ones, byte for byte. That is repeated until
a recipe has been killed so many times. Last, the finished run is run again, and the evaluations of the model and the seconds are
counted. Writes kills.json and kills.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import separatrix as sx
from separatrix import runs
from separatrix.models import ConvAutoencoder

IMAGES = torch.rand(48, 1, 8, 8, generator=torch.Generator().manual_seed(0))


class Counted(nn.Module):
    """A small convolutional autoencoder that counts the latents that it decodes."""

    decoded = 0

    def __init__(self, seed: int = 0, latent_dim: int = 2) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.inner = ConvAutoencoder((1, 8, 8), latent_dim, base_channels=4).eval()
        self.latent_dim = latent_dim

    def encode(self, x: Tensor) -> Tensor:
        return self.inner.encode(x)

    def decode(self, z: Tensor) -> Tensor:
        Counted.decoded += len(z)
        return self.inner.decode(z)


def field(seed: int = 0, latent_dim: int = 2) -> sx.LatentField:
    return sx.LatentField(Counted(seed, latent_dim), name=f"small-{seed}")


def recipes() -> dict[str, Callable[[Path], Any]]:
    """Every recipe on a small model, with figures; they are given their folder."""
    rules = sx.Protocol(max_steps=2000)
    return {
        "attractors": lambda out: runs.attractors(
            field(), sx.starts.encoded(IMAGES), rules, train=IMAGES[:24], held_out=IMAGES[24:], out=out
        ),
        "audit": lambda out: runs.audit(field(), IMAGES[:24], IMAGES[24:], noise=16, protocol=rules, out=out),
        "audit without data": lambda out: runs.audit_without_data(field(), starts=32, protocol=rules, out=out),
        "probe": lambda out: runs.probe(field(latent_dim=6), IMAGES, out=out, protocol=rules),
        "diff": lambda out: runs.diff(field(0), field(1), sx.starts.encoded(IMAGES), out=out, protocol=rules),
        "film": lambda out: runs.film(None, None, epochs=3, frames=3, channels=2, resolution=8, out=out),
        "demo": lambda out: runs.demo(out, quick=True, figures=False, progress=False),
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def killed_after(seconds: float, work: Callable[[], Any]) -> bool:
    """Do the work in a process that is killed after so many seconds; was it killed, or did it end before?"""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def measured(name: str, make: Callable[[Path], Any], kills: int, place: Path) -> dict[str, Any]:
    """Kill one recipe so many times."""
    draw = random.Random(name)
    begun = time.monotonic()
    make(place / "whole")
    whole, seconds = contents(place / "whole"), time.monotonic() - begun
    killed = ended = different = 0
    out = place / "run"
    while killed < kills:
        while killed_after(draw.uniform(0.02, 1.2) * seconds, lambda: make(out)):
            killed += 1
        ended += 1
        different += contents(out) != whole
        shutil.rmtree(out)
    Counted.decoded, begun = 0, time.monotonic()
    make(place / "whole")
    again = time.monotonic() - begun
    different += contents(place / "whole") != whole
    return {
        "recipe": name,
        "kills": killed,
        "runs": ended,
        "different": different,
        "files": len(whole),
        "seconds": round(seconds, 2),
        "decoded_again": Counted.decoded,
        "seconds_again": round(again, 2),
    }


def page(record: dict[str, Any]) -> str:
    lines = [
        "# Runs that are killed",
        "",
        f"`python benchmarks/kills.py --kills {record['kills']}`, separatrix {record['versions']['separatrix']}, torch {record['versions']['torch']}. "
        "Each recipe was killed with SIGKILL at random moments, again and again in one folder, until it came to its end; then all files were compared "
        "with those of a run that was never killed. *Again*: a finished run is run once more; the latents decoded are those by which the model is "
        "recognised and examined.",
        "",
        "| recipe | kills | runs that came to their end | with other bytes | files | seconds, undisturbed | again: latents decoded | again: seconds |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {row['recipe']} | {row['kills']} | {row['runs']} | {row['different']} | {row['files']} | {row['seconds']} | {row['decoded_again']} | "
            f"{row['seconds_again']} |"
            for row in record["rows"]
        ),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--only", default="")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows = []
    for name, make in recipes().items():
        if arguments.only in name:
            with tempfile.TemporaryDirectory() as place:
                rows.append(measured(name, make, arguments.kills, Path(place)))
            print(rows[-1], flush=True)
    record = {
        "kills": arguments.kills,
        "versions": {"separatrix": sx.__version__, "torch": torch.__version__},
        "rows": rows,
    }
    (arguments.out / "kills.json").write_text(json.dumps(record, indent=1) + "\n")
    (arguments.out / "kills.md").write_text(page(record))


if __name__ == "__main__":
    main()
