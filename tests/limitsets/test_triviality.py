"""A field that takes everything to one point in a few steps is called trivial, and no other."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

import separatrix as sx
from separatrix import LatentField


def found(function, n=40, k=2):
    field = LatentField.from_map(function, latent_shape=k, dtype=torch.float64)
    return sx.limitsets.triviality(sx.find_attractors(field, sx.starts.gaussian(n)))


def test_one_point_in_few_steps_is_trivial():
    answer = found(lambda z: 0.2 * z + 1)
    assert answer.trivial
    assert str(answer.statement).startswith("Trivial: one point takes 100.0 % of the starts")


def test_an_untrained_network_is_trivial():
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(30, 50), nn.ReLU(), nn.Linear(50, 4))
    decoder = nn.Sequential(nn.Linear(4, 50), nn.ReLU(), nn.Linear(50, 30))
    limits = sx.find_attractors(LatentField(encoder, decoder, latent_shape=4), sx.starts.gaussian(30))
    assert sx.limitsets.triviality(limits).trivial


def test_one_point_reached_slowly_is_not_trivial_but_no_dictionary_either():
    answer = found(lambda z: 0.9 * z)
    assert not answer.trivial
    assert "slowly" in str(answer.statement)


def test_starts_that_were_not_followed_do_not_make_a_field_quick():
    """Of 100 starts 60 were ended after a step, because earlier ones beside them had gone there."""
    field = LatentField.from_map(lambda z: 0.9 * z, latent_shape=2, dtype=torch.float64)
    limits = sx.find_attractors(field, sx.starts.gaussian(100))
    status, steps = limits.orbits.status.clone(), limits.orbits.steps.clone()
    status[:60], steps[:60] = int(sx.Status.SAMPLED), 1
    sampled = replace(limits, orbits=replace(limits.orbits, status=status, steps=steps))
    assert sampled.fates.words == limits.fates.words
    assert not sx.limitsets.triviality(sampled).trivial


def test_several_wells_are_not_trivial():
    answer = found(lambda z: torch.tanh(2 * z))
    assert not answer.trivial
    assert "4 attractors" in str(answer.statement)


def test_one_closed_curve_is_not_trivial():
    def function(z):
        r, angle = z.norm(dim=1), torch.atan2(z[:, 1], z[:, 0]) + 1
        r = 1 + 0.2 * (r - 1)
        return torch.stack([r * angle.cos(), r * angle.sin()], dim=1)

    assert not found(function, 10).trivial


@pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")
def test_no_attractor_is_not_trivial():
    answer = found(lambda z: 2 * z)
    assert not answer.trivial
    assert "No attractor" in str(answer.statement)


def test_a_continuum_is_not_trivial():
    assert not found(lambda z: z * torch.tensor([1.0, 0.0]).double()).trivial


@pytest.mark.parametrize(("stray", "trivial"), [(0, True), (5, False)])
@pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")
def test_a_few_starts_elsewhere_matter(stray, trivial):
    field = LatentField.from_map(lambda z: torch.where(z > 5, 2 * z, 0.2 * z), latent_shape=1, dtype=torch.float64)
    starts = torch.cat([torch.linspace(-1, 1, 95), torch.full((stray,), 6.0)]).double()[:, None]
    assert sx.limitsets.triviality(sx.find_attractors(field, starts)).trivial is trivial
