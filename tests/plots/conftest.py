"""A field whose limit sets are known exactly: the product of tanh(2z), 4 attractors, 4 saddles, a source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from separatrix.field import LatentField
from separatrix.limitsets._sets import Kind, LimitSets
from separatrix.orbits._result import Orbits
from separatrix.orbits._status import Status
from separatrix.protocol import Protocol

ROOT = 0.957504024
MULTIPLIER = 0.166372


def make_limits(
    points: Tensor,
    hits: Sequence[int],
    unstable: Sequence[int],
    eigenvalues: Tensor,
    labels: Tensor,
    steps: Tensor,
) -> LimitSets:
    """Fixed points with everything that figures read; starts with label −1 ran out of budget."""
    count, starts = len(points), len(labels)
    status = torch.where(labels >= 0, int(Status.CONVERGED), int(Status.BUDGET)).to(torch.uint8)
    orbits = Orbits(
        points=points[labels.clamp(min=0)],
        steps=steps,
        residual=torch.zeros(starts, dtype=torch.float64),
        rate=torch.full((starts,), 0.2, dtype=torch.float64),
        error=torch.zeros(starts, dtype=torch.float64),
        status=status,
        period=torch.ones(starts, dtype=torch.int64),
        spread=1.0,
        protocol=Protocol(),
    )
    moduli = eigenvalues.abs()
    directions = torch.tensor(unstable)
    return LimitSets(
        points=points,
        kind=torch.full((count,), int(Kind.FIXED_POINT), dtype=torch.uint8),
        period=torch.ones(count, dtype=torch.int64),
        residual=torch.zeros(count, dtype=torch.float64),
        spectral_radius=moduli.amax(dim=1),
        spectral_norm=moduli.amax(dim=1),
        eigenvalues=eigenvalues,
        stable=(directions == 0).to(torch.int8),
        unstable_directions=directions,
        hits=torch.tensor(hits),
        labels=labels,
        orbits=orbits,
        protocol=Protocol(),
        spread=1.0,
    )


@pytest.fixture
def product_field() -> LatentField:
    """f(z) = tanh(2z) in each of two coordinates."""
    return LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(2,), dtype=torch.float64, name="product")


@pytest.fixture
def product_limits() -> LimitSets:
    """All 9 fixed points; 100 starts on a 10 × 10 grid of [−1, 1]², of which the first is unresolved."""
    signs = torch.tensor([[1, 1], [-1, 1], [1, -1], [-1, -1], [1, 0], [0, 1], [-1, 0], [0, -1], [0, 0]])
    unstable = [0, 0, 0, 0, 1, 1, 1, 1, 2]
    eigenvalues = torch.where(signs == 0, 2.0, MULTIPLIER).to(torch.complex128).flip(1)
    axis = torch.linspace(-1, 1, 10, dtype=torch.float64)
    x, y = torch.meshgrid(axis, axis, indexing="xy")
    labels = ((x < 0).long() + 2 * (y < 0).long()).reshape(-1)
    labels[0] = -1
    hits = [int((labels == index).sum()) for index in range(9)]
    steps = torch.arange(100) % 20 + 1
    return make_limits(signs.double() * ROOT, hits, unstable, eigenvalues, labels, steps)


@pytest.fixture
def image_field() -> LatentField:
    """A field whose decoder paints both latent coordinates as the left and right half of a 4 × 4 image."""

    def decode(z: Tensor) -> Tensor:
        halves = (z + 1) / 2
        return halves[:, None, None, :].repeat_interleave(2, dim=3).expand(-1, 1, 4, 4)

    def encode(x: Tensor) -> Tensor:
        return torch.tanh(2 * (2 * x[:, 0, 0, ::2] - 1))

    return LatentField(encode, decode, latent_shape=(2,), dtype=torch.float64, name="halves")


@pytest.fixture
def marked() -> Callable[[Figure, str], list[str]]:
    """The identifiers of all artists of a figure that begin with a word, sorted."""

    def collect(figure: Figure, word: str) -> list[str]:
        found = (artist.get_gid() for artist in figure.findobj(lambda artist: artist.get_gid() is not None))
        return sorted(gid for gid in found if gid.startswith(word))

    return collect


@pytest.fixture
def words() -> Callable[[Figure], str]:
    """All text of a figure."""

    def collect(figure: Figure) -> str:
        return "\n".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))

    return collect


@pytest.fixture
def reordered() -> Callable[[LimitSets, Sequence[int]], LimitSets]:
    """The same sets in another order, as another search would have them."""

    def reorder(limits: LimitSets, order: Sequence[int]) -> LimitSets:
        return replace(limits[list(order)], spread=limits.spread)

    return reorder
