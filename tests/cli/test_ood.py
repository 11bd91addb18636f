"""``separatrix ood``: from a folder of pictures to a table of decisions, and a monitor on it."""

from __future__ import annotations

import csv
import io
import json
import re
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from separatrix.cli._app import app
from separatrix.cli._exit_codes import ExitCode
from separatrix.ood._score_table import parsed_rows

FIT = (
    "ood",
    "fit",
    "toy.py:small",
    "--data",
    "train.npy",
    "--out",
    "detector",
    "--detector",
    "mahalanobis",
    "--no-check",
)
SCORE = ("ood", "score", "detector", "toy.py:small", "pictures", "--out", "scores.csv", "--fpr", "0.05")


@pytest.fixture
def place(program, tmp_path):
    """Training images, and a folder with twenty like them, five that are white, and a broken one."""
    generator = np.random.default_rng(0)
    train = generator.integers(90, 166, (200, 4, 4)).astype(np.uint8)
    np.save(tmp_path / "train.npy", train)
    (tmp_path / "pictures" / "odd").mkdir(parents=True)
    for index, image in enumerate(generator.integers(90, 166, (20, 4, 4)).astype(np.uint8)):
        Image.fromarray(image).save(tmp_path / f"pictures/{index:02d}.png")
    for index in range(5):
        Image.fromarray(np.diag([255] * 4).astype(np.uint8)).save(tmp_path / f"pictures/odd/{index}.png")
    (tmp_path / "pictures" / "broken.png").write_bytes(b"no picture")
    return tmp_path


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_fit_score_monitor(program, place):
    fitted = program(*FIT)
    assert fitted.code == 0
    assert fitted.stdout.splitlines()[-1] == "detector"
    assert "100 held-out scores" in fitted.stdout
    assert sorted(path.name for path in (place / "detector").iterdir()) == [
        "detector.json",
        "detector.safetensors",
        "manifest.json",
    ]

    scored = program(*SCORE)
    assert scored.code == 0
    assert "warning: broken.png is unscorable" in scored.stderr
    table = rows(place / "scores.csv")
    assert list(table[0]) == ["file", "score", "p_value", "decision", "size", "mtime_ns"]
    decisions = {row["file"]: row["decision"] for row in table}
    assert len(decisions) == 26
    assert {decisions[f"odd/{index}.png"] for index in range(5)} == {"out"}
    assert decisions["broken.png"] == "unscorable"
    assert sum(decisions[f"{index:02d}.png"] == "in" for index in range(20)) >= 15

    watched = program("ood", "monitor", "detector", "scores.csv", "--fpr", "0.05", "--every", "10")
    assert watched.code == ExitCode.OK
    assert watched.stdout.splitlines()[-1].endswith("that is compatible with a stream of ID inputs.")
    assert re.search(r"evidence *\n.* \(cry:\s40\) *\n", watched.stdout), watched.stdout


def test_a_second_run_knows_the_first(program, place):
    program(*FIT)
    program(*SCORE)
    before = (place / "scores.csv").read_text()
    again = program(*SCORE, "--json")
    assert again.json["reused"] == again.json["files"] == 26
    assert (place / "scores.csv").read_text() == before
    other = program(*SCORE[:-1], "0.5", "--json")
    assert other.json["reused"] == 26
    assert other.json["out"] > again.json["out"]


def test_a_report_goes_with_the_table(program, place):
    assert program(*FIT).code == 0
    scored = program(*SCORE, "--report", "page")
    assert scored.code == 0
    assert scored.stdout.splitlines()[-2:] == ["page/report.html", "scores.csv"]
    decisions = [row["decision"] for row in rows(place / "scores.csv")]
    summary = json.loads((place / "page" / "summary.json").read_text(encoding="utf-8"))
    assert (summary["out"], summary["unscorable"]) == (decisions.count("out"), 1)
    page = (place / "page" / "report.html").read_text(encoding="utf-8")
    assert f"<strong>{decisions.count('out')} of 25 scored inputs are called out-of-distribution</strong>" in page
    assert "<li>broken.png: " in page
    before = page
    again = program(*SCORE, "--report", "page", "--json")
    assert again.code == 0
    assert (again.json["reused"], again.json["report"]) == (26, "page/report.html")
    assert (place / "page" / "report.html").read_text(encoding="utf-8") == before
    assert program("report", "page").stdout.strip() == "page/report.html"
    plain = program(*SCORE, "--report", "plain", "--no-figures")
    assert plain.code == 0
    assert not list((place / "plain").rglob("*.png"))
    mixed = program(*SCORE, "--report", "pictures", "--overwrite")
    assert mixed.code == ExitCode.BAD_INPUT
    assert "is read here; choose another place" in mixed.sentence


def test_a_report_goes_with_the_detector(program, place):
    fitted = program(*FIT, "--report", "page")
    assert fitted.code == 0
    assert fitted.stdout.splitlines()[-2:] == ["page/report.html", "detector"]
    page = (place / "page" / "report.html").read_text(encoding="utf-8")
    assert "<strong>The mahalanobis detector was not tested</strong>" in page
    assert "no rate below 0.0099 can be asked for" in page
    assert program("report", "page").stdout.strip() == "page/report.html"
    assert program("runs", "list", ".", "--json").json["runs"][0]["recipe"] == "ood fit"
    assert program(*FIT, "--report", "other").code == ExitCode.USAGE  # the detector is there already
    assert not (place / "other").exists()
    again = program(*FIT, "--report", "page", "--overwrite", "--no-figures", "--json")
    assert again.json["report"] == "page/report.html"
    assert not list((place / "page").glob("*.png"))


def test_one_stray_size_is_named_and_the_rest_is_scored(program, place):
    program(*FIT)
    (place / "pictures" / "broken.png").unlink()
    Image.fromarray(np.zeros((6, 8), np.uint8)).save(place / "pictures" / "000.png")
    scored = program(*SCORE)
    assert scored.code == 0
    assert "warning: 000.png is unscorable" in scored.stderr
    assert "6×8 (height×width) where 4×4 is expected; add --resize" in scored.stderr
    decisions = {row["file"]: row["decision"] for row in rows(place / "scores.csv")}
    assert [name for name, word in decisions.items() if word == "unscorable"] == ["000.png"]
    assert len(decisions) == 26
    mended = program(*SCORE, "--resize", "--json")
    assert (mended.json["unscorable"], mended.json["reused"]) == (0, 25)
    watched = program("ood", "monitor", "detector", "pictures", "--model", "toy.py:small", "--fpr", "0.05", "--json")
    assert (watched.json["inputs"], watched.json["unscorable"]) == (25, 1)


def test_several_sources_and_workers(program, place):
    """Two processes write the same bytes as one, whatever the order of the folders is."""
    program(*FIT)
    (place / "pictures" / "odd").rename(place / "odd")
    (place / "pictures" / "broken.png").unlink()
    score = ("ood", "score", "detector", "toy.py:small")
    assert program(*score, "pictures", "odd", "--out", "one.csv", "--fpr", "0.05").code == 0
    assert program(*score, "odd", "pictures/", "--out", "two.csv", "--fpr", "0.05", "--workers", "2").code == 0
    assert (place / "one.csv").read_bytes() == (place / "two.csv").read_bytes()
    names = [row["file"] for row in rows(place / "one.csv")]
    assert names == [f"odd/{index}.png" for index in range(5)] + [f"pictures/{index:02d}.png" for index in range(20)]


def test_documents(program, place):
    fitted = program(*FIT[:-1], "--json").json
    assert fitted["kind"] == "mahalanobis"
    assert fitted["calibration"] == 100
    assert fitted["smallest_fpr"] == pytest.approx(1 / 101, rel=1e-12)
    assert set(fitted["check"]["auroc"]["mahalanobis"]) == {"constant", "noise", "blurred", "negative"}
    scored = program(*SCORE, "--json").json
    assert scored["in"] + scored["out"] + scored["unscorable"] == 26
    assert list(scored["broken"]) == ["broken.png"]
    watched = program("ood", "monitor", "detector", "scores.csv", "--fpr", "0.05", "--every", "9", "--json").json
    assert [reading["last"] for reading in watched["readings"]] == ["08.png", "17.png", "odd/4.png"]
    assert watched["inputs"] == 25
    assert watched["exit_code"] == 0


def test_the_check_says_which_detector_to_use(program, place):
    answer = program(*FIT[:-1])
    assert answer.code == 0
    assert "mahalanobis" in answer.stdout
    assert "AUROC on inputs that are simpler" in answer.stdout
    chosen = program(*FIT[:6], "auto-detector", "--detector", "auto", "--json").json
    assert chosen["kind"] == chosen["check"]["recommended"]


def test_a_stream_that_has_changed_ends_with_its_own_exit_code(program, place, monkeypatch):
    program(*FIT)
    program(*SCORE)
    lines = (place / "scores.csv").read_text().splitlines(keepends=True)
    strange = [line for line in lines if line.startswith("odd/0")]
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines[0] + "".join(strange * 60)))
    result = CliRunner().invoke(
        app, ["ood", "monitor", "detector", "-", "--fpr", "0.05"], input=lines[0] + "".join(strange * 60)
    )
    assert result.exit_code == ExitCode.EXCEEDED
    assert "60 alarms among 60 inputs" in result.stdout
    nothing = CliRunner().invoke(app, ["ood", "monitor", "detector", "-"], input=lines[0])
    assert nothing.exit_code == ExitCode.CANNOT_SAY


def test_images_are_monitored_too_and_counts_are_kept(program, place):
    program(*FIT)
    arguments = (
        "ood",
        "monitor",
        "detector",
        "pictures",
        "--model",
        "toy.py:small",
        "--fpr",
        "0.05",
        "--state",
        "m.json",
        "--json",
    )
    first, second = program(*arguments).json, program(*arguments).json
    assert (first["inputs"], first["unscorable"]) == (25, 1)
    assert (second["inputs"], second["alarms"]) == (50, 2 * first["alarms"])
    refused = program("ood", "monitor", "detector", "scores.csv", "--fpr", "0.1", "--state", "m.json")
    assert refused.code == ExitCode.BAD_INPUT
    assert "another promise" in refused.sentence


def test_counts_of_a_stream_that_is_stopped_are_kept(program, place, monkeypatch):
    program(*FIT)
    program(*SCORE)
    rows = (place / "scores.csv").read_text().splitlines(keepends=True)

    def stopped(*_, **__):
        yield from parsed_rows(rows[:11], "the stream")
        raise KeyboardInterrupt

    monkeypatch.setattr("separatrix.ood._score_table.parsed_rows", stopped)
    arguments = ("ood", "monitor", "detector", "-", "--fpr", "0.05", "--state", "m.json", "--every", "4")
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code != 0
    assert json.loads((place / "m.json").read_text())["inputs"] == 10


def test_export(program, place):
    pytest.importorskip("onnxruntime")
    program(*FIT)
    arguments = ("ood", "export", "detector", "toy.py:small", "--out", "detector.onnx", "--examples", "train.npy")
    written = program(*arguments, "--json").json
    assert written["parity"] <= 1e-4
    assert written["input_shape"] == [1, 4, 4]
    assert written["bytes"] == (place / "detector.onnx").stat().st_size
    assert program(*arguments).code == ExitCode.USAGE
    assert program(*arguments, "--overwrite").stdout.splitlines()[-1] == "detector.onnx"


MISTAKES = {
    "no such detector": ((*SCORE[:2], "nowhere", *SCORE[3:]), ExitCode.BAD_INPUT, "holds no detector"),
    "another model": ((*SCORE[:3], "toy.py:wells", *SCORE[4:]), ExitCode.BAD_INPUT, "fitted on another model"),
    "no such folder": ((*SCORE[:4], "nowhere", *SCORE[5:]), ExitCode.BAD_INPUT, "nowhere"),
    "no pictures": ((*SCORE[:4], "empty", *SCORE[5:]), ExitCode.BAD_INPUT, "contains no pictures"),
    "another size": ((*SCORE[:4], "large", *SCORE[5:]), ExitCode.BAD_INPUT, "add --resize"),
    "no table": ((*SCORE[:6], "scores.txt"), ExitCode.BAD_INPUT, ".csv, .parquet or .arrow"),
    "a rate of words": ((*SCORE[:-1], "seldom"), ExitCode.USAGE, "5/10000"),
    "a rate above one": ((*SCORE[:-1], "5"), ExitCode.USAGE, "between 0 and 1"),
    "no output": (SCORE[:5], ExitCode.USAGE, "--out"),
    "no training data": ((*FIT[:3], "--out", "other"), ExitCode.USAGE, "--data"),
    "an output that exists": (FIT, ExitCode.USAGE, "--overwrite"),
    "an unknown detector": ((*FIT[:8], "magic"), ExitCode.USAGE, "'--detector'"),
    "too few to check": ((*FIT[:6], "new", "--limit", "20"), ExitCode.BAD_INPUT, "at least 30"),
    "no such table": (("ood", "monitor", "detector", "nowhere.csv"), ExitCode.BAD_INPUT, "There is no table nowhere.csv"),
    "not a table": (("ood", "monitor", "detector", "other.csv"), ExitCode.BAD_INPUT, "other columns"),
    "a delta of two": (("ood", "monitor", "detector", "other.csv", "--delta", "2"), ExitCode.USAGE, "--delta: it is a probability"),
    "resize of a table": (("ood", "monitor", "detector", "other.csv", "--resize"), ExitCode.USAGE, "--model"),
    "no onnx file": (("ood", "export", "detector", "toy.py:small", "--out", "detector.pt"), ExitCode.USAGE, ".onnx"),
    "an unknown command": (("ood", "scores"), ExitCode.USAGE, "score"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "code", "words"), MISTAKES.values(), ids=MISTAKES)
def test_one_sentence_and_nothing_on_disk(program, place, arguments, code, words):
    program(*FIT)
    (place / "empty").mkdir()
    (place / "large").mkdir()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(place / "large" / "0.png")
    (place / "other.csv").write_text("a,b\n1,2\n")
    before = sorted(str(path) for path in place.rglob("*") if "__pycache__" not in path.parts)
    answer = program(*arguments)
    assert answer.code == code
    assert words in answer.sentence
    assert len([line for line in answer.stderr.splitlines() if line.startswith("error")]) == 1
    assert sorted(str(path) for path in place.rglob("*") if "__pycache__" not in path.parts) == before


@pytest.mark.parametrize("command", ["fit", "score", "monitor", "export"])
def test_every_command_teaches(program, command):
    shown = program("ood", command, "--help")
    assert shown.code == 0
    assert f"separatrix ood {command} " in shown.stdout.split("Options")[0].split("Usage", 1)[1].split("\n", 1)[1]
    for option in ("--json", "--quiet", "--traceback"):
        assert option in shown.stdout


def test_the_help_of_a_file_speaks_of_a_file(program):
    export, fit = (program("ood", command, "--help").stdout for command in ("export", "fit"))
    assert "Replace the file if it is there" in export
    assert "folder, and nothing" not in export
    assert "Replace an earlier run in that folder" in fit


def test_without_a_command_it_helps(program):
    shown = program("ood")
    assert shown.code == 0
    assert "separatrix ood score" in shown.stdout
