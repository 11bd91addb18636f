"""``import separatrix``: what it waits for, what it shows, and that everything is where type checkers are told it is."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import separatrix as sx

ROOT = Path(sx.__file__).parent
ROOMS = "data engines errors explorer field limitsets models monitoring numerics ood orbits plots runs starts studies testing".split()  # noqa: SIM905
ON_DEMAND = ["separatrix", "separatrix.monitoring", "separatrix.ood", "separatrix.work"]
SLOW = {"jinja2", "matplotlib", "msgspec", "pandas", "rich", "sklearn", "typer"} | {
    f"scipy.{part}" for part in ("linalg", "ndimage", "optimize", "sparse", "spatial", "special", "stats")
}


def loaded_after(line: str) -> set[str]:
    """The modules of an interpreter of its own."""
    code = f"{line}\nimport sys\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_the_import_alone_waits_for_nobody() -> None:
    others = {module.split(".")[0] for module in loaded_after("import separatrix") - loaded_after("")}
    assert others <= {"separatrix", *sys.stdlib_module_names}


def test_the_main_line_waits_for_torch_and_for_nothing_slow() -> None:
    loaded = loaded_after("from separatrix import *")
    assert "torch" in loaded
    assert not loaded & SLOW


def test_the_face_is_short_and_all_of_it_is_there() -> None:
    shown = dir(sx)
    assert set(shown) == {*sx.__all__, *ROOMS}
    assert len(shown) - len(ROOMS) <= 31
    for name in shown:
        assert getattr(sx, name).__doc__
    assert not hasattr(sx, "nothing_of_the_kind")


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_there_after_the_import(room: str) -> None:
    line = f"import separatrix as sx; assert sx.{room}.__name__ == 'separatrix.{room}'"
    assert f"separatrix.{room}" in loaded_after(line)


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "errors"])
def test_a_room_hands_on_what_it_lists(room: str) -> None:
    module = import_module(f"separatrix.{room}")
    assert module.__all__
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert len(set(module.__all__)) == len(module.__all__)


@pytest.mark.parametrize("package", ON_DEMAND)
def test_type_checkers_are_told_of_the_same_names(package: str) -> None:
    if package == "separatrix.monitoring":
        for framework in ("pytorch_lightning", "transformers"):
            pytest.importorskip(framework)
    told = {}
    tree = ast.parse(Path(str(import_module(package).__file__)).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        told |= {alias.name: str(node.module) for alias in node.names}
    found = {name: getattr(import_module(package), name) for name in told}
    for name, module in told.items():
        assert found[name] is getattr(import_module(module), name)
    assert set(told) <= set(dir(import_module(package)))


def test_no_page_sends_a_reader_into_a_private_file() -> None:
    pages = [ROOT.parents[1] / "README.md", *(ROOT.parents[1] / "docs").glob("*.md")]
    private = [page.name for page in pages if re.search(r"(separatrix|sx)\.\w+\._", page.read_text(encoding="utf-8"))]
    assert not private
