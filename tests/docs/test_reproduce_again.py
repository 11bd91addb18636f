"""``python reproduce``: what is missing runs in order, within its minutes; what is done is not done again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Script = Callable[[str], ModuleType]
WRITES = """
import sys, pathlib
out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
(out / "count").open("a").write("x")
sys.exit({code})
"""


@pytest.fixture
def again(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The driver with recipes of its own, of which one needs data."""
    module = script("reproduce/again")
    for name, code in (("good", 0), ("bad", 3)):
        (tmp_path / f"{name}.py").write_text(WRITES.format(code=code), encoding="utf-8")
    monkeypatch.setattr(module, "HERE", tmp_path)
    recipe = module.Recipe
    monkeypatch.setattr(
        module,
        "RECIPES",
        (
            recipe("good", (), 1.0),
            recipe("bad", (), 1.0, needs_data=False),
            recipe("long", (), 100.0),
        ),
    )
    return module


def test_what_is_done_is_not_done_again(again: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    for _ in range(2):
        assert again.main(["--only", "good", "--out", str(folder)]) == 0
    assert (folder / "quick/count").read_text() == "x"
    assert capsys.readouterr().out.count("[1/1] good") == 1


def test_a_recipe_that_fails_is_told_and_is_run_again(
    again: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert again.main(["--only", "bad", "--out", str(tmp_path / "out")]) == 1
    assert "FAILED with exit code 3" in capsys.readouterr().out
    assert (tmp_path / "out/quick/count").read_text() == "xx"


def test_what_does_not_fit_and_what_has_no_data_is_said(
    again: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert again.main(["--only", "long", "--out", str(tmp_path / "out")]) == 0
    assert "long: not run, about 100 minutes more" in capsys.readouterr().out
    monkeypatch.delenv("SEPARATRIX_DATA")
    assert again.main(["--only", "good", "--out", str(tmp_path / "other")]) == 0
    assert "good: not run, set SEPARATRIX_DATA" in capsys.readouterr().out


def test_every_recipe_is_a_script_that_takes_a_folder(script: Script) -> None:
    module = script("reproduce/again")
    for recipe in module.RECIPES:
        text = (module.HERE / f"{recipe.script}.py").read_text(encoding="utf-8")
        assert '"--out"' in text
        for word in f"{recipe.quick} {recipe.full}".split():
            assert not word.startswith("--") or f'"{word}"' in text, f"{recipe.script}: {word}"
    assert sum(recipe.minutes for recipe in module.RECIPES if recipe.whole) < 30
