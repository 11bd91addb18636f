"""The loop of orthogonal matching pursuit: many signals in step, one pivoted Cholesky factorisation for each.

For unit atoms aⱼ with Gram matrix G and a signal y, the choice of j₁, j₂, … builds orthonormal directions q₁, q₂, … of the
chosen atoms. Kept per signal are the rows w_k = q_kᵀA, the rows of a Cholesky factor of G (``factor``),

    w_k = (G[j_k] − Σ_{i<k} w_i[j_k] w_i)/√p_k,    p_k = G[j_k, j_k] − Σ_{i<k} w_i[j_k]² (the pivot),

and the correlations of the residual with all atoms, α ← α − c_k w_k, c_k = q_kᵀy = α[j_k]/√p_k. Nothing is solved until
coefficients are asked for: with U[i, k] = w_i[j_k], upper triangular, they are the γ of Uγ = c. (Batch-OMP, Rubinstein,
Zibulevsky & Elad 2008, in the pivoted form of Sturm & Christensen 2012.)

Here the signals of a batch go in step, which suits GPUs and small dictionaries; `separatrix.numerics._pursuit_ahead` takes
one signal at a time and is for large dictionaries on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

_ENTRIES_IN_STEP = 2**16  # correlations of one batch on a CPU: what a step touches should stay in the cache
_LOOK_UP = 16  # steps between two looks at how many signals have ended

ATOMS, TOLERANCE, EXHAUSTED, DEPENDENT = 1, 2, 3, 4  # the values of separatrix.numerics._omp.CodeStatus


class Found(NamedTuple):
    """The codes of some signals at one level of the schedule (k atoms) stand in r rows, see `separatrix.numerics._omp.SparseCodes`."""

    level: int
    rows: Tensor  # (r,) positions in the batch
    support: Tensor  # (r, k)
    projections: Tensor  # (r, k), the c
    coefficients: Tensor  # (r, k), the γ
    number: Tensor  # (r,)
    status: Tensor  # (r,), 0 while running


Emit = Callable[[Found], None]


def rounding(dtype: torch.dtype, steps: int) -> float:
    """Return what a quantity of size 1 may be off by after ``steps`` updates: 8 ε √(steps + 1)."""
    return 8 * torch.finfo(dtype).eps * (steps + 1) ** 0.5


class Workspace:
    """The factor of a batch, allocated once: fresh memory costs more than the arithmetic done in it.

    ``width`` signals fit at once: as many as ``memory`` bytes hold, and on a CPU no more than stay in the cache.
    """

    def __init__(self, gram: Tensor, most: int, memory: int, signals: int) -> None:
        atoms = len(gram)
        fit = memory // (atoms * (most + 6) * gram.element_size())
        self.width = max(1, min(fit, signals, fit if gram.is_cuda else -(-_ENTRIES_IN_STEP // atoms)))
        self.factor = gram.new_empty((self.width, most, atoms))


class Pursuit:
    """The state of one batch of signals; ``run`` takes it to the end and emits what was found at each level.

    Args:
        gram: ``(n, n)`` with unit diagonal (zero rows are allowed: such atoms are never chosen).
        correlations: ``(b, n)``, ⟨aⱼ, y⟩; a copy is made.
        squared_norms: ``(b,)`` float64, ‖y‖²; NaN if unknown.
        most: number of atoms at which to stop.
        tolerance: stop where ‖residual‖ ≤ tolerance · ‖y‖.
        space: buffers for at least b signals, overwritten.
    """

    def __init__(
        self,
        gram: Tensor,
        correlations: Tensor,
        squared_norms: Tensor,
        most: int,
        tolerance: float | None,
        space: Workspace,
    ) -> None:
        batch, device, dtype = len(correlations), gram.device, gram.dtype
        self.gram, self.most = gram, most
        self.alpha = correlations.clone()
        self.magnitude = torch.empty_like(self.alpha)
        self.factor = space.factor[:batch]
        self.energy = squared_norms.clone()
        self.target = squared_norms * (tolerance or 0.0) ** 2 if tolerance is not None else None
        self.scale = squared_norms.sqrt().nan_to_num(nan=0.0)
        unknown = squared_norms.isnan()
        self.scale[unknown] = self.alpha[unknown].abs().amax(dim=1).to(torch.float64)
        self.support = torch.full((batch, most), -1, dtype=torch.int64, device=device)
        self.projections = torch.zeros((batch, most), dtype=dtype, device=device)
        self.count = torch.zeros(batch, dtype=torch.int64, device=device)
        self.status = torch.zeros(batch, dtype=torch.int64, device=device)
        self.refused = torch.zeros(batch, dtype=torch.bool, device=device)
        self.usable: Tensor | None = None  # made when the first atom is refused
        self.rows = torch.arange(batch, device=device)  # where the signals stand in the batch as it was given

    def run(self, schedule: tuple[int, ...], emit: Emit) -> None:
        """Run to the end. A signal that ends early is emitted with what it has at all levels that follow."""
        level = 0
        for step in range(self.most):
            if step % _LOOK_UP == 0:
                running = self.status == 0
                if not bool(running.any()):
                    break
                if 2 * int(running.sum()) <= len(running):
                    for rest in range(level, len(schedule)):
                        emit(self._found(rest, schedule[rest], (~running).nonzero().flatten()))
                    self._keep(running.nonzero().flatten(), step)
            self._step(step)
            if step + 1 == schedule[level]:
                emit(self._found(level, schedule[level], slice(None)))
                level += 1
        for rest in range(level, len(schedule)):
            emit(self._found(rest, schedule[rest], slice(None)))

    def _found(self, level: int, count: int, which: Tensor | slice) -> Found:
        """γ from Uγ = c; where a support is shorter the system is that of the identity and c is 0."""
        support, projections = self.support[which, :count], self.projections[which, :count]
        valid = support >= 0
        columns = support.clamp(min=0)[:, None, :].expand(-1, count, -1)
        upper = self.factor[which, :count].gather(2, columns)  # a slice keeps this from copying the factor
        unit = torch.eye(count, dtype=upper.dtype, device=upper.device)
        upper = torch.where(valid[:, :, None] & valid[:, None, :], upper, unit)
        gamma = torch.linalg.solve_triangular(upper, projections[:, :, None], upper=True).squeeze(2)
        return Found(level, self.rows[which], support, projections, gamma, self.count[which], self.status[which])

    def _step(self, step: int) -> None:
        """One atom more for every running signal."""
        slack = rounding(self.gram.dtype, step)
        each = torch.arange(len(self.rows), device=self.rows.device)
        while True:
            pick = torch.abs(self.alpha, out=self.magnitude).argmax(dim=1)
            peak = self.alpha[each, pick]
            running = self.status == 0
            ended = running & ~(peak.abs().to(torch.float64) > slack * self.scale)
            self.status[ended] = torch.where(self.refused[ended], DEPENDENT, EXHAUSTED)
            running &= ~ended
            row = self.gram[pick]
            if step:
                before = self.factor[:, :step]
                weights = before.gather(2, pick[:, None, None].expand(-1, step, 1)).transpose(1, 2)
                row.unsqueeze(1).baddbmm_(weights, before, alpha=-1.0)
            pivot = row[each, pick]
            dependent = running & (pivot <= slack)
            if not bool(dependent.any()):
                break
            self._refuse(dependent.nonzero().flatten(), pick, step, slack)
        root = torch.where(running, pivot, 1.0).sqrt()
        along = torch.where(running, peak / root, 0.0)
        new = self.factor[:, step]
        torch.mul(row, torch.where(running, root.reciprocal(), 0.0)[:, None], out=new)
        self.alpha.addcmul_(along[:, None], new, value=-1.0)
        self.alpha[each, pick] = torch.where(running, 0.0, self.alpha[each, pick])
        if self.usable is not None:
            self.alpha.mul_(self.usable)
        self.support[:, step] = torch.where(running, pick, -1)
        self.projections[:, step] = along
        self.count += running
        self.energy -= along.to(torch.float64).square()
        if self.target is not None:
            # The difference of squares is exact to rounding·‖y‖² only; below that it must not claim a small residual.
            reached = self.energy + slack * self.scale.square() <= self.target
            self.status[running & reached] = TOLERANCE
        if step + 1 == self.most:
            self.status[self.status == 0] = ATOMS

    def _refuse(self, signals: Tensor, pick: Tensor, step: int, slack: float) -> None:
        """Set aside, for good, every atom that lies in the span of the chosen ones up to rounding."""
        if self.usable is None:
            self.usable = torch.ones_like(self.alpha)
        for signal in signals.tolist():
            chosen = self.support[signal, :step]
            self.refused[signal] |= ~(chosen == pick[signal]).any()
            left = self.gram.diagonal() - self.factor[signal, :step].square().sum(dim=0)
            self.usable[signal] *= (left > slack).to(self.alpha.dtype)
            self.usable[signal, pick[signal]] = 0.0
        self.alpha.mul_(self.usable)

    def _keep(self, stay: Tensor, step: int) -> None:
        """Go on with the signals ``stay`` only."""
        for to, origin in enumerate(stay.tolist()):  # origin ≥ to: nothing is overwritten before it is moved
            self.factor[to, :step].copy_(self.factor[origin, :step])
        self.factor = self.factor[: len(stay)]
        self.magnitude = self.magnitude[: len(stay)]
        for name in ("alpha", "energy", "scale", "support", "projections", "count", "status", "refused", "rows"):
            setattr(self, name, getattr(self, name)[stay])
        self.target = None if self.target is None else self.target[stay]
        self.usable = None if self.usable is None else self.usable[stay]
