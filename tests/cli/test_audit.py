"""``separatrix audit`` as a continuous-integration job would use it: three exit codes, and the files that explain them."""

from __future__ import annotations

import numpy as np
import pytest

from separatrix import load_result
from separatrix.cli.exit_codes import ExitCode

MEMORY = '''
import numpy as np
import torch
import separatrix as sx

STORED = torch.from_numpy(np.load("train.npy")[:6, None])


def step(stored):
    def f(z):
        distance = (z[:, None] - stored.to(z)[None]).flatten(2).square().sum(dim=2)
        weights = torch.softmax(-200.0 * distance, dim=1)
        return 0.9 * z + 0.1 * (weights @ stored.to(z).flatten(1)).reshape(z.shape)
    return sx.LatentField.from_map(f, latent_shape=(1, 4, 4), dtype=torch.float64)


def memory():
    """Stores six of the twelve training images."""
    return step(STORED)


def other():
    """Stores six images that nobody has seen."""
    return step(torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(9), dtype=torch.float64))
'''


@pytest.fixture
def audited(program, tmp_path):
    """The program in a folder with data and two memories; ``audited(model, *options)``."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "train.npy", rng.random((12, 4, 4)))
    np.save(tmp_path / "held_out.npy", rng.random((200, 4, 4)))
    (tmp_path / "memories.py").write_text(MEMORY, encoding="utf-8")

    def run(model: str, *options: str):
        return program("audit", f"memories.py:{model}", *options)

    return run


DATA = ("--train", "train.npy", "--held-out", "held_out.npy", "--noise", "16")


def test_within_exceeded_and_cannot_say_are_three_exit_codes(audited, tmp_path):
    exceeded = audited("memory", *DATA, "--out", "a", "--json")
    assert exceeded.code == ExitCode.EXCEEDED == 1
    found = exceeded.json
    assert found["decision"] == "budget exceeded"
    assert found["given_back"] == {"share": 0.5, "low": 0.5, "high": 0.5, "sampled": 12, "images": [0, 1, 2, 3, 4, 5]}
    assert found["exit_code"] == 1
    assert audited("memory", *DATA, "--budget", "0.5", "--out", "b").code == ExitCode.OK
    assert audited("other", *DATA, "--budget", "0", "--out", "c").code == ExitCode.OK
    unsure = audited("other", *DATA, "--sample", "8", "--out", "d")
    assert unsure.code == ExitCode.CANNOT_SAY == 2
    assert "381 would do" in " ".join(unsure.stdout.split())
    assert {path.name for path in tmp_path.iterdir()} >= {"a", "b", "c", "d"}


def test_the_folder_explains_the_decision(audited, tmp_path):
    answer = audited("memory", *DATA, "--out", "run")
    assert "Budget exceeded: 6 of all 12 training images are given back" in " ".join(answer.stdout.split())
    assert answer.stdout.splitlines()[-1] == "run/report.html"
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    for words in ("The riskiest attractors", "uniform noise", "What this audit does not see", "Budget exceeded"):
        assert words in page
    card = (tmp_path / "run" / "model_card.md").read_text(encoding="utf-8")
    assert card.startswith("## Memorization\n")
    assert "**Budget exceeded.** 6 of all 12" in card
    assert len(load_result(tmp_path / "run" / "limits").attractors) == 6
    assert audited("memory", *DATA, "--out", "run").code == ExitCode.BAD_INPUT  # nothing is replaced unasked
    assert audited("memory", *DATA, "--out", "run", "--overwrite").code == ExitCode.EXCEEDED


def test_without_data_noise_shows_what_it_reaches_and_suspects_are_looked_for(audited, tmp_path):
    free = audited("memory", "--data-free", "--noise", "64", "--out", "free", "--json")
    assert free.code == ExitCode.OK
    assert free.json["attractors"] == 6
    assert any("Nothing is said about memorization" in sentence for sentence in free.json["cannot"])
    caught = audited(
        "memory", "--data-free", "--noise", "64", "--suspects", "train.npy", "--held-out", "held_out.npy", "--out", "s"
    )
    assert caught.code == ExitCode.EXCEEDED
    assert "Evidence of memorization: 6 of 6 attractors" in " ".join(caught.stdout.split())
    alone = audited("memory", "--data-free", "--noise", "64", "--suspects", "train.npy", "--out", "t")
    assert alone.code == ExitCode.CANNOT_SAY


def test_without_data_there_is_a_card_that_says_what_cannot_be_concluded(audited, tmp_path):
    audited("memory", "--data-free", "--noise", "64", "--out", "free")
    card = (tmp_path / "free" / "model_card.md").read_text(encoding="utf-8")
    assert card.startswith("## Memorization\n")
    assert "Looked at: 6 attractors of 64 noise starts.\n" in card
    assert "What cannot be concluded:\n\n* That a picture is smooth" in card
    options = ("--suspects", "train.npy", "--held-out", "held_out.npy", "--alpha", "0.02", "--distance", "euclidean")
    answer = audited("memory", "--data-free", "--noise", "64", *options, "--out", "s", "--json")
    assert answer.json["resemblance"]["distance"] == "euclidean"
    card = (tmp_path / "s" / "model_card.md").read_text(encoding="utf-8")
    assert "compared with 12 suspected images" in card
    assert "6 of 6 attractors come closer to one suspected image than unseen images do" in card
    assert "false discovery rate 0.02" in card
    page = (tmp_path / "s" / "report.html").read_text(encoding="utf-8")
    assert "closer to one suspected image" in page
    assert "the suspected images are meant" in page


def test_what_only_noise_reaches_is_on_the_page_and_in_the_record(audited, tmp_path):
    answer = audited("memory", *DATA, "--sample", "3", "--noise", "64", "--out", "run", "--json")
    noise = answer.json["noise_only"]
    followed = answer.json["sources"]["train"]["attractors"]
    assert noise["attractors"] == 6 - followed > 0
    assert noise["gives_back"] == [True] * noise["attractors"]
    assert sorted(noise["nearest"]) == noise["images_by_noise_alone"]
    assert answer.json["given_back"]["images"] == [0, 1, 2, 3, 4, 5]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Attractors that only noise reaches" in page
    assert noise["sentence"] in page


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--train", "train.npy"), "needs training and held-out images"),
        (("--data-free", "--train", "train.npy"), "it looks at noise alone"),
        ((*DATA, "--suspects", "train.npy"), "give --data-free too"),
        (("--data-free", "--held-out", "held_out.npy"), "give --suspects too"),
        (("--data-free", "--budget", "0"), "it is about training images; leave it out"),
        (("--data-free", "--sample", "1000"), "it is about training images; leave it out"),
        (("--data-free", "--distance", "cosine"), "leave it out, or give --suspects"),
        (("--data-free", "--size", "4,4"), "leave it out, or give --suspects"),
    ],
)
def test_what_cannot_be_combined(audited, tmp_path, options, words):
    before = sorted(tmp_path.iterdir())
    answer = audited("memory", *options)
    assert answer.code == ExitCode.USAGE
    assert words in answer.sentence
    assert sorted(tmp_path.iterdir()) == before


def test_images_of_another_shape_are_found_out_before_the_search(audited, tmp_path):
    np.save(tmp_path / "large.npy", np.random.default_rng(1).random((5, 8, 8)))
    answer = audited("memory", "--train", "large.npy", "--held-out", "held_out.npy")
    assert answer.code == ExitCode.BAD_INPUT
    assert "training images have shape" in answer.sentence
    assert not (tmp_path / "runs").exists()
