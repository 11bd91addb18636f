"""The catalogue: every limit set that a search has found, fixed points, cycles, continua and closed curves in one numbering.

It answers one question, *is this candidate a limit set, and is it new?* Numbers never change; −1 means none. Which orbit goes to
which set is asked of a frozen view of it (`separatrix.limitsets._capture`), because what is known changes only between rounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from separatrix.cost import Cost
from separatrix.field import LatentField
from separatrix.limitsets._polish import Polished, orbit_points, polish
from separatrix.limitsets._regions import StepNorms, TrappingRegions
from separatrix.limitsets._sets import Kind
from separatrix.limitsets._spectrum import Spectrum, spectrum_matrix_free, spectrum_of
from separatrix.numerics import ClosedCurve, first_apart, nearest, nearest_other, pairwise
from separatrix.protocol import Protocol


@dataclass(frozen=True, eq=False)
class LimitSet:
    """One limit set; the columns of `separatrix.limitsets.LimitSets`, and what it takes to recognise an orbit that goes there.

    Attributes:
        kind, period, residual, eigenvalues, radius, norm, stable, unstable_directions: as in the columns.
        points: ``(p, *latent)`` in the order of the motion; of a closed curve in the order along it; one point of a continuum.
        error: how far ``points`` may be from the set, ‖(I − J)⁻¹‖₂ times the residual and the rounding of f.
        neutral: an eigenvalue is 1 within rounding.
        norms: in which a step towards it contracts; None where none does.
        loops: of a closed curve, its loops, more than one if they are visited in turn; empty for all others.
        watched: of a closed curve, how many steps near it an orbit must make to be counted as moving on it.
    """

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
    neutral: bool = False
    norms: StepNorms | None = None
    loops: tuple[ClosedCurve, ...] = ()
    watched: int = 0


class Catalogue:
    """Grows while orbits are followed.

    Args:
        field: in the precision sets are polished to, float64 where the model allows it.
        protocol: merge tolerance and spectrum switch.
        spread: the length unit.
        native_eps: rounding unit of the format the weights were trained in: an eigenvalue this near to 1 is 1.
    """

    def __init__(self, field: LatentField, protocol: Protocol, spread: float, native_eps: float) -> None:
        self.field, self.protocol, self.spread = field, protocol, spread
        self.polishing, self.capturing = protocol.polishing, protocol.capturing
        self.neutral = max(protocol.spectra.family, protocol.spectra.family_in_eps * native_eps)
        self.residual_floor = max(self.polishing.rest, self.polishing.rest_in_eps * torch.finfo(field.dtype).eps)
        self.sets: list[LimitSet] = []
        self.cost = Cost()
        self.version = 0  # grows with every change
        self._refused: dict[int, Tensor] = {}  # candidates that were no limit set, or none that attracts, by period
        self._points = torch.zeros((0, field.latent_dim), dtype=torch.float64, device=field.device)
        self._owner = torch.zeros(0, dtype=torch.int64, device=field.device)
        self._clearance = torch.zeros(0, dtype=torch.float64, device=field.device)

    @property
    def nearby(self) -> float:
        """The distance by which polishing may move a candidate whose own error allows no more."""
        return self.polishing.moved * self.spread

    # -- growing -----------------------------------------------------------------------------------------------------

    def add(self, polished: Polished, error: Tensor, period: int) -> None:
        """Add what is a limit set and is new. ``error`` limits how far polishing may have moved; infinite: anywhere."""
        self.cost += polished.cost
        tried = polished.points[~polished.at_floor].flatten(1).to(self._points)
        self._refused[period] = torch.cat([self._refused.get(period, tried[:0]), tried])
        leeway = (self.polishing.leeway * error).clamp(min=self.nearby)
        near = (polished.at_floor & (polished.moved <= leeway)).nonzero().squeeze(1)
        if len(near):
            self._insert(list(self._described(polished.at(near), period)))

    def add_curve(self, found: LimitSet) -> int:
        """Add a certified closed curve and return its number."""
        self._append([found])
        return len(self.sets) - 1

    def _described(self, polished: Polished, period: int, *, any_phase: bool = True) -> Iterator[LimitSet]:
        if period == 1:
            orbits = polished.points.unsqueeze(0)
        else:
            orbit = orbit_points(self.field, polished.points, period)
            self.cost += Cost(map=len(polished.points) * period)
            odd = torch.zeros(orbit.shape[1], dtype=torch.bool, device=orbit.device)
            for row in range(orbit.shape[1]):
                least = self._minimal_period(orbit[:, row])
                first = _first_phase(orbit[:-1, row], self.spread) if any_phase else 0
                odd[row] = least < period or first > 0
                if odd[row]:
                    # Found with a multiple of its period, or in another phase: which point of a cycle an orbit came to first
                    # must not show in the result.
                    again = polish(
                        self.field, orbit[first if least == period else 0, row : row + 1], least, rules=self.polishing
                    )
                    self.cost += again.cost
                    yield from self._described(again, least, any_phase=least < period)
            polished, orbits = polished.at((~odd).nonzero().squeeze(1)), orbit[:-1, ~odd]
        if not len(polished.points):
            return
        spectrum = self._spectrum(polished, period)
        # A residual that happens to be 0 is still only known to within the rounding of f.
        rounding = torch.finfo(self.field.dtype).eps * polished.points.flatten(1).norm(dim=1).to(torch.float64)
        errors = (polished.residual + rounding) * _sensitivity(polished.jacobian, spectrum.radius)
        stable = torch.where((spectrum.stable == 1) & (1 - spectrum.radius <= self.neutral), -1, spectrum.stable)
        neutral = ((spectrum.eigenvalues - 1).abs() <= self.neutral).any(dim=1)
        norms: dict[int, StepNorms] = {}
        attracting = (stable == 1).nonzero().squeeze(1)
        if len(attracting):
            factors = None if polished.factors is None else polished.factors[attracting]
            joint = StepNorms.of(factors, spectrum.radius[attracting], period)
            norms = {row: joint.block(i, period) for i, row in enumerate(attracting.tolist())}
        directions = spectrum.unstable_directions
        for row in range(len(polished.points)):
            yield LimitSet(
                kind=Kind.FIXED_POINT if period == 1 else Kind.CYCLE,
                period=period,
                points=orbits[:, row],
                residual=float(polished.residual[row]),
                error=float(errors[row]),
                eigenvalues=spectrum.eigenvalues[row],
                radius=float(spectrum.radius[row]),
                norm=float(spectrum.norm[row]),
                stable=int(stable[row]),
                unstable_directions=int(directions[row]),
                neutral=bool(neutral[row]),
                norms=norms.get(row),
            )

    def _spectrum(self, polished: Polished, period: int) -> Spectrum:
        if polished.jacobian is not None:
            return spectrum_of(polished.jacobian, self.protocol.spectra)
        spectrum = spectrum_matrix_free(self.field, polished.points, period, self.protocol.spectra)
        self.cost += spectrum.cost
        return spectrum

    def _minimal_period(self, orbit: Tensor) -> int:
        """Find the minimal period of a periodic orbit ``(p + 1, *latent)``."""
        back = (orbit - orbit[0]).flatten(1).norm(dim=1)
        period = len(orbit) - 1
        divisors = (d for d in range(1, period) if period % d == 0)
        return next((d for d in divisors if float(back[d]) <= self._merge_radius(0.0)), period)

    def _merge_radius(self, error: Any) -> Any:
        return self.protocol.merge_tolerance * self.spread + self.polishing.errors_apart * error

    def _insert(self, candidates: list[LimitSet]) -> None:
        """Add those candidates that are new: compared with all known sets at once, and with each other."""
        for period in sorted({candidate.period for candidate in candidates}):
            batch = [candidate for candidate in candidates if candidate.period == period]
            ours, rows = torch.stack([candidate.points[0].flatten() for candidate in batch]), self._rows(period)
            error, theirs = _errors(batch, ours), _errors(self.sets, ours)[self._owner[rows]]
            near = nearest(
                ours, self._points[rows], self._merge_radius(float(error.max() + theirs.max())) if len(rows) else 0.0
            )
            both = error + theirs[near.index] if len(rows) else error
            alike = pairwise(ours) <= self._merge_radius(error[:, None] + error)
            fresh = [batch[row] for row in first_apart(alike, near.distance <= self._merge_radius(both))]
            flat = [one for one in fresh if one.neutral]
            family = next((n for n, one in enumerate(self.sets) if one.neutral and one.period == period), None)
            if flat and (family is not None or len(flat) > 1):
                # Two distinct neutral points: what is being sampled is a family, not a list.
                known = flat[0] if family is None else self.sets[family]
                joint = replace(known, kind=Kind.CONTINUUM, stable=-1, unstable_directions=0, norms=None)
                if family is not None:
                    self.version += known.kind != Kind.CONTINUUM
                    self.sets[family] = joint
                fresh = [joint if one is known else one for one in fresh if one is known or not one.neutral]
            self._append(fresh)

    def _append(self, fresh: list[LimitSet]) -> None:
        if not fresh:
            return
        first = len(self.sets)
        self.sets += fresh
        points = torch.cat([one.points.flatten(1).to(self._points) for one in fresh])
        lengths = torch.tensor([len(one.points) for one in fresh], device=points.device)
        owner = torch.arange(first, len(self.sets), device=points.device).repeat_interleave(lengths)
        # What is known of the clearance of earlier sets can only shrink, by the new ones.
        back = nearest(self._points, points).distance if len(self._points) else self._clearance
        self._clearance = torch.minimum(self._clearance, back)
        clearance = nearest(points, self._points).distance
        # The corners of a curve are near each other; a point of a cycle must keep clear of the others of the same cycle.
        among = nearest_other(points, points, torch.arange(len(points), device=points.device)).distance
        periodic = torch.tensor([not one.loops for one in fresh], device=points.device).repeat_interleave(lengths)
        clearance = torch.where(periodic, torch.minimum(clearance, among), torch.inf)
        self._points, self._owner = torch.cat([self._points, points]), torch.cat([self._owner, owner])
        self._clearance = torch.cat([self._clearance, clearance])
        self.version += 1

    # -- being asked -------------------------------------------------------------------------------------------------

    def regions(self) -> tuple[TrappingRegions, Tensor] | None:
        """The trapping regions of all attracting fixed points and cycles, and the set of each; None if there are none."""
        owners = [(n, one) for n, one in enumerate(self.sets) if one.norms is not None and not one.loops]
        if not owners:
            return None
        device = self._points.device
        lengths = torch.tensor([one.period for _, one in owners], device=device)
        numbers = torch.tensor([n for n, _ in owners], device=device)
        rows = torch.isin(self._owner, numbers)
        ends = lengths.cumsum(0)
        successor = torch.arange(1, int(ends[-1]) + 1, device=device)
        successor[ends - 1] = ends - lengths
        error = torch.tensor([one.error for _, one in owners], dtype=torch.float64, device=device)
        regions = TrappingRegions.around(
            self._points[rows],
            StepNorms.joined([one.norms for _, one in owners if one.norms is not None]),
            self._clearance[rows],
            self.spread,
            successor=successor,
            error=error.repeat_interleave(lengths),
            rules=self.capturing,
        )
        return regions, numbers.repeat_interleave(lengths)

    def all_points(self) -> tuple[Tensor, Tensor]:
        """``(m, k)`` float64, every known point of every set, and the number of the set of each."""
        return self._points, self._owner

    def curves(self) -> list[tuple[int, LimitSet]]:
        """The closed curves with their numbers."""
        return [(n, one) for n, one in enumerate(self.sets) if one.loops]

    def curve_numbers(self) -> Tensor:
        """The numbers of the closed curves."""
        return torch.tensor([n for n, _ in self.curves()], dtype=torch.int64, device=self._owner.device)

    def _rows(self, period: int | None = None) -> Tensor:
        """Return the rows of the points of fixed points and cycles, of this period or of any."""
        chosen = [n for n, one in enumerate(self.sets) if not one.loops and period in (None, one.period)]
        return torch.isin(self._owner, self._owner.new_tensor(chosen)).nonzero().squeeze(1)

    def looked_at(self, period: int, *, refused: bool = True) -> Tensor:
        """``(m, k)`` all points of the fixed points or cycles of this period, and the candidates that were ``refused``."""
        others = self._refused.get(period, self._points[:0]) if refused else self._points[:0]
        return torch.cat([self._points[self._rows(period)], others])

    def distance(self, points: Tensor, numbers: Tensor) -> Tensor:
        """``(n,)`` float64 distance of points ``(n, *latent)`` to the nearest known point of the set of each."""
        flat, lengths = points.flatten(1).to(self._points), torch.bincount(self._owner, minlength=len(self.sets))
        result = (flat - self._points[(lengths.cumsum(0) - lengths)[numbers]]).norm(dim=1)
        for number in numbers[lengths[numbers] > 1].unique().tolist():
            rows = (numbers == number).nonzero().squeeze(1)
            result[rows] = nearest(flat[rows], self._points[self._owner == number]).distance
        return result

    def clear_of_curve(self, number: int) -> float:
        """Distance from a closed curve to the nearest point of anything else that is known; infinite if there is nothing."""
        own = self._owner == number
        others = self._points[~own]
        return float(nearest(self._points[own], others).distance.min()) if len(others) else float("inf")

    def inside(self, points: Tensor, numbers: Tensor) -> Tensor:
        """``(n,)`` bool: would today's region of its set still hold the point? True for sets that have none (curves)."""
        held = torch.ones(len(points), dtype=torch.bool, device=points.device)
        if (known := self.regions()) is None or not len(points):
            return held
        regions, owners = known
        flat = points.flatten(1).to(torch.float64)
        place = regions.nearest(flat, torch.searchsorted(owners, numbers).clamp(max=len(owners) - 1))
        rows = torch.isin(numbers, owners).nonzero().squeeze(1)
        own = owners[place[rows]] == numbers[rows]
        held[rows] = own
        rows = rows[own]
        held[rows] = regions.inside(flat[rows], place[rows])
        return held

    def shrink_regions(self, factor: float) -> None:
        """Make all trapping regions smaller: an audit has found an orbit in the wrong one."""
        self.capturing = replace(self.capturing, closeness=self.capturing.closeness * factor)
        self.version += 1

    def at_rest(self, points: Tensor, residual: Tensor, period: Tensor, tolerance: float) -> Tensor:
        """The set on which orbits at rest ``(n, *latent)`` are; −1 for none.

        They sit within ``tolerance`` of a known set, or within what its own error allows, or, where a continuum is known, anywhere with a residual at the rounding floor,
        which an orbit still on its way does not reach.
        """
        labels = torch.full((len(points),), -1, dtype=torch.int64, device=points.device)
        rows = self._rows()
        if not len(rows) or not len(points):
            return labels
        near = nearest(points.flatten(1).to(self._points), self._points[rows])
        owner = self._owner[rows][near.index]
        error = torch.tensor([one.error for one in self.sets], dtype=torch.float64, device=owner.device)[owner]
        at = near.distance <= (self.capturing.floor_in_errors * error).clamp(min=tolerance)
        labels = torch.where(at, owner, labels)
        size = points.flatten(1).to(torch.float64).norm(dim=1) + self.spread
        for number, known in enumerate(self.sets):
            if known.kind == Kind.CONTINUUM:
                rests = (residual <= self.residual_floor * size) & (period.clamp(min=1) == known.period)
                labels = torch.where(rests & (labels < 0), number, labels)
        return labels


def _errors(sets: list[LimitSet], like: Tensor) -> Tensor:
    """``(n,)`` how far each may be from its points. Of a neutral set the residual says nothing: there is no (I − J)⁻¹."""
    return like.new_tensor([0.0 if one.neutral else one.error for one in sets], dtype=torch.float64)


def _first_phase(points: Tensor, spread: float) -> int:
    """Return where a cycle ``(p, *latent)`` begins: at its smallest point, compared coordinate by coordinate to six digits."""
    rounded = (points.flatten(1) / spread * 1e6).round().tolist()
    return min(range(len(rounded)), key=rounded.__getitem__)


def _sensitivity(jacobian: Tensor | None, radius: Tensor) -> Tensor:
    """Tell how far a zero of f(z) − z can be for a unit of residual: ‖(I − J)⁻¹‖₂, or 1/(1 − ρ) without J, or 1 without either."""
    without = (1 / (1 - radius).clamp(min=1e-12)).nan_to_num(nan=1.0)
    if jacobian is None:
        return without
    finite = jacobian.flatten(1).isfinite().all(dim=1)
    eye = torch.eye(jacobian.shape[-1], dtype=jacobian.dtype, device=jacobian.device)
    smallest = torch.linalg.svdvals(eye - torch.where(finite[:, None, None], jacobian, 0.0))[:, -1]
    return torch.where(finite, 1 / smallest.clamp(min=1e-15), without)
