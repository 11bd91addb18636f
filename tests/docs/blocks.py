"""The blocks of code in the documentation, page by page."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from glob import glob
from typing import NamedTuple

from bound import ROOT

PAGES = [
    path.relative_to(ROOT).as_posix()
    for path in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "RELEASING.md",
        *sorted(ROOT.glob("docs/**/*.md")),
    )
    if path.is_file() and "reference" not in path.parts  # which the site makes of docstrings
]
RUN = {"python", "console"}
LANGUAGES = RUN | {"text", "sql", "diff", "yaml", "toml", "bibtex", "toctree"}
FENCE = re.compile(
    r"^(?:<!-- (?P<mark>not run|file): (?P<words>.+?) -->\n+)?^```(?P<language>[^\s`]*)[^\n`]*\n(?P<text>.*?)^```$",
    re.M | re.S,
)


class Block(NamedTuple):
    """One block; ``skipped`` is the reason for which it cannot be run, ``file`` the name under which it is saved instead."""

    page: str
    line: int
    language: str
    text: str
    skipped: str
    file: str

    @property
    def commands(self) -> Iterator[list[str]]:
        """The command lines of a console block, as words."""
        for line in self.text.replace("\\\n", " ").splitlines():
            if words := shlex.split(re.sub(r"(^|\s)#.*", "", line)):
                yield [name for word in words for name in (sorted(glob(word)) if "*" in word else [word])]


def blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, found.start("language")) + 1,
            found["language"],
            found["text"],
            found["words"] if found["mark"] == "not run" else "",
            found["words"] if found["mark"] == "file" else "",
        )
        for found in FENCE.finditer(text)
    ]
