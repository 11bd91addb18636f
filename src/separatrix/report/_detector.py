"""The page of a detector that was fitted: does it tell simple inputs from the data, what can be asked of it, and what was it calibrated on?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from torch import Tensor

from separatrix.data import ImageSet
from separatrix.numerics import false_alarm_interval
from separatrix.ood import SelfCheck
from separatrix.plots import detector_check
from separatrix.report._chapter import versions_section
from separatrix.report._page import Bullets, Cell, Facts, Page, Picture, Prose, Section, Table, living_blocks
from separatrix.report._scores import LIVING, Ranked, input_cards
from separatrix.report._tables import facts
from separatrix.words import Statement, Tone

INTRODUCTION = (
    "A detector gives every input a score: the higher, the less it is like the images that the model was made for. This page tells how good the detector is on "
    "inputs for which no second set of images is needed, and which false-alarm rates its calibration can promise.",
)
_CHANCE = 0.5
_NOT_MORE = (
    "A detector that tells these simple inputs from the data may still miss others. Only inputs of the kind that you expect can show that.",
    "The false-alarm rates hold for inputs like the held-out images, if the model was not trained on these. A picture among them that does not belong there raises the "
    "score from which inputs are called.",
)


class Fitness(StrEnum):
    """A detector is better than chance on simple inputs, or is not, or nobody has looked."""

    TELLS = "it is better than chance on every kind of simple input"
    DOUBTFUL = "on some simple inputs it cannot be told from chance"
    INVERTED = "some simple inputs score as more typical than the data"
    UNTESTED = "it was not tested"


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibrated:
    """It tells what a page shows of a fitted detector.

    Attributes:
        described: what the detector says of itself (``Detector.describe``).
        place: where it is.
        given: in words, how many images it was made from.
        calibration: ``(c,)`` scores of the held-out inputs, in ascending order, and ``lost`` how many of them have none.
        thresholds: false-alarm rate → the score above which inputs are called; those rates alone that can be asked for.
        check: the self-check; None where it was not asked for.
        names: of the held-out inputs with the highest scores, from the highest on, and ``highest`` their scores.
        pictures: these inputs.
    """

    described: Mapping[str, Any]
    place: str
    given: str
    calibration: Tensor
    lost: int
    thresholds: Mapping[float, float]
    check: SelfCheck | None
    names: tuple[str, ...]
    highest: tuple[float, ...]
    pictures: ImageSet

    @property
    def kind(self) -> str:
        """The kind of the detector."""
        return str(self.described["kind"])

    @property
    def smallest_rate(self) -> float:
        """The smallest false-alarm rate at which anything can be called."""
        return 1 / (len(self.calibration) + 1)

    @property
    def statement(self) -> Statement:
        """Tell whether this kind of detector tells simple inputs from the data; the code is a `Fitness`."""
        promised = f"{len(self.calibration):,} held-out scores calibrate it: no rate below {self.smallest_rate:.2g} can be asked for."
        tested = {} if self.check is None else self.check.auroc.get(self.kind, {})
        if not tested:
            return Statement(f"The {self.kind} detector was not tested", promised, Fitness.UNTESTED)
        name, lowest = min(tested.items(), key=lambda item: item[1].value)
        worst = f"its lowest AUROC is {lowest.value:.2f} (95 %: {lowest.low:.2f} to {lowest.high:.2f}), on {name} inputs. {promised}"
        inverted = [each for each, area in tested.items() if area.high < _CHANCE]
        doubtful = [each for each, area in tested.items() if area.low <= _CHANCE <= area.high]
        if inverted:
            headline = f"The {self.kind} detector takes {_listed(inverted)} inputs for more typical than the data"
            return Statement(headline, worst, Fitness.INVERTED, Tone.ALARM)
        if doubtful:
            headline = f"On {_listed(doubtful)} inputs the {self.kind} detector cannot be told from chance"
            return Statement(headline, worst, Fitness.DOUBTFUL)
        headline = f"The {self.kind} detector is better than chance on every kind of simple input"
        return Statement(headline, worst, Fitness.TELLS, Tone.CALM)


def detector_page(found: Calibrated, title: str, provenance: Mapping[str, Any], drawn: Mapping[str, Picture]) -> Page:
    """Show the self-check, the rates that can be asked for, and the held-out pictures with the highest scores.

    Args:
        found: about the detector.
        title: of the model.
        provenance: model, data and options.
        drawn: the picture ``detector``, if it was drawn.
    """
    picture = drawn.get("detector")
    ranked = [Ranked(name, score) for name, score in zip(found.names, found.highest, strict=True)]
    caption = "The held-out pictures with the highest scores, as the model is given them."
    held_out = input_cards(ranked, found.pictures, "picture", caption)
    sections = [
        Section("The detector", [*([replace(picture, living=b"", living_words="")] if picture else []), _facts(found)]),
        Section("Simple inputs", [] if found.check is None else [_areas(found.check), Bullets(found.check.findings)]),
        Section("False-alarm rates", [_rates(found)] if found.thresholds else []),
        Section("The held-out images that look least typical", [Prose(_LOOK), *held_out] if held_out else []),
        Section("The living page", living_blocks(picture, LIVING)),
        Section("What to keep in mind", [Bullets((*_notes(found), *_NOT_MORE))]),
        Section("Protocol and provenance", [facts(provenance)]),
        versions_section(),
    ]
    return Page(f"A detector for {title}", found.statement, INTRODUCTION, [part for part in sections if part.blocks])


_LOOK = (
    "Look through them. A broken, mislabelled or repeated picture is no image of the data: take it out of the folder, and fit again. A rare picture of the data belongs "
    "there and stays.",
)


def detector_picture(found: Calibrated) -> Picture:
    """The calibration scores and the self-check."""
    return Picture.of(
        detector_check(
            found.calibration, found.thresholds, {} if found.check is None else found.check.auroc, kind=found.kind
        ),
        alt=f"Histogram of the calibration scores, and AUROC of detectors on simple inputs. {found.statement}",
        caption="Left: the scores of the held-out images, and above which one an input is called at these false-alarm rates. Scores beyond the axis stand in its last bars. "
        "Right: AUROC on inputs that are simpler than the data, with 95 % intervals; left of the dashed line a detector takes them for more typical than the data.",
    )


def _facts(found: Calibrated) -> Facts:
    lost = f"; {found.lost:,} could not be scored" if found.lost else ""
    return Facts(
        (
            ("detector", found.kind),
            ("given", found.given),
            ("calibrated on", f"{len(found.calibration):,} held-out images{lost}"),
            ("smallest false-alarm rate", f"{found.smallest_rate:.2g}"),
            ("folder", found.place),
        )
    )


def _areas(check: SelfCheck) -> Table:
    names = list(next(iter(check.auroc.values())))
    rows = [
        (
            Cell(kind + (" (recommended here)" if kind == check.recommended else "")),
            *(Cell(f"{row[name].value:.2f} ({row[name].low:.2f} – {row[name].high:.2f})") for name in names),
        )
        for kind, row in check.auroc.items()
    ]
    caption = (
        "AUROC with 95 % intervals: 1 = told apart, 0.5 = chance, below = inverted. For this test, detectors of every kind were fitted on a part of the images and asked about "
        "another part. On other inputs than these, following the recommendation from model to model did no better than the typicality detector (docs/ood.md)."
    )
    return Table(("detector", *names), tuple(rows), caption)


def _rates(found: Calibrated) -> Table:
    rows = []
    for rate, threshold in found.thresholds.items():
        low, high = false_alarm_interval(rate, len(found.calibration))
        rows.append((Cell(f"{rate:g}"), Cell(f"above {threshold:.4g}"), Cell(f"{low:.2g} – {high:.2g}")))
    caption = (
        "In the mean over calibration sets, at most the share asked for of the inputs like the held-out images is called out. With this calibration set that share lies, "
        "with 95 % confidence, between the last two numbers; more held-out images bring them together."
    )
    return Table(("rate asked for", "called", "rate of this calibration"), tuple(rows), caption, words=frozenset())


def _notes(found: Calibrated) -> list[str]:
    """The notes of the detector that are not among the findings of its check."""
    told = () if found.check is None else found.check.findings
    return [note for note in found.described["notes"] if note not in told]


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
