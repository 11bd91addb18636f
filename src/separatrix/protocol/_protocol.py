"""The protocol: every choice on which "the number of attractors" depends, in one frozen record.

A count without its protocol means nothing (the stop rule, the budget, the merge rule and the starts each change it),
so a `Protocol` is stored inside every result and compared when results are. Its options are what a user may want to choose. Everything
else in which a number was chosen, and which can move a count, is in its groups (`separatrix.protocol._rules`). The numbers that are left
in the code that follows orbits and finds sets cannot: sizes of batches, guards of arithmetic, parts of definitions (a test holds the list).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, Literal, get_args

from separatrix.arguments import checked, whole
from separatrix.errors import InputError
from separatrix.protocol._rules import (
    Auditing,
    Capturing,
    Curves,
    Deflation,
    Loops,
    Polishing,
    Rounds,
    Spectra,
    Statistics,
    Stopping,
)

StopRule = Literal["error", "squared_step"]
MergeRule = Literal["distance", "cosine"]
Precision = Literal["native", "float64"]

DENSE_LIMIT = Polishing.dense_limit
"""Latents up to this many dimensions get dense float64 Jacobians, unless a protocol says otherwise; above, everything is matrix-free."""


@checked
@dataclass(frozen=True, kw_only=True, repr=False)
class Protocol:
    """It tells how orbits are iterated, when they stop, and when two end points are the same limit set.

    All lengths are relative to the *spread* of the starts, √(mean ‖z₀ − mean z₀‖²), so that a protocol means the same
    in any units of the latent space.

    Attributes:
        stop: ``"error"`` ends an orbit when its *estimated distance to the limit*, ‖step‖/(1 − rate), is below
            ``tolerance`` × spread; ``"squared_step"`` ends it when ‖z_{t+1} − z_t‖² < ``tolerance`` in absolute units,
            as in the paper (a small step is not nearness: on tanh(z) this rule stops at 0.143 instead of 0).
        tolerance: see ``stop``.
        max_steps: budget of map evaluations per orbit. Below 1000, which is what it takes to see a closed curve, none is
            looked for: orbits on one count as not settled.
        probe_steps: orbits still moving after this many steps are examined for closed curves before they are given
            the rest of the budget.
        max_period: longest cycle that is looked for, under ``stop="error"`` (``"squared_step"`` knows no cycles).
        polish: refine every candidate by Newton's method in float64 and reject what is not a limit set.
        merge: ``"distance"`` (relative to spread and to the points' own errors) or ``"cosine"`` (the paper's).
        merge_tolerance: for ``"distance"`` a share of the spread; for ``"cosine"`` the similarity above which two end
            points count as one.
        divergence: an orbit whose numbers overflow, or whose budget ends, farther from the starts than this many spreads has
            diverged. Before that, being far out is no end: a strongly non-normal sink may call an orbit back from any distance.
        precision: number format of the transit: the model's own, or float64 throughout.
        spectrum: compute the eigenvalues at every limit set (needed for stability).
        capture: end an orbit where its steps contract towards a known attractor, in the norm in which the map contracts there
            (`separatrix.limitsets._regions`), or keep to a known closed curve. Without, every orbit runs to its stop rule.
        audit: share of the captured orbits that is followed to the end all the same, to see whether they were judged right.
        max_wrong: searches of about ten thousand starts and more also end orbits early where a random sample of them, which is followed,
            shows with 95 % confidence that at most this share of the labels so given is wrong (`separatrix.limitsets._statistical`); 0:
            captures are certain ones alone.
        stopping, rounds, capturing, auditing, polishing, spectra, curves, loops, statistics, deflation: the numbers that nobody needs to
            choose, in groups (`separatrix.protocol._rules`).

    >>> Protocol.paper().merge_tolerance
    0.99
    >>> Protocol(max_steps=0)
    Traceback (most recent call last):
    ...
    separatrix.errors.InputError: Protocol.max_steps must be a whole number, at least 1, not 0.
    """

    stop: StopRule = "error"
    tolerance: float = 1e-5
    max_steps: int = 20_000
    probe_steps: int = 1_000
    max_period: int = 64
    polish: bool = True
    merge: MergeRule = "distance"
    merge_tolerance: float = 1e-6
    divergence: float = 1e6
    precision: Precision = "native"
    spectrum: bool = True
    capture: bool = True
    audit: float = 0.01
    max_wrong: float = 1e-3
    stopping: Stopping = field(default_factory=Stopping)
    rounds: Rounds = field(default_factory=Rounds)
    capturing: Capturing = field(default_factory=Capturing)
    auditing: Auditing = field(default_factory=Auditing)
    polishing: Polishing = field(default_factory=Polishing)
    spectra: Spectra = field(default_factory=Spectra)
    curves: Curves = field(default_factory=Curves)
    loops: Loops = field(default_factory=Loops)
    statistics: Statistics = field(default_factory=Statistics)
    deflation: Deflation = field(default_factory=Deflation)

    def __post_init__(self) -> None:
        for field_name, choices in (("stop", StopRule), ("merge", MergeRule), ("precision", Precision)):
            value = getattr(self, field_name)
            if value not in get_args(choices):
                allowed = ", ".join(repr(choice) for choice in get_args(choices))
                raise InputError(f"Protocol.{field_name} must be one of {allowed}, not {value!r}.")
        for field_name in ("max_steps", "probe_steps", "max_period"):
            whole(f"Protocol.{field_name}", getattr(self, field_name), 1)
        for field_name in ("tolerance", "merge_tolerance", "divergence"):
            value = getattr(self, field_name)
            if not value > 0:
                raise InputError(f"Protocol.{field_name} must be a positive number, not {value!r}.")

        for field_name, most in (("audit", 1.0), ("max_wrong", 0.5)):
            value = getattr(self, field_name)
            if not 0 <= value <= most:
                raise InputError(f"Protocol.{field_name} must be a share between 0 and {most:g}, not {value!r}.")
        for field_name, group in GROUPS.items():
            if not isinstance(value := getattr(self, field_name), group):
                raise InputError(f"Protocol.{field_name} must be {group.__name__}(…), not {value!r}.")

    @classmethod
    def paper(cls) -> Protocol:
        """The paper's rule for convolutional autoencoders: squared step < 1e-6 or 3000 steps, cosine > 0.99 is one."""
        return cls(
            stop="squared_step",
            tolerance=1e-6,
            max_steps=3000,
            probe_steps=3000,
            polish=False,
            merge="cosine",
            merge_tolerance=0.99,
        )

    @classmethod
    def paper_foundation(cls) -> Protocol:
        """The paper's rule for foundation models: squared step < 1e-5 or 500 steps, cosine > 0.99 is one."""
        return replace(cls.paper(), tolerance=1e-5, max_steps=500, probe_steps=500)

    @classmethod
    def of(cls, given: Protocol | str | None) -> Protocol:
        """The protocol itself, the one of that name (``"default"``, ``"paper"``, ``"paper_foundation"``), or the default for None.

        >>> Protocol.of("paper") == Protocol.paper()
        True
        """
        named: dict[str, Callable[[], Protocol]] = {
            "default": cls,
            "paper": cls.paper,
            "paper_foundation": cls.paper_foundation,
        }
        if given is None or isinstance(given, cls):
            return given or cls()
        if isinstance(given, str) and given.replace("-", "_") in named:
            return named[given.replace("-", "_")]()
        kind = repr(given) if isinstance(given, str) else f"a {type(given).__name__}"
        raise InputError(f"The protocol is {kind}; give a Protocol or one of {', '.join(map(repr, named))}.")

    @checked
    def tightened(self, factor: float) -> Protocol:
        """The same protocol with every tolerance ``factor`` times smaller (a trustworthy count does not change)."""
        if not factor > 0:
            raise InputError(f"tightened needs a positive factor, not {factor!r}.")
        merge_tolerance = (
            self.merge_tolerance / factor if self.merge == "distance" else 1 - (1 - self.merge_tolerance) / factor
        )
        return replace(self, tolerance=self.tolerance / factor, merge_tolerance=merge_tolerance)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready values: all options, and of the groups what differs from the defaults.

        >>> Protocol(curves=Curves(most_loops=4)).to_dict()["curves"], "rounds" in Protocol().to_dict()
        ({'most_loops': 4}, False)
        """
        options = {name: value for name, value in self._values() if name not in GROUPS}
        return options | {name: changed for name in GROUPS if (changed := getattr(self, name).changed)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Protocol:
        """Inverse of :meth:`to_dict`; an unknown key is an error.

        Groups that are not there, as in everything saved before there were any, have the defaults, which therefore stay what they are.
        ``trails``, an option of earlier versions that guessed where an orbit goes, is read over: what was saved with it keeps its
        labels, and no search guesses any more.
        """
        values = {key: value for key, value in values.items() if key != "trails"}
        unknown = set(values) - set(cls.__dataclass_fields__)
        if unknown:
            raise InputError(
                f"A protocol has no option {sorted(unknown)[0]!r}; it has {', '.join(cls.__dataclass_fields__)}."
            )
        return cls(**{key: GROUPS[key].of(value) if key in GROUPS else value for key, value in values.items()})

    def _values(self) -> list[tuple[str, Any]]:
        return [(option.name, getattr(self, option.name)) for option in fields(self)]

    def __repr__(self) -> str:
        shown = [f"{name}={value!r}" for name, value in self._values() if name not in GROUPS or value.changed]
        return f"Protocol({', '.join(shown)})"


GROUPS: dict[str, Any] = {
    option.name: option.default_factory for option in fields(Protocol) if option.default_factory is not MISSING
}
"""The groups of a protocol by their names: subclasses of `Rules`."""

DEFAULT = Protocol()
"""What nobody has changed."""
