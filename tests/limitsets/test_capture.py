"""Capture, approach and audit: what ends early ends where the orbit would have ended, and the sample that checks it can fail."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

import separatrix as sx
from separatrix import LatentField, Protocol, Status
from separatrix.limitsets import Kind
from separatrix.limitsets._approach import Approach
from separatrix.limitsets._capture import Capture, Frozen, Tube
from separatrix.limitsets._capture_audit import CaptureAudit
from separatrix.limitsets._catalogue import Catalogue
from separatrix.limitsets._polish import polish
from separatrix.limitsets._regions import StepNorms, TrappingRegions
from separatrix.numerics import closed_curve
from separatrix.numerics._distances import nearest_other
from separatrix.protocol import Auditing, Curves, Rounds
from separatrix.testing import oracles

pytestmark = pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")
EPS = torch.finfo(torch.float64).eps


def wells(dim=3):
    return LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=dim, dtype=torch.float64)


def regions(*centres, rho=0.5):
    points = torch.tensor(centres, dtype=torch.float64)
    count, k = points.shape
    jacobian = rho * torch.eye(k, dtype=torch.float64).expand(count, 1, k, k)
    norms = StepNorms.of(jacobian, torch.full((count,), rho))
    apart = nearest_other(points, points, torch.arange(count)).distance
    return TrappingRegions.around(points, norms, apart, 1.0)


def accepted_after(region_set, path):
    """The first step of the path ``(t, k)`` at which it is accepted, or None."""
    approach, orbit = Approach.none(1, torch.device("cpu")), torch.zeros(1, dtype=torch.int64)
    for t, (z, f_z) in enumerate(itertools.pairwise(path)):
        if bool(approach.see(region_set, orbit, z[None], f_z[None])):
            return t
    return None


@pytest.mark.parametrize(
    ("rho", "ratio", "steps"), [(0.5, 0.5, 4), (0.1, 0.1, 3), (0.9, 0.9, 16), (0.9, 0.91, 16), (0.9, 0.93, 32)]
)
def test_a_tenfold_fall_in_three_steps_or_more_or_sixteen_nearly_linear_ones(rho, ratio, steps):
    """From z within the region: ratio^steps ≤ 1/10, and never fewer than three. Where 4 |ratio − ρ| ≤ (1 − ρ)/2, sixteen."""
    path = 0.001 * ratio ** torch.arange(40, dtype=torch.float64)[:, None] * torch.ones(1, 2, dtype=torch.float64)
    assert accepted_after(regions([0.0, 0.0], rho=rho), path) == steps - 1


def test_nearly_linear_steps_are_believed_farther_out():
    """Distance 1 to the next set: close is ‖z − a‖_P ≤ 0.05, within reach 0.2."""
    two = regions([0.0], [1.0], rho=0.9)
    unit = float(two.factor[0, 0, 0])
    for start, ratio, expected in [(0.19, 0.9, 15), (0.21, 0.9, 16), (0.19, 0.93, None)]:
        path = start / unit * ratio ** torch.arange(18, dtype=torch.float64)[:, None]
        assert accepted_after(two, path) == expected


def test_a_step_that_does_not_fit_starts_the_count_again():
    rho = 0.5
    path = 0.001 * rho ** torch.arange(40, dtype=torch.float64)[:, None] * torch.ones(1, 1, dtype=torch.float64)
    broken = torch.cat([path[:3], path[2:3] * 0.99, path[3:]])
    assert accepted_after(regions([0.0]), path) == 3
    assert accepted_after(regions([0.0]), broken) > 3 + 1


def test_an_orbit_that_changes_regions_starts_again():
    two = regions([0.0], [1.0])
    towards_zero = 0.02 * 0.5 ** torch.arange(4, dtype=torch.float64)[:, None]
    jump = torch.cat([towards_zero[:3], 1 + towards_zero[:3]])
    assert accepted_after(two, towards_zero[:4]) is None
    assert accepted_after(two, jump) is None


@pytest.mark.parametrize("name", ["product_of_wells", "hopfield", "newton"])
def test_captured_orbits_end_where_the_others_do(name):
    oracle = {
        "product_of_wells": lambda: oracles.tanh_product(dim=3),
        "hopfield": lambda: oracles.hopfield(beta=4.0),
        "newton": oracles.newton_cube_roots,
    }[name]()
    plain = sx.find_attractors(oracle.field, oracle.starts, Protocol(capture=False))
    quick = sx.find_attractors(oracle.field, oracle.starts, Protocol())
    assert torch.equal(plain.labels, quick.labels)
    assert (plain.points - quick.points).abs().max() <= 1e-12
    assert plain.audit is None
    assert quick.audit.fidelity == 1.0


def test_capture_saves_evaluations_and_says_so():
    field, starts = wells(), sx.starts.gaussian(1000, seed=2)
    plain = sx.find_attractors(field, starts, Protocol(capture=False))
    quick = sx.find_attractors(field, starts)
    assert quick.orbits.counts[Status.CAPTURED] >= 800
    assert Status.CAPTURED not in plain.orbits.counts
    assert quick.cost.map < 0.8 * plain.cost.map
    assert torch.equal(plain.labels, quick.labels)


def test_the_error_of_a_captured_orbit_is_its_distance_to_the_set():
    limits = sx.find_attractors(wells(), sx.starts.gaussian(600, seed=3))
    captured = limits.orbits.status == int(Status.CAPTURED)
    away = (limits.orbits.points - limits.points[limits.labels]).norm(dim=1)
    assert torch.allclose(limits.orbits.error[captured], away[captured], rtol=1e-9, atol=1e-15)
    assert (away[captured] <= 0.1 * limits.spread).all()


def test_a_set_found_late_makes_earlier_regions_smaller_and_its_neighbours_are_asked_again():
    """Two attractors 0.02 apart, one with a small basin: captured far out by the first, orbits of the second would be lost."""

    def near_twins(z):
        # z ← z − 0.5·(z−0)(z−0.01)(z−0.02)·(scale): attractors at 0 and 0.02, a repeller at 0.01 between them
        inner = z - 2000 * z * (z - 0.01) * (z - 0.02)
        return torch.where((z > -0.005) & (z < 0.025), inner, torch.where(z < 0.01, 0.6 * z, 0.02 + 0.6 * (z - 0.02)))

    field = LatentField.from_map(near_twins, latent_shape=1, dtype=torch.float64)
    starts = torch.linspace(-1, 0.012, 400, dtype=torch.float64)[:, None]
    limits = sx.find_attractors(field, starts)
    plain = sx.find_attractors(field, starts, Protocol(capture=False))
    assert torch.equal(limits.labels, plain.labels)
    assert limits.points.flatten().sort().values.tolist() == pytest.approx([0.0, 0.02], abs=1e-9)


def test_a_closed_curve_captures_what_comes_to_it():
    angle = 2 * math.pi * 0.6180339887
    field = LatentField.from_map(lambda z: _turn(z, angle), latent_shape=2, dtype=torch.float64)
    starts = sx.starts.gaussian(600, seed=1)
    limits = sx.find_attractors(field, starts)
    assert limits.of_kind(Kind.CLOSED_CURVE).hits.tolist() == [600]
    steps = limits.orbits.steps[Rounds.pilot :]
    assert steps.max() < 200, "the pilot's curve captures the others long before the probe is over"
    assert limits.audit.captured >= 500
    assert limits.audit.fidelity == 1.0


def test_the_tube_round_loops_that_are_visited_in_turn_is_as_wide_as_the_largest_of_them_allows():
    """Circles of radius 1 and 0.1: what is near enough to the large one is captured when it has come ten times as near."""
    turns = 2 * math.pi * 0.6180339887 * torch.arange(1000, dtype=torch.float64)
    circle = torch.stack([turns.cos(), turns.sin()], dim=1)
    loops = [closed_curve(points.numpy()) for points in (circle, 10 + 0.1 * circle)]
    for share, held in ((0.9, True), (1.1, False)):
        tube = Tube(0, loops, 2, math.inf, 1, torch.device("cpu"), Curves())
        away = share * Curves.near * loops[0].diameter * torch.tensor([[1.0, 0.0]], dtype=torch.float64)
        first = circle[:1] + away, circle[:1] + away / 10
        seen = [tube.see(torch.zeros(1, dtype=torch.int64), z).item() for z in first]
        assert seen == [False, held]


def _turn(z, angle):
    c, s = math.cos(angle), math.sin(angle)
    r = z.norm(dim=1, keepdim=True)
    turned = z @ torch.tensor([[c, s], [-s, c]], dtype=z.dtype)
    return turned / r * (1 + 0.5 * (r - 1))


def test_watching_costs_no_evaluations():
    field = wells(1)
    catalogue = Catalogue(field, Protocol(), 1.0, EPS)
    found = polish(field, torch.tensor([[0.957]], dtype=torch.float64))
    catalogue.add(found, torch.tensor([1e-3], dtype=torch.float64), 1)
    spent = catalogue.cost
    capture = Capture(Frozen.of(catalogue), 3, catalogue.field.device, torch.tensor([False, False, True]))
    z = torch.tensor([[0.95], [0.5], [0.95]], dtype=torch.float64)
    caught = torch.zeros(3, dtype=torch.bool)
    for _ in range(6):
        image = field(z)
        caught |= capture.see(torch.arange(3), z, image)
        z = image
    assert catalogue.cost == spent
    assert caught.tolist() == [True, True, False], "the third is exempt, because its end is being audited"
    assert capture.set.tolist() == [0, 0, -1]


@pytest.mark.parametrize("blind", [False, True])
def test_an_audit_that_disagrees_makes_everything_right(monkeypatch, blind):
    """A capture that labels everything 0. What lies outside of region 0 is withdrawn; where nobody sees that, the audit does."""
    field, starts = wells(1), sx.starts.gaussian(400, seed=5)
    honest = sx.find_attractors(field, starts)
    genuine = Capture.see

    def lying(self, orbit, z, f_z):
        caught = genuine(self, orbit, z, f_z)
        self.set[orbit[caught]] = 0
        return caught

    monkeypatch.setattr(Capture, "see", lying)
    if blind:
        everywhere = lambda self, points, numbers: torch.ones(len(points), dtype=torch.bool)  # noqa: E731
        monkeypatch.setattr(Catalogue, "inside", everywhere)
    limits = sx.find_attractors(field, starts, Protocol(audit=0.1))
    assert limits.audit.abandoned is blind
    assert (limits.audit.fidelity == 1.0) is not blind
    assert limits.audit.rounds == (3 if blind else 2)
    assert ("followed to their end as well" in limits.audit.sentence) is blind
    assert torch.allclose(limits.points[limits.labels], honest.points[honest.labels], rtol=0, atol=1e-9)


@pytest.mark.parametrize(("share", "count"), [(0.01, 1000), (0.01, 50), (1.0, 30), (0, 50)])
def test_the_share_that_is_audited(share, count):
    """Each captured orbit is drawn by a number of its own, so the sample is binomial; never fewer than four."""
    limits = sx.find_attractors(wells(1), sx.starts.gaussian(count, seed=4), Protocol(audit=share))
    audit = limits.audit
    assert audit.captured <= count
    least = min(Auditing.least, audit.captured) if share else 0
    deviation = 4 * math.sqrt(share * (1 - share) * count)
    assert max(least, share * audit.captured - deviation) <= audit.checked <= max(least, share * count + deviation)


def test_the_sentence_of_an_audit():
    audit = CaptureAudit(captured=1000, checked=20, agreed=19, rounds=2)
    assert audit.fidelity == pytest.approx(0.95)
    low, high = audit.interval
    assert low == pytest.approx(0.75127, abs=1e-5)
    assert high == pytest.approx(0.99873, abs=1e-5)
    assert "19 of 20" in audit.sentence
    assert "regions shrunk 1×" in audit.sentence
    assert math.isnan(CaptureAudit(captured=5, checked=0, agreed=0).fidelity)
    assert "none of 5" in CaptureAudit(captured=5, checked=0, agreed=0).sentence


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan"), "all", True])
def test_the_audited_share_is_a_share(value):
    with pytest.raises(sx.errors.InputError, match=r"Protocol\.audit must be a (share between|number, not)"):
        Protocol(audit=value)
