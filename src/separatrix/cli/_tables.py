"""Numbers and tables as they look in a terminal of 80 columns."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from separatrix.cli._remedies import in_command_line_words

if TYPE_CHECKING:
    from separatrix.report._page import Table as PageTable


def table(heads: Sequence[str], rows: Iterable[Sequence[str | Text]], *, words: Sequence[int] = (0,)) -> Table:
    """A table; columns whose index is in ``words`` are left-aligned and may wrap, the others are numbers, as wide as these or a word of their head."""
    cells = [[Text(in_command_line_words(cell)) if isinstance(cell, str) else cell for cell in row] for row in rows]
    drawn = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False, header_style="bold")
    for index, head in enumerate(heads):
        is_text = index in words
        if not is_text:
            widest = max((row[index].cell_len for row in cells), default=0)
            head = textwrap.fill(head, max(widest, *map(len, head.split(" ")), 1), break_on_hyphens=False)
        drawn.add_column(
            head,
            justify="left" if is_text else "right",
            no_wrap=not is_text,
            overflow="fold" if is_text else "ellipsis",
        )
    for row in cells:
        drawn.add_row(*row)
    return drawn


def page_table(known: PageTable, *, without: Collection[str] = ()) -> Table:
    """A table of a report, in the terminal, ``without`` the columns for which there is no room."""
    kept = [index for index, head in enumerate(known.heads) if head not in without]
    rows = [[row[index].text for index in kept] for row in known.rows]
    words = [place for place, index in enumerate(kept) if index in known.words]
    return table([known.heads[index] for index in kept], rows, words=words)


def heading(words: str) -> Text:
    """A title above a table, with an empty line before it."""
    return Text(f"\n{words}", style="bold")


def labelled(entries: Iterable[tuple[str, str]]) -> Table:
    """Terms and what they are, without lines."""
    drawn = Table.grid(padding=(0, 2, 0, 0))
    drawn.add_column(style="dim", no_wrap=True)
    drawn.add_column(overflow="fold")
    for term, words in entries:
        drawn.add_row(term, Text(in_command_line_words(words)))
    return drawn


def number(value: float | None, pattern: str = ".3g") -> str:
    """A number, or a dash where it is unknown.

    >>> number(0.12345), number(None), number(float("nan"))
    ('0.123', '–', '–')
    """
    return "–" if value is None or not math.isfinite(value) else f"{value:{pattern}}"


def steps(median: float | None, high: float | None) -> str:
    """``"23 / 120"``: median and 95th percentile."""
    return f"{number(median, ',.0f')} / {number(high, ',.0f')}"
