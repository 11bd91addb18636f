"""What an orbit that does not come to rest is doing: does it contract, drift, or stretch; does it come back?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.cost import NO_WORK, Cost
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.numerics.counter_random import gaussian
from separatrix.protocol import DEFAULT, Curves
from separatrix.storage import Columnar

BLOCKS = 8  # stretches of the orbit whose scatter gives the standard error; `motion` counts nothing
LEAST_STEPS = 4 * BLOCKS


@dataclass(frozen=True, kw_only=True, eq=False)
class Motion(Columnar):
    """It tells how n orbits move, column by column.

    Attributes:
        exponent: ``(n,)`` float64, largest Lyapunov exponent along the orbit, per step: the mean of ln(‖Jt‖/‖t‖) for a
            tangent vector t carried along and renormalised. Below 0 neighbours fall together, 0 on a closed curve, a
            continuum or a slow manifold, above 0 in chaos.
        standard_error: ``(n,)`` float64, from the scatter over eight stretches of the orbit.
        step_ratio: ``(n,)`` float64, geometric mean of ‖v(z_{t+1})‖/‖v(z_t)‖: below 1 the steps shrink.
        recurrence: ``(n,)`` float64, how near the orbit comes back to where it was, after having been half as far away
            as it ever gets, over that largest distance: near 0 it returns, 1 it leaves for good.
        steps: how many steps were followed.
        cost: work done.
    """

    _columns: ClassVar[tuple[str, ...]] = ("exponent", "standard_error", "step_ratio", "recurrence")
    _read_off: ClassVar[tuple[str, ...]] = ("words",)

    exponent: Tensor
    standard_error: Tensor
    step_ratio: Tensor
    recurrence: Tensor
    steps: int
    cost: Cost = NO_WORK

    @property
    def words(self) -> list[str]:
        """One reading per orbit, as far as the standard errors allow one."""
        return [
            _reading(*row)
            for row in zip(
                self.exponent.tolist(),
                self.standard_error.tolist(),
                self.step_ratio.tolist(),
                self.recurrence.tolist(),
                strict=True,
            )
        ]

    @property
    def sentence(self) -> str:
        """All orbits in one sentence."""
        if not len(self):
            return "No orbit was followed."
        readings = self.words
        counted = ", ".join(f"{readings.count(word)} {word}" for word in sorted(set(readings), key=readings.index))
        return (
            f"Of {len(self)} moving orbits followed for {self.steps} more steps: {counted} (largest Lyapunov exponent "
            f"{_range(self.exponent)} per step, step ratio {_range(self.step_ratio)}, recurrence {_range(self.recurrence)})."
        )

    def __repr__(self) -> str:
        return f"Motion({self.sentence})"


@checked
def motion(field: LatentField, points: Tensor, *, steps: int = 256) -> Motion:
    """Follow orbits for ``steps`` further steps and measure how they move (Benettin et al. 1980 for the exponent).

    Args:
        field: the latent field.
        points: ``(n, *latent)`` where the orbits are now, e.g. ``limits.orbits.points[limits.labels < 0]``.
        steps: length of the record; the first quarter only turns the tangent vector into place.

    Raises:
        InputError: too few steps, or the points do not fit the field.

    Cost: ``steps`` map evaluations and as many jvp per orbit (5 × ``steps`` in map evaluations).

    >>> rotation = LatentField.from_map(lambda z: z.flip(1) * torch.tensor([1.0, -1.0]).to(z), 2, dtype=torch.float64)
    >>> round(abs(motion(rotation, torch.ones(1, 2, dtype=torch.float64)).exponent.item()), 9)
    0.0
    """
    field = LatentField.of(field)
    if steps < LEAST_STEPS:
        raise InputError(f"motion needs at least {LEAST_STEPS} steps, not {steps}.")
    if tuple(points.shape[1:]) != tuple(field.latent_shape):
        raise InputError(
            f"Points of shape {tuple(points.shape[1:])} are none of {field.name}, whose latents are {field.latent_shape}."
        )
    n = len(points)
    z = points.to(field.device, field.dtype)
    first = z.flatten(1).to(torch.float64)
    draw = torch.from_numpy(gaussian(seed=0, first=0, count=max(n, 1), width=field.latent_dim))[:n]
    tangent = _normalised(draw.to(z).reshape(z.shape))
    growth, lengths, away = [], [], []
    with field.guest():
        for _ in range(steps):
            image = field.bare(z)
            tangent = field.jvp(z, tangent) if n else tangent
            growth.append(tangent.flatten(1).to(torch.float64).norm(dim=1))
            tangent = _normalised(tangent)
            lengths.append((image - z).flatten(1).to(torch.float64).norm(dim=1))
            away.append((image.flatten(1).to(torch.float64) - first).norm(dim=1))
            z = image
    tiny = torch.finfo(torch.float64).tiny
    stretch = torch.stack(growth, dim=1)[:, steps // 4 :].clamp(min=tiny).log()
    blocks = torch.stack([block.mean(dim=1) for block in stretch.tensor_split(BLOCKS, dim=1)], dim=1)
    travelled = torch.stack(lengths, dim=1).clamp(min=tiny).log()
    return Motion(
        exponent=stretch.mean(dim=1),
        standard_error=(blocks - blocks.mean(dim=1, keepdim=True)).norm(dim=1) / math.sqrt(BLOCKS * (BLOCKS - 1)),
        step_ratio=((travelled[:, -1] - travelled[:, 0]) / (steps - 1)).exp(),
        recurrence=_recurrence(torch.stack(away, dim=1)),
        steps=steps,
        cost=Cost(map=n * steps, jvp=n * steps),
    )


class Exponents(NamedTuple):
    """Lyapunov exponents along one orbit, means over ``averaged`` steps.

    ``creep`` is ln(‖v(z_N)‖/‖v(z_0)‖)/N over the same stretch, v the velocity: where every step follows a slow curve, the tangent
    to it grows as the steps do, and over a few laps that has not averaged out of the exponent that is 0. ``rules`` say how near to 0 is 0.
    """

    values: Tensor  # (count,) float64, per step, largest first
    creep: float
    averaged: int
    cost: Cost
    rules: Curves

    @property
    def neutral(self) -> int | None:
        """Return the exponent that is 0, with or without what creep adds to it; on every invariant closed curve one is. None if none is."""
        creep = self.creep if abs(self.creep) * self.averaged <= math.log(self.rules.shrunk) else 0.0
        distance = torch.minimum(self.values.abs(), (self.values - creep).abs())
        return int(distance.argmin()) if float(distance.min()) <= self.rules.flat else None


def lyapunov_exponents(
    field: LatentField,
    point: Tensor,
    *,
    count: int,
    steps: int,
    differences: bool = False,
    rules: Curves = DEFAULT.curves,
) -> Exponents:
    """The ``count`` largest Lyapunov exponents along the orbit of one point ``(1, *latent)``, per step.

    That many tangent vectors are carried along and made orthonormal again, QR after QR; exponent i is the mean of ln |R_ii|
    (Benettin et al. 1980; Shimada and Nagashima 1979). The first quarter only turns them into place. With ``differences`` they are carried by
    differences over 1e-7 of the size of z: some eight times as quick as forward mode, for a field in float64, and right to about six digits.

    Cost: ``steps`` map evaluations and ``count`` × ``steps`` jvp; with ``differences`` (``count`` + 1) × ``steps`` evaluations.

    >>> pull = LatentField.from_map(lambda z: z * z.new_tensor([0.5, 0.8]), 2, dtype=torch.float64)
    >>> exponents = lyapunov_exponents(pull, torch.ones(1, 2, dtype=torch.float64), count=2, steps=200)
    >>> [round(value, 9) for value in exponents.values.exp().tolist()]
    [0.8, 0.5]
    """
    z = point.to(field.device, field.dtype)
    tiny = torch.finfo(torch.float64).tiny
    draw = torch.from_numpy(gaussian(seed=0, first=0, count=count, width=field.latent_dim))
    frame, logs, lengths = torch.linalg.qr(draw.T).Q.to(z.device), [], []
    with field.guest():
        for _ in range(steps):
            tangents = frame.T.reshape(count, *field.latent_shape).to(z)
            if differences:
                size = rules.displaced * (float(z.norm()) or 1.0)
                images = field.bare(torch.cat([z, z + size * tangents]))
                image, carried = images[:1], (images[1:] - images[:1]) / size
            else:
                image = field.bare(z)
                carried = field.jvp(z.expand(count, *field.latent_shape).contiguous(), tangents)
            frame, upper = torch.linalg.qr(carried.flatten(1).to(torch.float64).T)
            logs.append(upper.diagonal().abs().clamp(min=tiny).log())
            lengths.append((image - z).norm().to(torch.float64).clamp(min=tiny).log())
            z = image
    kept = slice(steps // 4, None)
    averaged, travelled = torch.stack(logs[kept]), torch.stack(lengths[kept])
    creep = float(travelled[-1] - travelled[0]) / max(len(travelled) - 1, 1)
    cost = Cost(map=(count + 1) * steps) if differences else Cost(map=steps, jvp=count * steps)
    return Exponents(averaged.mean(dim=0), creep, len(averaged), cost, rules)


def _recurrence(away: Tensor) -> Tensor:
    """Nearest return after the first time the orbit was half as far away as it ever gets, over that farthest distance."""
    farthest = away.amax(dim=1, keepdim=True)
    left = (away >= 0.5 * farthest).cumsum(dim=1) > 0
    nearest = torch.where(left, away, torch.inf).amin(dim=1)
    return nearest / farthest.squeeze(1).clamp(min=torch.finfo(torch.float64).tiny)


def _normalised(tangent: Tensor) -> Tensor:
    """Unit tangents; one that the map has extinguished stays zero."""
    norm = tangent.flatten(1).norm(dim=1).clamp(min=torch.finfo(tangent.dtype).tiny)
    return tangent / norm.reshape(-1, *[1] * (tangent.ndim - 1))


def _reading(exponent: float, error: float, ratio: float, recurrence: float) -> str:
    if not math.isfinite(exponent) or not math.isfinite(ratio):
        return "leaving all bounds"
    flat = Curves.flat
    if exponent - 2 * error > flat:
        return "stretching (chaos, perhaps transient)"
    if exponent + 2 * error < -flat:
        return "contracting" if recurrence > 0.1 else "returning and contracting (a cycle of long period)"
    if abs(exponent) <= flat + 2 * error and recurrence <= 0.1:
        return "neutral and returning (a closed curve)"
    return "neutral (a slow manifold or a continuum)"


def _range(values: Tensor) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.3f}" if f"{low:.3f}" == f"{high:.3f}" else f"{low:.3f} to {high:.3f}"
