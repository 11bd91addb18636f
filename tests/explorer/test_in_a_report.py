"""The living page in a report: asleep until a reader wakes it, then as exact as anywhere else; left out where somebody says so."""

from __future__ import annotations

import math
import shutil

import pytest
import torch
from torch import nn

import separatrix as sx
from separatrix import runs
from separatrix.report._figures import planned_portrait
from separatrix.runs import _living


@pytest.fixture(scope="module")
def field() -> sx.LatentField:
    """Pictures of 8 × 8 from two numbers and back; z goes to tanh 2z, nearly."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        decode = nn.Sequential(nn.Linear(2, 64, bias=False), nn.Unflatten(1, (1, 8, 8)))
        encode = nn.Sequential(nn.Flatten(), nn.Linear(64, 2, bias=False), nn.Tanh())
    with torch.no_grad():
        encode[1].weight.copy_(2 * torch.linalg.pinv(decode[0].weight))
    return sx.LatentField(encode.eval(), decode.eval(), latent_shape=2, name="two wells")


@pytest.fixture(scope="module")
def folder(field, tmp_path_factory):
    """A run whose only figure is the portrait."""
    out = tmp_path_factory.mktemp("report") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("separatrix.runs._attractors._planned", lambda _run, of: planned_portrait(of, _Budget))
        runs.attractors(field, sx.starts.gaussian(40, seed=0), out=out)
    return out


class _Budget:
    portrait_side = 20


def test_a_click_in_a_report_starts_an_orbit_of_the_model(visit, folder, field):
    opened = visit(folder / "report.html", awake=False)
    page = opened.page
    assert page.locator("iframe").count() == 0
    assert page.locator("svg.drawn").is_visible()
    page.get_by_role("button", name="Explore").press("Enter")
    (frame,) = [one for one in iter_frames(page) if one != page.main_frame]
    frame.wait_for_selector("html[data-separatrix=ready]", timeout=60_000)
    frame.locator("#plane-top").click(position={"x": 100, "y": 100})
    for _ in range(500):
        if frame.evaluate("Boolean(separatrix.journey.orbit?.done)"):
            break
        page.wait_for_timeout(20)
    followed = torch.tensor(
        frame.evaluate("separatrix.journey.orbit.points.map(p => Array.from(p.z))"), dtype=torch.float32
    )
    assert "has arrived" in frame.locator("#fate").inner_text()
    assert torch.allclose(field(followed[:-1]), followed[1:], rtol=1e-4, atol=1e-4)
    assert opened.complaints == []
    assert opened.outside() == []


def iter_frames(page):
    """All frames, when the one of the living page is there."""
    page.wait_for_selector("iframe")
    return page.frames


def test_without_scripts_the_portrait_stands_alone(visit, folder):
    page = visit(folder / "report.html", java_script_enabled=False).page
    assert page.locator("svg.drawn").is_visible()
    assert not page.get_by_role("button", name="Explore").is_visible()


def test_a_report_is_made_again_with_its_living_page_and_without(folder, monkeypatch):
    monkeypatch.setattr("separatrix.runs._attractors._planned", lambda _run, of: planned_portrait(of, _Budget))
    before = (folder / "report.html").read_bytes()
    assert b"Explore" in before
    runs.report(folder, explorer=False)
    without = (folder / "report.html").read_text()
    assert "Explore" not in without
    assert "<script" not in without
    assert "wasm" not in without
    runs.report(folder)
    assert (folder / "report.html").read_bytes() == before


def test_the_same_command_without_it_leaves_no_model_in_the_report(field, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("separatrix.runs._attractors._planned", lambda _run, of: planned_portrait(of, _Budget))
    shutil.copytree(folder, tmp_path / "run")
    runs.attractors(field, sx.starts.gaussian(40, seed=0), out=tmp_path / "run", explorer=False)
    text = (tmp_path / "run" / "report.html").read_text()
    assert "<script" not in text
    assert '<svg class="drawn"' in text


def test_a_model_that_is_too_large_is_named_in_its_place(folder, monkeypatch):
    monkeypatch.setattr("separatrix.runs._attractors._planned", lambda _run, of: planned_portrait(of, _Budget))
    monkeypatch.setattr(_living, "LARGEST", 1000)
    runs.report(folder)
    text = (folder / "report.html").read_text()
    assert "The living page is not in this report. With the model it would take" in text
    assert "separatrix explore RUN --of MODEL" in text


def test_a_model_that_no_page_can_hold_is_named_in_its_place(tmp_path, monkeypatch):
    monkeypatch.setattr("separatrix.runs._attractors._planned", lambda _run, of: planned_portrait(of, _Budget))
    odd = sx.LatentField.from_map(
        lambda z: torch.linalg.matrix_exp(torch.diag_embed(-z)).diagonal(dim1=-2, dim2=-1) / math.e, latent_shape=(2,)
    )
    runs.attractors(odd, sx.starts.gaussian(4, seed=0), out=tmp_path / "run")
    text = (tmp_path / "run" / "report.html").read_text()
    assert "The living page is not in this report." in text
    assert "<script" not in text
