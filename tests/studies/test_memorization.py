"""The memorization study and its audit on memories whose contents are known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from memories import images, memory
from scipy.stats import ks_2samp
from torch import Tensor

from separatrix import LatentField, find_attractors, load_result, save_result, starts
from separatrix.data import ImageSet
from separatrix.errors import InputError
from separatrix.numerics._ranks import benjamini_hochberg, rank_p_values
from separatrix.studies._closeness import closeness
from separatrix.studies._memorization import (
    AuditDecision,
    Decomposition,
    audit_memorization,
    decomposition,
    memorization,
)
from separatrix.studies._memorization.sources import chamfer_similarity, sources
from separatrix.studies._memorization.study import exchange
from separatrix.studies._resemblance_words import Outcome

TRAIN, UNSEEN = images(12, 0), images(300, 1)


@pytest.fixture(scope="module")
def stored():
    """A memory of the first six of twelve training images."""
    field = memory(TRAIN[:6])
    return field, find_attractors(field, TRAIN)


def test_the_study_of_a_memory(stored):
    field, limits = stored
    found = memorization(field, limits, TRAIN, UNSEEN)
    assert found.outcome is Outcome.EVIDENCE
    assert len(found.resemblance) == 6
    assert sorted(found.resemblance.nearest.tolist()) == list(range(6))
    assert (found.exchange.nearest, found.exchange.in_train) == (6, 6)
    assert found.exchange.expected == pytest.approx(6 * 12 / 312)
    assert found.exchange.p_value < 1e-7
    assert found.attractors.items == 6
    assert 1 < found.attractors.effective_rank <= 5
    # f is the reconstruction here: an error of 10 % of the way to the nearest stored image, and 0 for those stored.
    assert found.train_error == pytest.approx(
        float((TRAIN - field.reconstruct(TRAIN)).flatten(1).norm(dim=1).mean()), abs=1e-12
    )
    assert "Training images among those nearest to attractors: 6 of 6" in str(found.statement)


def test_without_held_out_images_only_what_needs_none(stored):
    field, limits = stored
    found = memorization(field, limits, TRAIN)
    assert found.outcome is Outcome.CANNOT_SAY
    assert found.exchange is None
    assert found.decomposition is None
    assert found.sources["train"].attractors == 6


def test_training_images_against_the_others():
    found = memorization(*_searched(memory(TRAIN[:6])), TRAIN, UNSEEN)
    expected = closeness(TRAIN, TRAIN, themselves=True).coefficient
    assert torch.equal(found.other_train, expected)
    assert float(found.other_train.max()) < 1 - 1e-6


def _searched(field: LatentField) -> tuple:
    return field, find_attractors(field, TRAIN)


def test_exchange_counts_distinct_nearest_images_and_gives_ties_to_the_unseen():
    train = torch.tensor([[0.0], [10.0]], dtype=torch.float64)
    unseen = torch.tensor([[4.0], [6.0], [20.0]], dtype=torch.float64)
    at = torch.tensor([[0.1], [-0.1], [2.0], [6.0], [19.0]], dtype=torch.float64)  # 2.0 is a tie of 0 and 4
    found = exchange(at, train, unseen, "euclidean")
    assert (found.nearest, found.in_train) == (4, 1)
    # P(at least 1 of 4 drawn from 2 of 5) = 1 − C(3,4)/C(5,4) = 1
    assert found.p_value == pytest.approx(1.0)
    found = exchange(at[:2], train, unseen, "euclidean")
    assert found.p_value == pytest.approx(2 / 5)


def test_prototype_and_coverage_bound_the_error_on_every_image(stored):
    field, limits = stored
    found = decomposition(field, limits, UNSEEN, TRAIN)
    near = (UNSEEN[:, None] - TRAIN[None, :6]).flatten(2).norm(dim=2).min(dim=1).values
    encoded = (field.encode(UNSEEN)[:, None] - TRAIN[None, :6]).flatten(2).norm(dim=2).min(dim=1).values
    # A map as a field: E is the map and D the identity, whose slope is 1.
    assert found.lipschitz == pytest.approx(1.0, abs=1e-9)
    assert torch.allclose(found.distance, encoded, atol=1e-6)
    assert torch.allclose(found.prototype, near, atol=1e-6)
    assert torch.allclose(found.error, (UNSEEN - field(UNSEEN)).flatten(1).norm(dim=1), atol=1e-12)
    assert torch.equal(found.coverage, found.lipschitz * found.distance)
    assert bool(found.holds.all())
    assert "holds on all 300 images" in found.sentence


def test_the_slope_is_that_of_the_steepest_piece():
    field = LatentField(
        lambda x: torch.where(x > 1, 1 + (x - 1) / 10, x) * 0.5 + 0.25,
        lambda z: torch.where(z > 1, 1 + 10 * (z - 1), z),
        latent_shape=(1,), dtype=torch.float64,
    )  # fmt: skip
    limits = find_attractors(field, torch.tensor([[0.2], [0.9]], dtype=torch.float64))
    assert limits.attractors.points.flatten().tolist() == pytest.approx([0.5])
    flat, steep = torch.tensor([[0.4]], dtype=torch.float64), torch.tensor([[30.0]], dtype=torch.float64)
    assert decomposition(field, limits, flat, flat).lipschitz == pytest.approx(1.0, abs=1e-6)
    assert decomposition(field, limits, flat, steep).lipschitz == pytest.approx(10.0, abs=1e-6)


def test_a_slope_that_was_underestimated_is_seen():
    numbers = {"error": [1.0, 0.9], "prototype": [0.5, 0.5], "distance": [0.4, 0.4]}
    columns = {name: torch.tensor(values, dtype=torch.float64) for name, values in numbers.items()}
    found = Decomposition(**columns, lipschitz=1.0, reference=1)
    assert found.holds.tolist() == [False, True]
    assert "on 1 of 2 images the bound fails" in found.sentence
    assert bool(replace(found, lipschitz=1.26).holds.all())


def test_decompositions_are_saved(stored, tmp_path):
    found = decomposition(*stored, UNSEEN[:5], TRAIN)
    again = load_result(save_result(found, tmp_path / "d"))
    assert torch.equal(again.error, found.error)
    assert again.lipschitz == found.lipschitz


def test_what_each_kind_of_start_finds(stored):
    field, limits = stored
    fewer = find_attractors(field, TRAIN[:2])
    table = sources({"train": limits, "noise": fewer})
    assert (table["noise"].attractors, table["noise"].shared, table["noise"].starts) == (2, 2, 2)
    assert table["noise"].distinct == 1.0
    assert table["train"].distinct == 0.5
    likeness = chamfer_similarity(fewer, limits)
    gaps = (limits.attractors.points[:, None] - fewer.attractors.points[None]).flatten(2).norm(dim=2).min(dim=1).values
    assert likeness.euclidean == pytest.approx(0.5 * float(gaps.mean()) / limits.spread, rel=0.2)
    assert 0 < likeness.cosine < 1
    assert f"a cosine of {likeness.cosine:.3f}" in likeness.sentence
    assert f"{likeness.euclidean:.3g} spreads away" in likeness.sentence


def test_unseen_images_and_the_null_have_one_distribution():
    """Then ranks among the null are uniform: what is neither trained on nor stored is called at the nominal rate."""
    train, null, fresh = images(200, 2, 3), images(999, 3, 3), images(400, 4, 3)
    ours, theirs = closeness(fresh, train, "euclidean"), closeness(null, train, "euclidean")
    for column, sign in (("coefficient", 1), ("ratio", -1)):
        a, b = getattr(ours, column), getattr(theirs, column)
        assert ks_2samp(a.numpy(), b.numpy()).pvalue > 0.01
        small = float((rank_p_values(sign * a, sign * b) <= 0.05).double().mean())
        assert 0.02 < small < 0.09  # 400 draws at 5 %: ±3 standard errors


def test_the_audit_finds_the_share_that_is_stored(stored):
    field, _ = stored
    found = audit_memorization(field, TRAIN, UNSEEN, budget=0.1, noise=32)
    assert found.decision is AuditDecision.EXCEEDED
    assert found.share == found.low == found.high == 0.5
    assert found.given_back.tolist() == list(range(6))
    assert str(found.statement).startswith(
        "Budget exceeded: 6 of all 12 training images are given back (50.00 %; budget 10.00 %), 6 of them as exact copies "
        "(distance ratio below 0.01). Evidence of memorization: 6 of 6 attractors come closer to one training image than 95 % of "
        "unseen images do, 6 of them exact copies, distance ratio below 0.01 (cosine of 1.000 at best"
    )
    assert found.exact.tolist() == list(range(6))
    assert found.brief == "Budget exceeded: 6 of 12 followed training images given back, 6 exactly (budget 10.00 %)"
    assert found.names == {}
    assert audit_memorization(field, TRAIN, UNSEEN, budget=0.5, noise=32).decision is AuditDecision.WITHIN


def test_held_out_images_are_followed_beside_the_training_images(stored):
    """As many as training images, from their own latents; the decision does not depend on them."""
    field, _ = stored
    found = audit_memorization(field, TRAIN, UNSEEN, sample=8, noise=32)
    table = found.memorization.sources
    assert list(table) == ["train", "held-out", "noise"]
    assert [row.starts for row in table.values()] == [8, 8, 32]
    assert [row.attractors for row in table.values()] == [
        len(search.attractors) for search in (found.limits, found.unseen, found.noise)
    ]
    # Every attractor of these starts is the stored image nearest to some held-out image.
    ends = (UNSEEN[:, None] - TRAIN[None, :6]).flatten(2).norm(dim=2).argmin(dim=1)
    reached = {int((point - TRAIN[:6]).flatten(1).norm(dim=1).argmin()) for point in found.unseen.points}
    assert reached <= set(ends.tolist())
    assert table["held-out"].shared <= table["held-out"].attractors
    searches = (found.limits, found.unseen, found.noise)
    assert found.cost.map == sum(search.cost.map for search in searches)
    assert [row.evaluations for row in table.values()] == [search.cost.total for search in searches]
    few = audit_memorization(field, TRAIN, UNSEEN[:40], sample=12, noise=32)
    assert few.memorization.sources["held-out"].starts == 12
    assert audit_memorization(field, images(60, 0), UNSEEN[:40], noise=4).memorization.sources["held-out"].starts == 40


def test_a_model_that_stores_other_images_is_within_budget():
    """Attractors that are no training images, and a whole training set that was looked at."""
    field = memory(images(6, 5))
    found = audit_memorization(field, TRAIN, UNSEEN, budget=0.0, noise=32)
    assert found.share == 0.0
    assert found.decision is AuditDecision.WITHIN
    assert "not seen by this audit" in str(found.statement)


def test_sets_that_were_exchanged_clear_nobody():
    """A perfect memory of what was called held-out was within budget: none of the images that were called its own came back."""
    known = images(40, 0)
    field = memory(known)
    right = audit_memorization(field, known, UNSEEN, budget=0.1, noise=32)
    assert right.decision is AuditDecision.EXCEEDED
    assert not right.memorization.exchange.reversed
    swapped = audit_memorization(field, UNSEEN, known, budget=0.1, noise=32)
    assert swapped.decision is AuditDecision.CANNOT_SAY
    assert "perhaps training and held-out images were exchanged" in swapped.statement.detail
    assert "perhaps training and held-out images were exchanged" in str(swapped.memorization.statement)


def test_a_sample_that_is_too_small_cannot_say():
    field = memory(images(6, 5))
    found = audit_memorization(field, images(200, 6), UNSEEN, budget=0.01, sample=50, noise=32)
    assert found.decision is AuditDecision.CANNOT_SAY
    assert (len(found.sampled), found.share) == (50, 0.0)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 50), abs=1e-12)  # exact, at 0 of 50
    assert "368 would do" in str(found.statement)


@given(
    attractors=st.integers(1, 30),
    scores=st.lists(st.integers(0, 40), min_size=20, max_size=200),
    alpha=st.sampled_from([0.01, 0.05, 0.2]),
    seed=st.integers(0, 99),
)
def test_whatever_is_called_is_closer_than_the_stated_share_of_the_unseen(attractors, scores, alpha, seed):
    """What the badge says, with ties: p ≤ q ≤ α leaves fewer than a share α of the unseen images as close."""
    null = torch.tensor(scores, dtype=torch.float64)
    ours = torch.randint(0, 60, (attractors,), generator=torch.Generator().manual_seed(seed)).double()
    called = benjamini_hochberg(rank_p_values(ours, null)) <= alpha
    for score in ours[called]:
        assert float((null < score).double().mean()) > 1 - alpha


def test_images_near_the_stored_ones_are_given_back_but_not_exactly():
    shift = 0.02 * torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found = audit_memorization(memory(TRAIN[:6] + shift), TRAIN, UNSEEN, budget=0.1, noise=32)
    assert found.given_back.tolist() == list(range(6))
    assert found.exact.tolist() == []
    assert "(50.00 %; budget 10.00 %), none of them as exact copies (distance ratio below 0.01)." in str(
        found.statement
    )
    assert "than 95 % of unseen images do, none of them exact copies" in str(found.statement)
    assert found.decision is AuditDecision.EXCEEDED


def test_names_and_source_of_the_images_are_kept(stored):
    field, _ = stored
    train = ImageSet(pixels=TRAIN, names=tuple(f"{i}.png" for i in range(12)), provenance={"source": "a folder"})
    found = audit_memorization(field, train, UNSEEN, noise=4)
    assert [found.names[row] for row in found.given_back.tolist()] == [f"{i}.png" for i in range(6)]
    assert found.limits.provenance["starts"]["data"]["source"] == "a folder"


def test_a_trivial_field_is_no_excuse():
    field = LatentField.from_map(lambda z: 0.3 * z + 0.7 * TRAIN[:1], (1, 4, 4), dtype=torch.float64)
    found = audit_memorization(field, TRAIN, UNSEEN, noise=32)
    assert found.decision is AuditDecision.CANNOT_SAY
    assert str(found.statement).startswith("Cannot say: Trivial")


def hidden(stored: Tensor) -> LatentField:
    """A memory of slightly changed images, but exact training images are thrown to the first of those stored."""
    inner = memory(stored)

    def step(z: Tensor) -> Tensor:
        gap = (z[:, None] - TRAIN.to(z)[None]).flatten(2).norm(dim=2).min(dim=1).values
        away = stored[:1].to(z) + 0.1 * (z - stored[:1].to(z))
        return torch.where((gap < 1e-3)[:, None, None, None], away, inner(z))

    return LatentField.from_map(step, (1, 4, 4), dtype=torch.float64, name="hidden")


def test_what_only_noise_gives_back_counts_and_is_named():
    found = audit_memorization(hidden(TRAIN[:6] + 0.01), TRAIN, UNSEEN, budget=0.1, noise=64)
    assert found.memorization.sources["train"].attractors == 1
    assert found.memorization.resemblance.nearest.tolist() == [0]
    assert len(found.memorization.noise_only) == 5
    assert found.given_back.tolist() == [0, 1, 2, 3, 4, 5]
    assert found.by_noise_alone.tolist() == [1, 2, 3, 4, 5]
    assert (found.share, found.decision) == (0.5, AuditDecision.EXCEEDED)
    assert "6 of all 12 training images are given back" in str(found.statement)
    assert "5 of them only by attractors that noise reaches and no training image that was followed." in str(
        found.statement
    )
    # One family of six: q-values of both tables are those of all six p-values together.
    study = found.memorization
    family = torch.cat([study.resemblance.p_value, study.noise_only.p_value])
    q_values = torch.cat([study.resemblance.q_value, study.noise_only.q_value])
    assert torch.equal(q_values, benjamini_hochberg(family))
    shown = study.noise_only.beside(study.resemblance)
    assert torch.equal(shown.coefficient, study.noise_only.coefficient)
    assert torch.equal(shown.held_out, study.resemblance.held_out)
    assert torch.equal(shown.p_value, torch.fmax(shown.p_coefficient, shown.p_ratio))


def test_evidence_from_noise_alone_is_evidence():
    field = hidden(torch.cat([images(1, 5), TRAIN[1:6] + 0.01]))  # training images end on one that nobody has seen
    found = audit_memorization(field, TRAIN, UNSEEN, budget=0.1, noise=64)
    study = found.memorization
    assert (study.resemblance.outcome, study.outcome) == (Outcome.NO_EVIDENCE, Outcome.EVIDENCE)
    assert str(study.statement).startswith(
        "Evidence of memorization, from noise alone: Noise reaches 5 further attractors that no followed training image reaches; of these, 5 come closer "
    )
    assert found.decision is AuditDecision.EXCEEDED
    assert found.by_noise_alone.tolist() == found.given_back.tolist() == [1, 2, 3, 4, 5]


def test_noise_that_reaches_nothing_of_its_own_changes_nothing(stored):
    field, limits = stored
    noise = find_attractors(field, starts.gaussian(16, seed=0))
    alone, both = memorization(field, limits, TRAIN, UNSEEN), memorization(field, limits, TRAIN, UNSEEN, noise=noise)
    assert both.noise_only is None
    assert both.statement == alone.statement
    assert torch.equal(both.resemblance.q_value, alone.resemblance.q_value)


def test_audits_of_nothing_are_refused(stored):
    field, _ = stored
    with pytest.raises(InputError, match="budget"):
        audit_memorization(field, TRAIN, UNSEEN, budget=1.0)
    with pytest.raises(InputError, match="at least one training image"):
        audit_memorization(field, TRAIN, UNSEEN, sample=0)
    with pytest.raises(InputError, match="at least one image"):
        memorization(field, find_attractors(field, starts.gaussian(4)), TRAIN, sample=0)
