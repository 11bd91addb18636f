"""Leaked held-out images and repeated images: found whatever their share, named, and never a reason to clear a model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from memories import images, memory

from separatrix import find_attractors, starts
from separatrix.data import ImageSet
from separatrix.errors import InputError, OverlapWarning
from separatrix.numerics._duplicates import chords
from separatrix.studies._memorization import AuditDecision, audit_memorization, memorization
from separatrix.studies._overlap import overlap
from separatrix.studies._probing.appearance import appearance
from separatrix.studies._resemblance import resemblance
from separatrix.studies._resemblance_words import Outcome

TRAIN, UNSEEN = images(12, 0), images(200, 1)
RULES = {"noise": 32, "budget": 0.1}


def leaked(count: int, change: float = 0.0) -> torch.Tensor:
    """Two hundred held-out images, the first of which are training images, changed by so much."""
    copies = TRAIN[torch.arange(count) % len(TRAIN)]
    noise = torch.randn(copies.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return torch.cat([copies + change * noise, UNSEEN[count:]])


@pytest.fixture(scope="module")
def stored():
    """A memory of the first six of twelve training images."""
    field = memory(TRAIN[:6])
    return field, find_attractors(field, TRAIN)


@pytest.mark.parametrize("change", [0.0, 1e-7, 0.003])
@pytest.mark.parametrize("count", [1, 5, 10])
def test_a_few_leaked_images_are_left_out_and_the_memory_is_still_seen(stored, count, change):
    field, _ = stored
    found = audit_memorization(field, TRAIN, leaked(count, change), **RULES)
    assert found.decision is AuditDecision.EXCEEDED
    assert found.share == 0.5
    assert found.overlap.copies.tolist() == list(range(count))
    assert found.overlap.originals.tolist() == [row % 12 for row in range(count)]
    assert found.overlap.equal.tolist() == [change == 0] * count
    words = "is a copy of a training image" if count == 1 else "are copies of training images"
    assert f"{count} of 200 held-out images ({count / 2:g} %) {words}" in str(found.statement)
    assert f"{200 - count} remain to set the level" in str(found.statement)
    assert len(found.memorization.resemblance.held_out) == 200 - count
    assert f"{count} of 200 held-out images are copies" in found.brief
    # What is left out changes nothing else: the null is that of the others.
    clean = audit_memorization(field, TRAIN, UNSEEN[count:], **RULES)
    assert torch.equal(found.memorization.resemblance.p_value, clean.memorization.resemblance.p_value)
    assert torch.equal(found.given_back, clean.given_back)


@pytest.mark.parametrize("change", [0.0, 0.003])
@pytest.mark.parametrize("count", [11, 20, 200])
def test_many_leaked_images_forbid_any_answer(stored, count, change):
    field, _ = stored
    with pytest.warns(OverlapWarning, match="cannot say"):
        found = audit_memorization(field, TRAIN, leaked(count, change), **RULES)
    assert found.decision is AuditDecision.CANNOT_SAY
    assert found.memorization.outcome is Outcome.CANNOT_SAY
    assert len(found.overlap.copies) == count
    if count == 200 and not change:
        assert str(found.statement).startswith(
            "Cannot say: The held-out images are the training images themselves, all 200"
        )
        return
    assert str(found.statement).startswith(
        f"Cannot say: {count} of 200 held-out images ({count / 2:g} %) are copies of training"
    )
    assert "Give held-out images that are no training images." in str(found.statement)


def test_the_training_images_as_held_out_images_have_a_sentence_of_their_own(stored):
    field, limits = stored
    with pytest.warns(OverlapWarning):
        found = audit_memorization(field, TRAIN, TRAIN.flip(0), **RULES)
    assert found.decision is AuditDecision.CANNOT_SAY
    assert str(found.statement).startswith(
        "Cannot say: The held-out images are the training images themselves, all 12 of them"
    )
    assert resemblance(field, limits, TRAIN, TRAIN).outcome is Outcome.CANNOT_SAY


@pytest.mark.parametrize("change", [0.0, 0.003])
def test_a_training_image_that_occurs_twelve_times_is_one_image(stored, change):
    """Its copies are its nearest neighbours, so that an attractor at it was closer to none in particular: "within"."""
    field, _ = stored
    train = TRAIN.repeat_interleave(12, dim=0)
    train = train + change * torch.randn(train.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found = audit_memorization(field, train, UNSEEN, **RULES)
    assert found.decision is AuditDecision.EXCEEDED
    assert (len(found.sampled), found.share) == (12, 0.5)
    assert found.given_back.tolist() == [12 * row for row in range(6)]
    assert "6 of all 12 distinct training images are given back" in str(found.statement)
    assert "132 of 144 training images repeat another one, and such images count once: 12 are distinct." in str(
        found.statement
    )
    assert found.overlap.stands_for.tolist() == [12 * (row // 12) for row in range(144)]
    # A held-out copy of such an image is found, too.
    shared = overlap(train, torch.cat([TRAIN[:3], UNSEEN]))
    assert shared.copies.tolist() == [0, 1, 2]
    assert [row // 12 for row in shared.originals.tolist()] == [0, 1, 2]


def test_held_out_images_that_repeat_make_no_larger_null(stored):
    field, limits = stored
    found = resemblance(field, limits, TRAIN, UNSEEN[:30].repeat(12, 1, 1, 1))
    assert len(found.held_out) == 30
    assert len(found.overlap.repeated) == 330
    assert "330 held-out images repeat others, and count once." in str(found.statement)
    assert torch.equal(found.p_value, resemblance(field, limits, TRAIN, UNSEEN[:30]).p_value)


def test_every_door_that_uses_the_null_looks_first(stored):
    field, limits = stored
    many, few = leaked(20), leaked(4)
    noise = find_attractors(field, starts.gaussian(32, seed=0))
    assert memorization(field, limits, TRAIN, many, noise=noise).outcome is Outcome.CANNOT_SAY
    assert memorization(field, limits, TRAIN, few, noise=noise).outcome is Outcome.EVIDENCE
    assert appearance(field, noise, suspects=TRAIN, held_out=many).resemblance.outcome is Outcome.CANNOT_SAY
    seen = appearance(field, noise, suspects=TRAIN, held_out=few)
    assert seen.resemblance.outcome is Outcome.EVIDENCE
    assert "4 of 200 held-out images (2 %) are copies of suspected images" in str(seen.resemblance.statement)
    assert any("no. 3 (no. 3)" in reason for reason in seen.cannot)


def test_copies_are_named_image_by_image():
    train = ImageSet(pixels=TRAIN.float(), names=tuple(f"t{row}.png" for row in range(12)))
    pixels = torch.cat([UNSEEN[:1], TRAIN[7:8], UNSEEN[1:40], TRAIN[2:3] + 1e-3]).float()
    held_out = ImageSet(pixels=pixels, names=tuple(f"h{row}.png" for row in range(42)))
    found = overlap(train, held_out)
    assert found.names == (("h1.png", "h41.png"), ("t7.png", "t2.png"))
    assert found.listed() == (
        "Other held-out images in the place of those that are the same as a training image (in brackets): h1.png (t7.png).",
        "Other held-out images in the place of those that are nearly the same as a training image (in brackets): "
        "h41.png (t2.png).",
    )
    assert found.record()["copies"][1] == {
        "held_out": 41, "held_out_name": "h41.png", "train": 2, "train_name": "t2.png", "equal": False,
    }  # fmt: skip
    assert (
        overlap(TRAIN, torch.cat([TRAIN, UNSEEN]))
        .listed(2)[0]
        .endswith("no. 0 (no. 0), no. 1 (no. 1) and 10 more (all are in summary.json).")
    )


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    count=st.integers(0, 60),
    train=st.integers(2, 40),
    size=st.integers(3, 6),
    repeats=st.integers(1, 13),
    unit=st.sampled_from([1e-3, 1.0, 255.0]),
    distance=st.sampled_from(["cosine", "euclidean"]),
    seed=st.integers(0, 99),
)
def test_every_leak_is_found_and_nothing_else_whatever_the_share_the_unit_and_the_repetitions(
    count, train, size, repeats, unit, distance, seed
):
    known, fresh = images(train, seed, size), images(60, seed + 1000, size)
    which = torch.randint(0, train, (count,), generator=torch.Generator().manual_seed(seed))
    held_out = torch.cat([fresh[count:], known[which]])
    found = overlap(unit * known.repeat(repeats, 1, 1, 1), unit * held_out, distance=distance)
    assert found.copies.tolist() == list(range(60 - count, 60))
    assert found.originals.tolist() == which.tolist()
    assert found.train.tolist() == list(range(train))
    assert found.held_out.tolist() == list(range(60 - count))
    assert found.too_many == (count > 3)


@pytest.mark.parametrize(("dimensions", "most"), [(2, 30), (3, 14), (5, 14), (8, 0)])
def test_crowded_points_of_few_dimensions_are_no_copies(dimensions, most):
    """Near neighbours are common there; about α/10 of 1000 held-out points, 5, may be taken for copies by chance."""
    generator = torch.Generator().manual_seed(dimensions)
    train, held_out = (torch.rand(1000, dimensions, generator=generator, dtype=torch.float64) for _ in range(2))
    found = overlap(train, held_out, distance="euclidean")
    assert len(found.copies) <= most
    assert not found.too_many
    assert len(found.train) >= 950


def test_a_distance_of_ones_own_finds_what_it_calls_the_same():
    """Mirrored images are the same to this distance, and so they are copies that hide what it would call."""

    def mirrored(queries: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        tables = [torch.cdist(queries.flatten(1), turned.flatten(1)) for turned in (items, items.flip(-1))]
        return torch.minimum(*tables).double()

    held_out = torch.cat([TRAIN[:5].flip(-1), UNSEEN])
    assert overlap(TRAIN, held_out, distance=mirrored).copies.tolist() == [0, 1, 2, 3, 4]
    assert len(overlap(TRAIN, held_out).copies) == 0


def test_a_cosine_that_rounding_took_above_one_is_no_distance():
    below = torch.tensor([-2e-16, 0.0, 0.5, 2.0], dtype=torch.float64)
    assert chords(below, "cosine").tolist() == [0.0, 0.0, 1.0, 2.0]
    assert chords(below, "euclidean").tolist() == below.tolist()


def test_degenerate_sets():
    assert overlap(TRAIN, TRAIN).listed() == ()
    one = overlap(TRAIN[:1], torch.cat([TRAIN[:1], UNSEEN]))
    assert one.copies.tolist() == [0]
    same = overlap(TRAIN[:1].repeat(9, 1, 1, 1), UNSEEN)
    assert (same.train.tolist(), len(same.copies)) == ([0], 0)
    black = torch.zeros(5, 1, 4, 4, dtype=torch.float64)
    assert overlap(torch.cat([black, TRAIN]), torch.cat([black[:1], UNSEEN])).copies.tolist() == [0]
    assert len(overlap(TRAIN).copies) == 0
    with pytest.raises(InputError, match="bring both to one shape"):
        overlap(TRAIN, torch.zeros(3, 1, 2, 2))


def test_real_digits_are_no_copies_of_each_other():
    from sklearn.datasets import load_digits

    digits = torch.tensor(load_digits().images / 16.0, dtype=torch.float32)[:, None]
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(digits)))
    for count in (20, 60, 1200):
        found = overlap(digits[order[:count]], digits[order[1200:]])
        assert len(found.copies) == 0
        assert len(found.train) == count


def test_an_attractor_at_any_of_the_copies_is_an_exact_copy():
    """The ninth of twelve slightly different copies is stored; the others are behind the first, which it is not equal to."""
    noise = 0.003 * torch.randn(6, 12, 1, 4, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    train = (TRAIN[:6, None] + noise).flatten(0, 1)
    field = memory(train[8::12])
    found = audit_memorization(field, train, UNSEEN, **RULES)
    assert found.given_back.tolist() == found.exact.tolist() == [0, 12, 24, 36, 48, 60]
    assert float(found.memorization.resemblance.ratio.max()) < 1e-6
