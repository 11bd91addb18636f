"""A place, in a folder and in an object store: files are whole, exactly one gets what is created exclusively, troubles are sentences."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from killing import killed_at
from separatrix.errors import FileError, InputError
from separatrix.storage import place_of

NAMES = st.lists(
    st.text("abcXYZ019 ._-+=#%&?ä[]*'", min_size=1, max_size=8).filter(lambda part: part.strip(".")),
    min_size=1,
    max_size=3,
).map("/".join)
CONTENTS = st.binary(max_size=300)


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path):
    if request.param == "folder":
        return place_of(tmp_path / "place")
    return place_of(request.getfixturevalue("bucket")) / "place"


@contextmanager
def places():
    """One of each kind, empty."""
    with tempfile.TemporaryDirectory() as folder:
        yield place_of(folder), place_of(f"memory://{folder}")


def test_what_is_written_is_read(place):
    assert (place.list(), place.list("parts"), place.exists("parts/1")) == ([], [], False)
    with pytest.raises(FileNotFoundError):
        place.read("parts/1")
    place.write("parts/1", b"one")
    place.write("parts/2", memoryview(b""))
    (place / "parts").write("1", b"another one")
    place.write("partsan", b"no part")
    assert (place.read("parts/1"), place.read("parts/2")) == (b"another one", b"")
    assert place.list() == ["parts/1", "parts/2", "partsan"]
    assert place.list("parts") == ["parts/1", "parts/2"]
    assert (place / "parts").list() == ["1", "2"]
    assert (place.exists("parts/1"), place.exists("parts"), place.exists("parts/3")) == (True, False, False)
    place.remove("parts/1")
    place.remove("parts/1")
    place.remove("never/there")
    assert place.list() == ["parts/2", "partsan"]


def test_files_larger_than_memory_go_through_as_files(place, tmp_path):
    (tmp_path / "source").write_bytes(bytes(range(256)) * 40_000)
    place.put("deep/large", tmp_path / "source")
    place.get("deep/large", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "source").read_bytes() == place.read("deep/large")
    with pytest.raises(FileNotFoundError):
        place.get("deep/none", tmp_path / "copy")


def test_what_is_there_is_not_created_again(place):
    assert place.create_exclusive("claims/1", b"mine")
    assert not place.create_exclusive("claims/1", b"yours")
    assert place.read("claims/1") == b"mine"
    place.remove("claims/1")
    assert place.create_exclusive("claims/1", b"yours")
    assert place.list() == ["claims/1"]


def test_other_processes_see_what_is_new(place):
    """Also one that has looked before: nothing is remembered."""
    watching = pickle.loads(pickle.dumps(place))
    assert (watching.list(), watching.exists("a")) == ([], False)
    place.write("a", b"1")
    assert (watching.list(), watching.exists("a"), watching.read("a")) == (["a"], True, b"1")
    place.remove("a")
    assert (watching.list(), watching.exists("a")) == ([], False)


@given(st.dictionaries(NAMES, CONTENTS, max_size=5), st.lists(st.tuples(NAMES, CONTENTS), max_size=5))
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_a_place_is_a_mapping(first, then):
    """Of names to contents; a name that is a file is no folder."""
    with places() as both:
        for place in both:
            expected = {}
            for name, content in [*first.items(), *then]:
                taken = any(old.startswith(f"{name}/") or name.startswith(f"{old}/") for old in expected)
                if not taken:
                    place.write(name, content)
                    expected[name] = content
            assert {name: place.read(name) for name in place.list()} == expected
            for name in list(expected)[::2]:
                assert not place.create_exclusive(name, b"other")
                place.remove(name)
                del expected[name]
            assert place.list() == sorted(expected)


@given(st.dictionaries(NAMES, CONTENTS, min_size=1, max_size=3))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_names_of_any_letters_in_a_bucket(bucket, files):
    place = place_of(bucket) / "names"
    files = {name: content for name, content in files.items() if not any(o.startswith(f"{name}/") for o in files)}
    for name, content in files.items():
        place.write(name, content)
    assert {name: place.read(name) for name in place.list()} == files
    for name in files:
        place.remove(name)
    assert place.list() == []


def test_a_name_does_not_lead_out_of_the_place(place):
    for name in (
        "",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a//b",
        "./a",
        "a/",
        "a\\b",
        "a\0b",
        ".on-its-way",
        "a/.on-its-way-1",
    ):
        with pytest.raises(InputError, match="is no name of a file in a place; give a relative one"):
            place.write(name, b"")


def test_a_killed_writer_leaves_what_was_there_or_the_new(tmp_path):
    """At every step on the disk, for a file that is new, replaced, or created exclusively."""
    for step in range(100):
        place = place_of(tmp_path / str(step))
        place.write("there", b"old")

        def work(place=place):
            place.write("there", b"new")
            place.write("deep/also", b"new")
            assert place.create_exclusive("claim", b"new")

        killed = killed_at(step, work)
        found = {name: place.read(name) for name in place.list()}
        assert set(found) - {"there", "deep/also", "claim"} == set()
        assert found["there"] in (b"old", b"new")
        assert {content for name, content in found.items() if name != "there"} <= {b"new"}
        place.sweep()
        assert sorted(found) == sorted(
            p.relative_to(place.path).as_posix() for p in place.path.rglob("*") if p.is_file()
        )
        if not killed:
            assert step > 10
            return
    raise AssertionError("a hundred steps for three small files")


ROUNDS = 20


def race(places, number, start, results):
    won = {}
    for where in places:
        place = place_of(where)
        for each in range(ROUNDS):
            start.wait()
            if place.create_exclusive(f"claims/{each}", b"%d" % number):
                won[where, each] = number
    results.put(won)


def test_exactly_one_of_several_processes_wins(tmp_path, bucket):
    spawn = multiprocessing.get_context("spawn")
    start, results = spawn.Barrier(3), spawn.Queue()
    places = str(tmp_path / "place"), f"{bucket}/place"
    workers = [spawn.Process(target=race, args=(places, number, start, results)) for number in range(3)]
    for worker in workers:
        worker.start()
    won = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    assert sorted(each for claims in won for each in claims) == [
        (where, each) for where in sorted(places) for each in range(ROUNDS)
    ]
    for (where, each), number in {claim: number for claims in won for claim, number in claims.items()}.items():
        assert place_of(where).read(f"claims/{each}") == b"%d" % number


def test_a_server_that_ignores_conditions_is_refused(bucket, server):
    server.ignores_conditions = True
    place = place_of(bucket)
    with pytest.raises(FileError, match=r"ignores conditions on puts .* use another server, or a shared folder"):
        place.create_exclusive("claim", b"mine")
    assert place.list() == []


def test_a_disk_without_hard_links_is_refused(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", none)
    with pytest.raises(FileError, match=r"has no hard links.*choose a folder on another one"):
        place_of(tmp_path).create_exclusive("claim", b"mine")
    assert list(tmp_path.iterdir()) == []


def test_a_lost_answer_of_nfs_is_no_lost_claim(tmp_path, monkeypatch):
    """The link was made, the answer got lost, and the second try is told that it is there."""
    link = os.link

    def twice(source, target):
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", twice)
    assert place_of(tmp_path).create_exclusive("claim", b"mine")


@pytest.mark.parametrize(
    ("number", "remedy"), [(errno.ENOSPC, "free some space"), (errno.EROFS, "choose a folder you may write to")]
)
def test_a_disk_that_is_full_or_read_only(tmp_path, monkeypatch, number, remedy):
    place = place_of(tmp_path)
    place.write("part", b"old")

    def failing(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", failing)
    for write in (place.write, place.create_exclusive):
        with pytest.raises(FileError, match=rf"Writing .* failed \({os.strerror(number)}\); {remedy}"):
            write("part" if write == place.write else "claim", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["part"]
    assert place.read("part") == b"old"


def test_a_bucket_that_is_not_there(server):
    place = place_of("s3://no-such-bucket/run")
    for attempt in (
        lambda: place.write("a", b""),
        lambda: place.read("a"),
        place.list,
        lambda: place.create_exclusive("a", b""),
    ):
        with pytest.raises(
            FileError, match="There is no bucket s3://no-such-bucket; check the name, or create it first"
        ):
            attempt()


def test_a_bucket_that_may_not_be_written(bucket, server):
    place = place_of(bucket)
    place.write("a", b"1")
    server.read_only = True
    with pytest.raises(
        FileError, match=r"a may not be written with the credentials that were found \(.*Access Denied.*\); use others"
    ):
        place.write("a", b"2")
    assert place.read("a") == b"1"


def test_no_credentials(bucket, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(FileError, match=rf"There are no credentials for {bucket}; set AWS_ACCESS_KEY_ID and"):
        place_of(bucket).write("a", b"")


def test_a_server_that_is_away(server, monkeypatch):
    import s3fs

    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(FileError, match=r"The server of s3://bucket cannot be reached .* AWS_ENDPOINT_URL"):
        place_of("s3://bucket/run").read("a")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sftp://host/folder", "sftp:// is no object store that is known here; give a folder of this machine"),
        ("s3:///folder", "names no bucket; give s3://BUCKET/FOLDER"),
        ("s3://key:secret@bucket/folder", "A s3:// URL with credentials in it would be written into files; set AWS_"),
    ],
)
def test_places_that_are_none(url, words):
    with pytest.raises(InputError) as caught:
        place_of(url)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("kind", "install"), [("s3", r'pip install "separatrix\[s3\]"'), ("gs", "pip install gcsfs")])
def test_a_package_that_is_missing(kind, install, monkeypatch):
    import fsspec

    def missing(_):
        raise ImportError("no such package")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    with pytest.raises(
        InputError, match=f"{kind}:// needs {'s3fs' if kind == 's3' else 'gcsfs'}, which is not installed; {install}"
    ):
        place_of(f"{kind}://bucket/run")


def test_a_folder_needs_no_fsspec(tmp_path):
    script = (
        "import sys; from separatrix.storage import place_of; place = place_of(sys.argv[1]); place.write('a', b'1'); "
        "assert place.read('a') == b'1' and place.create_exclusive('b', b'') and place.list() == ['a', 'b']; "
        "assert 'separatrix.storage._buckets' not in sys.modules and 'fsspec.implementations.local' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)


def test_a_folder_with_the_name_of_a_store_stays_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(place_of(Path("s3://bucket/run"))) == "s3://bucket/run"
    Path("s3:").mkdir()
    assert str(place_of(Path("s3:/bucket/run"))) == "s3:/bucket/run"
    assert place_of(Path("runs:/7")).path == Path("runs:/7")
