"""The numbers on which a count depends beside the options of a protocol, in groups: one group per idea, each given to whoever uses it.

Nobody needs to choose them; they were set once, by the measurements that the files named here tell of. They are written down because a
count means little without them: a `Protocol` holds every group, and a result that was made with other numbers says so.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

from separatrix.arguments import number, whole
from separatrix.errors import InputError


class Rules:
    """A group of positive numbers.

    >>> Rounds(pilot=0)
    Traceback (most recent call last):
    ...
    separatrix.errors.InputError: Rounds.pilot must be a whole number, at least 1, not 0.
    """

    def __post_init__(self) -> None:
        for one in fields(self):  # type: ignore[arg-type]
            name, value = f"{type(self).__name__}.{one.name}", getattr(self, one.name)
            if isinstance(one.default, int):
                value = whole(name, value, 1)
            else:
                parts = value if isinstance(one.default, tuple) and isinstance(value, tuple) else (value,)
                found = tuple(number(name, part) for part in parts)
                if not min(found) > 0:
                    raise InputError(f"{name} must be a positive number, not {value!r}.")
                value = found if isinstance(value, tuple) else found[0]
            object.__setattr__(self, one.name, value)

    @property
    def changed(self) -> dict[str, Any]:
        """Return those that are not the default, by name."""
        values = {one.name: (getattr(self, one.name), one.default) for one in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, (value, default) in values.items() if value != default}

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """Return the defaults, but for these; lists, as JSON has them, are tuples here. An unknown name is an error."""
        known = [one.name for one in fields(cls)]  # type: ignore[arg-type]
        if unknown := sorted(set(values) - set(known)):
            raise InputError(f"{cls.__name__} have no {unknown[0]!r}; they have {', '.join(known)}.")
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.changed.items())})"


@dataclass(frozen=True, kw_only=True, repr=False)
class Stopping(Rules):
    """It tells when an orbit is finished, and as what (`separatrix.orbits._judge`); each has a counterexample there or in docs/design.md.

    Attributes:
        spread_sample: so many of the first starts define the length unit; enough for a few per cent.
        window: steps over which the rate is measured: long enough to average an oscillating step length.
        patience: times that the stop rule must hold, measured where the orbit is now, before it is called converged.
        rest_patience: consecutive steps at the precision floor, with a small error, that end an orbit at once.
        stall_patience: consecutive steps at the precision floor before an orbit is given up as unable to go lower.
        floor_in_eps: a step below this many rounding units of ‖z‖ is rounding noise.
        stall_error: at the floor, an estimated error below this share of the spread still counts as converged.
        anchor_life: steps that the first anchor stays, to which returns are measured; later ones stay a quarter of their age.
        algebraic: towards a neutral point steps decay like t^−p with p = 1 + 1/m ≤ 2. Measured from an anchor at 0.8 t or later,
            −t·d(log step)/dt reads up to 5 ln(1.25) p ≤ 2.24; a geometric decay soon exceeds any such bound.
        small_step: share of the spread above which a step is too long to speak of contraction.
        apart: within a lap a cycle stays this many times farther from its anchor than its error.
        straight: displacement over path length of an orbit that marches away.
        far: spreads from the starts beyond which a march is one away.
        unslowed: a march does not slow down: its rate is within this of 1, or above.
        second_look: estimated error, as a share of the spread, at which orbits in float64 end, whose claim is being confirmed.
    """

    spread_sample: int = 4096
    window: int = 8
    patience: int = 3
    rest_patience: int = 3
    stall_patience: int = 16
    floor_in_eps: float = 32.0
    stall_error: float = 1e-3
    anchor_life: int = 8
    algebraic: float = 2.3
    small_step: float = 0.1
    apart: float = 10.0
    straight: float = 0.9
    far: float = 10.0
    unslowed: float = 1e-6
    second_look: float = 1e-10


@dataclass(frozen=True, kw_only=True, repr=False)
class Rounds(Rules):
    """It tells when orbits join a search and when it settles (`separatrix.limitsets._search`): what is known changes only between rounds.

    Attributes:
        pilot: starts that are admitted first.
        growth: times as many as were admitted join them …
        unsettled: … once at most this share of those is unsettled.
        steps: of a round.
        longest: steps of a round at most; after the last start was admitted each has twice as many as the one before.
        most_under_way: orbits under way at once …
        numbers_under_way: … unless their latents are so large that this many numbers are fewer.
        parts: that the orbits of a round are cut into …
        least_in_a_part: … unless each had fewer rows than this …
        most_in_a_part: … or more. In smaller parts the judge takes longer per row, in larger ones fewer workers have something to do;
            no label depends on them, and the last bits of a point may.
    """

    pilot: int = 32
    growth: int = 4
    unsettled: float = 0.25
    steps: int = 64
    longest: int = 256
    most_under_way: int = 16_384
    numbers_under_way: int = 2**23
    parts: int = 16
    least_in_a_part: int = 512
    most_in_a_part: int = 2048

    def rows_in_a_part(self, rows: int) -> int:
        """A round of so many rows is cut into parts of so many.

        >>> [Rounds().rows_in_a_part(rows) for rows in (100, 10_000, 16_384, 10**6)]
        [512, 625, 1024, 2048]
        """
        return max(self.least_in_a_part, min(self.most_in_a_part, -(-rows // self.parts)))


@dataclass(frozen=True, kw_only=True, repr=False)
class Capturing(Rules):
    """It tells what evidence ends an orbit at a known attractor (`separatrix.limitsets._regions`, `._approach`; `benchmarks/trapping.py`).

    Attributes:
        closeness: largest ‖z − a‖_P, as a share of the distance to the nearest other set and of the spread.
        linearity: largest η, the nonlinear part of a step as a share of ‖z − a‖_P.
        margin: times that η fits into 1 − q where the map is linear by a margin …
        reach: … which is believed up to this many times the radius of closeness.
        floor: distances below this share of ‖a‖ + spread are rounding noise: the orbit is there …
        floor_in_errors: … and so are this many times the error of the attractor itself.
        in_a_row: consecutive good steps that an orbit is captured after at the earliest …
        fall: … if the distance has fallen so many times meanwhile.
        firm_in_a_row: consecutive steps that are linear by a margin and suffice without such a fall.
    """

    closeness: float = 0.05
    linearity: float = 0.2
    margin: float = 4.0
    reach: float = 4.0
    floor: float = 1e-12
    floor_in_errors: float = 10.0
    in_a_row: int = 3
    fall: float = 10.0
    firm_in_a_row: int = 16


@dataclass(frozen=True, kw_only=True, repr=False)
class Auditing(Rules):
    """It tells what an audit does (`separatrix.limitsets._capture_auditor`); how many it follows is `Protocol.audit`.

    Attributes:
        least: orbits audited, however few were captured.
        rounds: after so many with a disagreement nothing captured is believed.
        shrink: what a disagreement does to the size of all regions.
    """

    least: int = 4
    rounds: int = 3
    shrink: float = 0.25


@dataclass(frozen=True, kw_only=True, repr=False)
class Polishing(Rules):
    """It tells how candidates are refined, and which of them are sets (`separatrix.limitsets._claims`, `._settling`, `._polish`, `._catalogue`).

    Attributes:
        dense_limit: latents up to this many dimensions get dense Jacobians; above, everything is matrix-free.
        distinct: ends closer than this share of the spread are not polished twice in one round.
        first_batch: candidates polished together at first …
        batch_growth: … and so many times as many each time that any was new …
        most_together: … up to this many …
        numbers_together: … unless the entries of their Jacobians are more than this.
        fruitless: batches without a new set after which the others are left out.
        moved: polishing may move a candidate by this share of the spread …
        leeway: … or by so many times its own error.
        errors_apart: two sets are one within the merge tolerance and so many times their own errors.
        at_unstable: an orbit at rest this near (share of the spread) to an unstable set is on it.
        rest: an orbit rests on a continuum if its residual is below this share of its size …
        rest_in_eps: … or this many rounding units.
        mixed: steps that Anderson's method mixes.
        ridge: of its normal equations with columns of length 1.
        iterations: Newton steps at most.
        damped_iterations: the same from candidates that are not near yet.
        plain_iterations: of the map itself, above ``dense_limit`` dimensions.
        halvings: of a damped step.
        clearly: by so much the spectral radius at a candidate must exceed 1 before the candidate is given up.
        reuse_ratio: a Jacobian is reused as long as one step still divides the residual by ten.
        singular: condition number from which the step of least norm is taken …
        least_norm: … without singular values below this share of the largest.
        floor_in_eps: residuals below this many rounding units of ‖z‖ cannot be improved …
        floor_slack: … and so many times as much still counts as the floor in the end.
    """

    dense_limit: int = 512
    distinct: float = 1e-4
    first_batch: int = 32
    batch_growth: int = 4
    most_together: int = 512
    numbers_together: int = 2**24
    fruitless: int = 2
    moved: float = 1e-2
    leeway: float = 20.0
    errors_apart: float = 10.0
    at_unstable: float = 1e-7
    rest: float = 1e-9
    rest_in_eps: float = 64.0
    mixed: int = 10
    ridge: float = 1e-10
    iterations: int = 30
    damped_iterations: int = 200
    plain_iterations: int = 3000
    halvings: int = 10
    clearly: float = 1e-3
    reuse_ratio: float = 0.1
    singular: float = 1e12
    least_norm: float = 1e-10
    floor_in_eps: float = 64.0
    floor_slack: float = 64.0


@dataclass(frozen=True, kw_only=True, repr=False)
class Spectra(Rules):
    """It tells when a set attracts (`separatrix.limitsets._spectrum`, `._catalogue`).

    Attributes:
        neutral: |ρ − 1| below this is called neutral: rounding in J cannot tell.
        family: an eigenvalue this near to 1 is 1: two such points, apart from each other, are a continuum …
        family_in_eps: … and so is one within this many rounding units of the model's own format.
        leading: eigenvalues computed where the Jacobian is too large to be formed.
        arnoldi_vectors: for the second attempt, where eigenvalues lie too close together for the usual 20.
        arnoldi_error: relative error of these eigenvalues: 1 must come out well within ``family`` …
        arnoldi_error_in_eps: … as far as the format allows.
    """

    neutral: float = 1e-7
    family: float = 1e-9
    family_in_eps: float = 32.0
    leading: int = 6
    arnoldi_vectors: int = 64
    arnoldi_error: float = 1e-10
    arnoldi_error_in_eps: float = 100.0


@dataclass(frozen=True, kw_only=True, repr=False)
class Curves(Rules):
    """It tells how closed curves are found, told apart, tested, and when an orbit moves on one (`separatrix.limitsets._curves`, `._watch`, `._records`,
    `._capture`); lengths are shares of the diameter of the curve unless another unit is named.

    Attributes:
        least_budget: steps that an orbit must be allowed for a closed curve to be looked for.
        transient: steps before an orbit is worth recording.
        look_again: times as many steps after which a record that showed no curve is looked at again.
        recorded: steps that a record must have to show a closed curve.
        longest_record: steps kept: enough for curves that are visited eight in turn.
        records: orbits recorded at once …
        recorded_numbers: … unless that would be more coordinates than this.
        most_loops: visited in turn.
        same: two certified curves closer than this are one …
        bow: … where a curve may bend away from a chord of its polygon by this share of the chord.
        beside: a record this near to an attracting curve, all along, is on its way to it; loops nearer than this are one loop.
        creep: a record whose early half lies farther from the loop of its late half still moves.
        neutral_loops: loops, none of which attracts, after which no more are certified.
        test_share: of the evaluations so far that tests of curves may cost which turned out to be none …
        tests_at_least: … or so many, however short the search; twice as many for records of full length.
        push: displacement of the stability test.
        pushed: points that are displaced.
        return_steps: steps after which they are looked at.
        returned: share of the farthest displacement within which all are then if the curve attracts.
        left: times the farthest displacement beyond which one is then if it does not.
        resolved: distances below so many times the resolution of the curve tell no rate.
        turned: steps that tangents are carried along a curve.
        flat: an exponent this near to 0, per step, is 0.
        shrunk: the fastest over the slowest step on a closed curve; steps that shrink by more are on their way to rest.
        displaced: tangents are differences over this share of the size of z: halfway between their rounding and their curvature.
        near: nearer than that to an attracting curve, for a while, an orbit moves on it …
        clear: … and at most this share of the distance to anything else that is known.
        watched: consecutive steps that an orbit must stay so near …
        decay: … or as many as it takes at its mean rate for the distance to a curve of thin basin to fall to this share.
        fall: to this share the distance must have fallen meanwhile, unless the orbit is on the curve …
        on_curve: … which is nearer than so many times the bow of the polygon between two of its corners.
        later: steps after which an orbit that is audited must still be near its curve.
    """

    least_budget: int = 1000
    transient: int = 64
    look_again: int = 2
    recorded: int = 768
    longest_record: int = 2048
    records: int = 24
    recorded_numbers: int = 2**26
    most_loops: int = 8
    same: float = 2e-3
    bow: float = 0.1
    beside: float = 5e-2
    creep: float = 2e-5
    neutral_loops: int = 4
    test_share: float = 0.01
    tests_at_least: float = 8000.0
    push: float = 1e-2
    pushed: int = 16
    return_steps: int = 256
    returned: float = 0.2
    left: float = 2.0
    resolved: float = 10.0
    turned: int = 500
    flat: float = 0.005
    shrunk: float = 1e4
    displaced: float = 1e-7
    near: float = 5e-3
    clear: float = 0.25
    watched: int = 32
    decay: float = 1e-6
    fall: float = 0.5
    on_curve: float = 2.0
    later: int = 256


@dataclass(frozen=True, kw_only=True, repr=False)
class Loops(Rules):
    """It tells when the points of a record lie on a thin loop in the order of their phases (`separatrix.numerics._closed_curve`).

    Attributes:
        least_points: of a record.
        harmonics: the strongest Fourier peak may be any of the first harmonics of the rotation number α.
        least_laps: fewer laps cannot show that a lap repeats the one before: a slow spiral looks the same.
        slow: turns per step up to which the steps of an orbit follow the curve, so that returns can be timed …
        returns: … from so many points of the first lap at most.
        even: by how much the length of a lap may differ from the median, as a share.
        thinness: median distance from a point to the chord of its neighbours, as a share of the median gap.
        lap_thinness: the same where laps were sorted by distance, in the crowd of a slow passage to within rounding only.
        largest_gap: largest gap between neighbours, as a share of the length: a larger one tears the loop.
        clumped: median gap, as a share of the mean gap, below which the points sit in clumps: a long cycle.
        nearly_clumped: the same, below which half the points are nearly a cycle and no bow of the loop can be known.
        longest_bow: longest chord, as a share of the length, whose bow is taken into account.
        detour: length of the loop over that of the shortest tree through its points: more, and neighbours were taken apart.
    """

    least_points: int = 256
    harmonics: int = 6
    least_laps: float = 3.0
    slow: float = 0.05
    returns: int = 64
    even: float = 0.1
    thinness: float = 0.05
    lap_thinness: float = 0.2
    largest_gap: float = 0.05
    clumped: float = 1e-3
    nearly_clumped: float = 0.05
    longest_bow: float = 0.02
    detour: float = 1.5


@dataclass(frozen=True, kw_only=True, repr=False)
class Statistics(Rules):
    """It tells how a large search ends orbits by what earlier ones did (`separatrix.limitsets._statistical`; `benchmarks/statistical.py`).

    Attributes:
        recorded: orbits of the library.
        widths: at which the rule is asked, narrowest first.
        level: of the two-sided interval: its upper end is the one-sided bound at 95 %.
        sample_margin: size of the sample, in units of what it takes if every orbit is captured and no answer is wrong.
        worth: times as many starts as are followed in any case, below which it would not pay.
        every_step: looks are at every step up to this one …
        look_growth: … and from there each at so many times the step of the one before …
        last_look: … up to about this one.
        thinned: one of so many looks is recorded.
        numbers: coordinates that are recorded at most.
        points: of the library at most: of more, every second, third, … look is left out.
        long: mean steps of a recorded orbit below which looking costs as much as walking.
        alone: share of the recorded orbits that may be alone on their attractor.
    """

    recorded: int = 1024
    widths: tuple[float, ...] = tuple(2 ** (-half / 2) for half in range(12, 3, -1))  # from 1/64 to 1/4
    level: float = 0.9
    sample_margin: float = 1.25
    worth: float = 2.0
    every_step: int = 8
    look_growth: float = 1.15
    last_look: int = 4096
    thinned: int = 2
    numbers: int = 2**26
    points: int = 2**13
    long: float = 24.0
    alone: float = 0.05

    @property
    def looks(self) -> list[int]:
        """The steps at which an orbit is looked at."""
        steps = list(range(self.every_step))
        while steps[-1] < self.last_look:
            steps.append(max(steps[-1] + 1, round(self.look_growth * steps[-1])))
        return steps


@dataclass(frozen=True, kw_only=True, repr=False)
class Deflation(Rules):
    """It tells how `find_fixed_points` looks for what Newton's method missed (`separatrix.limitsets._fixed_points`, `._deflation`).

    Attributes:
        sent: starts, and as many neighbours of known solutions, sent out in a round.
        patience: rounds without a new solution that end the search.
        setting_out: distance from a known solution, in units of the spread, at which orbits also start.
        refused: a start this near (share of the spread) to a known solution has nothing left to find.
        iterations: of one search at most.
        halvings: of one step.
        longest_step: in units of the spread.
        near_enough: residual, as a share of the spread, from which the ordinary Newton method takes over.
        labelled: a start whose Newton search ended this near (share of the spread) to a solution gets its number.
    """

    sent: int = 64
    patience: int = 3
    setting_out: float = 0.2
    refused: float = 1e-3
    iterations: int = 40
    halvings: int = 8
    longest_step: float = 2.0
    near_enough: float = 1e-3
    labelled: float = 1e-5
