"""The page and the model-card section of a memorization audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from separatrix.report.chapter import attractor_cards, page_of
from separatrix.report.page import Block, Bullets, Cell, Facts, Page, Picture, Prose, Section, Table, Verdict
from separatrix.report.results import ModelResults
from separatrix.studies.memorization import Decision, Memorization, MemorizationAudit

_RISKIEST = 24
_TONES = {Decision.EXCEEDED: "alarm", Decision.WITHIN: "calm", Decision.CANNOT_SAY: "open"}


def audit_page(audit: MemorizationAudit, results: ModelResults, figures: Mapping[str, Picture] | None = None) -> Page:
    """The decision first, then the riskiest attractors, then every null, then all that is known about the model."""
    page = page_of(results, figures)
    verdict = Verdict(audit.decision.capitalize(), _after(audit), _TONES[audit.decision])
    opening = [
        Section("The riskiest attractors", _riskiest(results)),
        Section("How close, and compared with what", [null_table(audit.memorization), *_context(audit.memorization)]),
        Section("What each kind of start finds", [source_table(audit.memorization)]),
        Section("What this audit does not see", [Bullets(limits_of_the_audit(audit))]),
    ]
    return replace(page, title=f"Memorization audit of {results.title}", verdict=verdict, opening=opening)


def null_table(study: Memorization) -> Table:
    """Quantiles of the closeness to the training images, of attractors and of everything they are compared with."""
    found = study.resemblance
    sign = 1 if found.distance == "cosine" else -1
    rows = (
        ("attractors", found.coefficient),
        ("training images, to the others", study.other_train),
        ("held-out images", found.held_out),
        ("uniform noise", found.noise),
    )
    name = "cosine" if found.distance == "cosine" else f"{found.distance} distance"
    return Table(
        ("images", "number", "5 %", "median", "95 %", "closest"),
        tuple(_quantiles(words, sign * values, sign) for words, values in rows if len(values)),
        f"The {name} to the nearest training image. Attractors beside what unseen images and noise reach: only the excess "
        "means anything.",
    )


def source_table(study: Memorization) -> Table:
    """What training, held-out and noise starts find."""
    rows = [
        (
            Cell(name),
            Cell(f"{source.starts:,}"),
            Cell(str(source.attractors)),
            Cell(str(source.shared)),
            Cell(f"{source.unresolved:.1%}"),
        )
        for name, source in study.sources.items()
    ]
    alike = study.chamfer
    note = "" if alike is None else (
        f" Chamfer similarity of the attractors from noise and from training images: cosine {alike.cosine:.3f}, Euclidean "
        f"{alike.euclidean:.3g} spreads."
    )  # fmt: skip
    return Table(
        ("starts", "number", "attractors", "found from training images too", "settled on nothing"),
        tuple(rows),
        f"Attractors that only noise reaches are stored, but no training image leads to them.{note}",
    )


def limits_of_the_audit(audit: MemorizationAudit) -> tuple[str, ...]:
    """What a reader must keep in mind, whatever the decision."""
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
        f"Audit of {name} by its latent attractors (separatrix). **{audit.decision.capitalize()}.** {_after(audit)}",
        "",
        *(f"* {sentence}" for sentence in study.context),
        "",
        "What this does not see:",
        "",
        *(f"* {sentence}" for sentence in limits_of_the_audit(audit)),
        "",
    ]
    return "\n".join(lines)


def _after(audit: MemorizationAudit) -> str:
    """The sentence without the decision that it begins with."""
    sentence = audit.sentence.removeprefix(f"{audit.decision.capitalize()}: ")
    return f"{sentence[0].upper()}{sentence[1:]}"


def _riskiest(results: ModelResults) -> list[Block]:
    found = results.resemblance
    assert found is not None
    called = found.significant
    order = sorted(
        torch.arange(len(found))[called].tolist(),
        key=lambda row: (float(found.p_value[row]), float(found.ratio[row]), -float(found.coefficient[row])),
    )
    if not order:
        return [Prose(("No attractor is closer to one training image than unseen images are.",))]
    return attractor_cards(results, found.sets[order[:_RISKIEST]].tolist())


def _context(study: Memorization) -> list[Block]:
    blocks: list[Block] = [Bullets(study.context)] if study.context else []
    if study.decomposition is not None:
        blocks.append(Prose((study.decomposition.sentence,)))
    variety = (
        ("components for 90 % of the variance", str(study.attractors.components), str(study.train.components)),
        ("entropy rank", f"{study.attractors.entropy_rank:.1f}", f"{study.train.entropy_rank:.1f}"),
    )
    facts = tuple((term, f"{ours} (as many training images: {theirs})") for term, ours, theirs in variety)
    return [*blocks, Facts(facts)]


def _quantiles(words: str, values: Tensor, sign: int) -> tuple[Cell, ...]:
    low, middle, high = (float(values.quantile(q)) for q in (0.05, 0.5, 0.95))
    closest = float(values.max() if sign > 0 else values.min())
    return (Cell(words), Cell(f"{len(values):,}"), *(Cell(f"{value:.3f}") for value in (low, middle, high, closest)))
