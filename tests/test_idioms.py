"""What people write first: a model where a field is meant, the name of a protocol; taken, or one sentence with the remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import separatrix as sx
from separatrix.errors import InputError


class Halves(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down, self.up = nn.Linear(4, 2), nn.Linear(2, 4)
        self.latent_dim = 2

    def encode(self, x: Tensor) -> Tensor:
        return torch.tanh(self.down(x))

    def decode(self, z: Tensor) -> Tensor:
        return self.up(z)


POINTS = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
DOORS: dict[str, Callable[[Any], Any]] = {
    "find_attractors": lambda model: sx.find_attractors(model, POINTS),
    "find_fixed_points": lambda model: sx.find_fixed_points(model, POINTS),
    "iterate": lambda model: sx.iterate(model, POINTS),
    "sensitivity": lambda model: sx.sensitivity(model, POINTS),
    "check": sx.check,
    "compare": lambda model: sx.compare(model, model, POINTS),
    "motion": lambda model: sx.motion(model, POINTS[:1], steps=32),
    "contraction": lambda model: sx.contraction(model, {"here": POINTS}),
}


@pytest.mark.parametrize(
    "door", ["find_attractors", "find_fixed_points", "iterate", "sensitivity", "check", "compare", "motion"]
)
def test_a_model_that_says_all_is_a_field(door: str) -> None:
    assert DOORS[door](Halves()) is not None


@pytest.mark.parametrize("door", DOORS)
def test_a_model_that_does_not_is_one_sentence(door: str) -> None:
    model = Halves()
    del model.latent_dim
    with pytest.raises(
        InputError, match=r"This Halves does not say how its latents are shaped; .*sx\.LatentField\(model"
    ):
        DOORS[door](model)
    with pytest.raises(InputError, match="This Linear has no methods encode and decode"):
        DOORS[door](nn.Linear(2, 2))


def test_a_protocol_may_be_named() -> None:
    model = Halves()
    named = sx.find_attractors(model, POINTS, "paper")
    assert named.protocol == sx.Protocol.paper()
    assert sx.iterate(model, POINTS, "paper-foundation").protocol == sx.Protocol.paper_foundation()
    assert sx.Protocol.of(None) == sx.Protocol() == sx.Protocol.of("default")
    for wrong, words in (("papers", "is 'papers'"), (3, "is a int"), (1e-5, "is a float")):
        with pytest.raises(InputError, match=f"The protocol {words}; give a Protocol or one of 'default', 'paper'"):
            sx.find_attractors(model, POINTS, wrong)
