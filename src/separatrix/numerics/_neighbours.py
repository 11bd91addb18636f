"""The nearest of many items: exact, in chunks, in float64.

A matrix product gives a lower bound of every distance (its rounding is bounded, see `product_error`). Whatever the bounds do
not exclude is measured by differences, in the same way whatever the block, the engine or the order, and of items that are
equally far the first counts as nearer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.numerics._distances import product_error
from separatrix.words import one_line

_ELEMENTS_AT_ONCE = 2**22  # float64 entries of one block of items, and of one block of the table
_CANDIDATES = 16  # beyond k that faiss is asked for, so that rounding rarely matters
_UNDERFLOW = 1e-290  # more than products of float64 numbers lose below the smallest of them, whatever the length
_SPARE = 4  # candidates beyond k that are measured; where they do not settle it, all that is possible is measured

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

    __repr__ = one_line


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
    found = nearest_items(queries, items)
    return MostSimilar(found.index[:, 0], (1 - found.distance[:, 0]).clamp(-1.0, 1.0))


@checked
def nearest_items(
    queries: Tensor, items: Tensor, k: int = 1, distance: Distance = "cosine", *, engine: Engine = "torch"
) -> NearestItems:
    """The k nearest items of each query, with all items compared, block by block, as in :func:`most_similar`.

    Of items at the same distance (in float64, measured by differences, which stay exact near zero) the first is taken.

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
    _require_comparable(queries, items, distance)
    if not 1 <= k <= len(items):
        raise InputError(f"The {k} nearest of {len(items)} items were asked for; ask for 1 to {len(items)}.")
    if engine == "faiss":
        return _with_faiss(queries, items, k, distance)
    if engine != "torch":
        raise InputError(f"There is no engine {engine!r}; choose torch or faiss.")
    if not isinstance(distance, str):
        return _merged(k, _tables(queries, items, distance))
    kept = min(k + _SPARE, len(items))
    close = _merged(kept, _tables(queries, items, distance))
    found = _measured_candidates(queries, items, close.index, k, distance)
    # The last candidate's bound is one for all items that are no candidates.
    return _settled(queries, items, found, close.distance[:, -1], distance) if kept < len(items) else found


@checked
def joined(k: int, parts: Sequence[tuple[int, NearestItems]]) -> NearestItems:
    """Return the k nearest of all items from those of parts of them: of each part where it begins and its own nearest, in the order of the items.

    >>> one = NearestItems(torch.tensor([[1, 0]]), torch.tensor([[0.5, 2.0]]).double())
    >>> joined(2, [(0, one), (2, one)]).index.tolist()
    [[1, 3]]
    """
    index = torch.cat([found.index + first for first, found in parts], dim=1)
    distance = torch.cat([found.distance for _, found in parts], dim=1)
    order = distance.sort(dim=1, stable=True).indices[:, :k]
    return NearestItems(index.gather(1, order), distance.gather(1, order))


def _settled(queries: Tensor, items: Tensor, found: NearestItems, bound: Tensor, distance: Distance) -> NearestItems:
    """``found``, and where an item that was not measured could be nearer, the nearest of all that could.

    Args:
        queries, items, distance: of the search.
        found: the nearest of some items.
        bound: ``(n,)``, what the distance of all other items is not below, as `_tables` gives it.
    """
    reach = found.distance[:, -1]
    if distance == "euclidean":  # compared as a square, which has roundings of its own
        reach = reach.square() * (1 + 4 * product_error(queries[:1].numel(), torch.float64))
    doubtful = (~(reach < bound)).nonzero().squeeze(1)
    if not len(doubtful):
        return found
    asked, reach = queries[doubtful], reach[doubtful, None]

    def measured() -> Iterator[tuple[slice, int, Tensor]]:
        for rows, first, lower in _tables(asked, items, distance):
            possible = ~(lower > reach[rows])
            table = torch.full_like(lower, torch.inf)
            for pairs in possible.nonzero().split(max(1, _ELEMENTS_AT_ONCE // max(asked[0].numel(), 1))):
                row, column = pairs.T
                ours, theirs = asked[rows][row], items[first + column]
                table[row, column] = _apart(prepared(ours, distance), prepared(theirs, distance), distance)
            yield rows, first, table

    again = _merged(found.index.shape[1], measured())
    found.index[doubtful], found.distance[doubtful] = again.index, again.distance
    return found


def _merged(k: int, tables: Iterable[tuple[slice, int, Tensor]]) -> NearestItems:
    """The k smallest entries of every row of a table that comes in blocks, the first of equal ones."""
    best: dict[int, tuple[Tensor, Tensor]] = {}
    for rows, first, table in tables:
        values, places = _smallest(table, min(k, table.shape[1]))
        places = places + first
        if rows.start in best:
            known = best[rows.start]
            values, places = torch.cat((known[0], values), dim=1), torch.cat((known[1], places), dim=1)
            order = values.sort(dim=1, stable=True).indices[:, :k]
            values, places = values.gather(1, order), places.gather(1, order)
        best[rows.start] = values, places
    if not best:
        return NearestItems(torch.empty((0, k), dtype=torch.int64), torch.empty((0, k), dtype=torch.float64))
    distances, indices = zip(*best.values(), strict=True)
    return NearestItems(torch.cat(indices), torch.cat(distances))


def _smallest(table: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k smallest of each row in ascending order and their places; of equal ones those that come first."""
    values, places = table.topk(k, dim=1, largest=False)
    # topk chooses at will among those that equal the last, and orders equal ones at will.
    tied = ((table <= values[:, -1:]).sum(dim=1) > k).nonzero().squeeze(1)
    if len(tied):
        places[tied] = table[tied].sort(dim=1, stable=True).indices[:, :k]
    places = places.sort(dim=1).values
    values = table.gather(1, places)
    order = values.sort(dim=1, stable=True).indices
    return values.gather(1, order), places.gather(1, order)


def _with_faiss(queries: Tensor, items: Tensor, k: int, distance: Distance) -> NearestItems:
    from separatrix.numerics._neighbours_faiss import candidates

    if not isinstance(distance, str):
        raise InputError(
            "faiss knows cosine and euclidean distances only; leave the engine out for a function of yours."
        )
    count = k + _CANDIDATES
    if not len(queries) or count >= len(items):
        return nearest_items(queries, items, k, distance)
    ours = prepared(queries, distance)
    found, bound = candidates(ours, _Prepared(items, distance), count, distance == "cosine")
    measured = _measured_candidates(queries, items, found, k, distance)
    return _settled(queries, items, measured, bound, distance)


def _measured_candidates(queries: Tensor, items: Tensor, index: Tensor, k: int, distance: Distance) -> NearestItems:
    """The k nearest among the items ``index`` ``(n, c)`` of each query."""
    index = index.sort(dim=1).values  # equal distances are then in the order of the items
    exact = torch.empty(index.shape, dtype=torch.float64)
    wide = max(1, _ELEMENTS_AT_ONCE // max(index.shape[1] * queries[:1].numel(), 1))
    for top in range(0, len(queries), wide):
        rows = slice(top, top + wide)
        ours = prepared(queries[rows], distance)
        theirs = prepared(items[index[rows].flatten()], distance).reshape(len(ours), index.shape[1], -1)
        exact[rows] = _apart(ours[:, None], theirs, distance)
    order = exact.sort(dim=1, stable=True).indices[:, :k]
    return NearestItems(index.gather(1, order), exact.gather(1, order))


def _apart(queries: Tensor, items: Tensor, distance: Distance) -> Tensor:
    """Distances of prepared vectors along the last axis, by differences.

    1 − cos = ½ ‖u − v‖² of two directions; a zero vector has none, and its cosine with anything is 0.
    """
    apart = (queries - items).norm(dim=-1).nan_to_num(nan=torch.inf)
    if distance == "euclidean":
        return apart
    directed = (queries != 0).any(dim=-1) & (items != 0).any(dim=-1)
    return torch.where(directed, 0.5 * apart.square(), 1.0)


class _Prepared:
    """Items as the distance wants them, a slice at a time."""

    def __init__(self, items: Tensor, distance: Distance) -> None:
        self._items, self._distance = items, distance

    def __len__(self) -> int:
        return len(self._items)

    def __call__(self, rows: slice) -> Tensor:
        return prepared(self._items[rows], self._distance)


def _tables(queries: Tensor, items: Tensor, distance: Distance) -> Iterator[tuple[slice, int, Tensor]]:
    """Blocks of the table of distances: which queries, the first of the items, ``(q, m)`` in float64.

    For cosine and Euclidean distances it is a lower bound, of the distance or of its square, rounding included.
    """
    _require_comparable(queries, items, distance)
    entries = max(queries[:1].numel(), 1)
    ours = prepared(queries, distance)
    width = max(1, _ELEMENTS_AT_ONCE // entries)
    tall = max(1, _ELEMENTS_AT_ONCE // min(width, len(items)))
    for first in range(0, len(items), width):
        block = prepared(items[first : first + width], distance)
        for top in range(0, len(queries), tall):
            rows = slice(top, top + tall)
            yield rows, first, _table(ours[rows], block, distance)


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


def prepared(data: Tensor, distance: Distance) -> Tensor:
    """Return the items as the distance compares them: flat in float64, directions for the cosine, as they are for a function."""
    if distance == "cosine":
        return _directions(data)
    flat = data.detach().cpu()
    return flat.flatten(1).to(torch.float64) if distance == "euclidean" else flat


def _table(queries: Tensor, items: Tensor, distance: Distance) -> Tensor:
    if isinstance(distance, str):
        error = product_error(queries.shape[1], torch.float64)
        if distance == "cosine":
            # Four roundings of vectors of length 1: of the two directions, of their product and of the measured distance.
            return (1 - 8 * error) - queries @ items.T
        shrink = 1 - 4 * error
        squares = shrink * items.square().sum(dim=1)
        table = torch.addmm(squares, queries, items.T, alpha=-2.0) + shrink * queries.square().sum(dim=1, keepdim=True)
        # What has overflowed excludes nothing.
        return (table - _UNDERFLOW).nan_to_num(nan=-torch.inf, posinf=-torch.inf)
    assert callable(distance)
    table = distance(queries, items)
    if not isinstance(table, Tensor) or table.shape != (len(queries), len(items)) or bool(table.isnan().any()):
        raise InputError(
            f"The distance must return a table of {len(queries)} × {len(items)} numbers for so many queries and items; "
            "return one row per query, without NaN."
        )
    return table.detach().to("cpu", torch.float64)


def _directions(data: Tensor) -> Tensor:
    """Rows scaled to unit length; first by their largest entry, so that no square over- or underflows."""
    flat = data.detach().flatten(1).to("cpu", torch.float64)
    largest = flat.abs().amax(dim=1, keepdim=True)
    flat = flat / torch.where(largest > 0, largest, 1.0)
    length = flat.norm(dim=1, keepdim=True)
    return flat / torch.where(length > 0, length, 1.0)
