"""Figures come last: within a budget, and whatever becomes of them, the results are there."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

import separatrix as sx
from separatrix.cost import Cost
from separatrix.errors import FigureWarning
from separatrix.plots import field_portrait
from separatrix.report._budget import FigureBudget
from separatrix.report._drawing import draw
from separatrix.runs import attractors
from separatrix.storage import foreign_entries, load_result
from separatrix.work import Moment, Progress

STARTS = sx.starts.box(24, -1.0, 1.0)


class Counted:
    """tanh(2z) in three dimensions, and how many latents went through it."""

    def __init__(self) -> None:
        self.latents = 0
        self.field = sx.LatentField.from_map(self.step, latent_shape=(3,), dtype=torch.float64, name="wells")

    def step(self, z: torch.Tensor) -> torch.Tensor:
        self.latents += len(z)
        return torch.tanh(2 * z)


def test_figures_cost_no_more_than_their_budget(tmp_path):
    alone = Counted()
    limits = sx.find_attractors(alone.field, STARTS)
    drawn = Counted()
    attractors(drawn.field, STARTS, out=tmp_path / "run")
    spent = drawn.latents - alone.latents
    budget = FigureBudget.after([limits])
    assert budget.portrait == max(400, int(0.25 * limits.cost.total))
    # One decoding per drawn attractor, which is a call of the identity here, comes on top.
    assert 0.9 * budget.portrait_side**2 <= spent <= 1.1 * budget.portrait
    assert spent < limits.cost.total


def test_a_cheap_search_is_not_outdone_by_its_figures():
    """8 starts of a large model: the portrait had 8100 points, the search a fifth of that."""
    field = sx.LatentField.from_map(lambda z: 0.9 * z, latent_shape=(3,), dtype=torch.float64)
    limits = sx.find_attractors(field, sx.starts.gaussian(8, seed=0), sx.Protocol(max_steps=200))
    budget = FigureBudget.after([limits])
    assert (budget.portrait, budget.portrait_side) == (400, 20)
    many = FigureBudget.after([limits] * 1000)
    assert many.portrait_side == 90
    assert many.times(4)[-1] == 256
    assert budget.times(4)[-1] == 64


@pytest.mark.parametrize("cost", [0, 1, 1600, 10**7])
@pytest.mark.parametrize("inputs", [1, 4, 300])
def test_a_budget_holds_for_every_figure(cost, inputs):
    field = sx.LatentField.from_map(lambda z: 0.5 * z, latent_shape=(2,), dtype=torch.float64)
    limits = sx.find_attractors(field, sx.starts.gaussian(8, seed=0))
    budget = FigureBudget.after([replace(limits, cost=Cost(map=cost))])
    assert budget.portrait_side**2 <= max(400, cost / 4)
    assert inputs * budget.times(inputs)[-1] <= max(400, cost / 4, inputs)
    assert budget.map_side == 16 or budget.map_side**2 * budget.steps <= max(400, cost)


def test_a_portrait_says_at_how_many_points_and_draws_nothing_between_them():
    field = Counted().field
    limits = sx.find_attractors(field, STARTS)
    for side, by in ((12, "arrows"), (40, "lines")):
        axes = field_portrait(limits, field, resolution=side).axes[0]
        (image,) = axes.images
        assert image.get_interpolation() == "nearest"
        assert image.get_array().shape == (side, side)
        assert f"at {side} × {side} points" in axes.figure.axes[-1].get_ylabel()
        arrows = [artist for artist in axes.collections if artist.get_gid() == "arrows"]
        assert len(arrows) == (by == "arrows")
        assert tuple(image.get_extent()[:2]) == axes.get_xlim()  # whole cells, each with its point in its middle


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no such colour\nmore"), MemoryError()])
def test_a_figure_that_fails_leaves_the_run_complete(tmp_path, monkeypatch, error):
    seen = {}

    def fails(*_, **__):
        seen["limits"] = load_result(tmp_path / "run" / "limits")  # the results are safe before anything is drawn
        seen["summary"] = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
        seen["report"] = (tmp_path / "run" / "report.html").is_file()
        raise error

    monkeypatch.setattr("separatrix.report._figures.field_portrait", fails)
    with pytest.warns(FigureWarning) as warned:
        found = attractors(Counted().field, STARTS, out=tmp_path / "run")
    assert torch.equal(seen["limits"].points, found.limits.points)
    assert seen["summary"] == found.summary
    assert seen["report"]
    (sentence,) = [str(warning.message) for warning in warned]
    assert '"field"' in sentence
    assert sentence.endswith("complete.")
    assert "\n" not in sentence
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Figures that are missing" in page
    pictures = {path.stem for path in (tmp_path / "run").glob("*.png")}
    assert "field" not in pictures
    assert ("shares" in pictures) == (not isinstance(error, KeyboardInterrupt))
    assert foreign_entries(tmp_path / "run") == []


def test_figures_may_be_left_out_and_a_finished_run_may_be_replaced(tmp_path):
    found = attractors(Counted().field, STARTS, out=tmp_path / "run", figures=False)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "report.html", "summary.json", "limits", "answers-model", "manifest.json",
    }  # fmt: skip
    assert "Figures were left out, as asked for." in found.report.read_text(encoding="utf-8")
    attractors(Counted().field, STARTS, out=tmp_path / "run", overwrite=True)
    assert (tmp_path / "run" / "field.png").is_file()
    assert foreign_entries(tmp_path / "run") == []
    attractors(Counted().field, STARTS, out=tmp_path / "run", overwrite=True, figures=False)
    assert not (tmp_path / "run" / "field.png").exists()


def test_what_is_drawn_is_shown_while_it_is_drawn(tmp_path):
    moments: list[Moment] = []

    class Sink:
        def show(self, moment: Moment) -> None:
            moments.append(moment)

        def close(self) -> None: ...

    attractors(Counted().field, STARTS, out=tmp_path / "run", progress=Progress(Sink()))
    drawing = [moment for moment in moments if "drawing the figures" in moment.stages]
    assert {"field", "shares", "steps", "spectrum"} <= {stage for moment in drawing for stage in moment.stages}
    points = [moment.done for moment in drawing if moment.stages[-1] == "evaluating the field"]
    assert points == sorted(points)
    assert len(points) > 3


def test_after_an_interruption_nothing_more_is_drawn():
    def interrupted(_):
        raise KeyboardInterrupt

    drawn = draw({"a": lambda _: 1, "b": interrupted, "c": lambda _: 3})
    assert drawn.figures == {"a": 1}
    assert drawn.missing == (
        'Drawing was interrupted, so these figures are missing: "b", "c"; the results are complete.',
    )
