"""A report of hundreds of cards in a real browser: each shows its own picture and nothing of its neighbours, on the screen, in the dark, and in print."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from separatrix.limitsets._triviality import Dominance
from separatrix.report import Page, write_report
from separatrix.report._page import Card, Cards, Section, Tile
from separatrix.words import Statement

COUNT = 250
HUES = [
    (255 * (n % 2), 63 * (n // 2 % 5), 63 * (n // 10 % 5)) for n in range(COUNT)
]  # neighbours are far from each other


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    cards = [
        Card(
            str(n),
            "#{:02x}{:02x}{:02x}".format(*hue),
            Tile.of(np.full((3, 3, 3), hue, np.uint8), f"tile {n}"),
            None,
            "share",
            ("line",),
        )
        for n, hue in enumerate(HUES)
    ]
    page = Page("Long", Statement("t", "u", Dominance.TRIVIAL), (), (Section("s", (Cards(tuple(cards)),)),))
    return write_report(tmp_path_factory.mktemp("long") / "report.html", page)


def seen(page, number: int) -> np.ndarray:
    """The pixels of the middle row and column of a picture on the screen, from frame to frame, which has its colour too.

    Where a point is no whole number of pixels, browsers mix frame, picture and card in the outermost ones.
    """
    picture = page.get_by_role("img", name=f"tile {number}", exact=True)
    picture.evaluate("picture => picture.scrollIntoView({block: 'center'})")
    pixels = np.asarray(Image.open(io.BytesIO(picture.screenshot())).convert("RGB"))
    height, width = pixels.shape[:2]
    rim = 0 if page.evaluate("Number.isInteger(devicePixelRatio)") else 3
    pixels = pixels[rim : height - rim, rim : width - rim]
    height, width = pixels.shape[:2]
    return np.concatenate([pixels[height // 2], pixels[:, width // 2]])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"device_scale_factor": 1.25},
        {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 3, "color_scheme": "dark"},
        {"java_script_enabled": False},
    ],
)
def test_every_card_shows_its_own_picture_alone(visit, report, options):
    opened = visit(report, awake=False, **options)
    for number in (0, 1, 4, 5, 23, 24, 119, COUNT - 1):
        pixels = seen(opened.page, number)
        assert len(pixels) > 100
        assert (pixels == HUES[number]).all(), number
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= opened.page.viewport_size["width"]
    assert not opened.complaints
    assert not opened.outside()


def test_on_paper_all_of_it_is_there(visit, report):
    page = visit(report, awake=False).page
    page.emulate_media(media="print")
    assert page.locator(".many").evaluate("box => box.scrollHeight - box.clientHeight") == 0
    for number in (0, COUNT - 1):
        assert (seen(page, number) == HUES[number]).all()
    assert page.pdf(print_background=False).count(b"/Subtype /Image") >= COUNT


def test_it_is_a_list_of_all_cards_for_who_listens(visit, report):
    opened = visit(report, awake=False)
    assert (
        opened.page.get_by_role("list", name=f"All {COUNT}, a list that scrolls").get_by_role("listitem").count()
        == COUNT
    )
    assert opened.page.get_by_role("img", name="tile ").count() == COUNT
    assert opened.serious() == []
