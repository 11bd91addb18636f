"""The whole way as a function: what is found, what is written, and what is refused before it costs anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from separatrix import starts
from separatrix.errors import FieldError, InputError
from separatrix.field import LatentField
from separatrix.limitsets import find_attractors
from separatrix.runs import attractors
from separatrix.runs._summary import set_rows, status_rows

DTYPE = torch.float64


@pytest.fixture
def wells() -> LatentField:
    return LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(1,), dtype=DTYPE)


def test_it_finds_what_the_search_finds_and_writes_nothing_unless_told_to(wells, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = starts.box(40, -1.0, 1.0)
    found = attractors(wells, source)
    alone = find_attractors(wells, source)
    assert torch.equal(found.limits.points, alone.points)
    assert torch.equal(found.limits.labels, alone.labels)
    assert found.summary["sets"] == set_rows(alone)
    assert found.summary["statuses"] == status_rows(alone)
    assert (found.folder, found.report) == (None, None)
    assert list(tmp_path.iterdir()) == []


def test_a_latent_space_of_one_dimension_has_a_report_too(wells, tmp_path):
    found = attractors(wells, starts.box(40, -1.0, 1.0), out=tmp_path / "run")
    assert found.report == tmp_path / "run" / "report.html"
    assert found.report.is_file()
    assert json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8")) == found.summary


def test_set_rows_of_a_cycle(wells):
    field = LatentField.from_map(lambda z: -torch.tanh(2 * z), latent_shape=(1,), dtype=DTYPE)
    (row,) = set_rows(find_attractors(field, starts.box(10, 0.1, 1.0)))
    assert (row["kind"], row["period"], row["stable"], row["hits"], row["share"]) == ("cycle", 2, True, 10, 1.0)
    assert row["spectral_radius"] == pytest.approx(0.02768, abs=1e-5)
    assert row["share_low"] == pytest.approx(0.025**0.1, abs=1e-12)  # exact: all 10 of 10
    assert row["steps_median"] <= row["steps_p95"]


def test_training_images_are_judged_and_shown(tmp_path):
    images = torch.rand(6, 1, 2, 2, generator=torch.Generator().manual_seed(1), dtype=DTYPE)
    memory = images.flatten(1)

    def recall(x: torch.Tensor) -> torch.Tensor:
        """Steps nine tenths of the way to the nearest stored image: each is an attractor."""
        z = x.flatten(1)
        return z + 0.9 * (memory.to(z)[torch.cdist(z, memory.to(z)).argmin(dim=1)] - z)

    field = LatentField(recall, lambda z: z.reshape(-1, 1, 2, 2), latent_shape=4, dtype=DTYPE, name="memory")
    unseen = torch.rand(300, 1, 2, 2, generator=torch.Generator().manual_seed(2), dtype=DTYPE)
    found = attractors(field, starts.encoded(unseen), train=images, held_out=unseen[:200], out=tmp_path / "run")
    assert found.summary["attractors"] == 6
    assert found.summary["resemblance"]["outcome"] == "evidence of memorization"
    assert sorted(row["nearest"] for row in found.summary["resemblance"]["attractors"]) == list(range(6))
    assert {"nulls.png", "film.png", "attractors.png"} <= {path.name for path in (tmp_path / "run").iterdir()}


def test_held_out_images_need_training_images(wells):
    with pytest.raises(InputError, match="give train too"):
        attractors(wells, starts.box(10, -1.0, 1.0), held_out=torch.zeros(3, 1))


def test_a_failed_search_leaves_no_folder_not_even_its_parents(tmp_path):
    field = LatentField.from_map(lambda z: z + torch.rand_like(z), latent_shape=2)
    with pytest.raises(FieldError):
        attractors(field, starts.gaussian(10), out=tmp_path / "a" / "b" / "run")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "kept").mkdir()
    with pytest.raises(FieldError):
        attractors(field, starts.gaussian(10), out=tmp_path / "kept" / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_folder_that_somebody_uses_meanwhile_stays(tmp_path):
    def function(z: torch.Tensor) -> torch.Tensor:
        if len(z) > 6:  # not while the model is looked at
            Path(tmp_path / "runs" / "other").mkdir(exist_ok=True)
            raise ZeroDivisionError
        return z / 2

    with pytest.raises(ZeroDivisionError):
        attractors(LatentField.from_map(function, latent_shape=2), starts.gaussian(10), out=tmp_path / "runs" / "run")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["other"]
