"""The living page in a report: asleep until a reader wakes it; a figure stands for it in print and without scripts."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from separatrix.errors import FigureWarning, warn
from separatrix.explorer import Scene, explorer_page, scene_of
from separatrix.field import RecordedField
from separatrix.report import ModelResults, Picture
from separatrix.runs._run import Run
from separatrix.storage import storable
from separatrix.work import Progress

LARGEST = 12_000_000  # bytes of one living page in a report; a third more as text
_SMALLEST_NUMBER = 2  # bytes


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class Scenes:
    """The scenes of one living page, a stage of a run.

    Attributes:
        scenes: in order, of which the last one is shown first; none where there is no such page.
        why: there is none, if that is to be said.
        of: what they were made from, where that may change.
    """

    scenes: tuple[Scene, ...]
    why: str = ""
    of: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sleeper:
    """It tells what a living page is made from whose results are no part of the run but the page itself.

    Attributes:
        make: gives its scenes; None where no model is at hand.
        of: what they are made from now; stored ones of something else are made anew.
        elsewhere: the command that opens such a page with the models where they are.
    """

    make: Callable[[Progress], Scenes] | None
    of: str = ""
    elsewhere: str = "separatrix explore MODEL"


STORED = Sleeper(make=None)


def scene_stage(name: str) -> str:
    """Return the stage that keeps the scenes of the living page that belongs to such a figure.

    >>> scene_stage("k2/field"), scene_stage("film")
    ('k2/scene', 'film-scene')
    """
    return name.replace("field", "scene") if "field" in name else f"{name}-scene"


def awakened(
    run: Run, name: str, still: Callable[[Progress], Picture], of: ModelResults | Sleeper
) -> Callable[[Progress], Picture]:
    """Say what to call for a figure and the living page that belongs to it, whose scenes become a stage of the run.

    Args:
        run: that keeps the scenes.
        name: of the figure, such as ``field`` or ``k2/field``.
        still: draws it.
        of: what the page is made from.

    Warns:
        FigureWarning: the figure stands alone, because making the living page failed.
    """

    def make(line: Progress) -> Picture:
        drawn = still(line)
        try:
            stage = scene_stage(name)
            if isinstance(of, Sleeper):
                page, words = _of_sleeper(run, stage, of, line)
            else:
                page, words = _of_results(run, stage, of, line)
        except Exception as error:
            said = f"The living page could not be made ({type(error).__name__}: {error}); everything else is complete."
            warn(said, FigureWarning)
            return drawn
        return replace(drawn, living=page, living_words=words)

    return make


def refused(numbers: int) -> str:
    """Say why no report can hold models of so many numbers, however they are written; nothing where one may.

    >>> refused(1000), refused(7_000_000)
    ('', 'The model has 7,000,000 numbers, too many for a report.')
    """
    too_many = _SMALLEST_NUMBER * numbers > LARGEST
    return f"The model has {numbers:,} numbers, too many for a report." if too_many else ""


def _of_results(run: Run, stage: str, results: ModelResults, line: Progress) -> tuple[bytes, str]:
    """The deflated page of a model and what is said of it; no page, and why, where the report cannot hold it."""
    field = results.latent_field
    searched = run.plan["recipe"] == "attractors"  # such a run can be explored without a second search
    elsewhere = "separatrix explore RUN --of MODEL" if searched else Sleeper.elsewhere
    if why := refused(int(field.describe()["parameters"])):
        return b"", _absent(why, elsewhere)
    if not run.has(stage) and isinstance(field, RecordedField) and not field.is_live:
        return b"", ""  # a run that was made without it
    scene: Scene = run.stage(stage, lambda: scene_of(results, beforehand=False, progress=line))
    return _page([scene], elsewhere)


def _of_sleeper(run: Run, stage: str, sleeper: Sleeper, line: Progress) -> tuple[bytes, str]:
    """The same where the scenes are all that is known."""
    make = sleeper.make
    if make is not None and not (run.has(stage) and run.load(stage).of == sleeper.of):
        run.renew(stage, replace(make(line), of=sleeper.of))
    if not run.has(stage):
        return b"", ""
    kept: Scenes = run.load(stage)
    if not kept.scenes:
        return b"", _absent(kept.why, sleeper.elsewhere) if kept.why else ""
    return _page(kept.scenes, sleeper.elsewhere)


def _page(scenes: Sequence[Scene], elsewhere: str) -> tuple[bytes, str]:
    *earlier, last = scenes
    if last.about["graph"] is None:
        return b"", _absent(last.about["why_no_model"], elsewhere)
    page = zlib.compress(explorer_page(last, earlier=earlier, framed=True).encode("utf-8"), 9)
    if len(page) > LARGEST:
        return b"", _absent(f"With the model it would take {len(page) / 1e6:.0f} MB, too much for a report.", elsewhere)
    numbers = sum(int(each.about["field"]["parameters"]) for each in scenes)
    who = f"The models of {len(scenes)} checkpoints themselves are" if earlier else "The model itself is"
    them, answer, models = ("them", "answer", "models") if earlier else ("it", "answers", "model")
    return page, (
        f"{who} in this file, {numbers:,} numbers, and {answer} in your browser, without a network. So who has this page has the {models}: "
        f"separatrix report --no-explorer makes the page without {them}."
    )


def _absent(why: str, elsewhere: str) -> str:
    opens = "opens it" if "RUN" in elsewhere else "opens one"
    return f"The living page is not in this report. {why} {elsewhere} {opens}, and the model stays in Python."
