"""Lyapunov exponents and returns of orbits, against maps where both are known."""

from __future__ import annotations

import math

import pytest
import torch

import separatrix as sx
from separatrix import LatentField
from separatrix.cost import JVP_WEIGHT, Cost
from separatrix.limitsets._motion import LEAST_STEPS, Motion, lyapunov_exponents, motion
from separatrix.protocol import Curves
from separatrix.testing import oracles


def planar(matrix):
    m = torch.tensor(matrix, dtype=torch.float64)
    return LatentField.from_map(lambda z: z @ m.to(z).T, latent_shape=2, dtype=torch.float64)


def turn(angle, factor=1.0):
    c, s = factor * math.cos(angle), factor * math.sin(angle)
    return [[c, -s], [s, c]]


@pytest.mark.slow
def test_full_chaos_stretches_by_ln_2():
    """Logistic r = 4: the exponent is ln 2 for almost every orbit."""
    oracle = oracles.logistic(4.0, count=16)
    found = motion(oracle.field, oracle.starts, steps=2000)
    assert (found.exponent - math.log(2)).abs().max() < 0.05
    assert float(found.exponent.mean()) == pytest.approx(math.log(2), abs=0.01)
    assert ((found.exponent - math.log(2)).abs() <= 4 * found.standard_error + 1e-3).all()
    assert set(found.words) == {"stretching (chaos, perhaps transient)"}
    assert "16 stretching" in found.sentence
    assert repr(found) == f"Motion({found.sentence})"


@pytest.mark.slow
def test_the_henon_map_has_its_published_exponent():
    """0.419 for a = 1.4, b = 0.3 (e.g. Sprott 2003)."""
    field = oracles.henon().field
    z = torch.tensor([[0.1, 0.1]], dtype=torch.float64)
    for _ in range(100):
        z = field(z)
    assert motion(field, z, steps=4000).exponent.item() == pytest.approx(0.419, abs=0.02)


@pytest.mark.parametrize("turns", [0.6180339887, 0.05, 0.41421356])
def test_a_rotation_is_neutral_and_returns(turns):
    found = motion(planar(turn(2 * math.pi * turns)), torch.ones(2, 2, dtype=torch.float64))
    assert found.exponent.abs().max() < 1e-12
    assert (found.step_ratio - 1).abs().max() < 1e-12
    assert found.recurrence.max() < 0.05
    assert set(found.words) == {"neutral and returning (a closed curve)"}


@pytest.mark.parametrize("rho", [0.5, 0.9, 0.98])
def test_a_contraction_contracts_at_its_rate(rho):
    found = motion(planar(turn(1.0, rho)), torch.ones(1, 2, dtype=torch.float64))
    assert found.exponent.item() == pytest.approx(math.log(rho), abs=1e-9)
    assert found.step_ratio.item() == pytest.approx(rho, rel=1e-9)
    assert found.words == ["contracting"]


def test_a_march_never_returns():
    field = LatentField.from_map(lambda z: z + 0.1, latent_shape=3, dtype=torch.float64)
    found = motion(field, torch.zeros(1, 3, dtype=torch.float64))
    assert found.exponent.item() == pytest.approx(0.0, abs=1e-12)
    assert found.recurrence.item() == pytest.approx(0.5, abs=0.01)
    assert found.words == ["neutral (a slow manifold or a continuum)"]


def test_a_map_that_forgets_everything_has_no_exponent_but_no_crash():
    field = LatentField.from_map(lambda z: 0 * z + 1, latent_shape=2, dtype=torch.float64)
    found = motion(field, torch.ones(1, 2, dtype=torch.float64))
    assert found.exponent.item() < -100
    assert found.words == ["contracting"] or "contracting" in found.words[0]


def test_all_exponents_of_a_linear_map():
    found = lyapunov_exponents(
        planar([[0.9, 0.3], [0.0, 0.5]]), torch.ones(1, 2, dtype=torch.float64), count=2, steps=400
    )
    assert found.values.exp().tolist() == pytest.approx([0.9, 0.5], abs=1e-6)
    assert found.neutral is None
    assert (found.cost.map, found.cost.jvp) == (400, 800)


def test_differences_give_the_same_exponents_to_six_digits():
    point = torch.tensor([[0.63, 0.19]], dtype=torch.float64)
    for field in (planar([[0.9, 0.3], [0.0, 0.5]]), oracles.henon().field):
        exact, near = (lyapunov_exponents(field, point, count=2, steps=400, differences=way) for way in (False, True))
        assert near.values.tolist() == pytest.approx(exact.values.tolist(), abs=2e-6)
        assert near.creep == exact.creep
        assert near.cost == Cost(map=1200)
        assert not torch.equal(near.values, exact.values)


def test_the_exponent_that_is_zero_is_pointed_at():
    """Circles on which r → r^2 repels and √r attracts: across them the exponents are ln 2 and ln ½, along them 0."""
    for power, place in ((2.0, 1), (0.5, 0)):

        def function(z, power=power):
            r, phase = z.norm(dim=1), torch.atan2(z[:, 1], z[:, 0]) + 1.0
            return torch.stack([r**power * phase.cos(), r**power * phase.sin()], dim=1)

        field = LatentField.from_map(function, latent_shape=2, dtype=torch.float64)
        found = lyapunov_exponents(field, torch.tensor([[1.0, 0.0]], dtype=torch.float64), count=2, steps=40)
        assert found.neutral == place
        assert float(found.values[1 - place]) == pytest.approx(math.log(power), abs=1e-3)


@pytest.mark.slow
def test_the_exponents_of_the_henon_map_add_up_to_its_area_factor():
    """|det J| = 0.3 everywhere, so λ₁ + λ₂ = ln 0.3 exactly, whatever the orbit."""
    point = torch.tensor([[0.63, 0.19]], dtype=torch.float64)
    found = lyapunov_exponents(oracles.henon().field, point, count=2, steps=2000)
    assert float(found.values.sum()) == pytest.approx(math.log(0.3), abs=1e-9)
    assert found.values[0].item() == pytest.approx(0.419, abs=0.03)
    assert found.neutral is None


@pytest.mark.parametrize("steps", [300, 337, 411, 1000])
def test_a_slow_passage_is_not_taken_for_stretching(steps):
    """φ → φ + 0.03 (1.02 + cos φ) round the unit circle, the radius halved: a lap is 51 to 1 faster at 0 than at π. Over a few
    laps the exponent along the circle, exactly 0 in the end, is what the steps have grown by."""

    def function(z):
        r, phase = z.norm(dim=1), torch.atan2(z[:, 1], z[:, 0])
        phase = phase + 0.03 * (1.02 + phase.cos())
        r = 1 + 0.5 * (r - 1)
        return torch.stack([r * phase.cos(), r * phase.sin()], dim=1)

    field = LatentField.from_map(function, latent_shape=2, dtype=torch.float64)
    found = lyapunov_exponents(field, torch.tensor([[1.0, 0.0]], dtype=torch.float64), count=2, steps=steps)
    assert float(found.values[0]) == pytest.approx(found.creep, abs=5e-4)
    assert float(found.values[1]) == pytest.approx(math.log(0.5), abs=1e-3)
    assert found.neutral == 0


@pytest.mark.parametrize(
    ("errors_below", "word"), [(2.5, "contracting"), (1.5, "neutral (a slow manifold or a continuum)")]
)
@pytest.mark.parametrize("error", [1e-4, 1e-2])
def test_what_contracts_does_so_by_two_standard_errors(error, errors_below, word):
    exponent = torch.tensor([-Curves.flat - errors_below * error], dtype=torch.float64)
    one = torch.ones_like(exponent)
    found = Motion(exponent=exponent, standard_error=error * one, step_ratio=one, recurrence=one, steps=256)
    assert found.words == [word]


def test_costs_and_shapes():
    field = planar(turn(1.0))
    found = motion(field, torch.ones(3, 2, dtype=torch.float64), steps=64)
    assert (found.cost.map, found.cost.jvp) == (192, 192)
    assert len(found) == 3
    assert len(found[1:]) == 2
    empty = motion(field, torch.ones(0, 2, dtype=torch.float64), steps=64)
    assert len(empty) == 0
    assert empty.sentence == "No orbit was followed."


def test_bad_input():
    field = planar(turn(1.0))
    with pytest.raises(sx.errors.InputError, match=f"at least {LEAST_STEPS} steps"):
        motion(field, torch.ones(3, 2), steps=3)
    with pytest.raises(sx.errors.InputError, match="whose latents are"):
        motion(field, torch.ones(3, 5))


@pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")
def test_a_search_names_what_keeps_moving():
    oracle = oracles.logistic(4.0, count=32)
    limits = sx.find_attractors(oracle.field, oracle.starts, sx.Protocol(max_steps=2000))
    assert any("stretching" in note for note in limits.notes)
    # Every step of a motion that is named is one evaluation and one product, and all of them a twentieth of the search at most.
    assert 0 < (1 + JVP_WEIGHT) * limits.cost.jvp <= 0.05 * (limits.cost.map - limits.cost.jvp)


def test_exported():
    assert sx.motion is motion
    assert sx.limitsets.Motion is Motion
