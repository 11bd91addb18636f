"""The record of a recipe: a JSON file of parts, each computed once, so that whoever is interrupted goes on where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from contraction import rounded

from separatrix.limitsets._assemble import versions
from separatrix.storage import new_file


class Parts:
    """What is in the file counts; what is not is computed and written at once."""

    def __init__(self, file: Path) -> None:
        self.file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(1)
        there = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        self.record: dict[str, Any] = {"versions": versions(), "parts": {}, "seconds": {}} | there

    def make(self, name: str, function: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """One part: from the file, or made now."""
        parts: dict[str, Any] = self.record["parts"]
        if name not in parts:
            began = time.process_time()
            parts[name] = rounded(function())
            self.record["seconds"][name] = round(time.process_time() - began, 1)
            with new_file(self.file) as whole:  # a kill on the way loses no part that was there
                whole.write_text(json.dumps(self.record) + "\n", encoding="utf-8")
            print(f"{self.file.stem}: {name}, {self.record['seconds'][name]:.0f} s", flush=True)
        made: dict[str, Any] = parts[name]
        return made


def spent(record: dict[str, Any]) -> str:
    """What the parts took, in words."""
    return f"torch {record['versions']['torch']}, one CPU thread, {sum(record['seconds'].values()):.0f} s of it"


def rows(header: list[str], body: list[list[str]]) -> list[str]:
    """A table in Markdown."""
    return [f"| {' | '.join(header)} |", "|---" * len(header) + "|", *(f"| {' | '.join(line)} |" for line in body)]
