"""This file tells what a detector needs to know of a trajectory, gathered in one pass: running statistics and, if asked for, the first steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.numerics import nearest
from separatrix.orbits import Status, run_orbits
from separatrix.protocol import Protocol
from separatrix.starts import points as given_points

Metric = Literal["euclidean", "cosine"]

_BATCH = 128  # latents per network pass: measuring the best size for every block of a stream costs more than it gains
_AT_REST = 5e-324  # a squared step below the smallest positive number: the step is 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Trajectories:
    """n trajectories z_0 … z_N, one row each; d_t is the distance of z_t to the nearest of some points.

    Attributes:
        mean, largest, end: ``(n,)`` float64, mean, maximum and last of d_0 … d_N; NaN without points.
        path: ``(n,)`` float64, Σ_t ‖f(z_t) − z_t‖ over t = 0 … N.
        length: ``(n,)`` int64, N.
        scorable: ``(n,)`` bool, False where the orbit met NaN or infinity or left the bounds before its last step.
        distances: ``(n, kept)`` float64, d_0 … of the first steps that were kept; NaN without points.
        steps: ``(n, kept)`` float64, ‖f(z_t) − z_t‖ of the same.
        evaluations: map evaluations spent.
    """

    mean: Tensor
    largest: Tensor
    end: Tensor
    path: Tensor
    length: Tensor
    scorable: Tensor
    distances: Tensor
    steps: Tensor
    evaluations: int


class _Record:
    """Observer: O(1) numbers per orbit, and ``kept`` more of each kind. An orbit that goes farther than ``bound`` from ``centre``
    ``(k,)`` is over: whatever calls it back, its distances say nothing any more."""

    name = "record"

    def __init__(self, points: Tensor, metric: Metric, kept: int, centre: Tensor, bound: float) -> None:
        self._points, self._metric, self._kept = points, metric, kept
        self._centre, self._bound = centre, bound

    def begin(self, count: int, like: Tensor) -> None:
        """Zeros; the first steps are NaN until they are seen."""
        zeros = torch.zeros(count, dtype=torch.float64, device=like.device)
        self.sum, self.largest, self.end, self.path = zeros, zeros.clone(), zeros.clone(), zeros.clone()
        self.last_step = torch.zeros(count, dtype=torch.int64, device=like.device)
        self.distances = torch.full((count, self._kept), torch.nan, dtype=torch.float64, device=like.device)
        self.steps = self.distances.clone()
        self.gone = torch.zeros(count, dtype=torch.bool, device=like.device)

    def see(self, orbit: Tensor, step: Tensor, z: Tensor, f_z: Tensor) -> Tensor:
        """Add this step of every active orbit."""
        distance = distance_to(z, self._points, self._metric)
        length = (f_z - z).flatten(1).norm(dim=1).to(torch.float64)
        self.sum[orbit] += distance
        self.largest[orbit] = torch.maximum(self.largest[orbit], distance)
        self.end[orbit] = distance
        self.path[orbit] += length
        self.last_step[orbit] = step
        early = step < self._kept
        self.distances[orbit[early], step[early]] = distance[early]
        self.steps[orbit[early], step[early]] = length[early]
        away = (f_z.flatten(1) - self._centre.to(f_z)).norm(dim=1) > self._bound
        self.gone[orbit] = away
        return away

    def result(self) -> None:
        """The columns are read from the attributes."""


def follow(
    field: LatentField,
    latents: Tensor,
    points: Tensor,
    *,
    steps: int,
    tolerance: float = 0.0,
    metric: Metric = "euclidean",
    kept: int = 0,
    spread: float = 1.0,
) -> Trajectories:
    """Iterate the latents and record their distances to ``points`` and their step lengths, without storing any path.

    Args:
        field: the latent field.
        latents: ``(n, *latent)``, z_0.
        points: ``(m, *latent)``; with m = 0 distances are NaN.
        steps: N, the number of steps; the trajectory has N + 1 points.
        tolerance: 0: every trajectory has N steps (one that rests exactly is counted as resting, not evaluated again).
            Above 0: it ends earlier at the first z_t with ‖f(z_t) − z_t‖² < tolerance, the paper's rule.
        metric: ``"euclidean"``, or ``"cosine"``: 1 − cos = ½‖u − v‖² of the unit vectors, exact near 0.
        kept: how many of the first distances and steps to return as columns.
        spread: length unit; farther than 10⁶ of it from the mean of ``points`` (from 0 without any) is divergence.

    Cost: N + 1 map evaluations per latent. Memory: a few numbers and ``2 kept`` per latent, whatever N.

    >>> halving = LatentField.from_map(lambda z: 0.5 * z, latent_shape=(1,), dtype=torch.float64)
    >>> follow(halving, torch.tensor([[8.0]]).double(), torch.zeros(1, 1), steps=2).mean.tolist()  # (8 + 4 + 2)/3
    [4.666666666666667]
    """
    if metric not in get_args(Metric):
        raise InputError(f"metric must be 'euclidean' or 'cosine', not {metric!r}.")
    if steps < 1 or not tolerance >= 0:
        raise InputError(f"At least one step and a tolerance of at least 0 are needed, not {steps} and {tolerance}.")
    finite = latents.flatten(1).isfinite().all(dim=1)
    # Not the mean of these latents: one of them that lies far out would take the others with it.
    centre = (points if len(points) else torch.zeros_like(latents[:1])).flatten(1).mean(dim=0)
    centre = centre.to(field.device, field.dtype)
    record = _Record(points.to(field.device, field.dtype), metric, kept, centre, Protocol().divergence * spread)
    columns: dict[str, Tensor] = {}
    scorable = finite.clone()
    evaluations = 0
    if bool(finite.any()):
        rules = Protocol(stop="squared_step", tolerance=tolerance or _AT_REST, max_steps=steps, polish=False)
        orbits = run_orbits(
            field, given_points(latents[finite]), rules, observers=[record], spread=spread, centre=centre
        )
        lost = (orbits.status == int(Status.NONFINITE)) | (record.gone & (orbits.steps < steps))
        scorable[finite] = ~lost
        evaluations = orbits.cost.map
    else:
        record.begin(0, latents)
    rest = (steps - record.last_step) if tolerance == 0 else torch.zeros_like(record.last_step)
    length = record.last_step + rest
    # An orbit at rest repeats its last point: its distance counts once for every step that was not evaluated.
    mean = (record.sum + rest * record.end) / (length + 1)
    after = torch.arange(kept, device=latents.device) > record.last_step[:, None]
    distances = torch.where(after, record.end[:, None], record.distances)
    moves = torch.where(after, 0.0, record.steps)
    for name, values in (("mean", mean), ("largest", record.largest), ("end", record.end), ("path", record.path)):
        columns[name] = _scattered(values, finite, torch.nan)
    columns["distances"], columns["steps"] = (_scattered(v, finite, torch.nan) for v in (distances, moves))
    if not len(points):
        for name in ("mean", "largest", "end", "distances"):
            columns[name] = torch.full_like(columns[name], torch.nan)
    return Trajectories(**columns, length=_scattered(length, finite, 0), scorable=scorable, evaluations=evaluations)


def distance_to(z: Tensor, points: Tensor, metric: Metric) -> Tensor:
    """``(n,)`` float64 distance of each latent to the nearest point.

    >>> distance_to(torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 0.0], [1.0, 1.0]]), "cosine").round(decimals=6).tolist()
    [0.292893]
    """
    if metric == "euclidean":
        return nearest(z, points).distance
    return nearest(_directions(z), _directions(points)).distance.square() / 2


def _directions(z: Tensor) -> Tensor:
    """Unit vectors in float64; 0 has no direction and stays 0, at cosine distance ½ from everything."""
    flat = z.flatten(1).to(torch.float64)
    length = flat.norm(dim=1, keepdim=True)
    return flat / torch.where(length > 0, length, 1.0)


def _scattered(values: Tensor, where: Tensor, missing: float) -> Tensor:
    full = torch.full((len(where), *values.shape[1:]), missing, dtype=values.dtype, device=values.device)
    full[where] = values
    return full
