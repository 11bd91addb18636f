"""Orthogonal matching pursuit of one signal over a large dictionary on a CPU: the rows of the factor, computed ahead.

The mathematics is that of `separatrix.numerics._pursuit`. There, each step reads the k rows of the factor so far (n numbers
each) to produce one more, and waits for memory. Here that is done for the m atoms of largest |α| at once, as one matrix
product that serves all steps until an atom is picked that was not among them; on the way only the rows added since are
subtracted, and those fit in the cache. The picks are the same. m follows how many steps the last product served.
"""

from __future__ import annotations

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from separatrix.numerics._pursuit import ATOMS, DEPENDENT, EXHAUSTED, TOLERANCE, Emit, Found, rounding

_WORTH_IT = 2**17  # entries of the factor of one signal from which on this way is the faster one
_DIRECT = 128  # steps whose rows are computed when needed: so few rows stay in the cache
_LONGEST = 32  # steps that one product serves at most
_FEWEST, _MOST = 8, 64  # atoms prepared by one product; reading the factor costs as much as the arithmetic of eight

Vector = NDArray[np.floating]


def worth_it(gram: Tensor, most: int) -> bool:
    """True where this way is faster than signals in step."""
    return gram.device.type == "cpu" and len(gram) * most >= _WORTH_IT


class SinglePursuit:
    """Buffers for one signal at a time over ``gram`` ``(n, n)``, up to ``most`` atoms; n·(most + 2·64 + 4) numbers."""

    def __init__(self, gram: Tensor, most: int, tolerance: float | None) -> None:
        self.gram: Vector = gram.numpy()
        self.most, self.tolerance = most, tolerance
        atoms = len(gram)
        self.slack = [rounding(gram.dtype, step) for step in range(most)]
        self.factor = np.empty((most, atoms), self.gram.dtype)
        self.prepared = np.empty((min(_MOST, atoms), atoms), self.gram.dtype)
        self.product = np.empty_like(self.prepared)
        self.weights = np.empty((len(self.prepared), most), self.gram.dtype)  # of the rows so far in the prepared ones
        self.lower = np.zeros((most, most), self.gram.dtype)  # the Cholesky factor of the chosen atoms, Uᵀ
        self.magnitude = np.empty(atoms, self.gram.dtype)
        self.scratch = np.empty(atoms, self.gram.dtype)

    def run(self, row: int, correlations: Tensor, squared_norm: float, schedule: tuple[int, ...], emit: Emit) -> None:
        """Code the signal that stands at ``row`` of the batch. Arguments as in `separatrix.numerics._pursuit.Pursuit`."""
        self.alpha: Vector = correlations.numpy().copy()
        self.support: list[int] = []
        self.projections: list[float] = []
        self.usable: Vector | None = None
        self.refused = False
        self.foreseen: dict[int, int] = {}
        self.begun, self.missed, self.width = 0, 0, len(self.prepared)
        known = not np.isnan(squared_norm)
        scale = float(np.sqrt(squared_norm)) if known else float(np.abs(self.alpha).max())
        energy, status = squared_norm, 0
        target = None if self.tolerance is None else squared_norm * self.tolerance**2
        level = 0
        while not status:
            step = len(self.support)
            pick = self._pick(step, scale)
            if pick < 0:
                status = DEPENDENT if self.refused else EXHAUSTED
                break
            along = self._add(step, pick)
            energy -= along * along
            if target is not None and energy + self.slack[step] * scale**2 <= target:
                status = TOLERANCE
            elif step + 1 == self.most:
                status = ATOMS
            if step + 1 == schedule[level]:
                emit(self._found(level, row, schedule[level], status))
                level += 1
        for rest in range(level, len(schedule)):
            emit(self._found(rest, row, schedule[rest], status))

    def _pick(self, step: int, scale: float) -> int:
        """The next atom, its row in ``factor[step]`` free of the directions so far; −1 if none is left."""
        slack, new = self.slack[step], self.factor[step]
        while True:
            np.abs(self.alpha, out=self.magnitude)
            pick = int(self.magnitude.argmax())
            if not self.magnitude[pick] > slack * scale:
                return -1
            if step < _DIRECT:
                new[:] = self.gram[pick]
            else:
                if not self.foreseen or step - self.begun >= _LONGEST:
                    self._prepare(step)
                elif pick not in self.foreseen:
                    self._prepare_more()
                slot = self.foreseen[pick]
                new[:] = self.prepared[slot]
                self.lower[step, : self.begun] = self.weights[slot, : self.begun]
            if step > self.begun:
                since, weights = self.factor[self.begun : step], self.lower[step, self.begun : step]
                weights[:] = since[:, pick]
                new -= np.matmul(weights, since, out=self.scratch)
            if new[pick] > slack:
                return pick
            self._refuse(pick, step, slack)

    def _add(self, step: int, pick: int) -> float:
        """Scale the new direction, take it out of the correlations; returns c."""
        new = self.factor[step]
        root = float(np.sqrt(new[pick]))
        along = float(self.alpha[pick]) / root
        self.lower[step, step] = root
        new *= 1 / root
        self.alpha -= np.multiply(new, along, out=self.scratch)
        self.alpha[pick] = 0.0
        if self.usable is not None:
            self.alpha *= self.usable
        self.support.append(pick)
        self.projections.append(along)
        return along

    def _prepare(self, step: int) -> None:
        """The rows of the most likely atoms, free of the directions so far."""
        if self.foreseen:  # many that were not foreseen: the order changes fast, and preparing many is in vain
            self.width = max(self.width // 2, _FEWEST) if self.missed > _LONGEST // 4 else self.width
            self.width = min(2 * self.width, len(self.prepared)) if self.missed < _LONGEST // 16 else self.width
        self.begun, self.missed, self.foreseen = step, 0, {}
        self._fill(np.arange(self.width), np.argpartition(self.magnitude, -self.width)[-self.width :])

    def _prepare_more(self) -> None:
        """The same for the now most likely atoms, one of which was not foreseen, in place of the least likely."""
        self.missed += 1
        known = np.fromiter(self.foreseen, np.int64, len(self.foreseen))
        slots = np.fromiter(self.foreseen.values(), np.int64, len(self.foreseen))
        count = min(_FEWEST, len(known))
        given_up = np.argpartition(self.magnitude[known], count - 1)[:count]
        self.scratch[:] = self.magnitude
        self.scratch[known] = -1.0
        for atom in known[given_up].tolist():
            del self.foreseen[atom]
        self._fill(slots[given_up], np.argpartition(self.scratch, -count)[-count:])

    def _fill(self, slots: NDArray[np.int64], atoms: NDArray[np.int64]) -> None:
        before = self.factor[: self.begun]
        weights = before[:, atoms].T
        self.weights[slots, : self.begun] = weights
        product = np.matmul(weights, before, out=self.product[: len(atoms)])
        for slot, atom, row in zip(slots.tolist(), atoms.tolist(), product, strict=True):
            np.subtract(self.gram[atom], row, out=self.prepared[slot])
            self.foreseen[atom] = slot

    def _refuse(self, pick: int, step: int, slack: float) -> None:
        """Set aside, for good, every atom that lies in the span of the chosen ones up to rounding."""
        self.refused |= pick not in self.support
        left = self.gram.diagonal() - np.square(self.factor[:step]).sum(axis=0)
        usable = (left > slack).astype(self.alpha.dtype)
        usable[pick] = 0.0
        self.usable = usable if self.usable is None else self.usable * usable
        self.alpha *= self.usable

    def _found(self, level: int, row: int, count: int, status: int) -> Found:
        chosen = self.support[:count]
        k = len(chosen)
        support = torch.full((1, count), -1, dtype=torch.int64)
        projections = torch.zeros(1, count, dtype=torch.from_numpy(self.alpha).dtype)
        gamma = projections.clone()
        if k:
            support[0, :k] = torch.tensor(chosen)
            right = np.array(self.projections[:k], dtype=self.alpha.dtype)
            projections[0, :k] = torch.from_numpy(right)
            solved = scipy.linalg.solve_triangular(self.lower[:k, :k], right, trans="T", lower=True, check_finite=False)
            gamma[0, :k] = torch.from_numpy(solved)
        number = torch.tensor([len(self.support)])
        return Found(level, torch.tensor([row]), support, projections, gamma, number, torch.tensor([status]))
