"""One search, told in every output: the same counts with the same words wherever starts are counted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import every_fate
import separatrix as sx
from separatrix.cli._app import app
from separatrix.errors import ConvergenceWarning
from separatrix.limitsets import LimitSets
from separatrix.limitsets._basins import shares_without_set
from separatrix.limitsets._triviality import Dominance
from separatrix.plots import basin_shares
from separatrix.report._results import ModelResults
from separatrix.report._several_models import several_models_page
from separatrix.report._write import rendered
from separatrix.runs._demo_summary import FROM_DIGITS, FROM_NOISE, row_of
from separatrix.studies._memorization.sources import sources
from separatrix.studies._probing import appearance, data_free_dictionaries
from separatrix.studies._resemblance import resemblance
from separatrix.words import Statement

FATES, MODEL = every_fate.FATES, f"{every_fate.__file__}:make"
ELSEWHERE = FATES.words.partition(", ")[2]


@pytest.fixture(scope="module")
def limits() -> LimitSets:
    with pytest.warns(ConvergenceWarning):
        return sx.find_attractors(
            every_fate.make(),
            sx.starts.encoded(torch.from_numpy(every_fate.images())),
            sx.Protocol(max_steps=every_fate.MAX_STEPS),
        )


@pytest.fixture
def program(limits, tmp_path, monkeypatch):
    """The program, whose every search is the one above."""
    np.save(tmp_path / "images.npy", every_fate.images())
    monkeypatch.chdir(tmp_path)
    for place in ("runs._attractors", "runs._data_free", "runs._probe", "studies._memorization.audit"):
        monkeypatch.setattr(f"separatrix.{place}.find_attractors", lambda *_, **__: limits)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code in (0, 2), result.output
        return " ".join(result.stdout.split())

    return run


def test_the_search_finds_what_the_map_has(limits):
    assert limits.fates == FATES
    assert FATES.words in repr(limits)
    assert "14 of 28 starts reached an attractor" in repr(limits.attractors)
    assert FATES.moving + FATES.diverged + FATES.nonfinite == int((limits.labels < 0).sum())
    assert sx.basins(limits).unresolved == pytest.approx(sum(shares_without_set(limits).values()))


def test_terminal_json_summary_and_report(program):
    starts = ("attractors", MODEL, "--data", "images.npy", "--out")
    assert f"What became of the starts: {FATES.sentence}" in program(*starts, "first")
    document = json.loads(program(*starts, "second", "--json"))
    written = json.loads(Path("second/summary.json").read_text(encoding="utf-8"))
    assert document["fates"] == written["fates"] == FATES.to_dict()
    assert sum(row["count"] for row in written["statuses"]) == FATES.starts
    assert {row["fate"]: 0 for row in written["statuses"]}.keys() == {fate.short for fate in FATES.counts}
    assert FATES.words in " ".join(Path("second/report.html").read_text(encoding="utf-8").split())


def test_probe(program):
    assert FATES.words in program("probe", MODEL, "--noise", "28", "--out", "first")
    document = json.loads(program("probe", MODEL, "--noise", "28", "--out", "second", "--json"))
    assert FATES.sentence in " ".join(Path("first/report.html").read_text(encoding="utf-8").split())
    assert document["fates"] == FATES.to_dict()
    assert f"Of the starts {ELSEWHERE}" in " ".join(document["appearance"]["cannot"])


def test_audit(program):
    data = ("--train", "images.npy", "--held-out", "images.npy", "--out", "here")
    assert FATES.words in program("audit", MODEL, *data)
    assert FATES.words in Path("here/report.html").read_text(encoding="utf-8")
    assert json.loads(Path("here/summary.json").read_text(encoding="utf-8"))["fates"] == FATES.to_dict()


def test_studies_and_detectors(limits):
    field, images = every_fate.make(), torch.from_numpy(every_fate.images())
    assert {row.fates for row in sources({"train": limits}).values()} == {FATES}
    base = data_free_dictionaries(field, limits, starts=sx.starts.gaussian(28), untrained=False)
    assert ELSEWHERE in base.dictionaries[0].words
    assert ELSEWHERE in " ".join(appearance(field, limits, starts=sx.starts.gaussian(28)).cannot)
    detector = sx.TrajectoryDetector(field, attractors=limits, self_check=False)
    assert FATES.words in " ".join(detector.fit(images, images + 1e-3).notes)
    quiet = replace(limits, stable=limits.stable.clamp(max=0))
    assert "28 starts reached an attractor" not in str(resemblance(field, quiet, images, images).statement)


def test_pages_figures_and_the_demo(limits):
    field, images = every_fate.make(), torch.from_numpy(every_fate.images())
    results = ModelResults(
        title="every fate",
        subtitle="",
        latent_field=field,
        searches={FROM_DIGITS: limits, FROM_NOISE: limits},
        together=limits,
        train=images,
        resemblance=resemblance(field, limits, images, images),
    )
    assert row_of("k4", 4, (0.0, 0.0), results).fates == FATES
    page = several_models_page(
        "Several", Statement("", "", Dominance.TRIVIAL), [results], [{}], inputs={"one": images[0]}
    )
    assert FATES.words in rendered(page)
    bars = {tick.get_text() for tick in basin_shares({"data": limits}).axes[0].get_yticklabels()}
    assert {"still moving", "diverged", "not finite"} <= bars
    assert "unresolved" not in bars
