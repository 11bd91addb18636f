"""Only what separatrix wrote is ever replaced: whatever else is in a folder survives every writer, byte for byte."""

from __future__ import annotations

import json
import os
import shutil

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import separatrix as sx
from separatrix import ood
from separatrix.errors import FileError
from separatrix.runs import attractors
from separatrix.storage import MANIFEST, foreign_entries, new_folder, reserve
from separatrix.storage._manifest import kind_of

DEMO = "separatrix demo"
some = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def writers():
    """Each writes a folder, with what another one may have left there replaced if it may."""
    field = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=2, name="wells")
    limits = sx.find_attractors(field, sx.starts.gaussian(20))
    detector = ood.KNNDetector(field).fit_features(torch.randn(60, 2))

    def run(path):
        with pytest.MonkeyPatch.context() as patch:  # what is found does not matter here, and takes time
            patch.setattr("separatrix.runs._attractors.find_attractors", lambda *_, **__: limits)
            attractors(field, sx.starts.gaussian(20), out=path, overwrite=True, figures=False)

    def demo(path):
        with new_folder(path, kind=DEMO, overwrite=True) as folder:
            (folder / "report.html").write_text("a page")

    return {
        "result": lambda path: sx.save_result(limits, path, overwrite=True),
        "detector": lambda path: detector.save(path, overwrite=True),
        "run": run,
        "demo": demo,
    }


def files(folder):
    """Path in the folder → bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


NAMES = st.sampled_from(
    [
        "mine.txt",
        "a.png",
        "report.html",
        "summary.json",
        "result.json",
        "tensors.safetensors",
        "detector.json",
        "model.safetensors",
        "limits",
        "deep",
        "manifest.json",
        "manifest.json.bak",
        ".hidden",
        "ä",
        "=1+1",
    ]
)
CONTENT = st.sampled_from(
    [
        b"",
        b"mine",
        b"{}",
        b"[]",
        b'{"kind": "separatrix"}',
        b'{"kind": 3, "files": ["mine.txt"]}',
        b'{"written_by": "me", "kind": "web app", "files": ["mine.txt"]}',
    ]
)
TREES = st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map("/".join), CONTENT, min_size=1, max_size=6)


def grown(folder, wanted):
    """Write as many of these files as can be there beside each other and what is there; returns them."""
    made = {}
    for name, content in wanted.items():
        path = folder / name
        if os.path.lexists(path) or any(parent.is_file() for parent in path.parents):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        made[name] = content
    return made


@some
@given(wanted=TREES, writer=st.sampled_from(["result", "detector", "run", "demo"]), data=st.data())
def test_every_foreign_file_survives_every_writer(writers, tmp_path, wanted, writer, data):
    place = tmp_path / "place"
    shutil.rmtree(place, ignore_errors=True)
    earlier = data.draw(st.sampled_from([None, "result", "detector", "run", "demo"]))
    if earlier is not None:
        writers[earlier](place)
    ours = files(place) if earlier else {}
    place.mkdir(exist_ok=True)
    foreign = grown(place, wanted)
    before = files(place)
    try:
        writers[writer](place)
    except FileError as error:
        assert files(place) == before, error  # noqa: PT017
    after = files(place)
    assert {name: after.get(name) for name in foreign} == foreign
    if foreign:
        assert {name: after.get(name) for name in ours} == ours  # and the earlier run with it
    assert os.listdir(tmp_path) == ["place"]


@pytest.mark.parametrize("earlier", ["result", "detector", "run", "demo"])
@pytest.mark.parametrize("writer", ["result", "detector", "run", "demo"])
@pytest.mark.parametrize("manifest", [True, False], ids=["with its manifest", "from before manifests"])
def test_a_folder_is_replaced_by_one_of_its_kind_only(writers, tmp_path, earlier, writer, manifest):
    writers[earlier](tmp_path / "place")
    if not manifest:
        for path in tmp_path.rglob(MANIFEST):
            path.unlink()
        shutil.rmtree(tmp_path / "place" / "answers-model", ignore_errors=True)  # which no run had then
        if earlier == "demo":
            (tmp_path / "place" / "summary.json").write_text(json.dumps({"kind": DEMO}))
    before = files(tmp_path / "place")
    if earlier == writer:
        writers[writer](tmp_path / "place")
        assert (tmp_path / "place" / MANIFEST).exists()
    else:
        with pytest.raises(FileError, match="of this kind"):
            writers[writer](tmp_path / "place")
        assert files(tmp_path / "place") == before
    assert os.listdir(tmp_path) == ["place"]


def test_what_is_foreign_is_named(writers, tmp_path):
    writers["result"](tmp_path / "r")
    (tmp_path / "r" / "mine.txt").write_text("mine")
    with pytest.raises(FileError, match=r"nothing else \(it holds mine.txt\), so it is not replaced; choose another"):
        writers["result"](tmp_path / "r")
    (tmp_path / "photos" / "empty").mkdir(parents=True)
    for name in ("a", "b", "c", "d", "e"):
        (tmp_path / "photos" / f"{name}.png").write_bytes(b"")
    with pytest.raises(FileError, match=r"is not an earlier run .* holds a.png, b.png, c.png and 3 more\)"):
        writers["detector"](tmp_path / "photos")


@pytest.mark.parametrize("files_said", [["../thesis.txt", "/etc/hosts", "result.json"], "thesis.txt", [3], None])
def test_a_manifest_removes_nothing_outside_its_folder(writers, tmp_path, files_said):
    (tmp_path / "thesis.txt").write_text("mine")
    writers["result"](tmp_path / "r")
    record = json.loads((tmp_path / "r" / MANIFEST).read_text())
    (tmp_path / "r" / MANIFEST).write_text(json.dumps({**record, "files": files_said}))
    with pytest.raises(FileError):
        writers["result"](tmp_path / "r")
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_an_empty_folder_may_be_replaced(writers, tmp_path):
    (tmp_path / "r").mkdir()
    writers["result"](tmp_path / "r")
    assert kind_of(tmp_path / "r") == "separatrix result"
    assert foreign_entries(tmp_path / "r") == []


@pytest.mark.parametrize("source", ["place/data.npy", "place", "place/data.npz#x", "place/model.py:load"])
def test_what_is_read_is_never_replaced(tmp_path, source, monkeypatch):
    with new_folder(tmp_path / "place", kind="separatrix test") as folder:  # so all of this is ours to replace
        for name in ("data.npy", "data.npz", "model.py"):
            (folder / name).write_text("read")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("place")
    for target, read in (("place", source), ("link", source), ("place", source.replace("place", "link"))):
        said = pytest.raises(FileError, match="is read here; choose another place")
        with said, reserve(target, kind="separatrix test", overwrite=True, reads=(None, "taef2", read)):
            pytest.fail("began in vain")
    with reserve("other", kind="separatrix test", reads=(source,)):
        pass
