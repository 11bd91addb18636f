"""``separatrix audit`` as a continuous-integration job would use it: three exit codes, and the files that explain them."""

from __future__ import annotations

import html
import re

import numpy as np
import pytest
from PIL import Image

from separatrix import load_result
from separatrix.cli._exit_codes import ExitCode
from separatrix.report._markdown import escaped

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
    """The program in a folder with data and two memories; ``audited(model, *options)``. Only where they are looked at are there figures."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "train.npy", rng.random((12, 4, 4)))
    np.save(tmp_path / "held_out.npy", rng.random((200, 4, 4)))
    (tmp_path / "memories.py").write_text(MEMORY, encoding="utf-8")

    def run(model: str, *options: str, figures: bool = False):
        return program("audit", f"memories.py:{model}", *options, *([] if figures else ["--no-figures"]))

    return run


DATA = ("--train", "train.npy", "--held-out", "held_out.npy", "--noise", "16")


def test_within_exceeded_and_cannot_say_are_three_exit_codes(audited, tmp_path):
    exceeded = audited("memory", *DATA, "--out", "a", "--json")
    assert exceeded.code == ExitCode.EXCEEDED == 1
    found = exceeded.json
    assert (found["decision"], found["code"]) == ("budget exceeded", "exceeded")
    assert (found["resemblance"]["outcome"], found["resemblance"]["code"]) == ("evidence of memorization", "evidence")
    assert (found["fates"]["moving"], found["protocol"]["max_steps"] > 2) == (0, True)
    rows = [0, 1, 2, 3, 4, 5]
    assert found["given_back"] == {
        "share": 0.5, "low": 0.5, "high": 0.5, "sampled": 12, "images": rows, "names": None, "exact": rows,
    }  # fmt: skip
    assert found["exit_code"] == 1
    assert audited("memory", *DATA, "--budget", "0.5", "--out", "b").code == ExitCode.OK
    assert audited("other", *DATA, "--budget", "0", "--out", "c").code == ExitCode.OK
    unsure = audited("other", *DATA, "--sample", "8", "--out", "d")
    assert unsure.code == ExitCode.CANNOT_SAY == 2
    assert "368 would do" in " ".join(unsure.stdout.split())
    assert {path.name for path in tmp_path.iterdir()} >= {"a", "b", "c", "d"}


def test_the_folder_explains_the_decision(audited, tmp_path):
    answer = audited("memory", *DATA, "--out", "run", figures=True)
    assert "Budget exceeded: 6 of all 12 training images are given back" in " ".join(answer.stdout.split())
    assert answer.stdout.splitlines()[-1] == "run/report.html"
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    for words in ("The riskiest attractors", "uniform noise", "What this audit does not see", "Budget exceeded"):
        assert words in page
    card = (tmp_path / "run" / "model_card.md").read_text(encoding="utf-8")
    assert card.startswith("## Memorization\n")
    assert "**Budget exceeded.** 6 of all 12" in card
    assert len(load_result(tmp_path / "run" / "limits").attractors) == 6
    assert audited("memory", *DATA, "--out", "run").code == ExitCode.EXCEEDED  # what is stored is said again
    assert (
        audited("memory", *DATA, "--out", "run", "--seed", "1").code == ExitCode.BAD_INPUT
    )  # nothing is replaced unasked
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
    assert "6 of 6 attractors come closer to one suspected image than 98 % of unseen images do, 6 of them exact" in card
    assert "false discovery rate 0.02" in card
    page = (tmp_path / "s" / "report.html").read_text(encoding="utf-8")
    assert "closer to one suspected image" in page
    assert "nobody has shown that they were trained on" in page
    assert "<figcaption>suspected image</figcaption>" in page
    assert "training image</figcaption>" not in page


def test_what_only_noise_reaches_is_on_the_page_and_in_the_record(audited, tmp_path):
    answer = audited("memory", *DATA, "--sample", "3", "--noise", "64", "--out", "run", "--json")
    noise = answer.json["noise_only"]
    followed = answer.json["sources"]["train"]["attractors"]
    assert noise["attractors"] == 6 - followed > 0
    assert noise["gives_back"] == [True] * noise["attractors"]
    assert sorted(noise["nearest"]) == noise["images_by_noise_alone"]
    assert answer.json["given_back"]["images"] == [0, 1, 2, 3, 4, 5]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Attractors that noise reaches and no training image" in page
    assert noise["sentence"] in page


def test_images_from_a_folder_are_named_wherever_they_have_numbers(audited, tmp_path):
    folder = tmp_path / "photos" / "deep"
    folder.mkdir(parents=True)
    files = [f"{row:02}.png" for row in range(12)]
    files[1] = "01 <img src=x> [a](b) *c*.png"
    for name, pixels in zip(files, np.load(tmp_path / "train.npy"), strict=False):
        Image.fromarray((255 * pixels).round().astype(np.uint8)).save(folder / name)
    names = [f"deep/{name}" for name in files[:6]]
    data = ("--train", "photos", "--held-out", "held_out.npy", "--noise", "64", "--sample", "3")
    found = audited("memory", *data, "--out", "run", "--json").json
    assert found["given_back"]["names"] == names
    assert found["starts"]["data"]["source"] == "photos"
    for row in found["resemblance"]["attractors"]:
        assert row["nearest_name"] == names[row["nearest"]]
    assert found["noise_only"]["nearest_names"] == [names[row] for row in found["noise_only"]["nearest"]]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    card = (tmp_path / "run" / "model_card.md").read_text(encoding="utf-8")
    for row, name in enumerate(names):
        assert f"training image {row} ({html.escape(name)})" in page
        assert escaped(name) in card
    assert "<img src=x>" not in card + page
    assert "deep/06.png" not in card
    suspects = ("--data-free", "--noise", "64", "--suspects", "photos", "--held-out", "held_out.npy")
    free = audited("memory", *suspects, "--out", "free", "--json").json
    assert sorted(row["nearest_name"] for row in free["resemblance"]["attractors"]) == names
    page = (tmp_path / "free" / "report.html").read_text(encoding="utf-8")
    assert "<title>Audit of " in page
    assert "The latent dynamics of" not in page
    card = (tmp_path / "free" / "model_card.md").read_text(encoding="utf-8")
    assert f"* Suspected images found as exact copies: {', '.join(map(escaped, names))}.\n" in card
    assert "<img src=x>" not in card + page
    assert "suspected image 0 (deep/00.png)" in page


def test_quiet_prints_the_decision_and_nothing_else(audited):
    answer = audited("memory", *DATA, "--out", "a", "--quiet")
    assert answer.stdout == (
        "Budget exceeded: 6 of 12 followed training images given back, 6 exactly (budget 1.00 %)\n"
    )
    free = audited("memory", "--data-free", "--noise", "16", "--suspects", "train.npy", "--out", "c", "--quiet")
    assert free.code == ExitCode.CANNOT_SAY
    assert free.stdout.startswith("Cannot say: ")
    assert free.stdout.count("\n") == 1


@pytest.mark.parametrize("options", [DATA, ("--data-free", "--noise", "16")])
def test_max_steps_is_the_budget_of_every_orbit(audited, options):
    found = audited("memory", *options, "--max-steps", "2", "--out", "a", "--json").json
    assert found["protocol"]["max_steps"] == 2
    assert found["fates"]["moving"] > 0


def _section(page: str, title: str) -> str:
    """The HTML of one section."""
    _, _, rest = page.partition(f"<h2>{title}</h2>")
    assert rest, title
    return rest.partition("</section>")[0]


def test_attractors_that_only_noise_reaches_have_pictures_under_names_of_their_own(audited, tmp_path):
    answer = audited("memory", *DATA, "--sample", "3", "--noise", "64", "--out", "run", "--json")
    section = _section(
        (tmp_path / "run" / "report.html").read_text(encoding="utf-8"),
        "Attractors that noise reaches and no training image",
    )
    count = answer.json["noise_only"]["attractors"]
    assert section.count('class="card-head"') == count
    assert section.count('<div class="badge">exact copy</div>') == count
    assert "Percentages are shares of starts from Gaussian noise." in section
    known = {row["set"] for row in answer.json["sets"]}
    names = re.findall(r'<div class="card-head"><span class="disc"[^>]*>(.+?)</span>', section)
    assert len(set(names)) == count
    assert not known & set(names)
    table = section.partition("<table")[2]
    assert [name for name in names if f">{name}</span>" in table] == names


def test_where_none_is_called_the_nearest_to_it_are_shown_all_the_same(audited, tmp_path):
    audited("other", *DATA, "--out", "run")
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert page.count('class="card-head"') == len(load_result(tmp_path / "run" / "limits").attractors)  # one each
    section = _section(page, "The riskiest attractors")
    cards = section.count('class="card-head"')
    assert (
        cards
        == section.count('<div class="badge quiet">no closer than unseen images</div>')
        == section.count("<figcaption>training image<")
    )
    assert 1 <= cards <= 6
    assert "None of the attractors that training images lead to comes closer to one training image" in section
    assert len(re.findall(r"closer than \S+ % of the unseen, more alone than \S+ %", section)) == cards
    p_values = [float(p) for p in re.findall(r"p = (\S+?)<", section)]
    assert p_values == sorted(p_values)
    audited("memory", *DATA, "--out", "called")
    page = (tmp_path / "called" / "report.html").read_text(encoding="utf-8")
    assert page.count('class="card-head"') == 6
    assert "Every attractor has its card above." in page
    section = _section(page, "The riskiest attractors")
    assert "no closer than unseen images" not in section
    assert section.count('<div class="badge">exact copy</div>') == 6
    assert "Percentages are shares of starts from training images." in section


def test_every_source_of_starts_is_in_the_record_on_the_page_and_in_the_terminal(audited, tmp_path):
    found = audited("memory", *DATA, "--out", "run", "--json").json
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert list(found["sources"]) == ["train", "held-out", "noise"]
    assert [row["starts"] for row in found["sources"].values()] == [12, 12, 16]
    section = _section(page, "What each kind of start finds")
    words = ("training images", "held-out images", "Gaussian noise")
    for name, row in zip(words, found["sources"].values(), strict=True):
        assert row["distinct"] == row["attractors"] / row["starts"]
        assert f'<td class="words">{name}</td><td>{row["starts"]}</td><td>{row["attractors"]}</td>' in section
        assert f"<td>{row['evaluations']:,.0f}</td>" in section
    assert found["cost"]["total"] == sum(row["evaluations"] for row in found["sources"].values())
    assert f"{found['chamfer']['cosine']:.3f}" in section
    assert f"{found['chamfer']['euclidean']:.3g} spreads" in section
    varied = _section(page, "How varied the attractors are")
    for found_of in found["variety"].values():
        assert f"<td>{found_of['components']}</td><td>{found_of['effective_rank']:.1f}</td>" in varied
    assert len(load_result(tmp_path / "run" / "held_out").labels) == 12
    lines = audited("memory", *DATA, "--out", "again").stdout.splitlines()
    (row,) = [line.split() for line in lines if line.split()[:2] == ["held-out", "images"] and "%" in line]
    assert row[2:4] == ["12", str(found["sources"]["held-out"]["attractors"])]
    assert row[-1] == f"{found['sources']['held-out']['evaluations']:,.0f}"


def test_without_data_there_is_a_contact_sheet(audited, tmp_path):
    audited("memory", "--data-free", "--noise", "64", "--out", "free", figures=True)
    assert (tmp_path / "free" / "contact_sheet.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "free" / "report.html").read_text(encoding="utf-8")
    assert 'aria-label="6 decoded attractors, ' in _section(page, "What noise alone reveals")
    pictures = re.findall(r"<figcaption>(.*?)</figcaption>", page) + re.findall(r'alt="(.*?)"', page)
    assert len(pictures) > 6
    assert not any("training image" in words for words in pictures)


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


def test_leaked_held_out_images_never_clear_a_memory_and_are_named_everywhere(audited, tmp_path):
    train, held_out = np.load(tmp_path / "train.npy"), np.load(tmp_path / "held_out.npy")
    held_out[:10] = train[:10]
    np.save(tmp_path / "few.npy", held_out)
    held_out[10:12] = train[10:]
    np.save(tmp_path / "many.npy", held_out)
    rules = ("--train", "train.npy", "--noise", "16")
    few = audited("memory", *rules, "--held-out", "few.npy", "--out", "few", "--json")
    assert few.code == ExitCode.EXCEEDED
    overlap = few.json["resemblance"]["overlap"]
    assert [(row["held_out"], row["train"], row["equal"]) for row in overlap["copies"]] == [
        (row, row, True) for row in range(10)
    ]
    sentence = (
        "10 of 200 held-out images (5 %) are copies of training images (all with the same values) and are left out"
    )
    named = "no. 0 (no. 0), no. 1 (no. 1)"
    page = (tmp_path / "few" / "report.html").read_text(encoding="utf-8")
    card = (tmp_path / "few" / "model_card.md").read_text(encoding="utf-8")
    shown = " ".join(audited("memory", *rules, "--held-out", "few.npy", "--out", "again").stdout.split())
    for words in (sentence, named):
        assert words in page
        assert words in card
        assert words in shown
    assert sentence in few.json["sentence"]
    many = audited("memory", *rules, "--held-out", "many.npy", "--out", "many", "--json")
    assert many.code == ExitCode.CANNOT_SAY
    assert (many.json["decision"], many.json["code"]) == ("cannot say", "cannot_say")
    assert many.json["resemblance"]["overlap"]["too_many"] is True
    card = (tmp_path / "many" / "model_card.md").read_text(encoding="utf-8")
    assert "**Cannot say.** 12 of 200 held-out images (6 %) are copies of training images" in card
    same = audited("memory", *rules, "--held-out", "train.npy", "--out", "same")
    assert same.code == ExitCode.CANNOT_SAY
    assert "The held-out images are the training images themselves, all 12 of them" in " ".join(same.stdout.split())
    free = ("--data-free", "--noise", "64", "--suspects", "train.npy", "--held-out")
    assert audited("memory", *free, "few.npy", "--out", "f").code == ExitCode.EXCEEDED
    assert audited("memory", *free, "many.npy", "--out", "g").code == ExitCode.CANNOT_SAY
    card = (tmp_path / "f" / "model_card.md").read_text(encoding="utf-8")
    assert named in card


def test_a_training_set_that_repeats_its_images_hides_nothing(audited, tmp_path):
    np.save(tmp_path / "twelve.npy", np.repeat(np.load(tmp_path / "train.npy"), 12, axis=0))
    data = ("--train", "twelve.npy", "--held-out", "held_out.npy", "--noise", "16")
    found = audited("memory", *data, "--out", "a", "--json")
    assert found.code == ExitCode.EXCEEDED
    assert found.json["given_back"]["images"] == [0, 12, 24, 36, 48, 60]
    assert found.json["given_back"]["sampled"] == found.json["resemblance"]["overlap"]["train_distinct"] == 12
    assert "6 of all 12 distinct training images" in found.json["sentence"]
