"""Statistical captures: used only with a bound that a random sample of the same orbits has established."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import separatrix as sx
from separatrix.limitsets._capture_audit import StatisticalCaptures
from separatrix.limitsets._capture_auditor import CaptureAuditor
from separatrix.limitsets._catalogue import Catalogue
from separatrix.limitsets._join import join_searches
from separatrix.limitsets._ledger import Ledger
from separatrix.limitsets._statistical import Library, StatisticalCapture, pays, sample_size
from separatrix.protocol import Statistics
from separatrix.storage import load_result, save_result
from separatrix.testing import oracles

LOOKS, RECORDED, WIDTHS = Statistics().looks, Statistics.recorded, Statistics.widths
LENIENT = 1e-2  # which takes a sample of 374
FEWEST = 2 * (RECORDED + sample_size(LENIENT))


def wells(count: int = FEWEST, seed: int = 0) -> tuple[sx.LatentField, sx.starts.Starts]:
    """Four wells (±1, ±1): every coordinate goes by itself to its sign."""
    field = sx.LatentField.from_map(
        lambda z: z + 0.05 * (z - z**3), latent_shape=2, dtype=torch.float64, name="four wells"
    )
    return field, sx.starts.gaussian(count, seed=seed)


def signs(points: torch.Tensor) -> torch.Tensor:
    return points.sign().to(torch.int64)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_order_has_nothing_to_do_with_the_starts(seed):
    """What is chosen with the numbers that starts are made of is no random choice."""
    field, starts = wells(seed=seed)
    z = starts.block(field, 0, FEWEST)
    capture = StatisticalCapture(FEWEST, torch.device("cpu"), LENIENT)
    place = torch.empty(FEWEST, dtype=torch.float64)
    place[capture.order] = torch.arange(FEWEST, dtype=torch.float64)
    audited = CaptureAuditor(0.5)._numbers(Ledger.blank(FEWEST, z[:1]), torch.arange(FEWEST))
    for drawn in (place, audited):
        for column in (*z.T, *z.abs().T):
            correlation = torch.corrcoef(torch.stack([drawn, column]))[0, 1]
            assert abs(float(correlation)) < 4.5 / FEWEST**0.5


def test_the_sample_is_as_large_as_the_bound_needs():
    # 0.999^2995 < 0.05 < 0.999^2994, and a quarter more because not every orbit is captured
    assert 0.999**2995 < 0.05 < 0.999**2994
    assert sample_size(1e-3) == 1.25 * 2995 // 1 + 1
    assert not pays(2 * (1024 + 3744) - 1, 64, 1e-3)
    assert pays(2 * (1024 + 3744), 64, 1e-3)
    assert not pays(10**6, 64, 0.0)
    assert not pays(10**6, 65_536, 1e-3)  # the library would be too large
    full = replace(Statistics(), numbers=RECORDED * len(LOOKS) * 64 // Statistics.thinned)
    assert pays(10**6, 64, 1e-3, full)
    assert not pays(10**6, 65, 1e-3, full)
    assert LOOKS[:9] == list(range(9))
    assert WIDTHS[0] == 1 / 64
    assert WIDTHS[-1] == 1 / 4


def test_labels_are_right_for_fewer_evaluations_and_the_account_is_true():
    field, starts = wells(4000)
    certain = sx.find_attractors(field, starts, sx.Protocol(max_wrong=0.0))
    found = sx.find_attractors(field, starts, sx.Protocol(max_wrong=LENIENT))
    z = starts.block(field, 0, 4000)
    ends = signs(found.points[found.labels])
    wrong = (ends != signs(z)).any(dim=1)
    sample = found.audit.statistical
    assert certain.audit.statistical is None
    assert sample.captured > 0.9 * (4000 - RECORDED - sample_size(LENIENT))
    assert sample.followed >= 299
    assert sample.disagreements == 0
    assert sample.bound == LENIENT
    assert int(wrong.sum()) <= LENIENT * sample.captured
    assert found.cost.map < 0.7 * certain.cost.map
    assert f"{sample.captured:,} labels by a sample, at most 1.00 % of them wrong" in repr(found)
    assert "went elsewhere, so at most 1.00 % of these labels are wrong" in found.audit.sentence
    ended = found.orbits.status == int(sx.Status.SAMPLED)
    assert int(ended.sum()) == sample.captured == int((~found.orbits.followed).sum())
    assert found.fates.words == "all 4,000 starts reached an attractor"
    distance = (found.orbits.points - found.points[found.labels]).norm(dim=1)
    assert torch.allclose(found.orbits.error[ended], distance[ended], atol=1e-9)  # known, and by no means small


@pytest.mark.slow
def test_nothing_depends_on_the_batch_size():
    field, starts = wells()
    one, other = (
        sx.find_attractors(field, starts, sx.Protocol(max_wrong=LENIENT), batch_size=size) for size in (64, 1000)
    )
    assert one.audit == other.audit
    assert one.cost.map == other.cost.map
    for name in ("labels", "points"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    for name in ("steps", "status", "period"):
        assert torch.equal(getattr(one.orbits, name), getattr(other.orbits, name))


def test_a_rule_that_lies_about_one_well_is_not_used(monkeypatch):
    field, starts = wells()
    honest = Library.look

    def lying(self: Library, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        fate, ratio = honest(self, z)
        return torch.where(fate == 3, 0, fate), ratio

    monkeypatch.setattr(Library, "look", lying)
    found = sx.find_attractors(field, starts, sx.Protocol(max_wrong=LENIENT))
    assert found.audit.statistical is None
    assert torch.equal(signs(found.points[found.labels]), signs(starts.block(field, 0, len(starts))))


@pytest.mark.slow
@pytest.mark.parametrize("minority", [0.002, 0.01, 0.03])
def test_late_forks_keep_the_bound(minority):
    oracle = oracles.late_fork(minority, count=FEWEST, seed=1)
    found = sx.find_attractors(oracle.field, oracle.starts, sx.Protocol(max_wrong=LENIENT))
    threshold = 2 * minority - 1
    side = torch.where(oracle.starts[:, 1] > threshold, 2.0, -2.0)
    wrong = (found.points[found.labels][:, 1] - threshold - side).abs() > 1e-9
    sample = found.audit.statistical
    assert int(wrong.sum()) <= (LENIENT * sample.captured if sample else 0)


def by_hand(
    answers: torch.Tensor, truth: torch.Tensor, max_wrong: float = LENIENT
) -> tuple[StatisticalCapture, Ledger]:
    """A capture whose sample has given these answers ``(n, widths)``, and a ledger in which it ended so."""
    capture = StatisticalCapture(FEWEST, torch.device("cpu"), max_wrong)
    ledger = Ledger.blank(FEWEST, torch.zeros(1, 2))
    ledger.set[capture.order[RECORDED : RECORDED + len(truth)]] = truth
    capture._answers[:] = -1
    capture._answers[: len(answers)] = answers
    capture._part = 1
    return capture, ledger


def test_the_widest_width_before_the_first_that_fails():
    size = sample_size(LENIENT)
    truth = torch.zeros(size, dtype=torch.int64)
    answers = torch.zeros((size, len(WIDTHS)), dtype=torch.int64)
    answers[200:, 0] = -1  # too few to tell: neither allowed nor a failure
    answers[:20, 4:] = 1
    answers[:, 7:] = 0  # right again, but after a failure
    capture, ledger = by_hand(answers, truth)
    assert capture._widest(ledger) == 3
    answers[:20, 1] = 1
    capture, ledger = by_hand(answers, truth)
    assert capture._widest(ledger) is None


def test_an_orbit_of_the_sample_that_ended_nowhere_speaks_against_the_rule():
    size = sample_size(LENIENT)
    answers = torch.zeros((size, len(WIDTHS)), dtype=torch.int64)
    truth = torch.zeros(size, dtype=torch.int64)
    truth[:10] = -1
    capture, ledger = by_hand(answers, truth)
    assert capture._widest(ledger) is None


def test_all_go_on_if_the_sample_changes_its_mind():
    size = sample_size(LENIENT)
    answers = torch.zeros((size, len(WIDTHS)), dtype=torch.int64)
    capture, ledger = by_hand(answers, torch.zeros(size, dtype=torch.int64))
    capture._width, capture._part = capture._widest(ledger), 2
    assert capture.seen(ledger) is None  # nothing was captured yet
    rest = capture.order[RECORDED + size :]
    ledger.likely[rest[:100]] = True
    assert len(capture.withdrawn(ledger)) == 0
    assert capture.seen(ledger) == StatisticalCaptures(100, size, 0, LENIENT)
    ledger.set[capture.order[RECORDED : RECORDED + 20]] = 3
    assert torch.equal(capture.withdrawn(ledger).sort().values, rest[:100].sort().values)
    assert capture.seen(ledger) is None


def test_an_audit_under_way_says_nothing_against_the_rule():
    """Orbits of the sample that are audited have no label until they have ended; so few captures make a late audit."""
    protocol = sx.Protocol(max_wrong=0.02, statistics=Statistics(recorded=128))
    starts = torch.randn(1500, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found = sx.find_attractors(oracles.tanh_product(dim=3, gain=1.1).field, starts, protocol)
    sample = sample_size(0.02)
    assert found.audit.checked >= protocol.auditing.least
    assert found.audit.statistical == StatisticalCaptures(1500 - 128 - sample, sample, 0, 0.02)


def test_a_rule_that_is_worse_than_the_bound_is_allowed_in_one_of_twenty_cases():
    """All widths wrong with probability 1.01 × the bound, nested as widths are; 2000 samples, exact to 4 standard errors."""
    size, generator = sample_size(LENIENT), np.random.default_rng(5)
    allowed = 0
    for _ in range(2000):
        fails_from = np.where(generator.random(size) < 1.01 * LENIENT, 0, len(WIDTHS))
        answers = torch.from_numpy((np.arange(len(WIDTHS)) >= fails_from[:, None]).astype(np.int64))
        capture, ledger = by_hand(answers, torch.zeros(size, dtype=torch.int64))
        allowed += capture._widest(ledger) is not None
    # P(no wrong answer among 374) = (1 − 0.0101)^374 = 2.2 %: the quarter more than needed makes the test stricter
    assert 0.05 * 2000 > allowed > 0.005 * 2000


def test_nearest_points_and_clearances_are_exact():
    generator = torch.Generator().manual_seed(0)
    points, fate = torch.randn(500, 3, generator=generator), torch.randint(-1, 5, (500,), generator=generator)
    z = torch.randn(40, 3, generator=generator)
    mine, ratio = Library.of(points, fate).look(z)
    table = torch.cdist(z.double(), points.double(), compute_mode="donot_use_mm_for_euclid_dist")
    first = table.argmin(dim=1)
    assert torch.equal(mine, fate[first])
    for row, place in enumerate(first.tolist()):
        others = points[fate != fate[place]].double()
        clearance = (others - points[place].double()).norm(dim=1).min()
        expected = torch.inf if mine[row] < 0 else float(table[row, place] / clearance)
        assert float(ratio[row]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
def test_nothing_is_guessed_where_it_would_not_pay():
    """Short orbits, and so many attractors that hardly one of the recorded orbits shares its own."""
    count = 2 * FEWEST
    quick = sx.LatentField.from_map(lambda z: z + 0.3 * (z - z**3), latent_shape=2, dtype=torch.float64)
    found = sx.find_attractors(quick, sx.starts.box(FEWEST, [-1.5, -1.5], [1.5, 1.5]), sx.Protocol(max_wrong=LENIENT))
    assert found.audit.statistical is None
    many = sx.LatentField.from_map(
        lambda z: z - 0.02 * torch.sin(2 * torch.pi * z) / torch.pi, latent_shape=2, dtype=torch.float64
    )
    ends = sx.starts.box(count, [0.0, 0.0], [60.0, 60.0])
    found = sx.find_attractors(many, ends, sx.Protocol(max_wrong=LENIENT))
    assert found.audit.statistical is None
    assert torch.equal(found.points[found.labels].round(), ends.block(many, 0, count).round())


@pytest.mark.slow
def test_the_account_is_saved_and_joined(tmp_path):
    field, starts = wells()
    found = sx.find_attractors(field, starts, sx.Protocol(max_wrong=LENIENT))
    save_result(found, tmp_path / "found")
    assert load_result(tmp_path / "found").audit == found.audit
    both = join_searches([found, sx.find_attractors(field, starts[:50])])
    assert both.audit.statistical == found.audit.statistical
    twice = join_searches([found, found])
    assert twice.audit.statistical == replace(
        found.audit.statistical,
        captured=2 * found.audit.statistical.captured,
        followed=2 * found.audit.statistical.followed,
    )


def test_encoded_images_are_encoded_once_each():
    seen = []

    def encode(x: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        return x.flatten(1)[:, :2]

    def decode(z: torch.Tensor) -> torch.Tensor:
        return (z + 0.05 * (z - z**3)).reshape(-1, 1, 1, 2)

    field = sx.LatentField(encode, decode, latent_shape=2)
    images = torch.rand(FEWEST, 1, 1, 2, generator=torch.Generator().manual_seed(0))
    found = sx.find_attractors(field, sx.starts.encoded(images), sx.Protocol(max_wrong=LENIENT))
    assert found.audit.statistical.captured > 0
    again = FEWEST  # those that the spread is measured on
    assert sum(seen) <= found.cost.total + FEWEST + again + 400  # … and the examination of the field


def test_a_catalogue_tells_all_its_points():
    field, _ = wells(100)
    catalogue = Catalogue(field, sx.Protocol(), 1.0, 1e-7)
    points, owner = catalogue.all_points()
    assert points.shape == (0, 2)
    assert owner.shape == (0,)
