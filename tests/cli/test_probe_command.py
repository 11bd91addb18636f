"""``separatrix probe``: what it writes, what it says, and how it ends."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from separatrix.cli._exit_codes import ExitCode
from separatrix.limitsets import LimitSets
from separatrix.orbits import Orbits
from separatrix.runs._probe import default_starts
from separatrix.storage import load_result


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing has tests of its own."""

    for name in ("contact_sheet", "probe_atoms", "probe_curves", "probe_reconstructions"):
        monkeypatch.setattr(f"separatrix.report._probe.{name}", lambda *_, **__: Figure(figsize=(1, 1)))


def test_the_whole_way_with_images(program, digits, tmp_path):
    answer = program("probe", "toy.py:small", "--images", f"{digits}#train", "--noise", "30", "--out", "here", "--json")
    assert answer.code == 0, answer.stderr
    found = answer.json
    names = [known["name"] for known in found["probe"]["dictionaries"]]
    assert names[:4] == ["iterated noise", "raw noise", "f applied once", "random orthonormal basis"]
    assert {"untrained copy, iterated", "PCA of real latents", "real latents"} <= set(names)
    assert found["probe"]["signals"] == 20
    assert found["probe"]["provenance"]["reference"] == 20
    assert sum(found["statuses"].values()) == 30
    # The model contracts to one point: no dictionary.
    assert found["attractors"] == 1
    assert found["probe"]["headline"].startswith("No effect")
    folder = tmp_path / "here"
    assert isinstance(load_result(folder / "limits"), LimitSets)
    assert str(load_result(folder / "probe").statement) == found["probe"]["headline"]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert found["report"] == "here/report.html"
    assert page.count('<svg class="drawn"') == 5
    assert all(f'<td class="words">{name}</td>' in page for name in names)
    assert found["appearance"]["cannot"][0] in " ".join(page.split())
    written = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert {key: found[key] for key in written} == written
    pictures = {path.name for path in folder.glob("*.png")}
    assert pictures == {"contact_sheet.png", "field.png", "curves.png", "atoms.png", "reconstructions.png"}


@pytest.mark.usefixtures("no_figures")
class TestOutput:
    def test_without_images_there_is_a_sheet_and_what_it_cannot_say(self, program, tmp_path):
        answer = program("probe", "toy.py:small", "--noise", "20")
        assert answer.code == 0
        assert "decoded attractors look like images" in answer.stdout
        assert "Nothing is said about memorization" in answer.stdout
        assert "random orthonormal basis" not in answer.stdout
        assert answer.stdout.splitlines()[-1] == "runs/toy-small-1/report.html"
        assert {path.name for path in (tmp_path / "runs/toy-small-1").iterdir()} == {
            "manifest.json",
            "summary.json",
            "report.html",
            "limits",
            "appearance",
            "answers-model",
            "contact_sheet.png",
            "field.png",
            "scene",
        }

    def test_tables_and_headline_for_people(self, program, digits):
        answer = program("probe", "toy.py:small", "--images", f"{digits}#train", "--reference", f"{digits}#test")
        assert re.search(r"^iterated noise +0\.\d+ +0\.\d+ *$", answer.stdout, flags=re.M)
        assert "is on the page" in answer.stdout
        assert "40 images coded with few atoms" in answer.stdout
        assert "No effect: iterated noise" in answer.stdout

    def test_draws_are_pooled(self, program, digits):
        options = ("probe", "toy.py:small", "--images", f"{digits}#train", "--json")
        one, three = program(*options).json, program(*options, "--draws", "3").json
        assert "draws" not in one["probe"]["provenance"]
        assert three["probe"]["provenance"]["draws"] == 3
        assert three["cost"]["map"] > 2 * one["cost"]["map"]

    def test_a_small_latent_space_is_not_judged_by_a_handful_of_starts(self, program, digits):
        looked_at = program("probe", "toy.py:small", "--json").json
        assert looked_at["starts"]["last"] == 256
        # A dictionary of more atoms than dimensions is no fair rival of a basis.
        coded = program("probe", "toy.py:small", "--images", f"{digits}#train", "--json").json
        assert coded["starts"]["last"] == 2

    def test_suspects_get_a_verdict(self, program, digits):
        answer = program(
            "probe", "toy.py:small", "--suspects", f"{digits}#train", "--held-out", f"{digits}#test", "--json"
        )
        assert answer.code == 0
        assert answer.json["appearance"]["suspects"]

    def test_a_number_of_steps_gives_end_points(self, program, tmp_path):
        answer = program("probe", "toy.py:drift", "--steps", "5", "--noise", "8", "--out", "ends", "--json")
        assert answer.code == 0
        assert answer.json["attractors"] is None
        assert answer.json["appearance"] is None  # its decoder makes no images
        assert isinstance(load_result(tmp_path / "ends/orbits"), Orbits)

    def test_a_search_that_reaches_nothing_says_so_with_its_code(self, program):
        answer = program("probe", "toy.py:drift", "--noise", "8", "--max-steps", "50")
        assert answer.code == ExitCode.NOTHING_FOUND
        assert "diverged" in answer.stdout
        assert "makes no images" in answer.stdout

    def test_only_an_earlier_probe_is_replaced(self, program, tmp_path):
        assert program("probe", "toy.py:small", "--noise", "8", "--out", "here").code == 0
        again = program("probe", "toy.py:small", "--noise", "9", "--out", "here")
        assert (again.code, "--overwrite" in again.sentence) == (ExitCode.BAD_INPUT, True)
        assert "it differs in options.starts.last" in again.sentence
        assert program("probe", "toy.py:small", "--noise", "8", "--out", "here").code == 0, "it is there already"
        assert program("probe", "toy.py:small", "--noise", "9", "--out", "here", "--overwrite").code == 0
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine/thesis.txt").write_text("x")
        kept = program("probe", "toy.py:small", "--noise", "8", "--out", "mine", "--overwrite")
        assert "not an earlier run" in kept.sentence
        assert (tmp_path / "mine/thesis.txt").exists()


@pytest.mark.parametrize(
    ("latent_dim", "looked_at", "coded"),
    [(1, 256, 1), (256, 256, 256), (257, 257, 257), (1000, 1000, 1000), (1001, 1000, 1000)],
)
def test_how_many_starts_nobody_asked_for(latent_dim, looked_at, coded):
    assert default_starts(latent_dim, coded=False) == looked_at
    assert default_starts(latent_dim, coded=True) == coded


def test_bad_input_is_one_sentence_before_any_search(program, digits, tmp_path):
    np.save(tmp_path / "large.npy", np.zeros((5, 8, 8), np.uint8))
    wrong = program("probe", "toy.py:small", "--images", "large.npy")
    assert wrong.code == ExitCode.BAD_INPUT
    assert "1×8×8" in wrong.sentence
    assert "add --size 4,4" in wrong.sentence
    assert not (tmp_path / "runs").exists()
    gone = program("probe", "toy.py:small", "--images", "nowhere.npz")
    assert (gone.code, "check the path" in gone.sentence) == (ExitCode.BAD_INPUT, True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--reference", "x.npy"], "give --images too"),
        (["--draws", "3"], "give --images too"),
        (["--held-out", "x.npy"], "give --suspects too"),
        (["--size", "4,4"], "no images to resize"),
        (["--steps", "5", "--max-steps", "9"], "takes the place of a search"),
        (["--steps", "5", "--suspects", "x.npy"], "takes the place of a search"),
    ],
)
def test_options_that_contradict_each_other(program, options, words):
    answer = program("probe", "toy.py:small", *options)
    assert answer.code == ExitCode.USAGE
    assert words in answer.sentence


def test_help_teaches(program):
    answer = program("probe", "--help")
    assert answer.code == 0
    words = " ".join(answer.stdout.split())
    for part in ("--images", "--steps", "f applied once", "an untrained copy", "separatrix probe my_model.py:load"):
        assert part in words
