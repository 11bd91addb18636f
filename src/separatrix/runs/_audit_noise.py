"""This file tells what an audit writes of the attractors that only noise reaches: a section of its page, and a part of its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from separatrix.plots._naming import names_across
from separatrix.plots._style import colour
from separatrix.report import ModelResults
from separatrix.report._chapter import attractor_cards
from separatrix.report._memorization import NOT_CLOSER, STARTS
from separatrix.report._page import Cell, Prose, Section, Table
from separatrix.studies import MemorizationAudit, NoiseOnly

_MOST_ROWS, _MOST_CARDS = 24, 12


def noise_section(audit: MemorizationAudit, results: ModelResults) -> tuple[Section, ...]:
    """Pictures and the judged table of these attractors, smallest p-value first; nothing where there are none.

    ``results``: of all searches, of which that from noise is the last.
    """
    found = audit.memorization.noise_only
    if found is None:
        return ()
    like = audit.memorization.resemblance
    order = found.p_value.argsort(stable=True)[:_MOST_ROWS].tolist()
    names = names_across(results.searches.values())[-1]
    sets = found.sets[order].tolist()
    rows = tuple(
        (
            Cell(names[index].label, hue=colour(names[index].rank)),
            Cell(f"{int(found.hits[row]):,}"),
            Cell(results.image_words(int(found.nearest[row]))),
            Cell(f"{like.sign * float(found.coefficient[row]):.3f}"),
            Cell(f"{float(found.ratio[row]):.3f}"),
            Cell(f"{float(found.p_value[row]):.2g}"),
            Cell(f"{float(found.q_value[row]):.2g}"),
            Cell(("exactly" if bool(found.exact[row]) else "yes") if bool(found.significant[row]) else "no"),
        )
        for index, row in zip(sets, order, strict=True)
    )
    shown = "" if len(order) == len(found) else f" The first {len(order)} of {len(found)} are shown."
    table = Table(
        ("set", "noise starts", "nearest training image", like.measure, "ratio", "p", "q", "gives it back"),
        rows,
        "Ratio: distance to that image over that to the next ten. p: how often an unseen image is as close, or as alone; q: the same "
        f"adjusted for all attractors, those that training images lead to included.{shown}",
    )
    drawn = replace(results, searches={STARTS["noise"]: audit.noise}, resemblance=found.beside(like))
    cards = attractor_cards(drawn, sets[:_MOST_CARDS], names=names, uncalled=NOT_CLOSER)
    return (Section("Attractors that noise reaches and no training image", [Prose((found.sentence,)), *cards, table]),)


def noise_record(audit: MemorizationAudit) -> dict[str, Any] | None:
    """JSON-ready numbers; None where noise reaches nothing of its own."""
    found = audit.memorization.noise_only
    if found is None:
        return None
    return {
        **_columns(found),
        "nearest_names": names_at(audit.names, found.nearest.tolist()),
        "images_by_noise_alone": audit.by_noise_alone.tolist(),
        "names_by_noise_alone": names_at(audit.names, audit.by_noise_alone.tolist()),
    }


def names_at(names: Mapping[int, str], rows: Sequence[int]) -> list[str] | None:
    """The names of these images; None where images have no names beyond their row numbers.

    >>> names_at(("a.png", "b.png"), [1]), names_at((), [1])
    (['b.png'], None)
    """
    return [names[row] for row in rows] if names else None


def _columns(found: NoiseOnly) -> dict[str, Any]:
    return {
        "attractors": len(found),
        "sentence": found.sentence,
        "hits": found.hits.tolist(),
        "nearest": found.nearest.tolist(),
        "coefficient": found.coefficient.tolist(),
        "ratio": found.ratio.tolist(),
        "p_value": found.p_value.tolist(),
        "q_value": found.q_value.tolist(),
        "gives_back": found.significant.tolist(),
        "exact": found.exact.tolist(),
    }
