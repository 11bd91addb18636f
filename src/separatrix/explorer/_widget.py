"""A living page in a notebook, with the model in its kernel."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.explorer._answers import Answers, Ask, BadQuestion
from separatrix.explorer._page import explorer_page
from separatrix.explorer._scene import Scene, scene_of
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets
from separatrix.report import ModelResults
from separatrix.work import Progress

if TYPE_CHECKING:
    from anywidget import AnyWidget


@checked
def widget(
    field: LatentField, shown: LimitSets | ModelResults | Scene, *, height: int = 900, progress: bool | Progress = False
) -> AnyWidget:
    """A living page as the output of a notebook's cell. The model answers where it is, in the kernel.

    Args:
        field: that answers; any torch model can.
        shown: limit sets of this field, its results, or a scene that was made with ``live=True``.
        height: of the page, in pixels.
        progress: show a progress bar, or move the one that is there.

    Raises:
        InputError: anywidget is missing.

    Cost: that of `separatrix.explorer.scene_of`, unless a scene is given. While a cell runs, the page waits.
    """
    kind = _kind()
    if isinstance(shown, LimitSets):
        shown = ModelResults(title=field.name, subtitle="", latent_field=field, searches={"search": shown})
    if isinstance(shown, ModelResults):
        shown = scene_of(shown, live=True, progress=progress)
    made: AnyWidget = kind(shown, Answers(field), height)
    return made


@cache
def _kind() -> Any:
    try:
        from anywidget import AnyWidget
        from traitlets import Int, Unicode
    except ImportError as error:
        raise InputError(
            f"A living page in a notebook needs {error.name}, which is not installed; pip install 'separatrix[notebook]'."
        ) from error

    class ExplorerWidget(AnyWidget):
        """A living page in a notebook."""

        _esm = resources.files("separatrix.explorer").joinpath("static", "widget.js").read_text(encoding="utf-8")
        page = Unicode().tag(sync=True)
        height = Int().tag(sync=True)

        def __init__(self, scene: Scene, answers: Answers, height: int) -> None:
            super().__init__(page=explorer_page(scene, live={"largest": answers.largest}, framed=True), height=height)
            self._answers = answers
            self.on_msg(self._asked)

        def _asked(self, _: Any, content: Any, buffers: list[Any]) -> None:
            """Answer to the view that asks: several cells may show one widget."""
            for frame in buffers:
                try:
                    question = self._answers.read(bytes(frame))
                except BadQuestion as error:
                    self.send(content, [self._answers.refusal(error.number, str(error))])
                    continue
                if question.what is not Ask.CANCEL:  # which comes too late here: messages wait for each other
                    for part in self._answers.to(question):
                        self.send(content, [part])

    return ExplorerWidget
