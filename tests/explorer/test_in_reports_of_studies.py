"""The living pages in the reports of studies that are not about attractors: they start from the study's own pictures, and answer as its model does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import separatrix as sx
from separatrix import runs
from separatrix.explorer import _training
from separatrix.models import load_model
from separatrix.ood import MahalanobisDetector
from separatrix.runs import _around, _film, _living
from separatrix.runs._around import scenes_around
from separatrix.work import Progress

PICTURES = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def field() -> sx.LatentField:
    """Pictures of 8 × 8 from three numbers and back, smoothly."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        decode = nn.Sequential(nn.Linear(3, 64), nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8)))
        encode = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Tanh())
    return sx.LatentField(encode.eval(), decode.eval(), latent_shape=3, name="three numbers")


def drift(field: sx.LatentField, place: Path, **options: Any) -> None:
    runs.drift(field, PICTURES[:14], trips=3, remedies=False, patterns=0, out=place / "run", **options)


def score(field: sx.LatentField, place: Path, pictures: torch.Tensor = PICTURES, **options: Any) -> None:
    """Of an array, so that names are numbers."""
    place.mkdir(exist_ok=True)
    np.save(place / "pictures.npy", pictures.numpy())
    detector = MahalanobisDetector(field).fit(PICTURES)
    runs.score(detector, place / "pictures.npy", place / "table.csv", fpr=0.1, out=place / "run", **options)


def film(_: sx.LatentField, place: Path, **options: Any) -> None:
    runs.film(data=PICTURES, epochs=2, frames=3, channels=2, resolution=5, out=place / "run", **options)


STUDIES: dict[str, Callable[..., None]] = {"drift": drift, "score": score, "film": film}
every = pytest.mark.parametrize("study", STUDIES)


@pytest.fixture(scope="module")
def places(field, tmp_path_factory) -> dict[str, Path]:
    """One run of each, with its report."""
    made = {}
    for name, study in STUDIES.items():
        made[name] = tmp_path_factory.mktemp(name) / name
        study(field, made[name])
    return made


def text_of(place: Path) -> str:
    return (place / "run" / "report.html").read_text(encoding="utf-8")


def scenes(place: Path, study: str) -> tuple[sx.explorer.Scene, ...]:
    figure = {"drift": "pictures", "score": "scores", "film": "film"}[study]
    return sx.load_result(place / "run" / f"{figure}-scene").scenes


def model_of(field: sx.LatentField, place: Path, study: str) -> sx.LatentField:
    """The model that the page begins with."""
    if study != "film":
        return field
    last = max((place / "run" / "checkpoints").iterdir())
    return load_model(last).eval().field("last")


@every
def test_a_reader_starts_from_a_picture_of_the_study_and_from_the_plane(visit, places, field, study):
    opened = visit(places[study] / "run" / "report.html", awake=False)
    page = opened.page
    assert page.locator("iframe").count() == 0
    page.get_by_role("button", name="Explore").press(" ")
    page.wait_for_selector("iframe")
    (frame,) = [one for one in page.frames if one != page.main_frame]
    frame.wait_for_selector("html[data-separatrix=ready]", timeout=60_000)
    names = frame.evaluate("separatrix.starts.pictures.map(picture => picture.name)")
    assert names == scenes(places[study], study)[-1].about["examples"]
    assert len(names) == 12
    model = model_of(field, places[study], study)
    first = torch.tensor(frame.evaluate("Array.from(separatrix.starts.pictures[0].x)")).reshape(1, 1, 8, 8)
    for begin, start in (
        (lambda: frame.locator("#examples button").first.click(), model.encode(first)),
        (lambda: frame.locator("#plane-top").click(position={"x": 100, "y": 100}), None),
    ):
        before = frame.evaluate("separatrix.journey.orbit?.points[0].z[0]")
        begin()
        points = _followed(page, frame, before)
        assert torch.allclose(model(points[:-1]), points[1:], rtol=1e-4, atol=1e-4)
        assert start is None or torch.allclose(points[:1], start, rtol=1e-4, atol=1e-4)
    assert opened.complaints == []
    assert opened.outside() == []


def _followed(page: Any, frame: Any, before: float | None) -> torch.Tensor:
    """The points of an orbit that began elsewhere than the one before, when it has ended."""
    for _ in range(500):
        points = frame.evaluate(
            "separatrix.journey.orbit?.done ? separatrix.journey.orbit.points.map(p => Array.from(p.z)) : []"
        )
        if len(points) > 1 and points[0][0] != before:
            return torch.tensor(points, dtype=torch.float32)
        page.wait_for_timeout(20)
    raise AssertionError("no orbit ended")


@every
def test_the_page_is_made_again_without_the_model_and_without_the_living_page(places, study, tmp_path):
    shutil.copytree(places[study], tmp_path / "copy")
    before = text_of(tmp_path / "copy")
    runs.report(tmp_path / "copy" / "run", explorer=False)
    without = text_of(tmp_path / "copy")
    assert "Explore" in before
    assert "Explore" not in without
    assert "wasm" not in without
    runs.report(tmp_path / "copy" / "run")
    assert text_of(tmp_path / "copy") == before


@every
def test_who_asks_for_none_gets_none(field, study, tmp_path):
    STUDIES[study](field, tmp_path / "place", explorer=False)
    assert "Explore" not in text_of(tmp_path / "place")
    assert not list((tmp_path / "place" / "run").glob("*-scene"))


@every
def test_a_model_too_large_for_a_page_is_named_in_its_place(field, study, tmp_path, monkeypatch):
    monkeypatch.setattr(_living, "LARGEST", 100)
    monkeypatch.setattr(_film, "LARGEST", 1000)
    STUDIES[study](field, tmp_path / "place")
    text = text_of(tmp_path / "place")
    assert "The living page is not in this report. The model" in text
    assert ("separatrix explore RUN opens it" if study == "film" else "separatrix explore MODEL opens one") in text
    assert "Explore" not in text
    runs.report(tmp_path / "place" / "run")
    assert text_of(tmp_path / "place") == text


def test_reports_name_a_command_that_opens_a_page_of_theirs(field, tmp_path, monkeypatch):
    """`separatrix explore` takes no run of a probe, so that its report must not say so."""
    monkeypatch.setattr(_living, "LARGEST", 100)
    runs.probe(field, starts=4, out=tmp_path / "run")
    assert "separatrix explore MODEL opens one" in text_of(tmp_path)
    with pytest.raises(sx.errors.FileError, match="of which there is no living page"):
        runs.living_run(tmp_path / "run", lambda: field)


def test_other_highest_scores_make_the_page_of_scores_anew(field, tmp_path):
    score(field, tmp_path)
    (first,), before = scenes(tmp_path, "score"), text_of(tmp_path)
    score(field, tmp_path)
    assert text_of(tmp_path) == before
    score(field, tmp_path, torch.cat([PICTURES, torch.ones(1, 1, 8, 8)]))
    (second,) = scenes(tmp_path, "score")
    assert second.about["examples"] != first.about["examples"]
    assert bool((second.arrays["example_x"] == 1).flatten(1).all(dim=1).any())


def test_the_highest_scores_lead_and_usual_ones_follow(places):
    (scene,) = scenes(places["score"], "score")
    highest = json.loads((places["score"] / "run" / "summary.json").read_text(encoding="utf-8"))["highest"]
    called = scene.about["examples"]
    assert called[:8] == [f"rank {rank}: {name}" for rank, name in enumerate(list(highest)[:8], start=1)]
    usual = [name.removeprefix("usual: ") for name in called[8:]]
    assert len(usual) == 4
    assert not set(usual) & set(list(highest)[:16])
    rows = [int(name.rpartition(": ")[2]) for name in called]
    assert torch.equal(scene.arrays["example_x"], PICTURES[rows])


def test_drift_starts_from_its_first_pictures(places):
    (scene,) = scenes(places["drift"], "drift")
    assert scene.about["examples"] == [f"picture {row}" for row in range(12)]
    assert torch.equal(scene.arrays["example_x"], PICTURES[:12])


def test_the_search_costs_a_quarter_of_the_study_or_two_hundred_steps(field):
    steps = []
    images = _around.named(sx.data.load_images(PICTURES), "picture")
    for cost in (0, 40_000):
        found = scenes_around(field, images, title="", cost=cost, progress=Progress.of(False))
        steps.append(found.scenes[0].about["max_steps"])
    assert steps == [200, 10_000 // 12]


def test_a_film_keeps_its_first_images_and_every_checkpoint_has_them(places, tmp_path):
    kept = sx.load_result(places["film"] / "run" / "examples")
    assert [name.rpartition(" ")[0] for name in kept.names] == 6 * ["training image"] + 6 * ["unseen image"]
    numbers = [int(name.rpartition(" ")[2]) for name in kept.names]
    assert torch.equal(kept.pixels, PICTURES[numbers])
    for scene in (*scenes(places["film"], "film"), runs.living_run(places["film"] / "run").scene):
        assert tuple(scene.about["examples"]) == kept.names
        assert torch.equal(scene.arrays["example_x"], kept.pixels)


def test_many_checkpoints_have_fewer_images_each():
    images = {str(number): torch.zeros(3, 64, 64) for number in range(12)}
    assert len(_training._few(images, 3)) == 7
    assert len(_training._few(images, 24)) == 1
    assert _training._few({}, 3) == {}
