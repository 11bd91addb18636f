"""Figures inside a page are drawings: sharp, readable on a phone, in the colours of the page, and found by a reader of screens."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from separatrix.plots import INKS
from separatrix.report import _page as page_module
from separatrix.report import figures_of, page_of
from separatrix.report._page import Picture
from separatrix.report._svg import inline_svg
from separatrix.report._write import rendered

NAMES = ("film", "field", "nulls", "attractors", "basins", "shares", "steps", "spectrum")
STYLE = (Path(page_module.__file__).parent / "page.css").read_text(encoding="utf-8")
NARROWEST = 16 * float(re.search(r"\.drawn {[^}]*min-width: ([\d.]+)rem", STYLE)[1])  # CSS pixels


@pytest.fixture(scope="module")
def figures(results):
    return figures_of(results, resolution=12)


@pytest.mark.parametrize("name", NAMES)
class TestEveryFigure:
    def test_it_is_a_drawing_with_a_name(self, figures, name):
        root = ElementTree.fromstring(figures[name].svg)
        assert root.get("role") == "img"
        assert root.get("aria-label") == figures[name].alt
        assert any(each.tag.endswith("text") for each in root.iter()), "text is text"

    def test_no_text_is_smaller_than_eleven_pixels_on_a_phone(self, figures, name):
        svg = figures[name].svg
        wide = float(re.search(r'viewBox="0 0 ([\d.]+)', svg)[1])
        sizes = [float(size) for size in re.findall(r"font(?:-size)?: (?:\d+ )?(?:bold )?([\d.]+)px", svg)]
        assert sizes
        assert min(sizes) * NARROWEST / wide >= 11

    def test_its_inks_are_those_of_the_page(self, figures, name):
        svg = figures[name].svg
        assert "var(--" in svg
        assert not [colour for colour in INKS if colour in svg]
        assert "DejaVu" not in svg

    def test_nothing_it_refers_to_is_missing_or_there_twice(self, figures, name):
        svg = figures[name].svg
        known = re.findall(r' id="([^"]*)"', svg)
        assert len(known) == len(set(known))
        assert set(re.findall(r'(?:href="#|url\(#)([\w.:-]+)', svg)) == set(known)


def test_two_figures_of_a_page_share_no_identifier(figures):
    known = [name for picture in figures.values() for name in re.findall(r' id="([^"]*)"', picture.svg)]
    assert len(known) == len(set(known))


def test_the_page_shows_drawings_and_no_bitmap_of_a_figure(results, figures):
    html = rendered(page_of(results, figures))
    assert html.count('<svg class="drawn"') == len(set(re.findall(r'<svg class="drawn"[^>]*>', html)))
    assert '<figure class="picture">\n    <img' not in html


def test_what_is_too_large_is_a_bitmap(figures, monkeypatch):
    monkeypatch.setattr("separatrix.report._svg._LARGEST", 10)
    from matplotlib.figure import Figure

    assert inline_svg(Figure(), "nothing") == ""
    picture = Picture.of(Figure(figsize=(2, 1)), alt="nothing")
    assert picture.svg == ""
    assert picture.png


def test_the_same_figure_gives_the_same_drawing(results):
    from separatrix.plots import spectrum

    first, second = (Picture.of(spectrum(results.limits), alt="A spectrum") for _ in range(2))
    assert first.svg == second.svg
