"""Trapping regions: when does a step of an orbit speak for a known attractor?

At an attractor a with Jacobian J, ρ(J) < 1, let q = (1 + ρ)/2 and P solve the Stein (discrete Lyapunov) equation
(J/q)ᵀP(J/q) − P = −I. In the norm ‖d‖_P = √(dᵀPd) the linearised map contracts by q per step, however non-normal J is.
A step z → f(z) speaks for the attractor if z is close in that norm, the map is nearly linear there, and the distance shrinks
at least as fast as (1 + q)/2. How many such steps it takes is decided in `separatrix.limitsets._approach`.

Few steps suffice where the map is linear *by a margin*. With η = ‖f(z) − a − J(z − a)‖_P / ‖z − a‖_P a step contracts by
q + η at most. Any other fixed point b, known or not, has η = ‖(I − J)(b − a)‖_P / ‖b − a‖_P ≥ 1 − q, and so has every point of
the boundary of the basin that lies nearest to a in this norm. η grows about linearly with the distance, so a step with
4η ≤ 1 − q is a quarter of the way there at most (`separatrix.protocol.Capturing`).

A cycle of period p has a region at each of its points a_i, and a step leads from one to the next. Their norms solve the periodic
Stein equation P_i = I + (J_i/q)ᵀ P_{i+1} (J_i/q) with q = ((1 + ρ)/2)^{1/p}, ρ being that of the Jacobian of f^p, so that every
single step of the linearised map contracts by q. A fixed point is the case p = 1.

Where J is too large to be formed, ‖·‖ takes the place of ‖·‖_P and the tests of linearity are left out. Nor does each step of a
cycle contract in that norm: then only the fall over the whole approach is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from separatrix.numerics import nearest
from separatrix.orbits._looks import steps_between
from separatrix.protocol import DEFAULT, Capturing

# None of these moves a count: which centre is nearest and which products are formed are one question in several ways, and the norm is
# any in which the map contracts.
_MANY = 128  # centres, from which on a guess of the nearest is looked at first
_ROWS_PER_PRODUCT = 16
_COLUMNS = 64  # of all matrices together, up to which multiplying by every one is quicker than choosing
_NUMBERS_GATHERED = 2**16  # entries of matrices copied without a thought
_NUMBERS_AT_ONCE = 2**26  # … at most: half a GiB
_DOUBLINGS = 60  # of the powers summed; the sum has converged long before
_LIFTS = 16  # attempts at a Cholesky factor, the last with 10¹⁵ times the first shift


class StepNorms(NamedTuple):
    """The norm ‖·‖_P at each of m points in which a step of the linearised map contracts; see the head of this file."""

    jacobian: Tensor | None  # (m, k, k)
    factor: Tensor | None  # (m, k, k) R with P = RᵀR
    shrink: Tensor  # (m,)
    lap: Tensor  # (m,) int64

    @classmethod
    def of(cls, jacobian: Tensor | None, radius: Tensor, period: int = 1) -> StepNorms:
        """For m sets of one period, from the Jacobians ``(m, p, k, k)`` along each and ρ of f^p ``(m,)``; rows are points."""
        per_lap = (1 + radius.to(torch.float64)) / 2
        q = per_lap ** (1 / period)
        if jacobian is None:
            shrink = (1 + q) / 2 if period == 1 else torch.full_like(q, torch.inf)
            rows = shrink.repeat_interleave(period)
            return cls(None, None, rows, torch.full_like(rows, period, dtype=torch.int64))
        scaled = jacobian.to(torch.float64) / q[:, None, None, None]
        p = _periodic_stein(scaled)
        rows = ((1 + q) / 2).repeat_interleave(period)
        return cls(jacobian.flatten(0, 1), _cholesky(p.flatten(0, 1)), rows, torch.ones_like(rows, dtype=torch.int64))

    def block(self, index: int, period: int) -> StepNorms:
        """The rows of one set among sets of one period."""
        rows = slice(index * period, (index + 1) * period)
        return StepNorms(*(None if column is None else column[rows] for column in self))  # type: ignore[arg-type]

    @classmethod
    def joined(cls, parts: Sequence[StepNorms]) -> StepNorms:
        """The rows of several sets."""
        columns = zip(*parts, strict=True)
        return cls(*(None if column[0] is None else torch.cat(column) for column in columns))  # type: ignore[arg-type]


class StepEvidence(NamedTuple):
    """It tells what one step says, per point."""

    good: Tensor  # (n,) bool: close, nearly linear and contracting, or firm, or already there
    firm: Tensor  # (n,) bool: within reach, linear by a margin and contracting
    arrived: Tensor  # (n,) bool: at the attractor to the last digit
    before: Tensor  # (n,) float64 ‖z − a‖_P
    after: Tensor  # (n,) float64 ‖f(z) − a′‖_P, a′ the successor of a


@dataclass(frozen=True)
class TrappingRegions:
    """Regions around the points of attracting fixed points and cycles; rows are points.

    Attributes:
        points: ``(m, k)`` float64.
        successor: ``(m,)`` int64, the region that f leads to: the next point of the cycle.
        lap: ``(m,)`` int64, steps after which the distance must have shrunk: 1, or the period where a single step need not.
        jacobian: ``(m, k, k)`` of f, or None.
        factor: ``(m, k, k)`` upper triangular R with P = RᵀR, or None.
        shrink: ``(m,)`` (1 + q)/2, the slowest acceptable contraction per step; infinite where a step need not contract.
        radius: ``(m,)`` largest ‖z − a‖_P that is close.
        reach: ``(m,)`` largest ‖z − a‖_P that is looked at. Since P ≥ I no point outside the Euclidean ball of this radius
            qualifies.
        floor: ``(m,)`` distance that counts as arrived.
        alone: ``(m,)`` distance within which no other centre is nearer.
        rules: what speaks for a region.
    """

    points: Tensor
    successor: Tensor
    lap: Tensor
    jacobian: Tensor | None
    factor: Tensor | None
    shrink: Tensor
    radius: Tensor
    reach: Tensor
    floor: Tensor
    alone: Tensor
    rules: Capturing
    _cache: dict[str, tuple[Tensor, Tensor, Tensor]] = field(default_factory=dict, repr=False)

    @classmethod
    def around(
        cls,
        points: Tensor,
        norms: StepNorms,
        clearance: Tensor,
        spread: float,
        *,
        successor: Tensor | None = None,
        error: Tensor | float = 0.0,
        rules: Capturing = DEFAULT.capturing,
    ) -> TrappingRegions:
        """Regions for points ``(m, k)`` known to within ``error``; ``clearance`` ``(m,)`` is the distance to what else is known."""
        close = rules.closeness * clearance.clamp(max=spread)
        return cls(
            points=points,
            successor=torch.arange(len(points), device=points.device) if successor is None else successor,
            lap=norms.lap,
            jacobian=norms.jacobian,
            factor=norms.factor,
            shrink=norms.shrink,
            radius=close,
            reach=close if norms.jacobian is None else rules.reach * close,
            floor=rules.floor * (points.norm(dim=1) + spread) + rules.floor_in_errors * error,
            alone=0.49 * clearance,  # less than half
            rules=rules,
        )

    def nearest(self, z: Tensor, guess: Tensor | None = None) -> Tensor:
        """Index of the Euclidean-nearest centre for flat points ``(n, k)``, NaN rows included.

        With a ``guess`` ``(n,)``, only of a point within reach of a centre. A guess that is nearer than half the way from it to anything
        else that is known is right, so that among many centres few have to be looked at.
        """
        if guess is not None and len(self.points) >= _MANY and steps_between(z.device) == 1:
            region = guess.clone()
            lost = ~((z.to(torch.float64) - self.points[guess]).norm(dim=1) < self.alone[guess])
            region[lost] = nearest(z[lost], self.points, within=self._farthest).index.clamp(min=0)
            return region
        centre, offsets, half = self._centred(z.dtype)
        return torch.addmm(half, z - centre, offsets, alpha=-1.0).argmin(dim=1)

    @cached_property
    def _farthest(self) -> float:
        return float(torch.maximum(self.reach, self.floor).max())

    def _centred(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """The mean centre c, (a − c)ᵀ ``(k, m)`` and ½‖a − c‖², in the format of the orbits."""
        if str(dtype) not in self._cache:
            centre = self.points.mean(dim=0)
            offsets = (self.points - centre).to(dtype)
            self._cache[str(dtype)] = (centre.to(dtype), offsets.T.contiguous(), 0.5 * offsets.square().sum(dim=1))
        return self._cache[str(dtype)]

    def distance(self, z: Tensor, region: Tensor) -> Tensor:
        """‖z − a‖_P for flat points ``(n, k)`` and the region of each."""
        return self._norm(z.to(torch.float64) - self.points[region], region)

    def inside(self, z: Tensor, region: Tensor) -> Tensor:
        """``(n,)`` bool: is the point within reach of its region, or at its centre to the last digit?"""
        arrived = (z.to(torch.float64) - self.points[region]).norm(dim=1) <= self.floor[region]
        return arrived | (self.distance(z, region) <= self.reach[region])

    def evidence(self, z: Tensor, f_z: Tensor, region: Tensor) -> StepEvidence:
        """Return what the step z → f(z), flat ``(n, k)``, says about the region of each point."""
        before = z.to(torch.float64) - self.points[region]
        after = f_z.to(torch.float64) - self.points[self.successor[region]]
        here, there = (_Grouped(place, len(self.points)) for place in (region, self.successor[region]))
        size, new_size = self._norms(here, before), self._norms(there, after)
        floor = self.floor[region]
        arrived = before.norm(dim=1) <= floor
        shrinks = new_size <= self.shrink[region] * size
        good = shrinks & (size <= self.radius[region])
        firm = torch.zeros_like(good)
        if self.jacobian is not None:
            nonlinear = self._norms(there, after - here.product(self.jacobian, before))
            good &= nonlinear <= self.rules.linearity * size
            # 1 − q = 2 (1 − (1 + q)/2)
            room = 2 * (1 - self.shrink[region]) * size
            firm = shrinks & (size <= self.reach[region]) & (self.rules.margin * nonlinear <= room)
        # Rounding may move a point that has arrived by as much as its distance; NaN fails both.
        arrived &= after.norm(dim=1) <= 2 * floor
        return StepEvidence(good | firm | arrived, firm, arrived, size, new_size)

    def _norm(self, difference: Tensor, region: Tensor) -> Tensor:
        return self._norms(_Grouped(region, len(self.points)), difference)

    def _norms(self, by_region: _Grouped, difference: Tensor) -> Tensor:
        return (difference if self.factor is None else by_region.product(self.factor, difference)).norm(dim=1)


class _Grouped:
    """Rows sorted by their region, so that rows of one region share each copy of its matrix, 16 at a time.

    A plain gather copies a k×k matrix per row, which costs more than the network from k = 100 on; it is the quickest for
    few rows and for small matrices. The sorting is done once for all products with the same rows.
    """

    def __init__(self, region: Tensor, count: int) -> None:
        self.region, self.count = region, count

    def product(self, matrices: Tensor, vectors: Tensor) -> Tensor:
        """matrices[region[i]] @ vectors[i], for ``(count, k, k)`` and ``(n, k)``."""
        if not len(vectors):
            return vectors
        if self.count == 1 or self.count * vectors.shape[1] <= _COLUMNS:
            every = (vectors @ matrices.flatten(0, 1).T).reshape(len(vectors), self.count, -1)
            return (
                every[torch.arange(len(vectors), device=vectors.device), self.region] if self.count > 1 else every[:, 0]
            )
        if len(vectors) * matrices[0].numel() <= _NUMBERS_GATHERED:
            return torch.bmm(matrices[self.region], vectors.unsqueeze(2)).squeeze(2)
        order, product, slot, owner = self._places
        at_once = max(1, _NUMBERS_AT_ONCE // matrices[0].numel())
        padded = vectors.new_zeros((len(owner), _ROWS_PER_PRODUCT, vectors.shape[1]))
        padded[product, slot] = vectors[order]
        result = torch.empty_like(vectors)
        parts = zip(padded.split(at_once), owner.split(at_once), strict=True)
        result[order] = torch.cat([torch.bmm(rows, matrices[own].mT) for rows, own in parts])[product, slot]
        return result

    @cached_property
    def _places(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The order of the rows, the product and the slot in it of each, and the region of each product."""
        order = self.region.argsort(stable=True)
        device, sorted_region = order.device, self.region[order]
        begin = torch.searchsorted(sorted_region, torch.arange(self.count + 1, device=device))
        place = torch.arange(len(order), device=device) - begin[sorted_region]
        products = (begin.diff() + _ROWS_PER_PRODUCT - 1) // _ROWS_PER_PRODUCT
        ends = products.cumsum(0)
        product = (ends - products)[sorted_region] + place // _ROWS_PER_PRODUCT
        # Where nothing may be asked, as many products as there can be; those left over multiply zeros.
        most = len(order) // _ROWS_PER_PRODUCT + min(len(order), self.count)
        total = int(ends[-1]) if steps_between(device) == 1 else most
        owner = torch.searchsorted(ends, torch.arange(total, device=device), right=True).clamp(max=self.count - 1)
        return order, product, place % _ROWS_PER_PRODUCT, owner


def _cholesky(p: Tensor) -> Tensor:
    """Upper triangular R with P = RᵀR. Where float64 cannot hold P (strong shear), P is raised by its own rounding error,
    which makes the norm longer, so that a region only shrinks."""
    factor, failed = torch.linalg.cholesky_ex(p)
    eye = torch.eye(p.shape[-1], dtype=p.dtype, device=p.device)
    lift = p.diagonal(dim1=1, dim2=2).sum(dim=1) * torch.finfo(p.dtype).eps
    for _ in range(_LIFTS):
        if not bool((failed > 0).any()):
            break
        lift = torch.where(failed > 0, 10 * lift, lift)
        raised = torch.where((failed > 0)[:, None, None], p + lift[:, None, None] * eye, p)
        factor, still = torch.linalg.cholesky_ex(raised)
        failed = torch.where(failed > 0, still, 0)
    factor[failed > 0] = torch.nan  # no norm, no region: only what is already there is accepted
    return factor.mT


def _periodic_stein(a: Tensor) -> Tensor:
    """P_i = I + A_iᵀ P_{i+1} A_i around a cycle, for ``(m, p, k, k)``: the sum over the first lap, continued lap after lap.

    With M = A_{p−1}⋯A_0 and S the terms of one lap, P_0 = S + MᵀSM + … = S + MᵀP_0M; the others follow backwards.
    """
    period = a.shape[1]
    eye = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device).expand(len(a), -1, -1)
    lap, product = torch.zeros_like(eye), eye
    for step in range(period):
        lap = lap + product.mT @ product
        product = a[:, step] @ product
    norms = [_stein_solution(product, lap)]
    for step in range(period - 1, 0, -1):
        norms.insert(0, eye + a[:, step].mT @ norms[0] @ a[:, step])
    return torch.stack([norms[-1], *norms[:-1]], dim=1)


def _stein_solution(a: Tensor, p: Tensor) -> Tensor:
    """Σ_i (Aᵀ)^i P A^i for ρ(A) < 1, by doubling: P ← P + AᵀPA, A ← A²."""
    for _ in range(_DOUBLINGS):
        term = a.mT @ p @ a
        p = p + term
        a = a @ a
        if bool((term.flatten(1).norm(dim=1) <= 1e-14 * p.flatten(1).norm(dim=1)).all()):
            break
    return (p + p.mT) / 2
