"""Pictures of the documentation are SVG whose letters can be read on a telephone, and say what their script says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from bound import ROOT

from separatrix.runs import demo

DRAWN = sorted((ROOT / "docs").rglob("*.svg"))
COLUMN = 350  # CSS pixels: what a telephone leaves for a picture


def words_in(picture: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", picture)


@pytest.mark.parametrize("path", DRAWN, ids=lambda path: path.stem)
def test_letters_have_eleven_pixels_on_a_telephone(path: Path) -> None:
    picture = path.read_text(encoding="utf-8")
    width = float(re.search(r'viewBox="\S+ \S+ ([\d.]+)', picture)[1])
    sizes = [float(size) for size in re.findall(r'font(?:-size)?(?:: |=")(?:\w+ )?([\d.]+)', picture)]
    assert words_in(picture) == [] or sizes
    assert all(size * COLUMN / width >= 11 for size in sizes)


def test_they_take_nothing_from_elsewhere() -> None:
    assert len(DRAWN) == 18 + 3 + 1  # the gallery, the concepts, the demo
    for path in DRAWN:
        assert not re.search(r'(?:href|src)="(?!#|data:)', path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["portrait", "basins", "transient"])
def test_a_picture_of_the_concepts_is_what_its_script_draws(script: Callable[[str], ModuleType], name: str) -> None:
    pictures = script("docs/pictures")
    made, committed = (
        pictures.alone(getattr(pictures, name)(), name),
        (ROOT / f"docs/pictures/{name}.svg").read_text("utf-8"),
    )
    assert words_in(made) == words_in(committed)
    assert made.partition("</style>")[0] == committed.partition("</style>")[0]


@pytest.mark.slow  # the whole demo
def test_the_picture_of_the_demo_shows_what_the_demo_finds(
    script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from separatrix.runs import _demo

    planned = _demo._planned  # one figure is enough for a page with films
    monkeypatch.setattr(_demo, "_planned", lambda *given: dict([next(iter(planned(*given).items()))]))
    report = demo(tmp_path / "demo", progress=False).report.read_text(encoding="utf-8")
    made = words_in(script("docs/pictures").demo_film(report))
    committed = words_in((ROOT / "docs/demo.svg").read_text(encoding="utf-8"))
    where_it_ends = re.compile(r"(?:attractor|closed curve|cycle) \w+, cosine ([\d.]+)")

    def without_numbers(words: list[str]) -> list[str]:
        return [where_it_ends.sub("", each) for each in words]

    def cosines(words: list[str]) -> list[float]:
        return [float(found[1]) for each in words if (found := where_it_ends.search(each))]

    # Another processor rounds otherwise while it trains, and may give an attractor another letter.
    assert without_numbers(made) == without_numbers(committed)
    assert cosines(made) == pytest.approx(cosines(committed), abs=0.02)
    assert len(cosines(made)) == 6
