"""Bad input: one sentence with the remedy, the right exit code, no traceback, nothing half-written."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from separatrix.cli._exit_codes import ExitCode

_ERRORS = {  # name: (arguments after `attractors`, words that the sentence must contain)
    "shapes that do not close": (
        ["toy.py:shapes_that_do_not_close"],
        ["Encode does not accept what decode returns, shape (4, 1, 4, 5)", "resize or convert"],
    ),
    "an encoder that returns a tuple": (["toy.py:Tuple"], ["encode returned a tuple", "[0]"]),
    "an encoder that returns a distribution": (["toy.py:Distribution"], ["encode returned a Normal", ".mean"]),
    "NaN weights": (["toy.py:nan_weights"], ["NaN in down.weight", "give it other weights"]),
    "a stochastic encoder": (["toy.py:Stochastic"], ["draws random numbers", "posterior mean instead of a sample"]),
    "a latent without dimensions": (["toy.py:no_latent"], ["latent_shape", "at least 1"]),
    "no latent shape": (["toy.py:Silent"], ["give --latent-shape, such as --latent-shape 4,8,8"]),
    "a latent shape that is not the decoder's": (
        ["toy.py:small", "--latent-shape", "3"],
        ["Decode does not accept latents of shape (4, 3)", "give the --latent-shape that the decoder was built for"],
    ),
    "a latent shape that the model contradicts": (
        ["toy.py:wells", "--latent-shape", "3"],
        ["has latents of shape (2,), not (3,)", "leave --latent-shape out"],
    ),
    "no such file": (["missing.py:load"], ["missing.py does not exist", "check the path"]),
    "no such factory": (["toy.py:wels"], ["toy.py has no 'wels'", "did you mean wells"]),
    "no such module": (["nowhere.to.be:found"], ["No module 'nowhere'", "check the spelling"]),
    "no factory named": (["toy.py"], ["lacks the factory", "path/to/file.py:factory"]),
    "a factory that raises": (["toy.py:raises"], ["raised RuntimeError: no licence key", "call it in plain Python"]),
    "no such device": (["toy.py:small", "--device", "toaster"], ["'toaster' is not available", "use 'cpu'"]),
    "text named as safetensors": (["text.safetensors"], ["damaged or incomplete", "download it again"]),
    "text named as weights": (["toy.py:small", "--weights", "text.safetensors"], ["damaged or incomplete"]),
    "weights without a model": (["bare.pt"], ["give the model as package.module:factory", "--weights bare.pt"]),
    "an empty folder": (["toy.py:small", "--data", "empty"], ["empty contains no pictures", "check the path"]),
    "no such data": (["toy.py:small", "--data", "nowhere.npz"], ["no file or folder nowhere.npz", "check the path"]),
    "text named as .npz": (["toy.py:small", "--data", "text.npz"], ["text.npz"]),
    "an archive without arrays": (["toy.py:small", "--data", "no_images.npz"], ["no_images.npz", "no array of images"]),
    "two arrays to choose from": (["toy.py:small", "--data", "two.npz"], ["several arrays", "two.npz#a"]),
    "a pickled .npy": (["toy.py:small", "--data", "pickled.npy"], ["pickled Python objects", "np.save"]),
    "a pickle": (["toy.py:small", "--data", "pickle.npy"], ["is a pickle", "numpy.save"]),
    "an empty file": (["toy.py:small", "--data", "empty.npy"], ["is an empty file", "download or write it again"]),
    "data of another shape": (["toy.py:small", "--data", "large.npy"], ["1×8×8", "1×4×4", "add --size 4,4"]),
    "training data in an empty folder": (
        ["toy.py:small", "--train", "empty"],
        ["empty contains no pictures", "check the path"],
    ),
    "a tolerance that is not positive": (["toy.py:small", "--tolerance", "-1"], ["--tolerance must be a positive"]),
    "a width that is not positive": (["toy.py:small", "--std", "0"], ["std must be positive"]),
    "a box of another dimension": (
        ["toy.py:small", "--box", "0,1", "--box", "0,1", "--box", "0,1"],
        ["3 entries", "one number for all of them or one for each"],
    ),
}

_USAGE = {  # the parser's own complaints and those that are like them
    "an unknown option": (["toy.py:small", "--nois", "5"], ["--nois", "--noise", "separatrix attractors --help"]),
    "no model": ([], ["MODEL", "separatrix attractors --help"]),
    "negative noise": (["toy.py:small", "--noise", "-5"], ["'--noise'", "greater than or equal to 1"]),
    "no starts": (["toy.py:small", "--box", "0,1", "--starts", "0"], ["'--starts'"]),
    "a noise of words": (["toy.py:small", "--noise", "lots"], ["'--noise'"]),
    "an empty latent": (["toy.py:small", "--latent-shape", "0"], ["'0' is not a shape", "such as 32 or 4,8,8"]),
    "a latent shape of words": (["toy.py:small", "--latent-shape", "wide,high"], ["'wide,high' is not a shape"]),
    "a negative latent shape": (["toy.py:small", "--latent-shape", "4,-8"], ["'4,-8' is not a shape"]),
    "a box inside out": (["toy.py:small", "--box", "1,-1"], ["'1,-1' is not an interval", "such as -2,2"]),
    "half a box": (["toy.py:small", "--box", "1"], ["'1' is not an interval"]),
    "a box without end": (["toy.py:small", "--box", "0,inf"], ["'0,inf' is not an interval"]),
    "a size of words": (["toy.py:small", "--data", "large.npy", "--size", "big"], ["'big' is not a size"]),
    "an unknown protocol": (["toy.py:small", "--protocol", "mine"], ["'--protocol'", "paper"]),
    "two kinds of starts": (
        ["toy.py:small", "--noise", "5", "--box", "0,1"],
        ["--noise also says", "give one of them"],
    ),
    "starts of nothing": (["toy.py:small", "--starts", "5"], ["give --noise N"]),
    "held-out images alone": (["toy.py:small", "--held-out", "large.npy"], ["give --train too"]),
    "a size without images": (["toy.py:small", "--size", "4"], ["give --data or --train"]),
    "a negative seed": (["toy.py:small", "--seed", "-1"], ["'--seed'"]),
}

_CASES = [
    *(pytest.param(*case, ExitCode.BAD_INPUT, id=name) for name, case in _ERRORS.items()),
    *(pytest.param(*case, ExitCode.USAGE, id=name) for name, case in _USAGE.items()),
]


@pytest.fixture
def clutter(tmp_path: Path) -> Path:
    """A folder of files that are not what they seem."""
    (tmp_path / "text.safetensors").write_text("these are not the tensors you are looking for")
    (tmp_path / "text.npz").write_text("nor these the images")
    (tmp_path / "bare.pt").write_bytes(b"PK\x03\x04")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.npy").touch()
    np.savez(tmp_path / "no_images.npz", names=np.array(["a", "b"]))
    np.savez(tmp_path / "two.npz", a=np.zeros((3, 4, 4)), b=np.zeros((3, 4, 4)))
    np.save(tmp_path / "large.npy", np.random.default_rng(0).random((10, 8, 8)))
    np.save(tmp_path / "pickled.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps([1, 2, 3]))
    return tmp_path


def _everything_in(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }


@pytest.mark.parametrize(("arguments", "words", "code"), _CASES)
def test_one_sentence_and_nothing_on_disk(program, clutter, arguments, words, code):
    before = _everything_in(clutter)
    answer = program("attractors", *arguments)
    assert answer.code == code
    for word in words:
        assert word in answer.sentence
    assert len(answer.stderr.splitlines()) == 1
    assert _everything_in(clutter) == before


@pytest.mark.parametrize(("arguments", "words", "code"), _CASES)
def test_the_same_as_json(program, clutter, arguments, words, code):
    answer = program("attractors", *arguments, "--json")
    assert answer.code == code
    assert answer.json["error"] == answer.sentence
    assert answer.json["exit_code"] == code
    assert all(word in answer.json["error"] for word in words)


@pytest.mark.parametrize("name", [name for name, (arguments, _) in _ERRORS.items() if len(arguments) == 1])
def test_the_doctor_says_the_same_about_a_bad_model(program, clutter, name):
    arguments, words = _ERRORS[name]
    answer = program("doctor", *arguments)
    assert answer.code == ExitCode.BAD_INPUT
    assert all(word in answer.sentence for word in words)


def test_a_mistaken_command(program):
    answer = program("atractors", "toy.py:small")
    assert answer.code == ExitCode.USAGE
    assert answer.sentence == "No such command 'atractors'; did you mean 'attractors'?"


def test_traceback_is_shown_on_request_at_either_place(program):
    for arguments in (("--traceback", "attractors", "toy.py:raises"), ("attractors", "toy.py:raises", "--traceback")):
        answer = program(*arguments)
        assert answer.code == ExitCode.BAD_INPUT
        assert "Traceback (most recent call last)" in answer.stderr
        assert "no licence key" in answer.stderr
        assert answer.stderr.splitlines()[-1].startswith("error: ")


def test_an_error_that_nobody_expected_is_called_a_bug(program, tmp_path):
    answer = program("attractors", "toy.py:late_failure", "--noise", "20", "--out", "here")
    assert answer.code == 70
    assert "KeyError: 'the twenty-first call'" in answer.sentence
    assert "bug" in answer.sentence
    assert "--traceback" in answer.sentence
    assert [path.name for path in tmp_path.iterdir() if path.name != "toy.py"] == []
    shown = program("attractors", "toy.py:late_failure", "--noise", "20", "--traceback")
    assert shown.code == 70
    assert "in function" in shown.stderr
    assert "report it with the traceback above" in shown.stderr
