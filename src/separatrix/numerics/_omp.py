"""Orthogonal matching pursuit: sparse codes of many signals over one dictionary, at several sparsities in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from separatrix.arguments import checked, sizes
from separatrix.errors import InputError
from separatrix.numerics import _pursuit as pursuit
from separatrix.numerics._pursuit_ahead import SinglePursuit, worth_it
from separatrix.words import one_line

_MEMORY = {"cpu": 2**28, "cuda": 2**33}  # working memory of one chunk where none is given, in bytes
_ROWS_AT_ONCE = 256  # of the Gram matrix, in the search for duplicates


class CodeStatus(IntEnum):
    """It tells how the pursuit of one signal ended. ``CodeStatus.EXHAUSTED.sentence`` is its documentation.

    >>> CodeStatus(3).name, CodeStatus.ATOMS.complete, CodeStatus.EXHAUSTED.complete
    ('EXHAUSTED', True, False)
    """

    sentence: str

    def __new__(cls, value: int, sentence: str) -> CodeStatus:
        member = int.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member

    ATOMS = (pursuit.ATOMS, "as many atoms were chosen as were asked for")
    TOLERANCE = (pursuit.TOLERANCE, "the residual is within the tolerance")
    EXHAUSTED = (
        pursuit.EXHAUSTED,
        "no atom is correlated with the residual beyond rounding: the signal is explained, or its rest is orthogonal to "
        "the dictionary (the residual tells which)",
    )
    DEPENDENT = (
        pursuit.DEPENDENT,
        "every atom that is still correlated with the residual is a combination of the chosen ones up to rounding; "
        "float64 or a dictionary without near-duplicates goes further",
    )
    NONFINITE = (5, "the signal contains NaN or infinity and was not coded")

    @property
    def complete(self) -> bool:
        """True if the pursuit did what was asked, false if it had to end early."""
        return self in (CodeStatus.ATOMS, CodeStatus.TOLERANCE)


@dataclass(frozen=True)
class SparseCodes:
    """Codes of ``s`` signals at each sparsity of a schedule k₁ < … < k_l. Row i belongs to signal i.

    Supports are nested: the atoms at k_j are the first k_j of ``support``, in the order of their choice.

    Attributes:
        sparsities: the schedule.
        support: ``(s, k_l)`` int64, indices of atoms; −1 past the end of a pursuit that ended early.
        coefficients: per level a tensor ``(s, k_j)``, in units of the atoms *as given*; 0 where the support is −1.
        residual: ``(s, l)`` float64, ‖y − Σ γ a‖; NaN if unknown (see `omp_gram`).
        count: ``(s,)`` int64, atoms chosen.
        status: ``(s,)`` int64, values of `CodeStatus`.
    """

    sparsities: tuple[int, ...]
    support: Tensor
    coefficients: tuple[Tensor, ...]
    residual: Tensor
    count: Tensor
    status: Tensor

    __repr__ = one_line

    def __len__(self) -> int:
        return len(self.support)

    @checked
    def dense(self, level: int, atoms: int) -> Tensor:
        """Codes of one level of the schedule as ``(s, atoms)``, mostly zeros."""
        values = self.coefficients[level]
        place = self.support[:, : values.shape[1]].clamp(min=0)
        return values.new_zeros((len(values), atoms)).scatter_add_(1, place, values)

    @checked
    def reconstruct(self, atoms: Tensor, level: int = -1) -> Tensor:
        """Σ γ a, ``(s, d)``, at one level of the schedule. Works in chunks of signals the size of the dictionary."""
        values, support = self.coefficients[level], self.support[:, : self.coefficients[level].shape[1]].clamp(min=0)
        parts = [
            v.new_zeros((len(v), len(atoms))).scatter_add_(1, p, v) @ atoms
            for v, p in zip(values.split(max(len(atoms), 1)), support.split(max(len(atoms), 1)), strict=True)
        ]
        return torch.cat(parts) if parts else values.new_zeros((0, atoms.shape[1]))


@checked
def omp(
    signals: Tensor,
    atoms: Tensor,
    sparsities: int | Sequence[int] | None = None,
    *,
    tolerance: float | None = None,
    memory: int | None = None,
) -> SparseCodes:
    """Greedy sparse codes y ≈ Σ_{j∈S} γⱼ aⱼ (Pati, Rezaiifar & Krishnaprasad 1993).

    Each step adds the atom of largest |⟨a, r⟩|/‖a‖, r the residual (of equal ones the first), and projects y on
    all chosen atoms again, so r stays orthogonal to them. Atoms need not have unit length; zero atoms are never chosen;
    of atoms equal up to sign, length and rounding only the first takes part; atoms in the span of the chosen ones up to rounding are set
    aside. A pursuit that ends early says why in its status. Recovers the atoms of an exact k-sparse signal whenever
    k < (1 + 1/μ)/2, μ the coherence (Tropp 2004).

    The work is done in the dtype and on the device of ``atoms``. Memory: n² numbers for the Gram matrix, and n·(k + 6) for
    each signal of a chunk, k the largest sparsity; large dictionaries on a CPU (n·k ≥ 2¹⁷) are coded signal by signal, with
    n·(k + 132) numbers in all. Time: O(k² n) per signal.

    Args:
        signals: ``(s, d)``.
        atoms: ``(n, d)``, one atom per row, float32 or float64.
        sparsities: numbers of atoms, a schedule or one number; a pursuit ends at the largest. Values above min(n, d) are
            cut to it. Default: min(n, d), for use with ``tolerance``.
        tolerance: end where ‖r‖ ≤ tolerance · ‖y‖. The loop resolves squared residuals to 8 ε √k ‖y‖² only; a smaller
            tolerance is met by exhaustion or not at all. ``residual`` is measured afterwards, on the reconstruction,
            and is good to rounding of the dtype times ‖y‖.
        memory: bytes of working memory; default 256 MiB on a CPU, 8 GiB on a GPU. Less means smaller chunks of signals.

    Raises:
        InputError: shapes or dtypes do not fit, atoms are not finite, or neither sparsities nor a tolerance are given.

    >>> codes = omp(torch.tensor([[3.0, -2.0, 1.0]], dtype=torch.float64), torch.eye(3, dtype=torch.float64), [1, 2])
    >>> codes.support.tolist(), [c.tolist() for c in codes.coefficients], [round(r**2, 12) for r in codes.residual[0].tolist()]
    ([[0, 1]], [[[3.0]], [[3.0, -2.0]]], [5.0, 1.0])
    """
    if atoms.ndim != 2 or signals.ndim != 2 or signals.shape[1] != atoms.shape[1]:
        raise InputError(
            f"Signals (s, d) and atoms (n, d) must be matrices with rows of one length, not of shapes "
            f"{tuple(signals.shape)} and {tuple(atoms.shape)}; flatten the latents first."
        )
    _check_floating(atoms, "atoms")
    signals = signals.to(atoms)
    length, units = _unit_atoms(atoms)
    largest = signals.abs().amax(dim=1) if signals.shape[1] else signals.new_zeros(len(signals))
    # Squares of very small or large entries under- or overflow: signals are brought to size 1 and back.
    size = torch.where(largest.isfinite() & (largest > 0), largest, 1.0)
    scaled = signals / size[:, None]
    codes = _code(
        units @ units.T, scaled @ units.T, scaled.to(torch.float64).square().sum(dim=1),
        _schedule(sparsities, tolerance, min(atoms.shape)), tolerance, memory,
    )  # fmt: skip
    coefficients = _in_units_of_the_atoms(codes, length, size)
    result = SparseCodes(codes.sparsities, codes.support, coefficients, codes.residual, codes.count, codes.status)
    exact = [
        (scaled - result.reconstruct(atoms, level) / size[:, None]).to(torch.float64).norm(dim=1)
        for level in range(len(result.sparsities))
    ]
    residual = torch.stack(exact, dim=1) * size.to(torch.float64)[:, None]
    residual[codes.status == CodeStatus.NONFINITE] = torch.nan
    return SparseCodes(codes.sparsities, codes.support, coefficients, residual, codes.count, codes.status)


@checked
def omp_gram(
    gram: Tensor,
    correlations: Tensor,
    sparsities: int | Sequence[int] | None = None,
    *,
    squared_norms: Tensor | None = None,
    tolerance: float | None = None,
    memory: int | None = None,
) -> SparseCodes:
    """`omp` from products alone: G[i, j] = ⟨aᵢ, aⱼ⟩ ``(n, n)`` and ⟨aⱼ, y⟩ ``(s, n)`` (one row per signal).

    The support is that of scikit-learn's ``orthogonal_mp_gram`` for unit atoms, except that ties go to the smaller index,
    that a dependent atom is passed over where scikit-learn ends, and that correlations count as zero relative to the
    signal, not below 1.5e-8 in absolute terms. ``residual`` is √(‖y‖² − Σ c²), good to about 1e-7 ‖y‖ in float64 and
    3e-3 ‖y‖ in float32, and NaN without ``squared_norms`` ``(s,)``, which a tolerance needs.

    >>> codes = omp_gram(torch.eye(3), torch.tensor([[3.0, -2.0, 1.0]]), 2)
    >>> codes.support.tolist(), codes.residual.isnan().item()
    ([[0, 1]], True)
    """
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1] or correlations.ndim != 2 or len(gram) != correlations.shape[1]:
        raise InputError(
            f"A Gram matrix (n, n) goes with correlations (s, n), not {tuple(gram.shape)} with "
            f"{tuple(correlations.shape)}; one row per signal."
        )
    _check_floating(gram, "the Gram matrix")
    if tolerance is not None and squared_norms is None:
        raise InputError("A tolerance is relative to the length of the signal; pass squared_norms, the ‖y‖² of each.")
    correlations = correlations.to(gram)
    length = gram.diagonal().clamp(min=0).sqrt()
    scale = torch.where(length > 0, 1 / length, 0.0)
    if not bool(((length - 1).abs() <= 8 * torch.finfo(gram.dtype).eps).all()):
        gram, correlations = scale[:, None] * gram * scale, correlations * scale
    else:
        length = torch.ones_like(length)
    if squared_norms is None:
        squared_norms = torch.full((len(correlations),), torch.nan)
    squared_norms = squared_norms.to(gram.device, torch.float64)
    codes = _code(gram, correlations, squared_norms, _schedule(sparsities, tolerance, len(gram)), tolerance, memory)
    coefficients = _in_units_of_the_atoms(codes, length, length.new_ones(len(codes)))
    return SparseCodes(codes.sparsities, codes.support, coefficients, codes.residual, codes.count, codes.status)


def _code(
    gram: Tensor,
    correlations: Tensor,
    squared_norms: Tensor,
    schedule: tuple[int, ...],
    tolerance: float | None,
    memory: int | None,
) -> SparseCodes:
    """Chunk by chunk, for atoms of unit length."""
    distinct = _distinct(gram)
    if len(distinct) < len(gram):
        gram, correlations = gram[distinct][:, distinct], correlations[:, distinct]
    total, most = len(correlations), schedule[-1]
    device, dtype = gram.device, gram.dtype
    support = torch.full((total, most), -1, dtype=torch.int64, device=device)
    coefficients = tuple(torch.zeros((total, k), dtype=dtype, device=device) for k in schedule)
    residual = torch.full((total, len(schedule)), torch.nan, dtype=torch.float64, device=device)
    count = torch.zeros(total, dtype=torch.int64, device=device)
    status = torch.full((total,), int(CodeStatus.NONFINITE), dtype=torch.int64, device=device)
    codable = (correlations.isfinite().all(dim=1) & ~squared_norms.isinf()).nonzero().flatten()
    budget = memory or _MEMORY.get(device.type, _MEMORY["cpu"])

    def emit(found: pursuit.Found) -> None:
        rows, level, k = members[found.rows], found.level, found.support.shape[1]
        support[rows, :k] = torch.where(found.support >= 0, distinct[found.support.clamp(min=0)], -1)
        coefficients[level][rows] = found.coefficients
        spent = found.projections.to(torch.float64).square().sum(dim=1)
        residual[rows, level] = (squared_norms[rows] - spent).clamp(min=0).sqrt()
        count[rows], status[rows] = found.number, found.status

    members = codable
    if worth_it(gram, most):
        single = SinglePursuit(gram, most, tolerance)
        for row, signal in enumerate(codable.tolist()):
            single.run(row, correlations[signal], float(squared_norms[signal]), schedule, emit)
    else:
        space = pursuit.Workspace(gram, most, budget, len(codable))
        for members in codable.split(space.width):
            batch = pursuit.Pursuit(gram, correlations[members], squared_norms[members], most, tolerance, space)
            batch.run(schedule, emit)
    return SparseCodes(schedule, support, coefficients, residual, count, status)


def _schedule(sparsities: int | Sequence[int] | None, tolerance: float | None, rank: int) -> tuple[int, ...]:
    if sparsities is None and tolerance is None:
        raise InputError("The pursuit needs an end; pass sparsities (numbers of atoms), a tolerance, or both.")
    if tolerance is not None and not 0 <= tolerance < 1:
        raise InputError(f"A tolerance is a share of the signal's length, at least 0 and below 1, not {tolerance}.")
    if rank == 0:
        raise InputError(
            "There are no atoms to choose from; pass a dictionary of at least one atom of at least one entry."
        )
    asked = (rank,) if sparsities is None else sizes("sparsities", sparsities)
    return tuple(sorted({min(k, rank) for k in asked}))


def _check_floating(matrix: Tensor, name: str) -> None:
    if matrix.dtype not in (torch.float32, torch.float64):
        raise InputError(f"The pursuit works in float32 or float64, not {matrix.dtype}; convert {name}.")
    # The sum is finite unless an entry is not (or the entries are huge): no table of flags as large as the matrix.
    if not bool(matrix.sum().isfinite()) and not bool(matrix.isfinite().all()):
        raise InputError(f"There are NaN or infinite entries in {name}; drop the atoms that did not converge.")


def _distinct(gram: Tensor) -> Tensor:
    """Indices of the atoms that are neither zero nor, up to sign and rounding, equal to an earlier one.

    Among duplicates rounding would choose, differently on every machine; leaving them out makes it the first.
    """
    same = 1.0 - pursuit.rounding(gram.dtype, 0)
    keep = gram.diagonal() > 0
    for first in range(0, len(gram), _ROWS_AT_ONCE):
        block = gram[first : first + _ROWS_AT_ONCE]
        keep[first : first + len(block)] &= ~(block.abs() >= same).tril_(first - 1).any(dim=1)
    if not bool(keep.any()):
        keep[0] = True  # a zero atom is never chosen, and the loop wants one
    return keep.nonzero().flatten()


def _unit_atoms(atoms: Tensor) -> tuple[Tensor, Tensor]:
    """Lengths, and atoms of unit length; zero atoms stay zero."""
    largest = atoms.abs().amax(dim=1)
    safe = torch.where(largest > 0, largest, 1.0)
    shape = atoms / safe[:, None]
    norm = shape.to(torch.float64).norm(dim=1).to(atoms.dtype)
    return norm * safe, shape / torch.where(norm > 0, norm, 1.0)[:, None]


def _in_units_of_the_atoms(codes: SparseCodes, length: Tensor, size: Tensor) -> tuple[Tensor, ...]:
    inverse = torch.where(length > 0, 1 / length, 0.0)
    return tuple(c * inverse[codes.support[:, : c.shape[1]].clamp(min=0)] * size[:, None] for c in codes.coefficients)
