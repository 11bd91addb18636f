"""Shared by all tests: surroundings that are the same everywhere, one thread per worker, and the folder of real models."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

# How long an example takes is a matter of what else the machine does, and the examples are the same everywhere.
settings.register_profile(
    "everywhere", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("everywhere")

# A terminal's width and colours, and somebody's own settings of figures, are no part of what is tested.
_OF_THE_TERMINAL = {
    "COLUMNS", "LINES", "TERMINAL_WIDTH", "FORCE_COLOR", "NO_COLOR", "PY_COLORS", "TTY_COMPATIBLE", "TTY_INTERACTIVE",
    "GITHUB_ACTIONS", "MPLBACKEND", "MATPLOTLIBRC",
}  # fmt: skip
for name in _OF_THE_TERMINAL & set(os.environ):
    del os.environ[name]
os.environ["TERM"] = "dumb"


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """The workers share the cores; two threads each would only wait for each other on networks this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real models and images; tests that need it are skipped, and listed, where it is absent."""
    folder = os.environ.get("SEPARATRIX_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs the real models and images: set SEPARATRIX_DATA to their folder")
    return Path(folder)
