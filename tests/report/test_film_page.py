"""The page of a film: whole, closed to the network, and saying what the film says."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from separatrix import LatentField, training_film
from separatrix.errors import FileError
from separatrix.models import ConvAutoencoder
from separatrix.protocol import Protocol
from separatrix.report import Page, Picture, write_report
from separatrix.report._film_page import film_data, film_page, frame_rows
from separatrix.report._write import rendered
from separatrix.studies._training_film import Story
from separatrix.words import Statement


@pytest.fixture(scope="module")
def film():
    fields = [LatentField.from_map(lambda z, a=a: torch.tanh(a * z), (2,)) for a in (0.5, 2.0)]
    data = torch.rand(20, 2, generator=torch.Generator().manual_seed(0)) * 4 - 2
    return training_film(
        fields, data, parameters=(0, 7), unit="step", resolution=8, errors={"all </script> data": data}
    )


class Outside(HTMLParser):
    """Every address that the page would ask for."""

    def __init__(self):
        super().__init__()
        self.addresses, self.scripts = [], 0

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]


def test_nothing_comes_from_elsewhere_and_no_text_is_markup(film, tmp_path):
    hostile = film_page(film, title="<b>hostile</b>", subtitle="</script><script>alert(1)</script>")
    page = write_report(tmp_path / "film.html", hostile)
    text = page.read_text(encoding="utf-8")
    parser = Outside()
    parser.feed(text)
    assert all(address.startswith("data:") for address in parser.addresses)
    assert parser.scripts == 1
    assert "<b>hostile" not in text
    assert "https://" not in text
    assert "http://" not in text
    assert "default-src 'none'" in text
    assert [path.name for path in tmp_path.iterdir()] == ["film.html"]


def test_the_page_holds_the_film(film):
    text = rendered(film_page(film))
    data = json.loads(re.search(r"const film = (\{.*\});\n", text)[1])
    assert data == json.loads(json.dumps(film_data(film)))
    assert [frame["value"] for frame in data["frames"]] == [0, 7]
    for time, frame in enumerate(data["frames"]):
        ids = np.frombuffer(base64.b64decode(frame["grid"]), dtype="<u2").reshape(8, 8)
        assert (ids == film.ids[time].numpy()).all()
        assert len(base64.b64decode(frame["depth"])) == 64
    assert [one["share"] for one in data["frames"][1]["sets"]] == [0.25] * 4
    assert sorted(data["frames"][1]["events"]) == ["B split from A", "C split from A", "D split from A"]
    middle = data["frames"][0]["sets"][0]["at"]
    assert middle == [round(1000 * (0 - film.extent[0]) / (film.extent[1] - film.extent[0])),
                      round(1000 * (0 - film.extent[2]) / (film.extent[3] - film.extent[2]))]  # fmt: skip
    assert set(data["letters"].values()) == {"A", "B", "C", "D"}


def test_the_summary_counts_and_warns(film):
    assert str(film.statement) == (
        "1 set at step 0, 4 at step 7; between them 0 births, 0 deaths, 0 merges, 3 splits. "
        "1 of 2 frames are trivial: one point takes nearly everything at once."
    )


def test_every_frame_has_a_row_and_print_has_stills(film):
    assert [(row["step"], row["sets"], row["trivial"]) for row in frame_rows(film)] == [(0, 1, True), (7, 4, False)]
    still = Picture(b"png", "Two frames.", "", 10)
    text = rendered(film_page(film, still=still, left_out=["step3.pt: it is damaged"]))
    assert re.search(r"<td>7</td><td>4</td><td>0 %</td><td>[\d.]+</td><td class=\"words\">B split from A, C", text)
    assert 'alt="Two frames."' in text
    assert "<li>step3.pt: it is damaged</li>" in text
    assert "Two frames" not in rendered(film_page(film))


def test_no_script_runs_on_other_pages():
    text = rendered(Page("Other", Statement("", "", Story.STAYS), ()))
    assert "default-src 'none'" in text
    assert "script-src" not in text
    assert "<script" not in text


def test_sets_that_decode_to_images_have_pictures():
    torch.manual_seed(0)
    field = ConvAutoencoder((1, 8, 8), 2, base_channels=2).field()
    frame = film_data(training_film([field], torch.rand(9, 1, 8, 8), resolution=4))["frames"][0]
    assert all(one["picture"].startswith("data:image/png;base64,") for one in frame["sets"])


def test_a_page_that_cannot_be_written_is_one_sentence(film, tmp_path):
    with pytest.raises(FileError, match="cannot be written"):
        write_report(tmp_path / "no" / "film.html", film_page(film))


def test_a_set_that_a_frame_could_not_follow_is_out_of_sight_and_not_dead():
    """The middle frame has the same sets and is a hundred times slower."""
    fields = [
        LatentField.from_map(lambda z, pace=pace: z + pace * (torch.tanh(2 * z) - z), (2,)) for pace in (1, 0.01, 1)
    ]
    rules = Protocol(max_steps=40, probe_steps=40)
    shot = training_film(fields, torch.tensor([[-2.0, -2.0], [2.0, 2.0]]), resolution=8, protocol=rules)
    told = [frame["events"] for frame in film_data(shot)["frames"]]
    assert told == [[], [f"{name} out of sight" for name in "ABCD"], [f"{name} came into sight" for name in "ABCD"]]
    assert str(shot.statement).endswith("0 births, 0 deaths, 0 merges, 0 splits, 4 occlusions, 4 sightings.")
    assert shot.statement.code is Story.CHANGES
    still = training_film(fields[::2], shot.latents[0], resolution=8).statement
    assert ("occlusion" not in str(still), still.code) == (True, Story.STAYS)
