"""Scores become decisions with a false-alarm rate, per input or for a batch; an input that has no score is called neither."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import CalibrationWarning, InputError, warn
from separatrix.numerics import discoveries, false_alarm_interval, smallest_calibration
from separatrix.storage import Columnar

_ROUNDING = 1e-12  # a p-value that sits on the line is called


class Decision(IntEnum):
    """One of these is said of each input; ``Decisions.decision`` holds its integer."""

    TYPICAL = 0
    OOD = 1
    UNSCORABLE = 2

    @property
    def words(self) -> str:
        """Write it as in a table: ``"typical"``, ``"ood"``, ``"unscorable"``."""
        return self.name.lower()


@checked
@dataclass(frozen=True)
class AlarmBudget:
    """A false-alarm budget as people say it: at most ``alarms`` false ones among ``inputs`` per ``period``.

    >>> AlarmBudget(5, 10_000, "day").rate
    0.0005
    >>> AlarmBudget.parse("5 a day at 10 000 images a day")
    AlarmBudget(alarms=5.0, inputs=10000.0, period='day')
    """

    alarms: float
    inputs: float
    period: str = "day"

    def __post_init__(self) -> None:
        if not 0 < self.alarms < self.inputs:
            raise InputError(
                f"A budget of {self.alarms:g} alarms at {self.inputs:g} inputs is no rate between 0 and 1; "
                "give fewer alarms than inputs, and more than none."
            )

    @property
    def rate(self) -> float:
        """alarms/inputs, the false-alarm rate per ID input."""
        return self.alarms / self.inputs

    @classmethod
    def parse(cls, text: str) -> AlarmBudget:
        """``"5/10000"`` or ``"5 a day at 10 000 images a day"``.

        Raises:
            InputError: the text is neither.
        """
        number = r"(\d+(?:[.,  _']\d+)*)"
        spoken = re.fullmatch(
            rf"\s*{number}\s*(?:an?|per)\s+(\w+)\s+at\s+{number}\s*\w*\s*(?:an?|per)\s+(\w+)\s*", text
        )
        plain = re.fullmatch(rf"\s*{number}\s*/\s*{number}\s*", text)
        if spoken is not None and spoken[2] == spoken[4]:
            return cls(_number(spoken[1]), _number(spoken[3]), spoken[2])
        if plain is not None:
            return cls(_number(plain[1]), _number(plain[2]), "period")
        raise InputError(
            f"{text!r} is no budget; write alarms/inputs, such as 5/10000, or '5 a day at 10000 images a day'."
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Decisions(Columnar):
    """One row per input.

    Attributes:
        scores: ``(n,)`` float64, higher = more OOD; NaN where unscorable.
        p_values: ``(n,)`` float64, split-conformal; NaN where unscorable.
        decision: ``(n,)`` uint8, a `Decision` per input.
        rate: the false-alarm rate asked for: per ID input, or for a batch the false discovery rate.
        batch: Benjamini–Hochberg over all inputs instead of each for itself.
        calibration: number of calibration scores.
        between: with 95 % confidence over calibration sets, the false-alarm rate of *this* one lies there (not for batches).
        notes: what to keep in mind.
    """

    _columns: ClassVar[tuple[str, ...]] = ("scores", "p_values", "decision")
    _members: ClassVar[Mapping[str, type[IntEnum]]] = {"decision": Decision}

    scores: Tensor
    p_values: Tensor
    decision: Tensor
    rate: float
    batch: bool
    calibration: int
    between: tuple[float, float] | None
    notes: tuple[str, ...] = ()

    @property
    def is_ood(self) -> Tensor:
        """``(n,)`` bool; False for the unscorable, which are neither."""
        return self.decision == int(Decision.OOD)

    @property
    def unscorable(self) -> Tensor:
        """``(n,)`` bool: the trajectory met NaN or infinity, or diverged."""
        return self.decision == int(Decision.UNSCORABLE)

    def __repr__(self) -> str:
        kind = "false discovery rate" if self.batch else "false-alarm rate"
        counts = ", ".join(f"{int((self.decision == int(v)).sum())} {v.words}" for v in Decision)
        return f"Decisions({len(self)}: {counts}; {kind} {self.rate:g}, {self.calibration} calibration scores)"


def one_each(scores: Tensor | ArrayLike) -> Tensor:
    """Scores as a tensor, one real number per input.

    Raises:
        InputError: they are none.
    """
    try:
        known = scores if isinstance(scores, Tensor) else torch.from_numpy(np.asarray(scores, dtype=np.float64))
    except (TypeError, ValueError):
        known = None
    if known is None or known.ndim != 1 or known.is_complex():
        raise InputError(f"Scores must be one number per input, (n,), not {scores!r:.80}.")
    return known


def decided(
    scores: Tensor, p_values: Tensor, rate: float | AlarmBudget, calibration: int, *, batch: bool = False
) -> Decisions:
    """Call inputs OOD: p ≤ rate each for itself, or by Benjamini–Hochberg at that false discovery rate.

    Warns:
        CalibrationWarning: there are too few calibration scores for anything to be called at that rate.

    >>> p = torch.tensor([0.01, 0.5, float("nan")], dtype=torch.float64)
    >>> decided(p, p, 0.05, calibration=99)
    Decisions(3: 1 typical, 1 ood, 1 unscorable; false-alarm rate 0.05, 99 calibration scores)
    """
    if isinstance(rate, AlarmBudget):
        rate = rate.rate
    needed = smallest_calibration(rate)  # also refuses a rate outside (0, 1)
    notes: list[str] = []
    if calibration < needed:
        warn(
            f"With {calibration} calibration scores no p-value is below {1 / (calibration + 1):.2g}, so no input can be called out "
            f"at a rate of {rate:g}; calibrate with at least {needed} held-out ID inputs.",
            CalibrationWarning,
        )
        notes.append(
            f"No input can be called out: {calibration} calibration scores, and a rate of {rate:g} needs {needed}."
        )
    unscorable = p_values.isnan()
    called = discoveries(p_values, rate) if batch else p_values <= rate * (1 + _ROUNDING)
    decision = torch.where(unscorable, int(Decision.UNSCORABLE), called.to(torch.int64)).to(torch.uint8)
    alone = smallest_calibration(rate, tests=max(len(p_values), 1))
    if batch and needed <= calibration < alone:
        notes.append(
            f"A single unusual input among {len(p_values)} needs {alone} calibration scores to be called out; there are {calibration}."
        )
    if bool(unscorable.any()):
        notes.append(f"{int(unscorable.sum())} of {len(p_values)} inputs are unscorable and count as neither.")
    between = None if batch else false_alarm_interval(rate, calibration)
    return Decisions(
        scores=scores,
        p_values=p_values,
        decision=decision,
        rate=rate,
        batch=batch,
        calibration=calibration,
        between=between,
        notes=tuple(notes),
    )


def _number(text: str) -> float:
    return float(re.sub(r"[,  _']", "", text))
