"""A package can hand on names whose files are imported when somebody first asks for one (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any


def on_demand(
    package: str, names: Mapping[str, Iterable[str]], modules: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` for a package that imports what it hands on when it is asked for.

    The package shows type checkers the same names under ``TYPE_CHECKING``; tests/test_public_line.py compares the two.

    Args:
        package: its ``__name__``.
        names: what each module below the package provides.
        modules: the modules below the package that are handed on themselves.
    """
    homes = {name: module for module, provided in names.items() for name in provided}

    def get(name: str) -> Any:
        if name in modules:
            return import_module(f"{package}.{name}")  # which makes it an attribute of the package
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, found)  # nobody asks here a second time
        return found

    return get, lambda: sorted({*sys.modules[package].__all__, *homes, *modules})
