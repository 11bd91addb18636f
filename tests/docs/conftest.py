"""Scripts of benchmarks and reproductions as modules."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from bound import ROOT

# The readings of results, by their name alone: their folder would bring scripts with it that have the names of others.
_place = ROOT / "reproduce/readings"
_spec = importlib.util.spec_from_file_location(
    "readings", _place / "__init__.py", submodule_search_locations=[str(_place)]
)
assert _spec is not None
assert _spec.loader is not None
sys.modules["readings"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sys.modules["readings"])


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
