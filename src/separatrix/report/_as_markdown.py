"""A page as Markdown: verdict, sentences and tables as on the page, in a text that mail, issues and notebooks show; pictures are left to the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from separatrix.report._markdown import escaped
from separatrix.report._page import Block, Bullets, Cards, Facts, Film, Page, Picture, Prose, Section, Table
from separatrix.words import Statement


def page_as_markdown(page: Page) -> str:
    """All that a page says in words and numbers.

    >>> from separatrix.limitsets._triviality import Dominance
    >>> from separatrix.report._page import Cell
    >>> table = Table(("set", "share"), ((Cell("A"), Cell("1 | 2")),), "Shares of starts.")
    >>> page = Page("Two wells", Statement("one", "it is so.", Dominance.NO_ATTRACTOR), (), [Section("All", [table])])
    >>> print(page_as_markdown(page))
    # Two wells
    <BLANKLINE>
    **one.** It is so.
    <BLANKLINE>
    ## All
    <BLANKLINE>
    | set | share |
    |---|---|
    | A | 1 &#124; 2 |
    <BLANKLINE>
    Shares of starts.
    """
    parts = [f"# {escaped(page.title)}", _stated(page.statement), *map(escaped, page.introduction)]
    for section in page.opening:
        parts += _section(section, 2)
    for chapter in page.chapters:
        several = len(page.chapters) > 1
        if several:
            parts += [f"## {escaped(chapter.title)}", escaped(chapter.subtitle), _stated(chapter.statement)]
        for section in chapter.sections:
            parts += _section(section, 3 if several else 2)
    for section in page.closing:
        parts += _section(section, 2)
    return "\n\n".join(part for part in parts if part)


def _stated(statement: Statement) -> str:
    return f"**{escaped(statement.headline.removesuffix('.'))}.** {escaped(statement.sentence)}"


def _section(section: Section, level: int) -> Iterator[str]:
    yield f"{'#' * level} {escaped(section.title)}"
    for block in section.blocks:
        yield from _block(block)


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Prose):
        yield from map(escaped, block.paragraphs)
    elif isinstance(block, Bullets):
        yield _listed(block.items)
    elif isinstance(block, Facts):
        yield _listed([f"{term}: {value}" for term, value in block.entries])
    elif isinstance(block, Picture):
        yield escaped(block.caption or block.alt)
    elif isinstance(block, Cards):
        yield _listed(
            [
                "; ".join(
                    filter(
                        None,
                        (
                            f"{card.name}: {card.headline}",
                            card.which and f"{card.noun} {card.which}",
                            *card.lines,
                            card.badge,
                        ),
                    )
                )
                for card in block.cards
            ]
        )
        yield escaped(block.caption)
    elif isinstance(block, Film):
        yield _listed(["; ".join(filter(None, (strip.label, strip.ending, strip.badge))) for strip in block.strips])
        yield escaped(block.caption)
    elif isinstance(block, Table):
        rows = [block.heads, *([cell.text for cell in row] for row in block.rows)]
        lines = [f"| {' | '.join(map(escaped, row))} |" for row in rows]
        yield "\n".join([lines[0], "|" + "---|" * len(block.heads), *lines[1:]])
        yield escaped(block.caption)


def _listed(items: Sequence[str]) -> str:
    return "\n".join(f"* {escaped(item)}" for item in items)
