"""The library of known sets: what it takes for the same, what for new, and which points it vouches for."""

from __future__ import annotations

import pytest
import torch

from separatrix import Kind, LatentField, Protocol
from separatrix.limitsets.library import Library
from separatrix.limitsets.polish import polish

EPS = torch.finfo(torch.float64).eps
WELL = 0.9575040240772687


def field_of(function, k=1, dtype=torch.float64):
    return LatentField.from_map(function, latent_shape=k, dtype=dtype)


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def library_of(function, k=1, spread=1.0, **options):
    return Library(field_of(function, k), Protocol(**options), spread, EPS)


def wells(z):
    return torch.tanh(2 * z)


def exactly(*values):
    return torch.full((len(values),), 1e-4, dtype=torch.float64)


def test_the_same_point_twice_is_one_set():
    library = library_of(wells)
    points = column(0.95, 0.96, -0.95, 0.955, -0.96)
    labels = library.absorb(points, torch.full((5,), 0.01, dtype=torch.float64))
    assert len(library.sets) == 2
    assert labels.tolist() == [0, 0, 1, 0, 1]
    assert [known.points.item() for known in library.sets] == pytest.approx([WELL, -WELL], abs=1e-13)
    again = library.absorb(column(-0.957, 0.957), torch.full((2,), 0.01, dtype=torch.float64))
    assert again.tolist() == [1, 0]
    assert len(library.sets) == 2


def test_a_saddle_is_kept_and_claims_beside_it_are_not_confirmed():
    library = library_of(wells)
    labels = library.absorb(column(1e-6, -1e-6, 0.0), torch.full((3,), 1e-5, dtype=torch.float64))
    assert labels.tolist() == [-1, -1, -1]
    assert [known.stable for known in library.sets] == [0]
    assert library.sets[0].unstable_directions == 1
    assert library.at_unstable(column(0.0, 1e-9, 0.5), 1, 1e-8).tolist() == [0, 0, -1]


def test_a_claim_with_no_limit_nearby_adds_nothing():
    library = library_of(lambda z: z + 0.01)
    assert library.absorb(column(0.0, 1.0), torch.full((2,), 0.1, dtype=torch.float64)).tolist() == [-1, -1]
    assert library.sets == []


def test_polishing_may_not_jump_to_a_set_far_away():
    """Newton from 0.35 jumps over the saddle of tanh(2z); a claim with a small error is not about that place."""
    library = library_of(wells)
    library.absorb(column(0.35), torch.full((1,), 1e-6, dtype=torch.float64))
    assert library.sets == []


def test_recognised_is_what_contracts_into_a_known_set():
    library = library_of(wells)
    library.absorb(column(0.957), exactly(0))
    assert library.recognise(column(0.958, 0.9, -0.957, 0.0, 1e-9, 0.5)).tolist() == [0, -1, -1, -1, -1, -1] or (
        library.recognise(column(0.958, -0.957, 0.0, 1e-9)).tolist() == [0, -1, -1, -1]
    )
    field = library.field
    later = column(0.5, -0.5)
    for _ in range(10):
        later = field(later)
    assert library.recognise(later).tolist() == [0, -1]


def test_cycles_are_recognised_in_every_phase():
    library = library_of(lambda x: 3.5 * x * (1 - x))
    z = column(0.3)
    for _ in range(500):
        z = library.field(z)
    phases = [z]
    for _ in range(3):
        phases.append(library.field(phases[-1]))
    points = torch.cat(phases)
    labels = library.absorb(points, torch.full((4,), 1e-8, dtype=torch.float64), 4)
    assert labels.tolist() == [0, 0, 0, 0]
    (known,) = library.sets
    assert (known.kind, known.period) == (Kind.CYCLE, 4)
    assert torch.allclose(library.field(known.points), known.points.roll(-1, 0), rtol=0, atol=1e-12)
    assert known.radius == pytest.approx(0.0305, abs=1e-4)


def test_a_multiple_of_the_period_is_reduced():
    library = library_of(lambda x: 3.2 * x * (1 - x))
    cycle = column(0.7994554904673701, 0.5130445095326298)
    library.add(polish(library.field, cycle, 6), torch.full((2,), 1e-3, dtype=torch.float64), 6)
    library.add(polish(library.field, column(0.6875), 6), torch.full((1,), 1e-3, dtype=torch.float64), 6)
    assert sorted(known.period for known in library.sets) == [1, 2]
    by_period = {known.period: known for known in library.sets}
    assert by_period[2].radius == pytest.approx(0.16, abs=1e-9)
    assert by_period[1].radius == pytest.approx(1.2, abs=1e-9)


def test_numbers_never_change():
    library = library_of(lambda z: torch.tanh(2 * z), 2)
    corners = torch.cartesian_prod(torch.tensor([-WELL, WELL]), torch.tensor([-WELL, WELL])).double()
    first = library.absorb(corners[:2], torch.full((2,), 1e-4, dtype=torch.float64))
    before = [known.points.clone() for known in library.sets]
    library.absorb(corners, torch.full((4,), 1e-4, dtype=torch.float64))
    assert len(library.sets) == 4
    for old, new in zip(before, library.sets, strict=False):
        assert torch.equal(old, new.points)
    assert torch.equal(library.recognise(corners)[:2], first)


@pytest.mark.parametrize(("tolerance", "count"), [(1e-6, 2), (1.0, 1)])
def test_the_merge_tolerance_is_a_share_of_the_spread(tolerance, count):
    library = library_of(lambda z: 1e-3 * torch.tanh(2e3 * z), merge_tolerance=tolerance)
    library.add(polish(library.field, 1e-3 * column(WELL, -WELL)), torch.full((2,), 1e-3, dtype=torch.float64), 1)
    assert len(library.sets) == count


def test_an_infinite_error_allows_any_distance():
    library = library_of(wells)
    library.add(
        polish(library.field, column(5.0, -3.0), damped=True), torch.full((2,), torch.inf, dtype=torch.float64), 1
    )
    assert len(library.sets) >= 1


def test_a_projection_is_one_continuum():
    library = library_of(lambda z: z * torch.tensor([1.0, 0.0], dtype=torch.float64), 2)
    points = torch.tensor([[0.1, 0.0], [0.5, 0.0], [-2.0, 0.0]], dtype=torch.float64)
    labels = library.absorb(points, torch.full((3,), 1e-9, dtype=torch.float64))
    assert labels.tolist() == [0, 0, 0]
    (known,) = library.sets
    assert known.kind == Kind.CONTINUUM
    assert known.stable == -1


def test_a_single_neutral_point_is_not_called_stable():
    library = library_of(lambda z: z - z**3)
    library.add(polish(library.field, column(1e-6)), torch.full((1,), 1e-2, dtype=torch.float64), 1)
    assert all(known.stable != 1 for known in library.sets)


def test_nothing_known_nothing_recognised():
    library = library_of(wells)
    assert library.recognise(column(0.5, 1.0)).tolist() == [-1, -1]
    assert library.recognise(column()[:0].reshape(0, 1)).tolist() == []
    assert library.cost.map == 0


def test_work_is_counted():
    seen = [0]

    def counting(z):
        seen[0] += len(z)
        return torch.tanh(2 * z)

    library = library_of(counting)
    assert library.field.differentiable
    seen[0] = 0
    library.absorb(column(0.95, -0.95, 0.951), torch.full((3,), 0.01, dtype=torch.float64))
    assert library.cost.map + library.cost.vjp == seen[0]
