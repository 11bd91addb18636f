"""The pages of docs/uses as notebooks: ``python docs/notebooks.py FOLDER``, or ``make notebooks``. None is committed: a page has one text.

Blocks of Python become cells, commands become cells that begin with ``!``, a block that is saved as a file begins with ``%%writefile``, and the first
cell is docs/stand_in.py. Blocks that no test runs stay text.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "docs"))
from blocks import FENCE, RUN, Block, blocks

HERE = Path(__file__).parent
PAGES = sorted(path.relative_to(HERE.parent).as_posix() for path in HERE.glob("uses/*.md"))
_LINK = re.compile(r"\[([^]]*)\]\((?!\w+:)[^)]*\)")  # to a file that does not lie beside a notebook


def notebook(page: str) -> dict[str, Any]:
    """One page in the format of Jupyter, version 4.5."""
    cells = [
        {
            "id": f"cell-{number}",
            "cell_type": kind,
            "metadata": {},
            "source": text.strip("\n").splitlines(keepends=True),
        }
        | ({"execution_count": None, "outputs": []} if kind == "code" else {})
        for number, (kind, text) in enumerate(_cells(page))
        if text.strip()
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def code_of(block: Block) -> str:
    """The cell of a block."""
    if block.file:
        return f"%%writefile {block.file}\n{block.text}"
    if block.language == "console":  # a line that ends in a backslash goes on in the next
        return re.sub(r"(?<!\\\n)^(?=\S)", "!", block.text, flags=re.M)
    return block.text


def _cells(page: str) -> Iterator[tuple[str, str]]:
    text = (HERE.parent / page).read_text(encoding="utf-8")
    first = text.index("\n") + 1
    yield "markdown", text[:first]
    yield "code", (HERE / "stand_in.py").read_text(encoding="utf-8")
    at = first
    for block, found in zip(blocks(page), FENCE.finditer(text), strict=True):
        if block.language in RUN and not block.skipped:
            yield "markdown", _LINK.sub(r"\1", text[at : found.start()])
            yield "code", code_of(block)
            at = found.end()
    yield "markdown", _LINK.sub(r"\1", text[at:])


def write(folder: Path) -> list[Path]:
    """All of them, by the names of their pages."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for page in PAGES:
        written.append(folder / f"{Path(page).stem}.ipynb")
        written[-1].write_text(json.dumps(notebook(page), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return written


if __name__ == "__main__":
    print(*write(Path(sys.argv[1] if len(sys.argv) > 1 else "notebooks")), sep="\n")
