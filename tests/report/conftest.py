"""Results of a field that decodes to images, found by a real search."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from separatrix import LatentField, find_attractors, sensitivity, starts
from separatrix.limitsets._grid_search import GridSearch
from separatrix.report import ModelResults
from separatrix.studies._resemblance import resemblance


def _decode(z: Tensor) -> Tensor:
    """Both coordinates as the left and right half of a 4 × 4 image."""
    return ((z + 1) / 2)[:, None, None, :].repeat_interleave(2, dim=3).expand(-1, 1, 4, 4)


def _encode(x: Tensor) -> Tensor:
    return torch.tanh(2 * (2 * x[:, 0, 0, ::2] - 1))


@pytest.fixture(scope="session")
def results() -> ModelResults:
    """Four attractors; two of them are training images."""
    field = LatentField(_encode, _decode, latent_shape=(2,), dtype=torch.float64, name="halves")
    generator = torch.Generator().manual_seed(0)
    train = torch.rand(30, 1, 4, 4, generator=generator, dtype=torch.float64)
    held_out = torch.rand(60, 1, 4, 4, generator=generator, dtype=torch.float64)
    limits = find_attractors(field, starts.box(64, -1.0, 1.0, seed=1))
    shape, extent = (12, 12), (-1.5, 1.5, -1.5, 1.5)
    grid = find_attractors(field, starts.grid(-1.5, 1.5, shape))
    return ModelResults(
        title="Halves",
        subtitle="two numbers per image",
        latent_field=field,
        searches={"a box": limits, "noise": find_attractors(field, starts.gaussian(32, seed=2))},
        train=train,
        resemblance=resemblance(field, limits, train, held_out),
        sensitivity=sensitivity(field, starts.box(16, -1.0, 1.0, seed=1)),
        grid=GridSearch(limits=grid, shape=shape, extent=extent),
        inputs={"first": train[0], "second": train[1]},
        facts={"latent numbers": "2"},
    )
