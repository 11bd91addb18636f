"""The models trained by others, their limit sets, and what must hold of each; one search per model and process."""

from __future__ import annotations

import functools
import sys
import warnings
from pathlib import Path

import torch

import separatrix as sx
from separatrix.errors import ConvergenceWarning

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from real_models import Case, burgess_case, fashion_case  # the benchmark's own models and starts

FASHION = ("conv2", "conv8", "conv32", "conv128", "fc")
BURGESS = ("VAE_dsprites", "betaB_dsprites", "betaB_mnist")


@functools.cache
def case_of(name: str, data: Path) -> Case:
    return fashion_case(data, name) if name in FASHION else burgess_case(data, name)


@functools.cache
def found(name: str, data: Path) -> sx.LimitSets:
    case = case_of(name, data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return sx.find_attractors(case.field, case.starts)


def require_floor_and_stability(name: str, real_data: Path) -> None:
    """Every attractor is at the float64 floor and stable."""
    attractors = found(name, real_data).attractors
    assert len(attractors) >= 1
    points = attractors[attractors.kind == int(sx.limitsets.Kind.FIXED_POINT)]
    assert bool((points.spectral_radius < 1).all())
    assert bool((points.spectral_radius <= points.spectral_norm * (1 + 1e-9)).all())
    # Measured anew, not read from the result: the point that is returned is the point that rests.
    fine = case_of(name, real_data).field.to(dtype=torch.float64)
    residual = fine.velocity(points.points).flatten(1).norm(dim=1)
    assert bool((residual <= 1e-12 * (1 + points.points.flatten(1).norm(dim=1))).all())


def require_a_count_that_does_not_move(name: str, real_data: Path) -> None:
    """Every tolerance ten times tighter, and the same number of attractors."""
    case = case_of(name, real_data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        tight = sx.find_attractors(case.field, case.starts, sx.Protocol().tightened(10))
    assert len(tight.attractors) == len(found(name, real_data).attractors)
