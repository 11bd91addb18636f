"""This file tells what a search found, as plain JSON-ready values: the content of summary.json and of ``--json``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch

from separatrix.limitsets import Kind, LimitSets, Sensitivity, basins, triviality
from separatrix.orbits import Fate, Status, fate_of_each
from separatrix.plots._naming import names_of
from separatrix.report import ModelResults
from separatrix.studies import Resemblance
from separatrix.words import jsonable

_STABLE = {1: True, 0: False, -1: None}


def attractors_summary(results: ModelResults) -> dict[str, Any]:
    """Everything about the first search of ``results`` that is a number or a sentence; unknown is None.

    The images are not in it: they are in the report and in the result folder.
    """
    limits = results.limits
    shares = basins(limits)
    found = triviality(limits)
    return jsonable(
        {
            "kind": "separatrix attractors",
            **limits.provenance,
            "starts": {"words": next(iter(results.searches)), **limits.provenance.get("starts", {})},
            "protocol": limits.protocol.to_dict(),
            "spread": limits.spread,
            "attractors": len(limits.attractors),
            "reached_once": int((limits.hits == 1).sum()),
            "fates": limits.fates.to_dict(),
            "sets": set_rows(limits),
            "statuses": status_rows(limits),
            "basin_entropy": shares.entropy,
            "triviality": {
                "trivial": found.trivial,
                "code": found.statement.slug,
                "sentence": str(found.statement),
            },
            "resemblance": None
            if results.resemblance is None
            else _resemblance(results.resemblance, results.image_name),
            "sensitivity": None if results.sensitivity is None else _sensitivity(results.sensitivity),
            "notes": list(limits.notes),
            "audit": limits.audit.sentence if limits.audit else None,
            "cost": {**asdict(limits.cost), "total": limits.cost.total},
        }
    )


def set_rows(limits: LimitSets) -> list[dict[str, Any]]:
    """One record per limit set, in their order; shares with 95 % intervals, steps of the starts that ended there."""
    shares = basins(limits)
    rows = []
    for index, name in enumerate(names_of(limits)):
        steps = limits.orbits.steps[(limits.labels == index) & limits.orbits.followed].to(torch.float64)
        rows.append(
            {
                "set": name.label,
                "kind": Kind(int(limits.kind[index])).words,
                "period": int(limits.period[index]),
                "stable": _STABLE[int(limits.stable[index])],
                "unstable_directions": int(limits.unstable_directions[index]),
                "hits": int(limits.hits[index]),
                "share": float(shares.fractions[index]),
                "share_low": float(shares.low[index]),
                "share_high": float(shares.high[index]),
                "spectral_radius": float(limits.spectral_radius[index]),
                "spectral_norm": float(limits.spectral_norm[index]),
                "residual": float(limits.residual[index]),
                "steps_median": float(steps.quantile(0.5)) if len(steps) else math.nan,
                "steps_p95": float(steps.quantile(0.95)) if len(steps) else math.nan,
            }
        )
    return rows


def status_rows(limits: LimitSets) -> list[dict[str, Any]]:
    """Count how many starts had which fate and whose orbits ended with which status, most first, with sentence and remedy."""
    orbits = limits.orbits
    pairs = zip(fate_of_each(orbits.status, limits.labels, limits.stable).tolist(), orbits.status.tolist(), strict=True)
    known, fates = {int(status): status for status in Status}, list(Fate)
    return [
        {
            "fate": fates[fate].short,
            "status": known[status].name,
            "count": count,
            "share": count / max(len(limits.labels), 1),
            "sentence": known[status].sentence if fates[fate] is not Fate.SADDLE else Fate.SADDLE.sentence,
            "remedy": "" if fates[fate].on_a_set else known[status].remedy,
        }
        for (fate, status), count in sorted(Counter(pairs).items(), key=lambda item: (-item[1], item[0]))
    ]


def _resemblance(found: Resemblance, name_of: Callable[[int], str | None]) -> dict[str, Any]:
    columns = ("index", "coefficient", "nearest", "ratio", "p_value", "q_value", "called", "exact")
    values = (
        found.sets, found.coefficient, found.nearest, found.ratio, found.p_value, found.q_value,
        found.significant, found.exact,
    )  # fmt: skip
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*(v.tolist() for v in values), strict=True)]
    for row in rows:
        row["nearest_name"] = name_of(row["nearest"])
    return {
        "outcome": str(found.outcome),
        "code": found.statement.slug,
        "verdict": str(found.statement),
        "would_change": list(found.would_change),
        "alpha": found.alpha,
        "distance": found.distance,
        "closest": float(found.coefficient.max()) if len(found) else None,
        "held_out_median": float(found.held_out.quantile(0.5)) if len(found.held_out) else None,
        "noise_median": float(found.noise.quantile(0.5)),
        "attractors": rows,
        "overlap": found.overlap.record(),
        **found.provenance,
    }


def _sensitivity(table: Sensitivity) -> dict[str, Any]:
    return {"stable": table.stable, "starts": table.starts, "rows": [asdict(row) for row in table.rows]}
