"""The headline says together what the verdicts say, and no more."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
import torch

from separatrix import LatentField, find_attractors
from separatrix.limitsets._sets import LimitSets
from separatrix.runs._demo_summary import FROM_DIGITS, FROM_NOISE, demo_statement
from separatrix.studies._overlap import overlap
from separatrix.studies._resemblance import Resemblance
from separatrix.studies._resemblance_words import Outcome
from separatrix.words import Statement, Tone


@dataclass(eq=False)
class Results:
    """What the headline reads of a model's results."""

    title: str
    resemblance: Resemblance
    searches: dict[str, LimitSets]
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def limits(self) -> LimitSets:
        return self.searches[FROM_DIGITS]


TONES = {Outcome.EVIDENCE: Tone.ALARM, Outcome.NO_EVIDENCE: Tone.CALM}


@pytest.fixture
def results():
    """Three attractors with 2, 1 and 1 of four digits; the first two are copies of images 5 and 6."""
    points = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)

    def nearest(z: torch.Tensor) -> torch.Tensor:
        return 0.5 * z + 0.5 * points.to(z)[(z - points.to(z).T).abs().argmin(dim=1)]

    field_ = LatentField.from_map(nearest, (1,), dtype=torch.float64)
    digits = find_attractors(field_, torch.tensor([[0.1], [-0.1], [1.1], [3.1]], dtype=torch.float64))
    noise = find_attractors(field_, torch.tensor([[3.2], [2.9], [3.1], [0.9]], dtype=torch.float64))

    def make(outcome: Outcome) -> Results:
        evidence = outcome is Outcome.EVIDENCE
        q_value = torch.tensor([0.01, 0.01, 0.5] if evidence else [0.5, 0.5, 0.5], dtype=torch.float64)
        found = Resemblance(
            sets=torch.arange(3),
            coefficient=torch.tensor([0.99, 0.98, 0.5], dtype=torch.float64),
            nearest=torch.tensor([5, 6, 6]),
            ratio=torch.tensor([0.1, 0.1, 0.9], dtype=torch.float64),
            hits=torch.tensor([2, 1, 1]),
            p_coefficient=q_value,
            p_ratio=q_value,
            p_value=q_value,
            q_value=q_value,
            held_out=torch.zeros(100, dtype=torch.float64),
            held_out_ratio=torch.ones(100, dtype=torch.float64),
            noise=torch.zeros(100, dtype=torch.float64),
            distance="cosine",
            alpha=0.05,
            statement=Statement(outcome.capitalize(), "numbers.", outcome, TONES.get(outcome, Tone.OPEN)),
            would_change=(),
            overlap=overlap(torch.eye(10)),
            provenance={"train": 10},
        )
        return Results(outcome.value, found, {FROM_DIGITS: digits, FROM_NOISE: noise})

    return make


def test_copies_are_counted_by_image_and_by_start(results):
    found = demo_statement([results(Outcome.EVIDENCE), results(Outcome.NO_EVIDENCE)])
    assert found.tone == "alarm"
    assert "2 of 3 attractors are closer to training images than 95 % of unseen digits are" in found.sentence
    assert "10 training images. " in found.sentence
    assert "exact" not in found.sentence
    assert "each to a different one of its 10 training images" in found.sentence
    assert "75 % of the unseen digits and 25 % of the Gaussian noise end there" in found.sentence
    assert found.headline == "One of these two models holds training images. The other one shows no sign of that."


def test_noise_is_in_the_headline_only_if_most_of_it_ends_on_copies(results):
    model = results(Outcome.EVIDENCE)
    model.searches[FROM_NOISE] = model.searches[FROM_DIGITS]
    words = demo_statement([model, results(Outcome.CANNOT_SAY)]).headline
    assert words == "Given pure noise, one of these two models returns training images."


def test_two_copies_of_one_image_are_not_two_images(results):
    model = results(Outcome.EVIDENCE)
    model.resemblance = replace(model.resemblance, nearest=torch.tensor([5, 5, 6]))
    model.resemblance = replace(model.resemblance, ratio=torch.tensor([1e-4, 1e-4, 1e-4], dtype=torch.float64))
    sentence = demo_statement([model]).sentence
    assert "to 1 of its 10 training images; 2 of them are exact copies." in sentence


def test_no_sign_is_not_said_of_a_model_about_which_nothing_can_be_said(results):
    found = demo_statement([results(Outcome.EVIDENCE), results(Outcome.CANNOT_SAY)])
    assert "no sign" not in found.headline
    assert "cannot say" in found.sentence


def test_without_evidence_the_headline_claims_no_absence(results):
    found = demo_statement([results(Outcome.NO_EVIDENCE)] * 2)
    assert found.tone == "calm"
    assert found.headline == "None of these two models shows evidence of memorization."
    assert "not evidence of no memorization" in found.sentence
    assert demo_statement([results(Outcome.NO_EVIDENCE), results(Outcome.TRIVIAL)]).tone == "open"
