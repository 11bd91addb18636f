"""``separatrix explore``: a page of a model, and of a run with its model."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
import torch

from separatrix.cli._exit_codes import ExitCode


def test_a_page_of_a_model(program):
    answer = program("explore", "toy.py:wells", "--starts", "64", "-o", "page.html")
    assert answer.code == ExitCode.OK
    assert answer.stdout.splitlines()[-1] == "page.html"
    assert "All 64 starts reached an attractor" in answer.stdout
    again = program("explore", "toy.py:wells", "--starts", "64", "-o", "page.html")
    assert again.code == ExitCode.USAGE
    assert "page.html exists; give another name, or --overwrite" in again.sentence


def test_the_lines_of_python_load_the_model_of_the_page_and_no_other(program, tmp_path):
    """With weights from a file they loaded the module without them: another field, and nothing said so."""
    zeros = {"down.weight": (2, 16), "down.bias": 2, "up.weight": (16, 2), "up.bias": 16}
    torch.save({name: torch.zeros(shape) for name, shape in zeros.items()}, tmp_path / "zero.pt")
    written = []
    for name, options in (("plain", ()), ("weights", ("--weights", "zero.pt")), ("shape", ("--latent-shape", "2"))):
        answer = program("explore", "toy.py:small", "--starts", "4", *options, "-o", f"{name}.html")
        assert answer.code == ExitCode.OK, answer.stderr
        written.append((tmp_path / f"{name}.html").read_text(encoding="utf-8"))
    loaded = "field = sx.load(&#34;toy.py:small&#34;)"
    assert [loaded in page for page in written] == [True, False, False]
    assert all("field = sx.load(…)  # your model" in page for page in written[1:])


def test_a_page_of_a_run_needs_its_model_and_no_other(program):
    assert program("attractors", "toy.py:wells", "--noise", "64", "--no-figures", "--out", "run").code == ExitCode.OK
    alone = program("explore", "run", "-o", "page.html")
    assert alone.code == ExitCode.BAD_INPUT
    assert "in the command line --of MODEL" in alone.sentence
    other = program("explore", "run", "--of", "toy.py:small", "-o", "page.html")
    assert other.code == ExitCode.BAD_INPUT
    assert "is of another model (it differs in model.name" in other.sentence
    right = program("explore", "run", "--of", "toy.py:wells", "-o", "page.html", "--json")
    assert right.json["limit_sets"] >= 4
    assert right.json["model_inside"] is True
    assert right.json["bytes"] > 10_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["toy.py:wells", "-o", "page.txt"], "'page.txt' must end in .html"),
        (["toy.py:wells", "--of", "toy.py:small"], "toy.py:wells is no run; give the model alone"),
        (["toy.py:wells", "--without-model"], "it is about a file; give -o FILE"),
        (["toy.py:wells", "-o", "page.html", "--port", "80"], "a file is not served"),
        (["toy.py:wells", "-o", "page.html", "--no-browser"], "a file is not served"),
    ],
)
def test_what_is_asked_wrongly(program, arguments, words):
    answer = program("explore", *arguments)
    assert answer.code == ExitCode.USAGE
    assert words in answer.sentence


def test_a_run_has_its_starts(program):
    assert program("attractors", "toy.py:wells", "--noise", "16", "--no-figures", "--out", "run").code == ExitCode.OK
    answer = program("explore", "run", "--of", "toy.py:wells", "--starts", "3")
    assert answer.code == ExitCode.USAGE
    assert "a run has its starts already" in answer.sentence


def test_a_taken_port_is_one_sentence_before_anything_is_computed(program):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        answer = program("explore", "no_such_file.py:wells", "--no-browser", "--port", str(port))
    assert answer.code == ExitCode.BAD_INPUT
    assert f"Port {port} of this machine cannot be used" in answer.sentence


def test_without_the_server_s_packages_it_says_what_to_install(program, monkeypatch):
    monkeypatch.setitem(sys.modules, "starlette", None)
    answer = program("explore", "toy.py:wells", "--no-browser")
    assert answer.code == ExitCode.BAD_INPUT
    assert "pip install 'separatrix[live]'" in answer.sentence


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_it_serves_until_it_is_interrupted(program, tmp_path, how):
    """The address is the last line, or in the document; what follows is a sentence on stderr, and the code of all interruptions."""
    process = subprocess.Popen(
        [sys.executable, "-m", "separatrix", "explore", "toy.py:wells", "--starts", "16", "--no-browser", *how],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    said = []
    for line in process.stdout:
        said.append(line)
        if line == "}\n" or line.startswith("http://"):
            break
    url = json.loads("".join(said))["url"] if how else said[-1].strip()
    with urllib.request.urlopen(url) as page:
        assert b"separatrix-live" in page.read()
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate()
    assert (process.returncode, rest) == (ExitCode.INTERRUPTED, "")
    assert errors.startswith("error: Interrupted")
    assert "Traceback" not in errors
