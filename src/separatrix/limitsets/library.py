"""The limit sets known so far, and the two questions asked of them: is this one new, and is this orbit on its way there?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from separatrix.cost import Cost
from separatrix.field import LatentField
from separatrix.limitsets.approach import Approach
from separatrix.limitsets.polish import Polished, orbit_points, polish
from separatrix.limitsets.regions import CLOSENESS, TrappingRegions
from separatrix.limitsets.sets import Kind
from separatrix.limitsets.spectrum import Spectrum, spectrum_matrix_free, spectrum_of
from separatrix.numerics.distances import nearest
from separatrix.protocol import Protocol

NEARBY = 1e-2  # polishing may move a candidate by this share of the spread, or by LEEWAY times its own error
LEEWAY = 20.0
_LEADERS = 32  # candidates polished together
_LONGEST_FOLLOWED = 5000  # steps; what falls tenfold more slowly does not converge within a budget of 20,000 either
_FRUITLESS = 4  # batches of leaders without a new set before the search for more is given up
_DISTINCT = 1e-4  # leaders closer than this share of the spread are not polished twice in one batch


@dataclass(frozen=True)
class KnownSet:
    """One periodic limit set. ``points`` ``(p, *latent)`` are in the order of the motion; a continuum keeps one point."""

    kind: Kind
    period: int
    points: Tensor
    residual: float
    error: float
    eigenvalues: Tensor
    radius: float
    norm: float
    stable: int
    unstable_directions: int
    jacobian: Tensor | None


class Library:
    """Grows while orbits are being recognised; set numbers never change.

    Args:
        field: in the precision sets are polished to, float64 where the model allows it.
        protocol: merge tolerance and spectrum switch.
        spread: the length unit.
        native_eps: rounding unit of the format the weights were trained in: an eigenvalue this near to 1 is 1.
    """

    def __init__(self, field: LatentField, protocol: Protocol, spread: float, native_eps: float) -> None:
        self.field, self.protocol, self.spread = field, protocol, spread
        self.neutral = max(1e-9, 32 * native_eps)
        self.residual_floor = max(1e-9, 64 * torch.finfo(field.dtype).eps)
        self.sets: list[KnownSet] = []
        self.cost = Cost()
        self.closeness = CLOSENESS
        self._regions: dict[int, tuple[TrappingRegions, Tensor]] = {}

    # -- recognising -------------------------------------------------------------------------------------------------

    def recognise(self, points: Tensor, period: int = 1) -> Tensor:
        """Set number for every point that is verifiably on its way into a known set of this period, −1 for the others.

        Cost: p evaluations per step followed: three, or as many as a tenfold approach takes if that is more.
        """
        labels = torch.full((len(points),), -1, dtype=torch.int64, device=points.device)
        if not len(points):
            return labels
        regions = self.regions_for(period)
        if regions is not None:
            labels = self._follow(points, period, *regions)
        continuum = self._continuum(period)
        if continuum is not None:
            rest = (labels < 0).nonzero().squeeze(1)
            labels[rest[self._rests(points[rest], period)]] = continuum
        return labels

    def at_unstable(self, points: Tensor, period: int, tolerance: float) -> Tensor:
        """Set number for points that sit on a known set that does not attract, within ``tolerance``; −1 otherwise."""
        numbers, centres = self._centres(period, lambda known: known.stable != 1)
        labels = torch.full((len(points),), -1, dtype=torch.int64, device=points.device)
        if len(numbers):
            neighbour = nearest(points.to(self.field.dtype), centres)
            near = neighbour.distance <= tolerance
            labels[near] = numbers[neighbour.index[near]]
        return labels

    def _follow(self, points: Tensor, period: int, regions: TrappingRegions, numbers: Tensor) -> Tensor:
        """Apply f^p as long as every step speaks for one region, until that suffices."""
        z = points.to(self.field.dtype).flatten(1)
        orbit = torch.arange(len(z), device=z.device)
        evidence = Approach.none(len(z), z.device)
        labels = torch.full_like(orbit, -1)
        with self.field.guest():
            for _ in range(_LONGEST_FOLLOWED):
                image = self._apply(z, period)
                accepted, good = evidence.see(regions, orbit, z, image)
                labels[orbit[accepted]] = numbers[evidence.region[orbit[accepted]]]
                going_on = good & ~accepted
                orbit, z = orbit[going_on], image[going_on]
                if not len(orbit):
                    break
        return labels

    def _rests(self, points: Tensor, period: int) -> Tensor:
        """Does f^p leave the point where it is? In float64 to 1e-9, which an orbit still on its way does not reach."""
        z = points.to(self.field.dtype).flatten(1)
        with self.field.guest():
            moved = (self._apply(z, period) - z).norm(dim=1)
        return moved <= self.residual_floor * (z.norm(dim=1) + self.spread)

    def _apply(self, flat: Tensor, period: int) -> Tensor:
        self.cost += Cost(map=len(flat) * period)
        shaped = flat.reshape(len(flat), *self.field.latent_shape)
        return orbit_points(self.field, shaped, period)[-1].flatten(1)

    def regions_for(self, period: int) -> tuple[TrappingRegions, Tensor] | None:
        """The trapping regions of all attracting sets of this period, and their set numbers; None if there are none."""
        if period not in self._regions:
            numbers, centres = self._centres(period, lambda known: known.stable == 1)
            if not len(numbers):
                return None
            owners = [self.sets[number] for number in numbers.tolist()]
            dense = [known.jacobian for known in owners if known.jacobian is not None]
            # All points of a cycle share the multipliers of f^p, but each has its own Jacobian: follow the first only.
            everything = torch.cat([known.points.flatten(1) for known in self.sets]).to(torch.float64)
            as_column = partial(torch.tensor, dtype=torch.float64, device=centres.device)
            regions = TrappingRegions.around(
                centres.flatten(1).to(torch.float64),
                torch.stack(dense) if dense else None,
                as_column([known.radius for known in owners]),
                everything,
                self.spread,
                closeness=self.closeness,
                error=as_column([known.error for known in owners]),
            )
            self._regions[period] = (regions, numbers)
        return self._regions[period]

    def shrink_regions(self, factor: float) -> None:
        """Make all trapping regions smaller: an audit has found an orbit in the wrong one."""
        self.closeness *= factor
        self._regions.clear()

    def _centres(self, period: int, wanted: Callable[[KnownSet], bool]) -> tuple[Tensor, Tensor]:
        chosen = [n for n, known in enumerate(self.sets) if known.period == period and wanted(known)]
        like = self.sets[0].points if self.sets else torch.zeros((1, *self.field.latent_shape))
        centres = [self.sets[number].points[:1] for number in chosen]
        return (
            torch.tensor(chosen, dtype=torch.int64, device=like.device),
            torch.cat(centres) if centres else like[:0],
        )

    def _continuum(self, period: int) -> int | None:
        for number, known in enumerate(self.sets):
            if known.kind == Kind.CONTINUUM and known.period == period:
                return number
        return None

    # -- growing -----------------------------------------------------------------------------------------------------

    def absorb(self, points: Tensor, error: Tensor, period: int = 1, fresh: Tensor | None = None) -> Tensor:
        """Polish what is new among end points that claim to be near a set of this period; label what can be confirmed.

        Points that are not ``fresh`` ``(n,)`` were polished before and are only recognised.
        Returns ``(n,)`` set numbers, −1 for points whose claim was not confirmed (near a saddle, or not a limit at all):
        those orbits have to go on.
        """
        points = self._in_phase(points, period)
        labels = self.recognise(points, period)
        tried = torch.zeros(len(points), dtype=torch.bool, device=points.device) if fresh is None else ~fresh
        fruitless = 0
        while fruitless < _FRUITLESS:
            open_claims = ((labels < 0) & ~tried).nonzero().squeeze(1)
            if not len(open_claims):
                break
            leaders = self._distinct(points, open_claims)
            tried[leaders] = True
            before = list(self.sets)
            self.add(polish(self.field, points[leaders], period), error[leaders], period)
            if self.sets == before:
                fruitless += 1
                continue
            fruitless = 0
            points = torch.where(
                (labels < 0).reshape(-1, *[1] * (points.ndim - 1)), self._in_phase(points, period), points
            )
            rest = (labels < 0).nonzero().squeeze(1)
            labels[rest] = self.recognise(points[rest], period)
        return labels

    def _distinct(self, points: Tensor, among: Tensor) -> Tensor:
        """Indices of up to ``_LEADERS`` points that are apart from each other, earliest first."""
        flat = points.flatten(1)
        leaders: list[int] = []
        for index in among[: 16 * _LEADERS].tolist():
            if not leaders or bool(((flat[leaders] - flat[index]).norm(dim=1) > _DISTINCT * self.spread).all()):
                leaders.append(index)
            if len(leaders) == _LEADERS:
                break
        return torch.tensor(leaders, dtype=torch.int64, device=points.device)

    def _in_phase(self, points: Tensor, period: int) -> Tensor:
        """Move points on (or near) a known cycle along it to the phase nearest to the cycle's first point."""
        numbers, centres = self._centres(period, lambda known: known.stable == 1)
        if period == 1 or not len(numbers):
            return points
        orbit = orbit_points(self.field, points.to(self.field.dtype), period)[:-1]
        self.cost += Cost(map=len(points) * period)
        distance = torch.stack([nearest(z, centres).distance for z in orbit])
        phase = distance.argmin(dim=0)
        return orbit[phase, torch.arange(len(points), device=points.device)]

    def add(self, polished: Polished, error: Tensor, period: int) -> None:
        """Add what is a limit set and is new. ``error`` limits how far polishing may have moved; infinite: anywhere."""
        self.cost += polished.cost
        leeway = (LEEWAY * error).clamp(min=NEARBY * self.spread)
        near = polished.at_floor & (polished.moved <= leeway)
        spectrum = self._spectrum(polished, period)
        for row in near.nonzero().squeeze(1).tolist():
            known = self._described(polished, spectrum, row, period)
            self._insert(known)

    def _spectrum(self, polished: Polished, period: int) -> Spectrum:
        if polished.jacobian is not None:
            return spectrum_of(polished.jacobian)
        spectrum = spectrum_matrix_free(self.field, polished.points, period)
        self.cost += spectrum.cost
        return spectrum

    def _described(
        self, polished: Polished, spectrum: Spectrum, row: int, period: int, *, any_phase: bool = True
    ) -> KnownSet:
        z = polished.points[row : row + 1]
        jacobian = None if polished.jacobian is None else polished.jacobian[row]
        residual = float(polished.residual[row])
        minimal, orbit = self._minimal_period(z, period)
        if minimal < period:
            # Found with a multiple of its period: describe it again with its own.
            again = polish(self.field, z, minimal)
            self.cost += again.cost
            return self._described(again, self._spectrum(again, minimal), 0, minimal)
        first = _first_phase(orbit[:-1, 0], self.spread)
        if first and any_phase:
            # Which point of a cycle an orbit came to first must not show in the result.
            again = polish(self.field, orbit[first], period)
            self.cost += again.cost
            return self._described(again, self._spectrum(again, period), 0, period, any_phase=False)
        known = KnownSet(
            kind=Kind.FIXED_POINT if period == 1 else Kind.CYCLE,
            period=period,
            points=orbit[:-1, 0],
            residual=residual,
            error=residual * _sensitivity(jacobian, float(spectrum.radius[row])),
            eigenvalues=spectrum.eigenvalues[row],
            radius=float(spectrum.radius[row]),
            norm=float(spectrum.norm[row]),
            stable=int(spectrum.stable[row]),
            unstable_directions=int(spectrum.unstable_directions[row]),
            jacobian=jacobian,
        )
        if known.stable == 1 and 1 - known.radius <= self.neutral:
            known = replace(known, stable=-1)
        return known

    def _minimal_period(self, z: Tensor, period: int) -> tuple[int, Tensor]:
        orbit = orbit_points(self.field, z, period)
        self.cost += Cost(map=period)
        back = (orbit - orbit[0]).flatten(1).norm(dim=1)
        for divisor in range(1, period):
            if period % divisor == 0 and float(back[divisor]) <= self._merge_radius(0.0):
                return divisor, orbit[: divisor + 1]
        return period, orbit

    def _merge_radius(self, error: float) -> float:
        return self.protocol.merge_tolerance * self.spread + 10 * error

    def _insert(self, known: KnownSet) -> None:
        neutral = bool(((known.eigenvalues - 1).abs() <= self.neutral).any())
        for number, other in enumerate(self.sets):
            if other.period != known.period:
                continue
            radius = self._merge_radius(known.error + other.error) if not neutral else self._merge_radius(0.0)
            apart = float((other.points - known.points[:1]).flatten(1).norm(dim=1).min())
            if apart <= radius:
                return
            also_neutral = bool(((other.eigenvalues - 1).abs() <= self.neutral).any())
            if neutral and also_neutral:
                # Two distinct neutral points: what is being sampled is a family, not a list.
                self.sets[number] = replace(other, kind=Kind.CONTINUUM, stable=-1, unstable_directions=0)
                self._regions.clear()
                return
        self.sets.append(known)
        self._regions.clear()


def _first_phase(points: Tensor, spread: float) -> int:
    """Where a cycle ``(p, *latent)`` begins: at its smallest point, compared coordinate by coordinate to six digits."""
    rounded = (points.flatten(1) / spread * 1e6).round().tolist()
    return min(range(len(rounded)), key=rounded.__getitem__)


def _sensitivity(jacobian: Tensor | None, radius: float) -> float:
    """How far a zero of f(z) − z can be for a unit of residual: ‖(I − J)⁻¹‖₂, or 1/(1 − ρ) without J."""
    if jacobian is None or not bool(jacobian.isfinite().all()):
        return 1 / max(1 - radius, 1e-12)
    system = torch.eye(len(jacobian), dtype=jacobian.dtype, device=jacobian.device) - jacobian
    return 1 / max(float(torch.linalg.svdvals(system)[-1]), 1e-12)
