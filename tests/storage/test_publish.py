"""Results and folders in another place: what comes back is what was there, and what was half copied is nothing."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext

import pytest
import torch

import separatrix as sx
from killing import killed_at
from separatrix.errors import FileError
from separatrix.storage import fetch, new_folder, place_of, publish

KIND = "separatrix test"


@pytest.fixture(scope="module")
def limits():
    field = sx.LatentField.from_map(lambda z: z.mul(2).tanh(), latent_shape=(1,))
    return sx.find_attractors(field, sx.starts.box(40, -1.0, 1.0, seed=0))


def made(folder, content, names=("deep/a.txt", "b.json")):
    with new_folder(folder, kind=KIND, overwrite=True) as building:
        for name in names:
            (building / name).parent.mkdir(exist_ok=True)
            (building / name).write_text(content)
    return folder


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path):
    where = str(tmp_path / "place") if request.param == "folder" else f"{request.getfixturevalue('bucket')}/place"
    return place_of(where)


def test_a_result_in_a_bucket(bucket, limits):
    where = f"{bucket}/run/limits"
    with pytest.raises(FileError, match=rf"{where} holds no saved result \(result.json is missing\); check the path"):
        sx.load_result(where)
    saved = sx.save_result(limits, where)
    for path in (where, saved):
        loaded = sx.load_result(path)
        assert torch.equal(loaded.labels, limits.labels)
        assert torch.equal(loaded.orbits.points, limits.orbits.points)
    with pytest.raises(FileError, match=rf"{where} already exists; choose another place, or pass overwrite=True"):
        sx.save_result(limits[:1], where)
    sx.save_result(limits[:1], where, overwrite=True)
    assert len(sx.load_result(where)) == 1
    with pytest.raises(FileError, match=rf"it is a folder of results, load {where}\."):
        sx.load_result(f"{bucket}/run")
    place_of(where).write("tensors.safetensors", b"damaged")
    with pytest.raises(FileError, match=rf"{where}/tensors.safetensors does not match its checksum"):
        sx.load_result(where)


def test_there_and_back(tmp_path, place):
    original = made(tmp_path / "original", "1")
    (original / "foreign.txt").write_text("not ours, not copied")
    publish(original, place)
    publish(original, place)
    fetch(place, tmp_path / "back")
    assert tree(tmp_path / "back") == {
        name: content for name, content in tree(original).items() if name != "foreign.txt"
    }


def test_what_is_the_same_is_not_copied_again(tmp_path, bucket, server):
    original, place = made(tmp_path / "original", "1"), place_of(bucket)
    publish(original, place)
    server.asked.clear()
    publish(original, place)
    assert not [path for method, path in server.asked if method in ("PUT", "POST", "DELETE")]
    place.remove("b.json")
    publish(original, place, overwrite=True)
    assert place.read("b.json") == b"1"


def test_another_one_is_replaced_on_request_only(tmp_path, place):
    publish(made(tmp_path / "one", "1", ("a", "only-in-one")), place)
    with pytest.raises(FileError, match="already exists; choose another place, or pass overwrite=True"):
        publish(made(tmp_path / "two", "2"), place)
    publish(tmp_path / "two", place, overwrite=True)
    fetch(place, tmp_path / "back")
    assert tree(tmp_path / "back") == tree(tmp_path / "two")
    assert "only-in-one" not in place.list()
    place.write("notes.txt", b"mine")
    with pytest.raises(FileError, match=r"holds something else \(notes.txt\), which is not replaced"):
        publish(tmp_path / "one", place, overwrite=True)
    with new_folder(tmp_path / "other", kind="separatrix other"):
        pass
    place.remove("notes.txt")
    with pytest.raises(FileError, match="already exists"):
        publish(tmp_path / "other", place, overwrite=True)


@pytest.mark.parametrize("content", [b"{}", b'{"files": 3}', b"[]"])
def test_a_manifest_that_is_not_ours_stays(tmp_path, content):
    place = place_of(tmp_path / "place")
    place.write("manifest.json", content)
    with pytest.raises(FileError, match="holds something else"):
        publish(made(tmp_path / "one", "1"), place, overwrite=True)
    assert place.read("manifest.json") == content


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_copy_that_was_killed_is_none_and_is_completed(tmp_path, overwrite):
    """At every step on the disk."""
    old, new = made(tmp_path / "old", "old", ("a", "deep/b")), made(tmp_path / "new", "new")
    for step in range(200):
        place = place_of(tmp_path / f"place-{step}")
        if overwrite:
            publish(old, place)
        killed = killed_at(step, lambda place=place: publish(new, place, overwrite=overwrite))
        complete = "sha256" in json.loads(place.read("manifest.json")) if place.exists("manifest.json") else False
        with nullcontext() if complete else pytest.raises(FileError, match="holds no complete copy"):
            fetch(place, tmp_path / f"back-{step}")
            assert tree(tmp_path / f"back-{step}") in (tree(old), tree(new))
        publish(new, place, overwrite=overwrite)
        fetch(place, tmp_path / f"again-{step}")
        assert tree(tmp_path / f"again-{step}") == tree(new)
        if not killed:
            assert step > 10
            return
    raise AssertionError("two hundred steps for two files")


def test_a_mixture_of_two_copies_is_recognised(tmp_path, place):
    """The other one wrote its files after ours and was killed before its manifest."""
    publish(made(tmp_path / "one", "1"), place)
    place.write("deep/a.txt", b"2")
    with pytest.raises(FileError, match=r"deep/a.txt is not what was copied there; copy the original there again"):
        fetch(place, tmp_path / "back")
    place.remove("deep/a.txt")
    with pytest.raises(FileError, match=r"deep/a.txt is missing; copy the original there again"):
        fetch(place, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_names_in_a_manifest_do_not_lead_out_of_the_folder(tmp_path):
    place = place_of(tmp_path / "place")
    publish(made(tmp_path / "one", "1"), place)
    record = json.loads(place.read("manifest.json"))
    record["sha256"] = {"../../evil.txt": record["sha256"]["b.json"]}
    place.write("manifest.json", json.dumps(record).encode())
    with pytest.raises(FileError, match="is damaged"):
        fetch(place, tmp_path / "deep" / "back")
    assert not os.path.lexists(tmp_path / "evil.txt")
