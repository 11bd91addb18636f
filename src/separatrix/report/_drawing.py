"""Figures are drawn when the results are safe, one after the other; one that fails, or Ctrl-C, costs that figure and no result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from separatrix.errors import FigureWarning, warn
from separatrix.report._page import Bullets, Page, Picture, Section
from separatrix.report._write import rendered
from separatrix.work import Progress

T = TypeVar("T")

NOT_ASKED_FOR = "Figures were left out, as asked for."


@dataclass(frozen=True)
class Drawn(Generic[T]):
    """The figures that were drawn, by name, and a sentence on each that was not."""

    figures: Mapping[str, T]
    missing: tuple[str, ...] = ()


def draw(
    planned: Mapping[str, Callable[[Progress], T]],
    *,
    progress: bool | Progress = False,
    keep: Callable[[str, T], Any] = lambda _name, _figure: None,
) -> Drawn[T]:
    """Draw what is planned, and hand every figure to ``keep`` as soon as it is there.

    A figure that raises is left out and named. After Ctrl-C so are all that follow: whoever presses it has seen enough, and
    the results were written before.

    >>> drawn = draw({"one": lambda _: 1, "two": lambda _: 1 // 0})
    >>> drawn.figures, drawn.missing
    ({'one': 1}, ('The figure "two" could not be drawn (ZeroDivisionError: integer division or modulo by zero); everything else is complete.',))
    """
    figures: dict[str, T] = {}
    missing: list[str] = []
    with Progress.of(progress).stage("drawing the figures", len(planned)) as line:
        for name, make in planned.items():
            try:
                with line.stage(name):
                    figures[name] = make(line)
                keep(name, figures[name])
            except KeyboardInterrupt:
                rest = ", ".join(f'"{each}"' for each in planned if each not in figures)
                missing.append(
                    f"Drawing was interrupted, so these figures are missing: {rest}; the results are complete."
                )
                break
            except Exception as error:
                said = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
                figures.pop(name, None)
                missing.append(
                    f'The figure "{name}" could not be drawn ({type(error).__name__}: {said}); everything else is complete.'
                )
    return Drawn(figures, tuple(missing))


def draw_into(
    keep: Callable[[str, bytes], None],
    planned: Mapping[str, Callable[[Progress], Picture]],
    *,
    progress: bool | Progress = False,
) -> Drawn[Picture]:
    """Draw what is planned for a run whose results are stored, each figure as ``NAME.png`` (an animation as ``NAME.webp``) as soon as it is there.

    Warns:
        FigureWarning: one sentence for each figure that is missing.
    """
    drawn = draw(planned, progress=progress, keep=lambda name, picture: keep(f"{name}.{picture.suffix}", picture.png))
    for sentence in drawn.missing:
        warn(sentence, FigureWarning)
    return drawn


def illustrate(
    keep: Callable[[str, bytes], None],
    report: str,
    planned: Mapping[str, Callable[[Progress], Picture]],
    page: Callable[[Mapping[str, Picture]], Page],
    *,
    progress: bool | Progress = False,
) -> Drawn[Picture]:
    """Draw what is planned beside a report that is there, and write the report again, with the figures in it.

    Args:
        keep: is called with the name and the content of each file.
        report: the name of the page, which is there without figures.
        planned: see `draw`.
        page: makes it anew from the figures that were drawn.
        progress: show progress.

    Warns:
        FigureWarning: one sentence for each figure that is missing; the page says it too.
    """
    drawn = draw_into(keep, planned, progress=progress)
    try:
        keep(report, rendered(with_missing(page(drawn.figures), drawn.missing)).encode("utf-8"))
    except (Exception, KeyboardInterrupt) as error:
        sentence = (
            f"The report stays as it was, without figures ({type(error).__name__}: {error}); the results are complete."
        )
        warn(sentence, FigureWarning)
    return drawn


def with_missing(page: Page, missing: tuple[str, ...]) -> Page:
    """Return the page with a section on what is not in it, if anything is missing."""
    if not missing:
        return page
    return replace(page, closing=(Section("Figures that are missing", [Bullets(missing)]), *page.closing))
