"""The living page of a training: field, limit sets, basins and the model that steps are those of the checkpoint on the slider."""

from __future__ import annotations

import pytest
import torch
from live import running

import separatrix as sx
from separatrix.errors import FileError, InputError
from separatrix.explorer import _training
from separatrix.runs import film, living_run


@pytest.fixture(scope="module")
def film_run(tmp_path_factory):
    """Three checkpoints of a small model, with a plane in which much happens between them."""
    from sklearn.datasets import load_digits

    images = torch.from_numpy(load_digits().images[:300, None] / 16).float()
    out = tmp_path_factory.mktemp("film") / "run"
    film(data=images, epochs=2, frames=3, channels=2, resolution=6, out=out, figures=False)
    return out


@pytest.fixture(scope="module")
def page(film_run, tmp_path_factory):
    """Its page as a file, and what the page is made from."""
    made = living_run(film_run)
    path = tmp_path_factory.mktemp("page") / "training.html"
    made.written(path)
    return path, [*made.earlier, made]


NODES = """() => { const {sheet} = separatrix.view;
  return {speed: Array.from(sheet.speed), basin: Array.from(sheet.basin), sets: separatrix.scene.about.sets.map(row => row.name)}; }"""


def test_the_slider_changes_all_of_it_and_the_address_keeps_it(visit, page):
    path, moments = page
    opened = visit(path)
    at = opened.page
    start = moments[0].scene.arrays["set_z"][0] + 0.5
    opened.orbits([start.tolist()])
    at.focus("#training")
    for key, number in (("Home", 0), ("ArrowRight", 1), ("End", 2)):
        at.keyboard.press(key)
        opened.until(f"separatrix.training.at === {number} && location.hash.includes('checkpoint={number}&')")
        opened.until("separatrix.journey.orbit.done")
        moment = moments[number]
        seen = at.evaluate(NODES)
        assert seen["speed"] == moment.scene.arrays["speed"].tolist()
        assert seen["basin"] == moment.scene.arrays["basin"].tolist()
        assert seen["sets"] == [row["name"] for row in moment.scene.about["sets"]]
        assert at.inner_text("#training-name") == f"epoch {number}"
        assert at.get_attribute("#training", "aria-valuetext") == f"epoch {number}"
        first, second = torch.tensor(
            at.evaluate("separatrix.journey.orbit.points.slice(0, 2).map(p => Array.from(p.z))")
        )
        assert torch.equal(first, start)
        torch.testing.assert_close(second, moment.field(first[None])[0], rtol=1e-4, atol=1e-5)
    again = visit(path, fragment="#checkpoint=1")
    assert again.page.inner_text("#training-name") == "epoch 1"
    assert again.page.evaluate(NODES)["speed"] == moments[1].scene.arrays["speed"].tolist()
    assert not opened.complaints + again.complaints
    assert not opened.outside() + again.outside()


def test_a_server_answers_for_every_checkpoint(visit, film_run):
    made = living_run(film_run, live=True)
    with running(made.scene, made.field, earlier=made.earlier) as server:
        opened = visit(server.url, offline=False)
        z = torch.tensor([0.3, -0.2])
        for number, moment in enumerate([*made.earlier, made]):
            opened.page.evaluate("at => separatrix.training.turn(at)", number)
            opened.until(f"separatrix.training.at === {number}")
            step = opened.page.evaluate(
                "async z => Array.from((await separatrix.backend.step(Float32Array.from(z), 1))[0].z)", z.tolist()
            )
            torch.testing.assert_close(torch.tensor(step), moment.field(z[None])[0])
        assert not opened.complaints


def test_models_too_large_to_be_sent_leave_orbits(film_run, monkeypatch):
    monkeypatch.setattr(_training, "LARGEST", 1000)
    made = living_run(film_run)
    for each in [*made.earlier, made]:
        assert each.scene.about["graph"] is None
        assert "The models of 3 checkpoints would take" in each.scene.about["why_no_model"]
        assert len(each.scene.arrays["node_z"])


def test_letters_and_hues_are_the_films(film_run, page):
    shot = sx.load_result(film_run / "film")
    for time, each in enumerate(page[1]):
        ids = [name for name in shot.continuation.ids(time).tolist() if name >= 0]
        named = [row["name"] for row in each.scene.about["sets"] if row["stable"] != 0]
        assert named == [sx.plots._naming.letters(name) for name in ids]


def test_checkpoints_of_others_are_named_and_checked(film_run, tmp_path):
    shots = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    film(film_run / "checkpoints", data=shots, resolution=4, out=tmp_path / "run", figures=False)
    with pytest.raises(InputError, match="--of FOLDER"):
        living_run(tmp_path / "run")
    assert len(living_run(tmp_path / "run", checkpoints=film_run / "checkpoints", model=False).earlier) == 2
    with pytest.raises(FileError, match="is not the checkpoint that the film shows"):
        living_run(tmp_path / "run", checkpoints=tmp_path)
