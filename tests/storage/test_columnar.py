"""Columnar records: length, slicing by everything that indexes a tensor, conversion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from separatrix import LatentField, find_attractors, starts
from separatrix.data import ImageSet
from separatrix.storage import Columnar


@dataclass(frozen=True, kw_only=True, eq=False)
class Table(Columnar):
    _columns: ClassVar[tuple[str, ...]] = ("value", "count", "maybe")
    value: Tensor
    count: Tensor
    maybe: Tensor | None = None
    matrix: Tensor
    title: str = "t"


def table(n=6, maybe=True):
    return Table(
        value=torch.arange(n, dtype=torch.float64) / 2,
        count=torch.arange(n),
        maybe=torch.arange(2 * n).reshape(n, 2) if maybe else None,
        matrix=torch.eye(2),
        title="kept",
    )


@pytest.mark.parametrize(
    ("index", "chosen"),
    [
        (0, [0]),
        (5, [5]),
        (-1, [5]),
        (-6, [0]),
        (slice(1, 3), [1, 2]),
        (slice(None, None, 2), [0, 2, 4]),
        (slice(4, 100), [4, 5]),
        ([3, 1], [3, 1]),
        ([], []),
        (torch.tensor([2, 2, 0]), [2, 2, 0]),
        (torch.tensor([True, False, False, False, True, False]), [0, 4]),
        (torch.zeros(6, dtype=torch.bool), []),
        (
            torch.tensor(3),
            [3],
        ),  # as argmax gives it: the item lost its axis, and seemed to be as many as it has numbers
        (torch.tensor(-1), [5]),
        (np.int64(2), [2]),
        ([True, False, False, False, True, False], [0, 4]),  # was read as the items 1, 0, 0, 0, 1, 0
        (np.array([True, False, False, False, True, False]), [0, 4]),
        (np.array([3, 1]), [3, 1]),
        (np.array([], dtype=np.int64), []),
    ],
)
def test_indexing(index, chosen):
    part = table()[index]
    assert isinstance(part, Table)
    assert len(part) == len(chosen)
    assert part.count.tolist() == chosen
    assert part.value.tolist() == [c / 2 for c in chosen]
    assert part.maybe.tolist() == [[2 * c, 2 * c + 1] for c in chosen]
    assert torch.equal(part.matrix, torch.eye(2)), "what is no column is carried along"
    assert part.title == "kept"


@pytest.mark.parametrize("index", [6, -7, 100, torch.tensor(6), np.int64(-7), True, [True, False], torch.ones(7) > 0])
def test_out_of_range(index):
    with pytest.raises(IndexError, match="6 items"):
        table()[index]


def test_numbers_with_a_fraction_choose_nothing():
    for index in (2.0, torch.tensor(2.5), [0.5]):
        with pytest.raises(IndexError, match="whole numbers"):
            table()[index]


def test_sets_and_images_are_chosen_alike():
    """Both have columns that are renumbered or named along."""
    field = LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(2,), dtype=torch.float64)
    limits = find_attractors(field, starts.gaussian(40, seed=0)).attractors
    most = limits[limits.hits.argmax()]
    assert (len(most), most.points.shape) == (1, (1, 2))
    assert int((most.labels == 0).sum()) == int(limits.hits.max())
    assert len(limits[[True] + [False] * (len(limits) - 1)]) == 1
    images = ImageSet(pixels=torch.rand(3, 1, 2, 2), names=("a", "b", "c"))
    assert images[torch.tensor(1)].names == images[[False, True, False]].names == images[np.int64(1)].names == ("b",)
    assert images[torch.tensor(1)].pixels.shape == (1, 1, 2, 2)


def test_iteration_ends():
    assert [int(row.count) for row in table(3)] == [0, 1, 2]


def test_a_column_that_is_absent_stays_absent():
    assert table(maybe=False)[1:3].maybe is None


def test_conversion():
    narrow = table().to(torch.float32)
    assert narrow.value.dtype == narrow.matrix.dtype == torch.float32
    assert narrow.count.dtype == narrow.maybe.dtype == torch.int64
    assert table().to("cpu").value.dtype == torch.float64
    assert table().to("meta", torch.float32).count.device.type == "meta"
    assert table().to(dtype=torch.float16).value.dtype == torch.float16


def test_the_original_is_left_alone():
    whole = table()
    part = whole[[0, 1]]
    part.value[0] = 99
    whole.to(torch.float32)
    assert whole.value[0] == 0
    assert whole.value.dtype == torch.float64
