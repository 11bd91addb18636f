"""What a replication found when it iterated autoencoders, looked for on the networks at hand.

    SEPARATRIX_DATA=... python reproduce/replication.py

* stop rule: the paper's rule on tanh(z), whose decay is algebraic.
* cosine: end points of 300 encodings under the paper's protocol, counted by cosine and by distance (FashionMNIST, k = 128).
* closed curve: which share of 100 encodings reaches a closed curve (FashionMNIST, k = 32), and of an untrained copy.
* levels: the largest cosine with a training image, of unseen images of MNIST and of uniform noise.

Three draws of each but the first. Writes replication.json and .md; what is there is not computed again.
"""

from __future__ import annotations

import argparse
import math
import warnings
from pathlib import Path
from typing import Any

import torch
from contraction import images
from parts import Parts, rows, spent
from probing_inputs import data, fashion_model
from torch import Tensor

import separatrix as sx
from separatrix.errors import ConvergenceWarning
from separatrix.limitsets import Kind
from separatrix.models import untrained_copy

DRAWS = 3
SAME_DIRECTION, SAME_PLACE = 0.99, 1e-3  # cosine; share of the spread


def stop_rule() -> dict[str, Any]:
    field = sx.LatentField.from_map(torch.tanh, latent_shape=(1,), dtype=torch.float64)
    paper = sx.iterate(field, torch.ones(1, 1, dtype=torch.float64), sx.Protocol.paper())
    steps = int(paper.steps[0])
    default = sx.iterate(field, torch.linspace(0.5, 2, 50, dtype=torch.float64)[:, None])
    return {
        "stopped": float(paper.points[0, 0]),
        "steps": steps,
        "law": math.sqrt(3 / (2 * steps)),
        "called": int((default.status == int(sx.Status.CONVERGED)).sum()),
        "starts": len(default.points),
    }


def merged(close: Tensor) -> int:
    """How many sets a greedy rule makes: a point that is close to none of those before begins a new one."""
    kept: list[int] = []
    for index in range(len(close)):
        if not bool(close[index, kept].any()):
            kept.append(index)
    return len(kept)


def cosine(draw: int) -> dict[str, Any]:
    field = fashion_model("conv128")
    some = images("fashion_mnist", 300 * (draw + 1))[300 * draw :]
    starts = sx.starts.encoded(some)
    ends = sx.iterate(field, starts, sx.Protocol.paper()).points.double()
    z = starts.block(field, 0, len(starts)).double()
    spread = float((z - z.mean(dim=0)).square().sum(dim=1).mean().sqrt())
    units = torch.nn.functional.normalize(ends, dim=1)
    found = sx.find_attractors(field, starts)
    return {
        "cosine": merged(units @ units.T > SAME_DIRECTION),
        "distance": merged(torch.cdist(ends, ends, compute_mode="donot_use_mm_for_euclid_dist") < SAME_PLACE * spread),
        "polished": len(found.attractors),
        "ends": len(ends),
    }


def closed_curve(draw: int) -> dict[str, Any]:
    field = fashion_model("conv32")
    some = images("fashion_mnist", 100 * (draw + 1))[100 * draw :]
    made = {}
    for name, model in {"trained": field, "fresh": untrained_copy(field, draw)}.items():
        found = sx.find_attractors(model, sx.starts.encoded(some))
        curves = (found.kind == int(Kind.CLOSED_CURVE)).nonzero().squeeze(1)
        made[name] = int(torch.isin(found.labels, curves).sum())
    return {**made, "encodings": len(some)}


def levels(draw: int) -> dict[str, Any]:
    bank = torch.nn.functional.normalize(images("mnist", 60_000).flatten(1), dim=1)
    unseen = sx.data.load_images(data() / "data/mnist.npz", key="x_test").pixels[1000 * draw : 1000 * (draw + 1)]
    noise = torch.rand(1000, 784, generator=torch.Generator().manual_seed(draw))
    return {
        name: float((torch.nn.functional.normalize(x.flatten(1), dim=1) @ bank.T).amax(dim=1).mean())
        for name, x in {"unseen": unseen, "noise": noise}.items()
    }


def page(record: dict[str, Any]) -> str:
    parts = record["parts"]
    rule = parts["stop rule"]
    lines = [
        "# Findings of a replication",
        "",
        f"`python reproduce/replication.py`, {spent(record)}.",
        "",
        f"tanh(z) from 1 under the paper's rule: stops at {rule['stopped']:.4f} after {rule['steps']:,} steps (√(3/2n) = {rule['law']:.4f}); the default "
        f"protocol calls {rule['called']} of {rule['starts']} such orbits converged.",
    ]
    for kind, title in {
        "cosine": "End points by cosine and by distance (FashionMNIST, k = 128)",
        "closed curve": "Encodings that reach a closed curve (FashionMNIST, k = 32)",
        "levels": "The largest cosine with one of 60,000 training images (MNIST)",
    }.items():
        found = {name: part for name, part in parts.items() if name.startswith(f"{kind}, ")}
        keys = list(next(iter(found.values())))
        body = [[name.rpartition(" ")[2], *(f"{part[key]:.4g}" for key in keys)] for name, part in found.items()]
        lines += ["", f"## {title}", "", *rows(["draw", *keys], body)]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    parts = Parts(options.out / "replication.json")
    parts.make("stop rule", stop_rule)
    for kind, function in {"levels": levels, "cosine": cosine, "closed curve": closed_curve}.items():
        for draw in range(DRAWS):
            parts.make(f"{kind}, draw {draw}", lambda function=function, draw=draw: function(draw))
    (options.out / "replication.md").write_text(page(parts.record), encoding="utf-8")


if __name__ == "__main__":
    main()
