"""Every command that writes finds out before it computes that it could not: and it touches nothing that is not its own."""

from __future__ import annotations

import errno
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from separatrix.cli._exit_codes import ExitCode
from separatrix.models import DenseAutoencoder, save_model
from separatrix.storage import _reservation as reservation

COMMANDS = {
    "attractors": ("attractors", "toy.py:contraction", "--noise", "8", "--out"),
    "audit": ("audit", "toy.py:small", "--train", "photos", "--held-out", "photos", "--out"),
    "audit, data-free": ("audit", "toy.py:small", "--data-free", "--out"),
    "probe": ("probe", "toy.py:small", "--noise", "8", "--out"),
    "demo": ("demo", "--quick", "--out"),
    "diff": ("diff", "toy.py:small", "toy.py:small", "--data", "photos", "--out"),
    "ood fit": ("ood", "fit", "toy.py:small", "--data", "photos", "--out"),
    "film": ("film", "--epochs", "1", "--out"),
    "train-decoder": ("train-decoder", "nowhere", "--data", "photos", "--out"),
    "ood score": ("ood", "score", "detector", "toy.py:small", "photos", "--out"),
    "ood export": ("ood", "export", "detector", "toy.py:small", "--out"),
    "ood monitor": ("ood", "monitor", "detector", "photos", "--model", "toy.py:small", "--state"),
}
"""Commands up to the place they write to."""

NAMES = {"train-decoder": "x.safetensors", "ood score": "x.csv", "ood export": "x.onnx"}
FOLDERS = [name for name in COMMANDS if name not in NAMES and name != "ood monitor"]


@pytest.fixture
def place(program, tmp_path, monkeypatch):
    """Photographs, a detector, and nothing that computes."""
    (tmp_path / "photos").mkdir()
    for index, image in enumerate(np.random.default_rng(0).integers(0, 256, (12, 4, 4), dtype=np.uint8)):
        Image.fromarray(image).save(tmp_path / "photos" / f"{index}.png")
    data = ("--data", "photos", "--detector", "mahalanobis", "--no-check")
    assert program("ood", "fit", "toy.py:small", *data, "--out", "detector").code == 0
    for work in (
        "separatrix.runs._attractors.find_attractors",
        "separatrix.runs._audit.audit_memorization",
        "separatrix.runs._data_free.find_attractors",
        "separatrix.runs._probe.find_attractors",
        "separatrix.runs._demo.train_autoencoder",
        "separatrix.studies._comparison.compare",
        "separatrix.ood._fitting.fit_detector",
        "separatrix.runs._film.copies_in_training",
        "separatrix.models._decoder_training.train_decoder",
        "separatrix.ood._score_parts.score_part",
        "separatrix.ood._onnx_detector.export_onnx",
    ):
        monkeypatch.setattr(work, lambda *_, **__: pytest.fail("computed in vain"))
    return tmp_path


def everything(folder):
    return {
        str(path): os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }


def target(command, folder="."):
    return os.path.join(folder, NAMES.get(command, "x"))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_dangling_link(program, place, command):
    (place / target(command)).symlink_to("nowhere")
    before = everything(place)
    answer = program(*COMMANDS[command], target(command))
    assert answer.code == ExitCode.BAD_INPUT
    assert "does not exist; remove the link" in answer.sentence
    assert everything(place) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_a_place_below_a_file(program, place, command):
    before = everything(place)
    answer = program(*COMMANDS[command], target(command, "toy.py"))
    assert answer.code == ExitCode.BAD_INPUT
    assert "Cannot write to toy.py" in answer.sentence
    assert everything(place) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk(program, place, command, monkeypatch):
    def full(_part, room):
        assert room > 0
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(reservation, "_require_room", full)
    before = everything(place)
    answer = program(*COMMANDS[command], target(command, "deep/er"))
    assert answer.code == ExitCode.BAD_INPUT
    assert "No space left on device" in answer.sentence
    assert everything(place) == before


@pytest.mark.parametrize("command", FOLDERS)
@pytest.mark.parametrize("through", ["photos", "link"])
def test_photographs_are_not_replaced(program, place, command, through):
    """``--out`` is the data themselves, or holds what nobody reads."""
    (place / "link").symlink_to("photos")
    before = everything(place)
    answer = program(*COMMANDS[command], through, "--overwrite")
    assert answer.code == ExitCode.BAD_INPUT
    assert "is not an earlier run" in answer.sentence or "is read here" in answer.sentence
    assert everything(place) == before


@pytest.mark.parametrize("command", FOLDERS)
def test_a_note_in_an_earlier_run_stays_and_the_run_with_it(program, place, command):
    shutil.copytree(place / "detector", place / "x")
    (place / "x" / "mine.txt").write_text("mine")
    before = everything(place)
    answer = program(*COMMANDS[command], "x", "--overwrite")
    assert answer.code == ExitCode.BAD_INPUT
    assert "mine.txt" in answer.sentence
    assert everything(place) == before


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in FOLDERS])
def test_data_are_not_replaced_by_a_file(program, place, command):
    """The file to be written is one that is read."""
    save_model(DenseAutoencoder((1, 4, 4), 2, hidden=(8,)), place / "x.safetensors")
    np.save(place / "photos.npy", np.random.default_rng(0).integers(0, 256, (12, 4, 4), dtype=np.uint8))
    os.rename(place / "photos.npy", place / target(command)) if command != "train-decoder" else None
    arguments = [target(command) if word == "photos" else word for word in COMMANDS[command]]
    if command == "ood export":
        arguments[-1:-1] = ["--examples", target(command)]
    before = everything(place)
    more = () if command == "ood monitor" else ("--overwrite",)
    answer = program(*arguments, target(command), *more)
    assert answer.code == ExitCode.BAD_INPUT
    assert "is read here; choose another place" in answer.sentence
    assert everything(place) == before


@pytest.mark.parametrize("command", ["attractors", "audit", "probe"])
def test_numbered_runs_pass_over_what_others_are_writing(program, place, command, monkeypatch):
    """The second of two runs gets another number, at its beginning."""
    taken = []
    for work in ("_attractors.find_attractors", "_audit.audit_memorization", "_probe.find_attractors"):
        monkeypatch.setattr(
            f"separatrix.runs.{work}", lambda *_, **__: taken.append(sorted(os.listdir("runs"))) or _second(program)
        )

    def _second(program):
        if len(taken) == 1:
            program(*COMMANDS[command][:-1])
        raise KeyboardInterrupt

    assert program(*COMMANDS[command][:-1]).code == ExitCode.INTERRUPTED
    stem = "audit-toy-small" if command == "audit" else f"toy-{COMMANDS[command][1].partition(':')[2]}"
    first, second = [f".{stem}-1.part", f"{stem}-1"], [f".{stem}-2.part", f"{stem}-2"]
    assert taken == [first, sorted(first + second)]
    assert not (place / "runs").exists()
