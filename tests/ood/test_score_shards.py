"""Scores of shards and of several sources: the same bytes whoever computes, in whatever order and after whatever interruption."""

from __future__ import annotations

import io
import json
import os
import tarfile
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from blobs import images
from PIL import Image

from killing import killed_at
from separatrix import ood
from separatrix.engines import Here, Processes, using
from separatrix.errors import EngineError, FileError, InputError
from separatrix.ood import _score_parts as score_parts
from separatrix.ood import _score_run as score_run
from separatrix.ood._score_kept import KeptScores
from separatrix.ood._score_run import score_to_table
from separatrix.ood._score_table import read_rows
from separatrix.ood._score_task import score_part

DETECTORS = (ood.MahalanobisDetector, ood.TypicalityDetector)


@pytest.fixture
def detector(wells):
    return ood.MahalanobisDetector(wells).fit((images(120) * 0.1 + 0.5).clamp(0, 1))


def pictures(count, seed=1):
    """PNGs 4×4."""
    pixels = (255 * (images(count, seed=seed) * 0.1 + 0.5).clamp(0, 1)).round().to(torch.uint8).numpy()
    for image in pixels[:, 0]:
        content = io.BytesIO()
        Image.fromarray(image).save(content, "PNG")
        yield content.getvalue()


def tar_of(path, contents):
    with tarfile.open(path, "w") as archive:
        for index, content in enumerate(contents):
            for ending, data in (("png", content), ("cls", b"7")):
                entry = tarfile.TarInfo(f"{index:04d}.{ending}")
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    os.utime(path, (1e9, 1e9))


@pytest.fixture
def shards(tmp_path):
    """Four tar files with 7 pictures each, one of them damaged after its fourth, and one picture that is none."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for number in range(4):
        contents = list(pictures(7, seed=number))
        if number == 2:
            contents[4] = b"no picture"
        tar_of(folder / f"{number}.tar", contents)
    damaged = (folder / "1.tar").read_bytes()[: 7 * 1024]
    (folder / "1.tar").write_bytes(damaged)
    os.utime(folder / "1.tar", (1e9, 1e9))
    return folder


def counted(patch):
    """Names of files that are really scored from here on."""
    scored = []
    original = score_parts.score_part

    def counting(part, detector):
        scored.extend(file.name for file in part.files)
        return original(part, detector)

    patch.setattr(score_parts, "score_part", counting)
    return scored


class Backwards(Here):
    """An engine that computes the last part first, and each of them twice."""

    workers = 3

    def map(self, task, parts, *shared):
        for number, part in reversed(list(enumerate(parts))):
            task(part, *shared)
            yield number, task(part, *shared)


def test_rows_of_shards_with_what_is_wrong(detector, shards, tmp_path):
    run = score_to_table(detector, shards, tmp_path / "t.csv", fpr=0.2)
    expected = [f"{n}.tar/{i:04d}.png" for n in range(4) for i in range(7 if n != 1 else 4)]
    expected.insert(11, "1.tar")
    assert list(run.names) == [row.file for row in read_rows(tmp_path / "t.csv")] == expected
    assert list(run.broken) == ["1.tar", "2.tar/0004.png"]
    assert "is damaged (it ends" in run.broken["1.tar"]
    assert f"{shards}/2.tar/0004.png cannot be decoded" in run.broken["2.tar/0004.png"]
    pixels = [np.array(Image.open(io.BytesIO(content))) for content in pictures(7, seed=3)]
    alone = detector.score(torch.from_numpy(np.stack(pixels))[:, None].float() / 255)
    assert run.decisions.scores[-7:].tolist() == alone.tolist()
    assert {row.size for row in read_rows(tmp_path / "t.csv")[-7:]} == {(shards / "3.tar").stat().st_size}


def test_the_table_is_the_same_whoever_computes_it(wells, shards, tmp_path, monkeypatch):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, content in enumerate(pictures(10)):
        (folder / f"{index}.png").write_bytes(content)
    monkeypatch.setattr(score_run, "BLOCK", 3)
    detectors = [kind(wells).fit((images(120) * 0.1 + 0.5).clamp(0, 1)) for kind in DETECTORS]
    sources, tables = [folder, shards], {}
    for name, engine in {"here": Here(), "backwards": Backwards(), "two": Processes(2)}.items():
        with using(engine):
            for detector in detectors:
                out = tmp_path / f"{name}-{detector.kind}.csv"
                run = score_to_table(detector, sources, out, fpr=0.2)
                tables[name, detector.kind] = out.read_bytes(), run.broken
    assert len(run.names) == 36
    for detector in detectors:
        assert tables["here", detector.kind] == tables["backwards", detector.kind] == tables["two", detector.kind]
    assert [name for name in run.names if name.startswith("pictures/")] == [f"pictures/{i}.png" for i in range(10)]
    score_to_table(detector, sources[::-1], out, fpr=0.2)
    assert out.read_bytes() == tables["here", detector.kind][0]


def test_a_second_run_reads_only_shards_that_are_new_or_changed(detector, shards, tmp_path, monkeypatch):
    out = tmp_path / "t.csv"
    whole = score_to_table(detector, shards, out, fpr=0.2)
    scored = counted(monkeypatch)
    again = score_to_table(detector, shards, out, fpr=0.5)
    assert scored == []
    assert again.reused == len(whole.names)
    assert again.broken == whole.broken
    tar_of(shards / "1.tar", pictures(7, seed=1))
    tar_of(shards / "5.tar", pictures(2, seed=5))
    run = score_to_table(detector, shards, out, fpr=0.2)
    assert scored == ["1.tar", "5.tar"]
    assert list(run.broken) == ["2.tar/0004.png"]
    assert run.reused == 21
    lines = out.read_text().splitlines()
    out.write_text("\n".join(line for line in lines if not line.startswith("3.tar/0002")) + "\n")
    score_to_table(detector, shards, out, fpr=0.2)
    assert scored[2:] == ["3.tar"], "a row is missing"
    assert out.read_text().splitlines() == lines


@pytest.mark.parametrize("engine", [Here(), Backwards()], ids=["here", "backwards"])
def test_wherever_it_is_killed_no_shard_is_read_twice(detector, shards, tmp_path, engine):
    whole = score_to_table(detector, shards, tmp_path / "whole.csv", fpr=0.2)
    for step in range(0, 200, 5):
        out = tmp_path / f"kill{step}" / "t.csv"
        out.parent.mkdir()

        def work(out=out):
            with using(engine):
                score_to_table(detector, shards, out, fpr=0.2)

        killed = killed_at(step, work)
        partial = list(out.parent.glob("t.csv.partial-*"))
        known = {name for name, *_ in KeptScores(partial[0]).read()} if partial else set()
        done = out.exists()
        with pytest.MonkeyPatch.context() as patch:
            scored = counted(patch)
            again = score_to_table(detector, shards, out, fpr=0.2)
        assert set(scored) == (set() if done else {f"{n}.tar" for n in range(4)} - known)
        assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
        assert again.broken == whole.broken
        assert sorted(path.name for path in out.parent.iterdir()) == ["t.csv", "t.csv.json"]
        if not killed:
            break
    else:
        pytest.fail("it never ended")


class Losing(Here):
    """An engine on which one part always fails."""

    def map(self, task, parts, *shared):
        for number, part in enumerate(parts):
            if number != 1:
                yield number, task(part, *shared)
        raise EngineError("Part 1 failed 3 times (its process was killed).")


def test_a_part_that_fails_is_named_and_the_others_are_kept(detector, shards, tmp_path, monkeypatch):
    with using(Losing()), pytest.raises(EngineError, match=r"Part 1 failed 3 times .*1\.tar"):
        score_to_table(detector, shards, tmp_path / "t.csv", fpr=0.2)
    scored = counted(monkeypatch)
    assert score_to_table(detector, shards, tmp_path / "t.csv", fpr=0.2).reused == 21
    assert scored == ["1.tar"]


@pytest.mark.parametrize("engine", [Here(), Backwards()], ids=["here", "backwards"])
def test_another_size_is_judged_in_the_order_of_the_parts(detector, tmp_path, engine):
    """Not by who was first: a size that none has at the head of the list is a mistake, later ones are pictures of another size."""
    large = io.BytesIO()
    Image.fromarray(np.full((9, 9), 200, np.uint8)).save(large, "PNG")
    tar_of(tmp_path / "1.tar", pictures(3))
    tar_of(tmp_path / "2.tar", [large.getvalue()])
    sources = [tmp_path / "1.tar", tmp_path / "2.tar"]
    with using(engine):
        assert list(score_to_table(detector, sources, tmp_path / "t.csv", fpr=0.2).broken) == ["2.tar/0000.png"]
    tar_of(tmp_path / "0.tar", [b"no picture"])
    tar_of(tmp_path / "1.tar", [large.getvalue()])
    tar_of(tmp_path / "2.tar", pictures(3))
    sources = [tmp_path / f"{n}.tar" for n in range(3)]
    with using(engine), pytest.raises(InputError, match=r"1\.tar/0000\.png is 9×9"):
        score_to_table(detector, sources, tmp_path / "u.csv", fpr=0.2)
    assert not list(tmp_path.glob("u.csv*")), "nothing is left"


def test_a_model_that_fails_on_all_is_an_error_and_not_a_table(detector, shards, tmp_path, monkeypatch):
    class Own(Exception):
        """Cannot go from process to process."""

        def __init__(self, one, two):
            super().__init__(f"{one} and {two}")

    def failing(self, data):
        raise Own(1, 2)

    monkeypatch.setattr(type(detector), "score", failing)
    with pytest.raises(RuntimeError, match="Own: 1 and 2"):
        score_to_table(detector, shards, tmp_path / "t.csv", fpr=0.2)


def test_tables_of_pictures(detector, tmp_path):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    contents = list(pictures(10))
    parquet.write_table(pa.table({"left": contents, "right": contents[::-1]}), tmp_path / "s.parquet", row_group_size=4)
    tar_of(tmp_path / "s.tar", contents)
    in_a_table = score_to_table(detector, f"{tmp_path}/s.parquet#left", tmp_path / "a.parquet", fpr=0.2)
    in_an_archive = score_to_table(detector, tmp_path / "s.tar", tmp_path / "b.csv", fpr=0.2)
    assert torch.equal(in_a_table.decisions.scores, in_an_archive.decisions.scores)
    assert in_a_table.names == tuple(f"s.parquet/{row}" for row in range(10))
    again = score_to_table(detector, f"{tmp_path}/s.parquet#left", tmp_path / "a.parquet", fpr=0.2)
    assert again.reused == 10
    with pytest.raises(FileError, match="not a table of this detector and these images"):
        score_to_table(detector, f"{tmp_path}/s.parquet#right", tmp_path / "a.parquet", fpr=0.2)
    with pytest.raises(InputError, match="not clear which column"):
        score_to_table(detector, tmp_path / "s.parquet", tmp_path / "c.csv", fpr=0.2)
    assert not list(tmp_path.glob("c.csv*"))


def test_a_bucket_is_read_like_a_folder(detector, shards, tmp_path, bucket, monkeypatch):
    import fsspec

    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table({"image": list(pictures(6, seed=9))}), shards / "p.parquet")
    (shards / "more").mkdir()
    for index, content in enumerate(pictures(5)):
        (shards / "more" / f"{index}.png").write_bytes(content)
    store = fsspec.filesystem("s3")
    store.put(str(shards), f"{bucket}/shards", recursive=True)
    names = ["more", *(f"{n}.tar" for n in range(4)), "p.parquet"]
    here = score_to_table(detector, [shards / name for name in names], tmp_path / "here.csv", fpr=0.2)
    out = tmp_path / "there.csv"
    there = score_to_table(detector, [f"{bucket}/shards/{name}" for name in names], out, fpr=0.2)
    assert there.names == here.names
    assert there.decisions.scores.nan_to_num(-1).tolist() == here.decisions.scores.nan_to_num(-1).tolist()
    assert list(there.broken) == list(here.broken)
    scored = counted(monkeypatch)
    assert score_to_table(detector, [f"{bucket}/shards/{name}" for name in names], out, fpr=0.2).reused == 37
    assert scored == []
    only = score_to_table(detector, f"{bucket}/shards/more", tmp_path / "more.csv", fpr=0.2)
    assert only.names == tuple(f"{index}.png" for index in range(5))
    with pytest.raises(FileError, match="contains no pictures"):
        score_to_table(detector, f"{bucket}/elsewhere", tmp_path / "none.csv", fpr=0.2)
    with pytest.raises(FileError, match="There is no file"):
        score_to_table(detector, f"{bucket}/shards/9.tar", tmp_path / "none.csv", fpr=0.2)


def test_a_server_that_does_not_answer_costs_its_shard_only_for_now(detector, shards, tmp_path, monkeypatch, bucket):
    import fsspec

    fsspec.filesystem("s3").put(str(shards), f"{bucket}/shards", recursive=True)
    fsspec.filesystem("s3").rm(f"{bucket}/shards/1.tar")
    from separatrix.storage._buckets import Bucket

    honest, out = Bucket.opened, tmp_path / "t.csv"

    class Silent:
        def read(self, *_):
            raise ConnectionError("no answer")

        def close(self):
            """Nothing to close."""

    @contextmanager
    def opened(self, name):
        with honest(self, name) as stream:
            yield Silent() if name == "0.tar" else stream

    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "opened", opened)
        with pytest.raises(
            FileError, match=r"0\.tar could not be read \(no answer\); everything else is scored and kept"
        ):
            score_to_table(detector, f"{bucket}/shards", out, fpr=0.2)
    scored = counted(monkeypatch)
    assert list(score_to_table(detector, f"{bucket}/shards", out, fpr=0.2).broken) == ["2.tar/0004.png"]
    assert scored == ["0.tar"]


def test_scores_in_a_batch_are_scores_alone(wells, shards, tmp_path, monkeypatch):
    """A picture's score depends on the others in its batch by rounding only, and its batch on its shard only."""
    for kind in DETECTORS:
        detector = kind(wells).fit((images(120) * 0.1 + 0.5).clamp(0, 1))
        scores = []
        for block in (1, 3, 256):
            monkeypatch.setattr(score_run, "BLOCK", block)
            scores.append(
                score_to_table(detector, shards, tmp_path / f"{kind.kind}{block}.csv", fpr=0.2).decisions.scores
            )
        assert torch.allclose(scores[0], scores[2], rtol=1e-9, equal_nan=True)
        assert torch.allclose(scores[1], scores[2], rtol=1e-9, equal_nan=True)


def test_the_record_says_how_many_rows_a_shard_has(detector, shards, tmp_path):
    score_to_table(detector, shards, tmp_path / "t.csv", fpr=0.2)
    record = json.loads((tmp_path / "t.csv.json").read_text())
    assert record["shards"] == {"0.tar": 7, "1.tar": 5, "2.tar": 7, "3.tar": 7}


def test_a_task_holds_one_block_of_pictures(detector, shards, monkeypatch):
    from separatrix.data._sources import files_of
    from separatrix.ood._score_task import Part

    tar_of(shards / "0.tar", pictures(50))
    (file, *_) = files_of([shards])
    seen = []
    honest = type(detector).score
    monkeypatch.setattr(type(detector), "score", lambda self, x: (seen.append(len(x)), honest(self, x))[1])
    found = score_part(Part((file,), (1, 4, 4), False, None, block=8), detector)
    assert seen == [8] * 6 + [2]
    assert len(found.files[0].names) == 50
