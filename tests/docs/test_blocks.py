"""Every block of code of README and docs runs as it is written, in a folder with the files that it names.

The blocks of a page run in their order, with the names that a reader has in hand (desk.py); those of docs/uses run as notebooks, in
test_notebooks.py. A block with the comment
``<!-- not run: reason -->`` before it is skipped, and so listed; one with ``<!-- file: name -->`` is saved under that name.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import desk
import pytest
from blocks import LANGUAGES, PAGES, RUN, Block, blocks
from typer.testing import CliRunner

import separatrix as sx
from separatrix.cli._app import app
from separatrix.models import FAMILIES
from separatrix.report._drawing import Drawn
from separatrix.storage import _store

BLOCKS = [block for page in PAGES for block in blocks(page)]
SKIPPED = [block for block in BLOCKS if block.skipped]
CODE = {
    page: [block for block in BLOCKS if block.page == page and block.language in RUN and not block.skipped]
    for page in PAGES
}


def no_figures(planned: Mapping[str, Any], **_: Any) -> Drawn[Any]:
    """Pages are complete without; what they show is tested where it is drawn."""
    return Drawn({}, tuple(planned))


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory, with a hub that is a folder in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("SEPARATRIX_DATA", str(tmp_path))
    monkeypatch.setattr("separatrix.report._drawing.draw", no_figures)
    monkeypatch.setattr("huggingface_hub.snapshot_download", desk.snapshot_download)
    # What a page adds to the lists of families, detectors and results ends with it.
    monkeypatch.setattr(sx.ood.Detector, "kinds", dict(sx.ood.Detector.kinds))
    for table in ("_families", "_schemes", "_suffixes", "_names"):
        monkeypatch.setattr(FAMILIES, table, dict(getattr(FAMILIES, table)))
    yield tmp_path
    for name, kind in list(_store._KINDS.items()):  # our own are announced once, when their file is first imported
        if not kind.__module__.startswith("separatrix."):
            del _store._KINDS[name]


@pytest.mark.parametrize("page", [page for page in PAGES if CODE[page] and not page.startswith("docs/uses/")])
def test_the_code_of_a_page_runs(page: str, offline: Path, request: pytest.FixtureRequest) -> None:
    text = "\n".join(block.text for block in CODE[page])
    if "s3://" in text:
        request.getfixturevalue("server")
    desk.lay_out(text)
    if "s3://" in text:
        desk.make_buckets()
    names = {"__name__": "__main__", "sx": sx, **desk.names()}
    known = set(sys.modules)
    try:
        for block in CODE[page]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the models of the desk are not worth looking at
                run(block, names)
    finally:
        for name in set(sys.modules) - known:
            if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(offline)):
                del sys.modules[name]


def run(block: Block, names: dict[str, Any]) -> None:
    where = f"{block.page}:{block.line}"
    if block.file:
        Path(block.file).write_text(block.text, encoding="utf-8")
        importlib.invalidate_caches()
    elif block.language == "python":
        exec(compile("\n" * block.line + block.text, where, "exec"), names)
    else:
        for words in block.commands:
            assert words[0] == "separatrix", f"{where}: say why this is not run: {' '.join(words)}"
            result = CliRunner().invoke(app, words[1:])
            if result.exception is not None and not isinstance(result.exception, SystemExit):
                raise result.exception
            assert result.exit_code < 64, f"{where}: {' '.join(words)}\n{result.stderr}"


@pytest.mark.parametrize("block", SKIPPED, ids=[f"{block.page}:{block.line}" for block in SKIPPED])
def test_what_is_not_run_says_why(block: Block) -> None:
    assert len(block.skipped.split()) > 3
    pytest.skip(f"{block.page}:{block.line}: {block.skipped}")


def test_every_block_says_its_language() -> None:
    assert [(block.page, block.line) for block in BLOCKS if block.language.strip("{}") not in LANGUAGES] == []
