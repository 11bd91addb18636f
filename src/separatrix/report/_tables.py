"""Results as rows: the limit sets, the sensitivity of their count, and where the numbers come from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from separatrix.limitsets import Kind, LimitSets, Sensitivity, SensitivityRow, basins
from separatrix.limitsets._sensitivity import VERIFIED
from separatrix.plots._naming import names_across
from separatrix.plots._style import colour
from separatrix.report._page import Cell, Facts, Table
from separatrix.words import percent

_STABILITY = {1: "attracts", 0: "does not attract", -1: "unknown"}
_MOST_ROWS = 60  # a browser lays out tables whole, and thousands of rows would take it seconds


def limit_set_table(searches: Mapping[str, LimitSets]) -> Table:
    """One row per limit set that any search found; the numbers are from the first search that found it."""
    rows: dict[str, list[Cell]] = {}
    shares: dict[str, dict[str, str]] = {}
    for (source, limits), names in zip(searches.items(), names_across(searches.values()), strict=True):
        found = basins(limits)
        for index, name in enumerate(names):
            rows.setdefault(name.label, _set_cells(limits, index, name.label, colour(name.rank)))
            low, high = float(found.low[index]), float(found.high[index])
            share = f"{percent(float(found.fractions[index]))} ({percent(low)} – {percent(high)})"
            shares.setdefault(name.label, {})[source] = share
    heads = (
        "set",
        "kind",
        "stability",
        *(f"share of {source}" for source in searches),
        "ρ",
        "‖J‖₂",
        "residual",
        "steps",
    )
    body = [
        (*cells[:3], *(Cell(shares[label].get(source, "–")) for source in searches), *cells[3:])
        for label, cells in list(rows.items())[:_MOST_ROWS]
    ]
    curves = any(bool((limits.kind == int(Kind.CLOSED_CURVE)).any()) for limits in searches.values())
    of_curves = " For a closed curve ρ is the factor per step by which the distance to it changes." if curves else ""
    left_out = f" {len(rows) - _MOST_ROWS} more sets are in summary.json." if len(rows) > _MOST_ROWS else ""
    return Table(
        heads,
        tuple(body),
        "Shares with exact 95 % intervals (Clopper–Pearson); a dash: none of these starts ended there. ρ: spectral radius of the Jacobian, below 1 the set attracts."
        f"{of_curves} ‖J‖₂: spectral norm, below 1 the map contracts there. Residual: ‖f(z) − z‖. Steps: median over the "
        f"starts that end there.{left_out}",
        words=frozenset({0, 1, 2}),
    )


def _set_cells(limits: LimitSets, index: int, name: str, hue: str) -> list[Cell]:
    steps = limits.orbits.steps[(limits.labels == index) & limits.orbits.followed].to(torch.float64)
    return [
        Cell(name, hue=hue),
        Cell(kind_words(limits, index)),
        Cell(_STABILITY[int(limits.stable[index])]),
        Cell(_number(float(limits.spectral_radius[index]), ".4f")),
        Cell(_number(float(limits.spectral_norm[index]), ".4f")),
        Cell(_number(float(limits.residual[index]), ".1e")),
        Cell(f"{float(steps.quantile(0.5)):,.0f}" if len(steps) else "–"),
    ]


def kind_words(limits: LimitSets, index: int) -> str:
    """Return what a set is, such as ``"closed curve"`` or ``"cycle, period 3"``."""
    kind = Kind(int(limits.kind[index]))
    return f"{kind.words}, period {int(limits.period[index])}" if kind is Kind.CYCLE else kind.words


def sensitivity_table(sensitivity: Sensitivity, starts: str) -> Table:
    """The count by rule (columns) and stop threshold (rows).

    ``starts``: in words, those that were counted, such as ``"the first 24 of the 128 starts"``.
    """
    rules = list(dict.fromkeys(_rule(row) for row in sensitivity.rows))
    counts = {(row.stop, _rule(row)): row for row in sensitivity.rows}
    body = []
    for stop in sorted({row.stop for row in sensitivity.rows}, reverse=True):
        cells = [
            _count(counts.get((stop, rule)), sensitivity.starts, muted=place > 0) for place, rule in enumerate(rules)
        ]
        body.append((Cell(f"{stop:.0e}"), *cells))
    return Table(
        ("stop at", *rules),
        tuple(body),
        f"Number of attractors that each way of counting finds from {starts}. First column: with every tolerance as asked "
        "for, ten times tighter and ten times looser. The others: what a loop reports that stops at a small "
        "step and merges end "
        "points without checking them. Stop and merge thresholds are shares of the spread of the starts, or "
        "a cosine.",
    )


def _rule(row: SensitivityRow) -> str:
    """The head of a column; the merge threshold of the verified count follows its stop threshold."""
    return row.rule if row.rule == VERIFIED else f"{row.rule}, {row.merge:g}"


def _count(row: SensitivityRow | None, starts: int, *, muted: bool) -> Cell:
    if row is None:
        return Cell("")
    return Cell(f"{row.count}" + (f" ({row.counted} of {starts} starts)" if row.counted < starts else ""), muted=muted)


def protocol_facts(limits: LimitSets) -> Facts:
    """Every choice on which the count depends."""
    entries = [("spread of the starts", f"{limits.spread:.6g} (the unit of all lengths)")]
    return Facts((*entries, *_flattened(limits.protocol.to_dict())))


def provenance_facts(searches: Mapping[str, LimitSets]) -> Facts:
    """Model, starts, cost and versions."""
    first = next(iter(searches.values()))
    entries = list(_flattened({key: value for key, value in first.provenance.items() if key != "starts"}))
    for source, limits in searches.items():
        cost = limits.cost
        described = ", ".join(f"{key} {value}" for key, value in _flattened(limits.provenance.get("starts", {})))
        entries.append((f"starts: {source}", f"{len(limits.labels):,}" + (f" ({described})" if described else "")))
        entries.append(
            (
                f"cost: {source}",
                f"{cost.map:,} map evaluations, {cost.vjp:,} vjp, {cost.jvp:,} jvp (together "
                f"{cost.total:,.0f} evaluations)",
            )
        )
    return Facts(tuple(entries))


def facts(record: Mapping[str, Any]) -> Facts:
    """The entries of a record, those of records in it under both names; what is unknown is left out."""
    return Facts(tuple(_flattened(record)))


def _flattened(values: Mapping[str, Any], prefix: str = "") -> Sequence[tuple[str, str]]:
    entries: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{str(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            entries += _flattened(value, f"{name}: ")
        elif value is not None:
            entries.append((name, _said(value)))
    return entries


def _said(value: Any) -> str:
    """A value as people write it, not as Python does."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(value: float, pattern: str) -> str:
    return f"{value:{pattern}}" if math.isfinite(value) else "unknown"
