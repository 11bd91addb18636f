"""The page and the model-card section of a memorization audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from separatrix.report._chapter import attractor_cards, page_of
from separatrix.report._markdown import escaped
from separatrix.report._page import Block, Bullets, Cell, Facts, Page, Picture, Prose, Section, Table
from separatrix.report._results import ModelResults
from separatrix.studies import Memorization, MemorizationAudit, Resemblance
from separatrix.words import percent

_RISKIEST = 24
_NEAREST_TO_IT = 6  # shown where none is closer
NOT_CLOSER = "no closer than unseen images"
NAMED = 20  # images that a model card names; summary.json has all
STARTS = {"train": "training images", "held-out": "held-out images", "noise": "Gaussian noise"}
"""What the sources of a `Memorization` are called on pages and in figures."""


def audit_page(audit: MemorizationAudit, results: ModelResults, figures: Mapping[str, Picture] | None = None) -> Page:
    """The decision first, then the riskiest attractors, then every null, then all that is known about the model."""
    shown = riskiest(audit.memorization.resemblance)
    page = page_of(results, figures, shown=shown)
    opening = [
        Section("The riskiest attractors", _riskiest(results, shown)),
        Section("How close, and compared with what", [null_table(audit.memorization), *_context(audit.memorization)]),
        Section("How varied the attractors are", [dimension_table(audit.memorization)]),
        Section("What each kind of start finds", [source_table(audit.memorization), *_alike(audit.memorization)]),
        Section("What this audit does not see", [Bullets(limits_of_the_audit(audit))]),
    ]
    return replace(page, title=f"Memorization audit of {results.title}", statement=audit.statement, opening=opening)


def null_table(study: Memorization) -> Table:
    """Quantiles of the closeness to the training images, of attractors and of everything they are compared with."""
    found = study.resemblance
    return Table(
        ("images", "number", "5 %", "median", "95 %", "closest"),
        tuple(_quantiles(words, values, found.sign) for words, values in study.null_levels),
        f"The {found.measure} to the nearest training image. Attractors beside what unseen images and noise reach: only the excess "
        "means anything.",
    )


def source_table(study: Memorization) -> Table:
    """Tabulate what training, held-out and noise starts find."""
    rows = [
        (
            Cell(STARTS[name]),
            Cell(f"{source.starts:,}"),
            Cell(str(source.attractors)),
            Cell(percent(source.distinct)),
            Cell(f"{source.shared} ({percent(source.shared / source.attractors)})" if source.attractors else "0"),
            Cell(f"{source.evaluations:,.0f}"),
            Cell(source.fates.words),
        )
        for name, source in study.sources.items()
    ]
    return Table(
        (
            "starts",
            "number",
            "attractors",
            "attractors per start",
            "found from training images too",
            "cost, evaluations",
            "what became of the starts",
        ),
        tuple(rows),
        "Attractors per start: a few percent where many starts share a prototype, 100 % where every start keeps one of its "
        "own. What is found from other starts only is stored too, but no followed training image leads there.",
        words=frozenset({0, 6}),
    )


def dimension_table(study: Memorization) -> Table:
    """Tabulate how many directions the decoded attractors fill, beside as many training images."""
    rows = (("attractors, decoded", study.attractors), ("as many training images", study.train))
    return Table(
        ("images", "number", "components for 90 % of the variance", "effective rank"),
        tuple(
            (Cell(words), Cell(f"{found.items:,}"), Cell(str(found.components)), Cell(f"{found.effective_rank:.1f}"))
            for words, found in rows
        ),
        "Components: the fewest principal components (directions) that hold 90 % of the variance. Effective rank: how many "
        "directions there are, each counted by its share p of the variance, exp(−Σ p ln p). Far below the training images: variations of a few prototypes. Neither can "
        "exceed the number of images − 1.",
    )


def limits_of_the_audit(audit: MemorizationAudit) -> tuple[str, ...]:
    """Return what a reader must keep in mind, whatever the decision."""
    return (
        "Images that are stored in another way than as attractors; a model may reproduce what it does not settle on.",
        *audit.memorization.would_change,
    )


def model_card_section(audit: MemorizationAudit, name: str) -> str:
    """A Markdown section for a model card.

    The numbers are those of the audit, the limits are not left out.
    """
    study = audit.memorization
    lines = [
        "## Memorization",
        "",
        f"Audit of {escaped(name)} by its latent attractors (separatrix). **{audit.statement.headline}.** "
        f"{escaped(audit.statement.sentence)}",
        "",
        *(f"* {escaped(sentence)}" for sentence in study.context),
        *([] if study.chamfer is None else [f"* {escaped(study.chamfer.sentence)}"]),
        *(f"* {escaped(sentence)}" for sentence in given_back_words(audit)),
        "",
        "What this does not see:",
        "",
        *(f"* {escaped(sentence)}" for sentence in limits_of_the_audit(audit)),
        "",
    ]
    return "\n".join(lines)


def given_back_words(audit: MemorizationAudit, most: int = NAMED) -> tuple[str, ...]:
    """Tell which training images are given back, exact copies apart: by file where they have one, else by row number."""
    return copies_listed("Given back", audit.given_back, audit.exact, audit.names, most)


def copies_listed(
    words: str, called: Tensor, exact: Tensor, names: Mapping[int, str], most: int = NAMED
) -> tuple[str, ...]:
    """A sentence on the images that are exact copies and one on the other called ones, by name or else by row number.

    >>> import torch
    >>> copies_listed("Found", torch.tensor([0, 2]), torch.tensor([2]), ("a.png", "b.png", "c.png"))
    ('Found as exact copies: c.png.', 'Found not exactly: a.png.')
    """
    copies = exact.tolist()
    others = [row for row in called.tolist() if row not in copies]
    sentences = []
    for kind, rows in (("as exact copies", copies), ("not exactly", others)):
        if rows:
            listed = ", ".join(names[row] if names else f"no. {row}" for row in rows[:most])
            more = f" and {len(rows) - most:,} more (all are in summary.json)" if len(rows) > most else ""
            sentences.append(f"{words} {kind}: {listed}{more}.")
    return tuple(sentences)


def riskiest(found: Resemblance) -> list[int]:
    """The limit sets that stand first on the page: those closer than unseen images, else those nearest to that, smallest p-values first."""
    order = sorted(
        range(len(found)),
        key=lambda row: (float(found.p_value[row]), float(found.ratio[row]), -float(found.coefficient[row])),
    )
    called = [row for row in order if bool(found.significant[row])]
    sets: list[int] = found.sets[called[:_RISKIEST] or order[:_NEAREST_TO_IT]].tolist()
    return sets


def _riskiest(results: ModelResults, shown: Sequence[int]) -> list[Block]:
    found = results.resemblance
    assert found is not None
    if not shown:
        return [Prose(("No attractor was found.",))]
    if bool(found.significant.any()):
        return attractor_cards(results, shown)
    which = (
        "It is shown"
        if len(found) == 1
        else f"Those with the smallest p-values, {len(shown)} of {len(found)}, are shown"
    )
    words = (
        "None of the attractors that training images lead to comes closer to one training image than unseen images do, at a "
        f"false discovery rate of {found.alpha:g}. {which} all the same, beside the training image that each resembles."
    )
    return [Prose((words,)), *attractor_cards(results, shown, uncalled=NOT_CLOSER)]


def _context(study: Memorization) -> list[Block]:
    blocks: list[Block] = [Bullets(study.context)] if study.context else []
    if study.decomposition is not None:
        blocks.append(Prose((study.decomposition.sentence,)))
    return blocks


def _alike(study: Memorization) -> list[Block]:
    """Tell how alike the attractors of noise and of training images are, where both have some."""
    found = study.chamfer
    if found is None:
        return []
    entries = (
        (
            "cosine to the nearest of the other kind, mean (Chamfer similarity)",
            f"{found.cosine:.3f}: near 1, noise leads to the directions that training images do",
        ),
        (
            "distance to the nearest of the other kind, mean (Chamfer distance)",
            f"{found.euclidean:.3g} spreads of the points where training images end: near 0, noise leads to the same places",
        ),
    )
    return [Facts(entries)]


def _quantiles(words: str, values: Tensor, sign: int) -> tuple[Cell, ...]:
    low, middle, high = (float(values.quantile(q)) for q in (0.05, 0.5, 0.95))
    closest = sign * float((sign * values).max())
    return (Cell(words), Cell(f"{len(values):,}"), *(Cell(f"{value:.3f}") for value in (low, middle, high, closest)))
