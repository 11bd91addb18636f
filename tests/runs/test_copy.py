"""A finished run goes to an object store and comes back as it was; what is not finished, or is made there, is one sentence."""

from __future__ import annotations

import pytest
import torch

import separatrix as sx
from separatrix import runs
from separatrix.errors import FileError, InputError, SeparatrixError
from separatrix.storage import new_file, new_folder

FIELD = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(2,), name="wells")


def search(out, count=24):
    return runs.attractors(FIELD, sx.starts.box(count, -1.0, 1.0, seed=0), out=out, figures=False)


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_there_and_back(tmp_path, bucket):
    found = search(tmp_path / "run")
    runs.copy(tmp_path / "run", f"{bucket}/run")
    assert torch.equal(sx.load_result(f"{bucket}/run/limits").labels, found.limits.labels)
    runs.copy(f"{bucket}/run", tmp_path / "back")
    assert tree(tmp_path / "back") == tree(tmp_path / "run")
    runs.report(tmp_path / "back", figures=False)
    assert tree(tmp_path / "back") == tree(tmp_path / "run")


def test_another_run_is_replaced_on_request_only(tmp_path, bucket):
    for name, count in (("one", 8), ("two", 9)):
        search(tmp_path / name, count)
    runs.copy(tmp_path / "one", f"{bucket}/run")
    with pytest.raises(FileError, match="already exists"):
        runs.copy(tmp_path / "two", f"{bucket}/run")
    runs.copy(tmp_path / "two", f"{bucket}/run", overwrite=True)
    with pytest.raises(FileError, match="already exists"):
        runs.copy(f"{bucket}/run", tmp_path / "one")
    runs.copy(f"{bucket}/run", tmp_path / "one", overwrite=True)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_what_is_not_finished_is_not_copied(tmp_path, bucket, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("separatrix.runs._attractors.write_views", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "run")
    with pytest.raises(FileError, match="was stopped; run the same command again"):
        runs.copy(tmp_path / "run", f"{bucket}/run")
    with pytest.raises(FileError, match="holds no complete copy of a run"):
        runs.copy(f"{bucket}/run", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_one_of_the_two_is_an_object_store(tmp_path):
    for source, target in ((tmp_path / "a", tmp_path / "b"), ("s3://a/b", "s3://c/d")):
        with pytest.raises(InputError, match="One of the two places must be in an object store"):
            runs.copy(source, target)


@pytest.mark.parametrize(
    "door",
    [
        lambda url: search(url),
        lambda url: new_folder(url, kind="separatrix test").__enter__(),
        lambda url: new_file(url).__enter__(),
        lambda url: runs.report(url),
        lambda url: sx.find_attractors(FIELD, sx.starts.box(8, -1.0, 1.0, seed=0), checkpoint=url),
    ],
    ids=["run", "folder", "file", "report", "checkpoint"],
)
def test_nothing_is_made_there(door, tmp_path, monkeypatch):
    """Nor in a folder called 's3:'."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SeparatrixError, match=r"s3://bucket/run is in an object store.*: separatrix copy"):
        door("s3://bucket/run")
    assert list(tmp_path.iterdir()) == []
