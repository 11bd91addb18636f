"""The page of a detector's scores: how many inputs are called, which most of all, and beside what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from separatrix.data import ImageSet
from separatrix.ood import Decision
from separatrix.plots import score_histograms
from separatrix.plots._pictures import are_pictures, to_rgb, value_range
from separatrix.plots._style import HUES, MUTED
from separatrix.report._chapter import versions_section
from separatrix.report._page import (
    Block,
    Bullets,
    Card,
    Cards,
    Cell,
    Facts,
    Page,
    Picture,
    Section,
    Table,
    Tile,
    living_blocks,
)
from separatrix.report._tables import facts
from separatrix.words import Statement, percent

INTRODUCTION = (
    "A detector gives every input a score: the higher, the less it is like the images that the model was made for. What is high, the "
    "scores of held-out images say, on which it was calibrated. The p-value of an input is the share of these that score at least as "
    "high; an input whose p-value is at most the false-alarm rate is called out-of-distribution.",
)
_MOST_ROWS = 50


class Called(StrEnum):
    """It tells whether a detector calls any input."""

    SOME = "some inputs are called"
    NONE = "no input is called"


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """It tells what a page shows of the scores of a detector; the table has all rows.

    Attributes:
        scores, p_values, decision: ``(n,)`` of all inputs, as in `Decisions`.
        rate, between: the false-alarm rate that was asked for, and where it lies with this calibration.
        calibration: ``(c,)`` scores of the held-out images.
        shown: ``(k,)`` rows of the inputs with the highest scores, and ``names`` theirs.
        pictures: of those that have pixels; None where inputs are no images.
        broken: inputs without pixels, by name, and why.
        kind: of the detector.
        table: where the rows are.
        notes: of the detector and of its decisions.
    """

    scores: Tensor
    p_values: Tensor
    decision: Tensor
    rate: float
    between: tuple[float, float] | None
    calibration: Tensor
    shown: Tensor
    names: tuple[str, ...]
    pictures: ImageSet | None
    broken: Mapping[str, str]
    kind: str
    table: str
    notes: tuple[str, ...]

    @property
    def is_ood(self) -> Tensor:
        """``(n,)`` bool, those that are called."""
        return self.decision == int(Decision.OOD)

    @property
    def lost(self) -> int:
        """Count how many inputs have no score."""
        return int((self.decision == int(Decision.UNSCORABLE)).sum())

    @property
    def threshold(self) -> float:
        """The lowest score that is called; infinite if none is."""
        called = self.scores[self.is_ood]
        return float(called.min()) if len(called) else float("inf")

    @property
    def statement(self) -> Statement:
        """Count how many are called, beside how many would be anyway; the code is a `Called`."""
        total, called = len(self.scores) - self.lost, int(self.is_ood.sum())
        within = (
            "" if self.between is None else ", with this calibration between {:.2g} and {:.2g}".format(*self.between)
        )
        return Statement(
            f"{called:,} of {total:,} scored inputs are called out-of-distribution",
            f"if all were like the calibration images, about {total * self.rate:,.3g} would be (a share of {self.rate:g}{within}).",
            Called.SOME if called else Called.NONE,
        )


def score_page(found: Scored, title: str, provenance: Mapping[str, Any], drawn: Mapping[str, Picture]) -> Page:
    """Count how many are called, the scores beside their calibration, the inputs with the highest scores, and those without one.

    Args:
        found: the scores.
        title: what was scored.
        provenance: model, detector and source.
        drawn: the picture ``scores``, if it was drawn.
    """
    picture = drawn.get("scores")
    broken = [f"{name}: {why}" for name, why in list(found.broken.items())[:_MOST_ROWS]]
    more = (
        [f"… and {len(found.broken) - _MOST_ROWS:,} more, in {found.table}.json"]
        if len(found.broken) > _MOST_ROWS
        else []
    )
    sections = [
        Section("The scores", [*([replace(picture, living=b"", living_words="")] if picture else []), _counts(found)]),
        Section("The highest scores", [*_cards(found), _highest(found)]),
        Section("The living page", living_blocks(picture, LIVING)),
        Section("Inputs without a score", [Bullets((*broken, *more))] if broken else []),
        Section("What to keep in mind", [Bullets((*found.notes, *_CANNOT))]),
        Section("Protocol and provenance", [facts(provenance)]),
        versions_section(),
    ]
    return Page(f"Scores of {title}", found.statement, INTRODUCTION, [part for part in sections if part.blocks])


LIVING = (
    "The living page starts from pictures with the highest scores and from usual ones, or from one of yours, and sends it through the model again and again. Its "
    "plane shows the latent space around them."
)
_CANNOT = (
    "The false-alarm rate holds for inputs like the calibration images, on average over calibration sets; which inputs are missed, it "
    "does not say.",
    "An input may be called for its brightness, noise or size as well as for what it shows: see docs/ood.md.",
)


def scores_picture(found: Scored) -> Picture:
    """The scores beside those of the calibration."""
    return Picture.of(
        score_histograms(found.scores, found.p_values, found.calibration, threshold=found.threshold),
        alt=f"Histograms of scores and p-values. {found.statement}",
        caption="Left: shares of these inputs and of the calibration images; scores beyond the axis stand in its last bars. Right: p-values "
        "of these inputs; the dashed line is where they are if all inputs are like the calibration images.",
    )


def _counts(found: Scored) -> Facts:
    total, called = len(found.scores), int(found.is_ood.sum())
    return Facts(
        (
            ("called out-of-distribution", f"{called:,} ({percent(called / max(total, 1))})"),
            ("not called", f"{total - called - found.lost:,}"),
            ("without a score", f"{found.lost:,}"),
            ("calibration images", f"{len(found.calibration):,}"),
            ("false-alarm rate asked for", f"{found.rate:g}"),
            ("detector", found.kind),
            ("table", found.table),
        )
    )


def _rows(found: Scored) -> Sequence[tuple[str, float, float, bool]]:
    columns = (each[found.shown].tolist() for each in (found.scores, found.p_values, found.is_ood))
    return list(zip(found.names, *columns, strict=True))


def _highest(found: Scored) -> Table:
    rows = [
        (Cell(name), Cell(f"{score:.4g}"), Cell(f"{p:.2g}"), Cell("out" if out else "in", muted=not out))
        for name, score, p, out in _rows(found)
    ]
    return Table(("input", "score", "p", "decision"), tuple(rows), words=frozenset({0, 3}))


def _cards(found: Scored) -> list[Block]:
    """The pictures with the highest scores."""
    ranked = [
        Ranked(name, score, (f"p = {p:.2g}",), "called" if out else "", HUES[1] if out else MUTED)
        for name, score, p, out in _rows(found)
    ]
    return input_cards(ranked, found.pictures, "input", "In the order of their scores, as the model is given them.")


@dataclass(frozen=True)
class Ranked:
    """An input of a list in the order of scores."""

    name: str
    score: float
    lines: tuple[str, ...] = ()
    badge: str = ""
    hue: str = MUTED


def input_cards(ranked: Sequence[Ranked], pictures: ImageSet | None, own: str, caption: str) -> list[Block]:
    """Show those inputs that are pictures; nothing where none is."""
    if pictures is None or not are_pictures(pictures.image_shape):
        return []
    pixels = pictures.pixels.to(torch.float64)
    known = dict(zip(pictures.names, to_rgb(pixels, value_range(pixels)), strict=True))
    cards = [
        Card(
            str(rank),
            each.hue,
            Tile.of(known[each.name], f"{own[:1].upper()}{own[1:]} {each.name}"),
            None,
            f"score {each.score:.3g}",
            each.lines,
            badge=each.badge,
            which=each.name,
            own=own,
            noun="",
        )
        for rank, each in enumerate(ranked, start=1)
        if each.name in known
    ]
    return [Cards(tuple(cards), caption)] if cards else []
