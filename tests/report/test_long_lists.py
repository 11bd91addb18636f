"""A list of thousands of cards: few images in the place of thousands, and nothing of a card is lost."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from separatrix.limitsets._triviality import Dominance
from separatrix.report import Page
from separatrix.report._page import Card, Cards, Section, Tile
from separatrix.report._sheet import Sheet
from separatrix.report._write import rendered
from separatrix.words import Statement

_CARD = re.compile(r'<(div|li) class="card"(.*?)</\1>\n', re.S)


def tiles(count: int, shape: tuple[int, ...] = (5, 7, 3), seed: int = 0) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8))


def cards(count: int, *, beside: bool = False) -> Cards:
    nearest = tiles(count, seed=1)
    return Cards(
        tuple(
            Card(
                f"N{number}",
                "#123456",
                Tile.of(pixels, f"Attractor {number}, decoded"),
                Tile.of(nearest[number], f"The image nearest to {number}") if beside else None,
                f"share {number}",
                (f"first line of {number}", f"second line of {number}"),
                f"badge {number}" if number % 2 else "",
                which=f"which <{number}>",
            )
            for number, pixels in enumerate(tiles(count))
        )
    )


def text_of(block: Cards) -> str:
    statement = Statement("t", "u", Dominance.TRIVIAL)
    return rendered(Page("t", statement, (), (Section("s", (block,)),)))


def shown(text: str, label: str) -> np.ndarray:
    """The pixels that a card shows, from its style sheet and its place on the sheet."""
    name, across, along = re.search(
        rf'<span class="pixels(?: own)? (sheet-\w+)" role="img" aria-label="{label}" style="background-position: ([\d.]+)% ([\d.]+)%"', text
    ).groups()  # fmt: skip
    width, height, png, wide, tall = re.search(
        rf"\.{name} {{ aspect-ratio: (\d+) / (\d+); background: #000 url\(data:image/png;base64,([^)]*)\) 0 0 / ([\d.]+)% ([\d.]+)% no-repeat",
        text,
    ).groups()
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"))
    width, height = int(width), int(height)
    assert sheet.shape[1] == round(float(wide) / 100 * width)
    assert sheet.shape[0] == round(float(tall) / 100 * height)
    left, top = float(across) / 100 * (sheet.shape[1] - width), float(along) / 100 * (sheet.shape[0] - height)
    assert left == pytest.approx(round(left), abs=1e-3)
    assert top == pytest.approx(round(top), abs=1e-3)
    around = sheet[round(top) - 1 : round(top) + height + 1, round(left) - 1 : round(left) + width + 1]
    inside = around[1:-1, 1:-1]
    assert (
        around == np.pad(inside, ((1, 1), (1, 1), (0, 0)), mode="edge")
    ).all()  # what a browser that rounds may show
    return inside


@pytest.mark.parametrize("beside", [False, True])
def test_every_card_shows_its_own_pixels(beside):
    text = text_of(cards(230, beside=beside))
    for number, pixels in enumerate(tiles(230)):
        assert (shown(text, f"Attractor {number}, decoded") == pixels).all()
    for number, pixels in enumerate(tiles(230, seed=1) if beside else ()):
        assert (shown(text, f"The image nearest to {number}") == pixels).all()
    assert text.count("url(data:") == (20 if beside else 10)  # of 230 cards
    assert text.count("url(") == text.count("url(data:")
    assert "<img" not in text


def test_a_long_list_says_what_a_short_one_says():
    def said(text: str) -> list[list[str]]:
        return [re.findall(r'>([^<>\n]+)<|(?:alt|aria-label)="([^"]*)"', each[1]) for each in _CARD.findall(text)]

    short, long = said(text_of(cards(100, beside=True))), said(text_of(cards(300, beside=True)))
    assert len(short) == 100
    assert len(long) == 300
    assert long[:100] == short
    assert ("Attractor 7, decoded") in {alt for _, alt in short[7]}


def test_it_is_one_list():
    text = text_of(cards(230))
    assert text.count('role="list"') == 1
    assert text.count('role="listitem"') == 230
    assert 'role="list" tabindex="0" aria-label="All 230, a list that scrolls"' in text


def test_lists_of_a_few_and_of_some_dozens_have_an_image_per_card():
    few, dozens = text_of(cards(3)), text_of(cards(200))
    assert few.count("<img") == 3
    assert dozens.count("<img") == 200
    assert '<ul class="cards">' in few
    assert '<ul class="cards many" tabindex="0" aria-label="All 200, a list that scrolls">' in dozens
    assert "url(" not in few + dozens
    assert "role=" not in few.split("<ul")[1].split("</ul>")[0]


def test_grey_tiles_make_a_grey_sheet_and_several_sizes_make_none():
    grey = [Tile.of(np.repeat(pixels[..., :1], 3, axis=2), "").png for pixels in tiles(4)]
    coloured = [Tile.of(pixels, "").png for pixels in tiles(4)]
    assert Image.open(io.BytesIO(Sheet.of(grey).png)).mode == "L"
    assert Image.open(io.BytesIO(Sheet.of([*grey, *coloured]).png)).mode == "RGB"
    assert Sheet.of([*grey, Tile.of(tiles(1, (6, 7, 3))[0], "").png]) is None
