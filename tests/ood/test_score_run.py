"""Tables of scores: one set of columns in every format, resumed where a run was stopped, never of two detectors."""

from __future__ import annotations

import csv
import json
import os
import shutil

import numpy as np
import pytest
import torch
from blobs import images
from PIL import Image

import separatrix as sx
from killing import killed_at
from separatrix import ood
from separatrix.errors import CalibrationWarning, FileError, InputError
from separatrix.ood import _score_parts as score_parts
from separatrix.ood import _score_run as score_run
from separatrix.ood._score_kept import KeptScores
from separatrix.ood._score_run import score_to_table
from separatrix.ood._score_table import COLUMNS, Row, parsed_rows, read_rows, write_rows

FORMATS = ("csv", "parquet", "arrow")
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@pytest.fixture
def detector(wells):
    pixels = (images(120) * 0.1 + 0.5).clamp(0, 1)
    return ood.MahalanobisDetector(wells).fit(pixels)


@pytest.fixture
def folder(tmp_path):
    """Ten pictures 4×4."""
    place = tmp_path / "pictures"
    place.mkdir()
    pixels = (255 * (images(10, seed=1) * 0.1 + 0.5).clamp(0, 1)).round().to(torch.uint8).numpy()
    for index, image in enumerate(pixels[:, 0]):
        Image.fromarray(image).save(place / f"{index}.png")
        os.utime(place / f"{index}.png", (1e9, 1e9))
    return place


def counted(monkeypatch):
    """Names that are really scored from here on."""
    scored = []
    original = score_parts.score_part

    def counting(part, detector):
        found = original(part, detector)
        scored.extend(name for file in found.files for name in file.names)
        return found

    monkeypatch.setattr(score_parts, "score_part", counting)
    return scored


def kept(folder):
    """Rows that are kept beside a table that is not complete, in their order."""
    (partial,) = folder.glob("t.csv.partial-*")
    return sorted(name for file, _ in KeptScores(partial).read().values() for name in file.names)


def torn(folder):
    """The last part is there in half, under its name."""
    (partial,) = folder.glob("t.csv.partial-*")
    (partial / ("0" * 64)).write_bytes(b'{"files": [["')


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_holds_what_the_detector_says(detector, folder, tmp_path, ending):
    if ending != "csv":
        pytest.importorskip("pyarrow")
    (folder / "5.png").write_bytes(b"no picture")
    run = score_to_table(detector, folder, tmp_path / f"t.{ending}", fpr=0.2)
    rows = read_rows(tmp_path / f"t.{ending}")
    assert [row.file for row in rows] == [f"{i}.png" for i in range(10)] == list(run.names)
    pixels = torch.stack([torch.from_numpy(np.array(Image.open(folder / f"{i}.png"))) for i in range(5)])
    expected = detector.decide(pixels[:, None].float() / 255, fpr=0.2)
    assert [row.score for row in rows[:5]] == expected.scores.tolist()
    assert [row.p_value for row in rows[:5]] == expected.p_values.tolist()
    assert [row.decision == "out" for row in rows[:5]] == expected.is_ood.tolist()
    assert rows[5].decision == "unscorable"
    assert np.isnan(rows[5].score)
    assert list(run.broken) == ["5.png"]
    record = json.loads((tmp_path / f"t.{ending}.json").read_text())
    assert record["files"] == 10
    assert record["unscorable"] == 1
    assert record["in"] + record["out"] == 9
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pictures", f"t.{ending}", f"t.{ending}.json"]


def test_parquet_is_what_other_programs_read(detector, folder, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    (folder / "5.png").write_bytes(b"no picture")
    score_to_table(detector, folder, tmp_path / "t.parquet", fpr=0.2)
    table = parquet.read_table(tmp_path / "t.parquet")
    assert tuple(table.column_names) == COLUMNS
    assert table.column("score").null_count == table.column("p_value").null_count == 1


def interrupted_at(block, detector, folder, out):
    """A run that ends as by Ctrl-C when the blocks before this one are scored."""
    original, calls = type(detector).score, []

    def interrupted(self, data):
        calls.append(len(data))
        if len(calls) == block:
            raise KeyboardInterrupt
        return original(self, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(detector), "score", interrupted)
        with pytest.raises(KeyboardInterrupt):
            score_to_table(detector, folder, out, fpr=0.2)


def test_an_interrupted_run_goes_on(detector, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(score_run, "BLOCK", 3)
    whole = score_to_table(detector, folder, tmp_path / "whole.csv", fpr=0.2)
    interrupted_at(3, detector, folder, tmp_path / "t.csv")
    assert kept(tmp_path) == [f"{i}.png" for i in range(6)]
    assert not (tmp_path / "t.csv").exists()
    torn(tmp_path)
    scored = counted(monkeypatch)
    run = score_to_table(detector, folder, tmp_path / "t.csv", fpr=0.2)
    assert scored == ["6.png", "7.png", "8.png", "9.png"]
    assert run.reused == 6
    assert (tmp_path / "t.csv").read_text() == (tmp_path / "whole.csv").read_text()
    assert torch.equal(run.decisions.scores, whole.decisions.scores)
    assert not list(tmp_path.glob("*.partial*"))


def test_a_run_that_is_interrupted_twice_loses_nothing(detector, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(score_run, "BLOCK", 3)
    for done in (3, 6, 9):
        interrupted_at(2, detector, folder, tmp_path / "t.csv")
        assert kept(tmp_path) == [f"{i}.png" for i in range(done)]
        torn(tmp_path)
    assert score_to_table(detector, folder, tmp_path / "t.csv", fpr=0.2).reused == 9


def test_broken_files_are_named_whenever_they_were_met(detector, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(score_run, "BLOCK", 3)
    for name in ("1.png", "4.png", "8.png"):
        (folder / name).write_bytes(b"no picture")
        os.utime(folder / name, (1e9, 1e9))
    out = tmp_path / "t.csv"
    for _ in range(2):
        interrupted_at(2, detector, folder, out)
        torn(tmp_path)
    run = score_to_table(detector, folder, out, fpr=0.2)
    assert run.reused == 6
    assert list(run.broken) == ["1.png", "4.png", "8.png"]
    assert all(str(folder / name) in why for name, why in run.broken.items())
    assert json.loads((tmp_path / "t.csv.json").read_text())["broken"] == run.broken
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pictures", "t.csv", "t.csv.json"]
    # From a complete table, too, and no longer once a file is repaired or gone.
    assert score_to_table(detector, folder, out, fpr=0.2).broken == run.broken
    shutil.copy(folder / "0.png", folder / "4.png")
    late = out.stat().st_mtime + 10
    os.utime(folder / "4.png", (late, late))
    (folder / "8.png").unlink()
    assert list(score_to_table(detector, folder, out, fpr=0.2).broken) == ["1.png"]
    assert list(json.loads((tmp_path / "t.csv.json").read_text())["broken"]) == ["1.png"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_one_picture_of_another_size_is_unscorable_and_no_more(detector, folder, tmp_path, monkeypatch, ending):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    whole = score_to_table(detector, folder, tmp_path / "whole.csv", fpr=0.2)
    Image.fromarray(np.zeros((9, 7), np.uint8)).save(folder / "00.png")
    os.utime(folder / "00.png", (1e9, 1e9))
    out = tmp_path / f"t.{ending}"
    run = score_to_table(detector, folder, out, fpr=0.2)
    assert run.names[:2] == ("0.png", "00.png")
    assert run.decisions.unscorable.tolist() == [name == "00.png" for name in run.names]
    assert [row.score for row in read_rows(out) if row.file != "00.png"] == whole.decisions.scores.tolist()
    assert list(run.broken) == ["00.png"]
    assert "9×7 (height×width) where 4×4 is expected; pass resize=True" in run.broken["00.png"]
    # A table that has such pictures takes more of them, alone and first in their block, and remembers why.
    Image.fromarray(np.zeros((7, 9), np.uint8)).save(folder / "000.png")
    scored = counted(monkeypatch)
    again = score_to_table(detector, folder, out, fpr=0.2)
    assert scored == ["000.png"]
    assert list(again.broken) == ["00.png", "000.png"]
    # The remedy of the sentence is one: those alone are scored, and no longer named.
    mended = score_to_table(detector, folder, out, fpr=0.2, resize=True)
    assert scored == ["000.png", "00.png", "000.png"]
    assert mended.broken == {}
    assert not mended.decisions.unscorable.any()
    assert score_to_table(detector, folder, out, fpr=0.2).reused == 12


def test_a_picture_of_another_size_survives_an_interruption(detector, folder, tmp_path, monkeypatch):
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(folder / "00.png")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(folder / "40.png")
    monkeypatch.setattr(score_run, "BLOCK", 2)
    interrupted_at(3, detector, folder, tmp_path / "t.csv")
    run = score_to_table(detector, folder, tmp_path / "t.csv", fpr=0.2)
    assert run.reused == 4
    assert list(run.broken) == ["00.png", "40.png"]
    assert int(run.decisions.unscorable.sum()) == 2


def test_a_file_that_was_repaired_before_an_interruption_is_not_named(detector, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(score_run, "BLOCK", 1)
    out = tmp_path / "t.csv"
    good = (folder / "0.png").read_bytes()
    for name in ("0.png", "5.png"):
        (folder / name).write_bytes(b"no picture")
        os.utime(folder / name, (1e9, 1e9))
    assert list(score_to_table(detector, folder, out, fpr=0.2).broken) == ["0.png", "5.png"]
    late = out.stat().st_mtime + 10
    (folder / "0.png").write_bytes(good)
    for name in ("0.png", "9.png"):
        os.utime(folder / name, (late, late))
    interrupted_at(2, detector, folder, out)
    run = score_to_table(detector, folder, out, fpr=0.2)
    assert run.reused == 9
    assert list(run.broken) == ["5.png"]


def test_a_broken_file_is_unscorable_also_where_the_network_swallows_nan(wells, folder, tmp_path):
    class Swallowing(type(wells.modules[0])):
        def encode(self, x):
            return super().encode(x.nan_to_num())

    module = Swallowing()
    field = sx.LatentField(module.encode, module.decode, latent_shape=(2,), modules=[module])
    (folder / "5.png").write_bytes(b"no picture")
    detector = ood.MahalanobisDetector(field).fit((images(120) * 0.1 + 0.5).clamp(0, 1))
    run = score_to_table(detector, folder, tmp_path / "t.csv", fpr=0.2)
    assert run.decisions.unscorable.tolist() == [name == "5.png" for name in run.names]


def test_a_second_run_scores_only_what_is_new_or_newer(detector, folder, tmp_path, monkeypatch):
    out = tmp_path / "t.csv"
    score_to_table(detector, folder, out, fpr=0.2)
    scored = counted(monkeypatch)
    assert score_to_table(detector, folder, out, fpr=0.2).reused == 10
    assert scored == []
    shutil.copy(folder / "3.png", folder / "55.png")
    os.utime(folder / "55.png", (1e9, 1e9))
    late = out.stat().st_mtime + 10
    os.utime(folder / "7.png", (late, late))
    (folder / "0.png").unlink()
    run = score_to_table(detector, folder, out, fpr=0.2)
    assert scored == ["55.png", "7.png"]
    assert "0.png" not in run.names
    assert [row.file for row in read_rows(out)] == list(run.names)
    score_to_table(detector, folder, out, fpr=0.2, overwrite=True)
    assert len(scored) == 2 + 10


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_replaced_picture_is_scored_again_whatever_its_time(detector, folder, tmp_path, monkeypatch, ending):
    """A picture copied over another one brings its own, older, time along; or the same time and another size."""
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / f"t.{ending}"
    score_to_table(detector, folder, out, fpr=0.2)
    Image.fromarray(np.diag([255] * 4).astype(np.uint8)).save(folder / "3.png")
    os.utime(folder / "3.png", (5e8, 5e8))
    Image.fromarray(np.eye(4, dtype=np.uint8) * 99).save(folder / "6.png", compress_level=0)
    os.utime(folder / "6.png", (1e9, 1e9))
    os.utime(folder / "8.png", ns=(10**18, 10**18 + 1))
    scored = counted(monkeypatch)
    run = score_to_table(detector, folder, out, fpr=0.2)
    assert scored == ["3.png", "6.png", "8.png"]
    anew = score_to_table(detector, folder, tmp_path / "anew.csv", fpr=0.2)
    assert torch.equal(run.decisions.scores, anew.decisions.scores)


def test_rows_of_tables_without_sizes_are_scored_again(detector, folder, tmp_path, monkeypatch):
    out = tmp_path / "t.csv"
    score_to_table(detector, folder, out, fpr=0.2)
    lines = [",".join(line.split(",")[:4]) for line in out.read_text().splitlines()]
    out.write_text("\n".join(lines) + "\n")
    assert len(read_rows(out)) == 10  # a monitor reads them as before
    scored = counted(monkeypatch)
    score_to_table(detector, folder, out, fpr=0.2)
    assert len(scored) == 10


@pytest.mark.parametrize("earlier", [False, True], ids=["first time", "more pictures in an earlier table"])
def test_wherever_it_is_killed_the_next_call_goes_on(detector, folder, tmp_path, monkeypatch, earlier):
    """At every single step on the disk, also between the table and its record; what was written down is not lost."""
    monkeypatch.setattr(score_run, "BLOCK", 4)
    whole = score_to_table(detector, folder, tmp_path / "whole.csv", fpr=0.2)
    for step in range(200):
        place = tmp_path / f"kill{step}"
        place.mkdir()
        if earlier:
            for name in ("7.png", "9.png"):
                (folder / name).rename(tmp_path / name)
            score_to_table(detector, folder, place / "t.csv", fpr=0.2)
            for name in ("7.png", "9.png"):
                (tmp_path / name).rename(folder / name)
        killed = killed_at(step, lambda place=place: score_to_table(detector, folder, place / "t.csv", fpr=0.2))
        known = set(kept(place)) if list(place.glob("t.csv.partial-*")) else set()
        known |= {row.file for row in read_rows(place / "t.csv")} if (place / "t.csv").exists() else set()
        with pytest.MonkeyPatch.context() as patch:
            scored = counted(patch)
            again = score_to_table(detector, folder, place / "t.csv", fpr=0.2)
        assert set(scored) == set(whole.names) - known
        assert (place / "t.csv").read_text() == (tmp_path / "whole.csv").read_text()
        assert torch.equal(again.decisions.scores, whole.decisions.scores)
        assert sorted(path.name for path in place.iterdir()) == ["t.csv", "t.csv.json"]
        if not killed:
            break
    else:
        pytest.fail("it never ended")


def test_another_rate_decides_anew_on_the_same_scores(detector, folder, tmp_path, monkeypatch):
    out = tmp_path / "t.csv"
    score_to_table(detector, folder, out, fpr=0.05)
    scored = counted(monkeypatch)
    run = score_to_table(detector, folder, out, fpr=0.5)
    assert scored == []
    assert [row.decision == "out" for row in read_rows(out)] == (run.decisions.p_values <= 0.5).tolist()


def test_a_table_of_another_detector_is_refused_and_left_alone(detector, wells, folder, tmp_path):
    out = tmp_path / "t.csv"
    score_to_table(detector, folder, out, fpr=0.2)
    before = out.read_bytes()
    other = ood.MahalanobisDetector(wells).fit((images(120, seed=5) * 0.1 + 0.5).clamp(0, 1))
    with pytest.raises(FileError, match="not a table of this detector"):
        score_to_table(other, folder, out, fpr=0.2)
    assert out.read_bytes() == before
    score_to_table(other, folder, out, fpr=0.2, overwrite=True)
    assert out.read_bytes() != before


def test_files_of_the_same_name_in_another_folder_are_others(detector, folder, tmp_path):
    out = tmp_path / "t.csv"
    score_to_table(detector, folder, out, fpr=0.2)
    shutil.copytree(folder, tmp_path / "others")
    with pytest.raises(FileError, match="these images"):
        score_to_table(detector, tmp_path / "others", out, fpr=0.2)


def test_arrays_are_scored_too(detector, folder, tmp_path):
    pixels = np.stack([np.asarray(Image.open(folder / f"{i}.png")) for i in range(10)])
    np.savez(tmp_path / "x.npz", x=pixels)
    by_file = score_to_table(detector, folder, tmp_path / "a.csv", fpr=0.2)
    by_row = score_to_table(detector, f"{tmp_path}/x.npz#x", tmp_path / "b.csv", fpr=0.2)
    assert torch.equal(by_file.decisions.scores, by_row.decisions.scores)
    assert by_row.names == tuple(map(str, range(10)))
    np.save(tmp_path / "large.npy", np.zeros((5, 8, 8)))
    with pytest.raises(InputError, match=r"1×8×8 .* 1×4×4"):
        score_to_table(detector, tmp_path / "large.npy", tmp_path / "c.csv", fpr=0.2)
    assert len(score_to_table(detector, tmp_path / "large.npy", tmp_path / "c.csv", fpr=0.2, resize=True).names) == 5


def test_mistakes_leave_nothing_behind(detector, wells, folder, tmp_path):
    for path in folder.iterdir():
        Image.fromarray(np.zeros((9, 9), np.uint8)).save(path)
    for out, options in (("t.csv", {}), ("t.txt", {}), ("t.csv", {"fpr": 0.0}), ("t.csv", {"fpr": 1.5})):
        with pytest.raises(InputError):
            score_to_table(detector, folder, tmp_path / out, **{"fpr": 0.2, **options})
    with pytest.raises(FileError, match="Cannot write"):
        score_to_table(detector, folder, folder / "1.png" / "t.csv", resize=True, fpr=0.2)
    latents = ood.MahalanobisDetector(wells).fit_features(torch.randn(60, 2).double())
    with pytest.raises(InputError, match="fitted on latents"):
        score_to_table(latents, folder, tmp_path / "t.csv", fpr=0.2)
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_a_small_calibration_is_warned_of_once(wells, folder, tmp_path):
    small = ood.MahalanobisDetector(wells).fit((images(40) * 0.1 + 0.5).clamp(0, 1))
    with pytest.warns(CalibrationWarning) as caught:
        score_to_table(small, folder, tmp_path / "t.csv", fpr=0.001)
    assert len(caught) == 1


def test_rows_that_are_none_are_left_out():
    lines = [
        "file,score,p_value,decision",
        '"with, comma.png",1.0,0.5,in',
        "no number,x,0.5,in",
        "p above one,1.0,1.5,in",
        "unscorable with a score,1.0,0.5,unscorable",
        "in without a score,,,in",
        "other word,1.0,0.5,maybe",
        "nan.png,,,unscorable",
        "torn,1.",
    ]
    rows = list(parsed_rows(lines, "here"))
    assert [row.file for row in rows] == ["with, comma.png", "nan.png"]
    with pytest.raises(FileError, match="other columns"):
        list(parsed_rows(["a,b", "1,2"], "here"))


@pytest.mark.parametrize("ending", FORMATS)
def test_names_and_numbers_survive_a_round_trip(tmp_path, ending):
    if ending != "csv":
        pytest.importorskip("pyarrow")
    rows = [
        Row('a "b", c\n.png', 1 / 3, 0.1, "in"),
        Row("ä/ö.png", 1e-300, 1.0, "out"),
        Row("i.png", float("inf"), 0.5, "in", 12345678901, 1234567890123456789),
        *(Row(f"{mark}{name}", 1.0, 0.5, "in", 1, 2) for mark in FORMULAS for name in ("x.png", "'=1.png")),
        *(Row(f"{quotes}{mark}x", 1.0, 0.5, "in", 1, 2) for quotes in ("'", "''") for mark in ("=", "a", "")),
    ]
    write_rows(tmp_path / f"t.{ending}", rows)
    assert read_rows(tmp_path / f"t.{ending}") == rows
    (tmp_path / f"t.{ending}").write_bytes(b"\x00\x01 no table")
    with pytest.raises(FileError):
        read_rows(tmp_path / f"t.{ending}")
    with pytest.raises(FileError, match="check the path"):
        read_rows(tmp_path / f"none.{ending}")


def test_no_cell_of_a_csv_table_begins_as_a_formula(tmp_path):
    names = [f"{mark}HYPERLINK(1).png" for mark in FORMULAS]
    write_rows(tmp_path / "t.csv", [Row(name, -1.5, 0.5, "in", 1, 2) for name in names])
    with (tmp_path / "t.csv").open(newline="") as stream:
        cells = [row[0] for row in csv.reader(stream)][1:]
    assert cells == [f"'{name}" for name in names]
    assert [row.file for row in read_rows(tmp_path / "t.csv")] == names


def test_without_pyarrow_the_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("separatrix.ood._score_table.find_spec", lambda _name: None)
    with pytest.raises(InputError, match=r"pip install \"separatrix\[arrow\]\""):
        write_rows(tmp_path / "t.parquet", [])
    write_rows(tmp_path / "t.csv", [])
    assert (tmp_path / "t.csv").read_text() == "file,score,p_value,decision,size,mtime_ns\n"


def test_an_image_on_which_the_model_fails_is_named_and_the_others_are_scored(detector, folder, tmp_path, monkeypatch):
    bad = [torch.from_numpy(np.array(Image.open(folder / f"{i}.png"))).float() / 255 for i in (3, 7)]
    honest = type(detector).score
    whole = score_to_table(detector, folder, tmp_path / "whole.csv", fpr=0.2)

    def picky(self, pixels):
        if any(torch.equal(image[0], one) for image in pixels for one in bad):
            raise ArithmeticError("no logarithm of this image")
        return honest(self, pixels)

    monkeypatch.setattr(type(detector), "score", picky)
    run = score_to_table(detector, folder, tmp_path / "t.csv", fpr=0.2)
    assert run.broken == {f"{i}.png": "the model fails on it (no logarithm of this image)" for i in (3, 7)}
    assert run.decisions.unscorable.nonzero().flatten().tolist() == [3, 7]
    others = [i for i in range(10) if i not in (3, 7)]
    assert torch.allclose(run.decisions.scores[others], whole.decisions.scores[others], rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(type(detector), "score", lambda self, pixels: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # not an image is wrong, but the model
        score_to_table(detector, folder, tmp_path / "none.csv", fpr=0.2)
