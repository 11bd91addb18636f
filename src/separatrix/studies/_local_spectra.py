"""ρ(J) and ‖J‖₂ at a few points, within a budget: exact where it is affordable, else a rough estimate that says so."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.cost import JVP_WEIGHT, VJP_WEIGHT, Cost
from separatrix.errors import FieldError
from separatrix.field import LatentField
from separatrix.limitsets import spectrum_matrix_free, spectrum_of
from separatrix.numerics.counter_random import gaussian
from separatrix.protocol import DENSE_LIMIT

MOST_POINTS = 4
_MATRIX_FREE_COST = 1000  # map evaluations that Arnoldi and Lanczos take at one point, roughly
_FEWEST, _MOST = 4, 40  # steps of a power iteration


@dataclass(frozen=True)
class LocalSpectrum:
    """ρ(J) and ‖J‖₂ at one point. ρ is a rate of convergence only where orbits end.

    With ``rough`` they come from a short power iteration: ‖J‖₂ is at least ``norm``, and ``radius`` is the growth
    ‖J^m t‖^(1/m) of a random tangent over its later half, which tends to ρ as m grows.
    """

    where: str
    radius: float
    norm: float
    rough: bool = False


def spectra_at(field: LatentField, where: str, points: Tensor, budget: float) -> tuple[list[LocalSpectrum], Cost]:
    """Measure ρ(J) and ‖J‖₂ at as many of the points as ``budget`` map evaluations allow, at most four; at least a rough one.

    Cost: 2k evaluations per point up to k = 512, about a thousand above; for a rough one 40 to 400.
    """
    if not len(points):
        return [], Cost()
    dense = field.latent_dim <= DENSE_LIMIT
    each = VJP_WEIGHT * field.latent_dim if dense else _MATRIX_FREE_COST
    if each > budget:
        return _rough(field, where, points[:1], budget)
    chosen = points[: min(MOST_POINTS, int(budget / each))]
    if dense:
        found, cost = spectrum_of(field.jacobian(chosen)), Cost(vjp=len(chosen) * field.latent_dim)
    else:
        found = spectrum_matrix_free(field, chosen)
        cost = found.cost
    rows = zip(found.radius.tolist(), found.norm.tolist(), strict=True)
    return [LocalSpectrum(where, radius, norm) for radius, norm in rows], cost


@checked
def spectrum_by_differences(
    field: LatentField, where: str, point: Tensor, batch_size: int = 64
) -> tuple[LocalSpectrum, Cost]:
    """ρ and ‖J‖₂ of a map without gradients in any number of dimensions, from its whole Jacobian by central differences.

    On request only: column i is (f(z + hεᵢ) − f(z − hεᵢ))/2h, so it takes 2k evaluations and k² numbers of memory.

    Args:
        field: the field.
        where: what the spectrum calls the point.
        point: ``(1, *latent_shape)``.
        batch_size: columns at once.

    Cost: 2k map evaluations.
    """
    k = field.latent_dim
    length = float(torch.finfo(point.dtype).eps ** (1 / 3) * (1 + point.abs().max()))
    columns = []
    with field.guest():
        for first in range(0, k, batch_size):
            step = torch.zeros(min(batch_size, k - first), k, dtype=point.dtype, device=point.device)
            step[torch.arange(len(step)), torch.arange(first, first + len(step))] = length
            step = step.reshape(-1, *field.latent_shape)
            columns.append((field.bare(point + step) - field.bare(point - step)).flatten(1) / (2 * length))
    found = spectrum_of(torch.cat(columns).mT.unsqueeze(0))
    return LocalSpectrum(where, float(found.radius[0]), float(found.norm[0])), Cost(map=2 * k)


def _rough(field: LatentField, where: str, point: Tensor, budget: float) -> tuple[list[LocalSpectrum], Cost]:
    steps = max(_FEWEST, min(_MOST, int(budget / (2 * JVP_WEIGHT + VJP_WEIGHT))))
    draw = torch.from_numpy(gaussian(seed=0, first=0, count=1, width=field.latent_dim)).to(point)
    unit = draw.reshape(point.shape) / draw.norm()
    tangent, growth = unit, []
    for _ in range(steps):
        tangent = field.jvp(point, tangent)
        size = float(tangent.norm())
        growth.append(size)
        if size == 0 or not math.isfinite(size):
            break
        tangent = tangent / size
    later = growth[len(growth) // 2 :]
    radius = 0.0 if growth[-1] == 0 else math.exp(sum(map(math.log, later)) / len(later))
    norm, cost = max(growth), Cost(jvp=len(growth))
    direction = unit
    try:
        for _ in range(steps):
            image = field.jvp(point, direction)
            norm = max(norm, float(image.norm()))
            direction = field.vjp(point, image)
            cost += Cost(jvp=1, vjp=1)
            if not 0 < float(direction.norm()) < math.inf:
                break
            direction = direction / direction.norm()
    except FieldError:  # without gradients Jᵀu is not to be had in many dimensions
        norm = math.nan
    return [LocalSpectrum(where, radius, norm, rough=True)], cost
