"""The catalogue of known sets: what it takes for the same, what for new, and which points it vouches for."""

from __future__ import annotations

import pytest
import torch

from separatrix import LatentField, Protocol
from separatrix.limitsets import Kind
from separatrix.limitsets._catalogue import Catalogue
from separatrix.limitsets._polish import polish

EPS = torch.finfo(torch.float64).eps
WELL = 0.9575040240772687


def field_of(function, k=1, dtype=torch.float64):
    return LatentField.from_map(function, latent_shape=k, dtype=dtype)


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def catalogue_of(function, k=1, spread=1.0, **options):
    return Catalogue(field_of(function, k), Protocol(**options), spread, EPS)


def wells(z):
    return torch.tanh(2 * z)


def exactly(*values):
    return torch.full((len(values),), 1e-4, dtype=torch.float64)


def add(catalogue, points, error, period=1):
    catalogue.add(polish(catalogue.field, points, period), torch.full((len(points),), error).double(), period)


def test_the_same_point_twice_is_one_set():
    catalogue = catalogue_of(wells)
    add(catalogue, column(0.95, 0.96, -0.95, 0.955, -0.96), 0.01)
    assert [known.points.item() for known in catalogue.sets] == pytest.approx([WELL, -WELL], abs=1e-13)
    version = catalogue.version
    add(catalogue, column(-0.957, 0.957), 0.01)
    assert (len(catalogue.sets), catalogue.version) == (2, version)


def test_a_saddle_is_kept_and_what_rests_on_it_is_told_from_what_does_not():
    catalogue = catalogue_of(wells)
    add(catalogue, column(1e-6, -1e-6, 0.0), 1e-5)
    assert [known.stable for known in catalogue.sets] == [0]
    assert catalogue.sets[0].unstable_directions == 1
    assert catalogue.sets[0].norms is None
    points, one = column(0.0, 1e-9, 0.5), torch.ones(3)
    assert catalogue.at_rest(points, one.double(), one.long(), 1e-8).tolist() == [0, 0, -1]


def test_a_candidate_with_no_limit_nearby_adds_nothing():
    catalogue = catalogue_of(lambda z: z + 0.01)
    add(catalogue, column(0.0, 1.0), 0.1)
    assert catalogue.sets == []
    assert len(catalogue.looked_at(1)) == 2, "it is remembered, so that nobody polishes it again"


def test_polishing_may_not_jump_to_a_set_far_away():
    """Newton from 0.35 jumps over the saddle of tanh(2z); a claim with a small error is not about that place."""
    catalogue = catalogue_of(wells)
    add(catalogue, column(0.35), 1e-6)
    assert catalogue.sets == []


def test_a_cycle_is_one_set_with_its_points_in_the_order_of_the_motion():
    catalogue = catalogue_of(lambda x: 3.5 * x * (1 - x))
    z = column(0.3)
    for _ in range(500):
        z = catalogue.field(z)
    phases = [z]
    for _ in range(3):
        phases.append(catalogue.field(phases[-1]))
    add(catalogue, torch.cat(phases), 1e-8, 4)
    (known,) = catalogue.sets
    assert (known.kind, known.period) == (Kind.CYCLE, 4)
    assert torch.allclose(catalogue.field(known.points), known.points.roll(-1, 0), rtol=0, atol=1e-12)
    assert known.radius == pytest.approx(0.0305, abs=1e-4)
    regions, numbers = catalogue.regions()
    assert numbers.tolist() == [0] * 4
    assert regions.successor.tolist() == [1, 2, 3, 0]


def test_a_multiple_of_the_period_is_reduced():
    catalogue = catalogue_of(lambda x: 3.2 * x * (1 - x))
    cycle = column(0.7994554904673701, 0.5130445095326298)
    catalogue.add(polish(catalogue.field, cycle, 6), torch.full((2,), 1e-3, dtype=torch.float64), 6)
    catalogue.add(polish(catalogue.field, column(0.6875), 6), torch.full((1,), 1e-3, dtype=torch.float64), 6)
    assert sorted(known.period for known in catalogue.sets) == [1, 2]
    by_period = {known.period: known for known in catalogue.sets}
    assert by_period[2].radius == pytest.approx(0.16, abs=1e-9)
    assert by_period[1].radius == pytest.approx(1.2, abs=1e-9)


def test_numbers_never_change():
    catalogue = catalogue_of(wells, 2)
    corners = torch.cartesian_prod(torch.tensor([-WELL, WELL]), torch.tensor([-WELL, WELL])).double()
    add(catalogue, corners[:2], 1e-4)
    before = [known.points.clone() for known in catalogue.sets]
    add(catalogue, corners, 1e-4)
    assert len(catalogue.sets) == 4
    for old, new in zip(before, catalogue.sets, strict=False):
        assert torch.equal(old, new.points)


def test_the_clearance_of_a_region_is_the_distance_to_the_nearest_other_set():
    """Wells at ±0.9575 and the saddle between them, which is found later and halves the clearance."""
    catalogue = catalogue_of(wells)
    add(catalogue, column(WELL, -WELL), 1e-4)
    wide = catalogue.regions()[0].radius
    add(catalogue, column(1e-3), 1e-2)
    narrow = catalogue.regions()[0].radius
    assert wide.tolist() == pytest.approx([0.05 * min(1.0, 2 * WELL)] * 2, rel=1e-9)
    assert narrow.tolist() == pytest.approx([0.05 * WELL] * 2, rel=1e-9)


@pytest.mark.parametrize(("tolerance", "count"), [(1e-6, 2), (1.0, 1)])
def test_the_merge_tolerance_is_a_share_of_the_spread(tolerance, count):
    catalogue = catalogue_of(lambda z: 1e-3 * torch.tanh(2e3 * z), merge_tolerance=tolerance)
    catalogue.add(polish(catalogue.field, 1e-3 * column(WELL, -WELL)), torch.full((2,), 1e-3, dtype=torch.float64), 1)
    assert len(catalogue.sets) == count


def test_an_infinite_error_allows_any_distance():
    catalogue = catalogue_of(wells)
    catalogue.add(
        polish(catalogue.field, column(5.0, -3.0), damped=True), torch.full((2,), torch.inf, dtype=torch.float64), 1
    )
    assert len(catalogue.sets) >= 1


def test_a_projection_is_one_continuum():
    catalogue = catalogue_of(lambda z: z * torch.tensor([1.0, 0.0], dtype=torch.float64), 2)
    points = torch.tensor([[0.1, 0.0], [0.5, 0.0], [-2.0, 0.0]], dtype=torch.float64)
    add(catalogue, points, 1e-9)
    rest, one = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.int64)
    assert catalogue.at_rest(points + 0.25 * points, rest, one, 1e-9).tolist() == [0, 0, 0]
    (known,) = catalogue.sets
    assert known.kind == Kind.CONTINUUM
    assert known.stable == -1


def test_two_points_of_a_family_are_one_continuum_as_well():
    catalogue = catalogue_of(lambda z: z * torch.tensor([1.0, 0.0], dtype=torch.float64), 2)
    add(catalogue, torch.tensor([[0.1, 0.0], [-2.0, 0.0]], dtype=torch.float64), 1e-9)
    assert [known.kind for known in catalogue.sets] == [Kind.CONTINUUM]


def test_a_single_neutral_point_is_not_called_stable():
    catalogue = catalogue_of(lambda z: z - z**3)
    catalogue.add(polish(catalogue.field, column(1e-6)), torch.full((1,), 1e-2, dtype=torch.float64), 1)
    assert all(known.stable != 1 for known in catalogue.sets)


@pytest.mark.parametrize(("rate", "stable"), [(0.5, 1), (1 - 1e-10, -1), (-1 + 1e-10, -1), (1.5, 0)])
def test_whether_a_point_attracts_is_unknown_where_its_rate_is_1_within_rounding(rate, stable):
    catalogue = catalogue_of(lambda z: rate * z)
    add(catalogue, column(0.0), 1e-2)
    (known,) = catalogue.sets
    assert (known.stable, known.kind, known.neutral) == (stable, Kind.FIXED_POINT, rate == 1 - 1e-10)


@pytest.mark.parametrize(("native", "stable"), [(torch.float64, 1), (torch.float32, -1)])
def test_what_is_1_within_rounding_follows_from_the_format_of_the_weights(native, stable):
    """A rate of 1 − 2e-6 is 17 rounding units of float32 from 1: weights that were trained in it do not tell it from 1."""
    catalogue = Catalogue(field_of(lambda z: (1 - 2e-6) * z), Protocol(), 1.0, torch.finfo(native).eps)
    add(catalogue, column(0.0), 1e-2)
    assert [known.stable for known in catalogue.sets] == [stable]


def test_nothing_known_nothing_found():
    catalogue = catalogue_of(wells)
    assert catalogue.regions() is None
    assert catalogue.at_rest(column(0.5, 1.0), torch.zeros(2), torch.ones(2), 1.0).tolist() == [-1, -1]
    assert catalogue.inside(column(0.5), torch.zeros(1).long()).tolist() == [True]
    assert catalogue.cost.map == 0


def test_work_is_counted():
    seen = [0]

    def counting(z):
        seen[0] += len(z)
        return torch.tanh(2 * z)

    catalogue = catalogue_of(counting)
    assert catalogue.field.differentiable
    seen[0] = 0
    add(catalogue, column(0.95, -0.95, 0.951), 0.01)
    assert catalogue.cost.map + catalogue.cost.vjp == seen[0]
