"""The recipe ``film``: how attractors and basins form while a model with two latent numbers is trained."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.cost import NO_WORK
from separatrix.data import ImageSet, ImageSource, encode_range, load_images
from separatrix.errors import FileError, InputError, SeparatrixError
from separatrix.explorer import Moment, training_scenes
from separatrix.explorer._training import LARGEST, size_of
from separatrix.field import LatentField, RecordedField
from separatrix.models import ConvAutoencoder, ReferenceAutoencoder, load, load_model, save_model
from separatrix.plots import training_frames
from separatrix.plots._pictures import are_pictures
from separatrix.report import Picture
from separatrix.report._film_page import film_page, frame_rows
from separatrix.runs._checkpoints import checkpoints_of, copies_in_training, moments, numbered, split, unsound
from separatrix.runs._living import Scenes, Sleeper
from separatrix.runs._plan import Plan, data_record, model_record
from separatrix.runs._run import Run, opened
from separatrix.runs._views import Ended, View, provenance, write_views
from separatrix.storage import PathLike, storable
from separatrix.studies import TrainingFilm, training_film
from separatrix.studies._training_film import RULES, require_plane
from separatrix.words import jsonable
from separatrix.work import Progress

RECIPE = "film"
EXAMPLES = "examples"
_SHOWN = 300  # encoded images that are drawn as dots
_MEASURED = 1000  # images on which errors are measured
_STARTS = 12  # images from which a reader of the living page may start


@storable
@dataclass(frozen=True, kw_only=True)
class Footage:
    """It tells what the frames of a film are of.

    Attributes:
        parameters: epoch, step or number of each.
        unit: what the parameters count.
        words: the model and the data in one line.
        left_out: checkpoints that are damaged or no field, by name, and why.
    """

    parameters: tuple[float, ...]
    unit: str
    words: str
    left_out: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class FilmRun(Ended):
    """It tells what was found."""

    film: TrainingFilm


@checked
def film(
    checkpoints: PathLike | None = None,
    data: ImageSource | None = None,
    *,
    scale: float | None = None,
    model: str | None = None,
    allow_code: bool = False,
    epochs: int = 60,
    channels: int = 16,
    frames: int = 24,
    resolution: int = 48,
    out: PathLike | None = None,
    overwrite: bool = False,
    seed: int = 0,
    figures: bool = True,
    explorer: bool = True,
    progress: bool | Progress = False,
) -> FilmRun:
    """Film the latent plane along a training that is made now, or along the checkpoints of one; write a run.

    Args:
        checkpoints: a folder of files of `save_model`, or of weights for ``model``; without it a small autoencoder is trained, whose
            copies are stored in the run as such a folder.
        data: images to train on, or to show with checkpoints; the digits of scikit-learn (8×8, installed with it) if not given.
        scale: the stored value that is white, as for `load_images`.
        model: ``path/to/file.py:factory`` of the module that the weights belong to.
        allow_code: as for `load`.
        epochs, channels: of the training.
        frames: at most so many; of a training more of its first epochs.
        resolution: points of the plane along each side.
        out, overwrite, figures, explorer: as for `attractors`; the living page has every checkpoint with its model.
        seed: of the training and of the images that are held out.
        progress: show a progress bar, or move the one that is there (`separatrix.work.Progress`).

    Raises:
        FileError: there is no checkpoint, none can be read, something that is not to be replaced is at ``out``, or it cannot be written.
        InputError: the images cannot be used, or a field has not two latent coordinates.

    Warns:
        FigureWarning: a figure is missing.

    Cost: that of `training_film`, and of the training; with ``explorer`` some three thousand map evaluations per checkpoint. What is stored costs nothing.
    """
    began = time.perf_counter()
    if checkpoints is None:
        source = _from_training(data, scale, moments(epochs, frames), channels, seed)
    elif data is None:
        raise InputError("Checkpoints are shown on images; give data too.")
    else:
        source = _from_checkpoints(checkpoints_of(checkpoints, frames), data, scale, model, allow_code)
    plan = Plan(
        recipe=RECIPE,
        model=source.model,
        data=data_record(images=source.images),
        options={**source.options, "resolution": resolution, "protocol": RULES.to_dict()},
    )
    with Progress.of(progress).stage(RECIPE, 3) as line, opened(out, plan, overwrite=overwrite) as run:
        footage = run.stage("footage", lambda: source.footage(run, line))
        shot = run.stage(
            RECIPE,
            lambda: training_film(
                source.fields(run, footage, line),
                source.shown.pixels[:_SHOWN],
                parameters=footage.parameters,
                unit=footage.unit,
                errors=source.measured,
                classes=None if source.shown.targets is None else source.shown.targets[:_SHOWN],
                resolution=resolution,
                stages=run,
                progress=line,
            ),
        )
        if source.examples is not None:
            run.stage(EXAMPLES, lambda: source.examples)
        viewer = partial(film_view, fields=lambda: source.fields(run, footage, line))
        view = write_views(run, viewer, {}, figures=figures, explorer=explorer, progress=line)
    return FilmRun(film=shot, summary=view.summary, folder=run.folder, seconds=time.perf_counter() - began)


def film_view(
    run: Run, _: Mapping[str, RecordedField], fields: Callable[[], Sequence[LatentField]] | None = None
) -> View:
    """Everything that is written of such a run; no model is asked for any of it but the living page, by whoever has the fields."""
    footage: Footage = run.load("footage")
    shot: TrainingFilm = run.load(RECIPE)
    cost = sum((limits.cost for limits in shot.continuation.limits), NO_WORK)
    summary = {
        "kind": f"separatrix {RECIPE}",
        "subtitle": footage.words,
        "code": shot.statement.slug,
        "summary": str(shot.statement),
        "frames": frame_rows(shot),
        "left_out": footage.left_out,
        "cost": {**asdict(cost), "total": cost.total},
    }
    notes = [f"{name}: {why}" for name, why in footage.left_out.items()]
    known = provenance(run, cost=f"{cost.total:,.0f} evaluations")
    return View(
        summary=jsonable(summary),
        figures={RECIPE: lambda _: Picture.of(training_frames(shot), alt="Basins at several moments, side by side.")},
        living={RECIPE: _asleep(run, fields)},
        page=lambda drawn: film_page(
            shot, subtitle=footage.words, still=drawn.get(RECIPE), left_out=notes, provenance=known
        ),
    )


def film_moments(run: Run, fields: Sequence[LatentField], *, progress: bool | Progress, **options: Any) -> list[Moment]:
    """Make the scenes of a film that is stored; the options are those of `training_scenes`."""
    footage: Footage = run.load("footage")
    examples: ImageSet | None = run.load(EXAMPLES) if run.has(EXAMPLES) else None
    return training_scenes(
        run.load(RECIPE),
        fields,
        title=str(run.plan["model"]["name"]),
        subtitle=footage.words,
        examples={} if examples is None else dict(zip(examples.names, examples.pixels, strict=True)),
        progress=progress,
        **options,
    )


def holds_its_checkpoints(run: Run) -> bool:
    """Return whether the training was part of the run, which then has its copies."""
    return "sha256" not in run.plan["model"]


def _asleep(run: Run, fields: Callable[[], Sequence[LatentField]] | None) -> Sleeper:
    """Say what the living page in the report is made from."""

    def made(line: Progress) -> Scenes:
        assert fields is not None
        known = fields()
        if (size := size_of(known)) > LARGEST:
            return Scenes(scenes=(), why=f"The models of {len(known)} checkpoints would take {size / 1e6:.0f} MB.")
        return Scenes(scenes=tuple(each.scene for each in film_moments(run, known, room=0, progress=line)))

    of = "" if holds_its_checkpoints(run) else " --of FOLDER"
    return Sleeper(make=None if fields is None else made, elsewhere=f"separatrix explore RUN{of}")


@dataclass(frozen=True, kw_only=True)
class _Source:
    """It tells where the frames come from.

    Attributes:
        model: who they are, for the plan.
        images: of all kinds, for the plan.
        options: for the plan.
        shown: images that are drawn as dots, the first of them.
        measured: images by name on which errors are measured.
        examples: images from which a reader of the living page may start; None where they are no pictures.
        footage: makes sure that they are there, and says what they are.
        fields: one per frame.
    """

    model: Mapping[str, Any]
    images: ImageSet
    options: Mapping[str, Any]
    shown: ImageSet
    measured: Mapping[str, Tensor]
    examples: ImageSet | None
    footage: Callable[[Run, Progress], Footage]
    fields: Callable[[Run, Footage, Progress], list[LatentField]]


def _from_training(
    data: ImageSource | None, scale: float | None, kept: tuple[int, ...], channels: int, seed: int
) -> _Source:
    images = _digits() if data is None else load_images(data, scale=scale)
    name = "handwritten digits" if data is None else Path(str(images.provenance.get("source", "given images"))).name
    train, unseen = split(images, seed)

    @cache
    def trained(line: Progress) -> dict[int, ConvAutoencoder]:
        return copies_in_training(train.pixels, kept, channels=channels, seed=seed, progress=line)

    def copies(run: Run, line: Progress) -> list[ReferenceAutoencoder]:
        return [_copy(run, epoch, partial(trained, line)) for epoch in kept]

    def footage(run: Run, line: Progress) -> Footage:
        copies(run, line)
        words = f"trained on {len(train):,} images ({name}), seed {seed}"
        return Footage(
            parameters=tuple(map(float, kept)),
            unit="epoch",
            words=f"A convolutional autoencoder with two latent numbers, {words}.",
            left_out={},
        )

    def fields(run: Run, _: Footage, line: Progress) -> list[LatentField]:
        return [each.field(f"epoch {epoch}") for epoch, each in zip(kept, copies(run, line), strict=True)]

    return _Source(
        model={"name": "ConvAutoencoder in training", "channels": channels},
        images=images,
        options={"epochs": kept, "seed": seed},
        shown=unseen if data is None else replace(unseen, targets=None),
        measured={"training images": train.pixels[:_MEASURED], "unseen images": unseen.pixels[:_MEASURED]},
        examples=_some({"training image": train, "unseen image": unseen}),
        footage=footage,
        fields=fields,
    )


def _copy(run: Run, epoch: int, copies: Callable[[], Mapping[int, ConvAutoencoder]]) -> ReferenceAutoencoder:
    """The copy of an epoch, as it is stored in the run; the training is made if it is not there."""
    name = f"checkpoints/epoch-{epoch:04d}.safetensors"
    path = run.file(name, lambda path: save_model(copies()[epoch], path))
    return copies()[epoch] if path is None else load_model(path)


def _answers(files: list[Path], loaded: Callable[[Path], LatentField]) -> Any:
    """The behaviour of the first checkpoint that is sound: a factory may be changed, and the files stay the same."""
    for path in files:
        with suppress(SeparatrixError):
            return model_record(loaded(path))["answers"]
    return {}


def _from_checkpoints(
    files: list[Path], data: ImageSource, scale: float | None, model: str | None, allow_code: bool
) -> _Source:
    images = replace(load_images(data, limit=_MEASURED, scale=scale), targets=None)

    @cache
    def loaded(path: Path) -> LatentField:
        return load(model or path, weights=None if model is None else path, allow_code=allow_code)

    def footage(_run: Run, _line: Progress) -> Footage:
        left_out = unsound(files, loaded)
        sound = [path for path in files if path.name not in left_out]
        for each in map(loaded, sound):  # found out now, and not after the first searches
            require_plane(each)
            encode_range(each, lambda a, b: images.pixels[a:b], 0, 1)
        parameters, unit = numbered(sound)
        lost = f", {len(left_out)} more left out" if left_out else ""
        words = f"{len(sound)} checkpoints of {files[0].parent.name}{lost}, {len(images):,} images."
        return Footage(parameters=parameters, unit=unit, words=words, left_out=left_out)

    return _Source(
        model={
            "name": files[0].parent.name,
            "factory": model,
            "sha256": {path.name: file_sha256(path) for path in files},
            "answers": {} if model is None else _answers(files, loaded),
        },
        images=images,
        options={},
        shown=images,
        measured={"the images shown": images.pixels},
        examples=_some({"image": images}),
        footage=footage,
        fields=lambda _run, known, _line: [loaded(path) for path in files if path.name not in known.left_out],
    )


def _some(images: Mapping[str, ImageSet]) -> ImageSet | None:
    """The first of each, called by what they are and their names."""
    chosen = {what: each[: _STARTS // len(images)] for what, each in images.items()}
    if not are_pictures(next(iter(chosen.values())).image_shape):
        return None
    names = (f"{what} {name}" for what, each in chosen.items() for name in each.names)
    return ImageSet(pixels=torch.cat([each.pixels for each in chosen.values()]), names=tuple(names))


def _digits() -> ImageSet:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return ImageSet(
        pixels=torch.from_numpy(digits.images[:, None] / 16).to(torch.float32),
        names=tuple(map(str, range(len(digits.images)))),
        targets=torch.from_numpy(digits.target).to(torch.int64),
    )


def file_sha256(path: Path) -> str:
    """Return the checksum of a file.

    Raises:
        FileError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror}); check the file.") from error
