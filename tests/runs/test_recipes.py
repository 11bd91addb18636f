"""Whatever a recipe computes: a finished run costs nothing, a killed one goes on byte for byte, and pages need no model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from killing import killed_at, left_by_kills
from separatrix import LatentField, Protocol, runs, starts
from separatrix.errors import DamageWarning, FileError
from separatrix.models import ConvAutoencoder
from separatrix.runs import OtherPlan
from separatrix.runs._plan import model_record


class Tiny(nn.Module):
    """Images 1×2×2 to two numbers and back, contracting; it counts its evaluations."""

    def __init__(self, slope: float = 0.5) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))
        self.calls = 0

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.slope * x.flatten(1)[:, :2]

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return torch.cat([z, z], dim=1).reshape(-1, 1, 2, 2)


IMAGES = torch.rand(8, 1, 2, 2, generator=torch.Generator().manual_seed(0))
SOME = Protocol(max_steps=60)


def probe(model: Tiny, place: Path, images: torch.Tensor = IMAGES, **options: Any) -> runs.ProbeRun:
    options = {"explorer": False, **options}
    return runs.probe(field_of(model), images, starts=4, out=place, protocol=SOME, **options)


def field_of(model: Tiny) -> LatentField:
    return LatentField(model.encode, model.decode, latent_shape=2, modules=(model,), name="tiny")


def diff(model: Tiny, place: Path, images: torch.Tensor = IMAGES, **options: Any) -> runs.DiffRun:
    """With itself, but for the slope."""
    pair, source = (field_of(model), field_of(Tiny(-0.5))), starts.encoded(images)
    options = {"explorer": False, **options}
    return runs.diff(*pair, source, rerun=False, reseeded=[field_of(Tiny(0.4))], protocol=SOME, out=place, **options)


def drift(model: Tiny, place: Path, images: torch.Tensor = IMAGES, **options: Any) -> runs.DriftRun:
    options = {"explorer": False, **options}
    return runs.drift(field_of(model), images, trips=3, out=place, **options)


def film(model: Tiny, place: Path, images: torch.Tensor = IMAGES, **options: Any) -> runs.FilmRun:
    """Of a training; another slope is another number of channels."""
    encode, options = ConvAutoencoder.encode, {"explorer": False, **options}

    def counted(own: ConvAutoencoder, x: torch.Tensor) -> torch.Tensor:
        model.calls += 1
        return encode(own, x)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConvAutoencoder, "encode", counted)
        larger = torch.nn.functional.interpolate(images, size=4)
        return runs.film(
            None, larger, epochs=1, channels=round(4 * model.slope.item()), resolution=3, out=place, **options
        )


RECIPES: dict[str, Callable[..., Any]] = {"diff": diff, "drift": drift, "film": film, "probe": probe}
every = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)


def files(folder: Path) -> dict[str, bytes]:
    """Path in the folder → bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@every
def test_a_finished_run_is_read_without_one_evaluation_beside_those_that_recognise_the_model(recipe, tmp_path):
    first = recipe(Tiny(), tmp_path / "run")
    before = files(tmp_path / "run")
    model, asked = Tiny(), Tiny()
    again = recipe(model, tmp_path / "run")
    if recipe is not film:  # whose model is trained by us
        model_record(field_of(asked))
    assert model.calls == asked.calls  # which it takes to see that the model is still the same
    assert again.summary == first.summary
    assert files(tmp_path / "run") == before


@every
@pytest.mark.parametrize("figures", [True, False])
def test_the_page_is_made_again_without_the_model(recipe, figures, tmp_path):
    found = recipe(Tiny(), tmp_path / "run", figures=figures, explorer=figures)
    before = files(tmp_path / "run")
    for name in before:
        if "/" not in name and name != "manifest.json":
            (tmp_path / "run" / name).write_bytes(b"gone")
    view = runs.report(tmp_path / "run", figures=figures)
    assert view.summary == found.summary
    assert files(tmp_path / "run") == before


@pytest.fixture
def computed_once(monkeypatch):
    """A stage is computed once for all runs of a test, if it has no stages in it, and the disk takes no time."""
    stage, file, known, inner = runs.Run.stage, runs.Run.file, {}, []

    def kept(run: runs.Run, name: str, make: Callable[[], Any]) -> Any:
        inner.append(name)

        def once() -> Any:
            before = len(inner)
            made = known[name] if name in known else make()
            if len(inner) == before:
                known[name] = made
            return made

        return stage(run, name, once)

    def kept_file(run: runs.Run, name: str, make: Callable[[Path], Any]) -> Path | None:
        inner.append(name)
        return file(run, name, make)

    monkeypatch.setattr(runs.Run, "stage", kept)
    monkeypatch.setattr(runs.Run, "file", kept_file)
    monkeypatch.setattr(os, "fsync", lambda _: None)


@every
@pytest.mark.usefixtures("computed_once")
def test_killed_at_any_step_it_ends_in_the_same_bytes(recipe, tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    left = left_by_kills(lambda: recipe(Tiny(), here / "run", figures=False), here, tmp_path / "left")
    whole = files(here)
    for place in left:
        recipe(Tiny(), place / "run", figures=False)
        assert files(place) == whole, f"killed at {place.name}"
        shutil.rmtree(place)
    assert len(left) > 100


@every
def test_what_is_computed_after_a_kill_is_what_would_have_been_computed(recipe, tmp_path):
    recipe(Tiny(), tmp_path / "whole")
    whole = files(tmp_path / "whole")
    for step in (40, 70, 100, 130, 190):
        assert killed_at(step, lambda step=step: recipe(Tiny(), tmp_path / str(step)))
        recipe(Tiny(), tmp_path / str(step))
        assert files(tmp_path / str(step)) == whole, f"killed at step {step}"


@every
@pytest.mark.parametrize(
    ("other", "named"),
    [
        (lambda recipe, place: recipe(Tiny(0.25), place), "model"),
        (lambda recipe, place: recipe(Tiny(), place, IMAGES.flip(0)), "data"),
        (lambda recipe, place: recipe(Tiny(), place, seed=1), "options"),
    ],
    ids=["model", "data", "option"],
)
def test_another_run_is_not_put_in_its_place(recipe, other, named, tmp_path):
    recipe(Tiny(), tmp_path / "run", figures=False)
    before = files(tmp_path / "run")
    with pytest.raises(
        OtherPlan, match=rf"holds a run of something else \(it differs in (options\.starts\.)?{named}\."
    ) as refused:
        other(recipe, tmp_path / "run")
    assert "\n" not in str(refused.value)
    assert files(tmp_path / "run") == before


@every
def test_a_damaged_stage_is_named_and_computed_again(recipe, tmp_path):
    recipe(Tiny(), tmp_path / "run", figures=False)
    before = files(tmp_path / "run")
    stage = next(name for name in before if name.endswith("/result.json") and not name.startswith("answers"))
    (tmp_path / "run" / stage).write_text("{}")
    with pytest.raises(FileError, match="not what was stored there"):
        runs.report(tmp_path / "run")
    (tmp_path / "run" / stage).write_text("{}")
    with pytest.warns(DamageWarning, match="It is computed again"):
        recipe(Tiny(), tmp_path / "run", figures=False)
    assert files(tmp_path / "run") == before
