"""Living pages: of a model, of a run and its model, or of a run that holds its model; as a file, or behind a server of this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from separatrix.arguments import checked
from separatrix.data import load_images
from separatrix.errors import FileError, InputError
from separatrix.explorer import Moment, Scene, explorer_page, scene_of
from separatrix.field import LatentField, RecordedField
from separatrix.limitsets import find_attractors
from separatrix.report import ModelResults
from separatrix.runs._attractors import RECIPE as ATTRACTORS
from separatrix.runs._attractors import attractors_results
from separatrix.runs._demo import RECIPE as DEMO
from separatrix.runs._demo import demo_field, demo_scene
from separatrix.runs._film import RECIPE as FILM
from separatrix.runs._film_living import moments_again
from separatrix.runs._plan import Plan, in_words, model_record
from separatrix.runs._run import reopened
from separatrix.starts import Starts
from separatrix.starts._rules import title_of
from separatrix.storage import PathLike, new_file
from separatrix.words import without_folders
from separatrix.work import Progress

_EXAMPLES = 12


@dataclass(frozen=True)
class Explored:
    """A living page that was written.

    Attributes:
        scene: what it shows.
        size: of the file, in bytes.
    """

    scene: Scene
    size: int


@dataclass(frozen=True, eq=False)
class Living:
    """A living page before it is a file, and the field that can answer it.

    Attributes:
        scene: what it shows.
        field: the model's.
        earlier: the checkpoints before it, where it is the last of a training.
    """

    scene: Scene
    field: LatentField
    earlier: tuple[Moment, ...] = ()

    def written(self, out: PathLike) -> Explored:
        """Write it as one file.

        Raises:
            FileError: it cannot be written.
        """
        text = explorer_page(self.scene, earlier=[each.scene for each in self.earlier]).encode("utf-8")
        with new_file(out) as path:
            path.write_bytes(text)
        return Explored(self.scene, len(text))


@checked
def explore(
    field: LatentField,
    starts: Starts,
    *,
    out: PathLike,
    images: Any = None,
    origin: str = "",
    model: bool = True,
    progress: bool | Progress = False,
) -> Explored:
    """Find the attractors of a field from these starts, and write a living page of them: one file, the model inside.

    Args:
        field: the latent field.
        starts: where orbits begin.
        out: the file.
        images, origin, model, progress: as in `living`.

    Raises:
        FileError: the file cannot be written.
        InputError: the latent space has one dimension.

    Cost: that of `find_attractors` and of `separatrix.explorer.scene_of`.
    """
    return living(field, starts, images=images, origin=origin, model=model, progress=progress).written(out)


@checked
def living(
    field: LatentField,
    starts: Starts,
    *,
    images: Any = None,
    origin: str = "",
    model: bool = True,
    live: bool = False,
    progress: bool | Progress = False,
) -> Living:
    """Find the attractors of a field from these starts, for a living page of them.

    Args:
        field: the latent field.
        starts: where orbits begin.
        images: a few images from which a reader may start, as `load_images` takes them.
        origin: what `separatrix.load` takes to give this model, for the lines of Python in the page.
        model: put the model into the page where that is possible.
        live: the page is to be served (`separatrix.explorer.serve`), and holds no model.
        progress: show a progress bar, or move the one that is there (`separatrix.work.Progress`).

    Raises:
        InputError: the latent space has one dimension.

    Cost: that of `find_attractors` and of `separatrix.explorer.scene_of`.
    """
    line = Progress.of(progress)
    limits = find_attractors(field, starts, progress=line)
    named = {} if images is None else named_examples(images)
    results = ModelResults(
        title=without_folders(field.name),
        subtitle=f"{field.title}, from {starts.describe()}",
        latent_field=field,
        searches={title_of(limits.provenance["starts"]["kind"]): limits},
        inputs=named,
    )
    return Living(scene_of(results, origin=origin, model=model, live=live, progress=line), field)


@checked
def explore_run(
    folder: PathLike,
    load: Callable[[], LatentField] | None = None,
    *,
    out: PathLike,
    checkpoints: PathLike | None = None,
    allow_code: bool = False,
    origin: str = "",
    model: bool = True,
    progress: bool | Progress = False,
) -> Explored:
    """Write a living page of a finished run, whose search is not repeated.

    Args:
        folder, load, checkpoints, allow_code: as in `living_run`.
        out: the file.
        origin, model, progress: as in `living`.

    Raises:
        FileError: no finished run of these kinds is there.
        InputError: the model is needed, or it is another one.

    Cost: that of `separatrix.explorer.scene_of`.
    """
    page = living_run(
        folder, load, checkpoints=checkpoints, allow_code=allow_code, origin=origin, model=model, progress=progress
    )
    return page.written(out)


@checked
def living_run(
    folder: PathLike,
    load: Callable[[], LatentField] | None = None,
    *,
    checkpoints: PathLike | None = None,
    allow_code: bool = False,
    origin: str = "",
    model: bool = True,
    live: bool = False,
    progress: bool | Progress = False,
) -> Living:
    """Read a finished run, for a living page of it. The search is not repeated.

    Args:
        folder: of the run: of ``attractors``, of a film, whose checkpoints a reader can go through, or of the demo, which holds its models.
        load: gives the model that the run is of, where the run does not hold it.
        checkpoints: the folder that a film was made from, where its training was not part of it.
        allow_code: as for `separatrix.load`, for the checkpoints.
        origin, model, live, progress: as in `living`.

    Raises:
        FileError: no finished run of these kinds is there.
        InputError: the model is needed, or it is another one.

    Cost: that of `separatrix.explorer.scene_of`.
    """
    with reopened(folder) as run:
        recipe = run.plan["recipe"]
        if not run.finished:
            raise FileError(f"The run in {folder} was stopped; run the same command again, it goes on where it was.")
        if recipe == DEMO:
            return Living(demo_scene(run), demo_field(run))
        if recipe == FILM:
            line = Progress.of(progress)
            *earlier, last = moments_again(
                run, checkpoints, allow_code=allow_code, model=model, live=live, progress=line
            )
            return Living(last.scene, last.field, tuple(earlier))
        if recipe != ATTRACTORS:
            raise FileError(
                f"{folder} is a run of {recipe}, of which there is no living page; give one of separatrix attractors or film."
            )
        if load is None:
            raise InputError(
                f"The run in {folder} does not hold its model; name it (load=…, in the command line --of MODEL)."
            )
        field = load()
        plan = Plan(
            recipe=recipe,
            model=model_record(field),
            data=run.plan["data"],
            options=run.plan["options"],
            versions=run.plan["versions"],
        )
        if different := plan.differences(run.plan):
            raise InputError(
                f"The run in {folder} is of another model (it differs in {in_words(different)}); give the one that it is of."
            )
        results = attractors_results(run, RecordedField(field))
        return Living(scene_of(results, origin=origin, model=model, live=live, progress=progress), field)


def named_examples(images: Any) -> dict[str, Tensor]:
    """The first images by their names; a bare number would read as a label."""
    found = load_images(images, limit=_EXAMPLES)
    return {
        f"image {name}" if name.isdigit() else name: pixels
        for name, pixels in zip(found.names, found.pixels, strict=True)
    }
