"""The search on a GPU: how much of the network's pace it keeps, how often it asks the device, and whether its labels are the CPU's.

    python benchmarks/gpu.py [--device cuda] [--small] [--minutes 8] [--out benchmarks/results]

makes its own models (seeds are fixed), needs no network and no file, and takes the GPU if there is one. Sections do not depend on each
other: one that fails is recorded with its sentence, and one that would begin after the minutes are over is left out, and says so.
Writes gpu.json and gpu.md after every section; --small is a test for any machine and writes nothing unless --out is given.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from omp import measure as measure_omp
from omp import problem, processor
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import separatrix as sx
from separatrix.limitsets import _parts as parts
from separatrix.limitsets import same_sets
from separatrix.models import ConvAutoencoder, DenseAutoencoder, train_autoencoder
from separatrix.orbits import _looks as looks
from separatrix.testing import Questions

IMAGES, MEMORIZED = 512, 50
SHORT = sx.Protocol(max_steps=1000)


class Bench:
    """What the sections share: the device, the size, and the models, made once."""

    def __init__(self, device: torch.device, small: bool) -> None:
        self.device, self.small = device, small
        self._fields: dict[str, sx.LatentField] = {}

    def field(self, name: str) -> sx.LatentField:
        """``conv`` k = 32, or ``dense`` k = 64 that memorizes 50 images; on the device."""
        if name not in self._fields:
            torch.manual_seed(0)
            model: torch.nn.Module
            if name == "conv":
                model = ConvAutoencoder((1, 28, 28), 32, base_channels=8 if self.small else 32, stages=2)
                images, epochs, decay = shapes(IMAGES), 5 if self.small else 100, 1e-4
            else:
                model = DenseAutoencoder((1, 28, 28), 64, hidden=(64,) if self.small else (512, 512, 512))
                images, epochs, decay = shapes(MEMORIZED), 5 if self.small else 4000, 0.0
            rules = {"batch_size": 50, "learning_rate": 1e-3, "weight_decay": decay}
            train_autoencoder(model.to(self.device), images.to(self.device), epochs=epochs, **rules)
            self._fields[name] = model.field()
        return self._fields[name]

    def starts(self, field: sx.LatentField, count: int) -> Tensor:
        """From N(0, I), the same numbers on every device."""
        return sx.starts.gaussian(count, seed=0).block(field, 0, count)

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], object]) -> float:
        """On the clock, to the end of the device's work."""
        self.wait()
        begin = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - begin


def shapes(count: int) -> Tensor:
    """``(count, 1, 28, 28)`` images of three soft blobs each, in [0, 1]."""
    generator = torch.Generator().manual_seed(1)
    centre, width = (
        torch.rand(count, 3, 2, generator=generator),
        0.02 + 0.05 * torch.rand(count, 3, generator=generator),
    )
    line = torch.linspace(0, 1, 28)
    apart = (line[:, None] - centre[..., None, None, 0]).square() + (line - centre[..., None, None, 1]).square()
    return (-apart / width[..., None, None]).exp().amax(dim=1, keepdim=True)


def matrix_peak(bench: Bench) -> float:
    """Floating point operations per second of a float32 matrix product, as the network's settings have it."""
    size, repeats = (256, 4) if bench.small else (8192, 16)
    a = torch.randn(size, size, device=bench.device)
    a @ a
    return repeats * 2 * size**3 / bench.seconds(lambda: [a @ a for _ in range(repeats)])


def pace(bench: Bench, field: sx.LatentField, starts: Tensor, protocol: sx.Protocol, peak: float) -> dict[str, Any]:
    """Evaluations per second of a search, and of nothing but the network on full batches."""
    sx.find_attractors(field, starts[:64], sx.Protocol(max_steps=64))  # what is loaded or tuned on first use
    full = starts[: field.batches.size]
    with FlopCounterMode(display=False) as counter:
        field(full)
    with field.guest():
        once = bench.seconds(lambda: field.bare(full))
        repeats = max(1, int((0.2 if bench.small else 2.0) / once))
        forward = repeats * len(full) / bench.seconds(lambda: [field.bare(full) for _ in range(repeats)])
    found: list[sx.LimitSets] = []
    seconds = bench.seconds(lambda: found.append(sx.find_attractors(field, starts, protocol)))
    evaluations = found[0].cost.total
    operations = counter.get_total_flops() / len(full)
    return {
        "latent": field.latent_dim,
        "starts": len(starts),
        "sets": len(found[0]),
        "evaluations": evaluations,
        "seconds": seconds,
        "search_per_second": evaluations / seconds,
        "forward_per_second": forward,
        "share_of_forward": evaluations / seconds / forward,
        "batch": len(full),
        "operations_per_evaluation": operations,
        "forward_share_of_peak": forward * operations / peak,
    }


def conv(bench: Bench) -> dict[str, Any]:
    """A convolutional autoencoder."""
    field = bench.field("conv")
    return pace(bench, field, bench.starts(field, 64 if bench.small else 20_000), SHORT, matrix_peak(bench))


def dense(bench: Bench) -> dict[str, Any]:
    """A fully connected one."""
    field = bench.field("dense")
    return pace(bench, field, bench.starts(field, 64 if bench.small else 20_000), SHORT, matrix_peak(bench))


def autoencoder_kl(bench: Bench) -> dict[str, Any]:
    """An untrained AutoencoderKL with the sizes of Stable Diffusion's, at 256 pixels."""
    try:
        from diffusers import AutoencoderKL
    except ImportError as error:
        raise RuntimeError("diffusers is not installed") from error
    torch.manual_seed(0)
    widths, pixels = ((8, 8), 32) if bench.small else ((128, 256, 512, 512), 256)
    blocks = len(widths)
    model = AutoencoderKL(
        block_out_channels=widths,
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        layers_per_block=1 if bench.small else 2,
        norm_num_groups=min(32, widths[0]),
        sample_size=pixels,
    )
    model = model.to(bench.device).eval()
    side = pixels // 2 ** (blocks - 1)
    field = sx.LatentField(
        lambda x: model.encode(x).latent_dist.mean, lambda z: model.decode(z).sample, latent_shape=(4, side, side)
    )
    unending = sx.Protocol(max_steps=16, tolerance=1e-30)  # it is the pace of the steps that is measured
    return pace(bench, field, bench.starts(field, 32), unending, matrix_peak(bench))


@contextmanager
def stepping(enter: Callable[[], Any]) -> Iterator[list[int]]:
    """Inside a search, hold the context while rows make steps; the list has one entry for each pass through the network."""
    passes: list[int] = []
    genuine, evaluate, every = parts.advance, sx.LatentField.bare, looks.ON_CPU

    def bare(field: sx.LatentField, z: Tensor) -> Tensor:
        passes.append(len(z))
        return evaluate(field, z)

    def advance(*args: Any, **kwargs: Any) -> Any:
        sx.LatentField.bare = bare  # type: ignore[method-assign]
        try:
            with enter():
                return genuine(*args, **kwargs)
        finally:
            sx.LatentField.bare = evaluate  # type: ignore[method-assign]

    parts.advance, looks.ON_CPU = advance, looks.ON_ACCELERATORS  # type: ignore[assignment]
    try:
        yield passes
    finally:
        parts.advance, looks.ON_CPU = genuine, every


def questions(bench: Bench) -> dict[str, Any]:
    """How often a tensor is asked something, per step of a search; on CUDA also how often the driver had to wait."""
    field = bench.field("dense")
    starts = bench.starts(field, 64 if bench.small else 20_000)
    sx.find_attractors(field, starts[:64], SHORT)
    counted = Questions()
    with stepping(lambda: counted) as passes:
        sx.find_attractors(field, starts, SHORT)
    result = {"steps": len(passes), "asked": len(counted.asked), "asked_per_step": len(counted.asked) / len(passes)}
    if bench.device.type == "cuda":
        waits: list[int] = []
        with stepping(lambda: waiting(waits)) as passes:
            sx.find_attractors(field, starts, SHORT)
        result |= {"waits": sum(waits), "waits_per_step": sum(waits) / len(passes)}
    return result


@contextmanager
def waiting(counts: list[int]) -> Iterator[None]:
    """Count the synchronisations that CUDA reports."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")
    counts.append(sum("synchroniz" in str(one.message) for one in seen))


def million(bench: Bench) -> dict[str, Any]:
    """10⁶ starts of k = 64: time and memory beyond the model."""
    field = bench.field("dense")
    count = 2_000 if bench.small else 1_000_000
    before = memory(bench, reset=True)
    found: list[sx.LimitSets] = []
    seconds = bench.seconds(lambda: found.append(sx.find_attractors(field, sx.starts.gaussian(count, seed=0), SHORT)))
    return {
        "starts": count,
        "seconds": seconds,
        "evaluations_per_start": found[0].cost.total / count,
        "sets": len(found[0]),
        "labelled": float((found[0].labels >= 0).double().mean()),
        "memory_mib": (memory(bench) - before) / 2**20,
    }


def memory(bench: Bench, reset: bool = False) -> int:
    """Bytes: allocated on the device now (``reset``) or at the peak since; on a CPU the peak of the process."""
    if bench.device.type != "cuda":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if reset:
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    return torch.cuda.max_memory_allocated()


def matching_pursuit(bench: Bench) -> dict[str, Any]:
    """Orthogonal matching pursuit beside scikit-learn's (`benchmarks/omp.py` has the whole table)."""
    size, signals, sparsity = (128, 8, 16) if bench.small else (4096, 64, 128)
    gram, correlations, _ = problem(size, size, signals)
    row = measure_omp(gram, correlations, sparsity, 1 if bench.small else 3, bench.device)
    return {"atoms": size, **asdict(row)}


def labels(bench: Bench) -> dict[str, Any]:
    """From the same starts, with the same weights, on the device and on the CPU."""
    result = {}
    for name in ("conv", "dense"):
        field = bench.field(name)
        starts = bench.starts(field, 32 if bench.small else 500)
        there = sx.find_attractors(field, starts, SHORT).to("cpu")
        here = sx.find_attractors(field.to("cpu"), starts.cpu(), SHORT)
        name_of = torch.cat([same_sets(there, here), torch.tensor([-1])])  # the last one for the label −1
        result[name] = {
            "starts": len(starts),
            "equal": int((name_of[there.labels] == here.labels).sum()),
            "sets": [len(there), len(here)],
            "looks": [looks.steps_between(bench.device), looks.steps_between(torch.device("cpu"))],
        }
    return result


SECTIONS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "conv": conv,
    "dense": dense,
    "questions": questions,
    "labels": labels,
    "autoencoder_kl": autoencoder_kl,
    "matching_pursuit": matching_pursuit,
    "million": million,
}
PACED = {"conv": "convolutional, k = 32", "dense": "fully connected, k = 64", "autoencoder_kl": "AutoencoderKL, 256 px"}


def page(record: dict[str, Any]) -> str:
    """The results as they stand in the repository."""
    about, sections = record["about"], record["sections"]
    lines = [
        f"Measured by `python benchmarks/gpu.py`{' --small' if about['small'] else ''} on {about['device']}, torch "
        f"{about['torch']}, {about['threads']} CPU thread(s) of {about['machine']}. Its models are made by the script.",
        "",
        "| model | starts | evaluations | of the search, per second | of the bare network, per second | share | the bare network's share "
        "of the matrix peak |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, title in PACED.items():
        r = sections.get(name, {"failed": "not measured"})
        lines.append(
            f"| {title} | {r['failed']} |"
            if "failed" in r
            else f"| {title} | {r['starts']:,} | {r['evaluations']:,.0f} | {r['search_per_second']:,.0f} | "
            f"{r['forward_per_second']:,.0f} | {100 * r['share_of_forward']:.0f} % | {100 * r['forward_share_of_peak']:.0f} % |"
        )
    sentences: dict[str, Callable[[dict[str, Any]], str]] = {
        "questions": lambda r: (
            f"Questions to the device while rows make steps: {r['asked']} in {r['steps']:,} steps, {r['asked_per_step']:.3f} per "
            "step" + (f"; CUDA waited {r['waits_per_step']:.3f} times per step." if "waits" in r else ".")
        ),
        "labels": lambda r: (
            "Labels against the CPU's: "
            + ", ".join(f"{name} {one['equal']} of {one['starts']} equal" for name, one in r.items())
            + "."
        ),
        "matching_pursuit": lambda r: (
            f"Orthogonal matching pursuit, {r['sparsity']} of {r['atoms']} atoms: {r['milliseconds']:.2f} ms per signal, scikit-learn on "
            f"the CPU {r['milliseconds_sklearn']:.1f} ms; supports equal for {r['supports_equal']} of {r['signals']}."
        ),
        "million": lambda r: (
            f"{r['starts']:,} starts of k = 64: {r['seconds']:.0f} s, {r['evaluations_per_start']:.1f} evaluations per start, "
            f"{r['memory_mib']:.0f} MiB beyond the model, {r['sets']} set(s), {100 * r['labelled']:.1f} % of the starts labelled."
        ),
    }
    for name, sentence in sentences.items():
        r = sections.get(name, {"failed": "not measured"})
        lines += ["", f"{name}: {r['failed']}" if "failed" in r else sentence(r)]
    return "\n".join(lines) + "\n"


def run(bench: Bench, minutes: float, out: Path | None) -> dict[str, Any]:
    """All sections, each for itself, written as they come."""
    name = torch.cuda.get_device_name() if bench.device.type == "cuda" else "the CPU"
    machine = f"{processor() or platform.machine()}, {os.cpu_count()} cores"
    about = {"device": name, "machine": machine, "threads": torch.get_num_threads(), "torch": torch.__version__}
    record: dict[str, Any] = {"about": {**about, "small": bench.small}, "sections": {}}
    begin = time.monotonic()
    for title, section in SECTIONS.items():
        if time.monotonic() - begin > 60 * minutes:
            record["sections"][title] = {"failed": f"not begun: the {minutes:g} minutes were over"}
        else:
            try:
                record["sections"][title] = section(bench)
            except Exception as error:  # the others are still worth having
                record["sections"][title] = {"failed": f"{type(error).__name__}: {error}".split("\n")[0]}
        print(title, json.dumps(record["sections"][title]), flush=True)
        if out:
            out.mkdir(parents=True, exist_ok=True)
            (out / "gpu.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            (out / "gpu.md").write_text(page(record), encoding="utf-8")
    return record


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--small", action="store_true", help="small models, few starts: a test, under a minute on a CPU"
    )
    parser.add_argument("--minutes", type=float, default=8.0, help="after which no further section begins")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    out = options.out or (None if options.small else Path(__file__).parent / "results")
    run(Bench(torch.device(options.device), options.small), options.minutes, out)


if __name__ == "__main__":
    main()
