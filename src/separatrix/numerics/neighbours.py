"""The nearest of many items: exact, in chunks, in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from separatrix.errors import InputError

_ELEMENTS_AT_ONCE = 2**22  # float64 entries of one block of items, and of one block of the table
_CANDIDATES = 16  # beyond k that faiss is asked for, so that rounding rarely matters
_SPARE = 4  # candidates beyond k that are measured exactly: the matrix product orders near ties by its rounding

Distance = Literal["cosine", "euclidean"] | Callable[[Tensor, Tensor], Tensor]
"""How far apart two items are: 1 − cos(x, y), ‖x − y‖, or any function of queries ``(q, …)`` and items ``(m, …)`` that
returns the ``(q, m)`` table of distances, such as a perceptual distance or one between features of the images."""

Engine = Literal["torch", "faiss"]


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


def nearest_items(
    queries: Tensor, items: Tensor, k: int = 1, distance: Distance = "cosine", *, engine: Engine = "torch"
) -> NearestItems:
    """The k nearest items of each query, with all items compared, block by block, as in :func:`most_similar`.

    Euclidean candidates come from a matrix product and are then measured by differences, which stay exact near zero.

    Args:
        queries: ``(n, …)``.
        items: ``(m, …)``, m ≥ k, of the same shape per item; a memory map of any size will do.
        k: how many.
        distance: see :data:`Distance`.
        engine: ``"faiss"`` lets faiss choose candidates in float32, which holds all items in memory and is faster for many of
            them; they are measured here, and queries for which rounding could hide a nearer item are searched again
            without it, so the answers are the same.

    Raises:
        InputError: fewer than k items, items of another shape, or a distance that returns no ``(q, m)`` table of numbers.

    Cost: n·m distances; memory for n·k and two blocks of 4 million entries.

    >>> found = nearest_items(torch.tensor([[0.2], [2.2]]), torch.tensor([[0.0], [1.0], [3.0]]), 2, "euclidean")
    >>> found.index.tolist(), found.distance[0].numpy().round(6).tolist()
    ([[0, 1], [2, 1]], [0.2, 0.8])
    """
    if not 1 <= k <= len(items):
        raise InputError(f"The {k} nearest of {len(items)} items were asked for; ask for 1 to {max(len(items), 1)}.")
    _require_comparable(queries, items, distance)
    if engine == "faiss":
        return _with_faiss(queries, items, k, distance)
    if engine != "torch":
        raise InputError(f"There is no engine {engine!r}; choose torch or faiss.")
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
        best = _exact(queries, items, index, distance)
        order = best.sort(dim=1, stable=True).indices
        best, index = best.gather(1, order), index.gather(1, order)
    return NearestItems(index[:, :k], best[:, :k])


def _with_faiss(queries: Tensor, items: Tensor, k: int, distance: Distance) -> NearestItems:
    from separatrix.numerics.neighbours_faiss import candidates

    if not isinstance(distance, str):
        raise InputError(
            "faiss knows cosine and euclidean distances only; leave the engine out for a function of yours."
        )
    if not len(queries):
        return nearest_items(queries, items, k, distance)
    count = min(k + _CANDIDATES, len(items))
    ours = _prepared(queries, distance)
    found, bound = candidates(ours, _Prepared(items, distance), count, distance == "cosine")
    found = found.sort(dim=1).values  # equal distances are then in the order of the items
    exact = _exact(queries, items, found, distance)
    order = exact.sort(dim=1, stable=True).indices[:, :k]
    index, best = found.gather(1, order), exact.gather(1, order)
    reached = best[:, -1] if distance == "cosine" else best[:, -1].square()
    doubtful = (reached >= bound) & (count < len(items))
    if bool(doubtful.any()):
        again = nearest_items(queries[doubtful], items, k, distance)
        index[doubtful], best[doubtful] = again.index, again.distance
    return NearestItems(index, best)


class _Prepared:
    """Items as the distance wants them, a slice at a time."""

    def __init__(self, items: Tensor, distance: Distance) -> None:
        self._items, self._distance = items, distance

    def __len__(self) -> int:
        return len(self._items)

    def __call__(self, rows: slice) -> Tensor:
        return _prepared(self._items[rows], self._distance)


def _tables(queries: Tensor, items: Tensor, distance: Distance) -> Iterator[tuple[slice, int, Tensor]]:
    """Blocks of the table of distances: which queries, the first of the items, ``(q, m)`` in float64.

    Euclidean ones are squared and only good for choosing candidates.
    """
    _require_comparable(queries, items, distance)
    entries = max(queries[:1].numel(), 1)
    prepared = _prepared(queries, distance)
    width = max(1, _ELEMENTS_AT_ONCE // entries)
    tall = max(1, _ELEMENTS_AT_ONCE // min(width, len(items)))
    for first in range(0, len(items), width):
        block = _prepared(items[first : first + width], distance)
        for top in range(0, len(queries), tall):
            rows = slice(top, top + tall)
            yield rows, first, _table(prepared[rows], block, distance)


def _require_comparable(queries: Tensor, items: Tensor, distance: Distance) -> None:
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


def _exact(queries: Tensor, items: Tensor, index: Tensor, distance: Distance) -> Tensor:
    """Distances to the given items of each query; Euclidean ones by differences."""
    exact = torch.empty(index.shape, dtype=torch.float64)
    wide = max(1, _ELEMENTS_AT_ONCE // max(index.shape[1] * queries[:1].numel(), 1))
    for top in range(0, len(queries), wide):
        rows = slice(top, top + wide)
        ours = _prepared(queries[rows], distance)
        chosen = _prepared(items[index[rows].flatten()], distance).reshape(len(ours), index.shape[1], -1)
        if distance == "cosine":
            exact[rows] = 1 - (ours[:, None] * chosen).sum(dim=2)
        else:
            exact[rows] = (ours[:, None] - chosen).norm(dim=2)
    return exact


def _directions(data: Tensor) -> Tensor:
    """Rows scaled to unit length; first by their largest entry, so that no square over- or underflows."""
    flat = data.detach().flatten(1).to("cpu", torch.float64)
    largest = flat.abs().amax(dim=1, keepdim=True)
    flat = flat / torch.where(largest > 0, largest, 1.0)
    length = flat.norm(dim=1, keepdim=True)
    return flat / torch.where(length > 0, length, 1.0)
