"""This file tells what the demo found: a row of numbers per model, and what the statements on the models say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from separatrix.orbits import Fates
from separatrix.plots._naming import names_of
from separatrix.report import ModelResults
from separatrix.report._chapter import statement_of
from separatrix.studies._resemblance_words import Outcome, most_unseen
from separatrix.words import Statement, Tone, percent

FROM_DIGITS = "unseen digits"
FROM_NOISE = "Gaussian noise"
_MOST = 0.5  # share of the noise that must end on training images before the headline says so
NUMBERS = ("none", "one", "two", "three")
_NO_PROOF = " No evidence of memorization is not evidence of no memorization."


@dataclass(frozen=True)
class DemoModel:
    """One row of the summary.

    Attributes:
        name: of its folder.
        title: in words.
        latent_dim: k.
        train_images: how many it was trained on.
        train_error, unseen_error: mean squared reconstruction error per pixel, images in [0, 1].
        attractors: found from encoded digits and Gaussian latents together; these are compared with the images.
        attractors_from_digits: found from encoded digits.
        attractors_from_noise: found from Gaussian latents.
        fates: what became of all these starts.
        steps_median, steps_p95: of the encoded digits that did; None if none did.
        closest: highest cosine of an attractor to a training image; None without attractors.
        unseen: median of the same for images that it was not trained on; None where all of them are copies of training images.
        closer_than_unseen: attractors closer to a training image than unseen images are.
        outcome: the conclusion in words.
        evaluations: map evaluations of both searches.
    """

    name: str
    title: str
    latent_dim: int
    train_images: int
    train_error: float
    unseen_error: float
    attractors: int
    attractors_from_digits: int
    attractors_from_noise: int
    fates: Fates
    steps_median: float | None
    steps_p95: float | None
    closest: float | None
    unseen: float | None
    closer_than_unseen: int
    outcome: str
    evaluations: int


@dataclass(frozen=True)
class DemoResult:
    """It tells what the demo found and where it wrote it."""

    folder: Path
    report: Path
    explorer: Path
    verdict: str
    models: tuple[DemoModel, ...]
    seed: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "folder": str(self.folder), "report": str(self.report), "explorer": str(self.explorer)}


def row_of(name: str, latent_dim: int, errors: tuple[float, float], results: ModelResults) -> DemoModel:
    found = results.resemblance
    assert found is not None
    limits, digits, noise = results.limits, results.searches[FROM_DIGITS], results.searches[FROM_NOISE]
    steps = digits.orbits.steps[(digits.labels >= 0) & digits.orbits.followed].to(torch.float64)
    return DemoModel(
        name=name,
        title=results.title,
        latent_dim=latent_dim,
        train_images=found.provenance["train"],
        train_error=errors[0],
        unseen_error=errors[1],
        attractors=len(limits.attractors),
        attractors_from_digits=len(digits.attractors),
        attractors_from_noise=len(noise.attractors),
        fates=limits.fates,
        steps_median=float(steps.quantile(0.5)) if len(steps) else None,
        steps_p95=float(steps.quantile(0.95)) if len(steps) else None,
        closest=float(found.coefficient.max()) if len(found) else None,
        unseen=float(found.held_out.quantile(0.5)) if len(found.held_out) else None,
        closer_than_unseen=int(found.significant.sum()),
        outcome=str(found.outcome),
        evaluations=limits.cost.map,
    )


def demo_statement(models: Sequence[ModelResults]) -> Statement:
    """Say together what the statements on the models say, and nothing that none of them says."""
    each = [statement_of(results) for results in models]
    remembering = [r for r in models if r.resemblance is not None and r.resemblance.outcome is Outcome.EVIDENCE]
    others = [
        f"{r.title}: {len(r.limits.attractors)} attractors, {statement.headline.lower()}."
        for r, statement in zip(models, each, strict=True)
        if r not in remembering
    ]
    these = f"of these {NUMBERS[len(models)]} models"
    settled = all(statement.tone is not Tone.OPEN for statement in each)
    if not remembering:
        words = f"None {these} shows evidence of memorization."
        code, tone = (Outcome.NO_EVIDENCE, Tone.CALM) if settled else (Outcome.CANNOT_SAY, Tone.OPEN)
        return Statement(words, " ".join(others) + _NO_PROOF, code, tone)
    number, ending = NUMBERS[len(remembering)], "s" if len(remembering) == 1 else ""
    words = f"{number.capitalize()} {these} hold{ending} training images."
    if all(_ends(results, FROM_NOISE) > _MOST for results in remembering):
        words = f"Given pure noise, {number} {these} return{ending} training images."
    if others and settled:
        rest = len(others)
        words += f" The other {'one shows' if rest == 1 else f'{NUMBERS[rest]} show'} no sign of that."
    sentence = " ".join([*map(_remembered, remembering), *others]) + (_NO_PROOF if others else "")
    return Statement(words, sentence, Outcome.EVIDENCE, Tone.ALARM)


def _ends(results: ModelResults, source: str) -> float:
    """Share of one kind of starts that ends on attractors closer to a training image than unseen images."""
    found = results.resemblance
    assert found is not None
    names = names_of(results.limits)
    called = {names[index] for index in found.sets[found.significant].tolist()}
    limits = results.searches[source]
    hits = zip(names_of(limits, results.limits), limits.hits.tolist(), strict=True)
    return float(sum(count for name, count in hits if name in called)) / max(len(limits.labels), 1)


def _remembered(results: ModelResults) -> str:
    """Count how many training images come back, and for which share of the starts."""
    found = results.resemblance
    assert found is not None
    copies = int(found.significant.sum())
    distinct = len(torch.unique(found.nearest[found.significant]))
    total = found.provenance["train"]
    which = f"each to a different one of its {total:,} training images"
    if distinct < copies:
        which = f"to {distinct} of its {total:,} training images"
    exact = int(found.exact.sum())
    exactly = f"; {exact} of them are exact copies" if exact else ""
    ends = " and ".join(f"{percent(_ends(results, source))} of the {source}" for source in results.searches)
    return (
        f"{results.title}: {copies} of {len(found)} attractors are closer to training images than "
        f"{most_unseen(found.alpha)} of unseen digits are, {which}{exactly}. {ends} end there."
    )
