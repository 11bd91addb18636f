"""The usual pattern of reconstruction errors: a principal subspace of x − D(E(x)), and how far an error lies in it and out of it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

_COMPONENTS = 128
_IMAGES = 1000  # that the subspace is fitted on, at most
_SIDE = 64  # larger images are averaged down to this: the basis has a row per pixel
_ROUNDING = 1e-6  # pixels: the standard deviation of an error that is rounding


def fit_residual_pca(residuals: Tensor) -> dict[str, Tensor]:
    """Mean, basis ``(d, q)`` and variances ``(q,)`` of ``(n, d)`` float64 errors, q at most a third of n; for `residual_lengths`."""
    mean = residuals.mean(dim=0)
    centred = residuals - mean
    _, lengths, directions = torch.linalg.svd(centred, full_matrices=False)
    variances = lengths.square() / max(len(residuals) - 1, 1)
    q = min(_COMPONENTS, len(residuals) // 3, max(len(variances) - 1, 0))
    outside = float(variances[q:].sum()) / max(residuals.shape[1] - q, 1)
    return {
        "error_mean": mean,
        "error_basis": directions[:q].T.contiguous(),
        "error_variances": variances[:q].clamp(min=max(outside, _ROUNDING**2)),
    }


def residual_lengths(residuals: Tensor, state: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """√T² and √Q of ``(n, d)`` errors, each ``(n,)``: the Mahalanobis length in the subspace, and the length of what lies outside it.

    Hotelling's T² and the squared prediction error Q of Jackson & Mudholkar (1979), which watch a process by its principal
    components; here the process is the reconstruction. The norm of an error tells how large it is, these tell where it sits.

    >>> rows = torch.tensor([[1.0, 0, 0], [-1, 0, 0], [2, 0, 0], [-2, 0, 0], [0, 0.1, 0], [0, -0.1, 0]], dtype=torch.float64)
    >>> inside, outside = residual_lengths(torch.tensor([[0.0, 0.0, 3.0]], dtype=torch.float64), fit_residual_pca(rows))
    >>> round(inside.item(), 6), round(outside.item(), 6)
    (0.0, 3.0)
    """
    centred = residuals - state["error_mean"]
    along = centred @ state["error_basis"]
    inside = (along.square() / state["error_variances"]).sum(dim=1).sqrt()
    outside = (centred.square().sum(dim=1) - along.square().sum(dim=1)).clamp(min=0.0).sqrt()
    return inside, outside


def evenly(count: int) -> slice:
    """Tell which of ``count`` inputs the subspace is fitted on: evenly spaced, because files are often sorted."""
    return slice(None, None, -(-count // _IMAGES))


def flat_errors(errors: Tensor) -> Tensor:
    """``(n, …)`` errors as ``(n, d)``, images averaged down to at most 64 on a side."""
    if errors.ndim == 4 and max(errors.shape[2:]) > _SIDE:
        errors = avg_pool2d(errors, [-(-side // _SIDE) for side in errors.shape[2:]])
    return errors.flatten(1)
