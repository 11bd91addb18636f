"""Scripts of benchmarks and reproductions as modules."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from bound import ROOT


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], ModuleType]]:
    """Import a script as if it were run in its folder, and forget it and its neighbours again."""
    known = set(sys.modules)

    def load(path: str) -> ModuleType:
        place = ROOT / path
        monkeypatch.syspath_prepend(str(place.parent))
        monkeypatch.setenv("SEPARATRIX_DATA", str(tmp_path))  # no page needs any
        module = importlib.import_module(place.name)
        module.TO = tmp_path
        return module

    yield load
    ours = {path.stem for folder in ("benchmarks", "reproduce") for path in (ROOT / folder).glob("*.py")}
    for name in ours & set(sys.modules) - known:
        del sys.modules[name]
