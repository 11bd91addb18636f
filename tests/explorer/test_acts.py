"""What a reader does on the living page, in a real Chromium: other planes, pictures to start from, the flow, merge radii, and what is taken along."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image
from torch import Tensor

import separatrix as sx
from separatrix.explorer import explorer_page, scene_of
from separatrix.report import ModelResults

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"


def eight_wells(z: Tensor) -> Tensor:
    """Eight attractors in three dimensions, by the signs of turned coordinates."""
    turned = z @ torch.tensor([[0.8, 0.6, 0.0], [-0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
    return torch.tanh(2 * turned + 0.3 * turned.roll(1, dims=1)) @ torch.tensor(
        [[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]]
    )


@pytest.fixture(scope="module")
def sliced_field() -> sx.LatentField:
    return sx.LatentField.from_map(eight_wells, latent_shape=(3,))


@pytest.fixture(scope="module")
def sliced_page(sliced_field, tmp_path_factory) -> Path:
    """A page of a latent space of three dimensions, which no plane shows wholly."""
    limits = sx.find_attractors(sliced_field, sx.starts.gaussian(256, seed=0))
    results = ModelResults(title="Eight", subtitle="", latent_field=sliced_field, searches={"noise": limits})
    path = tmp_path_factory.mktemp("sliced") / "page.html"
    path.write_text(explorer_page(scene_of(results, field_side=12, basin_side=8)), encoding="utf-8")
    return path


def computed(code: str, field: sx.LatentField) -> dict[str, Any]:
    """What the lines of Python on a page compute, with the model in place of the one that they load."""
    names: dict[str, Any] = {}
    lines = re.sub(r"field = sx\.load\(.*", "", code)
    exec(compile(lines, "page", "exec"), {"sx": sx, "field": field}, names)
    return names


def settled(opened: Any) -> None:
    opened.until("document.querySelector('#plane-stop').hidden && separatrix.view.sheet.field.count > 0")


def test_a_plane_that_a_reader_chooses_is_python_s_at_every_node(visit, sliced_page, sliced_field):
    opened = visit(sliced_page)
    page = opened.page
    page.select_option("#plane-kind", "sets")
    page.select_option("#plane-of select:nth-child(3)", "4")
    settled(opened)
    words = page.inner_text("#plane-words")
    assert "A slice of 3 dimensions: the plane through" in words
    assert "3,249 of 3,249 points" in words
    assert "squared length" in words
    page.evaluate("separatrix.start(separatrix.view.sheet.plane.lift(0.3, 0.1), false).done")
    code = page.inner_text("#code")
    made = computed(code, sliced_field)
    plane, v = made["plane"], made["v"]
    share = made["out_of_plane"]
    assert float(share.max()) > 0.1
    # Where the field all but stands still, the direction of what is left is rounding.
    share = share.where(v.norm(dim=1) > 1e-2, torch.nan)
    for name, expected in (("velocity", v @ plane.axes.T), ("speed", v.norm(dim=1)), ("out", share)):
        found = torch.tensor(page.evaluate(f"Array.from(separatrix.view.sheet.{name})")).reshape(expected.shape)
        known = ~expected.isnan()
        assert torch.allclose(found.double()[known], expected.double()[known], rtol=1e-3, atol=1e-5), name
    last = torch.tensor(page.evaluate("Array.from(separatrix.journey.orbit.last.z)"))
    assert torch.allclose(made["z"][0], last, rtol=1e-4, atol=1e-6)
    page.click("input[value=out]")
    page.click("input[value=basins]")
    opened.until("separatrix.view.sheet.basins.count > 100")
    basin, known = page.evaluate(
        "[Array.from(separatrix.view.sheet.basin), Array.from(separatrix.view.sheet.basins.known)]"
    )
    ends = page.evaluate("separatrix.scene.about.sets.map((_, set) => Array.from(separatrix.scene.trace(set)[0]))")
    places = page.evaluate(
        "Array.from(separatrix.view.sheet.basin, (_, n) => {const s = separatrix.view.sheet; return Array.from(s.plane.lift(...s.basins.place(s.extent, n)))})"
    )
    z = torch.tensor([place for place, one in zip(places, known, strict=True) if one])
    goes = [set_ for set_, one in zip(basin, known, strict=True) if one]
    for _ in range(200):
        z = eight_wells(z)  # their ends
    right = [
        set_ >= 0 and torch.allclose(torch.tensor(ends[set_]), end, atol=1e-3)
        for set_, end in zip(goes, z, strict=True)
    ]
    assert sum(right) / len(right) > 0.97  # the rest begins on a boundary, to rounding
    fragment = page.evaluate("location.hash")
    again = visit(sliced_page, fragment=fragment)
    assert again.page.input_value("#plane-kind") == "sets"
    assert again.page.is_checked("input[value=basins]")
    assert again.page.inner_text("#code") == page.inner_text("#code")
    assert opened.complaints == again.complaints == []


def test_without_a_model_there_is_one_plane(visit, precomputed_page):
    page = visit(precomputed_page).page
    assert not page.is_visible("#plane-kind")
    assert not page.is_visible("#examples-box")
    assert page.is_disabled("input[value=flow]")


def test_pictures_from_files_drawings_and_noise_are_read_by_the_model(visit, demo_folder, demo_field, tmp_path):
    opened = visit(demo_folder / "explorer.html")
    page = opened.page

    def latent_is_the_model_s(name: str) -> None:
        opened.until(
            f"document.querySelector('#starts-words').textContent.includes({name!r}) && separatrix.journey.orbit?.done"
        )
        x = page.evaluate(f"Array.from(separatrix.starts.pictures.find(p => p.name === {name!r}).x)")
        start = page.evaluate("Array.from(separatrix.journey.orbit.points[0].z)")
        assert 0 <= min(x) < max(x) <= 1
        expected = demo_field.encode(torch.tensor(x).reshape(1, 1, 8, 8))[0]
        assert torch.allclose(torch.tensor(start), expected, rtol=1e-4, atol=1e-4)

    page.click("#start-noise")
    latent_is_the_model_s("noise 1")
    picture = tmp_path / "grey.png"
    Image.new("L", (40, 24), 128).save(picture)
    page.set_input_files("#start-file", picture)
    grey = "separatrix.starts.pictures.find(p => p.name === 'grey.png')?.x"
    opened.until(f"!!({grey})")
    assert page.evaluate(f"Array.from({grey})") == pytest.approx([128 / 255] * 64, abs=1e-6)
    clear = Image.new("RGBA", (24, 24), (0, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (0, 0, 12, 24))
    clear.save(tmp_path / "half.png")
    page.set_input_files("#start-file", tmp_path / "half.png")
    half = "separatrix.starts.pictures.find(p => p.name === 'half.png')?.x"
    opened.until(f"!!({half})")
    seen = sx.data.load_images(tmp_path / "half.png", size=(8, 8)).pixels.mean(dim=1).flatten()
    assert page.evaluate(f"Array.from({half})") == pytest.approx(
        seen.tolist(), abs=0.15
    )  # both filter the edge; white is clear
    page.locator("#pad").scroll_into_view_if_needed()
    box = page.locator("#pad").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + 140, steps=4)
    page.mouse.up()
    latent_is_the_model_s("drawing")
    page.focus("#pad")
    for key in ("Delete", "ArrowRight", "Shift+ArrowDown", "Enter"):
        page.keyboard.press(key)
    (tmp_path / "no.png").write_text("no picture")
    page.set_input_files("#start-file", tmp_path / "no.png")
    opened.until(
        "document.querySelector('#starts-words').textContent.includes('no picture that this browser can read')"
    )
    assert opened.complaints == []


def test_a_blend_flips_where_python_says(visit, demo_folder, demo_field):
    opened = visit(demo_folder / "explorer.html")
    page = opened.page
    pictures = page.evaluate("separatrix.starts.pictures.map(p => Array.from(p.x))")
    ends = torch.tensor(
        page.evaluate("separatrix.scene.about.sets.map((_, set) => Array.from(separatrix.scene.trace(set)[0]))")
    )

    def goes(x: Tensor) -> list[int]:
        z = demo_field.encode(x.reshape(-1, 1, 8, 8))
        for _ in range(300):
            z = demo_field(z)
        return torch.cdist(z, ends).argmin(dim=1).tolist()

    x = torch.tensor(pictures)
    fates = goes(x)
    other = next(i for i, fate in enumerate(fates) if fate != fates[0])
    page.select_option("#blend-from", index=1)
    page.select_option("#blend-to", index=other + 1)
    opened.until("document.querySelector('#blend-words').textContent.includes('blends from')")
    flips = page.evaluate("separatrix.starts.blend.flips")
    assert flips
    for flip in flips:
        sides = torch.tensor([[flip["below"]], [flip["above"]]])
        below, above = goes((1 - sides) * x[0] + sides * x[other])
        assert (below, above) == (flip["from"], flip["to"])
    assert "The fate flips" in page.inner_text("#blend-words")


def test_the_flow_is_dz_dt(visit, demo_folder, demo_field):
    opened = visit(demo_folder / "explorer.html")
    page = opened.page
    page.click("input[value=flow]")
    page.locator("#plane-top").click(position={"x": 300, "y": 120})
    opened.until(
        "separatrix.journey.orbit?.done && document.querySelector('#fate').textContent.includes('After a time of')"
    )
    opened.until(
        "document.querySelector('#code').textContent.includes('range(' + separatrix.journey.orbit.last.t + ')')"
    )
    made = computed(page.inner_text("#code"), demo_field)
    last = torch.tensor(page.evaluate("Array.from(separatrix.journey.orbit.last.z)"))
    assert torch.allclose(made["z"][0], last, rtol=1e-4, atol=1e-4)


def test_what_is_taken_along(visit, demo_folder, tmp_path):
    opened = visit(demo_folder / "explorer.html")
    page = opened.page
    page.locator("#plane-top").click(position={"x": 300, "y": 120})
    opened.until("separatrix.journey.orbit?.done")
    page.click("#last")
    files = {}
    for button in ("save-png", "save-svg", "save-orbit", "save-table"):
        with page.expect_download() as download:
            page.click(f"#{button}")
        files[button] = tmp_path / download.value.suggested_filename
        download.value.save_as(files[button])
    with Image.open(files["save-png"]) as picture:
        assert picture.size[0] == picture.size[1] > 300
    root = ElementTree.parse(files["save-svg"]).getroot()
    assert root.tag.endswith("svg")
    assert not list(root.iter("{http://www.w3.org/2000/svg}image"))
    orbit = list(csv.DictReader(io.StringIO(files["save-orbit"].read_text())))
    assert len(orbit) == page.evaluate("separatrix.journey.orbit.points.length")
    table = list(csv.DictReader(io.StringIO(files["save-table"].read_text())))
    assert [row["set"] for row in table] == page.evaluate("separatrix.scene.about.sets.map(row => row.name)")


def test_the_dial_says_how_far_the_count_holds(visit, demo_folder):
    opened = visit(demo_folder / "explorer.html")
    page = opened.page
    page.click("#dial-box summary")
    opened.until("document.querySelector('#dial-words').textContent.includes('That is its longest plateau')")
    page.fill("#dial", "400")
    opened.until("document.querySelector('#dial-words').textContent.includes('As one count')")
    assert "1 attracting set" in page.inner_text("#dial-words")
    assert (
        page.evaluate(
            "new Set(separatrix.scene.about.sets.filter(row => row.stable === 1).map((_, set) => separatrix.view.hue(set))).size"
        )
        == 1
    )
    opened.until("location.hash.includes('radius=')")
    page.click("#dial-reset")
    opened.until("!location.hash.includes('radius=')")


def test_another_model_follows_the_same_picture(visit, demo_folder, tmp_path):
    """The page beside itself: the other orbit begins with the picture of the first, which is one step on."""
    opened = visit(demo_folder / "explorer.html")
    page = opened.page
    page.set_input_files("#beside-file", demo_folder / "explorer.html")
    opened.until("document.querySelector('#beside-words').textContent.includes('both models follow it')")
    page.locator("#plane-top").click(position={"x": 300, "y": 120})
    opened.until("document.querySelector('#beside-words').textContent.includes('has arrived at attractor')")
    ours, theirs = (
        torch.tensor(page.evaluate(f"separatrix.{whose}.orbit.points.map(p => Array.from(p.z))"))
        for whose in ("journey", "beside")
    )
    count = min(len(ours) - 1, len(theirs))
    assert torch.allclose(ours[1 : count + 1], theirs[:count], rtol=1e-5, atol=1e-6)
    page.locator("#examples button").first.click()
    opened.until(
        "separatrix.journey.orbit?.done && separatrix.beside.orbit?.done && Math.abs(separatrix.journey.orbit.points[0].z[0] - separatrix.beside.orbit.points[0].z[0]) < 1e-6"
    )
    (tmp_path / "other.html").write_text("<p>nothing</p>", encoding="utf-8")
    page.set_input_files("#beside-file", tmp_path / "other.html")
    opened.until("document.querySelector('#beside-words').textContent.includes('it is no living page')")
    assert opened.complaints == []


def test_a_model_with_another_black_and_white_is_told_so(visit, demo_folder, tmp_path):
    """Attractors may be greyer than pictures are: black and white come from the images too, and what was taken for them is said."""
    basis = torch.linalg.qr(torch.randn(64, 2, generator=torch.Generator().manual_seed(0)))[0]
    field = sx.LatentField(
        lambda x: torch.tanh(2 * x.flatten(1) @ basis),
        lambda z: (0.9 * z @ basis.T).reshape(-1, 1, 8, 8),
        latent_shape=(2,),
    )
    limits = sx.find_attractors(field, sx.starts.gaussian(32, seed=0))
    pictures = torch.stack([torch.full((1, 8, 8), -1.0), torch.eye(8)[None]])
    results = ModelResults(title="Signed", subtitle="", latent_field=field, searches={"noise": limits})
    scene = scene_of(results, examples={"dark": pictures[0], "line": pictures[1]}, field_side=8, basin_side=6)
    assert scene.about["range"] == [-1.0, 1.0]
    page_file = tmp_path / "signed.html"
    page_file.write_text(explorer_page(scene), encoding="utf-8")
    opened = visit(page_file)
    page = opened.page
    Image.new("L", (8, 8), 0).save(tmp_path / "black.png")
    page.set_input_files("#start-file", tmp_path / "black.png")
    opened.until("document.querySelector('#starts-words').textContent.includes('Black is -1 to it and white 1')")
    assert page.evaluate("Array.from(separatrix.starts.pictures.find(p => p.name === 'black.png').x)") == [-1.0] * 64
    page.locator("#examples button").first.click()
    opened.until(
        "document.querySelector('#starts-words').textContent === 'The orbit starts from dark, as the model reads it.'"
    )
    page.set_input_files("#beside-file", demo_folder / "explorer.html")
    opened.until("document.querySelector('#beside-words').textContent.includes('its pictures have values from 0 to 1')")
    assert opened.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_where_all_is_opened(visit, sliced_page, demo_folder, scheme):
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: npm ci --prefix web")
    for path, select in ((sliced_page, ("#plane-kind", 1)), (demo_folder / "explorer.html", ("#blend-from", 1))):
        opened = visit(path, color_scheme=scheme)
        page = opened.page
        page.select_option(select[0], index=select[1])
        if page.is_visible("#blend-to"):
            page.select_option("#blend-to", index=2)
        page.click("#dial-box summary")
        opened.until("document.querySelector('#dial-words').textContent.length > 0")
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate(
            "axe.run().then(r => r.violations.filter(v => ['serious', 'critical'].includes(v.impact)))"
        )
        assert [(each["id"], [node["html"][:120] for node in each["nodes"]]) for each in found] == []
