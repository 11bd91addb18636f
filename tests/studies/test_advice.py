"""From what a pilot saw to a protocol: every rule, on both sides of its threshold."""

from __future__ import annotations

import math

import pytest

from separatrix.orbits import Status
from separatrix.protocol import Protocol
from separatrix.studies._advice import Advice, advise, predicted_steps

EVALUATIONS_PER_SECOND = 1e4


def _advice(statuses: dict[Status, int], radii: tuple[float, ...] = (0.5,), **changes: object) -> Advice:
    measured = {
        "radii": radii,
        "statuses": statuses,
        "pilot_steps": 200,
        "steps_median": 40.0 if any(status.reached_limit_set for status in statuses) else math.nan,
        "per_second": EVALUATIONS_PER_SECOND,
        "rounding": 1e-7,
        "latent_dim": 32,
        **changes,
    }
    return advise(Protocol(), **measured)  # type: ignore[arg-type]


def test_predicted_steps_solve_the_equation():
    for radius in (0.1, 0.5, 0.9, 0.999):
        steps = predicted_steps(radius, 1e-5)
        assert steps is not None
        assert radius**steps <= 1e-5 < radius ** (steps - 1)
    assert predicted_steps(0.0, 1e-5) == 1
    assert predicted_steps(1.0, 1e-5) is None
    assert predicted_steps(math.nan, 1e-5) is None


def test_a_field_that_settles_needs_nothing_special():
    advice = _advice({Status.CONVERGED: 12, Status.PERIODIC: 4})
    assert (advice.preset, advice.protocol) == ("default", Protocol())
    assert advice.seconds == pytest.approx(1000 * 40 / EVALUATIONS_PER_SECOND)
    assert advice.starts == 1000
    assert advice.reasons == ("Within 200 steps all 16 pilot orbits reached a limit set of unknown stability.",)


@pytest.mark.parametrize(("radius", "budget"), [(0.998, 20_000), (0.9985, 20_000), (0.999, 25_000), (0.9999, 250_000)])
def test_slow_contraction_gets_the_budget_that_it_needs(radius, budget):
    advice = _advice({Status.CONVERGED: 8, Status.BUDGET: 8}, radii=(0.3, radius))
    assert advice.preset == "default"
    assert advice.protocol.max_steps == budget
    assert advice.steps is not None
    assert budget >= 2 * advice.steps
    expected = 1000 * (40 + advice.steps) / 2 / EVALUATIONS_PER_SECOND
    assert advice.seconds == pytest.approx(expected)


def test_a_budget_has_an_end():
    advice = _advice({Status.SLOW: 16}, radii=(1 - 1e-9,))
    assert advice.protocol.max_steps == 2_000_000


@pytest.mark.parametrize(("per_second", "preset"), [(1e4, "default"), (1e3, "paper-foundation")])
def test_what_does_not_contract_is_followed_only_if_that_is_affordable(per_second, preset):
    advice = _advice({Status.WANDERING: 16}, radii=(1.7,), per_second=per_second)
    assert advice.preset == preset
    assert advice.steps is None
    assert advice.protocol == (Protocol() if preset == "default" else Protocol.paper_foundation())
    assert advice.seconds == pytest.approx(1000 * advice.protocol.max_steps / per_second)
    assert "do not contract (ρ up to 1.7)" in advice.reasons[1]


def test_a_first_look_takes_about_ten_minutes():
    advice = _advice({Status.WANDERING: 16}, radii=(1.7,), per_second=50.0)
    assert advice.seconds == pytest.approx(10_000)
    assert advice.starts == 60
    assert _advice({Status.WANDERING: 16}, radii=(1.7,), per_second=0.01).starts == 20


def test_lost_orbits_come_with_their_remedy():
    advice = _advice({Status.DIVERGED: 10, Status.NONFINITE: 3, Status.CONVERGED: 3})
    assert advice.reasons[1] == f"13 were lost ({Status.DIVERGED.sentence}): {Status.DIVERGED.remedy}."
    assert advice.protocol == Protocol()


def test_rounding_beyond_the_tolerance_asks_for_float64():
    assert _advice({Status.CONVERGED: 16}, rounding=0.9e-5).protocol.precision == "native"
    coarse = _advice({Status.CONVERGED: 16}, rounding=2e-3)
    assert coarse.protocol.precision == "float64"
    assert "0.002 of the spread" in coarse.reasons[-1]
    unknown = _advice({Status.CONVERGED: 16}, rounding=None)
    assert unknown.protocol.precision == "native"
    assert "No float64 copy" in unknown.reasons[-1]


@pytest.mark.parametrize(("latent_dim", "evaluations"), [(1, 2), (32, 64), (512, 1024), (513, None)])
def test_polishing_takes_a_jacobian_where_they_are_dense(latent_dim, evaluations):
    assert _advice({Status.CONVERGED: 16}, latent_dim=latent_dim).polishing == evaluations


def test_a_protocol_that_does_not_polish_has_no_cost_of_it():
    advice = _advice({Status.WANDERING: 16}, radii=(1.7,), per_second=1e3)
    assert (advice.preset, advice.polishing) == ("paper-foundation", None)


def test_without_an_end_point_nothing_is_predicted():
    assert _advice({Status.NONFINITE: 16}, radii=()).steps is None


def test_no_fewer_steps_are_predicted_than_the_pilot_took():
    assert _advice({Status.CONVERGED: 16}, radii=(0.9,)).steps == 110
    assert _advice({Status.CONVERGED: 16}, radii=(0.5,)).prediction == (
        "about 40, the median of the pilot orbits (log ε/log ρ gives 17)"
    )


def test_orbits_that_outlasted_the_prediction_refute_it():
    """`burgess/VAE_mnist`: nine orbits settled in 153 steps, seven did not in 200, and ρ = 0.86 promised 76."""
    advice = _advice({Status.CONVERGED: 9, Status.WANDERING: 7}, radii=(0.86,), steps_median=153.0)
    assert (advice.steps, advice.more_than) == (200, True)
    assert advice.prediction == "more than 200: 7 pilot orbits still moved then"
    assert "7 still move, though ρ = 0.86 where others arrived predicts 77 steps" in advice.reasons[1]
    assert advice.seconds == pytest.approx(1000 * (9 * 153 + 7 * Protocol().max_steps) / 16 / EVALUATIONS_PER_SECOND)
    assert not _advice({Status.CONVERGED: 8, Status.BUDGET: 8}, radii=(0.999,)).more_than


def test_what_settles_in_part_is_not_given_up_because_the_rest_is_long():
    slow = {"radii": (0.86,), "per_second": 100.0}
    assert _advice({Status.CONVERGED: 9, Status.WANDERING: 7}, **slow).preset == "default"  # type: ignore[arg-type]
    assert _advice({Status.WANDERING: 16}, **slow).preset == "paper-foundation"  # type: ignore[arg-type]


def test_a_quantised_map_has_no_rate():
    settled = _advice({Status.CONVERGED: 16}, radii=(0.0,), quantised=True)
    assert settled.prediction == (
        "about 40, the median of the pilot orbits (f is piecewise constant, so ρ predicts none)"
    )
    moving = _advice({Status.BUDGET: 16}, radii=(0.0,), quantised=True)
    assert (moving.steps, moving.more_than) == (200, True)
    assert "piecewise constant" in moving.reasons[1]
    assert _advice({Status.NONFINITE: 16}, radii=(0.0,), quantised=True).steps is None


def test_a_pilot_too_short_to_judge_its_orbits_does_not_refute_the_rate():
    """ρ = 0.5 takes 17 steps and is judged after 25, so 20 steps of a slow network show nothing against it."""
    advice = _advice({Status.BUDGET: 4}, radii=(0.5,), pilot_steps=20, per_second=1.0)
    assert (advice.preset, advice.steps, advice.more_than) == ("default", 20, True)
    assert advice.seconds == pytest.approx(1000 * 34)
    assert advice.reasons[1].endswith("predicts about 17 steps, and up to 34 until the end is certain.")
    assert _advice({Status.BUDGET: 4}, radii=(0.5,), pilot_steps=34, per_second=1.0).preset == "paper-foundation"
