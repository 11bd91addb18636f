"""Promised against observed alarms on a stream of ID inputs, with a test that may be looked at after every input."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import scipy
import torch
from numpy.typing import NDArray

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.numerics import clopper_pearson, false_alarm_interval
from separatrix.ood._decisions import Decisions
from separatrix.words import Readable, Statement, Tone

_ALTERNATIVES = 64  # alarm rates, evenly spaced in log odds, among which the mixture bets


class StreamState(StrEnum):
    """A stream of decisions shows one of these."""

    NO_INPUT = "no input yet"
    AS_PROMISED = "as promised"
    DRIFTED = "drifted"


@dataclass(frozen=True)
class MonitorReport(Readable):
    """It tells what a stream showed so far.

    Attributes:
        inputs, alarms, unscorable: counts; ``inputs`` are the scorable ones.
        promised: the rate asked for.
        bound: upper end of the alarm rate that this calibration set may have on ID inputs.
        observed: alarms/inputs with its exact 95 % interval (Clopper–Pearson, for one look); NaN before the first input.
        evidence: e-value against "the alarm rate is at most ``bound``"; may be read at any time (Ville's inequality).
        threshold: 2/δ, the evidence at which it cries.
        drifted: evidence ≥ 2/δ: the stream is not what the detector was calibrated on.
    """

    inputs: int
    alarms: int
    unscorable: int
    promised: float
    bound: float
    observed: float
    low: float
    high: float
    evidence: float
    threshold: float
    drifted: bool

    @property
    def statement(self) -> Statement:
        """The statement says whether the stream is as promised; its code is a `StreamState`."""
        if not self.inputs:
            words = f"No scorable input yet; promised is an alarm rate of {self.promised:g}."
            return Statement(words, "", StreamState.NO_INPUT)
        why, code, tone = "that is compatible with a stream of ID inputs.", StreamState.AS_PROMISED, Tone.CALM
        if self.drifted:
            why = "more than chance and the calibration set explain: the stream has changed, or holds OOD inputs."
            code, tone = StreamState.DRIFTED, Tone.ALARM
        return Statement(
            f"{self.alarms} alarms among {self.inputs} inputs",
            f"{self.observed:.3g} (95 %: {self.low:.3g} to {self.high:.3g}) where {self.promised:g} was promised for ID inputs; {why}",
            code,
            tone,
        )

    def __repr__(self) -> str:
        state = "drifted" if self.drifted else "not drifted"
        return (
            f"MonitorReport({self.alarms} alarms among {self.inputs} inputs, promised {self.promised:g}; "
            f"evidence {self.evidence:.3g} of {self.threshold:g}: {state})"
        )


class StreamMonitor:
    """Counts alarms on a stream and says when they are more than was promised.

    For one calibration set of n scores the alarm rate on ID inputs is Beta(k, n + 1 − k) distributed, k = ⌊α(n + 1)⌋ (Vovk
    2012); with probability 1 − δ/2 it is below that law's quantile r. Against "the rate is at most r" it bets with
    E = mean over q > r of (q/r)^alarms ((1 − q)/(1 − r))^(inputs − alarms), a supermartingale under any rate ≤ r, so
    P(E ever ≥ 2/δ) ≤ δ/2 (Ville 1939): on a stream of independent ID inputs it cries with probability at most δ, however long
    the stream and however often one looks.

    Args:
        rate: the promised false-alarm rate.
        calibration: number of calibration scores behind it.
        delta: probability of a false cry, over calibration sets and streams.

    Raises:
        InputError: a rate or ``delta`` outside (0, 1).

    >>> monitor = StreamMonitor(0.05, calibration=999)
    >>> monitor.count(alarms=5, inputs=100).drifted, monitor.count(alarms=60, inputs=100).drifted
    (False, True)
    """

    @checked
    def __init__(self, rate: float, calibration: int, *, delta: float = 0.05) -> None:
        if not 0 < delta < 1:
            raise InputError(f"delta, the probability of a false cry, lies between 0 and 1, not at {delta}.")
        self.rate, self.calibration, self.delta = rate, calibration, delta
        upper = false_alarm_interval(rate, calibration, level=1 - delta)[1]  # two-sided 1 − δ: above it with δ/2
        self.bound = max(upper, 1e-9)
        self.inputs = self.alarms = self.unscorable = 0
        self._bets: NDArray[np.float64] = _above(self.bound)

    def update(self, decisions: Decisions) -> MonitorReport:
        """Add decisions that were made one input at a time."""
        if decisions.batch:
            raise InputError(
                "Alarms of a batch promise a false discovery rate; decide with batch=False to monitor a stream."
            )
        lost = int(decisions.unscorable.sum())
        return self.count(alarms=int(decisions.is_ood.sum()), inputs=len(decisions) - lost, unscorable=lost)

    @checked
    def count(self, *, alarms: int, inputs: int, unscorable: int = 0) -> MonitorReport:
        """Add counts; ``inputs`` are the scorable ones."""
        if not 0 <= alarms <= inputs or unscorable < 0:
            raise InputError(f"{alarms} alarms among {inputs} inputs is no count.")
        self.alarms, self.inputs, self.unscorable = (
            self.alarms + alarms,
            self.inputs + inputs,
            self.unscorable + unscorable,
        )
        return self.report()

    def report(self) -> MonitorReport:
        """The state now."""
        r, q, quiet = self.bound, self._bets, self.inputs - self.alarms
        logs = self.alarms * np.log(q / r) + quiet * (np.log1p(-q) - math.log1p(-r))
        log_evidence = float(scipy.special.logsumexp(logs)) - math.log(len(q))
        low, high = clopper_pearson(torch.tensor([self.alarms]), self.inputs)
        seen = self.inputs > 0
        return MonitorReport(
            inputs=self.inputs,
            alarms=self.alarms,
            unscorable=self.unscorable,
            promised=self.rate,
            bound=self.bound,
            observed=self.alarms / self.inputs if seen else math.nan,
            low=float(low[0]) if seen else math.nan,
            high=float(high[0]) if seen else math.nan,
            evidence=math.exp(min(log_evidence, 700.0)),
            threshold=2 / self.delta,
            drifted=log_evidence >= math.log(2 / self.delta),
        )

    def __repr__(self) -> str:
        return f"StreamMonitor({self.alarms} alarms among {self.inputs} inputs, promised {self.rate:g})"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready state, for a stream that is read in several sittings."""
        names = ("rate", "calibration", "delta", "inputs", "alarms", "unscorable")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> StreamMonitor:
        """Inverse of :meth:`to_dict`."""
        monitor = cls(state["rate"], state["calibration"], delta=state["delta"])
        monitor.inputs, monitor.alarms, monitor.unscorable = state["inputs"], state["alarms"], state["unscorable"]
        return monitor


def _above(bound: float) -> NDArray[np.float64]:
    """Rates between ``bound`` and almost 1, evenly spaced in log odds."""
    odds = np.linspace(math.log(bound / (1 - bound)), math.log(0.999 / 0.001), _ALTERNATIVES + 1)[1:]
    rates: NDArray[np.float64] = 1 / (1 + np.exp(-odds))
    return rates
