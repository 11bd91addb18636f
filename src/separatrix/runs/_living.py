"""The living page in a report: under the portrait of the field, which stands for it in print and without scripts."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable
from dataclasses import replace

from separatrix.errors import FigureWarning
from separatrix.explorer import Scene, explorer_page, scene_of
from separatrix.field import RecordedField
from separatrix.report import ModelResults, Picture
from separatrix.runs._run import Run
from separatrix.work import Progress

LARGEST = 12_000_000  # bytes of one living page in a report; a third more as text
_SMALLEST_NUMBER = 2  # bytes


def scene_stage(name: str) -> str:
    """Return the stage that keeps the scene of the living page below such a portrait.

    >>> scene_stage("k2/field")
    'k2/scene'
    """
    return name.replace("field", "scene")


def awakened(
    run: Run, name: str, still: Callable[[Progress], Picture], results: ModelResults
) -> Callable[[Progress], Picture]:
    """Say what to call for the portrait of a field and the living page below it, whose scene becomes a stage of the run.

    Args:
        run: that keeps the scene.
        name: of the portrait, such as ``field`` or ``k2/field``.
        still: draws the portrait.
        results: of the model.

    Warns:
        FigureWarning: the portrait stands alone, because making the living page failed.
    """

    def make(line: Progress) -> Picture:
        portrait = still(line)
        try:
            page, words = _living(run, scene_stage(name), results, line)
        except Exception as error:
            said = f"The living page could not be made ({type(error).__name__}: {error}); everything else is complete."
            warnings.warn(said, FigureWarning, stacklevel=2)
            return portrait
        return replace(portrait, living=page, living_words=words)

    return make


def _living(run: Run, stage: str, results: ModelResults, line: Progress) -> tuple[bytes, str]:
    """The deflated page and what is said of it; no page, and why, where the report cannot hold it."""
    field = results.latent_field
    numbers = int(field.describe()["parameters"])
    if _SMALLEST_NUMBER * numbers > LARGEST:
        return b"", _absent(f"The model has {numbers:,} numbers, too many for a report.")
    if not run.has(stage) and isinstance(field, RecordedField) and not field.is_live:
        return b"", ""  # a run that was made without it
    scene: Scene = run.stage(stage, lambda: scene_of(results, beforehand=False, progress=line))
    if scene.about["graph"] is None:
        return b"", _absent(scene.about["why_no_model"])
    page = zlib.compress(explorer_page(scene, framed=True).encode("utf-8"), 9)
    if len(page) > LARGEST:
        return b"", _absent(f"With the model it would take {len(page) / 1e6:.0f} MB, too much for a report.")
    return page, (
        f"The model itself is in this file, {numbers:,} numbers, and answers in your browser, without a network. So who has this page has the model: "
        "separatrix report --no-explorer makes the page without it."
    )


def _absent(why: str) -> str:
    return f"The living page is not in this report. {why} separatrix explore RUN --of MODEL opens it, and the model stays in Python."
