"""``separatrix doctor``: what it measures on maps with known answers, and the command it ends with."""

from __future__ import annotations

import json
import math
import shlex

import pytest
import torch
from safetensors.torch import save_file

from separatrix.cli._doctor import next_command, on_top
from separatrix.cli._exit_codes import ExitCode
from separatrix.models import BurgessVAE, DenseAutoencoder, save_model
from separatrix.protocol import Protocol
from separatrix.studies._advice import Advice
from separatrix.studies._diagnosis import Throughput


def test_a_contraction_is_measured_exactly(program):
    found = program("doctor", "toy.py:contraction", "--json").json
    assert found["checked"]["ok"] is True
    (scale,) = found["scales"]
    assert scale["ratio"] == pytest.approx(0.5, abs=1e-6)
    assert scale["sigma_in"] == pytest.approx(1.0, abs=0.1)
    assert [slope["radius"] for slope in found["slopes"]] == pytest.approx([0.5] * 8, abs=1e-6)
    assert [slope["norm"] for slope in found["slopes"]] == pytest.approx([0.5] * 8, abs=1e-6)
    assert found["pilot"]["statuses"] == {"CONVERGED": 16}
    assert found["advice"]["preset"] == "default"
    # log 1e-5/log 0.5 = 16.6, but an orbit is judged by its motion, which is sure of it a little later.
    assert found["advice"]["steps"] == math.ceil(found["pilot"]["steps_median"])
    assert 17 <= found["advice"]["steps"] <= 30
    assert found["exit_code"] == 0


def test_what_people_see(program):
    answer = program("doctor", "toy.py:contraction")
    assert answer.code == 0
    assert answer.stderr == ""
    words = " ".join(answer.stdout.split())
    assert "ok deterministic" in words
    assert "σ_out/σ_in = 0.5" in words
    assert "Within 200 steps all 16 pilot orbits reached a limit set of unknown stability." in words
    assert "the median of the pilot orbits (log ε/log ρ gives 17)" in words
    assert (
        "family Python factory: plain functions; this family was tested with: autoencoders in every usual form of output"
        in words
    )
    assert "not tested without --data" in words
    assert "no mismatch seen" not in words
    assert "polishing (a Jacobian, 6 evaluations or more, for each candidate)" in words
    last = answer.stdout.splitlines()[-1]
    assert last.startswith("separatrix attractors toy.py:contraction --protocol default --noise 1000 --batch-size ")


def test_settings_are_checked(program):
    answer = program("doctor", "toy.py:small", "--set", "latent")
    assert answer.code == ExitCode.USAGE
    assert "'latent' is no setting; give NAME=VALUE" in answer.stderr
    answer = program("doctor", "toy.py:small", "--set", "latent=mean")
    assert answer.code == ExitCode.BAD_INPUT
    assert "'Python factory' has no option 'latent'; it takes none" in answer.sentence


def test_what_loading_decided_is_shown_and_handed_on(program, tmp_path):
    folder = tmp_path / "sae"
    folder.mkdir()
    (folder / "cfg.json").write_text(json.dumps({"d_in": 4, "d_sae": 6, "hook_name": "blocks.3"}), encoding="utf-8")
    shapes = {"W_enc": (4, 6), "W_dec": (6, 4), "b_enc": (6,), "b_dec": (4,)}
    save_file({name: torch.full(shape, 0.1) for name, shape in shapes.items()}, folder / "sae_weights.safetensors")
    answer = program("doctor", "sae", "--set", "space=activations", "--samples", "8")
    assert answer.code == 0
    words = " ".join(answer.stdout.split())
    assert (
        "family sparse autoencoder: SparseAutoencoder; this family was tested with: random weights in SAELens' format"
        in words
    )
    assert "are in training mode" not in words
    assert "units activations of the sparse autoencoder at blocks.3" in words
    assert "not tested without --data" in words
    assert "would move f(z) by" in words
    assert "per orbit at the peak of one step" in words
    assert answer.stdout.splitlines()[-1].startswith("separatrix attractors sae --set space=activations --protocol")


def test_the_entry_of_a_tuple_that_is_taken_is_said(program):
    answer = program("doctor", "toy.py:Moments", "--samples", "8")
    assert answer.code == 0
    words = " ".join(answer.stdout.split())
    assert "note outputs encode returned a tuple of 2, of which the first is taken" in words


def test_a_mismatch_of_ranges_is_shown(program, digits, tmp_path):
    (tmp_path / "crossed.py").write_text(
        "import torch, separatrix as sx\n"
        "def make():\n"
        "    return sx.LatentField(lambda x: x.flatten(1), lambda z: 2 * z.reshape(-1, 1, 4, 4) - 1, latent_shape=16)\n"
    )
    answer = program("doctor", "crossed.py:make", "--data", f"{digits}#train", "--samples", "8")
    assert answer.code == 0
    assert "MISMATCH: reconstructions are about 2.00·x -1.00" in " ".join(answer.stdout.split())


def test_the_suggested_command_runs(program, monkeypatch, digits):
    monkeypatch.setattr("separatrix.runs._attractors._planned", lambda _run, _results: {})
    advice = program("doctor", "toy.py:small", "--data", f"{digits}#test", "--size", "4,4", "--latent-shape", "2", "-q")
    assert advice.code == 0
    words = shlex.split(advice.stdout)
    assert words[:2] == ["separatrix", "attractors"]
    assert ["--data", f"{digits}#test"] == words[words.index("--data") :][:2]
    answer = program(*words[1:], "--json")
    assert answer.code == 0
    assert answer.json["starts"]["last"] == 20


def test_data_are_measured_beside_noise(program, digits):
    found = program("doctor", "toy.py:small", "--data", f"{digits}#train", "--json").json
    assert [(scale["where"], scale["samples"]) for scale in found["scales"]] == [("N(0, I)", 256), ("encoded data", 40)]
    assert found["pilot"]["starts"] == "encoded data"


def test_a_bad_model_shows_what_was_found_and_ends_with_the_remedy(program):
    answer = program("doctor", "toy.py:Stochastic")
    assert answer.code == ExitCode.BAD_INPUT
    assert "FAIL" in answer.stdout
    assert "posterior mean instead of a sample" in answer.sentence
    document = program("doctor", "toy.py:Stochastic", "--json").json
    assert document["error"] == answer.sentence
    assert document["exit_code"] == ExitCode.BAD_INPUT
    failed = [finding["name"] for finding in document["checked"]["findings"] if finding["passed"] is False]
    assert failed == ["deterministic"]
    assert document["advice"] is None


def test_a_field_that_goes_nowhere_is_told_so(program):
    found = program("doctor", "toy.py:drift", "--json").json
    assert set(found["pilot"]["statuses"]) == {"DIVERGED"}
    assert any("left every bounded region" in reason for reason in found["advice"]["reasons"])


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (Protocol(), "f itself, up to 3,000 times, and then the leading eigenvalues, for each candidate"),
        (Protocol.paper_foundation(), "does not polish, but the spectrum at each end point comes on top"),
    ],
)
def test_polishing_that_is_not_a_number_of_jacobians_is_put_in_words(rules, words):
    assert words in on_top(Advice("default", rules, None, 60.0, 1000, ()))


class _Found:
    def __init__(self, advice: Advice) -> None:
        self.advice, self.throughput = advice, Throughput(64, 100.0)


def test_the_command_names_what_differs_from_the_preset_and_quotes_what_needs_it():
    rules = Protocol(max_steps=50_000, precision="float64")
    found = _Found(Advice("default", rules, 20_000, 60.0, 1000, ()))
    words = next_command("my model.py:load", {"--data": "x.npz#a"}, found)  # type: ignore[arg-type]
    assert words == (
        "separatrix attractors 'my model.py:load' --data 'x.npz#a' --protocol default --max-steps 50000 "
        "--precision float64 --batch-size 64"
    )
    slow = _Found(Advice("paper-foundation", Protocol.paper_foundation(), None, 1e4, 50, ()))
    assert "--data x --protocol paper-foundation --starts 50" in next_command("m:f", {"--data": "x"}, slow)  # type: ignore[arg-type]
    assert "--protocol paper-foundation --noise 50" in next_command("m:f", {}, slow)  # type: ignore[arg-type]


@pytest.mark.real
def test_a_real_model(program, real_data, tmp_path):
    (tmp_path / "burgess.py").write_text(
        "from separatrix.models import load_burgess_vae\ndef make():\n"
        f"    return load_burgess_vae({str(real_data / 'weights/burgess_vae/betaB_mnist.safetensors')!r})\n"
    )
    source = f"{real_data / 'data/mnist.npz'}#x_test"
    found = program("doctor", "burgess.py:make", "--data", source, "--size", "32", "--samples", "64", "--json").json
    noise, data = found["scales"]
    assert 0.3 < noise["ratio"] < 0.7  # far from the data the map contracts
    assert 0.95 < data["ratio"] < 1.05  # on the data it keeps what it must rebuild
    ends = [slope["radius"] for slope in found["slopes"] if slope["where"] == "where the pilot orbits ended"]
    assert max(ends) < 1
    assert found["advice"]["preset"] == "default"


def test_a_preset_names_its_family_its_range_and_what_was_tried(program, tmp_path):
    save_file(BurgessVAE().state_dict(), tmp_path / "vae.safetensors")
    answer = program("doctor", "burgess/VAE_mnist", "--weights", str(tmp_path / "vae.safetensors"), "--samples", "8")
    assert answer.code == 0
    words = " ".join(answer.stdout.split())
    assert "family Burgess VAE: BurgessVAE; this family was tested with: all ten published checkpoints" in words
    assert "images in [0, 1], passed from the decoder to the encoder as they are" in words
    assert "not far outside the known [0, 1]; reconstructions not tested without --data" in words
    assert "ok eval mode" in words


def test_a_reference_model_that_separatrix_saved_names_its_class(program, tmp_path):
    save_model(DenseAutoencoder((1, 4, 4), 2, hidden=(4,)), tmp_path / "model.safetensors")
    answer = program("doctor", "model.safetensors", "--samples", "8")
    assert answer.code == 0
    words = " ".join(answer.stdout.split())
    assert (
        "family reference autoencoder: DenseAutoencoder; this family was tested with: the reference autoencoders, trained"
        in words
    )
