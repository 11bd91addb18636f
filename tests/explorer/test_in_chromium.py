"""The living page in a real Chromium: its orbits are Python's, it asks nobody, and everybody can use it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

import separatrix as sx

SCREENSHOTS = os.environ.get("SEPARATRIX_SCREENSHOTS")


def test_200_orbits_are_pythons(visit, demo_folder, demo_field, demo_limits, random_starts):
    """Every point of every orbit, within 1e-4 of its size, and the same limit set."""
    opened = visit(demo_folder / "explorer.html")
    names = [row["name"] for row in opened.page.evaluate("separatrix.scene.about.sets")]
    wanted = sx.find_attractors(demo_field, random_starts)
    same = sx.limitsets.same_sets(wanted, demo_limits)
    found = opened.orbits(random_starts.tolist())
    path = [random_starts]
    for _ in range(max(len(each["z"]) for each in found)):
        path.append(demo_field(path[-1]))
    expected = torch.stack(path, dim=1)
    worst, ends = 0.0, []
    for row, each in enumerate(found):
        assert each["t"] == list(range(len(each["z"])))
        assert each["fate"]["kind"] == "arrived", each["fate"]
        python = expected[row, : len(each["z"])]
        worst = max(worst, float(((torch.tensor(each["z"]) - python).norm(dim=1) / python.norm(dim=1)).max()))
        ends.append((each["fate"]["set"], int(same[wanted.labels[row]])))
    assert worst <= 1e-4
    assert [names[a] for a, _ in ends] == [names[b] for _, b in ends]
    assert len({a for a, _ in ends}) > 1
    assert opened.complaints == []
    assert opened.outside() == []


def test_the_page_sees_that_its_model_is_another_one(visit, demo_folder, tmp_path):
    """A page whose weights were changed says so, and plays what was computed beforehand."""
    import base64
    import re
    import zlib

    from safetensors.torch import load, save

    text = (demo_folder / "explorer.html").read_text(encoding="utf-8")
    pattern = re.compile(r'(id="separatrix-model">)([^<]*)')
    weights = load(zlib.decompress(base64.b64decode(pattern.search(text).group(2))))
    weights["d0"] = weights["d0"] * 1.01
    changed = base64.b64encode(zlib.compress(save(weights))).decode()
    (tmp_path / "page.html").write_text(pattern.sub(lambda m: m.group(1) + changed, text), encoding="utf-8")
    opened = visit(tmp_path / "page.html")
    assert "differs from Python's by" in opened.page.inner_text("#backend")
    assert "computed beforehand" in opened.page.inner_text("#backend")


def test_without_the_model_it_plays_what_the_library_computed(visit, precomputed_page, demo_field):
    opened = visit(precomputed_page)
    (found,) = opened.orbits([[0.0, 0.0]])
    assert found["fate"]["kind"] == "known"
    z, at = torch.tensor(found["z"][:1]), 0
    for t, wanted in zip(found["t"], found["z"], strict=True):
        for _ in range(t - at):
            z = demo_field(z)
        at = t
        assert torch.allclose(z, torch.tensor([wanted]), rtol=1e-4, atol=1e-4)
    opened.until("document.querySelector('#fate').textContent.includes('Followed in Python, it goes to attractor')")
    assert opened.complaints == []
    assert precomputed_page.stat().st_size <= 1_000_000


def test_without_the_model_pictures_are_unpacked_when_somebody_asks(visit, precomputed_page, demo_field):
    opened = visit(precomputed_page)
    assert not opened.page.evaluate("separatrix.scene.has('node_images')")
    z, grey = opened.page.evaluate(
        """async () => {
            const {backend, plane} = separatrix, z = backend.snap(plane.lift(0, 0));
            return [Array.from(z), Array.from((await backend.decode(z)).data).filter((_, i) => i % 4 === 0)];
        }"""
    )
    decoded = demo_field.decode(torch.tensor([z]))[0, 0]
    low, high = opened.page.evaluate("separatrix.scene.about.range")
    wanted = ((decoded - low) / (high - low) * 255).clamp(0, 255)
    assert torch.allclose(torch.tensor(grey, dtype=torch.float32), wanted.flatten(), atol=1.0)
    assert wanted.max() - wanted.min() > 50  # something is to be seen
    assert opened.page.evaluate("separatrix.scene.has('node_images')")
    assert opened.complaints == []


def test_a_click_is_followed_in_words_and_pictures(visit, demo_folder):
    opened = visit(demo_folder / "explorer.html")
    page = opened.page
    page.locator("#plane-top").click(position={"x": 300, "y": 120})
    opened.until("document.querySelector('#fate').textContent.includes('has arrived at attractor')")
    page.click("#last")
    total = page.evaluate("separatrix.journey.orbit.last.t")
    opened.until(f"document.querySelector('#step').textContent === 'step {total} of {total}'")
    assert page.locator("#film li").count() >= 4
    assert page.evaluate(
        "document.querySelector('#now').getContext('2d').getImageData(0, 0, 8, 8).data.some(v => v > 0 && v < 255)"
    )
    page.click("#first")
    page.click("#forward")
    opened.until(f"document.querySelector('#step').textContent === 'step 1 of {total}'")
    page.click("#play")
    opened.until("separatrix.journey.at > 1")
    page.click("#play")
    assert page.inner_text("#play") == "Play"


def test_the_keyboard_does_all_of_it(visit, demo_folder):
    opened = visit(demo_folder / "explorer.html")
    page = opened.page
    page.focus("#plane-top")
    for key in ("ArrowRight", "ArrowUp", "Shift+ArrowUp", "Enter"):
        page.keyboard.press(key)
    opened.until("separatrix.journey.orbit?.done")
    page.keyboard.press("Space")
    page.keyboard.press(",")
    assert page.evaluate("separatrix.journey.playing") is False
    assert "latent plane" in page.get_attribute("#plane-top", "aria-label")


def test_the_address_brings_back_what_was_seen(visit, demo_folder):
    opened = visit(demo_folder / "explorer.html")
    first = opened.page
    first.click("input[value=basins]")
    first.locator("#plane-top").click(position={"x": 200, "y": 200})
    opened.until("location.hash.includes('z=')")
    fragment = first.evaluate("location.hash")
    again = visit(demo_folder / "explorer.html", fragment=fragment)
    second = again.page
    again.until("separatrix.journey.orbit?.done")
    ends = [page.evaluate("Array.from(separatrix.journey.orbit.points[0].z)") for page in (first, second)]
    assert ends[0] == ends[1]
    assert second.is_checked("input[value=basins]")


def test_table_and_plane_are_linked(visit, demo_folder):
    opened = visit(demo_folder / "explorer.html")
    page = opened.page
    page.locator("#sets-body tr:nth-child(2) .pick").click()
    assert page.evaluate("separatrix.view.chosen") == 1
    page.locator("#sets-head button", has_text="ρ").click()
    radii = [float(text) for text in page.locator("#sets-body td.c2").all_inner_texts()]
    assert radii == sorted(radii, reverse=True)
    page.fill("#sets-filter", "nothing such")
    assert page.locator("#sets-body tr").count() == 0


def test_pictures_to_start_from_are_encoded_by_the_page(visit, demo_folder, demo_field):
    opened = visit(demo_folder / "explorer.html")
    opened.page.locator("#examples button").first.click()
    opened.until("separatrix.journey.orbit?.done")
    start = opened.page.evaluate("Array.from(separatrix.journey.orbit.points[0].z)")
    x = opened.page.evaluate("Array.from(separatrix.scene.floats('example_x').slice(0, 64))")
    expected = demo_field.encode(torch.tensor(x).reshape(1, 1, 8, 8))[0]
    assert torch.allclose(torch.tensor(start), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit, demo_folder, scheme):
    opened = visit(demo_folder / "explorer.html", color_scheme=scheme)
    page = opened.page
    page.locator("#plane-top").click(position={"x": 300, "y": 120})
    opened.until("separatrix.journey.orbit?.done")
    assert opened.serious() == []


SIZES = {"desktop": (1280, {}), "phone": (390, {}), "dark": (1280, {"color_scheme": "dark"}), "no-js": (1280, {"java_script_enabled": False}),
         "no-js-phone": (390, {"java_script_enabled": False})}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_nothing_is_wider_than_the_screen_and_no_text_is_tiny(visit, demo_folder, name):
    width, options = SIZES[name]
    opened = visit(demo_folder / "explorer.html", reduced_motion="no-preference", **options)
    page = opened.page
    page.set_viewport_size({"width": width, "height": 900})
    if options.get("java_script_enabled", True):
        page.locator("#plane-top").click(position={"x": 120, "y": 120})
        opened.until("separatrix.journey.orbit?.done")
        page.click("#last")
        assert page.is_checked("#particles")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        smallest = page.evaluate(
            """Math.min(...[...document.querySelectorAll('body *')].filter(e => e.offsetParent && [...e.childNodes].some(
               n => n.nodeType === 3 && n.textContent.trim())).map(e => parseFloat(getComputedStyle(e).fontSize)))"""
        )
        assert smallest >= 11
    else:
        assert page.locator(".still svg").count() == 2
        assert page.locator(".still svg").first.is_visible()
        assert page.locator(".still table tbody tr").count() >= 2
        assert not page.locator("#plane-top").is_visible()
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"explorer-{name}.png", full_page=True)


def test_print_shows_stills_and_tables(visit, demo_folder):
    opened = visit(demo_folder / "explorer.html")
    page = opened.page
    page.emulate_media(media="print")
    page.locator(".still svg").first.wait_for()  # the page hears of it in its next frame
    assert page.locator(".still svg").count() == 2
    assert page.locator(".still table").is_visible()
    assert not page.locator("#plane-top").is_visible()
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / "explorer-print.png", full_page=True)
