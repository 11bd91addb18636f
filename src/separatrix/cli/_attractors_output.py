"""This file tells what ``separatrix attractors`` prints: the numbers of summary.json as tables and sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from separatrix.cli._tables import heading, labelled, number, steps, table
from separatrix.words import counted, duration, percent

if TYPE_CHECKING:
    from separatrix.field import LatentField
    from separatrix.limitsets import Estimate, Forecast
    from separatrix.protocol import Protocol
    from separatrix.starts import Starts

_MOST_ROWS = 30
_STABLE = {True: "yes", False: "no", None: "unknown"}


def header(field: LatentField, source: Starts, preset: str, rules: Protocol) -> RenderableType:
    """Return what is about to be done, before it takes a while."""
    unit = "of the spread" if rules.stop == "error" else "squared step"
    return labelled(
        (
            ("model", field.title),
            ("starts", source.describe()),
            ("protocol", f"{preset}: tolerance {rules.tolerance:g} {unit}, at most {rules.max_steps:,} steps"),
        )
    )


def forecast_tables(expected: Forecast) -> list[RenderableType]:
    """Tell what a search would cost, and how sure that is."""
    rows = [("map evaluations", *_three(expected.evaluations, lambda value: f"{value:,.0f}"))]
    rows += [
        (f"time with {counted(int(workers), 'worker')}", *_three(seconds, duration))
        for workers, seconds in expected.seconds_by_workers.items()
    ]
    sizes = {
        "memory of the process that searches": expected.coordinator,
        "memory of a worker": expected.worker,
        "result on disk": expected.result,
        "state on disk while it runs": expected.checkpoint,
    }
    guessed = f", {counted(expected.sampled, 'start')} ended by what a sample did" if expected.sampled else ""
    return [
        heading("What the search would cost"),
        table(
            ("", "expected", "low", "high"), [*rows, *((what, _bytes(size), "", "") for what, size in sizes.items())]
        ),
        Text(
            f"From {counted(expected.looked, 'start')} drawn at random: {expected.cost:,.0f} evaluations, {duration(expected.spent)}"
            f"{guessed}. Low and high: nine searches of ten lie between. More workers: if nothing is lost between them.",
            style="dim",
        ),
    ]


def _three(value: Estimate, words: Callable[[float], str]) -> tuple[str, str, str]:
    return words(value.expected), words(value.low), words(value.high)


def _bytes(count: int) -> str:
    """Write it in the largest unit that it fills, such as ``620 MB``."""
    size, unit = next(
        ((size, unit) for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")) if count >= size), (1e3, "kB")
    )
    return f"{count / size:,.3g} {unit}"


def limit_sets(summary: Mapping[str, Any]) -> list[RenderableType]:
    """One row per limit set, most visited first."""
    rows = summary["sets"]
    if not rows:
        return [heading("No limit set was found.")]
    heads = ("set", "kind", "share (95 %)", "hits", "ρ", "‖J‖₂", "stable", "steps")
    parts: list[RenderableType] = [
        heading(_found(len(rows), summary["attractors"])),
        table(heads, [_set_row(row) for row in rows[:_MOST_ROWS]], words=(0, 1)),
    ]
    if len(rows) > _MOST_ROWS:
        parts.append(Text(f"… and {len(rows) - _MOST_ROWS:,} more, on the page and in summary.json", style="dim"))
    parts.append(
        Text(
            "ρ: the factor per step by which distances to the set change in the long run; below 1 it attracts. ‖J‖₂ < 1 is "
            "stricter: there the map contracts in every single step. Steps: median and 95th percentile. Residuals are in "
            "summary.json.",
            style="dim",
        )
    )
    if singles := summary["reached_once"]:
        # Good–Turing: the expected share of the next starts that sees something new is singles/n (Good, Biometrika 1953).
        missing = percent(singles / summary["fates"]["starts"])
        which = "One set was" if singles == 1 else f"{singles} sets were"
        parts.append(
            Text(
                f"{which} reached by a single start: about {missing} of further starts would find a set that is not here."
            )
        )
    return parts


def _set_row(row: Mapping[str, Any]) -> Sequence[str]:
    kind = f"cycle of {row['period']}" if row["kind"] == "cycle" else row["kind"]
    return (
        row["set"],
        kind,
        f"{percent(row['share'])} ({100 * row['share_low']:.0f}–{100 * row['share_high']:.0f})",
        f"{row['hits']:,}",
        number(row["spectral_radius"], ".4f"),
        number(row["spectral_norm"], ".3g"),
        _STABLE[row["stable"]],
        steps(row["steps_median"], row["steps_p95"]),
    )


def statuses(summary: Mapping[str, Any]) -> list[RenderableType]:
    """Say what became of the starts, with the remedy where they reached no limit set."""
    rows = [
        (
            row["fate"],
            row["status"].lower(),
            f"{row['count']:,}",
            percent(row["share"]),
            f"{row['sentence']}; {row['remedy']}" if row["remedy"] else row["sentence"],
        )
        for row in summary["statuses"]
    ]
    return [
        heading(f"What became of the starts: {summary['fates']['sentence']}"),
        table(("fate", "status", "starts", "share", "meaning"), rows, words=(0, 1, 4)),
    ]


def sensitivity_table(record: Mapping[str, Any]) -> list[RenderableType]:
    """The count by other rules."""
    verdict = "does not change" if record["stable"] else "CHANGES"
    rows = [
        (row["rule"], f"{row['stop']:.0e}", f"{row['merge']:.4g}", str(row["count"]), str(row["counted"]))
        for row in record["rows"]
    ]
    return [
        heading(f"The count {verdict} when every tolerance is ten times tighter or looser"),
        table(("way of counting", "stop", "merge", "attractors", "starts counted"), rows),
        Text("Below the verified rows: what loops report that stop at a small step and check nothing.", style="dim"),
    ]


def verdict(summary: Mapping[str, Any], seconds: float) -> list[RenderableType]:
    """Return what it cost, what a reader must know first, and what may be concluded."""
    cost = summary["cost"]
    products = f" and {cost['vjp'] + cost['jvp']:,} derivative products" if cost["vjp"] + cost["jvp"] else ""
    spent = f"{cost['map']:,} map evaluations{products}"
    trivial = summary["triviality"]["sentence"]
    lines = [Text(f"\nCost of the search: {spent}. With figures and report: {duration(seconds)}.", style="dim")]
    lines += [Text(summary["audit"], style="dim")] if summary["audit"] else []
    lines += [Text(f"Note: {note}") for note in summary["notes"] if note != trivial]
    if not summary["fates"]["limit_set"]:
        lines.append(Text("\nNo start reached a limit set, so nothing can be said about attractors.", style="bold red"))
        return [*lines, Text("")]
    found = summary["resemblance"]
    if found is None:
        return [*lines, Text(f"\n{trivial}", style="bold"), Text("")]
    if found["code"] != "trivial":
        lines.append(Text(f"\n{trivial}"))
    reasons = [Text(f"  · {reason}", style="dim") for reason in found["would_change"]]
    return [
        *lines,
        Text(f"\n{found['verdict']}", style="bold"),
        Text("What would change this:", style="dim"),
        *reasons,
        Text(""),
    ]


def _found(count: int, attracting: int) -> str:
    """``"3 limit sets, 2 of them attract"``."""
    if count == 1:
        return "1 limit set, which attracts" if attracting else "1 limit set, which does not attract"
    which = "all of them" if attracting == count else f"{attracting:,} of them" if attracting else "none of them"
    return f"{count:,} limit sets, {which} attract{'s' if not attracting else ''}"
