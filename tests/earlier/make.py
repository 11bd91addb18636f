"""What an earlier version wrote, one folder per kind; run once, under that version:

PYTHONPATH=path/to/that/version/src python tests/earlier/make.py tests/earlier/0.1.0
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

import separatrix as sx
import separatrix.models
import separatrix.ood

FILM = sx.Protocol(max_steps=60)


def wells(gain: float = 2.0) -> sx.LatentField:
    """Four attractors in the plane, computed in float64 from exact parameters."""
    return sx.LatentField.from_map(lambda z: torch.tanh(gain * z), latent_shape=(2,), dtype=torch.float64, name="wells")


def images() -> torch.Tensor:
    return torch.linspace(-1, 1, 60, dtype=torch.float64).sin().reshape(30, 2)


def starts() -> sx.starts.Starts:
    return sx.starts.box(40, -1.0, 1.0, seed=0)


def results() -> dict[str, Callable[[], object]]:
    field = wells()
    limits = sx.find_attractors(field, starts())
    return {
        "orbits": lambda: sx.iterate(field, starts()),
        "limits": lambda: limits,
        "comparison": lambda: sx.compare(field, wells(1.9), starts()),
        "continuation": lambda: sx.continuation([wells(gain) for gain in (0.5, 1.5, 2.5)], starts()),
        "contraction": lambda: sx.contraction(field, images()),
        "rate_law": lambda: sx.rate_law(field, limits, starts()),
        "film": lambda: sx.training_film([wells(0.5), wells(2.0)], images(), resolution=6),
        "decomposition": lambda: sx.memorization(field, limits, images(), images() + 0.05).decomposition,
    }


def detector() -> object:
    found = sx.ood.KNNDetector(wells())
    return found.fit_features(torch.linspace(-2, 2, 160, dtype=torch.float64).cos().reshape(80, 2))


def squares() -> torch.Tensor:
    return torch.linspace(0, 1, 32).reshape(2, 1, 4, 4)


def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return sx.models.DenseAutoencoder((1, 4, 4), 2, hidden=(8,))


def main(place: Path) -> None:
    facts = {}
    for name, make in results().items():
        result = make()
        sx.save_result(result, place / name)
        facts[name] = {"type": type(result).__name__, "columns": columns_of(result)}
    detector().save(place / "detector")
    facts["detector"] = {"scores": detector().score_features(images()).tolist()}
    sx.models.save_model(model(), place / "model.safetensors")
    facts["model"] = {"latents": sx.load(place / "model.safetensors").encode(squares()).flatten().tolist()}
    try:
        from separatrix.examination import examine
    except ImportError:
        from separatrix.runs import attractors as examine
    examine(wells(), starts(), out=place / "run", figures=False)
    (place / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")


def columns_of(result: object) -> dict[str, list[float]]:
    """The numbers of a result's columns, as far as they are real."""
    found = {}
    for name in getattr(type(result), "_columns", ()):
        column = getattr(result, name)
        if isinstance(column, torch.Tensor) and not column.is_complex():
            found[name] = [
                None if number != number else number for number in column.to(torch.float64).flatten().tolist()[:64]
            ]
    return found


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main(Path(sys.argv[1]))
