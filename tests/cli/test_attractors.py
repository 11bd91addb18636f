"""``separatrix attractors``: the numbers of maps with known answers, what it writes, and what it prints."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from separatrix.cli._exit_codes import ExitCode
from separatrix.limitsets import LimitSets
from separatrix.storage import load_result

WELL = 0.957504  # the attractors of tanh(2z), and their multiplier
MULTIPLIER = 0.166372


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes seconds and has tests of its own."""
    monkeypatch.setattr("separatrix.runs._attractors._planned", lambda _run, _results: {})


def test_the_whole_way_on_a_map_with_a_known_answer(program, tmp_path):
    answer = program("attractors", "toy.py:wells", "--box", "-1,1", "--starts", "200", "--out", "here", "--json")
    assert answer.code == 0
    found = answer.json
    assert found["attractors"] == len(found["sets"]) == 4
    assert found["fates"]["attractor"] == found["fates"]["starts"]
    assert sum(row["hits"] for row in found["sets"]) == 200
    for row in found["sets"]:
        assert row["stable"] is True
        assert row["kind"] == "fixed point"
        assert row["spectral_radius"] == pytest.approx(MULTIPLIER, abs=1e-6)
        assert row["share_low"] < 0.25 < row["share_high"]
    assert found["starts"]["low"] == [-1.0]
    assert found["cost"]["map"] > 200
    assert found["exit_code"] == 0

    folder = tmp_path / "here"
    assert Path(found["folder"]).resolve() == folder
    limits = load_result(folder / "limits")
    assert isinstance(limits, LimitSets)
    assert limits.points.abs().flatten().tolist() == pytest.approx([WELL] * 8, abs=1e-6)
    assert limits.hits.tolist() == [row["hits"] for row in found["sets"]]
    written = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert {key: found[key] for key in written} == written
    assert set(found) - set(written) == {"folder", "report", "seconds", "exit_code", "warnings"}
    pictures = {path.name for path in folder.glob("*.png")}
    assert {"field.png", "basins.png", "shares.png", "steps.png", "spectrum.png"} <= pictures
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count('<svg class="drawn"') >= len(pictures)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "toy.py"]


def test_a_plan_alone_tells_what_it_would_cost_and_leaves_nothing(program, tmp_path):
    asked = ("attractors", "toy.py:wells", "--box", "-1,1", "--starts", "400")
    answer = program(*asked, "--plan-only", "--json")
    assert answer.code == 0
    plan = answer.json
    assert plan["type"] == "Forecast"
    assert plan["exit_code"] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["toy.py"]
    found = program(*asked, "--json").json["cost"]
    taken = found["map"] + 2 * found["vjp"] + 4 * found["jvp"]
    assert plan["evaluations"]["low"] <= taken <= plan["evaluations"]["high"]
    told = program(*asked, "--plan-only").stdout
    for words in ("time with 1 worker", "time with 1,000 workers", "memory of a worker", "nine searches of ten"):
        assert words in " ".join(told.split())
    quiet = program(*asked, "--plan-only", "--quiet").stdout
    assert quiet.startswith("About ")
    assert quiet.count("\n") == 1


@pytest.mark.usefixtures("no_figures")
class TestOutput:
    def test_tables_for_people_and_the_path_last(self, program, tmp_path):
        answer = program("attractors", "toy.py:wells", "--box", "-1,1", "--starts", "60")
        assert answer.code == 0
        assert "4 limit sets, all of them attract" in answer.stdout
        rows = re.findall(r"^[A-D] +fixed point .* 0\.1664 +0\.166 .* yes ", answer.stdout, flags=re.M)
        assert len(rows) == 4
        assert "converged" in answer.stdout
        assert "the orbit came to rest at a fixed point" in answer.stdout
        assert "Not trivial" in answer.stdout
        assert re.search(r"Cost of the search: [\d,]+ map evaluations", answer.stdout)
        last = answer.stdout.splitlines()[-1]
        assert last == "runs/toy-wells-1/report.html"
        assert (tmp_path / last).is_file()
        assert answer.stderr == ""

    def test_quiet_prints_the_path_alone(self, program):
        answer = program("attractors", "toy.py:contraction", "--noise", "20", "--quiet")
        assert answer.stdout == "runs/toy-contraction-1/report.html\n"
        assert answer.stderr == ""

    def test_runs_are_numbered_and_never_overwritten(self, program, tmp_path):
        for number in (1, 2, 3):
            answer = program("attractors", "toy.py:contraction", "--noise", "20", "-q")
            assert answer.stdout == f"runs/toy-contraction-{number}/report.html\n"
        assert len(list((tmp_path / "runs").iterdir())) == 3

    def test_an_existing_folder_is_kept_unless_it_is_an_earlier_run_and_may_go(self, program, tmp_path):
        arguments = ("attractors", "toy.py:contraction", "--out", "mine", "--quiet", "--noise")
        assert program(*arguments, "20").code == 0
        before = (tmp_path / "mine" / "summary.json").read_bytes()
        refused = program(*arguments, "30")
        assert refused.code == ExitCode.BAD_INPUT
        assert "add --overwrite" in refused.sentence
        assert (tmp_path / "mine" / "summary.json").read_bytes() == before
        assert program(*arguments, "30", "--overwrite").code == 0
        assert (tmp_path / "mine" / "summary.json").read_bytes() != before

    @pytest.mark.parametrize("content", [None, "{}", '{"kind": "separatrix demo"}', "not json"])
    def test_overwrite_touches_nothing_but_earlier_runs(self, program, tmp_path, content):
        (tmp_path / "thesis").mkdir()
        (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
        if content is not None:
            (tmp_path / "thesis" / "summary.json").write_text(content)
        answer = program("attractors", "toy.py:contraction", "--out", "thesis", "--overwrite")
        assert answer.code == ExitCode.BAD_INPUT
        assert "not an earlier run" in answer.sentence
        assert (tmp_path / "thesis" / "chapter.tex").read_text() == "years of work"

    def test_an_empty_outcome_is_exit_code_3_and_says_why(self, program, tmp_path):
        answer = program("attractors", "toy.py:drift", "--noise", "20", "--max-steps", "100", "--out", "lost")
        assert answer.code == 3
        assert "No limit set was found." in answer.stdout
        assert re.search(r"diverged +20 +100 % .*start nearer to encoded data", answer.stdout)
        assert "nothing can be said" in answer.stdout
        assert (tmp_path / "lost" / "report.html").is_file()
        record = program("attractors", "toy.py:drift", "--noise", "20", "--max-steps", "100", "--json")
        assert record.code == record.json["exit_code"] == 3
        assert record.json["fates"]["limit_set"] == 0

    def test_remedies_name_options(self, program):
        answer = program("attractors", "toy.py:contraction", "--noise", "20", "--max-steps", "3", "--std", "2")
        assert answer.code == 3
        assert "raise --max-steps" in " ".join(answer.stdout.split())
        assert "max_steps" not in answer.stdout

    def test_a_set_seen_once_is_a_reason_for_more_starts(self, program):
        few = program("attractors", "toy.py:wells", "--noise", "2").stdout
        many = program("attractors", "toy.py:wells", "--noise", "200").stdout
        assert "reached by a single start" in few
        assert "reached by a single start" not in many

    def test_library_warnings_are_single_lines(self, program):
        answer = program("attractors", "toy.py:Dropping", "--noise", "20")
        assert answer.code == 0
        (line,) = answer.stderr.splitlines()
        assert line.startswith("warning: ")
        assert "training mode" in line
        assert "Warning" not in line.removeprefix("warning")
        record = program("attractors", "toy.py:Dropping", "--noise", "20", "--json").json
        assert record["warnings"] == [line.removeprefix("warning: ")]


@pytest.mark.usefixtures("no_figures")
class TestOptions:
    def test_data_and_training_images_give_a_verdict(self, program, digits):
        answer = program(
            "attractors", "toy.py:small", "--data", f"{digits}#test", "--starts", "15", "--train", f"{digits}#train",
            "--held-out", f"{digits}#test", "--json",
        )  # fmt: skip
        found = answer.json
        assert found["starts"]["kind"] == "encoded"
        assert found["starts"]["last"] == 15
        assert found["starts"]["data"]["shape"] == [20, 4, 4]
        # One point takes everything in a few steps: nothing may be read into its likeness to an image.
        assert found["resemblance"]["outcome"] == "trivial field"
        assert found["resemblance"]["train"] == 40
        assert found["resemblance"]["held_out"] == 20

    def test_the_verdict_stands_below_the_numbers(self, program, digits):
        data = f"{digits}#train"
        out = program("attractors", "toy.py:small", "--data", data, "--train", data).stdout
        assert out.count("Trivial: one point takes") == 1
        assert out.index("Cost of the search") < out.index("Trivial: one point takes") < out.index("What would change")

    def test_images_are_resized_for_data_and_training_images_alike(self, program, tmp_path):
        import numpy as np

        np.save(tmp_path / "large.npy", np.random.default_rng(0).random((10, 8, 8)))
        answer = program("attractors", "toy.py:small", "--data", "large.npy", "--train", "large.npy")
        assert answer.code == ExitCode.BAD_INPUT
        assert answer.sentence.endswith("add --size 4,4.")
        assert not (tmp_path / "runs" / "toy-small-1").exists()
        resized = program("attractors", "toy.py:small", "--data", "large.npy", "--train", "large.npy", "--size", "4,4")
        assert resized.code == 0

    def test_training_images_of_another_shape_are_found_out_before_the_search(self, program, tmp_path):
        import numpy as np

        np.save(tmp_path / "large.npy", np.random.default_rng(0).random((10, 8, 8)))
        answer = program("attractors", "toy.py:late_failure", "--train", "large.npy")
        assert answer.code == ExitCode.BAD_INPUT  # and not 70, which is how that model ends a search
        assert "training images have shape 1×8×8 and the model makes 2" in answer.sentence

    def test_a_box_per_coordinate(self, program):
        found = program(
            "attractors", "toy.py:wells", "--box", "0.1,1", "--box", "-1,-0.1", "--starts", "50", "--json"
        ).json
        assert found["starts"]["low"] == [0.1, -1.0]
        assert found["starts"]["high"] == [1.0, -0.1]
        assert [row["hits"] for row in found["sets"]] == [50]

    def test_noise_its_width_and_its_seed(self, program):
        def starts(*options):
            return program("attractors", "toy.py:contraction", "--json", *options).json["starts"]

        assert starts("--noise", "30", "--seed", "5", "--std", "2.5").items() >= {
            "kind": "gaussian", "std": 2.5, "seed": 5, "first": 0, "last": 30,
        }.items()  # fmt: skip
        assert starts()["last"] == 1000

    def test_the_same_seed_gives_the_same_numbers_whatever_the_batch_size(self, program):
        def numbers(*options):
            found = program("attractors", "toy.py:wells", "--noise", "50", "--json", *options).json
            return [(row["hits"], row["spectral_radius"], row["steps_median"]) for row in found["sets"]]

        assert numbers("--seed", "3") == numbers("--seed", "3", "--batch-size", "7")
        assert numbers("--seed", "3") != numbers("--seed", "4")

    def test_the_protocol_is_the_preset_with_what_was_asked_for(self, program):
        def rules(*options):
            found = program("attractors", "toy.py:contraction", "--noise", "10", "--json", *options).json
            return found["protocol"]

        assert rules()["stop"] == "error"
        assert rules("--protocol", "paper").items() >= {
            "stop": "squared_step", "tolerance": 1e-6, "max_steps": 3000, "merge": "cosine", "polish": False,
        }.items()  # fmt: skip
        assert rules("--protocol", "paper-foundation").items() >= {"tolerance": 1e-5, "max_steps": 500}.items()
        changed = rules("--max-steps", "77", "--tolerance", "1e-3", "--precision", "float64")
        assert (
            changed.items() >= {"max_steps": 77, "tolerance": 1e-3, "precision": "float64", "merge": "distance"}.items()
        )
        assert rules("--parts", "20", "--under-way", "64")["rounds"] == {
            "most_under_way": 64,
            "parts": 20,
            "least_in_a_part": 32,
        }

    def test_sensitivity_counts_by_other_rules_too(self, program):
        without = program("attractors", "toy.py:wells", "--noise", "40", "--json").json
        assert without["sensitivity"] is None
        arguments = ("attractors", "toy.py:wells", "--noise", "40", "--sensitivity")
        found = program(*arguments, "--json").json["sensitivity"]
        assert found["stable"] is True
        assert [row["count"] for row in found["rows"][:3]] == [4, 4, 4]
        assert "The count does not change" in program(*arguments).stdout

    def test_weights_and_the_shape_of_a_latent(self, program, tmp_path):
        import sys

        import torch
        from safetensors.torch import save_file

        from separatrix.models import load

        assert program("attractors", "toy.py:Silent", "--noise", "10", "--latent-shape", "2").code == 0
        weights = load("toy.py:small").modules[0].state_dict()
        save_file({name: torch.zeros_like(tensor) for name, tensor in weights.items()}, tmp_path / "zero.safetensors")
        found = program("attractors", "toy.py:small", "--weights", "zero.safetensors", "--noise", "10", "--json").json
        assert [row["spectral_radius"] for row in found["sets"]] == [0.0]
        assert str(tmp_path) not in sys.path


@pytest.mark.real
@pytest.mark.usefixtures("no_figures")
def test_a_real_model_from_its_factory(program, real_data, tmp_path):
    weights = real_data / "weights" / "burgess_vae" / "betaB_dsprites.safetensors"
    (tmp_path / "burgess.py").write_text(
        "from separatrix.models import BurgessVAE\ndef make():\n    return BurgessVAE((1, 64, 64))\n"
    )
    found = program("attractors", "burgess.py:make", "--weights", str(weights), "--noise", "50", "--json").json
    # DATA.md: 200 of 200 encodings converged, to one end point.
    assert found["attractors"] == 1
    assert found["fates"]["attractor"] == found["fates"]["starts"]
    assert 0 <= found["sets"][0]["spectral_radius"] < 1
    assert found["sets"][0]["residual"] < 1e-12


@pytest.mark.real
@pytest.mark.usefixtures("no_figures")
def test_real_images_for_a_real_model(program, real_data, tmp_path):
    (tmp_path / "burgess.py").write_text(
        "from separatrix.models import load_burgess_vae\ndef make():\n"
        f"    return load_burgess_vae({str(real_data / 'weights/burgess_vae/betaB_mnist.safetensors')!r})\n"
    )
    source = f"{real_data / 'data/mnist.npz'}#x_test"
    refused = program("attractors", "burgess.py:make", "--data", source, "--starts", "40")
    assert refused.code == ExitCode.BAD_INPUT
    assert refused.sentence.endswith("add --size 32,32.")
    found = program("attractors", "burgess.py:make", "--data", source, "--starts", "40", "--size", "32", "--json").json
    assert found["fates"]["attractor"] == found["fates"]["starts"]
    assert 10 <= found["attractors"] <= 40
    assert all(row["spectral_radius"] < 1 for row in found["sets"] if row["stable"])
