"""Fixtures shared by all tests: one thread per worker, and the folder of real models and images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


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
