"""The soak, briefly: two recipes are killed a few times each, and end in the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch

KILLS = 2


@pytest.mark.parametrize(("recipe", "engine"), [("probe", "here"), ("audit without data", "folder")])
@pytest.mark.filterwarnings("ignore")
def test_what_is_killed_ends_in_the_same_bytes(
    script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, recipe: str, engine: str
) -> None:
    soak = script("benchmarks/soak")
    monkeypatch.setattr("separatrix.protocol.Rounds.rows_in_a_part", lambda self, rows: 8)
    monkeypatch.setattr("separatrix.storage._checkpoint._TIMES", 0)
    assert torch.get_num_threads() == 1, "which a fork leaves as it is"
    make = soak.recipes()[recipe]
    whole = soak.whole(make[0])
    written, seconds = soak.undisturbed(make[0], engine)
    assert written == whole
    killed = number = 0
    while killed < KILLS:
        found = soak.disturbed(make, engine, number, recipe, whole, seconds, None)
        assert found["equal"]
        killed, number = killed + sum(found["kills"].values()), number + 1
