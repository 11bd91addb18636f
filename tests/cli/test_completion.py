"""The shell is told what may come next."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from separatrix.cli._app import app


@pytest.mark.parametrize(
    ("typed", "offered"), [("separatrix att", "attractors"), ("separatrix audit --held", "--held-out")]
)
def test_names_are_completed(typed: str, offered: str) -> None:
    words = {"_SEPARATRIX_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    said = CliRunner().invoke(app, [], env=words, prog_name="separatrix")
    assert offered in said.stdout.split()
