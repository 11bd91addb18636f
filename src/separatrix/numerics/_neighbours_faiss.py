"""Candidates for nearest neighbours from faiss, in float32, with a proof that none is missing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from separatrix.errors import InputError
from separatrix.numerics._distances import product_error

_ROWS_AT_ONCE = 2**16  # items added to the index at once


def candidates(queries: Tensor, items: Any, count: int, inner_product: bool) -> tuple[Tensor, Tensor]:
    """The ``count`` nearest items of each query in float32, and a lower bound for the distance of all others.

    Args:
        queries: ``(n, d)`` float64; unit vectors for inner products.
        items: a function from a slice to the ``(b, d)`` float64 items in it, of which ``len`` is the number.
        count: how many candidates.
        inner_product: distance 1 − ⟨x, y⟩, else ‖x − y‖².

    Returns:
        ``(n, count)`` indices, and ``(n,)`` float64: whatever is not among them is at least that far, rounding included
        (see `product_error`); −∞ where float32 is too small for the numbers.

    Raises:
        InputError: faiss is not installed.
    """
    faiss = _faiss()
    dimension = queries.shape[1]
    index = faiss.IndexFlatIP(dimension) if inner_product else faiss.IndexFlatL2(dimension)
    longest = 0.0
    for first in range(0, len(items), _ROWS_AT_ONCE):
        block = items(slice(first, first + _ROWS_AT_ONCE))
        longest = max(longest, float(block.norm(dim=1).max()))
        index.add(block.to(torch.float32).numpy())
    scores, found = index.search(queries.to(torch.float32).numpy(), count)
    worst = torch.from_numpy(scores[:, -1]).to(torch.float64)
    reach = queries.norm(dim=1) + longest
    tiny = 4 * dimension * torch.finfo(torch.float32).tiny  # what so many products may lose to underflow
    slack = 2 * product_error(dimension, torch.float32) * reach.square() + tiny
    bound = (1 - worst if inner_product else worst) - slack
    return torch.from_numpy(found), bound.nan_to_num(nan=-torch.inf, posinf=-torch.inf)


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise InputError(
            "engine='faiss' needs the faiss package, which is not installed; pip install 'separatrix[faiss]', or leave the "
            "engine out: it gives the same answers."
        ) from error
    return faiss
