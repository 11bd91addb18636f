"""Checkpoints come in the order of the training, whatever else their names tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from separatrix.runs._checkpoints import checkpoints_of, numbered

NAMES = {
    "epochs": (["epoch_9.pt", "epoch_10.pt", "epoch_100.pt"], (9, 10, 100), "epoch"),
    "losses after them": (
        ["model-epoch=1-loss=0.91.pt", "model-epoch=2-loss=0.52.pt", "model-epoch=3-loss=0.07.pt"],
        (1, 2, 3),
        "epoch",
    ),
    "steps of all": (["epoch=0-step=10.pt", "epoch=1-step=20.pt", "epoch=2-step=30.pt"], (10, 20, 30), "step"),
    "steps of an epoch": (["epoch1_step5.pt", "epoch1_step10.pt", "epoch2_step5.pt"], (0, 1, 2), "checkpoint"),
    "plain numbers": (["v2-9.safetensors", "v2-10.safetensors"], (9, 10), "checkpoint"),
    "capitals": (["Epoch3.pt", "Epoch20.pt"], (3, 20), "epoch"),
    "one without the word": (["epoch-1.pt", "epoch-2.pt", "final-3.pt"], (1, 2, 3), "checkpoint"),
    "one without a number": (["first.pt", "run-3.pt"], (0, 1), "checkpoint"),
}


@pytest.mark.parametrize("kind", NAMES)
def test_the_order_is_that_of_the_training(tmp_path: Path, kind: str) -> None:
    names, numbers, word = NAMES[kind]
    for name in reversed(names):
        (tmp_path / name).touch()
    files = checkpoints_of(tmp_path)
    assert [path.name for path in files] == names
    assert numbered(files) == (tuple(map(float, numbers)), word)
