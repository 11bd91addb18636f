"""The nearest of many items: exact, in chunks, in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from separatrix.errors import InputError

_ELEMENTS_AT_ONCE = 2**22  # float64 entries of one block of items, and of one block of the table
_SPARE = 4  # candidates beyond k that are measured exactly: the matrix product orders near ties by its rounding

Distance = Literal["cosine", "euclidean"] | Callable[[Tensor, Tensor], Tensor]
"""How far apart two items are: 1 − cos(x, y), ‖x − y‖, or any function of queries ``(q, …)`` and items ``(m, …)`` that
returns the ``(q, m)`` table of distances, such as a perceptual distance or one between features of the images."""


@dataclass(frozen=True)
class MostSimilar:
    """For each query: the index of the most similar item, and that similarity in float64."""

    index: Tensor
    similarity: Tensor


@dataclass(frozen=True)
class NearestItems:
    """For each query its k nearest items, nearest first: ``(n, k)`` indices, ``(n, k)`` distances in float64."""

    index: Tensor
    distance: Tensor


def most_similar(queries: Tensor, items: Tensor) -> MostSimilar:
    """max over items y of cos(x, y) = x·y/(‖x‖ ‖y‖) for each query x, and the first item that attains it.

    Every item is compared (no index, no approximation), converted to float64 block by block, so ``items`` may
    be a memory map of any size. An all-zero vector has no direction; its cosine with anything is 0.

    Args:
        queries: ``(n, …)``.
        items: ``(m, …)``, m ≥ 1, of the same shape per item.

    Raises:
        InputError: no items, or items of another shape.

    >>> found = most_similar(torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.6, 0.8]]))
    >>> found.index.item(), round(found.similarity.item(), 15)
    (2, 1.0)
    """
    best = torch.full((len(queries),), -torch.inf, dtype=torch.float64)
    index = torch.zeros(len(queries), dtype=torch.int64)
    for rows, first, table in _tables(queries, items, "cosine"):
        closest, place = table.min(dim=1)
        similarity = 1 - closest
        better = similarity > best[rows]
        best[rows] = torch.where(better, similarity, best[rows])
        index[rows] = torch.where(better, place + first, index[rows])
    return MostSimilar(index, best.clamp(-1.0, 1.0))


def nearest_items(queries: Tensor, items: Tensor, k: int = 1, distance: Distance = "cosine") -> NearestItems:
    """The k nearest items of each query, with all items compared, block by block, as in :func:`most_similar`.

    Euclidean candidates come from a matrix product and are then measured by differences, which stay exact near zero.

    Args:
        queries: ``(n, …)``.
        items: ``(m, …)``, m ≥ k, of the same shape per item; a memory map of any size will do.
        k: how many.
        distance: see :data:`Distance`.

    Raises:
        InputError: fewer than k items, items of another shape, or a distance that returns no ``(q, m)`` table of numbers.

    Cost: n·m distances; memory for n·k and two blocks of 4 million entries.

    >>> found = nearest_items(torch.tensor([[0.2], [2.2]]), torch.tensor([[0.0], [1.0], [3.0]]), 2, "euclidean")
    >>> found.index.tolist(), found.distance[0].numpy().round(6).tolist()
    ([[0, 1], [2, 1]], [0.2, 0.8])
    """
    if not 1 <= k <= len(items):
        raise InputError(f"The {k} nearest of {len(items)} items were asked for; ask for 1 to {max(len(items), 1)}.")
    kept = min(k + _SPARE, len(items)) if distance == "euclidean" else k
    best = torch.full((len(queries), kept), torch.inf, dtype=torch.float64)
    index = torch.zeros((len(queries), kept), dtype=torch.int64)
    for rows, first, table in _tables(queries, items, distance):
        found = table.topk(min(kept, table.shape[1]), dim=1, largest=False)
        both = torch.cat((best[rows], found.values), dim=1)
        order = both.sort(dim=1, stable=True).indices[:, :kept]
        best[rows] = both.gather(1, order)
        index[rows] = torch.cat((index[rows], found.indices + first), dim=1).gather(1, order)
    if distance == "euclidean":
        best = _exact(queries, items, index)
        order = best.sort(dim=1, stable=True).indices
        best, index = best.gather(1, order), index.gather(1, order)
    return NearestItems(index[:, :k], best[:, :k])


def _tables(queries: Tensor, items: Tensor, distance: Distance) -> Iterator[tuple[slice, int, Tensor]]:
    """Blocks of the table of distances: which queries, the first of the items, ``(q, m)`` in float64.

    Euclidean ones are squared and only good for choosing candidates.
    """
    if not len(items):
        raise InputError("There is nothing to compare with; pass at least one item.")
    if queries.shape[1:] != items.shape[1:]:
        raise InputError(
            f"Items of shape {tuple(items.shape[1:])} cannot be compared with queries of shape "
            f"{tuple(queries.shape[1:])}; "
            "bring both to one shape."
        )
    if distance not in ("cosine", "euclidean") and not callable(distance):
        raise InputError(f"There is no distance {distance!r}; choose cosine, euclidean or a function of two batches.")
    entries = max(queries[:1].numel(), 1)
    prepared = _prepared(queries, distance)
    width = max(1, _ELEMENTS_AT_ONCE // entries)
    tall = max(1, _ELEMENTS_AT_ONCE // min(width, len(items)))
    for first in range(0, len(items), width):
        block = _prepared(items[first : first + width], distance)
        for top in range(0, len(queries), tall):
            rows = slice(top, top + tall)
            yield rows, first, _table(prepared[rows], block, distance)


def _prepared(data: Tensor, distance: Distance) -> Tensor:
    if distance == "cosine":
        return _directions(data)
    flat = data.detach().cpu()
    return flat.flatten(1).to(torch.float64) if distance == "euclidean" else flat


def _table(queries: Tensor, items: Tensor, distance: Distance) -> Tensor:
    if distance == "cosine":
        return 1 - queries @ items.T
    if distance == "euclidean":
        squares = items.square().sum(dim=1)
        return torch.addmm(squares, queries, items.T, alpha=-2.0) + queries.square().sum(dim=1, keepdim=True)
    assert callable(distance)
    table = distance(queries, items)
    if not isinstance(table, Tensor) or table.shape != (len(queries), len(items)) or bool(table.isnan().any()):
        raise InputError(
            f"The distance must return a table of {len(queries)} × {len(items)} numbers for so many queries and items; "
            "return one row per query, without NaN."
        )
    return table.detach().to("cpu", torch.float64)


def _exact(queries: Tensor, items: Tensor, index: Tensor) -> Tensor:
    """‖x − y‖ by differences, for the given items of each query."""
    exact = torch.empty(index.shape, dtype=torch.float64)
    wide = max(1, _ELEMENTS_AT_ONCE // max(index.shape[1] * queries[:1].numel(), 1))
    for top in range(0, len(queries), wide):
        rows = slice(top, top + wide)
        chosen = items[index[rows].flatten()].detach().to("cpu", torch.float64).flatten(1)
        ours = queries[rows].detach().to("cpu", torch.float64).flatten(1)
        exact[rows] = (ours[:, None] - chosen.reshape(len(ours), index.shape[1], -1)).norm(dim=2)
    return exact


def _directions(data: Tensor) -> Tensor:
    """Rows scaled to unit length; first by their largest entry, so that no square over- or underflows."""
    flat = data.detach().flatten(1).to("cpu", torch.float64)
    largest = flat.abs().amax(dim=1, keepdim=True)
    flat = flat / torch.where(largest > 0, largest, 1.0)
    length = flat.norm(dim=1, keepdim=True)
    return flat / torch.where(length > 0, length, 1.0)
