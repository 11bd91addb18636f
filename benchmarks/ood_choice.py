"""How the typicality detector got the place of the reconstruction error, and why too far counts more: variants on development data.

    python benchmarks/ood_choice.py [--models DIR] [--out benchmarks/results]

needs $SEPARATRIX_DATA; about five minutes of one core. Networks (seed 100), images (of the training sets only) and kinds of altered input
(`ood_altered.development_kinds`) are none of those that ood.py reports. Writes ood_choice.json and ood_choice.md.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from ood_altered import development_kinds
from ood_data import FIRST_FRESH, arrays, shaped, training
from torch import Tensor

import separatrix as sx
from separatrix.errors import SeparatrixWarning
from separatrix.limitsets._assemble import versions
from separatrix.numerics import auroc
from separatrix.ood import Detector, blurred, simple_inputs, training_attractors
from separatrix.ood._detector import split
from separatrix.ood._typicality import atypicality, density

FIT, TEST, OTHERS = 1400, 600, 300
GREY, COLOUR = (1, 28, 28), (3, 32, 32)
FILES = {"MNIST": "mnist", "FashionMNIST": "fashion_mnist", "CIFAR-10": "cifar10_10k2k"}
NETWORKS: list[tuple[str, tuple[int, int, int], int, dict[str, Any]]] = [
    ("MNIST", GREY, 32, {}),
    ("MNIST", GREY, 16, {"noise": 0.3}),
    ("FashionMNIST", GREY, 16, {"noise": 0.3}),
    ("FashionMNIST", GREY, 32, {}),
    ("FashionMNIST", GREY, 128, {}),
    ("CIFAR-10", COLOUR, 64, {"count": 8000, "stages": 3}),
]
# Features from the last: 2 of the error's place, its norm, Mahalanobis, neighbour. (kept features, of them those whose upper side counts more)
VARIANTS = {
    "as before: without the error's place": (slice(None, -2), 0),
    "with the error's place": (slice(None), 0),
    "with it, and too far counts more (used)": (slice(None), 5),
}


def sets(name: str, shape: tuple[int, int, int], test: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Kinds that were known when the first features were chosen, and kinds that were altered for this choice."""
    known = {
        other: shaped(arrays(FILES[other], "x_train")[place : place + OTHERS], shape)
        for other, place in (("MNIST", FIRST_FRESH), ("FashionMNIST", FIRST_FRESH), ("CIFAR-10", 0))
        if other != name
    }
    simple = simple_inputs(test, count=OTHERS, seed=1)
    known |= {"uniform noise": simple["noise"], "constant": simple["constant"]}
    known |= {"negative": 1 - test, "blurred": blurred(test, shape[1] / 14)}
    return known, development_kinds(test)


def measured(name: str, shape: tuple[int, int, int], k: int, more: dict[str, Any], kept: Path | None) -> dict[str, Any]:
    """AUROC of every variant on one network."""
    field = training(kept, name, shape, k, seed=100, **more)()
    first = 8000 if name == "CIFAR-10" else FIRST_FRESH
    pool = shaped(arrays(FILES[name], "x_train")[first : first + FIT + TEST], shape)
    fit, test = pool[:FIT], pool[FIT:]
    limits = training_attractors(field, field.encode(fit[:100]), sx.Protocol(max_steps=500)).limits
    detector = sx.TypicalityDetector(field, attractors=limits)
    detector._fit(Detector.encoded(field, fit), fit)
    _, rest = split(FIT, 1 / 3, detector.seed)

    def features(x: Tensor) -> Tensor:
        return detector._features(Detector.encoded(field, x), x)

    learnt, inside = features(fit[rest]), features(test)
    groups = zip(("known", "altered"), sets(name, shape, test), strict=True)
    outside = {group: {ood: features(x) for ood, x in found.items()} for group, found in groups}
    areas: dict[str, Any] = {}
    for variant, (columns, far) in VARIANTS.items():
        state = density(learnt[:, columns], far)
        areas[variant] = _areas(
            inside, outside, lambda f, columns=columns, state=state: atypicality(f[:, columns], state)
        )
    for column, kind in enumerate(("knn", "mahalanobis", "reconstruction"), start=learnt.shape[1] - 5):
        areas[kind] = _areas(inside, outside, lambda f, column=column: f[:, column])
    return {"id": name, "k": k, **more, "auroc": areas}


def _areas(inside: Tensor, outside: dict[str, dict[str, Tensor]], score: Any) -> dict[str, dict[str, float]]:
    known = lambda f: score(f).nan_to_num(nan=torch.inf, posinf=torch.inf)  # noqa: E731
    return {
        group: {ood: float(auroc(known(inside), known(f))) for ood, f in found.items()}
        for group, found in outside.items()
    }


def page(record: dict[str, Any]) -> str:
    """Means over networks and kinds, and over the altered kinds on every network."""
    networks = record["networks"]
    heads = [f"{n['id']}, k = {n['k']}{', denoising' if 'noise' in n else ''}" for n in networks]
    lines = [
        "# Variants of the typicality detector on development data",
        "",
        "`python benchmarks/ood_choice.py`. AUROC, mean (lowest), over networks and kinds of input that the benchmark does not report: the known "
        "kinds are those on which the first features were chosen, with training images; the altered ones are in `ood_altered.py`. The "
        "last columns are means over the altered kinds, network by network.",
        "",
        f"| score | known kinds | altered kinds | {' | '.join(heads)} |",
        "|---" * (3 + len(heads)) + "|",
    ]
    for name in networks[0]["auroc"]:
        cells = [_mean(_values(networks, name, group)) for group in ("known", "altered")]
        cells += [f"{fmean(_values([network], name, 'altered')):.3f}" for network in networks]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _values(networks: Iterable[dict[str, Any]], name: str, group: str) -> list[float]:
    return [area for network in networks for area in network["auroc"][name][group].values()]


def _mean(values: list[float]) -> str:
    return f"{fmean(values):.3f} ({min(values):.3f})"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, help="keep trained networks in this folder, and take them from there")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", SeparatrixWarning)
    record = {"versions": versions(), "networks": [measured(*network, options.models) for network in NETWORKS]}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "ood_choice.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (options.out / "ood_choice.md").write_text(page(record), encoding="utf-8")


if __name__ == "__main__":
    main()
