"""The page of a drift: see it, what to do about it, how fast, what is lost, and where it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from separatrix.limitsets import LimitSets
from separatrix.plots import drift_curves, drift_parts, drift_pattern_pictures, drift_pictures, drift_ways
from separatrix.report._chapter import versions_section
from separatrix.report._drift_player import animation_of, trips_player
from separatrix.report._drift_sections import (
    end_section,
    flicker_section,
    pattern_section,
    ranking_section,
    remedy_section,
)
from separatrix.report._figures import FigurePlan
from separatrix.report._page import Block, Bullets, Cell, Page, Picture, Prose, Section, Table, living_blocks
from separatrix.report._tables import facts
from separatrix.studies import Drift, DriftRanking, Flicker, Linearisation, Patterns, Remedies
from separatrix.studies._drift.loss import BANDS, PARTS
from separatrix.studies._drift.safe import SHARE
from separatrix.words import Statement, percent, signed

INTRODUCTION = (
    "Every edit with such a model sends the whole picture through it: squeezed into a small code, its latent, and rebuilt from it, also where nothing "
    "was to be changed. Once is hardly seen. But whoever edits the result again, and that result again, sends the same picture through "
    "many times, and small errors grow: colours drift, contrast rises or fades, texture turns to mush. This page shows how fast, on real "
    "pictures, and what helps.",
)
_DECIBELS = (
    "PSNR in dB says how near a picture still is to its original. At 40 dB hardly anybody sees a difference side by side; at 30 dB one "
    "sees it when looking closely; at 25 dB everybody does; below 20 dB the picture is spoilt. Three decibels less are an error twice as large."
)
_PARTS = (
    "The error of a picture is a sum of parts that have nothing to do with each other. Brightness and contrast are what a slider in any editor "
    "would put right. Colour is all that changed in hue and saturation. Detail is what became softer or harsher than the contrast explains, "
    "from coarse to fine. New structure was never in the picture: texture, noise, edges that have moved. No slider takes it back."
)
_LIVING = (
    "The living page starts from these pictures, or from one of yours, and sends it through the model alone, without edits, as often as you like. Its plane "
    "shows the latent space around them."
)
_CANNOT = (
    "These are round trips of the model alone. An editor that denoises, resizes or blends adds losses of its own.",
    "PSNR and SSIM compare pixels. A picture may keep a high PSNR with a spoilt face, or lose PSNR by a change that nobody minds.",
    "Other pictures, other sizes and other bars give other numbers; the interval is over pictures like these.",
)


@dataclass(frozen=True, kw_only=True)
class DriftResults:
    """All that was measured of a model for one page.

    Attributes:
        drift: of the model.
        others: of the models that it is compared with.
        ranking: of all of them; None where it is alone.
        remedies: other ways to edit.
        patterns, linearised: what the derivative says.
        limits: where the orbits of some codes end.
        flicker: where the pictures are frames.
    """

    drift: Drift
    others: tuple[Drift, ...] = ()
    ranking: DriftRanking | None = None
    remedies: Remedies | None = None
    patterns: Patterns | None = None
    linearised: Linearisation | None = None
    limits: LimitSets | None = None
    flicker: Flicker | None = None

    @property
    def costed(self) -> list[Any]:
        """Everything that has cost evaluations."""
        ways = () if self.remedies is None else self.remedies.ways.values()
        return [
            part
            for part in (self.drift, *self.others, *ways, self.patterns, self.linearised, self.limits)
            if part is not None
        ]


def drift_page(
    results: DriftResults, decision: Statement | None, provenance: Mapping[str, Any], drawn: Mapping[str, Picture]
) -> Page:
    """The headline, the slider, the remedy, and everything that stands behind them.

    Args:
        results: all that was measured.
        decision: on a budget of edits, which then leads.
        provenance: model, data and cost.
        drawn: the figures of `drift_figures`.
    """
    found = results.drift
    sections = [
        Section("See it", _seen(found, drawn)),
        *([remedy_section(results.remedies, drawn)] if results.remedies is not None else []),
        Section("Send one yourself", living_blocks(drawn.get("pictures"), _LIVING)),
        Section("How often", [bars_table(found), Prose((f"For a model card: {found.badge}.",))]),
        *([ranking_section(results.ranking, drawn)] if results.ranking is not None else []),
        Section("How fast", [Prose((_DECIBELS,)), *_chosen(drawn, "curves"), marks_table(found)]),
        Section(
            "What is lost", [Prose((_PARTS,)), *_chosen(drawn, "parts"), Prose((_grown(found),)), parts_table(found)]
        ),
        *([flicker_section(results.flicker)] if results.flicker is not None else []),
        *([pattern_section(results.patterns, results.linearised, drawn)] if results.patterns is not None else []),
        *([end_section(results.limits)] if results.limits is not None else []),
        Section("Picture by picture", [pictures_table(found)]),
        Section("What cannot be concluded", [Bullets((*_CANNOT, *found.notes))]),
        Section("Protocol and provenance", [facts(provenance)]),
        versions_section(),
    ]
    advice = "" if results.remedies is None else str(results.remedies.statement.headline)
    statement = found.statement if decision is None else decision.followed_by(str(found.statement))
    return Page(
        f"How often may a picture pass through {found.model}?",
        statement.followed_by(advice),
        INTRODUCTION,
        [part for part in sections if part.blocks],
    )


def drift_figures(results: DriftResults) -> FigurePlan:
    """Say what to call for every figure, by the name of its file; no model is asked."""
    found = results.drift
    plan: FigurePlan = {}
    if len(found.pictures):
        plan["pictures"] = lambda _: Picture.of(
            drift_pictures(found), alt="The pictures after more and more trips, a row each."
        )
        plan["animation"] = lambda _: animation_of(found)
    plan["curves"] = lambda _: Picture.of(
        drift_curves(found),
        alt=f"PSNR falls from {_mean(found, 0):.1f} to {_mean(found, -1):.1f} dB over {found.trips} trips.",
        caption="Mean over the pictures, shaded where it would lie for other such pictures (95 %). Dashed: the bar.",
    )
    plan["parts"] = lambda _: Picture.of(
        drift_parts(found), alt="The squared error after each trip, as a stack of its parts, and their shares of it."
    )
    patterns, ranked, helped = results.patterns, results.ranking, results.remedies
    if helped is not None and len(helped.usual.pictures):
        plan["ways"] = lambda _: Picture.of(
            drift_ways(helped), alt=f"{found.names[0]} after {found.trips} trips, edited in {len(helped) + 1} ways."
        )
    if ranked is not None:
        plan["ranking"] = lambda _: Picture.of(
            drift_curves([found, *results.others], title="Model against model"),
            alt=f"PSNR and SSIM of {len(ranked)} models over the trips.",
        )
    if patterns is not None:
        plan["patterns"] = lambda _: Picture.of(drift_pattern_pictures(patterns), alt=patterns.sentence)
    return plan


BARS = (40.0, 35.0, 30.0, 25.0, 20.0)
"""PSNR in dB at which safe trips are told, from hardly visible to spoilt."""


def bars_table(found: Drift) -> Table:
    """Safe trips at several bars, that of the drift among them."""
    rows = []
    for bar in sorted({*BARS, found.bar}, reverse=True):
        safe = found.safe_trips(bar)
        rows.append(
            (f"{bar:g} dB", safe.words, percent(safe.alive[0] / safe.images), percent(safe.alive[-1] / safe.images))
        )
    return Table(
        ("bar", "safe trips", "pictures above it after 1 trip", f"after {found.trips}"),
        tuple(tuple(map(Cell, row)) for row in rows),
        f"Safe: {percent(SHARE)} of the pictures have never been below the bar so far. In brackets the interval for all such pictures, by "
        "the binomial law. 40 dB: hardly anybody sees a difference; 30 dB: seen when one looks closely; 20 dB: spoilt.",
        words=frozenset({0, 1}),
    )


def marks_table(found: Drift) -> Table:
    """One row per trip that is looked at."""
    table = found.table
    rows = []
    for mark in found.marks:
        at = {name: column[mark - 1] for name, column in table.items()}
        rows.append(
            (
                str(mark),
                f"{at['psnr']:.1f}{_between(at['psnr_low'], at['psnr_high'], '.1f')}",
                "–" if at["ssim"] != at["ssim"] else f"{at['ssim']:.3f}",
                f"{at['step_psnr']:.1f}",
                percent(at["above_the_bar"]),
                signed(at["brightness"], 3),
                f"{at['contrast']:.2f}",
            )
        )
    return Table(
        (
            "trips",
            "PSNR (95 %)",
            "SSIM",
            "PSNR of the last trip alone",
            f"still above {found.bar:g} dB",
            "brightness",
            "contrast",
        ),
        tuple(tuple(map(Cell, row)) for row in rows),
        f"{len(found):,} pictures; between trips: {', '.join(found.edits) or 'nothing'}. Still above: of the pictures, never below it so far. "
        "Brightness: change of the mean, white is 1. Contrast: in units of the original's.",
    )


def parts_table(found: Drift) -> Table:
    """Tabulate what the error is made of after the first and the last trip, and how fast each part grows."""
    mean = found.parts.mean(dim=0)
    whole = mean.sum(dim=1)
    rates = found.rates
    rows = []
    for index, part in enumerate(PARTS):
        shares = [percent(float(mean[trip, index] / whole[trip])) if whole[trip] > 0 else "–" for trip in (0, -1)]
        rate = rates[part]
        rows.append((part, *shares, "–" if rate != rate else f"{signed(100 * (rate - 1), 1)} %"))
    left = [found.gains[:, trip].nanmean(dim=0).tolist() for trip in (0, -1)]
    kept = "; ".join(
        f"{band}: {first:.2f}, then {last:.2f}"
        for band, first, last in zip(BANDS, *left, strict=True)
        if first == first
    )
    return Table(
        ("part of the squared error", "after 1 trip", f"after {found.trips} trips", "per trip"),
        tuple(tuple(map(Cell, row)) for row in rows),
        f"Per trip: by how much its size grows, over the later half. How much of the original's own detail is left, by the length of "
        f"its waves, after the first and the last trip: {kept}.",
    )


def pictures_table(found: Drift) -> Table:
    """One row per picture, at most forty."""
    known = found.rows_of_pictures
    rows = []
    for row in list(zip(*known.values(), strict=True))[:40]:
        name, *decibels, doubled = row
        rows.append(
            (
                str(name),
                *(f"{value:.1f}" for value in decibels),
                "never" if doubled == float("inf") else f"{doubled:.1f}",
            )
        )
    more = f" The first 40 of {len(found):,}." if len(found) > 40 else ""
    return Table(
        ("picture", *(f"{mark} trip{'' if mark == 1 else 's'}" for mark in found.marks), "error doubled after"),
        tuple(tuple(map(Cell, row)) for row in rows),
        f"PSNR in dB after so many trips, and the trip at which the error was twice that of the first.{more}",
    )


def _grown(found: Drift) -> str:
    """Say what the last trip leaves of brightness and contrast, and what grows fastest."""
    growing = {name: rate for name, rate in found.rates.items() if rate > 1.02}
    fastest = max(growing, key=lambda name: growing[name], default="")
    more = f" What grows fastest is {fastest}, by {100 * (growing[fastest] - 1):.0f} % per trip." if fastest else ""
    brightness, contrast = float(found.brightness[:, -1].mean()), float(found.contrast[:, -1].nanmean())
    return f"After the last trip brightness is {signed(brightness, 3)}, and contrast {contrast:.2f} of the original's.{more}"


def _seen(found: Drift, drawn: Mapping[str, Picture]) -> list[Block]:
    return [trips_player(found, drawn.get("pictures"), drawn.get("animation"))] if len(found.pictures) else []


def _chosen(drawn: Mapping[str, Picture], *names: str) -> list[Block]:
    return [drawn[name] for name in names if name in drawn]


def _between(low: float, high: float, pattern: str) -> str:
    return "" if low != low else f" ({low:{pattern}} to {high:{pattern}})"


def _mean(found: Drift, trip: int) -> float:
    return float(found.psnr[:, trip].mean())
