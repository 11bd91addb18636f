"""``separatrix drift``: what it writes, what it says, and how it ends."""

from __future__ import annotations

import json

import numpy as np
import pytest

import separatrix as sx
from separatrix.cli._exit_codes import ExitCode

MODELS = '''
import torch

import separatrix as sx


def fading():
    """Pictures are latents, and every trip takes a tenth of their contrast."""
    return sx.LatentField.from_map(lambda x: 0.5 + 0.9 * (x - 0.5), latent_shape=(3, 16, 16), name="fading")


def still():
    return sx.LatentField.from_map(lambda x: 1 * x, latent_shape=(3, 16, 16), name="still")
'''


@pytest.fixture
def photos(tmp_path):
    """80 pictures 16×16 in photos.npy, and two models for them."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (80, 4, 4, 3)).astype(np.uint8)
    np.save(tmp_path / "photos.npy", coarse.repeat(4, 1).repeat(4, 2))
    (tmp_path / "models.py").write_text(MODELS, encoding="utf-8")
    return "photos.npy"


def test_the_whole_way(program, photos, tmp_path):
    answer = program("drift", "models.py:fading", "--data", photos, "--trips", "4", "--out", "here", "--json")
    assert answer.code == ExitCode.OK, answer.stderr
    found = answer.json
    assert found["code"] == "fades"
    assert len(found["rows"]) == 4
    assert found["rows"][0]["contrast"] == pytest.approx(0.9, abs=0.01)
    assert len(found["per_picture"]) == 80
    folder = tmp_path / "here"
    stored = sx.load_result(folder / "drift")
    assert stored.psnr[:, 0].tolist() == [each["psnr"][0] for each in found["per_picture"]]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/webp") == 3 * 5 + 1  # three pictures after 0 … 4 trips, and the animation
    assert str(found["statement"]["headline"]) in page
    assert found["remedy"]["code"] == "keep_latent"
    assert found["remedy"]["headline"] in page
    assert found["remedies"]["rows"][0]["counts_as"] == 1
    assert found["patterns"]["sentence"] in page
    assert found["linearised"]["rows"][0]["trip"] == 1
    written = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert {key: found[key] for key in written} == written
    assert {path.name for path in folder.iterdir() if path.is_file()} == {
        "manifest.json", "summary.json", "report.html", "pictures.png", "animation.webp", "curves.png", "parts.png",
        "patterns.png", "ways.png",
    }  # fmt: skip


LEAN = ("--no-figures", "--no-remedies", "--patterns", "0")


@pytest.mark.parametrize(
    ("model", "options", "code", "words"),
    [
        ("still", ["--limit", "80"], ExitCode.OK, "within"),
        ("fading", ["--limit", "80"], ExitCode.EXCEEDED, "exceeded"),
        ("still", ["--limit", "20"], ExitCode.CANNOT_SAY, "cannot_say"),
    ],
)
def test_a_budget_is_an_exit_code(program, photos, model, options, code, words):
    answer = program(
        "drift", f"models.py:{model}", "--data", photos, "--budget", "30dB:9", "--trips", "2", *options, *LEAN, "--json"
    )
    assert answer.code == code == answer.json["exit_code"]
    assert answer.json["budget"]["code"] == words
    assert (answer.json["budget"]["bar"], answer.json["budget"]["trips"]) == (30, 9)
    assert len(answer.json["rows"]) == 9


def test_models_are_ranked_on_the_same_pictures(program, photos, tmp_path):
    answer = program(
        "drift",
        "models.py:fading",
        "--against",
        "models.py:still",
        "--data",
        photos,
        "--trips",
        "3",
        "--out",
        "here",
        *LEAN,
    )
    assert answer.code == ExitCode.OK
    assert "models.py:still keeps pictures best" in answer.stdout
    found = json.loads((tmp_path / "here/summary.json").read_text(encoding="utf-8"))
    assert [row["model"] for row in found["ranking"]["rows"]] == ["models.py:still", "models.py:fading"]
    assert "Model against model" in (tmp_path / "here/report.html").read_text(encoding="utf-8")
    twice = program("drift", "models.py:fading", "--against", "models.py:fading", "--data", photos)
    assert (twice.code, "named twice" in twice.sentence) == (ExitCode.USAGE, True)


def test_edits_frames_and_the_end(program, photos, tmp_path):
    np.save(tmp_path / "mask.npy", np.eye(16, dtype=np.uint8)[None] * 255)
    answer = program(
        "drift", "models.py:fading", "--data", photos, "--limit", "6", "--trips", "3", *LEAN, "--video", "--settle", "400", "--json",
        "--edit", "paste:mask.npy", "--edit", "shift:2", "--edit", "noise:0.01", "--edit", "jpeg:80",
    )  # fmt: skip
    assert answer.code == ExitCode.OK, answer.stderr
    assert answer.json["edits"] == [
        "pasted back outside mask.npy (1b4579e2)", "shifted by 2 px between trips", "noise of 0.01 on the latent", "JPEG of quality 80",
    ]  # fmt: skip
    assert len(answer.json["flicker"]["rows"]) == 3
    assert answer.json["ends"]["attractor"] == 4
    for wrong in ("16bit", "jpeg:x", "tiles:1:2:3"):
        answer = program("drift", "models.py:fading", "--data", photos, "--edit", wrong)
        assert (answer.code, "is no edit; give one of: 8bit" in answer.sentence) == (ExitCode.USAGE, True)
    assert "is no budget" in program("drift", "models.py:fading", "--data", photos, "--budget", "soon").sentence


def test_the_page_is_made_again_without_the_model(program, photos, tmp_path):
    program("drift", "models.py:fading", "--data", photos, "--limit", "5", "--trips", "2", "--out", "here")
    page = (tmp_path / "here/report.html").read_bytes()
    (tmp_path / "models.py").unlink()
    (tmp_path / "here/report.html").unlink()
    assert program("report", "here").code == ExitCode.OK
    assert (tmp_path / "here/report.html").read_bytes() == page


def test_tables_and_headline_for_people(program, photos):
    answer = program("drift", "models.py:still", "--data", photos, "--trips", "3", "--no-figures")
    assert answer.code == ExitCode.OK
    assert "Safe for 3 edits or more at 30 dB" in answer.stdout
    assert answer.stdout.splitlines()[-1] == "runs/drift-models-still-1/report.html"


def test_bad_input_is_one_sentence(program, photos, tmp_path):
    np.save(tmp_path / "large.npy", np.full((5, 8, 8, 3), 200, np.uint8))
    wrong = program("drift", "models.py:breaks", "--data", photos)
    assert wrong.code == ExitCode.BAD_INPUT
    gone = program("drift", "models.py:still", "--data", "nowhere.npz")
    assert (gone.code, "check the path" in gone.sentence) == (ExitCode.BAD_INPUT, True)
    assert program("drift", "models.py:still").code == ExitCode.USAGE
