"""Acceptance on the published VAEs: counts that do not move, verified sets, basins as plain iteration has them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from cases import BURGESS, case_of, found, require_a_count_that_does_not_move, require_floor_and_stability

from separatrix.testing._reference import basin_fidelity, plain_float64

pytestmark = pytest.mark.real

COMPARED = 60  # of the VAEs' 1000 starts; the benchmark compares all


@pytest.mark.parametrize("name", BURGESS)
def test_every_attractor_is_at_the_float64_floor_and_stable(name: str, real_data: Path) -> None:
    require_floor_and_stability(name, real_data)


@pytest.mark.parametrize("name", BURGESS)
def test_the_count_does_not_move_when_every_tolerance_is_ten_times_tighter(name: str, real_data: Path) -> None:
    require_a_count_that_does_not_move(name, real_data)


@pytest.mark.parametrize("name", BURGESS)
def test_basins_of_the_vaes_are_those_of_plain_iteration(name: str, real_data: Path) -> None:
    case = case_of(name, real_data)
    chosen = torch.linspace(0, len(case.starts) - 1, COMPARED).long()
    plain = plain_float64(case.field, case.starts[chosen], cap=3000)
    limits = found(name, real_data)
    subset = dataclasses.replace(limits, labels=limits.labels[chosen])
    fidelity = basin_fidelity(subset, plain)
    assert fidelity.compared >= 0.9 * COMPARED
    assert fidelity.share >= 0.999
