"""A float64 copy has the precision of float64, also where the model casts to its own format inside."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import separatrix as sx


class RootMeanSquare(nn.Module):
    """As transformers writes the normalisation of Llama and Qwen."""

    def __init__(self, format: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([2.0, 1.5, 1.0]))
        self.format = format

    def forward(self, z: Tensor) -> Tensor:
        wide = z.to(self.format)
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True, dtype=self.format) + 1.0)
        return torch.tanh(2 * self.weight * wide.to(z.dtype))


def response(model: nn.Module, shift: float) -> float:
    """How far f moves in float64 when its argument moves by ``shift``."""
    field = sx.LatentField.from_map(model, latent_shape=3).to(dtype=torch.float64)
    z = torch.randn(200, 3, generator=torch.Generator().manual_seed(0)).double()
    return float((field(z + shift) - field(z)).abs().max())


def test_a_cast_to_the_models_own_format_does_not_round_in_its_copy() -> None:
    model = RootMeanSquare()
    assert 1e-13 < response(model, 1e-12) < 1e-10  # 1e-7 and 0 where float32 rounds
    field = sx.LatentField.from_map(model, latent_shape=3)
    z = torch.randn(50, 3, generator=torch.Generator().manual_seed(1))
    wide = field.to(dtype=torch.float64)
    assert torch.allclose(wide(z.double()), field(z).double(), atol=1e-6)
    assert torch.equal(wide.to(dtype=torch.float32)(z), field(z))
    assert wide.modules[0] is not model
    assert isinstance(wide.modules[0], RootMeanSquare)
    assert torch.allclose(wide.jacobian(z.double()), field.jacobian(z).double(), atol=1e-5)


def test_a_coarser_cast_is_part_of_the_map_and_stays() -> None:
    """Rounding to half precision between decoder and encoder is what the model does, in every format."""
    field = sx.LatentField.from_map(lambda z: torch.tanh(2 * z).half().to(z.dtype), latent_shape=1, dtype=torch.float32)
    z = torch.linspace(-1, 1, 41)[:, None]
    assert torch.equal(field.to(dtype=torch.float64)(z.double()), torch.tanh(2 * z.double()).half().double())
    moved = response(RootMeanSquare(torch.bfloat16), 1e-12)
    assert moved == 0 or moved > 1e-4


def test_orbits_arrive_where_rounding_would_keep_them_moving() -> None:
    """Eight corners of signs, a slow field: with copies that rounded to float32, a third of the starts was still moving."""
    model = RootMeanSquare()
    model.weight = nn.Parameter(torch.full((3,), 0.55))
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(3)))[0]
    field = sx.LatentField.from_map(lambda z: model(z @ turn) @ turn.T, latent_shape=3)
    found = sx.find_attractors(field, torch.randn(300, 3, generator=torch.Generator().manual_seed(2)))
    assert len(found.attractors) == 8
    assert bool((found.labels >= 0).all())


def test_a_cast_that_the_model_needs_is_left_to_it() -> None:
    """A float32 constant that is multiplied by the cast would no longer fit; such a copy is what it was."""
    constant = [[0.5, 0.0], [0.0, 0.5]]

    def step(z: Tensor) -> Tensor:
        return (z.float() @ torch.tensor(constant)).to(z.dtype)

    field = sx.LatentField.from_map(step, latent_shape=2, dtype=torch.float32).to(dtype=torch.float64)
    assert torch.equal(field(torch.ones(1, 2, dtype=torch.float64)), torch.full((1, 2), 0.5, dtype=torch.float64))
