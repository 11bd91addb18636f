"""Models whose halves return or need more than one tensor: what is meant is taken, or one sentence says what to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import separatrix as sx
from separatrix import LatentField
from separatrix.errors import FieldError
from separatrix.models._outputs import Unwrapping, place_of_mean


class Base(nn.Module):
    latent_dim = 3

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc_mu, self.fc_logvar, self.up = nn.Linear(6, 3), nn.Linear(6, 3), nn.Linear(3, 6)

    def decode(self, z: Tensor) -> Tensor:
        return self.up(z)


class VarianceFirst(Base):
    def encode(self, x: Tensor) -> Any:
        mu, logvar = self.fc_mu(x), self.fc_logvar(x)
        return logvar, mu


class VarianceFirstInline(Base):
    def encode(self, x: Tensor) -> Any:
        return self.fc_logvar(x), self.fc_mu(x)


class MeanFirst(Base):
    def encode(self, x: Tensor) -> Any:
        mu, log_var = self.fc_mu(x), self.fc_logvar(x)
        return mu, log_var


class LossFirst(Base):
    """As vector quantisers do: loss, quantised, perplexity, indices."""

    def encode(self, x: Tensor) -> Any:
        z = self.fc_mu(x)
        return z.square().mean(), z, torch.tensor(2.0), torch.arange(len(x))


class IndicesFirst(Base):
    def encode(self, x: Tensor) -> Any:
        return torch.arange(len(x)), self.fc_mu(x)


class Conditional(Base):
    def encode(self, x: Tensor) -> Tensor:
        return self.fc_mu(x)

    def decode(self, z: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        return self.up(z) + y


class Squeezing(Base):
    def encode(self, x: Tensor) -> Tensor:
        return self.fc_mu(x).squeeze()


class SqueezingOne(Squeezing):
    """One latent coordinate: squeezed from every batch."""

    latent_dim = 1

    def __init__(self) -> None:
        super().__init__()
        self.fc_mu, self.up = nn.Linear(6, 1), nn.Linear(1, 6)


MODELS = {model.__name__: model for model in (VarianceFirst, VarianceFirstInline, MeanFirst, LossFirst, IndicesFirst)}


@pytest.mark.parametrize("name", MODELS)
def test_the_mean_or_the_quantised_latent_is_taken_and_said(name: str) -> None:
    field = sx.load(f"{Path(__file__)}:{name}")
    (model,) = field.modules
    z = torch.randn(4, 3)
    assert torch.equal(field(z), model.fc_mu(model.up(z)).detach())  # type: ignore[operator,union-attr]
    report = str(field.check())
    words = {
        "VarianceFirst": "mu, number 2, is taken",
        "VarianceFirstInline": "fc_mu, number 2, is taken",
        "MeanFirst": "of which the first is taken",
        "LossFirst": "number 2, the first with a row per input, is taken",
        "IndicesFirst": "number 2, the first with a row per input, is taken",
    }
    assert words[name] in report


def test_names_decide_only_where_they_are_clear() -> None:
    assert place_of_mean(Base().decode) is None
    assert place_of_mean(torch.tanh) is None
    assert place_of_mean(nn.Linear(1, 1)) is None
    assert Unwrapping(lambda x: (x, 2 * x), "encode")(torch.ones(2, 1)).tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize("door", ["load", "field"])
def test_a_conditional_decoder_is_one_sentence(door: str) -> None:
    model = Conditional()
    field = sx.load(f"{Path(__file__)}:Conditional") if door == "load" else LatentField(model)
    with pytest.raises(
        FieldError, match=r"needs y beside the latents.*bind y: decode=lambda z: model\.decode\(z, y=…\)"
    ):
        sx.find_attractors(field, torch.randn(4, 3))
    bound = LatentField(model.encode, lambda z: model.decode(z, torch.ones(6)), latent_shape=3)
    assert bound.check().ok


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (Squeezing, r"of a single latent has shape \(3,\) instead of \(1, 3\); name the axis in squeeze"),
        (SqueezingOne, r"has shape \(4,\) for latents of shape \(4, 1\), which have lost .*; name the axis in squeeze"),
    ],
)
def test_a_squeeze_is_found_out(model: type[Base], sentence: str) -> None:
    field = LatentField(model())
    with pytest.raises(FieldError, match=sentence):
        sx.find_attractors(field, torch.randn(4, *field.latent_shape))
