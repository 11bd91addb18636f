"""One row per start, of a result and of a run: what pandas reads is what the result holds."""

from __future__ import annotations

import json

import pytest
import torch

pytest.importorskip("pyarrow")

import separatrix as sx
from separatrix import runs
from separatrix.errors import ConvergenceWarning, FileError, InputError
from separatrix.orbits import Status
from separatrix.runs._starts_table import TABLE, starts_columns

FIELD = sx.LatentField.from_map(lambda z: torch.where(z > 3, 2 * z, torch.tanh(2 * z)), latent_shape=(2,), name="wells")
STARTS = sx.starts.box(40, -1.0, 4.0, seed=0)


@pytest.fixture(scope="module")
def limits():
    with pytest.warns(ConvergenceWarning):
        return sx.find_attractors(FIELD, STARTS)


def searched(folder, **options):
    """A run in which some orbits diverge."""
    with pytest.warns(ConvergenceWarning):
        return runs.attractors(FIELD, STARTS, out=folder, figures=False, **options)


def holds(read, result):
    for column in starts_columns(result):
        values = read[column.name]
        assert values.dtype == column.values.dtype
        assert torch.equal(values.nan_to_num(nan=-7.0), column.values.nan_to_num(nan=-7.0))


def test_a_result(tmp_path, bucket, limits):
    for where in (tmp_path / "table", f"{bucket}/table"):
        runs.write_starts(limits, where)
        read = runs.read_starts(where)
        holds(read, limits)
        assert torch.equal(read["start"], torch.arange(40))
        assert torch.equal(read["label"], limits.labels)
        assert list(runs.read_starts(where, ["residual", "label"])) == ["residual", "label"]
        with pytest.raises(FileError, match="already exists"):
            runs.write_starts(limits[:1], where)
        runs.write_starts(limits.orbits, where, overwrite=True)
        holds(runs.read_starts(where), limits.orbits)
        with pytest.raises(InputError, match="no column 'label'"):
            runs.read_starts(where, ["label"])
    from safetensors.torch import load_file

    assert torch.equal(load_file(tmp_path / "table" / "points.safetensors")["points"], limits.orbits.points)


def test_every_status_has_its_word():
    assert [int(status) for status in sorted(Status)] == list(range(len(Status)))


def test_a_run(tmp_path, limits):
    pandas = pytest.importorskip("pandas")
    import pyarrow.parquet

    made = searched(tmp_path / "run")
    with pytest.raises(FileError, match=r"no orbits.parquet in .*run; .* separatrix report RUN --format parquet"):
        runs.read_starts(tmp_path / "run")
    path = runs.add_starts(tmp_path / "run")
    assert path == tmp_path / "run" / TABLE
    holds(runs.read_starts(tmp_path / "run"), made.limits)
    frame = pandas.read_parquet(path)
    expected = {status.name.lower(): count for status, count in made.limits.orbits.counts.items()}
    assert frame["status"].astype(str).value_counts().to_dict() == expected
    assert frame.groupby("label").size()[-1] == int((made.limits.labels < 0).sum()) > 0
    facts = json.loads(pyarrow.parquet.read_schema(path).metadata[b"separatrix"])
    record = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert facts["stage_sha256"] == record["stages"]["limits"]
    assert TABLE in record["files"]
    first = path.read_bytes()
    runs.add_starts(tmp_path / "run")
    runs.report(tmp_path / "run", figures=False)
    assert path.read_bytes() == first
    searched(tmp_path / "run", overwrite=True)  # it is the run's own, and goes with it


def test_a_run_that_has_none(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("separatrix.runs._attractors.write_views", interrupted)
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "run")
    with pytest.raises(FileError, match="was stopped; run the same command again"):
        runs.add_starts(tmp_path / "run")
    assert not (tmp_path / "run" / TABLE).exists()
