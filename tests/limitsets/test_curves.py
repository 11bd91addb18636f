"""Closed curves among moving orbits: found once each, told apart, tested for stability, refused where there is none."""

from __future__ import annotations

import math

import pytest
import torch

from separatrix import LatentField
from separatrix.limitsets.curves import PATIENCE, PROBE_COST, RECORDED, TRANSIENT, CurveSearch
from separatrix.numerics.closed_curve import THINNESS, closed_curve

GOLDEN = 2 * math.pi * (math.sqrt(5) - 1) / 2


def radial_field(step, angle=1.0, k=2, dtype=torch.float64):
    """Turns by ``angle`` while the radius goes r → step(r); further coordinates are halved."""

    def function(z):
        r, phase = z[:, :2].norm(dim=1), torch.atan2(z[:, 1], z[:, 0]) + angle
        r = step(r)
        return torch.cat([torch.stack([r * phase.cos(), r * phase.sin()], dim=1), 0.5 * z[:, 2:]], dim=1)

    return LatentField.from_map(function, latent_shape=k, dtype=dtype)


def ring(*radii, k=2):
    phase = torch.arange(len(radii), dtype=torch.float64)
    r = torch.tensor(radii, dtype=torch.float64)
    plane = torch.stack([r * phase.cos(), r * phase.sin()], dim=1)
    return torch.cat([plane, torch.zeros(len(radii), k - 2, dtype=torch.float64)], dim=1)


def pull(r):
    return 1 + 0.5 * (r - 1)


@pytest.mark.parametrize("angle", [1.0, GOLDEN, 0.07, 3.0])
@pytest.mark.parametrize("k", [2, 7])
def test_one_attracting_curve(angle, k):
    search = CurveSearch(radial_field(pull, angle, k))
    labels = search.assign(ring(*[0.995, 1.0, 1.005] * 4, k=k))
    assert labels.tolist() == [0] * 12
    (known,) = search.curves
    assert known.stable == 1
    assert known.rate == pytest.approx(0.5, abs=0.05)
    assert known.curve.length == pytest.approx(2 * math.pi, rel=1e-3)
    assert known.curve.diameter == pytest.approx(2, rel=0.03)


def test_the_rate_of_a_slowly_attracting_curve():
    search = CurveSearch(radial_field(lambda r: 1 + 0.9 * (r - 1)))
    search.assign(ring(1.0, 1.0))
    assert search.curves[0].stable == 1
    assert search.curves[0].rate == pytest.approx(0.9, abs=0.02)


def test_nested_curves_are_told_apart():
    search = CurveSearch(radial_field(lambda r: r - 0.4 * (r - 1) * (r - 1.5) * (r - 2)))
    labels = search.assign(ring(1.0, 1.001, 2.0, 2.001, 1.0, 2.0))
    assert len(search.curves) == 2
    assert (labels >= 0).all()
    assert labels[[0, 1, 4]].unique().numel() == labels[[2, 3, 5]].unique().numel() == 1
    assert labels[0] != labels[2]


@pytest.mark.parametrize("gap", [0.05, 0.02])
def test_curves_close_together_are_told_apart(gap):
    """Radii 1 and 1 + gap attract; the middle repels."""
    a, b = 1.0, 1.0 + gap
    c = (a + b) / 2
    search = CurveSearch(radial_field(lambda r: r - 0.5 * (r - a) * (r - b) * (r - c) / (gap / 2) ** 2))
    labels = search.assign(ring(a, b, a, b, b, a))
    assert len(search.curves) == 2
    assert torch.equal(labels == labels[0], torch.tensor([True, False, True, False, False, True]))


def test_a_repelling_curve_is_not_called_stable():
    """A start exactly on a repelling circle stays for a while: 1e-16 grows slowly at a rate of 1.001."""
    search = CurveSearch(radial_field(lambda r: 1 + 1.001 * (r - 1)))
    search.assign(ring(1.0, 1.0))
    assert all(known.stable != 1 for known in search.curves)


def test_neutral_loops_are_not_stable_and_the_search_ends():
    search = CurveSearch(radial_field(lambda r: r, GOLDEN))
    labels = search.assign(ring(*torch.linspace(0.5, 2, 40).tolist()))
    assert all(known.stable == -1 for known in search.curves)
    assert len(search.curves) <= 8
    for number, known in enumerate(search.curves):
        radii = torch.linspace(0.5, 2, 40)[labels == number]
        assert radii.max() - radii.min() < 0.05, "an orbit is on its own loop, not on its neighbour's"
        assert known.curve.diameter == pytest.approx(2 * float(radii.mean()), rel=0.02)


NOT_CURVES = {
    "chaos": LatentField.from_map(lambda x: 3.9 * x * (1 - x), latent_shape=1, dtype=torch.float64),
    "fixed point": radial_field(lambda r: 0.99 * r),
    "slow spiral in": radial_field(lambda r: 0.9997 * r),
    "slow spiral out": radial_field(lambda r: 1.0003 * r),
    "cycle of 5": radial_field(pull, 2 * math.pi * 2 / 5),
    "NaN": LatentField.from_map(lambda z: z * torch.nan, latent_shape=2, dtype=torch.float64),
}


@pytest.mark.parametrize("name", NOT_CURVES)
def test_no_curve_where_there_is_none(name):
    field = NOT_CURVES[name]
    start = torch.full((5, field.latent_dim), 0.3, dtype=torch.float64) + 0.01 * torch.arange(5).double()[:, None]
    search = CurveSearch(field)
    assert search.assign(start).tolist() == [-1] * 5
    assert search.curves == []


def test_a_narrow_band_of_chaos_is_no_curve():
    """The radius follows a tent map within 1e-4 of 1 while the phase creeps round: sorted by its laps it passes for thin, and
    displaced points fall back onto the band at once. Its largest exponent, ln 1.99, gives it away."""
    # A thinness of 0.08 to 0.11, wherever in the band it starts: nearer to a resonance it is a matter of rounding.
    width, turn = 1e-4, 0.0283

    def function(z):
        r, phase = z.norm(dim=1), torch.atan2(z[:, 1], z[:, 0]) + turn
        r = 1 + width * (1 - 1.99 * ((r - 1) / width).clamp(-1, 1).abs())
        return torch.stack([r * phase.cos(), r * phase.sin()], dim=1)

    field = LatentField.from_map(function, latent_shape=2, dtype=torch.float64)
    start = torch.tensor([[1.0003, 0.0], [0.0, 1.0]], dtype=torch.float64)
    orbit = [start[:1]]
    for _ in range(TRANSIENT + RECORDED):
        orbit.append(field(orbit[-1]))
    looks_like_one = closed_curve(torch.cat(orbit[TRANSIENT:-1]).numpy())
    assert looks_like_one is not None
    assert looks_like_one.thinness > THINNESS
    search = CurveSearch(field)
    assert search.assign(start).tolist() == [-1, -1]
    assert search.curves == []


def test_others_among_the_orbits_are_left_out():
    """Left of −5 there is chaos, on the right a closed curve."""

    def function(z):
        x = z[:, 0] + 10
        chaos = torch.stack([3.9 * x * (1 - x) - 10, 0 * x], dim=1)
        return torch.where(z[:, :1] < -5, chaos, radial_field(pull).bare(z))

    chaotic = torch.tensor([[-9.7, 0.0], [-9.4, 0.0], [-9.2, 0.0]], dtype=torch.float64)
    search = CurveSearch(LatentField.from_map(function, latent_shape=2, dtype=torch.float64))
    labels = search.assign(torch.cat([ring(1.0), chaotic, ring(1.0, 1.0)]))
    assert labels.tolist() == [0, -1, -1, -1, 0, 0]


def test_a_curve_behind_many_chaotic_orbits_is_found():
    """The first probes show nothing; the orbit on the curve comes later."""

    def function(z):
        x = z[:, 0] + 10
        chaos = torch.stack([3.9 * x * (1 - x) - 10, 0 * x], dim=1)
        return torch.where(z[:, :1] < -5, chaos, radial_field(pull).bare(z))

    chaotic = torch.stack([torch.linspace(-9.9, -9.1, 12), torch.zeros(12)], dim=1).double()
    search = CurveSearch(LatentField.from_map(function, latent_shape=2, dtype=torch.float64))
    labels = search.assign(torch.cat([chaotic, ring(1.0, 1.0, 1.0, 1.0, 1.0, 1.0)]))
    assert labels.tolist() == [-1] * 12 + [0] * 6


def test_the_order_of_the_orbits_does_not_matter():
    field = radial_field(lambda r: r - 0.4 * (r - 1) * (r - 1.5) * (r - 2))
    points = ring(1.0, 1.001, 2.0, 2.001, 1.0, 2.0, 1.0, 2.0, 1.0)
    first = CurveSearch(field)
    labels = first.assign(points)
    for seed in range(3):
        order = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))
        second = CurveSearch(field)
        assert torch.equal(second.assign(points[order]), labels[order])
        assert second.cost == first.cost
        for one, other in zip(first.curves, second.curves, strict=True):
            assert (one.curve.points == other.curve.points).all()


def test_chaos_is_not_probed_for_ever():
    search = CurveSearch(NOT_CURVES["chaos"])
    labels = search.assign(torch.linspace(0.1, 0.9, 100, dtype=torch.float64)[:, None])
    assert (labels == -1).all()
    assert search.cost.map == PATIENCE * (TRANSIENT + RECORDED)


def test_less_patience_probes_less_and_remembers_what_was_in_vain():
    search = CurveSearch(LatentField.from_map(lambda z: 4 * z * (1 - z), latent_shape=1, dtype=torch.float64))
    points = torch.linspace(0.1, 0.9, 100, dtype=torch.float64)[:, None]
    search.assign(points, patience=4)
    assert (search.fruitless, search.cost.map) == (4, 4 * PROBE_COST)
    search.assign(points)
    assert (search.fruitless, search.cost.map) == (4 + PATIENCE, (4 + PATIENCE) * PROBE_COST)


def test_float32_orbits_have_curves_too():
    search = CurveSearch(radial_field(pull, dtype=torch.float32))
    assert search.assign(ring(1.0, 0.99).float()).tolist() == [0, 0]
    assert search.curves[0].stable == 1


def test_work_is_counted():
    seen = [0]
    inner = radial_field(pull)

    def counting(z):
        seen[0] += len(z)
        return inner.bare(z)

    search = CurveSearch(LatentField.from_map(counting, latent_shape=2, dtype=torch.float64))
    search.assign(ring(1.0, 1.0, 1.0))
    assert search.cost.map == seen[0]


def test_nothing_to_assign():
    search = CurveSearch(radial_field(pull))
    assert search.assign(ring(1.0)[:0]).tolist() == []
    assert search.cost.map == 0
