"""The whole way on real data: three small autoencoders of handwritten digits and what they remember.

All three have the same architecture and are trained the same way, to rebuild digits from noisy copies, with
about the same number of gradient steps. They differ in the number of latent coordinates and in the number of
training images. So the differences between their fields are the effect of the bottleneck and of the data.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from separatrix import starts
from separatrix.arguments import checked
from separatrix.errors import ConvergenceWarning, FileError
from separatrix.explorer import Scene, explorer_page, scene_of
from separatrix.field import LatentField, RecordedField
from separatrix.limitsets import LimitSets, find_attractors, grid_search, join_searches, sensitivity
from separatrix.limitsets._assemble import versions
from separatrix.models import ConvAutoencoder, load_model, save_model, train_autoencoder
from separatrix.numerics import counter_random
from separatrix.plots import Plane
from separatrix.plots._film import TIMES
from separatrix.report import ModelResults, Page, Picture
from separatrix.report._budget import FigureBudget
from separatrix.report._chapter import LIBRARIES
from separatrix.report._figures import FigurePlan, planned_figures
from separatrix.report._several_models import several_models_page
from separatrix.runs._demo_summary import (
    FROM_DIGITS,
    FROM_NOISE,
    NUMBERS,
    DemoModel,
    DemoResult,
    demo_statement,
    row_of,
)
from separatrix.runs._plan import Plan
from separatrix.runs._run import Run, opened
from separatrix.runs._views import REPORT, View, recorded, write_views
from separatrix.storage import PathLike, storable
from separatrix.studies import resemblance
from separatrix.work import Progress

__all__ = ["DemoModel", "DemoResult", "demo"]

_TRAIN = 1400  # of the 1797 digits; the others are never trained on
_CHANNELS = 16
_LEARNING_RATE = 5e-3
_NOISE = 0.2  # standard deviation of the noise on the training inputs
_EXAMPLES = 10  # unseen digits in the living page, beside those of the films
_FILMED = (3, 5, 8)  # classes of the unseen digits in the films
_HERO = {"pure noise": "noise 2", "an unseen 3": "an unseen 3"}  # of those, what opens the page
RECIPE = "demo"
EXPLORER = "explorer.html"
_SCENE = "k2/scene"
_FROM = {"from-digits": FROM_DIGITS, "from-noise": FROM_NOISE}


@dataclass(frozen=True)
class _Effort:
    """It tells how much work each part gets."""

    epochs: int
    epochs_on_ten: int
    starts: int
    grid: int
    resolution: int
    arrows: int
    sensitivity: int


_FULL = _Effort(epochs=20, epochs_on_ten=400, starts=128, grid=44, resolution=80, arrows=56, sensitivity=24)
_QUICK = _Effort(epochs=4, epochs_on_ten=150, starts=32, grid=12, resolution=24, arrows=16, sensitivity=6)


@dataclass(frozen=True)
class _Plan:
    """One of the models."""

    name: str
    title: str
    latent_dim: int
    only_ten: bool


_PLANS = (
    _Plan("k2", "Two numbers, 1,400 digits", 2, only_ten=False),
    _Plan("k16", "Sixteen numbers, 1,400 digits", 16, only_ten=False),
    _Plan("k16-ten-digits", "Sixteen numbers, ten digits", 16, only_ten=True),
)
_QUICK_PLANS = (_PLANS[0], _PLANS[2])


@storable
class ReconstructionErrors(NamedTuple):
    """Mean squared reconstruction error per pixel, of training and of unseen images."""

    train: float
    unseen: float


@checked
def demo(
    out: PathLike,
    *,
    seed: int = 0,
    quick: bool = False,
    overwrite: bool = False,
    figures: bool = True,
    progress: bool | Progress = True,
) -> DemoResult:
    """Train three models, find their attractors from digits and noise, judge them, write a run.

    The folder holds ``report.html``, ``explorer.html`` (the living page of the model with two latent numbers), ``summary.json``, and
    for each model a folder with the weights and the search results. A run that was stopped goes on where it was.

    Args:
        out: the folder of the run.
        seed: of the split, the initial weights, the training and the noise. The same seed on the same machine
            gives the same numbers.
        quick: two of the models and a fifth of the work, to see that everything runs; the models are then not
            good enough to be read.
        overwrite: begin anew where an earlier demo is; anything else there is never touched.
        figures: draw them.
        progress: show a progress bar, or move the one that is there (`separatrix.work.Progress`).

    Raises:
        FileError: something that is not to be replaced is at ``out``, or it cannot be written.

    Cost: about a quarter of a million map evaluations and 1300 small training steps; half a minute.
    """
    began = time.perf_counter()
    effort, plans = _work(quick)
    plan = Plan(recipe=RECIPE, model={"name": "three digits models"}, options={"seed": seed, "quick": quick})
    with (
        _one_thread(),
        warnings.catch_warnings(),
        Progress.of(progress).stage(RECIPE, 2 * len(plans) + 2) as line,
        opened(out, plan, overwrite=overwrite) as run,
    ):
        warnings.simplefilter("ignore", ConvergenceWarning)  # the page says it, with the reasons
        digits = _Digits.load(seed)
        fields = {each.name: _studied(run, each, digits, effort, seed, line) for each in plans}
        run.stage(_SCENE, lambda: _scene(run, plans[0], digits, fields[plans[0].name], effort.arrows, line))
        view = write_views(run, demo_view, recorded(run, **fields), figures=figures, progress=line)
        assert run.folder is not None
        return DemoResult(
            run.folder,
            run.folder / REPORT,
            run.folder / EXPLORER,
            view.summary["verdict"],
            view.rows,
            seed,
            time.perf_counter() - began,
        )


@dataclass(frozen=True, kw_only=True)
class DemoView(View):
    """The same with one row per model."""

    rows: tuple[DemoModel, ...]


def demo_view(run: Run, fields: Mapping[str, RecordedField]) -> DemoView:
    """Everything that is written of such a run."""
    seed, quick = run.plan["options"]["seed"], run.plan["options"]["quick"]
    digits, effort, plans = _Digits.load(seed), *_work(quick)
    found = {plan.name: _results(run, plan, digits, fields[plan.name]) for plan in plans}
    results = {name: of_one for name, (of_one, _) in found.items()}
    statement = demo_statement(list(results.values()))
    rows = tuple(row_of(plan.name, plan.latent_dim, found[plan.name][1], results[plan.name]) for plan in plans)

    def page(drawn: Mapping[str, Picture]) -> Page:
        return several_models_page(
            f"What {NUMBERS[len(plans)]} autoencoders of handwritten digits remember",
            statement,
            list(results.values()),
            [
                {key.removeprefix(f"{name}/"): drawn[key] for key in drawn if key.startswith(f"{name}/")}
                for name in results
            ],
            inputs={words: digits.films[name] for words, name in _HERO.items()} if drawn else {},
        )

    summary = {
        "kind": f"separatrix {RECIPE}",
        "quick": quick,
        "verdict": str(statement),
        "models": [asdict(row) for row in rows],
        "seed": seed,
        "versions": versions(*LIBRARIES),
    }
    files = {EXPLORER: explorer_page(demo_scene(run))} if run.has(_SCENE) else {}  # runs from before have none
    figures, living = _planned(results, effort.resolution), {f"{plans[0].name}/field": results[plans[0].name]}
    return DemoView(summary=summary, figures=figures, living=living, page=page, rows=rows, files=files)


def demo_scene(run: Run) -> Scene:
    """Read what the living page of the first model shows."""
    scene: Scene = run.load(_SCENE)
    return scene


def demo_field(run: Run) -> LatentField:
    """Read the first model, of which the living page is."""
    plan = _work(run.plan["options"]["quick"])[1][0]

    def gone(path: Path) -> None:
        raise FileError(f"The model {path.name} of this demo is gone or was edited; run separatrix demo again.")

    weights = run.file(f"{plan.name}/model.safetensors", gone)
    assert weights is not None
    return load_model(weights).eval().field(plan.title)


def _scene(run: Run, plan: _Plan, digits: _Digits, field: LatentField, side: int, progress: Progress) -> Scene:
    """The living page begins on unseen digits and on noise."""
    results, _ = _results(run, plan, digits, RecordedField(field))
    unseen = {f"unseen {row + 1}": image for row, image in enumerate(digits.unseen[:_EXAMPLES])}
    return scene_of(
        results,
        origin=f"{plan.name}/model.safetensors",
        examples={**digits.films, **unseen},
        field_side=side,
        progress=progress,
    )


def _work(quick: bool) -> tuple[_Effort, tuple[_Plan, ...]]:
    return (_QUICK, _QUICK_PLANS) if quick else (_FULL, _PLANS)


def _planned(results: Mapping[str, ModelResults], resolution: int) -> FigurePlan:
    """The figures of all models, each in the folder of its model. What they cost is known here, and small."""
    plan: FigurePlan = {}
    for name, of_one in results.items():
        budget = FigureBudget(portrait=resolution**2, film=len(of_one.inputs) * max(TIMES), basins=0, steps=1.0)
        plan |= {f"{name}/{figure}": make for figure, make in planned_figures(of_one, budget).items()}
    return plan


@dataclass(frozen=True)
class _Digits:
    """Images ``(n, 1, 8, 8)`` in [0, 1].

    Attributes:
        train: for training.
        ten: one of each digit from ``train``.
        unseen: never trained on.
        films: unseen digits and images of pure noise, by name, to be fed to the models.
    """

    train: Tensor
    ten: Tensor
    unseen: Tensor
    films: dict[str, Tensor]

    @classmethod
    def load(cls, seed: int) -> _Digits:
        from sklearn.datasets import load_digits

        source = load_digits()
        order = np.random.default_rng(seed).permutation(len(source.images))
        images = torch.from_numpy(source.images[order, None] / 16).to(torch.float32)
        labels = source.target[order]
        train, unseen = images[:_TRAIN], images[_TRAIN:]
        ten = [int(np.flatnonzero(labels[:_TRAIN] == digit)[0]) for digit in range(10)]
        films = {f"an unseen {digit}": unseen[int(np.flatnonzero(labels[_TRAIN:] == digit)[0])] for digit in _FILMED}
        noise = torch.from_numpy(counter_random.uniform(seed, 0, len(_FILMED), 64)).to(torch.float32)
        films |= {f"noise {row + 1}": pixels.reshape(1, 8, 8) for row, pixels in enumerate(noise)}
        return cls(train, train[ten], unseen, films)


def _studied(run: Run, plan: _Plan, digits: _Digits, effort: _Effort, seed: int, progress: Progress) -> LatentField:
    """Train one model, search its field and judge what is found; every stage is in the folder ``plan.name`` of the run."""
    train = digits.ten if plan.only_ten else digits.train
    with progress.stage(f"{plan.title}: training", 1):
        weights = run.file(
            f"{plan.name}/model.safetensors",
            lambda path: save_model(_trained(plan, train, effort, seed, progress), path),
        )
    assert weights is not None
    field = load_model(weights).eval().field(plan.title)
    with progress.stage(f"{plan.title}: searching", 3 + (plan.latent_dim == 2)):
        encoded = starts.encoded(digits.unseen[: effort.starts])
        latents = field.encode(train).detach()
        noise = starts.gaussian(effort.starts, seed=seed, std=float(latents.std(correction=0)))
        # What only noise reaches is stored as well: the verdict must be on all attractors that the page shows.
        together = join_searches(
            [
                _search(run, f"{plan.name}/{name}", field, source, progress)
                for name, source in zip(_FROM, (encoded, noise), strict=True)
            ]
        )
        if plan.latent_dim == 2:
            extent = Plane.of(together).extent(together, latents)
            run.stage(
                f"{plan.name}/grid", lambda: grid_search(field, extent, effort.grid, known=together, progress=progress)
            )
        run.stage(
            f"{plan.name}/errors", lambda: ReconstructionErrors(_error(field, train), _error(field, digits.unseen))
        )
        run.stage(f"{plan.name}/resemblance", lambda: resemblance(field, together, train, digits.unseen, seed=seed))
        run.stage(
            f"{plan.name}/sensitivity", lambda: sensitivity(field, encoded, limit=effort.sensitivity, progress=progress)
        )
    return field


def _search(run: Run, name: str, field: LatentField, source: starts.Starts, progress: Progress) -> LimitSets:
    search = partial(find_attractors, field, source, progress=progress, checkpoint=run.unfinished(name))
    return run.stage(name, search)


def _results(run: Run, plan: _Plan, digits: _Digits, field: RecordedField) -> tuple[ModelResults, ReconstructionErrors]:
    """Return what is stored about one model."""
    train = digits.ten if plan.only_ten else digits.train
    errors: ReconstructionErrors = run.load(f"{plan.name}/errors")
    searches = {words: run.load(f"{plan.name}/{name}") for name, words in _FROM.items()}
    return ModelResults(
        title=plan.title,
        subtitle=f"a convolutional autoencoder with {plan.latent_dim} latent numbers, trained on {len(train):,} digits",
        latent_field=field,
        searches=searches,
        together=join_searches(list(searches.values())),
        train=train,
        resemblance=run.load(f"{plan.name}/resemblance"),
        sensitivity=run.load(f"{plan.name}/sensitivity"),
        grid=run.load(f"{plan.name}/grid") if plan.latent_dim == 2 else None,
        inputs=digits.films,
        facts={
            "latent numbers": str(plan.latent_dim),
            "training images": f"{len(train):,}",
            "error, training / unseen": f"{errors.train:.4f} / {errors.unseen:.4f}",
        },
    ), errors


def _trained(plan: _Plan, train: Tensor, effort: _Effort, seed: int, progress: Progress) -> ConvAutoencoder:
    """The reference autoencoder, trained to rebuild images from noisy copies."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ConvAutoencoder(train.shape[1:], plan.latent_dim, base_channels=_CHANNELS)
    train_autoencoder(
        model,
        train,
        epochs=effort.epochs_on_ten if plan.only_ten else effort.epochs,
        batch_size=64,
        learning_rate=_LEARNING_RATE,
        weight_decay=0.0,
        noise_std=_NOISE,
        seed=seed,
        progress=progress,
    )
    return model.eval()


def _error(field: LatentField, images: Tensor) -> float:
    """Mean squared reconstruction error per pixel."""
    return float((field.reconstruct(images) - images).detach().to(torch.float64).square().mean())


@contextmanager
def _one_thread() -> Iterator[None]:
    """Small networks gain nothing from threads, and sums split over threads round differently elsewhere."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
