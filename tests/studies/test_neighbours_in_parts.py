"""A bank that is searched in parts by an engine gives the neighbours of one search, bit for bit, ties included."""

from __future__ import annotations

import pytest
import torch

from separatrix.engines import Here, Processes, using
from separatrix.errors import InputError
from separatrix.numerics import nearest_items
from separatrix.studies import _neighbours, closeness
from separatrix.studies._neighbours import nearest_in_bank


class Backwards(Here):
    """Computes the last part first, and counts."""

    workers, parts = 3, 0

    def map(self, task, parts, *shared):
        for number, part in reversed(list(enumerate(parts))):
            self.parts += 1
            yield number, task(part, *shared)


def bank(seed, count, width, dtype):
    """Random items with many equal ones, far from each other, and some that differ in the last bits."""
    generator = torch.Generator().manual_seed(seed)
    items = torch.randn(count, width, generator=generator, dtype=dtype)
    items[count // 2 :: 3] = items[: len(items[count // 2 :: 3])]
    items[-5:] = items[:5] * (1 + 1e-7)
    items[7] = 0
    return items, torch.cat([items[::11], torch.randn(9, width, generator=generator, dtype=dtype), items[7:8]])


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1, 2, 7, 60, 119])
def test_neighbours_are_those_of_one_search(monkeypatch, distance, dtype, size):
    items, queries = bank(size, 120, 12, dtype)
    monkeypatch.setattr(_neighbours, "_ENTRIES", size * 12)
    for k in (1, 5, 120):
        one = nearest_items(queries, items, k, distance)
        with using(Backwards()) as engine:
            parts = nearest_in_bank(queries, items, k, distance)
        assert engine.parts == -(-120 // size)
        assert torch.equal(one.index, parts.index)
        assert torch.equal(one.distance, parts.distance)


def test_in_processes(monkeypatch):
    items, queries = bank(0, 90, 20, torch.float32)
    monkeypatch.setattr(_neighbours, "_ENTRIES", 30 * 20)
    here = closeness(queries, items)
    with using(Processes(2)):
        there = closeness(queries, items)
    assert all(torch.equal(one, other) for one, other in zip(here, there, strict=True))


def test_small_banks_functions_and_mistakes_are_dealt_with_here(monkeypatch):
    items, queries = bank(0, 90, 20, torch.float32)
    with using(Backwards()) as engine:
        nearest_in_bank(queries, items, 3)
        monkeypatch.setattr(_neighbours, "_ENTRIES", 30 * 20)
        nearest_in_bank(queries, items, 3, lambda x, y: torch.cdist(x, y))
        with pytest.raises(InputError, match="91 nearest of 90"):
            nearest_in_bank(queries, items, 91)
    assert engine.parts == 0
