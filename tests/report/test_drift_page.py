"""The page of a drift: its pictures fit into it, it works without scripts, and every number on it is in the JSON."""

from __future__ import annotations

import base64
import io
import json
import re

import pytest
import torch
from PIL import Image

import separatrix as sx
from separatrix.report._drift_player import animation_of, player_data

NOISE = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def fading(side: int = 64) -> sx.LatentField:
    return sx.LatentField.from_map(lambda x: 0.5 + 0.9 * (x - 0.5), (3, side, side), name="<b>fading</b>")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> sx.runs.DriftRun:
    return sx.runs.drift(fading(), NOISE, trips=4, patterns=0, out=tmp_path_factory.mktemp("drift") / "run")


def test_pictures_fit_whatever_they_show():
    large = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    found = sx.drift(fading(128), large, trips=6)
    for room in (2_000_000, 300_000, 60_000):
        data = player_data(found, room)
        files = [base64.b64decode(frame.partition(",")[2]) for each in data["pictures"] for frame in each["frames"]]
        assert sum(map(len, files)) <= room
        assert len(files) == 2 * 7
        assert all(Image.open(io.BytesIO(file)).format == "WEBP" for file in files)


def test_small_pictures_are_kept_bit_for_bit():
    found = sx.drift(fading(), NOISE, trips=2)
    data = player_data(found)
    first = Image.open(io.BytesIO(base64.b64decode(data["pictures"][0]["frames"][2].partition(",")[2])))
    assert torch.equal(
        torch.tensor(list(first.tobytes()), dtype=torch.uint8), found.pictures[0, 2].permute(1, 2, 0).flatten()
    )
    assert data["small"]


def test_the_animation_moves_from_the_original_to_the_last_trip():
    found = sx.drift(fading(), NOISE, trips=5)
    moving = Image.open(io.BytesIO(animation_of(found).png))
    assert (moving.format, moving.n_frames) == ("WEBP", 6)
    assert animation_of(found).suffix == "webp"


def test_the_page_needs_no_script_and_escapes_names(run):
    page = run.report.read_text(encoding="utf-8")
    assert len(page) < 6_000_000
    still = page[page.index("</noscript>") :]
    assert "<noscript><style>.script { display: none; } .still { display: block; }" in page
    assert still.count('class="picture still') == 2
    assert "<b>fading" not in page
    assert set(re.findall(r"https?://[^\"]*", page)) == {
        "http://www.w3.org/2000/svg"
    }  # a name, which nothing is fetched from


def test_every_number_of_the_slider_is_in_the_summary(run):
    page = run.report.read_text(encoding="utf-8")
    shown = json.loads(re.search(r"const rot = (\{.*?\});\n", page, flags=re.S).group(1))
    told = json.loads((run.folder / "summary.json").read_text(encoding="utf-8"))
    assert shown["psnr"] == [row["psnr"] for row in told["rows"]]
    for picture, known in zip(shown["pictures"], told["per_picture"], strict=False):
        for column in ("psnr", "ssim", "brightness", "contrast"):
            assert picture[column] == known[column]


def test_every_number_of_the_tables_is_in_the_summary(run):
    """As it is rounded there: a table shows nothing that a program cannot read."""
    page = run.report.read_text(encoding="utf-8")
    told = json.dumps(json.loads((run.folder / "summary.json").read_text(encoding="utf-8")))
    numbers = [abs(float(text)) for text in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", told)]
    known = {f"{value:.{digits}f}" for value in numbers for digits in (0, 1, 2, 3)}
    known |= {f"{100 * value:.{digits}f}" for value in numbers for digits in (0, 1)}
    known |= {f"{100 * (value - 1):.1f}".lstrip("-") for value in numbers}
    bodies = re.findall(r"<tbody>(.*?)</tbody>", page[: page.index("Protocol and provenance")], flags=re.S)
    cells = [
        re.sub(r"<[^>]+>", " ", cell) for body in bodies for cell in re.findall(r"<td[^>]*>.*?</td>", body, flags=re.S)
    ]
    texts = [
        text
        for cell in cells
        if not re.search(r"px|noise of|JPEG|95 %", cell)
        for text in re.findall(r"\d+\.\d+", cell)
    ]
    assert len(texts) > 40
    # Shares of the parts are quotients of two of them.
    assert len([text for text in texts if text not in known]) <= 2 * 8
