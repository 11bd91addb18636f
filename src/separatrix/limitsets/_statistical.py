"""Statistical capture: an orbit goes where orbits went that passed far nearer to it than any that went elsewhere.

Certain captures (`separatrix.limitsets._regions`) begin where the map is nearly linear, and that is late: most steps are made far out, long
after it could be guessed where they lead. A guess is used here only with a measured bound of its error. The starts of a large search are
admitted in a random order, and in three parts:

1. 1024 orbits are recorded, and followed to a certain capture. What they leave is the *library*: points on the way to known attractors.
2. The *sample* is followed to certain captures as well, while the rule is asked, at a ladder of widths, when and for what it would have
   ended each of these orbits. It is large enough to refute a share ``max_wrong`` of wrong answers.
3. The rule ends all others, at the widest width that the sample allows.

The rule: an orbit is captured at width w when at two looks in a row the nearest point of the library leads to the same attractor, and is nearer
than w times its own distance from any point that leads elsewhere. It has no unit and no constant of length.

Guessing pays where orbits are long and attractors few beside the recorded orbits. If these show that it does not (a mean of less than 24 steps, or more than 5 %
of them alone on their attractor, which is about the share of starts that go to one nobody has seen: Good 1953), nothing is guessed.

The sample is a random part of exactly the orbits that the rule is used for, and the rule does not change after it was drawn. Widths are tried
from the narrowest on that captures enough of the sample, each against the one-sided Clopper–Pearson bound at 95 %, and the first that
fails ends this: tests in a fixed order keep the level of each (Maurer, Hothorn & Lehmacher 1995). So with 95 % confidence the share
of wrong labels among the captured is at most ``max_wrong``; with no wrong answer in the sample that takes 2995 captured orbits for 0.1 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from separatrix.limitsets._capture_audit import StatisticalCaptures
from separatrix.limitsets._catalogue import Catalogue
from separatrix.limitsets._ledger import Ledger
from separatrix.numerics import clopper_pearson, trials_without_success
from separatrix.numerics.counter_random import SELECTION, uniform
from separatrix.protocol import DEFAULT, Statistics

_ROWS = 1024  # looked at together; each is looked at by itself


@dataclass(frozen=True)
class Library:
    """Points ``(m, k)``, the attractor that each leads to ``(m,)``, −1 where it led to none that is known, and the distance
    from each to the nearest that leads elsewhere ``(m,)``."""

    points: Tensor
    fate: Tensor
    clearance: Tensor

    @classmethod
    def of(cls, points: Tensor, fate: Tensor) -> Library:
        """The library of these points."""
        wide = points.to(torch.float64)
        wide, clearance = wide - wide.mean(dim=0), []
        for rows in torch.arange(len(points), device=points.device).split(_ROWS):
            apart = torch.cdist(wide[rows], wide, compute_mode="use_mm_for_euclid_dist")
            clearance.append(apart.masked_fill_(fate[rows, None] == fate, torch.inf).amin(dim=1))
        return cls(points, fate, torch.cat(clearance))

    def look(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """For flat points ``(n, k)``: the fate of the nearest library point, and the distance to it over its clearance (float64,
        infinite where the fate is none).

        That distance is measured anew from the point that the product of matrices names, so that the ratio does not hang on its rounding.
        """
        fate, ratio = [], []
        for part in z.split(_ROWS):
            place = torch.addmm(
                self._half, (part - self._centre).to(self._offsets), self._offsets.T, alpha=-1.0
            ).argmin(1)
            near = (part.to(torch.float64) - self.points[place].to(torch.float64)).norm(dim=1)
            fate.append(self.fate[place])
            ratio.append((near / self.clearance[place].clamp(min=1e-300)).masked_fill(fate[-1] < 0, torch.inf))
        return torch.cat(fate), torch.cat(ratio)

    @cached_property
    def _centre(self) -> Tensor:
        return self.points.mean(dim=0)

    @cached_property
    def _offsets(self) -> Tensor:
        return self.points - self._centre

    @cached_property
    def _half(self) -> Tensor:
        return 0.5 * self._offsets.square().sum(dim=1)


@dataclass
class Guess:
    """Records, asks or captures some orbits of a search, whichever they are there for: an observer of orbits in the model's own precision.

    Attributes:
        width: the number, among those of the rules, of that at which orbits are captured.
        set: ``(b,)`` int64, what the rule gave the orbits that it ended; −1 for none.
        exempt: ``(b,)`` bool, never captured: they are of the library, or of the sample.
        last, ratio: ``(b,)`` what the look before said.
        record: ``(b, looks, k)`` the points at those looks that the library is made of; of recorded orbits.
        answers: ``(b, widths)`` int64, what the rule would have given each at each width; of the sample.
        library: which all parts of a round share.
    """

    name = "statistical capture"

    rules: Statistics
    width: int
    set: Tensor
    exempt: Tensor
    last: Tensor
    ratio: Tensor
    record: Tensor | None = None
    answers: Tensor | None = None
    library: Library | None = None

    def begin(self, count: int, like: Tensor) -> None:
        """Nothing: the number of orbits was known before."""

    def see(self, orbit: Tensor, step: Tensor, z: Tensor, f_z: Tensor) -> Tensor | None:  # noqa: ARG002
        """Record, ask or capture."""
        look = self._numbers[step.clamp(max=len(self._numbers) - 1)]
        rows = (look >= 0).nonzero().squeeze(1)
        if self.record is not None:
            rows = rows[look[rows] % self.rules.thinned == 0]
            self.record[orbit[rows], look[rows] // self.rules.thinned] = z[rows].flatten(1)
            return None
        if self.library is None or not len(rows):
            return None
        chosen = orbit[rows]
        fate, ratio = self.library.look(z[rows].flatten(1))
        evidence = torch.where(fate == self.last[chosen], torch.maximum(ratio, self.ratio[chosen]), torch.inf)
        self.last[chosen], self.ratio[chosen] = fate, ratio
        if self.answers is not None:
            known, widths = self.answers[chosen], evidence.new_tensor(self.rules.widths)
            new = (known < 0) & (evidence.unsqueeze(1) <= widths)
            self.answers[chosen] = torch.where(new, fate.unsqueeze(1), known)
            return None
        stopped = torch.zeros(len(orbit), dtype=torch.bool, device=orbit.device)
        stopped[rows] = (evidence <= self.rules.widths[self.width]) & ~self.exempt[chosen]
        self.set[chosen] = torch.where(stopped[rows], fate, self.set[chosen])
        return stopped

    def result(self) -> None:
        """Nothing per orbit beside `set`."""

    @cached_property
    def _numbers(self) -> Tensor:
        """Step → number of its look, −1 for none."""
        looks = self.rules.looks
        numbers = torch.full((looks[-1] + 2,), -1, dtype=torch.int64, device=self.set.device)
        numbers[looks] = torch.arange(len(looks), device=numbers.device)
        return numbers


class StatisticalCapture:
    """Says who is recorded, sampled and captured, and keeps what is found out of each orbit of a search.

    Attributes:
        order: ``(n,)`` int64 in which starts are admitted.
        set: ``(n,)`` int64, what the rule gave the orbits that it ended; −1 for none.
    """

    def __init__(
        self, count: int, device: torch.device, max_wrong: float, rules: Statistics = DEFAULT.statistics
    ) -> None:
        draw = torch.from_numpy(uniform(SELECTION, first=0, count=count, width=1)[:, 0])
        self.order = draw.argsort(stable=True).to(device)
        self.set = torch.full((count,), -1, dtype=torch.int64, device=device)
        self._rules = rules
        self._max_wrong, self._needed = max_wrong, trials_without_success(max_wrong, rules.level)
        ends = [rules.recorded, rules.recorded + sample_size(max_wrong, rules), count]
        self._parts = [self.order[first:last] for first, last in zip([0, *ends], ends, strict=False)]
        self._part, self._ends = 0, ends
        self._place = torch.full_like(self.set, -1)  # row of the library's record, or of the sample
        for part in self._parts[:2]:
            self._place[part] = torch.arange(len(part), device=device)
        self._library: Library | None = None
        self._record: Tensor | None = None
        self._last = torch.full_like(self.set, -1)  # at the look before
        self._ratio = torch.full((count,), torch.inf, dtype=torch.float64, device=device)
        self._answers = torch.full((len(self._parts[1]), len(rules.widths)), -1, dtype=torch.int64, device=device)
        self._width: int | None = None  # its number among those of the rules; None captures nothing

    @property
    def admissible(self) -> int:
        """Return the number of starts that may be under way or done by now."""
        return self._ends[self._part]

    @property
    def library(self) -> Library | None:
        """The library, once there is one."""
        return self._library

    def guess(self, orbits: Tensor, like: Tensor) -> Guess | None:
        """Return who watches these orbits in a round, without the library; None if nothing is to be seen of them."""
        if self._part == 2 and self._width is None:
            return None
        place = self._place[orbits]
        guess = Guess(
            self._rules, self._width or 0, self.set[orbits], place >= 0, self._last[orbits], self._ratio[orbits]
        )
        if self._part == 0:
            guess.record = self._recorded(like)[place]
        elif self._part == 1:
            guess.answers = self._answers[place]
        return guess

    def put(self, orbits: Tensor, guess: Guess) -> None:
        """Take over what was seen of these orbits (:meth:`guess`)."""
        self.set[orbits], self._last[orbits], self._ratio[orbits] = guess.set, guess.last, guess.ratio
        for kept, seen in ((self._record, guess.record), (self._answers, guess.answers)):
            if kept is not None and seen is not None:
                kept[self._place[orbits]] = seen

    def _recorded(self, like: Tensor) -> Tensor:
        if self._record is None:
            looks = -(-len(self._rules.looks) // self._rules.thinned)
            self._record = like.new_full((len(self._parts[0]), looks, like[0].numel()), torch.nan)
        return self._record

    def next_part(self, ledger: Ledger, catalogue: Catalogue) -> None:
        """All admitted orbits have ended: make the library, or choose the width, and let more be admitted."""
        self._part += 1
        if self._part == 1:
            self._library = self._made(ledger, catalogue)
            if self._library is None:
                self._part = 2
        else:
            self._width = self._widest(ledger)

    def _made(self, ledger: Ledger, catalogue: Catalogue) -> Library | None:
        """The library: what was recorded, and all points of all sets that are known; None if it would not pay."""
        recorded, (record, self._record) = self._parts[0], (self._record, None)
        attracting = torch.tensor([one.stable == 1 for one in catalogue.sets] + [False], device=self.set.device)
        fate = ledger.set[recorded]
        fate = torch.where(attracting[fate], fate, -1)
        alone = torch.bincount(fate[fate >= 0], minlength=1).eq(1).sum()
        long = ledger.ends.steps[recorded].to(torch.float64).mean() >= self._rules.long
        if record is None or not bool((fate >= 0).any() & long & (alone <= self._rules.alone * len(recorded))):
            return None
        kept = record.isfinite().all(dim=2)
        kept[:, torch.arange(kept.shape[1], device=kept.device) % -(-int(kept.sum()) // self._rules.points) != 0] = (
            False
        )
        passed, fates = record[kept], fate.unsqueeze(1).expand_as(kept)[kept]
        points, owner = catalogue.all_points()
        owner = torch.where(attracting[owner], owner, -1)
        return Library.of(torch.cat([passed, points.to(passed)]), torch.cat([fates, owner]))

    def _found(self, width: int, ledger: Ledger) -> tuple[int, int]:
        """Count the orbits of the sample that the rule captures at this width, and those of them that go elsewhere."""
        answer = self._answers[:, width]
        captured = answer >= 0
        return int(captured.sum()), int((captured & (answer != ledger.set[self._parts[1]])).sum())

    def _widest(self, ledger: Ledger) -> int | None:
        """The widest width allowed; see the head of this file."""
        allowed = None
        for width in range(len(self._rules.widths)):
            if self._found(width, ledger)[0] < self._needed:
                continue
            if not self._holds(width, ledger):
                break
            allowed = width
        return allowed

    def _holds(self, width: int, ledger: Ledger) -> bool:
        captured, wrong = self._found(width, ledger)
        bound = clopper_pearson(torch.tensor([wrong]), captured, self._rules.level)[1]
        return float(bound) <= self._max_wrong

    def withdrawn(self, ledger: Ledger) -> Tensor:
        """Take back what was captured, and return these orbits, if the labels of the sample have changed since the width was chosen and the
        bound does not hold any more."""
        captured = ledger.likely.nonzero().squeeze(1)
        if not len(captured) or self._width is None or self._holds(self._width, ledger):
            return captured[:0]
        self._width = None
        ledger.set[captured], ledger.likely[captured], self.set[captured] = -1, False, -1
        return captured

    def seen(self, ledger: Ledger) -> StatisticalCaptures | None:
        """The account for the result; None where nothing was captured so."""
        captured = int(ledger.likely.sum())
        if self._width is None or not captured:
            return None
        followed, wrong = self._found(self._width, ledger)
        return StatisticalCaptures(captured, followed, wrong, self._max_wrong)


def sample_size(max_wrong: float, rules: Statistics = DEFAULT.statistics) -> int:
    """Return how many orbits the rule is tested on.

    >>> sample_size(1e-3)
    3744
    """
    return int(rules.sample_margin * trials_without_success(max_wrong, rules.level)) + 1


def pays(count: int, latent_dim: int, max_wrong: float, rules: Statistics = DEFAULT.statistics) -> bool:
    """Return whether so many starts are worth a sample.

    >>> pays(9_000, 32, 1e-3), pays(10_000, 32, 1e-3), pays(10_000, 32, 0.0)
    (False, True, False)
    """
    if not max_wrong or rules.recorded * len(rules.looks) * latent_dim > rules.thinned * rules.numbers:
        return False
    return count >= rules.worth * (rules.recorded + sample_size(max_wrong, rules))
