"""An audit, the whole way: search, judge, and one folder with JSON, a page and a section for a model card."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets import find_attractors
from separatrix.numerics._neighbours import Distance
from separatrix.plots import contact_sheet
from separatrix.protocol import Protocol
from separatrix.report._budget import FigureBudget
from separatrix.report._chapter import page_of
from separatrix.report._drawing import NOT_ASKED_FOR, illustrate, with_missing
from separatrix.report._figures import FigurePlan, planned_figures
from separatrix.report._memorization import STARTS, audit_page, model_card_section
from separatrix.report._page import Bullets, Page, Picture, Section
from separatrix.report._results import ModelResults
from separatrix.report._write import write_report
from separatrix.runs._audit_card import data_free_card
from separatrix.runs._audit_noise import names_at, noise_record, noise_section
from separatrix.runs._examination import REPORT, SUMMARY, fitting_images, run_folder
from separatrix.runs._examination_summary import examination_summary, jsonable
from separatrix.starts import gaussian
from separatrix.storage import save_result
from separatrix.studies._memorization import Decomposition, MemorizationAudit, audit_memorization
from separatrix.studies._probing.appearance import Appearance, appearance
from separatrix.studies._resemblance_words import median
from separatrix.work import Progress

KIND, KIND_DATA_FREE = "separatrix audit", "separatrix audit without data"
CARD = "model_card.md"
_ONLY_SUSPECTED = "The images beside the attractors are suspected ones; nobody has shown that they were trained on."


@dataclass(frozen=True, kw_only=True)
class AuditRun:
    """What was found and where it was written."""

    audit: MemorizationAudit
    record: dict[str, Any]
    folder: Path
    seconds: float


@dataclass(frozen=True, kw_only=True)
class DataFreeRun:
    """The same without training data."""

    appearance: Appearance
    record: dict[str, Any]
    folder: Path
    seconds: float


def run_audit(
    field: LatentField,
    train: Any,
    held_out: Any,
    *,
    out: str | os.PathLike[str],
    overwrite: bool = False,
    batch_size: int | None = None,
    figures: bool = True,
    progress: bool | Progress = False,
    **options: Any,
) -> AuditRun:
    """:func:`audit_memorization` with a folder: ``summary.json``, ``report.html``, ``model_card.md``, the limit sets.

    Args:
        field: the latent field.
        train, held_out: images as `load_images` takes them.
        out: the folder to write; must not exist yet.
        overwrite: replace an earlier audit at ``out``; anything else there is never touched.
        batch_size, progress: as there.
        figures: draw them, when all else is written (see `examine`).
        options: of :func:`audit_memorization`.

    Raises:
        InputError: as there. FileError: something that is not to be replaced is at ``out``, or it cannot be written.
    """
    began = time.perf_counter()
    known, unseen = fitting_images(field, train, "training"), fitting_images(field, held_out, "held-out")
    field = field.with_batch_size(batch_size)
    with Progress.of(progress).stage("audit", 10) as line:
        with run_folder(out, overwrite, KIND) as folder:
            with line.stage("searching", 1, worth=9):
                found = audit_memorization(field, known, unseen, progress=line, **options)
            results = ModelResults(
                title=field.name,
                subtitle=f"{field!r}, {len(found.sampled):,} of {len(known):,} training images followed",
                latent_field=field,
                searches={
                    STARTS["train"]: found.limits,
                    STARTS["held-out"]: found.unseen,
                    STARTS["noise"]: found.noise,
                },
                train=known.pixels,
                train_names=found.names,
                resemblance=found.memorization.resemblance,
            )
            record = _record(found, results)
            assert folder is not None
            save_result(found.unseen, folder / "held_out")
            save_result(found.noise, folder / "noise")
            _write(folder, results, record)
            (folder / CARD).write_text(model_card_section(found, field.name), encoding="utf-8")

            def page(drawn: Mapping[str, Picture]) -> Page:
                made = audit_page(found, results, drawn)
                riskiest, *others = made.opening
                return replace(made, opening=(riskiest, *noise_section(found, results), *others))

            write_report(folder / REPORT, with_missing(page({}), () if figures else (NOT_ASKED_FOR,)))
        if figures:
            illustrate(Path(out) / REPORT, _planned(results), page, progress=line)
    return AuditRun(audit=found, record=record, folder=Path(out), seconds=time.perf_counter() - began)


def run_data_free(
    field: LatentField,
    *,
    out: str | os.PathLike[str],
    overwrite: bool = False,
    suspects: Any = None,
    held_out: Any = None,
    starts: int = 1000,
    protocol: Protocol | None = None,
    distance: Distance = "cosine",
    alpha: float = 0.05,
    seed: int = 0,
    batch_size: int | None = None,
    figures: bool = True,
    progress: bool | Progress = False,
) -> DataFreeRun:
    """What noise attractors alone reveal, and which suspected images are among them; one folder as :func:`run_audit`."""
    began = time.perf_counter()
    if suspects is None and held_out is not None:
        raise InputError("Held-out images set the level for suspected ones; give suspects too.")
    suspected = None if suspects is None else fitting_images(field, suspects, "suspected")
    unseen = None if held_out is None else fitting_images(field, held_out, "held-out")
    field = field.with_batch_size(batch_size)
    with Progress.of(progress).stage("audit", 10) as line:
        with run_folder(out, overwrite, KIND_DATA_FREE) as folder:
            with line.stage("searching", 1, worth=9):
                limits = find_attractors(field, gaussian(starts, seed=seed), protocol, progress=line)
            found = appearance(
                field, limits, suspects=suspected, held_out=unseen, distance=distance, alpha=alpha, seed=seed
            )
            results = ModelResults(
                title=field.name,
                subtitle=f"{field!r}, {starts:,} noise starts and no training data",
                latent_field=field,
                searches={STARTS["noise"]: limits},
                train=None if suspected is None else suspected.pixels,
                train_names=() if suspected is None else suspected.own_names,
                noun="suspected image",
                resemblance=found.resemblance,
            )
            record = {
                **examination_summary(results),
                "kind": KIND_DATA_FREE,
                "look_like_images": int(found.looks_like_an_image.sum()),
                "code": found.statement.slug,
                "sentence": str(found.statement),
                "cannot": list(found.cannot),
            }
            assert folder is not None
            _write(folder, results, record)
            (folder / CARD).write_text(data_free_card(found, field.name, starts, results.train_names), encoding="utf-8")
            words = (str(found.statement), *found.cannot, *(() if suspected is None else (_ONLY_SUSPECTED,)))
            title = f"Audit of {field.name} without training data"

            def page(drawn: Mapping[str, Picture]) -> Page:
                sheet = [drawn["contact_sheet"]] if "contact_sheet" in drawn else []
                seen = Section("What noise alone reveals", [Bullets(words), *sheet])
                return replace(page_of(results, drawn), title=title, opening=(seen,))

            write_report(folder / REPORT, with_missing(page({}), () if figures else (NOT_ASKED_FOR,)))
        if figures:
            plan: FigurePlan = {"contact_sheet": lambda _: _sheet(found), **_planned(results)}
            illustrate(Path(out) / REPORT, plan, page, progress=line)
    return DataFreeRun(appearance=found, record=record, folder=Path(out), seconds=time.perf_counter() - began)


def _sheet(found: Appearance) -> Picture:
    """Every decoded attractor at a glance."""
    return Picture.of(
        contact_sheet(found),
        alt=f"{len(found):,} decoded {found.what}, {int(found.looks_like_an_image.sum()):,} of them framed as image-like.",
        caption="A frame says that neighbouring pixels agree better than shuffled ones: the least that an image has.",
    )


def _planned(results: ModelResults) -> FigurePlan:
    return planned_figures(results, FigureBudget.after(results.searches.values()))


def _write(folder: Path, results: ModelResults, record: dict[str, Any]) -> None:
    """Limit sets and the record."""
    save_result(results.limits, folder / "limits")
    (folder / SUMMARY).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _record(found: MemorizationAudit, results: ModelResults) -> dict[str, Any]:
    """Every number of the audit, JSON-ready."""
    study = found.memorization
    record: dict[str, Any] = jsonable(
        {
            **examination_summary(results),
            "kind": KIND,
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
            "variety": {"attractors": study.attractors.to_dict(), "train": study.train.to_dict()},
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
