"""Every page on a use becomes a notebook whose cells are the blocks that CI executes, and whose first cell gives all that they take for granted."""

from __future__ import annotations

import ast
import builtins
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from blocks import RUN, blocks
from bound import ROOT

sys.path.insert(0, str(ROOT / "docs"))
import notebooks

STAND_IN = (ROOT / "docs/stand_in.py").read_text(encoding="utf-8")


def cells(page: str, kind: str) -> list[str]:
    return ["".join(cell["source"]) for cell in notebooks.notebook(page)["cells"] if cell["cell_type"] == kind]


def names(code: str) -> tuple[set[str], set[str]]:
    """Names that a piece of code needs, and those that it gives."""
    used: set[str] = set()
    given: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else given).add(node.id)
        elif isinstance(node, ast.alias):
            given.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            given |= {node.name} | ({arg.arg for arg in node.args.args} if isinstance(node, ast.FunctionDef) else set())
    return used - given, given


@pytest.mark.parametrize("page", notebooks.PAGES)
def test_its_cells_are_the_blocks_that_are_executed(page: str) -> None:
    executed = [block for block in blocks(page) if block.language in RUN and not block.skipped]
    first, *others = cells(page, "code")
    assert first == STAND_IN.strip("\n")
    assert len(others) == len(executed) > 0
    for cell, block in zip(others, executed, strict=True):
        bare = re.sub(r"\A%%writefile .*\n|^!", "", cell, flags=re.M)
        assert bare == block.text.strip("\n")
        assert cell.startswith("%%writefile") == bool(block.file)
        assert cell.startswith("!") == (block.language == "console" and not block.file)
    text = "\n".join(cells(page, "markdown"))
    assert text.startswith("# ")
    assert not re.search(r"\]\((?!\w+:)", text)  # no link to what does not lie beside a notebook


@pytest.mark.parametrize("page", notebooks.PAGES)
def test_a_reader_has_every_name(page: str) -> None:
    known = set(dir(builtins)) | names(STAND_IN)[1]
    for cell in cells(page, "code")[1:]:
        if not cell.startswith(("!", "%%")):
            needed, given = names(cell)
            assert needed <= known
            known |= given


def test_a_reader_has_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(STAND_IN, "stand_in.py", "exec"), {})
    for page in notebooks.PAGES:
        for cell in cells(page, "code"):
            if cell.startswith("!"):
                for option, given in re.findall(
                    r"(--data|--train|--held-out|--images|--suspects|diff|film) ([^\s-]\S*)", cell
                ):
                    assert Path(given).exists(), (page, option, given)


@pytest.mark.parametrize("page", notebooks.PAGES)
def test_it_runs_from_its_first_cell_to_its_last(page: str, tmp_path: Path) -> None:
    (written,) = (path for path in notebooks.write(tmp_path / "notebooks") if path.stem == Path(page).stem)
    (tmp_path / "here").mkdir()
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    known = {name: value for name, value in os.environ.items() if name != "SEPARATRIX_DATA"} | {"PATH": path}
    run = [sys.executable, str(Path(__file__).with_name("run_notebook.py")), str(written)]
    done = subprocess.run(run, cwd=tmp_path / "here", env=known, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_it_has_the_format_of_a_notebook(tmp_path: Path) -> None:
    written = notebooks.write(tmp_path)
    assert len(written) == len(notebooks.PAGES) == len(list((ROOT / "docs/uses").glob("*.md")))
    made = notebooks.notebook(notebooks.PAGES[0])
    assert (made["nbformat"], made["nbformat_minor"]) == (4, 5)
    for cell in made["cells"]:
        needed = {"id", "cell_type", "metadata", "source"}
        assert set(cell) == needed | ({"execution_count", "outputs"} if cell["cell_type"] == "code" else set())
