"""The rate law on maps whose orbits are known in closed form: where it is exact, and where it is seen to fail."""

from __future__ import annotations

import math
from unittest.mock import Mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from separatrix import LatentField, Protocol, find_attractors, load_result, save_result, starts
from separatrix.errors import ConvergenceWarning, InputError
from separatrix.studies._rate_law import rate_law
from separatrix.work import Progress, words_of

CENTRES = torch.tensor([-10.0, 0.0, 10.0], dtype=torch.float64)
RATES = torch.tensor([0.3, 0.6, 0.9], dtype=torch.float64)


def linear(matrix: list[list[float]]) -> LatentField:
    a = torch.tensor(matrix, dtype=torch.float64)
    return LatentField.from_map(lambda z: z @ a.T.to(z), latent_shape=(len(matrix),), dtype=torch.float64)


def points(*rows: float) -> starts.Starts:
    return starts.points(torch.tensor(rows, dtype=torch.float64)[:, None])


def three_wells() -> LatentField:
    """Everything within 5 of a centre approaches it along a line, at the centre's own rate."""

    def step(z: Tensor) -> Tensor:
        nearest = (z - CENTRES.to(z)).abs().argmin(dim=1, keepdim=True)
        centre, rate = CENTRES.to(z)[nearest], RATES.to(z)[nearest]
        return centre + rate * (z - centre)

    return LatentField.from_map(step, latent_shape=(1,), dtype=torch.float64)


def test_the_rate_law_is_exact_for_a_rotation_and_scaling():
    turn = 0.9 * torch.tensor([[0.5, -(0.75**0.5)], [0.75**0.5, 0.5]], dtype=torch.float64)
    field, where = linear(turn.tolist()), starts.gaussian(40, seed=3)
    limits = find_attractors(field, where)
    found = rate_law(field, limits, where, tolerance=1e-3)
    first = where.block(field, 0, 40).norm(dim=1)
    exact = torch.log(1e-3 * limits.spread / first) / math.log(0.9)
    assert torch.allclose(found.predicted, exact[found.start], atol=1e-6)
    assert torch.allclose(found.measured, exact[found.start], atol=1e-6)
    assert (len(found), found.missed) == (40, 0)
    assert found.correlation == pytest.approx(1.0, abs=1e-9)
    assert found.cost.map == int(exact.ceil().sum())


def test_where_orbits_linger_near_a_saddle_the_law_is_seen_to_fail():
    field = LatentField.from_map(lambda z: torch.tanh(1.2 * z), latent_shape=(1,), dtype=torch.float64)
    where = starts.box(60, -3.0, 3.0, seed=4)
    found = rate_law(field, find_attractors(field, where), where)
    assert -0.5 < found.correlation < 0.5  # orbits that begin near 0 take long, and the law says they are near
    near = rate_law(field, find_attractors(field, points(0.62, 0.66, 0.7, 0.75)), points(0.62, 0.66, 0.7, 0.75))
    assert near.correlation > 0.99
    assert near.ratio == pytest.approx(1.0, abs=0.05)
    assert "Pearson correlation" in found.sentence


def test_only_orbits_with_a_rate_count():
    field = LatentField.from_map(lambda z: 0 * z, latent_shape=(1,), dtype=torch.float64)  # ρ = 0: there in one step
    where = points(1.0, 2.0, 3.0)
    found = rate_law(field, find_attractors(field, where), where)
    assert len(found) == 0
    assert math.isnan(found.correlation)
    with pytest.raises(InputError, match="starts of this search"):
        rate_law(field, find_attractors(field, where), points(1.0))
    slow = LatentField.from_map(lambda z: 0.99 * z, latent_shape=(1,), dtype=torch.float64)
    assert rate_law(slow, find_attractors(slow, where), where, max_steps=10).missed == 3


def test_the_linear_law_knows_the_transient_growth_that_the_radius_does_not():
    """METHOD.md's non-normal matrix: from e₂, ‖Jᵗe₂‖ = 0.5ᵗ √(1 + 400 t²), which first rises to 10."""
    field, where = linear([[0.5, 10.0], [0.0, 0.5]]), starts.points(torch.eye(2, dtype=torch.float64).flip(0))
    limits = find_attractors(field, where)
    found = rate_law(field, limits, where, law="linear", tolerance=1e-3)
    norms = torch.tensor([0.5**t * math.sqrt(1 + 400 * t * t) for t in range(60)], dtype=torch.float64)
    first = int((norms <= found.epsilon).nonzero()[0])
    part = math.log(norms[first - 1] / found.epsilon) / math.log(norms[first - 1] / norms[first])
    assert found.predicted[0].item() == pytest.approx(first - 1 + part, abs=1e-6)
    assert found.measured.tolist() == pytest.approx(found.predicted.tolist(), abs=1e-6)
    assert found.law == "linear"
    assert found.cost.vjp == 2
    plain = rate_law(field, limits, where, tolerance=1e-3)
    assert plain.predicted[1].item() == pytest.approx(plain.measured[1].item(), abs=1e-6)  # e₁ is an eigenvector
    assert plain.measured[0] - plain.predicted[0] > 5


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 4), st.integers(0, 99), st.floats(0.3, 0.9))
def test_the_linear_law_is_exact_where_the_map_is_linear(k, seed, radius):
    matrix = torch.randn(k, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    matrix *= radius / float(torch.linalg.eigvals(matrix).abs().max())
    field, where = linear(matrix.tolist()), starts.gaussian(6, seed=seed)
    found = rate_law(field, find_attractors(field, where), where, law="linear", tolerance=1e-3)
    assert len(found) == 6
    z, target = where.block(field, 0, 6), found.epsilon
    for start, predicted in zip(found.start.tolist(), found.predicted.tolist(), strict=True):
        after, before = (
            float((torch.linalg.matrix_power(matrix, steps) @ z[start]).norm())
            for steps in (math.ceil(predicted), math.ceil(predicted) - 1)
        )
        assert after <= target * (1 + 1e-6)
        assert before > target * (1 - 1e-6)
    assert torch.allclose(found.measured, found.predicted, atol=1e-5)


def test_the_clock_starts_on_entering_the_neighbourhood():
    field, where = linear([[0.8]]), points(1.0, 2.0, -4.0, 0.001)
    limits = find_attractors(field, where)
    whole = rate_law(field, limits, where, tolerance=1e-5)
    found = rate_law(field, limits, where, tolerance=1e-5, neighbourhood=0.1)
    reach = 0.1 * limits.spread
    entered = [max(0, math.ceil(math.log(reach / z) / math.log(0.8))) for z in (1.0, 2.0, 4.0, 0.001)]
    assert found.entered.tolist() == entered
    assert entered[3] == 0
    assert whole.entered.tolist() == [0, 0, 0, 0]
    assert torch.allclose(found.measured + found.entered, whole.measured, atol=1e-6)
    assert torch.allclose(found.predicted, found.measured, atol=1e-6)
    assert found.cost.map == whole.cost.map  # no step is made twice


def test_a_transient_before_the_neighbourhood_is_told_from_a_wrong_rate():
    """Steps of 1 until |z| ≤ 1, then halving: the law holds from there on, and not from the start."""
    field = LatentField.from_map(
        lambda z: torch.where(z.abs() > 1, z - z.sign(), 0.5 * z), latent_shape=(1,), dtype=torch.float64
    )
    where = points(20.4, 35.2, 50.6, 65.9, -80.3)
    limits = find_attractors(field, where)
    share = 1 / limits.spread
    assert rate_law(field, limits, where).ratio > 3
    near = rate_law(field, limits, where, neighbourhood=share)
    assert near.ratio == pytest.approx(1.0, abs=1e-6)
    assert near.correlation == pytest.approx(1.0, abs=1e-6)
    assert near.entered.tolist() == [20, 35, 50, 65, 80]
    last = near.entered + near.measured.ceil().to(torch.int64)
    short = rate_law(field, limits, where, neighbourhood=share, max_steps=int(last[2]))  # one budget for both parts
    assert short.start.tolist() == [0, 1, 2]
    assert short.missed == 2
    assert rate_law(field, limits, where, neighbourhood=share, max_steps=int(last[2]) - 1).start.tolist() == [0, 1]


def test_what_comes_from_the_attractors_is_told_from_what_comes_from_the_orbits():
    field = three_wells()
    where = points(*(float(centre) + offset for centre in CENTRES for offset in (0.5, -1.0, 2.0, 4.0)))
    limits = find_attractors(field, where)
    found = rate_law(field, limits, where)
    assert len(found) == 12
    assert limits.points[found.attractor].flatten().tolist() == pytest.approx(
        CENTRES.repeat_interleave(4).tolist(), abs=1e-9
    )
    for value in (found.correlation, found.within_attractors, found.between_attractors, found.ratio):
        assert value == pytest.approx(1.0, abs=1e-6)
    assert "within attractors" in found.sentence
    same = points(*(float(centre) + offset for centre in CENTRES for offset in (1.0, -1.0)))
    apart = rate_law(field, find_attractors(field, same), same)
    assert apart.correlation == pytest.approx(1.0, abs=1e-6)
    assert math.isnan(apart.within_attractors)  # one distance per attractor: nothing to tell apart
    one = points(1.0, 2.0, 4.0)
    alone = rate_law(field, find_attractors(field, one), one)
    assert math.isnan(alone.between_attractors)
    assert alone.within_attractors == pytest.approx(alone.correlation, abs=1e-9)
    assert "within attractors" not in alone.sentence


def test_a_prediction_beyond_the_budget_goes_on_at_the_rate():
    """Fast down to the last thousandth, where the slope is 0.999: ε is met long before the slope matters."""
    field = LatentField.from_map(
        lambda z: torch.where(z.abs() < 1e-3, 0.999 * z, 0.5 * z), latent_shape=(1,), dtype=torch.float64
    )
    where = points(1.0, -2.0, 4.0)
    limits = find_attractors(field, where)
    found = rate_law(field, limits, where, law="linear", tolerance=1e-2, max_steps=50)
    exact = torch.log(found.epsilon / torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)) / math.log(0.999)
    assert torch.allclose(found.predicted, exact, rtol=1e-6)
    assert float(found.predicted.min()) > 50
    assert float(found.measured.max()) < 10


def test_orbits_that_step_over_the_neighbourhood_are_left_out():
    field = LatentField.from_map(lambda z: torch.where(z > 2, 0.0, 0.5) * z, latent_shape=(1,), dtype=torch.float64)
    where = points(1.0, 1.5, 2.5, 3.0)
    limits = find_attractors(field, where)
    found = rate_law(field, limits, where, neighbourhood=0.5)
    assert found.start.tolist() == [0, 1]
    assert found.missed == 0
    assert rate_law(field, limits, where, neighbourhood=0.5, max_steps=1).missed == 2


def test_every_orbit_has_a_row_or_a_reason():
    """From 20 on orbits leave, between 2 and 3 they jump onto 0, everywhere else they halve."""

    def step(z: Tensor) -> Tensor:
        return torch.where(z >= 20, z + 1, torch.where((z > 2) & (z < 3), 0.0, 0.5) * z)

    field = LatentField.from_map(step, latent_shape=(1,), dtype=torch.float64)
    where = points(1.0, 1.5, 1.25, 1e-9, 0.0, 2.5, 25.0, 30.0, 35.0, 16.0)
    with pytest.warns(ConvergenceWarning):
        limits = find_attractors(field, where, Protocol(max_steps=300))
    share = 1.9 / limits.spread
    found = rate_law(field, limits, where, tolerance=1e-4, neighbourhood=share, max_steps=12)
    counts = dict(zip(("wandering", "elsewhere", "inside", "over"), found.left_out.values(), strict=True))
    assert counts == {"wandering": 3, "elsewhere": 0, "inside": 2, "over": 1}
    assert found.start.tolist() == [0, 1, 2]
    assert found.missed == 1
    assert found.given == 10
    assert "of 3 of 10 orbits:" in found.sentence
    assert found.sentence.endswith(
        "Without: 1 not within ε in the budget, 3 on no limit set, 2 within ε at the start, 1 in one step from outside the "
        "neighbourhood into ε."
    )
    assert repr(found).startswith("RateLaw(radius: 3 of 10 orbits; correlation ")
    assert len(repr(found)) < 100
    flat = LatentField.from_map(lambda z: 0 * z, latent_shape=(1,), dtype=torch.float64)
    nothing = rate_law(flat, find_attractors(flat, points(1.0, 2.0)), points(1.0, 2.0))
    assert nothing.sentence.endswith("Without: 2 on no attracting fixed point with ρ > 0.")
    whole = rate_law(linear([[0.8]]), find_attractors(linear([[0.8]]), points(1.0, 2.0)), points(1.0, 2.0))
    assert "2 of 2 orbits" in whole.sentence
    assert "Without" not in whole.sentence


def test_progress_is_shown_on_request_only(capsys):
    field, where = linear([[0.8]]), points(1.0, 2.0, 4.0)
    limits = find_attractors(field, where)
    quiet = rate_law(field, limits, where)
    assert capsys.readouterr().err == ""
    sink = Mock()
    loud = rate_law(field, limits, where, progress=Progress(sink))
    assert words_of(sink.show.call_args.args[0]) == "arriving: 3/3"
    assert torch.equal(loud.measured, quiet.measured)


def test_options_that_cannot_be_are_refused():
    field, where = linear([[0.5]]), points(1.0, 2.0)
    limits = find_attractors(field, where)
    with pytest.raises(InputError, match="'radius', 'linear'"):
        rate_law(field, limits, where, law="quadratic")
    with pytest.raises(InputError, match="inside the tolerance"):
        rate_law(field, limits, where, neighbourhood=1e-5)
    wide = LatentField.from_map(lambda z: 0.5 * z, latent_shape=(513,), dtype=torch.float64)
    begin = starts.gaussian(2, seed=0)
    with pytest.raises(InputError, match="law='radius'"):
        rate_law(wide, find_attractors(wide, begin), begin, law="linear")


def test_the_law_is_saved(tmp_path):
    field, where = three_wells(), points(1.0, 2.0, 12.0)
    found = rate_law(field, find_attractors(field, where), where, law="linear")
    again = load_result(save_result(found, tmp_path / "law"))
    assert (again.law, again.cost, again.missed) == ("linear", found.cost, 0)
    assert (again.sentence, again.given) == (found.sentence, 3)
    assert torch.equal(again.attractor, found.attractor)
    assert torch.equal(again.predicted, found.predicted)
