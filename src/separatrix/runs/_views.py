"""This file leads from the stages of a run to what people read: summary.json, the page, pictures, cards. No view asks the model what was not asked before.

A *view* is made of stored stages alone. What pictures need of the model beyond these (decoded attractors, arrows of a portrait) it
asks a `RecordedField`, whose answers are stored with the run. So `separatrix report` makes all of it again without the model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from separatrix.errors import FileError
from separatrix.field import Answers, LatentField, RecordedField
from separatrix.report import ModelResults, Page, Picture
from separatrix.report._as_markdown import page_as_markdown
from separatrix.report._drawing import NOT_ASKED_FOR, draw_into, illustrate, with_missing
from separatrix.report._figures import FigurePlan
from separatrix.report._write import rendered
from separatrix.runs._living import Sleeper, awakened, scene_stage
from separatrix.runs._run import Run
from separatrix.work import Progress

REPORT, SUMMARY, ANSWERS = "report.html", "summary.json", "answers"


@dataclass(frozen=True, kw_only=True)
class View:
    """It tells what is to be written of a run.

    Attributes:
        summary: JSON-ready, all numbers.
        figures: what to call for each picture, by the name of its file.
        living: by the name of the figure to which a living page belongs, what that is made from.
        page: from the pictures that were drawn to the page; None where there is none.
        files: others, by their names.
    """

    summary: Mapping[str, Any]
    figures: FigurePlan = field(default_factory=dict)
    living: Mapping[str, ModelResults | Sleeper] = field(default_factory=dict)
    page: Callable[[Mapping[str, Picture]], Page] | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    def as_markdown(self) -> str:
        """The text for a model card where there is one, else the page without its pictures."""
        texts = [text for name, text in self.files.items() if name.endswith(".md")]
        if texts or self.page is None:
            return "\n".join(texts).rstrip()
        return page_as_markdown(self.page({}))


@dataclass(frozen=True, kw_only=True)
class Ended:
    """It tells what every run gives when it is there, whether it was computed or read.

    Attributes:
        summary: JSON-ready, what summary.json holds.
        folder: where it is; None if nothing was written.
        seconds: how long it took this time.
    """

    summary: Mapping[str, Any]
    folder: Path | None
    seconds: float

    @property
    def report(self) -> Path | None:
        """The page."""
        return None if self.folder is None else self.folder / REPORT


V = TypeVar("V", bound=View)
Viewer = Callable[[Run, Mapping[str, RecordedField]], V]
"""From a run and the models that it is of, by their roles, to what is written of it."""


class _Roles(dict[str, RecordedField]):
    def __missing__(self, role: str) -> RecordedField:
        raise FileError(f"The run holds no answers of its {role}; run the same command again, which asks it anew.")


def recorded(run: Run, **live: LatentField) -> dict[str, RecordedField]:
    """The models of a run by their roles, with all answers that are stored; ``live`` ones can answer more."""
    stored = [name.removeprefix(f"{ANSWERS}-") for name in run.record["stages"] if name.startswith(f"{ANSWERS}-")]
    fields = _Roles()
    for role in dict.fromkeys([*live, *stored]):
        known: Answers | None = None
        if run.has(_stage(role)):
            try:
                known = run.load(_stage(role))
            except FileError:
                if role not in live:  # which would answer again
                    raise
        if role in live or known is not None:
            fields[role] = RecordedField(live.get(role), known)
    return fields


def write_views(
    run: Run,
    viewer: Viewer[V],
    fields: Mapping[str, RecordedField],
    *,
    figures: bool = True,
    explorer: bool = True,
    anew: bool = False,
    progress: bool | Progress = False,
) -> V:
    """Write what is to be read of a run, the numbers first; a run whose views are all there is left as it is, if not ``anew``.

    Living pages are made with the figures, if ``explorer``; without it none is left.

    Warns:
        FigureWarning: a figure is missing.

    Cost: that of the figures, as far as the fields do not know the answers.
    """
    view = viewer(run, fields)
    if run.folder is None:
        return view
    unwanted = not explorer and any(run.has(scene_stage(name)) for name in view.living)  # the model is in the page
    if run.finished and not anew and (not figures or run.record["figures"]):
        run.tidy()  # of a worker that was killed after the end
        if not unwanted:
            return view
        figures = bool(run.record["figures"])
    run.add(SUMMARY, as_json(view.summary))
    for name, text in view.files.items():
        run.add(name, text.encode("utf-8"))
    if view.page is not None:
        missing = () if figures else (NOT_ASKED_FOR,)
        run.add(REPORT, rendered(with_missing(view.page({}), missing)).encode("utf-8"))
    if figures and view.page is not None:
        planned = dict(view.figures)
        for name in view.living if explorer else ():
            if name in planned:
                planned[name] = awakened(run, name, planned[name], view.living[name])
        drawn = illustrate(run.add, REPORT, planned, view.page, progress=progress)
    elif figures:
        drawn = draw_into(run.add, view.figures, progress=progress)
    run.record["figures"] = bool(figures and not drawn.missing)
    for role, each in fields.items():
        if each.asked or not run.has(_stage(role)):  # who it was that answered is kept as well
            run.renew(_stage(role), each.answers)
    run.finish()
    return view


def provenance(run: Run, **more: Any) -> dict[str, Any]:
    """Everything that the numbers of a run depend on, for its page; how a model answered is for programs."""
    return {"model": _identity(run.plan["model"]), "data": run.plan["data"], **run.plan["options"], **more}


def _identity(model: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: value for name, value in model.items() if name != "answers"}
    return {name: _identity(value) if isinstance(value, Mapping) else value for name, value in known.items()}


def as_json(record: Mapping[str, Any]) -> bytes:
    """Return the text of a JSON file, for people too."""
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


def _stage(role: str) -> str:
    return f"{ANSWERS}-{role}"
