"""The page of a comparison of two models: which inputs end together in both, and which attractors are the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from separatrix.field import LatentField
from separatrix.limitsets import LimitSets
from separatrix.plots import basin_overlap
from separatrix.plots._pictures import decoded_pictures, to_rgb, value_range
from separatrix.plots._style import colour
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
)
from separatrix.report._tables import facts
from separatrix.studies import Comparison
from separatrix.words import percent

INTRODUCTION = (
    "Each model rebuilds its own output again and again, until that changes no more: it has reached one of its attractors. Two models "
    "are compared by where the same inputs end. Do those that end together in A end together in B as well? And are the attractors "
    "themselves the same, once the two latent spaces have been laid over each other?",
    "The agreement of the basins is adjusted for chance: 1 says that both models sort the inputs into the same groups, 0 is what shuffled "
    "groups reach. Read it beside what equally good models reach: that is below 1 if A does not agree with itself or with another run of its recipe.",
)
_CANNOT = (
    "How different is too different: that depends on what the models are for.",
    "Anything about inputs that reach no attractor in one of the models: they are left out, and counted.",
    "That matched attractors have the same basin: a quantised copy can keep every attractor and move the boundaries.",
)
_MOST_CARDS, _MOST_ROWS = 24, 30


def difference_page(
    found: Comparison,
    names: tuple[str, str],
    fields: tuple[LatentField, LatentField],
    searches: tuple[LimitSets, LimitSets],
    provenance: Mapping[str, Any],
    drawn: Mapping[str, Picture],
) -> Page:
    """The agreement first, then the basins, then the attractors, each beside what chance would give.

    Args:
        found: the comparison.
        names: what A and B are called.
        fields: decode the attractors.
        searches: of A and B, with what became of the starts.
        provenance: models, starts, protocol and cost.
        drawn: the pictures ``overlap``, ``field_a`` and ``field_b``, as far as they were drawn.
    """
    overlap: list[Block] = [drawn["overlap"]] if "overlap" in drawn else []
    fates = tuple(f"{model}: {limits.fates.words}." for model, limits in zip("AB", searches, strict=True))
    sections = [
        Section("Read this first", [Bullets(found.notes)] if found.notes else []),
        Section("Which inputs end together", [*overlap, _agreement(found)]),
        Section(
            "Attractors of A, and those of B that hold the same inputs", [*_cards(found, fields), pair_table(found)]
        ),
        Section("The field of A", [drawn["field_a"]] if "field_a" in drawn else []),
        Section("The field of B", [drawn["field_b"]] if "field_b" in drawn else []),
        Section(
            "Attractors in shared spaces",
            [view_table(found), Bullets(tuple(view.sentence for view in found.views.values()))],
        ),
        Section("What became of the starts", [Bullets(fates)]),
        Section("What cannot be concluded", [Bullets(_CANNOT)]),
        Section("Protocol and provenance", [facts(provenance)]),
        versions_section(),
    ]
    return Page(
        f"{names[0]} and {names[1]}",
        found.statement,
        (f"A is {names[0]}, and B is {names[1]}.", *INTRODUCTION),
        [part for part in sections if part.blocks],
    )


def overlap_picture(found: Comparison) -> Picture:
    """The basins of one model against those of the other."""
    return Picture.of(
        basin_overlap(found),
        alt=f"Share of the starts in each basin of A and of B. {found.statement}",
        caption="Rows: attractors of A, most visited first. Columns: attractors of B, in the order of their partners. Cells off the "
        "diagonal hold inputs that A and B sort differently.",
    )


def pair_table(found: Comparison) -> Table:
    """The attractors of A, most visited first, and where their starts go in B."""
    columns = (found.share.tolist(), found.partner.tolist(), found.similarity.tolist())
    rows = [
        (f"A{index}", percent(share), "–" if partner < 0 else f"B{partner}", _number(similarity, ".2f"))
        for index, (share, partner, similarity) in enumerate(zip(*columns, strict=True))
    ]
    left_out = f" {len(rows) - _MOST_ROWS} more are in summary.json." if len(rows) > _MOST_ROWS else ""
    return Table(
        ("of A", "share of starts", "of B", "overlap of basins"),
        _cells(rows[:_MOST_ROWS]),
        "Overlap: inputs that end on both, as a share of those that end on one of the two; 1 is the same basin, a dash says "
        f"that no basin is left in B.{left_out}",
        words=frozenset(),
    )


def view_table(found: Comparison) -> Table:
    """Tabulate how near the attractors are in each space that both models share, and how near random data would be."""
    rows = [
        (
            name,
            f"{view.matched} of {len(found.limits_a)}",
            _number(view.mean_distance, ".3f"),
            _number(view.null_mean, ".3f"),
            _number(view.p_value, ".3f"),
            _number(view.fit, ".3f"),
        )
        for name, view in found.views.items()
    ]
    return Table(
        ("attractors compared", "matched", "distance", "random data", "p", "fit r²"),
        _cells(rows),
        "Latent: as they are. Procrustes: after the rotation that lays shared inputs best over each other; r² on inputs that it was not "
        "fitted to. Relative: by their cosines with shared inputs. Decoded: what they decode to. Distances are in spreads of the shared "
        "inputs; random data stand in the place of A's attractors, and p says how often they come as near.",
    )


def _agreement(found: Comparison) -> Facts:
    entries = (
        ("adjusted mutual information", _number(found.ami, ".3f")),
        ("adjusted Rand index", _number(found.ari, ".3f")),
        ("shuffled groups, 1 in 20", _number(found.null_high, ".3f")),
        ("p", _number(found.p_value, ".3f")),
        ("inputs that count", f"{found.counted:,} of {found.starts:,}"),
        ("A with itself", _number(found.rerun, ".3f")),
        ("A from other seeds", ", ".join(_number(value, ".3f") for value in found.reseeded) or "–"),
    )
    return Facts(entries)


def _cards(found: Comparison, fields: tuple[LatentField, LatentField]) -> list[Block]:
    """The attractors of A as images beside their partners in B, where both decode to images."""
    count = min(len(found.limits_a), _MOST_CARDS)
    if not count or not len(found.limits_b):
        return []
    partners = found.partner[:count].clamp(min=0)
    own = decoded_pictures(fields[0], found.limits_a.points[:count])
    theirs = decoded_pictures(fields[1], found.limits_b.points[partners])
    if own is None or theirs is None:
        return []
    shades = (value_range(own), value_range(theirs)) if own.shape != theirs.shape else (value_range(own, theirs),) * 2
    pairs = zip(to_rgb(own, shades[0]), to_rgb(theirs, shades[1]), strict=True)
    cards = []
    for index, (mine, other) in enumerate(pairs):
        partner = int(found.partner[index])
        matched = partner >= 0
        cards.append(
            Card(
                f"A{index}",
                colour(index),
                Tile.of(mine, f"Attractor A{index}, decoded"),
                Tile.of(other, f"Attractor B{partner}, decoded") if matched else None,
                percent(float(found.share[index])),
                (f"overlap of the basins {float(found.similarity[index]):.2f}",)
                if matched
                else ("no basin is left in B",),
                noun=f"B{partner}",
            )
        )
    return [
        Cards(
            tuple(cards),
            "Attractors of A, decoded, each beside the attractor of B whose basin is most like its own. Percentages are shares of the starts.",
        )
    ]


def _cells(rows: Sequence[Sequence[str]]) -> tuple[tuple[Cell, ...], ...]:
    return tuple(tuple(map(Cell, row)) for row in rows)


def _number(value: float, pattern: str) -> str:
    return format(value, pattern) if math.isfinite(value) else "–"
