"""The most similar of many items by cosine: exact, in chunks, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from separatrix.errors import InputError

_ELEMENTS_AT_ONCE = 2**22  # float64 entries of one block of items, and of one block of the similarity table


@dataclass(frozen=True)
class MostSimilar:
    """For each query: the index of the most similar item, and that similarity in float64."""

    index: Tensor
    similarity: Tensor


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
    if not len(items):
        raise InputError("There is nothing to compare with; pass at least one item.")
    if queries.shape[1:] != items.shape[1:]:
        raise InputError(
            f"Items of shape {tuple(items.shape[1:])} cannot be compared with queries of shape "
            f"{tuple(queries.shape[1:])}; "
            "bring both to one shape."
        )
    directions = _directions(queries)
    best = torch.full((len(queries),), -torch.inf, dtype=torch.float64)
    index = torch.zeros(len(queries), dtype=torch.int64)
    width = max(1, _ELEMENTS_AT_ONCE // max(directions.shape[1], 1))
    tall = max(1, _ELEMENTS_AT_ONCE // min(width, len(items)))
    for first in range(0, len(items), width):
        block = _directions(items[first : first + width])
        for top in range(0, len(queries), tall):
            rows = slice(top, top + tall)
            table = directions[rows] @ block.T
            similarity, place = table.max(dim=1)
            better = similarity > best[rows]
            best[rows] = torch.where(better, similarity, best[rows])
            index[rows] = torch.where(better, place + first, index[rows])
    return MostSimilar(index, best.clamp(-1.0, 1.0))


def _directions(data: Tensor) -> Tensor:
    """Rows scaled to unit length; first by their largest entry, so that no square over- or underflows."""
    flat = data.detach().flatten(1).to("cpu", torch.float64)
    largest = flat.abs().amax(dim=1, keepdim=True)
    flat = flat / torch.where(largest > 0, largest, 1.0)
    length = flat.norm(dim=1, keepdim=True)
    return flat / torch.where(length > 0, length, 1.0)
