"""Resemblance on cases with known answers: exact copies, ties, and every verdict that may be given."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from separatrix import LatentField, find_attractors
from separatrix.data import load_images
from separatrix.errors import InputError
from separatrix.limitsets._sets import Kind
from separatrix.studies import _resemblance as module
from separatrix.studies._closeness import closeness
from separatrix.studies._resemblance import resemblance
from separatrix.studies._resemblance_words import Outcome
from separatrix.words import Tone

STORED = torch.tensor([[0.9, 0.1, 0.2, 0.7], [0.1, 0.8, 0.9, 0.1], [0.2, 0.2, 0.9, 0.9]], dtype=torch.float64).reshape(
    3, 1, 2, 2
)

UNRELATED = torch.eye(4, dtype=torch.float64).reshape(4, 1, 2, 2)  # single bright pixels


def memory(sharpness: float = 200.0) -> LatentField:
    """A softmax associative memory of three images: data space is latent space, and each image attracts."""

    def step(z: torch.Tensor) -> torch.Tensor:
        distance = (z[:, None] - STORED.to(z)[None]).flatten(2).square().sum(dim=2)
        weights = torch.softmax(-sharpness * distance, dim=1)
        # A slow approach, so that the field is not trivial even where one image takes everything.
        return 0.9 * z + 0.1 * (weights @ STORED.to(z).flatten(1)).reshape(z.shape)

    return LatentField.from_map(step, (1, 2, 2), dtype=torch.float64, name="memory")


def uniform(count: int, seed: int) -> torch.Tensor:
    return torch.rand(count, 1, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def stored():
    """The memory and its attractors from 60 starts near the stored images."""
    field = memory()
    starts = STORED.repeat(20, 1, 1, 1) + 0.05 * (uniform(60, 0) - 0.5)
    return field, find_attractors(field, starts)


def test_an_attractor_that_is_a_training_image_has_coefficient_one_and_its_index(stored):
    field, limits = stored
    train = torch.cat((uniform(40, 1), STORED))
    found = resemblance(field, limits, train, uniform(200, 2))
    assert len(found) == 3
    assert float((1 - found.coefficient).abs().max()) < 1e-12
    for row, index in zip(found.sets.tolist(), found.nearest.tolist(), strict=True):
        assert torch.allclose(limits.points[row], train[index], atol=1e-9)
    assert sorted(found.nearest.tolist()) == [40, 41, 42]


def test_p_values_count_held_out_images_that_are_as_close_ties_included(stored):
    field, limits = stored
    train = STORED[:1]
    # Two of these are other attractors, so each of them ties with one.
    held_out = torch.cat((STORED[1:], torch.ones(1, 1, 2, 2, dtype=torch.float64)))
    found = resemblance(field, limits, train, held_out)
    direction = STORED[:1].flatten(1)
    cosine = torch.nn.functional.cosine_similarity(STORED.flatten(1), direction)
    expected = {0: 1 / 4}
    levels = torch.nn.functional.cosine_similarity(held_out.flatten(1), direction)
    for image in (1, 2):
        expected[image] = (1 + int((levels >= cosine[image] - 1e-12).sum())) / 4
    for row, p_value in zip(found.sets.tolist(), found.p_value.tolist(), strict=True):
        image = int((STORED - limits.points[row]).flatten(1).norm(dim=1).argmin())
        assert p_value == pytest.approx(expected[image], abs=1e-15)


def test_copies_are_evidence_with_a_number_for_everything(stored):
    field, limits = stored
    found = resemblance(field, limits, STORED, uniform(400, 3))
    assert (found.statement.code, found.statement.tone) == (Outcome.EVIDENCE, Tone.ALARM)
    assert bool(found.significant.all())
    assert torch.allclose(found.excess, 1 - found.held_out.quantile(0.5), atol=1e-12)
    assert float(found.noise.median()) == pytest.approx(float(found.held_out.median()), abs=0.03)
    assert "3 of 3 attractors" in str(found.statement)
    assert "100 % of the starts end there" in str(found.statement)


def test_attractors_unlike_the_training_images_are_no_evidence_and_that_is_all_that_is_said(stored):
    field, limits = stored
    found = resemblance(field, limits, UNRELATED, uniform(400, 5))
    assert (found.statement.code, found.statement.tone) == (Outcome.NO_EVIDENCE, Tone.CALM)
    assert not bool(found.significant.any())
    assert "not evidence of no memorization" in str(found.statement)


def test_attractors_that_do_not_look_like_the_data_are_called_that(stored):
    field, limits = stored
    negative = -torch.ones(10, 1, 2, 2, dtype=torch.float64) - 0.1 * uniform(10, 1)
    found = resemblance(field, limits, negative, -torch.ones(10, 1, 2, 2, dtype=torch.float64) - 0.1 * uniform(10, 2))
    assert found.outcome is Outcome.NO_EVIDENCE
    assert "3 of 3 are less like any training image than 95 % of the unseen images" in str(found.statement)
    assert "do not describe" not in resemblance(field, limits, UNRELATED, uniform(400, 5)).statement.detail


def test_without_held_out_images_there_is_no_verdict_and_no_p_value(stored):
    field, limits = stored
    found = resemblance(field, limits, STORED)
    assert (found.statement.code, found.statement.tone) == (Outcome.CANNOT_SAY, Tone.OPEN)
    assert bool(found.p_value.isnan().all())
    assert not bool(found.significant.any())
    assert bool(found.excess.isnan().all())
    assert any("Held-out" in reason for reason in found.would_change)


def test_too_few_held_out_images_cannot_decide(stored):
    field, limits = stored
    found = resemblance(field, limits, STORED, uniform(5, 6))
    assert found.outcome is Outcome.CANNOT_SAY
    assert "too coarse" in str(found.statement)


def test_a_trivial_field_gets_no_headline():
    field = LatentField.from_map(lambda z: 0.3 * z + 0.7 * STORED[:1], (1, 2, 2), dtype=torch.float64)
    limits = find_attractors(field, uniform(50, 7))
    found = resemblance(field, limits, STORED, uniform(400, 8))
    assert float(found.coefficient[0]) == pytest.approx(1.0, abs=1e-12)  # a perfect copy, and still
    assert (found.statement.code, found.statement.tone) == (Outcome.TRIVIAL, Tone.OPEN)


def test_a_field_that_mostly_does_not_converge_gets_no_all_clear(stored):
    field, limits = stored
    labels = limits.labels.clone()
    labels[:20] = -1
    hits = torch.bincount(labels[labels >= 0], minlength=len(limits))
    partial = replace(limits, labels=labels, hits=hits)
    found = resemblance(field, partial, UNRELATED, uniform(400, 5))
    assert found.outcome is Outcome.CANNOT_SAY
    assert "40 of 60 starts reached an attractor" in str(found.statement)
    # What was found is evidence all the same.
    assert resemblance(field, partial, STORED, uniform(400, 3)).outcome is Outcome.EVIDENCE


def test_no_attractor_no_verdict(stored):
    field, limits = stored
    nothing = replace(limits, stable=torch.zeros(len(limits), dtype=torch.int8))
    found = resemblance(field, nothing, STORED, uniform(50, 3))
    assert len(found) == 0
    assert found.outcome is Outcome.CANNOT_SAY


def test_every_point_of_a_curve_is_compared(stored):
    field, limits = stored
    kinds = limits.kind.clone()
    kinds[0] = int(Kind.CLOSED_CURVE)
    image = int((STORED - limits.points[0]).flatten(1).norm(dim=1).argmin())
    elsewhere = torch.ones(1, 1, 2, 2, dtype=torch.float64)
    curve = replace(limits, kind=kinds, traces={0: torch.cat((elsewhere, limits.points[:1], elsewhere))})
    found = resemblance(field, curve, STORED, uniform(50, 3))
    assert (found.nearest[0].item(), found.coefficient[0].item()) == (image, pytest.approx(1.0, abs=1e-12))


def test_chunks_of_decoding_change_nothing(stored, monkeypatch):
    field, limits = stored
    whole = resemblance(field, limits, uniform(40, 4), uniform(50, 5))
    monkeypatch.setattr(module, "_CHUNK", 1)
    pieces = resemblance(field, limits, uniform(40, 4), uniform(50, 5))
    assert torch.equal(pieces.nearest, whole.nearest)
    assert torch.allclose(pieces.coefficient, whole.coefficient, atol=1e-14, rtol=0)


def test_slices_and_image_sets(stored):
    field, limits = stored
    train = load_images(STORED)
    found = resemblance(field, limits, train, uniform(400, 3))
    assert found[1:].nearest.tolist() == found.nearest[1:].tolist()
    assert repr(found) == "Resemblance(3 attractors: evidence of memorization)"


def test_bad_input_is_refused_with_the_remedy(stored):
    field, limits = stored
    with pytest.raises(InputError, match="decoder's shape"):
        resemblance(field, limits, torch.zeros(3, 1, 4, 4))
    with pytest.raises(InputError, match="bring both to one shape"):
        resemblance(field, limits, STORED, torch.zeros(3, 1, 4, 4))
    with pytest.raises(InputError, match="alpha"):
        resemblance(field, limits, STORED, alpha=1.5)
    with pytest.raises(InputError, match="at least one image"):
        resemblance(field, limits, STORED[:0])


def test_the_ratio_is_zero_for_a_copy_and_one_half_way_to_everything():
    train = torch.eye(4, dtype=torch.float64)
    found = closeness(torch.cat((train[:1], train.mean(dim=0, keepdim=True))), train, "euclidean")
    assert found.ratio.tolist() == pytest.approx([0.0, 1.0], abs=1e-12)
    assert found.coefficient.tolist() == pytest.approx([0.0, -(0.75**0.5)], abs=1e-12)
    # Chords of the unit circle: an image at 30° from one axis is at 60° from the other.
    angle = torch.tensor([[0.75**0.5, 0.5]], dtype=torch.float64)
    ratio = closeness(angle, torch.eye(2, dtype=torch.float64)).ratio
    assert ratio.item() == pytest.approx(math.sin(math.pi / 12) / math.sin(math.pi / 6), abs=1e-12)


def test_training_images_against_the_others_leave_themselves_out():
    train = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
    found = closeness(train, train, "euclidean", themselves=True)
    assert found.nearest.tolist() == [1, 0, 1]
    assert (-found.coefficient).tolist() == [1.0, 1.0, 2.0]


def test_a_mean_of_many_is_close_to_training_images_and_still_no_copy():
    """Images scattered around one prototype: it is closer to some of them than unseen ones are, and copies none."""
    prototype = torch.tensor([0.5, 0.2, 0.8, 0.4], dtype=torch.float64).reshape(1, 1, 2, 2)
    others = torch.tensor([0.1, 0.9, 0.3, 0.6], dtype=torch.float64).reshape(1, 1, 2, 2)
    middles = torch.cat((prototype, others))

    def step(z: torch.Tensor) -> torch.Tensor:
        near = (z[:, None] - middles.to(z)[None]).flatten(2).norm(dim=2).argmin(dim=1)
        return 0.9 * z + 0.1 * middles.to(z)[near]

    field = LatentField.from_map(step, (1, 2, 2), dtype=torch.float64)
    limits = find_attractors(field, uniform(80, 9))
    scatter = 0.2 * torch.randn(600, 1, 2, 2, generator=torch.Generator().manual_seed(10), dtype=torch.float64)
    train, unseen = prototype + scatter[:300], prototype + scatter[300:]
    found = resemblance(field, limits, train, unseen)
    row = int((limits.points[found.sets] - prototype).flatten(1).norm(dim=1).argmin())
    assert float(found.p_coefficient[row]) < 0.3
    assert float(found.p_ratio[row]) > 0.05
    assert not bool(found.significant.any())
    # One training image at the very place is a copy: the same attractor is called.
    copied = torch.cat((train, prototype))
    found = resemblance(field, limits, copied, unseen)
    # In three dimensions (directions of four pixels) one or two of 300 lie as near to a training image as a copy, by chance.
    assert 298 <= len(found.held_out) <= 300
    assert float(found.p_value[row]) == pytest.approx(1 / (1 + len(found.held_out)), abs=1e-15)


def test_another_distance_is_named_and_judged_alike(stored):
    field, limits = stored
    for distance, name in (("euclidean", "euclidean"), (_largest_difference, "_largest_difference")):
        found = resemblance(field, limits, STORED, uniform(400, 3), distance=distance)
        assert found.distance == name
        assert float(found.coefficient.abs().max()) < 1e-9
        assert "distance of" in str(found.statement)
        assert found.outcome is Outcome.EVIDENCE


def _largest_difference(queries: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
    return (queries[:, None] - items[None]).flatten(2).abs().amax(dim=2).double()
