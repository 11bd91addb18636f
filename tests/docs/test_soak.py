"""The soak, briefly: two recipes are killed a few times each, and end in the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

KILLS = 3


@pytest.mark.parametrize(("recipe", "engine"), [("probe", "here"), ("audit without data", "folder")])
@pytest.mark.filterwarnings("ignore")
def test_what_is_killed_ends_in_the_same_bytes(
    script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str, engine: str
) -> None:
    soak = script("benchmarks/soak")
    monkeypatch.setattr("separatrix.limitsets._parts._FEWEST", 8)
    monkeypatch.setattr("separatrix.storage._checkpoint._TIMES", 0)
    assert torch.get_num_threads() == 1, "which a fork leaves as it is"
    make = soak.recipes()[recipe]
    whole, seconds = soak._undisturbed(make[0], tmp_path / "whole")
    killed = number = 0
    while killed < KILLS:
        found = soak.disturbed(make, engine, number, recipe, whole, seconds, None)
        assert found["equal"]
        killed, number = killed + sum(found["kills"].values()), number + 1
