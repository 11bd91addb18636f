"""The demo end to end, with less work: files, numbers that agree, the same for the same seed."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from separatrix.errors import FileError
from separatrix.limitsets._join import join_searches
from separatrix.models import load
from separatrix.runs import demo as run_demo
from separatrix.storage import load_result
from separatrix.work import Progress

SINK = Mock()  # sees the progress of the run


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """One quick run, and what the process looked like before and after."""
    torch.manual_seed(123)
    before = (torch.get_rng_state(), torch.get_num_threads())
    SINK.reset_mock()
    result = run_demo(tmp_path_factory.mktemp("demo") / "run", quick=True, progress=Progress(SINK))
    return result, before, (torch.get_rng_state(), torch.get_num_threads())


def test_one_line_of_progress_over_both_models(demo):
    moments = [call.args[0] for call in SINK.show.call_args_list]
    SINK.close.assert_called_once_with()
    assert {moment.stages[0] for moment in moments} == {"demo"}
    shares = [moment.fraction for moment in moments]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert {"training", "following orbits"} <= {name for moment in moments for name in moment.stages}


def test_the_run_directory_is_complete(demo):
    folder = demo[0].folder
    assert {entry.name for entry in folder.iterdir()} == {
        "manifest.json",
        "report.html",
        "explorer.html",
        "summary.json",
        "k2",
        "k16-ten-digits",
        "answers-k2",
        "answers-k16-ten-digits",
    }
    figures = {f"{name}.png" for name in ("film", "field", "nulls", "attractors", "shares", "steps", "spectrum")}
    common = {"model.safetensors", "from-digits", "from-noise", "errors", "resemblance", "sensitivity"} | figures
    assert {entry.name for entry in (folder / "k2").iterdir()} == common | {"grid", "basins.png", "scene"}
    assert {entry.name for entry in (folder / "k16-ten-digits").iterdir()} == common
    assert [entry.name for entry in folder.parent.iterdir()] == [folder.name]


def test_summary_result_and_files_agree(demo):
    result = demo[0]
    summary = json.loads((result.folder / "summary.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in summary["models"]] == ["k2", "k16-ten-digits"]
    for row, model in zip(summary["models"], result.models, strict=True):
        searches = [load_result(result.folder / model.name / name) for name in ("from-digits", "from-noise")]
        assert row["attractors"] == model.attractors == len(join_searches(searches).attractors)
        assert [model.attractors_from_digits, model.attractors_from_noise] == [len(x.attractors) for x in searches]
        assert model.evaluations == sum(limits.cost.map for limits in searches)
        assert 0 < model.train_error < 0.1
    assert result.models[1].train_images == 10
    assert summary["verdict"] == result.verdict


def test_saved_models_have_the_saved_attractors(demo):
    folder = demo[0].folder / "k16-ten-digits"
    field = load(folder / "model.safetensors").to(dtype=torch.float64)
    points = load_result(folder / "from-digits").attractors.points
    assert len(points)
    assert float(field.velocity(points).norm(dim=1).max()) < 1e-10


def test_the_model_of_ten_digits_is_the_one_that_remembers(demo):
    few, *_ = [model for model in demo[0].models if model.train_images == 10]
    assert few.closest > few.unseen + 0.05
    assert few.closer_than_unseen > 0
    assert all(model.closer_than_unseen == 0 for model in demo[0].models if model is not few)


def test_the_page_shows_all_of_it(demo):
    text = (demo[0].folder / "report.html").read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") > 40
    assert "http://" not in text
    assert "https://" not in text
    for words in (
        "What would change this verdict",
        "Protocol and provenance",
        "pure noise",
        "map evaluations",
    ):
        assert words in text


def test_threads_and_random_state_are_put_back(demo):
    _, before, after = demo
    assert torch.equal(before[0], after[0])
    assert before[1] == after[1]


def test_an_occupied_place_is_not_touched(demo, tmp_path):
    with pytest.raises(FileError, match=r"holds a run of something else \(it differs in options\.seed\)"):
        run_demo(demo[0].folder, quick=True, seed=1, progress=False)
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter.tex").write_text("years of work")
    with pytest.raises(FileError, match="not an earlier run"):
        run_demo(precious, quick=True, overwrite=True, progress=False)
    assert (precious / "chapter.tex").read_text() == "years of work"


def test_the_same_seed_gives_the_same_summary(demo, tmp_path: Path):
    again = run_demo(tmp_path / "again", quick=True, progress=False)
    files = [demo[0].folder / "summary.json", again.folder / "summary.json"]
    assert files[0].read_bytes() == files[1].read_bytes()
    pictures = [result.folder / "k2" / "field.png" for result in (demo[0], again)]
    assert pictures[0].read_bytes() == pictures[1].read_bytes()
