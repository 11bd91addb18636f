"""The page behind a server in a real Chromium: its orbits are Python's, it asks nobody else, and it says when nobody answers."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from live import running

import separatrix as sx
from separatrix.explorer import Scene, scene_of
from separatrix.report import ModelResults

SCREENSHOTS = os.environ.get("SEPARATRIX_SCREENSHOTS")


@pytest.fixture(scope="module")
def live_scene(demo_field, demo_limits) -> Scene:
    results = ModelResults(title="Live", subtitle="", latent_field=demo_field, searches={"digits": demo_limits})
    digit = torch.full((1, 8, 8), 0.5)
    return scene_of(results, examples={"grey": digit}, field_side=24, basin_side=16, live=True)


@pytest.fixture(scope="module")
def server(live_scene, demo_field):
    with running(live_scene, demo_field) as found:
        yield found


def compared(opened, field, limits, starts) -> None:
    """Every point of every orbit within 1e-4 of its size of Python's, and the same limit set."""
    wanted = sx.find_attractors(field, starts)
    same = sx.limitsets.same_sets(wanted, limits)
    found = opened.page.evaluate(
        """starts => {
          const {orbit} = separatrix.start(Float32Array.from(starts[0]), false);
          return Promise.all(starts.map(async z => {
            const each = new orbit.constructor(Float32Array.from(z), separatrix.backend, separatrix.journey.fates);
            await each.finish();
            return {z: each.points.map(p => Array.from(p.z)), t: each.points.map(p => p.t), fate: each.fate};
          }));
        }""",
        starts.tolist(),
    )
    z, path = starts, [starts]
    for _ in range(max(len(each["z"]) for each in found)):
        z = field(z)
        path.append(z)
    expected = torch.stack(path, dim=1)
    ends = []
    for row, each in enumerate(found):
        assert each["t"] == list(range(len(each["z"])))
        assert each["fate"]["kind"] == "arrived", each["fate"]
        python = expected[row, : len(each["z"])]
        assert float(((torch.tensor(each["z"]) - python).norm(dim=1) / python.norm(dim=1)).max()) <= 1e-4
        ends.append((each["fate"]["set"], int(same[wanted.labels[row]])))
    assert all(here == there for here, there in ends)
    assert len({here for here, _ in ends}) > 1


def test_orbits_over_the_server_are_pythons(visit, server, demo_field, demo_limits, random_starts):
    opened = visit(server.url, offline=False)
    assert "in the process that serves this page" in opened.page.inner_text("#backend")
    compared(opened, demo_field, demo_limits, random_starts[:24])  # benchmarks/explorer_live.py compares 200
    opened.page.evaluate("window.earlier = separatrix.journey.orbit")
    opened.page.locator("#examples button").first.click()
    another = "separatrix.journey.orbit && separatrix.journey.orbit !== window.earlier"
    opened.until(f"{another} && separatrix.journey.orbit.done && separatrix.journey.orbit.points.length > 1")
    start = torch.tensor(opened.page.evaluate("Array.from(separatrix.journey.orbit.points[0].z)"))
    assert torch.allclose(start, demo_field.encode(torch.full((1, 1, 8, 8), 0.5))[0], rtol=1e-4, atol=1e-5)
    assert opened.page.evaluate("separatrix.backend.field(new Float32Array(400000)).then(f => f.length)") == 400_000
    assert opened.complaints == []
    assert opened.outside() == []


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_everybody_can_use_it_behind_the_server_too(visit, server, scheme, width):
    opened = visit(server.url, offline=False, color_scheme=scheme, viewport={"width": width, "height": 900})
    page = opened.page
    page.focus("#plane-top")
    for key in ("ArrowRight", "ArrowUp", "Enter"):
        page.keyboard.press(key)
    opened.until("separatrix.journey.orbit?.done")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.serious() == []
    assert opened.complaints == []
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"live-{scheme}-{width}.png", full_page=True)


def test_a_page_whose_server_is_gone_says_so_and_stays(visit, live_scene, demo_field):
    with running(live_scene, demo_field) as server:
        opened = visit(server.url, offline=False)
    opened.page.locator("#plane-top").click(position={"x": 300, "y": 120})
    opened.until("document.querySelector('#fate').textContent.includes('the process that served this page has ended')")
    opened.page.locator("#sets-body tr:nth-child(2) .pick").click()
    assert opened.page.evaluate("separatrix.view.chosen") == 1


def test_it_ends_with_its_last_page_and_survives_a_killed_one(visit, live_scene, demo_field):
    with running(live_scene, demo_field, grace=0.5) as server:
        first, second = visit(server.url, offline=False), visit(server.url, offline=False)
        with suppress(Exception):  # nobody is left who could say that it worked
            first.page.goto("chrome://crash")
        assert len(second.orbits([[0.5, 0.5]])[0]["z"]) > 1
        second.page.reload()
        second.page.wait_for_selector("html[data-separatrix=ready]")
        assert len(second.orbits([[0.5, 0.5]])[0]["z"]) > 1
        second.context.close()
        server.thread.join(20)
        assert not server.thread.is_alive()


def test_the_field_of_a_slow_model_is_computed_while_somebody_looks(visit, demo_field, demo_limits, monkeypatch):
    """Coarse to fine, by the page; a click is answered meanwhile."""
    monkeypatch.setattr("separatrix.explorer._scene._SOON", 0.0)
    results = ModelResults(title="Slow", subtitle="", latent_field=demo_field, searches={"digits": demo_limits})
    scene = scene_of(results, live=True)
    assert "speed" not in scene.arrays
    with running(scene, demo_field) as server:
        opened = visit(server.url, offline=False)
        assert opened.orbits([[0.5, 0.5]])[0]["fate"]["kind"] == "arrived"
        opened.until("separatrix.view.sheet.field.count === 57 * 57")
        opened.page.click("input[value=basins]")
        opened.until("separatrix.view.sheet.basins.count > 100")
        opened.page.click("#plane-stop")
        opened.page.click("input[value=speed]")
        _, right, _, top = scene.about["plane"]["extent"]
        found = opened.page.evaluate("Array.from(separatrix.view.sheet.velocity.slice(-2))")
        corner = torch.tensor([[right, top]])
        axes, origin = scene.arrays["axes_z"], scene.arrays["origin_z"].reshape(1, -1)
        velocity = demo_field.velocity(origin + corner @ axes) @ axes.T
        assert torch.allclose(torch.tensor(found), velocity[0], rtol=1e-3, atol=1e-4)
        assert opened.complaints == []
