"""Parts of the recipes whose answers are known, and what becomes of a recipe that is interrupted."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from readings import Mean, Share

Script = Callable[[str], ModuleType]


def test_a_part_is_computed_once_and_what_was_made_before_a_break_counts(script: Script, tmp_path: Path) -> None:
    parts, calls = script("reproduce/parts"), []

    def made(name: str) -> dict[str, float]:
        calls.append(name)
        return {"value": 1 / 3, "none": math.nan}

    first = parts.Parts(tmp_path / "found.json")
    first.make("one", lambda: made("one"))
    with pytest.raises(KeyboardInterrupt):
        first.make("two", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    second = parts.Parts(tmp_path / "found.json")
    assert second.make("one", lambda: made("again")) == {"value": 0.33333, "none": None}
    second.make("two", lambda: made("two"))
    assert calls == ["one", "two"]


def test_the_score_of_a_mixture_is_the_gradient_of_its_log_density(script: Script) -> None:
    mixture = script("reproduce/theory").Mixture(3, seed=0)
    z = mixture.sample(20).requires_grad_(True)
    log_density = (torch.cdist(z, mixture.centres).square() / -0.6).logsumexp(dim=1)
    (gradient,) = torch.autograd.grad(log_density.sum(), z)
    assert torch.allclose(mixture.score(z.detach(), 0.3), gradient, atol=1e-9)


def test_the_printed_bound_is_broken_and_the_corrected_one_is_not(script: Script) -> None:
    theory = script("reproduce/theory")
    assert theory.counterexample() == {"left": 4.0, "right": 2.0}
    theory.MAPS = 200
    found = theory.bound(7)
    assert found["printed"] > 0
    assert found["corrected"] == found["plain"] == 0


def test_tied_weights_are_the_gradient_of_their_energy(script: Script) -> None:
    model = script("reproduce/theory").OneLayer(True, seed=0).double()
    z = torch.randn(5, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    (gradient,) = torch.autograd.grad(model.energy(z).sum(), z)
    assert torch.allclose(model.encode(model.decode(z)) - z, -gradient)


def test_the_exponent_of_a_power_law_is_found(script: Script) -> None:
    boundaries = script("reproduce/boundaries")
    sizes = torch.tensor(boundaries.FITTED, dtype=torch.float64)
    slope, level = boundaries.fitted(2 * sizes**0.45).tolist()
    assert slope == pytest.approx(0.45)
    assert level == pytest.approx(math.log(2))
    assert boundaries.fitted(torch.zeros_like(sizes)).isnan().all()


def test_points_that_are_close_are_one(script: Script) -> None:
    close = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    assert script("reproduce/replication").merged(close) == 2


def test_a_mean_and_a_share_say_their_interval() -> None:
    assert f"{Mean([1, 2, 3]):.2f}" == "2.00 (95 %: -0.48 to 4.48, 3 seeds)"  # 4.303 / √3
    assert f"{Mean([1, 2, 3], 0, 4):.1f}" == "2.0 (95 %: 0.0 to 4.0, 3 seeds)"
    assert f"{Share(0, 6000)}" == "0 of 6,000 (95 %: 0 to 0.06 %)"
    assert f"{Share(9, 12)}" == "9 of 12 (95 %: 43 to 95 %)"
