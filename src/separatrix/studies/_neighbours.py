"""Neighbours in a large bank are looked for in parts of it, by the engine of the block; they are those that one search finds, bit for bit.

The k nearest of all are among the k nearest of each part. Distances are measured in the same way wherever an item stands, and of items that are equally far the first
counts, in a part and between parts, so neither how a bank is cut nor who was first can be seen.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from separatrix.engines import current
from separatrix.numerics import Distance, Engine, NearestItems, joined, nearest_items

_ENTRIES = 2**22  # of a part of the bank: 16 MB in float32


def nearest_in_bank(
    queries: Tensor, items: Tensor, k: int = 1, distance: Distance = "cosine", *, engine: Engine = "torch"
) -> NearestItems:
    """Return the k nearest items of each query, as :func:`~separatrix.numerics.nearest_items` does, raising the same.

    Where an engine is current (`separatrix.engines.using`) it searches the parts of a bank of at least two parts; a part is sent to whoever searches it, so that
    no worker holds the bank, which may be a memory map. Distances that are a function are measured here.

    Cost: as there; each item is sent once.

    >>> import torch
    >>> nearest_in_bank(torch.tensor([[0.2]]), torch.tensor([[0.0], [1.0], [3.0]]), 2, "euclidean").index.tolist()
    [[0, 1]]
    """
    crew = current()
    size = max(1, _ENTRIES // max(items[:1].numel(), 1))
    alone = crew is None or not isinstance(distance, str) or engine == "faiss"
    if crew is None or alone or len(items) <= size or not 1 <= k <= len(items):
        return nearest_items(queries, items, k, distance, engine=engine)
    starts = range(0, len(items), size)
    cut: Iterator[Tensor] = (
        items[first : first + size].clone() for first in starts
    )  # a view would be sent with all of it
    found = dict(crew.map(_search, cut, (queries.detach().cpu(), k, distance)))
    return joined(k, [(first, found[number]) for number, first in enumerate(starts)])


def _search(items: Tensor, asked: tuple[Tensor, int, Distance]) -> NearestItems:
    queries, k, distance = asked
    return nearest_items(queries, items, min(k, len(items)), distance)
