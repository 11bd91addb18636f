"""This file leads from the results of one model to its chapter, and to a page of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import torch

from separatrix.limitsets import Kind, LimitSets, triviality
from separatrix.limitsets._assemble import versions
from separatrix.orbits import Fate, Status
from separatrix.plots._naming import Name, names_of
from separatrix.plots._pictures import decoded_pictures, to_rgb, value_range
from separatrix.plots._style import colour
from separatrix.report._figures import figures_of
from separatrix.report._page import (
    Block,
    Bullets,
    Card,
    Cards,
    Chapter,
    Facts,
    Page,
    Picture,
    Prose,
    Section,
    Tile,
)
from separatrix.report._results import ModelResults
from separatrix.report._tables import (
    kind_words,
    limit_set_table,
    protocol_facts,
    provenance_facts,
    sensitivity_table,
)
from separatrix.studies import Resemblance
from separatrix.studies._resemblance_words import EXACT, most_unseen
from separatrix.words import Statement, counted, percent

INTRODUCTION = (
    "An autoencoder squeezes an image into a few numbers, its latent, and rebuilds the image from them. Do "
    "that again and again "
    "to its own output, and the latent drifts along a vector field that nobody trained.",
    "The drift ends at the attractors of the model. Decoded, an attractor is an image, and these images show "
    "what the model has stored: single "
    "training images, or prototypes of its own.",
)
_FEWEST_CARDS, _PIXELS = 48, 4_000_000  # numbers in the images of all cards, but for so many
LIBRARIES = ("scipy", "scikit-learn", "matplotlib")
"""On which numbers and figures rest, beside those that `versions` names by itself."""


def page_of(
    results: ModelResults, figures: Mapping[str, Picture] | None = None, *, shown: Collection[int] = ()
) -> Page:
    """A report on one model.

    Args:
        results: what is known about it.
        figures: by name, if they were rendered before.
        shown: limit sets that have a card elsewhere on the page, and get none in the chapter.
    """
    chapter = chapter_of(results, figures, shown=shown)
    return Page(
        f"The latent dynamics of {results.title}",
        chapter.statement,
        INTRODUCTION,
        (),
        (chapter,),
        (versions_section(),),
    )


def chapter_of(
    results: ModelResults, figures: Mapping[str, Picture] | None = None, *, shown: Collection[int] = ()
) -> Chapter:
    """All sections about one model; limit sets that are ``shown`` elsewhere get no card."""
    drawn = figures_of(results) if figures is None else figures
    sections = [
        _section("What it does to an image", drawn, "film"),
        _section("The field", drawn, "field"),
        Section(
            "What else it settles on" if shown else "What it settles on",
            [*_cards_beyond(results, shown), *_chosen(drawn, "nulls")],
        ),
        Section("Which start ends where", [*_chosen(drawn, "basins", "shares")]),
        Section("How long it takes", [*_chosen(drawn, "steps"), *_unfinished(results.searches)]),
        Section("Every limit set", [limit_set_table(results.searches), *_chosen(drawn, "spectrum")]),
    ]
    if results.sensitivity is not None:
        stable = "does not change" if results.sensitivity.stable else "CHANGES"
        words = f"The verified count {stable} when every tolerance is ten times tighter or looser."
        table = sensitivity_table(results.sensitivity, _starts_counted(results))
        sections.append(Section("How much the count depends on the rules", [Prose((words,)), table]))
    sections.append(Section("What would change this verdict", [Bullets(_would_change(results))]))
    sections.append(
        Section("Protocol and provenance", [protocol_facts(results.first), provenance_facts(results.searches)])
    )
    return Chapter(results.title, results.subtitle, statement_of(results), [part for part in sections if part.blocks])


def statement_of(results: ModelResults) -> Statement:
    """Return the strongest statement that these results allow."""
    if results.resemblance is not None:
        return results.resemblance.statement
    found = triviality(results.limits)
    if found.trivial:
        return found.statement
    return replace(found.statement, headline=counts_in_words(results.limits), detail=str(found.statement))


def counts_in_words(limits: LimitSets) -> str:
    """``"3 attractors"``, with what they are if they are not all fixed points, and what is left over.

    Never a bare count: starts that reached no attractor are named in the same breath.
    """
    attractors = limits.attractors
    curves = int((attractors.kind == int(Kind.CLOSED_CURVE)).sum())
    cycles = int((attractors.kind == int(Kind.CYCLE)).sum())
    words = counted(len(attractors), "attractor")
    special = [counted(count, what) for count, what in ((cycles, "cycle"), (curves, "closed curve")) if count]
    if special:
        words += f" ({' and '.join(special)} among them)"
    fates = limits.fates
    return f"{words}; {fates.words}" if fates.attractor < fates.starts else words


def versions_section() -> Section:
    """With which software the page was made."""
    return Section("Made with", [Facts(tuple(versions(*LIBRARIES).items()))])


def _section(title: str, drawn: Mapping[str, Picture], name: str) -> Section:
    return Section(title, _chosen(drawn, name))


def _chosen(drawn: Mapping[str, Picture], *names: str) -> list[Block]:
    return [drawn[name] for name in names if name in drawn]


def _cards_beyond(results: ModelResults, shown: Collection[int]) -> list[Block]:
    """Cards of the attractors that have none elsewhere on the page."""
    if not shown:
        return attractor_cards(results)
    rest = [index for index in (results.limits.stable == 1).nonzero().squeeze(1).tolist() if index not in shown]
    return attractor_cards(results, rest) if rest else [Prose(("Every attractor has its card above.",))]


def attractor_cards(
    results: ModelResults,
    order: Sequence[int] | None = None,
    *,
    names: Sequence[Name] | None = None,
    uncalled: str = "",
) -> list[Block]:
    """Attractors as images beside their nearest training images; a sentence where they are no images.

    Args:
        results: of the model.
        order: which limit sets and in which order; all that attract, most visited first, if not given.
        names: of all limit sets, where they are not those that `names_of` gives.
        uncalled: the badge of those that are not closer to one image than unseen images are.
    """
    limits = results.limits
    every = (limits.stable == 1).nonzero().squeeze(1).tolist() if order is None else list(order)
    if not every:
        return [Prose(("No attractor was found.",))]
    images = decoded_pictures(results.latent_field, limits.points[every[:1]])
    room = 1 if images is None else max(_FEWEST_CARDS, _PIXELS // images[0].numel())
    shown = every[:room]
    if images is not None and len(shown) > 1:
        images = decoded_pictures(results.latent_field, limits.points[shown])
    if images is None:
        return [
            Prose(
                (
                    "The decoder returns no images, so the attractors are not drawn; their numbers are in "
                    "the table below.",
                )
            )
        ]
    names = names_of(limits) if names is None else names
    rows = {} if results.resemblance is None else {s: row for row, s in enumerate(results.resemblance.sets.tolist())}
    partners, chosen = None, None
    if results.train is not None and results.resemblance is not None:
        chosen = results.resemblance.nearest[[rows[index] for index in shown]]
        partners = results.train[chosen].detach().to("cpu", torch.float64)
    shades = value_range(images) if partners is None else value_range(images, partners)
    decoded = to_rgb(images, shades)
    nearest = None if partners is None else to_rgb(partners, shades)
    whose = f"starts from {next(iter(results.searches))}" if results.together is None else "all starts"
    cards = []
    for place, index in enumerate(shown):
        name = names[index]
        lines, badge = _resemblance_lines(results, rows[index], uncalled) if rows else ((), "")
        lines = (*_more_than_a_point(limits, index), *lines)
        cards.append(
            Card(
                name.label,
                colour(name.rank),
                Tile.of(decoded[place], f"Attractor {name.label}, decoded"),
                None
                if nearest is None
                else Tile.of(nearest[place], f"The {results.noun} nearest to attractor {name.label}"),
                percent(float(limits.fractions[index])),
                lines,
                badge,
                results.noun,
                results.image_words(int(chosen[place])) if chosen is not None else "",
                quiet=badge == uncalled,
            )
        )
    more = f" Percentages are shares of {whose}."
    if len(every) > len(shown):
        more += f" The first {len(shown)} of {len(every)} are shown; all are in the table below."
    return [
        Cards(
            tuple(cards),
            f"Each attractor, decoded, beside the {results.noun} it is most like. Ratio: its distance to that image over that to "
            f"the next ten, 0 for a copy and near 1 for a mean; exact copy: below {EXACT:g}. Alone: of a lower ratio. p: how often an "
            f"unseen image is as close, or as alone, whichever is more often. In brackets: the median of unseen images.{more}"
            if nearest is not None
            else more.strip(),
        )
    ]


def _more_than_a_point(limits: LimitSets, index: int) -> tuple[str, ...]:
    """Name the kind of a set where the picture shows only one point of it."""
    kind = Kind(int(limits.kind[index]))
    return () if kind is Kind.FIXED_POINT else (f"{kind_words(limits, index)}; one of its points is shown",)


def _resemblance_lines(results: ModelResults, row: int, uncalled: str) -> tuple[tuple[str, ...], str]:
    found = results.resemblance
    assert found is not None
    lines = [f"{found.measure} {found.sign * float(found.coefficient[row]):.3g}"]
    if len(found.held_out):
        lines = [
            f"{lines[0]} (unseen {found.sign * float(found.held_out.quantile(0.5)):.3g})",
            f"ratio {float(found.ratio[row]):.2f}, p = {float(found.p_value[row]):.2g}",
        ]
    if bool(found.significant[row]):
        return tuple(lines), called_badge(found, row)
    return (*lines, *((_among_the_unseen(found, row),) if len(found.held_out) else ())), uncalled


def called_badge(found: Resemblance, row: int) -> str:
    """Return what is true of this called attractor, in a few words."""
    return "exact copy" if bool(found.exact[row]) else f"closer than {most_unseen(found.alpha)} of unseen"


def _among_the_unseen(found: Resemblance, row: int) -> str:
    """Say what share of the null each of the two scores exceeds."""
    closer = float((found.held_out < found.coefficient[row]).double().mean())
    words = f"closer than {percent(closer)} of the unseen"
    if not bool(found.ratio[row].isfinite()):
        return words
    return f"{words}, more alone than {percent(float((found.held_out_ratio > found.ratio[row]).double().mean()))}"


def _starts_counted(results: ModelResults) -> str:
    """Tell which starts the table of other rules is about: they may be fewer than those of the headline's count."""
    assert results.sensitivity is not None
    used, total = results.sensitivity.starts, len(results.first.labels)
    which = f"the same {total:,} starts" if used == total else f"the first {used:,} of the {total:,} starts"
    return f"{which} from {next(iter(results.searches))}" if len(results.searches) > 1 else which


def _unfinished(searches: Mapping[str, LimitSets]) -> list[Block]:
    """Return what became of the starts, and why some have no set, with the remedy, from the status of their orbits."""
    known = {int(status): status for status in Status}
    items = []
    for source, limits in searches.items():
        fates = limits.fates
        lost = limits.orbits.status[limits.labels < 0].tolist()
        whence = f" from {source}" if len(searches) > 1 else ""
        items.append(f"{source[0].upper()}{source[1:]}: {fates.words}." if whence else fates.sentence)
        if fates.saddle:
            items.append(f"At a saddle{whence}: {Fate.SADDLE.sentence}.")
        for value in sorted(set(lost)):
            status = known[value]
            remedy = f" Remedy: {status.remedy}." if status.remedy else ""
            items.append(f"{lost.count(value):,} × {status.name}{whence}: {status.sentence}.{remedy}")
    return [Bullets(tuple(items))] if items else []


def _would_change(results: ModelResults) -> tuple[str, ...]:
    reasons = results.resemblance.would_change if results.resemblance is not None else (
        f"Other starts: an attractor that none of these {len(results.limits.labels):,} starts reached is not "
        "in the table.",
        "Training and held-out images: without them it cannot be said whether the attractors are copies.",
    )  # fmt: skip
    audit = results.limits.audit
    return (*results.limits.notes, *([audit.sentence] if audit else []), *reasons)
