"""Sections of a drift's page beside the drift itself: what helps, which patterns grow, who is best, where it ends, and flicker."""

from __future__ import annotations

from collections.abc import Mapping

from separatrix.limitsets import LimitSets
from separatrix.report._page import Block, Bullets, Cell, Picture, Prose, Section, Table
from separatrix.studies import DriftRanking, Flicker, Linearisation, Patterns, Remedies
from separatrix.words import counted, percent, signed

_WAYS = (
    "The first of these pictures, as many trips, edited in other ways. Whoever works with a tool that keeps the latent, or pastes the untouched part "
    "back, sees at once what that is worth with this model."
)
_PATTERNS = (
    "Some faint patterns are made stronger by every trip, whatever the picture shows, and others die. Above: patterns that grow, with the "
    "factor per trip. Below: what a single trip enlarges most, and what it becomes. A pattern with a factor below 1 fades."
)
_RANKING = "All models had the same pictures. The order is that after the last trip; a model that looks best after a single one need not stay so."


def remedy_section(found: Remedies, drawn: Mapping[str, Picture]) -> Section:
    """The section says what to do, with its evidence."""
    figure = [drawn["ways"]] if "ways" in drawn else []
    return Section("What to do about it", [Prose((str(found.statement), _WAYS)), *figure, remedy_table(found)])


def remedy_table(found: Remedies) -> Table:
    """One row per way to edit."""
    last = found.usual.trips
    usual = float(found.usual.psnr[:, -1].mean())
    rows = [("as usual", f"{usual:.1f}", "", str(last), f"{found.usual.safe.trips}")]
    for row in zip(*found.table.values(), strict=True):
        way, psnr, gain, low, high, counts, safe, inside = row
        between = "" if low != low else f" ({signed(low, 1)} to {signed(high, 1)})"
        within = "" if found.edited[way] == 1 else f"; {inside:.1f} inside"
        as_many = f"more than {last}" if counts > last else str(counts)
        rows.append((way, f"{psnr:.1f}{within}", f"{signed(gain, 1)}{between}", as_many, str(safe)))
    return Table(
        (
            "way to edit",
            f"PSNR after {last} trips",
            "more than usual (95 %)",
            "counts as usual trips",
            f"safe trips at {found.usual.bar:g} dB",
        ),
        tuple(tuple(map(Cell, row)) for row in rows),
        f"The first {counted(len(found.usual), 'picture')}; usual: {', '.join(found.usual.edits) or 'nothing'} between trips. Counts as: after so many usual trips "
        "pictures are as bad. Paste back: only the middle quarter is edited, and the rest taken from the original again.",
    )


def pattern_section(found: Patterns, linear: Linearisation | None, drawn: Mapping[str, Picture]) -> Section:
    """The section shows which patterns grow, which die, and how far the derivative can tell the loss."""
    blocks: list[Block] = [Prose((_PATTERNS, found.sentence))]
    blocks += [drawn["patterns"]] if "patterns" in drawn else []
    rows = [
        (Cell(str(band)), Cell(str(kind)), Cell("–" if left != left else f"{round(100 * left) + 0:d} %"))
        for band, kind, left in zip(*found.table.values(), strict=True)
    ]
    blocks.append(
        Table(
            ("waves of a length", "of", "left after one trip"),
            tuple(rows),
            "Faint noise of each kind is added to the picture: so much of it is still there after one trip.",
            words=frozenset({0, 1}),
        )
    )
    if linear is not None:
        blocks.append(Prose((linear.sentence,)))
        table = linear.table
        blocks.append(
            Table(
                ("trip", "PSNR predicted", "PSNR measured"),
                tuple(
                    tuple(map(Cell, (str(trip), f"{predicted:.1f}", f"{measured:.1f}")))
                    for trip, predicted, measured in zip(*table.values(), strict=True)
                ),
                f"{counted(len(linear), 'picture')}, round trips without rounding. Predicted: the first loss carried along by the derivative of the round "
                "trip at the original.",
            )
        )
    return Section("Which patterns grow, and which die", blocks)


def ranking_section(found: DriftRanking, drawn: Mapping[str, Picture]) -> Section:
    """The section says who keeps these pictures best."""
    figure = [drawn["ranking"]] if "ranking" in drawn else []
    return Section("Model against model", [Prose((str(found.statement), _RANKING)), *figure, ranking_table(found)])


def ranking_table(found: DriftRanking) -> Table:
    """One row per model, best first."""
    rows = []
    for index, name in enumerate(found.models):
        mean, low, high = found.behind[index, -1].tolist()
        behind = "" if index == 0 else f"{mean:.1f}" + ("" if low != low else f" ({low:.1f} to {high:.1f})")
        psnr = [f"{value:.1f}" for value in found.psnr[index].tolist()]
        doubled = found.doubled[index]
        rows.append((name, *psnr, behind, found.safe[index], "never" if doubled == float("inf") else f"{doubled:.1f}"))
    return Table(
        ("model", *(f"{mark} trip{'' if mark == 1 else 's'}" for mark in found.marks), "behind the first (95 %)",
         f"safe trips at {found.bar:g} dB", "error doubled after"),
        tuple(tuple(map(Cell, row)) for row in rows),
        "Mean PSNR in dB after so many trips. Behind: after the last trip, on the same pictures, with the interval over pictures.",
    )  # fmt: skip


def end_section(limits: LimitSets) -> Section:
    """The section says where the orbits of the pictures' codes end, in the words of every search."""
    fates = limits.fates
    why = [
        f"{counted(count, 'orbit')}: {status.sentence}."
        for status, count in limits.orbits.counts.items()
        if count and not status.reached_limit_set
    ]
    lead = f"The codes of {counted(fates.starts, 'picture')} were followed for up to {limits.protocol.max_steps:,} round trips, without any rounding."
    return Section("Where it ends", [Prose((lead, fates.sentence)), *([Bullets(tuple(why))] if why else [])])


def flicker_section(found: Flicker) -> Section:
    """The section says how much of the loss changes from frame to frame."""
    rows = [
        (str(row[0]), *(f"{value:.3g}" for value in row[1:3]), percent(row[3]), f"{row[4]:.2f}")
        for row in zip(*found.table.values(), strict=True)
    ]
    return Section(
        "Flicker",
        [
            Prose((str(found.statement),)),
            Table(
                ("trips", "squared error", "of it flicker", "share", "frame-to-frame change"),
                tuple(tuple(map(Cell, row)) for row in rows),
                f"{found.frames:,} frames in their order. Flicker: variance over time of the loss at each place; the rest of the error stands still. "
                "Frame-to-frame change: of what comes out, in units of that of the original frames.",
            ),
        ],
    )
