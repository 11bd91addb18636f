"""The recipe ``audit``: three searches, one study, and a decision on a budget, with a page and a section for a model card."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.data import ChosenImages
from separatrix.field import LatentField, RecordedField
from separatrix.numerics import Distance
from separatrix.protocol import Protocol
from separatrix.report import ModelResults, Page, Picture
from separatrix.report._budget import FigureBudget
from separatrix.report._figures import planned_figures
from separatrix.report._memorization import STARTS, audit_page, model_card_section
from separatrix.runs._attractors import fitting_images
from separatrix.runs._audit_noise import names_at, noise_record, noise_section
from separatrix.runs._plan import Plan, data_record, model_record
from separatrix.runs._run import Run, opened
from separatrix.runs._summary import attractors_summary
from separatrix.runs._views import Ended, View, recorded, write_views
from separatrix.storage import PathLike
from separatrix.studies import Decomposition, Memorization, MemorizationAudit, audit_memorization
from separatrix.studies._memorization.audit import decided
from separatrix.studies._resemblance_words import median
from separatrix.words import jsonable, without_folders
from separatrix.work import Progress

RECIPE, CARD = "audit", "model_card.md"
SEARCHES = {"limits": STARTS["train"], "held_out": STARTS["held-out"], "noise": STARTS["noise"]}


@dataclass(frozen=True, kw_only=True)
class AuditRun(Ended):
    """It tells what was found."""

    audit: MemorizationAudit


@checked
def audit(
    field: LatentField,
    train: Any,
    held_out: Any,
    *,
    out: PathLike | None = None,
    overwrite: bool = False,
    budget: float = 0.01,
    sample: int = 1000,
    noise: int = 256,
    protocol: Protocol | None = None,
    distance: Distance = "cosine",
    alpha: float = 0.05,
    seed: int = 0,
    batch_size: int | None = None,
    figures: bool = True,
    explorer: bool = True,
    progress: bool | Progress = False,
) -> AuditRun:
    """:func:`audit_memorization` as a run: ``summary.json``, ``report.html``, ``model_card.md``, the limit sets.

    Args:
        field: the latent field.
        train, held_out: images as `load_images` takes them.
        out, overwrite, figures, explorer: as for `attractors`.
        budget, sample, noise, protocol, distance, alpha, seed, batch_size, progress: as for :func:`audit_memorization`.

    Raises:
        InputError: as there. FileError: something that is not to be replaced is at ``out``, or it cannot be written.

    Cost: that of :func:`audit_memorization`, without the stages that are stored, and of the figures.
    """
    began = time.perf_counter()
    known, unseen = fitting_images(field, train, "training"), fitting_images(field, held_out, "held-out")
    field, rules = field.with_batch_size(batch_size), Protocol.of(protocol)
    options = {"budget": budget, "sample": sample, "noise": noise, "distance": distance, "alpha": alpha, "seed": seed}
    plan = Plan(
        recipe=RECIPE,
        model=model_record(field),
        data=data_record(train=known, held_out=unseen),
        options={**options, "protocol": rules.to_dict()},
    )
    with Progress.of(progress).stage(RECIPE, 10) as line, opened(out, plan, overwrite=overwrite) as run:
        with line.stage("searching", 1, worth=9):
            found = audit_memorization(
                field,
                known,
                unseen,
                budget=budget,
                sample=sample,
                noise=noise,
                protocol=rules,
                distance=distance,
                alpha=alpha,
                seed=seed,
                stages=run,
                progress=line,
            )
        run.stage("images", lambda: ChosenImages.of(known, _shown(found.memorization), field))
        view = write_views(
            run, audit_view, recorded(run, model=field), figures=figures, explorer=explorer, progress=line
        )
    return AuditRun(audit=found, summary=view.summary, folder=run.folder, seconds=time.perf_counter() - began)


def audit_view(run: Run, fields: Mapping[str, RecordedField]) -> View:
    """Everything that is written of such a run."""
    options, images, field = run.plan["options"], run.load("images"), fields["model"]
    study: Memorization = run.load("memorization")
    limits, beside, drawn = map(run.load, SEARCHES)
    found = decided(
        study,
        (limits, beside, drawn),
        budget=options["budget"],
        sample=options["sample"],
        seed=options["seed"],
        names=images.by_row,
    )
    results = ModelResults(
        title=without_folders(field.name),
        subtitle=f"{field.title}, {len(found.sampled):,} of {images.count:,} training images followed",
        latent_field=field,
        searches=dict(zip(SEARCHES.values(), (limits, beside, drawn), strict=True)),
        train=images,
        resemblance=study.resemblance,
    )

    def page(drawn: Mapping[str, Picture]) -> Page:
        made = audit_page(found, results, drawn)
        riskiest, *others = made.opening
        return replace(made, opening=(riskiest, *noise_section(found, results), *others))

    return View(
        summary=_record(found, results),
        figures=planned_figures(results, FigureBudget.after(results.searches.values())),
        living={"field": results},
        page=page,
        files={CARD: model_card_section(found, field.name)},
    )


def _shown(study: Memorization) -> Tensor:
    """Rows of the training images that attractors come near to."""
    near = [study.resemblance.nearest, *(() if study.noise_only is None else (study.noise_only.nearest,))]
    return torch.cat(near)


def _record(found: MemorizationAudit, results: ModelResults) -> dict[str, Any]:
    """Every number of the audit, JSON-ready."""
    study = found.memorization
    record: dict[str, Any] = jsonable(
        {
            **attractors_summary(results),
            "kind": f"separatrix {RECIPE}",
            "decision": str(found.decision),
            "code": found.statement.slug,
            "sentence": str(found.statement),
            "headline": found.brief,
            "budget": found.budget,
            "given_back": {
                "share": found.share,
                "low": found.low,
                "high": found.high,
                "sampled": len(found.sampled),
                "images": found.given_back.tolist(),
                "names": names_at(found.names, found.given_back.tolist()),
                "exact": found.exact.tolist(),
            },
            "noise_only": noise_record(found),
            "cost": {**asdict(found.cost), "total": found.cost.total},
            "other_train_median": median(study.other_train),
            "exchange": None if study.exchange is None else asdict(study.exchange),
            "train_error": study.train_error,
            "decomposition": None if study.decomposition is None else _decomposition(study.decomposition),
            "variety": {"attractors": asdict(study.attractors), "train": asdict(study.train)},
            "sources": {
                name: {**asdict(source), "distinct": source.distinct} for name, source in study.sources.items()
            },
            "chamfer": None if study.chamfer is None else asdict(study.chamfer),
        }
    )
    return record


def _decomposition(found: Decomposition) -> dict[str, Any]:
    return {
        "error": float(found.error.mean()),
        "prototype": float(found.prototype.mean()),
        "coverage": float(found.coverage.mean()),
        "lipschitz": found.lipschitz,
        "holds": float(found.holds.double().mean()),
        "images": len(found),
    }
