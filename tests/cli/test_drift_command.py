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
    written = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert {key: found[key] for key in written} == written
    assert {path.name for path in folder.iterdir() if path.is_file()} == {
        "manifest.json", "summary.json", "report.html", "pictures.png", "animation.webp", "curves.png", "parts.png",
    }  # fmt: skip


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
