"""``python reproduce``: what is missing runs in order, within its minutes; what is done is not done again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from bound import ROOT

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


MEETS = """
import sys, pathlib, time
(here, there), until = sys.argv[1:3], time.monotonic() + 60
out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
(out / here).touch()
while not (out / there).exists():
    time.sleep(0.01)
    if time.monotonic() > until:
        sys.exit(1)
"""


def test_two_recipes_run_at_once(again: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("left", "right"):
        (tmp_path / f"{name}.py").write_text(MEETS, encoding="utf-8")
    pair = [again.Recipe(name, (), 1.0, f"{name} {other}") for name, other in (("left", "right"), ("right", "left"))]
    monkeypatch.setattr(again, "RECIPES", tuple(pair))
    assert again.main(["--jobs", "2", "--out", str(tmp_path / "out")]) == 0
    assert {path.stem for path in (tmp_path / "out/quick").glob("*.done")} == {"left", "right"}


DRIVER = """
import signal, sys, pathlib
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
import again
again.HERE = pathlib.Path(sys.argv[1])
again.RECIPES = tuple(again.Recipe(name, (), 1.0, needs_data=False) for name in ("sleeps", "good"))
sys.exit(again.main(["--jobs", "1", "--out", sys.argv[1]]))
"""
SLEEPS = """
import sys, pathlib, time
print("begun", flush=True)
time.sleep(60)
"""


def test_after_an_interrupt_no_further_recipe_is_begun(again: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "sleeps.py").write_text(SLEEPS, encoding="utf-8")
    command = [sys.executable, "-c", DRIVER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT / "reproduce", start_new_session=True, stderr=subprocess.DEVNULL) as run:
        log = tmp_path / "quick/sleeps.log"
        while not (log.exists() and log.read_text()):
            assert run.poll() is None
            time.sleep(0.01)
        os.killpg(run.pid, signal.SIGINT)
        assert run.wait() != 0
    assert not (tmp_path / "quick/count").exists()  # of the second one


def test_every_recipe_is_a_script_that_takes_a_folder(script: Script) -> None:
    module = script("reproduce/again")
    for recipe in module.RECIPES:
        text = (module.HERE / f"{recipe.script}.py").read_text(encoding="utf-8")
        assert '"--out"' in text
        for word in f"{recipe.quick} {recipe.full}".split():
            assert not word.startswith("--") or f'"{word}"' in text, f"{recipe.script}: {word}"
    assert sum(recipe.minutes for recipe in module.RECIPES) < 2 * 30  # all of them, in half an hour of two cores
