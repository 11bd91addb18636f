"""The page is one well-formed file that asks for nothing, and whatever it is told stays text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from separatrix.errors import FileError
from separatrix.limitsets._triviality import Dominance
from separatrix.report import Page, write_report
from separatrix.report._page import (  # fmt: skip
    Bullets,
    Card,
    Cards,
    Cell,
    Chapter,
    Facts,
    Film,
    Picture,
    Prose,
    Section,
    Strip,
    Table,
    Tile,
)
from separatrix.words import Statement, Tone

HOSTILE = """<script>alert("1")</script> & 'quoted' "double" </style> {{ 7 * 7 }} {% raw %} javascript:x"""
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Reader(HTMLParser):
    """Checks nesting, and collects tags with their attributes and the visible text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text += data


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def tile(alt: str = "a tile") -> Tile:
    return Tile(b"\x89PNG tile", alt)


def page_saying(word: str) -> Page:
    """Every kind of block, with the same word in every place that takes text."""
    blocks = [
        Prose((word,)),
        Bullets((word,)),
        Facts(((word, word),)),
        Picture(b"\x89PNG picture", word, word, 700),
        Cards((Card(word, "#123456", tile(word), tile(word), word, (word,), word),), word),
        Film((word,), (Strip(word, (tile(word),), word, word),), word),
        Table((word, word), ((Cell(word, hue="#abcdef"), Cell(word, muted=True)),), word),
    ]
    statement = Statement(word, word, Dominance.TRIVIAL, Tone.ALARM)
    chapters = [Chapter(f"{word} {place}", word, statement, [Section(word, blocks)]) for place in range(2)]
    return Page(word, statement, (word,), [Section(word, blocks)], chapters, [Section(word, blocks)])


@pytest.fixture
def hostile(tmp_path):
    return write_report(tmp_path / "report.html", page_saying(HOSTILE)).read_text(encoding="utf-8")


def test_hostile_names_are_text_everywhere(hostile):
    reader = read(hostile)
    assert "script" not in {tag for tag, _ in reader.tags}
    assert [tag for tag, _ in reader.tags].count("style") == 1
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    # Title, verdicts, introduction, every block of four sections: all is there, and nothing was evaluated.
    assert reader.text.count(HOSTILE) > 60
    alts = [attributes["alt"] for tag, attributes in reader.tags if tag == "img"]
    assert set(alts) == {HOSTILE}


def test_the_page_asks_for_nothing(hostile):
    reader = read(hostile)
    for tag, attributes in reader.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(name)
            if value is not None:
                assert value.startswith(("data:", "#")), (tag, name, value[:80])
    assert "url(" not in hostile
    assert "@import" not in hostile
    assert not re.search(r"(src|href)\s*=\s*[\"']?\s*(https?:)?//", hostile)


def test_every_image_has_words_and_every_link_a_target(hostile):
    reader = read(hostile)
    identifiers = {attributes["id"] for _, attributes in reader.tags if "id" in attributes}
    links = [a["href"] for tag, a in reader.tags if tag == "a"]
    assert len(links) == 2
    assert {link.removeprefix("#") for link in links} == identifiers
    assert all(attributes.get("alt") for tag, attributes in reader.tags if tag == "img")


def test_head_is_ready_for_phones_and_dark_rooms_and_paper(hostile):
    reader = read(hostile)
    metas = {a.get("name"): a.get("content") for tag, a in reader.tags if tag == "meta"}
    assert "width=device-width" in metas["viewport"]
    assert metas["color-scheme"] == "light dark"
    assert next(a for tag, a in reader.tags if tag == "html")["lang"] == "en"
    assert "prefers-color-scheme: dark" in hostile
    assert "@media print" in hostile


def test_headings_go_down_one_level_at_a_time(hostile):
    levels = [int(tag[1]) for tag, _ in read(hostile).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_a_page_with_one_chapter_says_its_verdict_once(tmp_path):
    statement = Statement("ONLY ONCE", "numbers", Dominance.TRIVIAL)
    page = Page("t", statement, (), (), (Chapter("c", "s", statement, (Section("x", (Prose(("y",)),)),)),))
    text = write_report(tmp_path / "one.html", page).read_text(encoding="utf-8")
    assert read(text).text.count("ONLY ONCE") == 1


def test_an_existing_report_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    write_report(path, page_saying("new"))
    assert "new" in path.read_text(encoding="utf-8")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path):
    with pytest.raises(FileError, match="choose a folder"):
        write_report(tmp_path / "missing" / "report.html", page_saying("x"))
    (tmp_path / "report.html").mkdir()
    with pytest.raises(FileError, match="cannot be written"):
        write_report(tmp_path / "report.html", page_saying("x"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
