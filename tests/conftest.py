"""Shared by all tests: surroundings that are the same everywhere, one thread per worker, and the folder of real models."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import torch
from hypothesis import HealthCheck, settings

from s3_server import Server, s3_server

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


WHOLE_ROOMS = {"cli", "docs", "engines", "explorer", "models", "monitoring", "packaging", "real", "runs"}
"""What they test takes whole computations, processes, browsers or other libraries: `make test` leaves them out."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name in WHOLE_ROOMS:
            item.add_marker(pytest.mark.slow)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.option.markexpr == "not slow":
        terminalreporter.write_line(
            "These were the quick tests. `make test-all` adds, in about twenty minutes: commands and recipes that are killed and go on, worker "
            "processes and Ray, the living page in a browser, the code of the docs, every family of models, and real models."
        )


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


@pytest.fixture(scope="session")
def one_server() -> Iterator[Server]:
    """One object store for all tests."""
    with s3_server() as server:
        yield server


@pytest.fixture
def server(one_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An object store that speaks S3, found as any other is: by variables of the surroundings."""
    fsspec = pytest.importorskip("fsspec")
    for name, value in one_server.variables.items():
        monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    yield one_server
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    one_server.ignores_conditions = one_server.read_only = False
    one_server.asked.clear()


@pytest.fixture
def bucket(server: Server) -> str:
    """The URL of an empty bucket there."""
    import fsspec

    url = f"s3://bucket-{uuid4().hex[:12]}"
    fsspec.filesystem("s3").mkdir(url)
    return url
