"""``separatrix demo``: the table and the path; what the demo itself does has tests of its own."""

from __future__ import annotations

import json

import pytest

from separatrix.cli._exit_codes import ExitCode


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """One quick demo for all tests of this file: what it printed, as tables and as JSON, and its folder."""
    from typer.testing import CliRunner

    from separatrix import runs as library
    from separatrix.cli._app import app

    folder = tmp_path_factory.mktemp("demo") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("separatrix.runs._demo._planned", lambda *_: {})
        found = []
        run = library.demo
        patch.setattr(library, "demo", lambda *args, **options: found.append(run(*args, **options)) or found[0])
        tables = CliRunner().invoke(app, ["demo", "--quick", "--out", str(folder), "--seed", "1"])
        patch.setattr(library, "demo", lambda *_, **__: found[0])
        document = CliRunner().invoke(
            app, ["demo", "--quick", "--out", str(folder), "--seed", "1", "--json", "--overwrite"]
        )
    return tables, document, folder


def test_one_row_per_model_and_the_path_last(shown):
    tables, document, folder = shown
    assert tables.exit_code == 0
    assert tables.stderr == ""
    assert tables.stdout.splitlines()[-1] == str(folder / "explorer.html")
    record = json.loads(document.stdout)
    words = " ".join(tables.stdout.split())
    assert str(folder / "report.html") in "".join(tables.stdout.split())
    for model in record["models"]:
        assert f"{model['train_error']:.4f} / {model['unseen_error']:.4f}" in words
    assert " ".join(record["verdict"].split()) in words


def test_the_document(shown):
    _, document, folder = shown
    assert document.exit_code == 0
    record = json.loads(document.stdout)
    assert record["report"] == str(folder / "report.html")
    assert record["explorer"] == str(folder / "explorer.html")
    assert record["seed"] == 1
    for model in record["models"]:
        if model["attractors"]:
            assert 0 <= model["spectral_radius"]["lowest"] <= model["spectral_radius"]["highest"] < 1


def test_it_never_overwrites_what_is_no_demo(program, tmp_path):
    (tmp_path / "separatrix-demo").mkdir()
    (tmp_path / "separatrix-demo" / "notes.txt").write_text("mine")
    refused = program("demo", "--quick")
    assert refused.code == ExitCode.BAD_INPUT
    assert "separatrix-demo already exists" in refused.sentence
    assert program("demo", "--quick", "--overwrite").code == ExitCode.BAD_INPUT
    assert (tmp_path / "separatrix-demo" / "notes.txt").read_text() == "mine"
