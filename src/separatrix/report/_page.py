"""This file tells what a report is made of: a page has chapters, a chapter sections, a section blocks. All text is plain."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from separatrix.report._sheet import Sheet
from separatrix.report._svg import inline_svg
from separatrix.words import Statement

_DPI = 125
_SCROLLS, _LARGE = 12, 200  # cards; beyond the first a list scrolls, beyond the second it is built for thousands
_TOGETHER = 24  # cards that a browser lays out together; whole rows, of two, three or four


@dataclass(frozen=True)
class Prose:
    """Paragraphs."""

    block: ClassVar[str] = "prose"
    paragraphs: tuple[str, ...]


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    block: ClassVar[str] = "bullets"
    items: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """Terms and their values."""

    block: ClassVar[str] = "facts"
    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Picture:
    """A figure, already rendered, so that the same bytes go into the page and into a file.

    Attributes:
        png: the image; an animation is a WebP.
        alt: what a reader who cannot see it must know.
        caption: below it.
        width: in CSS pixels at which it is sharp on a screen of double density.
        svg: the same as an element of a page, which shows it in the place of the image; empty for a photograph.
        living: the deflated text of the living page of which it is a still; empty for none.
        living_words: what is said of that page, or why it is not there.
    """

    block: ClassVar[str] = "picture"
    png: bytes
    alt: str
    caption: str
    width: int
    svg: str = ""
    living: bytes = b""
    living_words: str = ""

    @property
    def suffix(self) -> str:
        """Return what its file is called after the dot."""
        return "webp" if self.png[:4] == b"RIFF" else "png"

    @classmethod
    def of(cls, figure: Figure, *, alt: str, caption: str = "") -> Picture:
        """Render a figure."""
        buffer = io.BytesIO()
        # Without the Software entry the bytes depend on the figure alone.
        figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
        return cls(buffer.getvalue(), alt, caption, round(figure.get_figwidth() * 100), inline_svg(figure, alt))


@dataclass(frozen=True)
class Tile:
    """A small image with its description."""

    png: bytes
    alt: str

    @classmethod
    def of(cls, pixels: NDArray[np.uint8], alt: str) -> Tile:
        """Make it from ``(h, w, 3)`` bytes, stored at their own size; the page enlarges them without blurring."""
        buffer = io.BytesIO()
        grey = bool((pixels == pixels[..., :1]).all())
        Image.fromarray(pixels[..., 0] if grey else pixels).save(buffer, format="png", optimize=True)
        return cls(buffer.getvalue(), alt)


@dataclass(frozen=True)
class Card:
    """An attractor beside the training image nearest to it.

    Attributes:
        name: its letter.
        hue: its colour, ``#rrggbb``.
        decoded: D(z*).
        nearest: the training image; None if there are no training images.
        headline: such as the share of starts.
        lines: numbers below.
        badge: one or two words, or empty.
        noun: what the image beside it is.
        which: of those images, by number and name.
        quiet: the badge is no alarm.
        own: what the image is.
    """

    name: str
    hue: str
    decoded: Tile
    nearest: Tile | None
    headline: str
    lines: tuple[str, ...]
    badge: str = ""
    noun: str = "training image"
    which: str = ""
    quiet: bool = False
    own: str = "attractor"


@dataclass(frozen=True)
class Heap:
    """Some cards of a long list: a browser looks after heaps, not cards, and has one image for all that are decoded and one for all that are nearest.

    Attributes:
        cards: in order.
        decoded, nearest: their images; None where each has its own.
        tall: how high a card is, in lines of text, about.
    """

    cards: tuple[Card, ...]
    decoded: Sheet | None
    nearest: Sheet | None
    tall: int

    @classmethod
    def of(cls, cards: tuple[Card, ...]) -> Heap:
        """Put the images together."""
        beside = [card.nearest.png for card in cards if card.nearest is not None]
        return cls(
            cards,
            Sheet.of([card.decoded.png for card in cards]),
            Sheet.of(beside) if len(beside) == len(cards) else None,
            max(len(card.lines) + bool(card.which) + bool(card.badge) for card in cards),
        )


@dataclass(frozen=True)
class Cards:
    """Attractors as images."""

    block: ClassVar[str] = "cards"
    cards: tuple[Card, ...]
    caption: str = ""

    @property
    def scrolls(self) -> bool:
        """Return whether they are a list that scrolls."""
        return len(self.cards) > _SCROLLS

    @cached_property  # a template asks more than once, and each heap encodes its images
    def heaps(self) -> list[Heap]:
        """Thousands of cards, a few at a time; none where they are fewer."""
        if len(self.cards) <= _LARGE:
            return []
        return [Heap.of(self.cards[first : first + _TOGETHER]) for first in range(0, len(self.cards), _TOGETHER)]


@dataclass(frozen=True)
class Strip:
    """One row of a film: what it shows, its frames, where it ends, and a word or two that stand out."""

    label: str
    frames: tuple[Tile, ...]
    ending: str
    badge: str = ""


@dataclass(frozen=True)
class Film:
    """Rows of frames under common column heads."""

    block: ClassVar[str] = "film"
    heads: tuple[str, ...]
    strips: tuple[Strip, ...]
    caption: str = ""


@dataclass(frozen=True)
class Cell:
    """A table cell; ``hue`` makes it a lettered disc, ``muted`` sets it back."""

    text: str
    hue: str = ""
    muted: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells. Columns whose index is in ``words`` are left-aligned, all others are numbers."""

    block: ClassVar[str] = "table"
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    words: frozenset[int] = frozenset({0})


@dataclass(frozen=True)
class Player:
    """A training film with a slider, drawn by a script in the page; ``still`` is in its place in print, or without scripts."""

    block: ClassVar[str] = "player"
    data: Mapping[str, Any]
    still: Picture | None


@dataclass(frozen=True)
class Trips:
    """Pictures with a slider over their trips through a model; ``still`` stands in its place in print, and both others without scripts."""

    block: ClassVar[str] = "trips"
    data: Mapping[str, Any]
    still: Picture | None
    animation: Picture | None


@dataclass(frozen=True)
class Living:
    """The living page that belongs to a picture, in a place of its own; in print and without scripts there is nothing.

    Attributes:
        living, living_words: as of `Picture`.
    """

    block: ClassVar[str] = "living"
    living: bytes
    living_words: str


Block = Prose | Bullets | Facts | Picture | Cards | Film | Table | Player | Trips | Living


def living_blocks(picture: Picture | None, words: str) -> list[Block]:
    """The living page that belongs to a picture under these words, or why there is none; nothing where nobody wanted one."""
    if picture is None or not picture.living_words:
        return []
    return [*([Prose((words,))] if picture.living else []), Living(picture.living, picture.living_words)]


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Chapter:
    """All about one model."""

    title: str
    subtitle: str
    statement: Statement
    sections: Sequence[Section]


@dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes:
        title: of the page.
        statement: the conclusion, at the head of the page.
        introduction: what this is, before anything else.
        opening: sections before the chapters.
        chapters: one per model.
        closing: sections after them, such as provenance.
    """

    title: str
    statement: Statement
    introduction: tuple[str, ...]
    opening: Sequence[Section] = field(default_factory=tuple)
    chapters: Sequence[Chapter] = field(default_factory=tuple)
    closing: Sequence[Section] = field(default_factory=tuple)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All that stands under any heading, in order."""
        sections = (*self.opening, *(part for chapter in self.chapters for part in chapter.sections), *self.closing)
        return tuple(block for section in sections for block in section.blocks)

    @property
    def living(self) -> bool:
        """Return whether a reader can wake one of its pictures."""
        return any(isinstance(block, Picture | Living) and block.living for block in self.blocks)

    @property
    def scripted(self) -> bool:
        """Return whether it has anything that moves; no script runs on any other page."""
        return self.living or any(isinstance(block, Player | Trips) for block in self.blocks)
