"""LatentField: shapes, formats, what it refuses and in which words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from separatrix import LatentField, find_attractors, starts
from separatrix.errors import FieldError, InputError


def autoencoder():
    torch.manual_seed(0)
    return nn.Linear(6, 3), nn.Sequential(nn.Linear(3, 6), nn.Tanh())


def test_f_is_encode_after_decode():
    encoder, decoder = autoencoder()
    field = LatentField(encoder, decoder, latent_shape=3)
    z, x = torch.randn(5, 3), torch.randn(5, 6)
    assert torch.equal(field(z), encoder(decoder(z)))
    assert torch.equal(field.velocity(z), encoder(decoder(z)) - z)
    assert torch.equal(field.encode(x), encoder(x))
    assert torch.equal(field.decode(z), decoder(z))
    assert torch.equal(field.reconstruct(x), decoder(encoder(x)))
    assert not field(z).requires_grad


def test_the_latent_shape_can_be_seen_from_an_example():
    encoder, decoder = autoencoder()
    assert LatentField(encoder, decoder, example=torch.zeros(2, 6)).latent_shape == (3,)
    with pytest.raises(FieldError, match="tuple"):
        LatentField(lambda x: (x, x), decoder, example=torch.zeros(2, 6))


@pytest.mark.parametrize(("given", "shape", "k"), [(4, (4,), 4), ((2, 3), (2, 3), 6), ([4, 8, 8], (4, 8, 8), 256)])
def test_latent_shapes(given, shape, k):
    field = LatentField.from_map(torch.tanh, latent_shape=given)
    assert (field.latent_shape, field.latent_dim) == (shape, k)
    assert field(torch.zeros(2, *shape)).shape == (2, *shape)


@pytest.mark.parametrize("shape", [(), 0, (3, 0), (0,), -1, (2, -3)])
def test_an_empty_latent_is_refused(shape):
    with pytest.raises(InputError, match="latent_shape"):
        LatentField.from_map(torch.tanh, latent_shape=shape)


def test_a_latent_shape_is_needed():
    with pytest.raises(InputError, match=r"latent_shape=.* or example="):
        LatentField(nn.Identity(), nn.Identity())


@pytest.mark.parametrize("bad", [None, 3, "model.pt", torch.zeros(2)])
def test_what_is_not_callable_is_refused(bad):
    with pytest.raises(InputError, match="encode must be callable"):
        LatentField(bad, nn.Identity(), latent_shape=2)
    with pytest.raises(
        InputError, match="Identity has no methods encode and decode" if bad is None else "decode must be"
    ):
        LatentField(nn.Identity(), bad, latent_shape=2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_format_is_that_of_the_weights(dtype):
    net = nn.Linear(2, 2).to(dtype)
    assert LatentField(net, nn.Identity(), latent_shape=2).dtype == dtype
    assert LatentField.from_map(torch.tanh, latent_shape=2).dtype == torch.float32
    assert LatentField.from_map(torch.tanh, latent_shape=2, dtype=dtype).dtype == dtype


def test_integer_buffers_do_not_set_the_format():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", torch.zeros(1, dtype=torch.int64))
            self.linear = nn.Linear(2, 2).double()

        def forward(self, z):
            return self.linear(z)

    assert LatentField(Counting(), nn.Identity(), latent_shape=2).dtype == torch.float64


class Posterior:
    def __init__(self, mean):
        self.mean = mean

    def mode(self):
        return self.mean


OUTPUTS = {
    "tuple": (lambda z: (z, z), "tuple", r"\[0\]"),
    "list": (lambda z: [z], "list", r"\[0\]"),
    "distribution": (lambda z: torch.distributions.Normal(z, 1.0), "Normal", r"\.mean"),
    "dict": (lambda z: {"z": z}, "dict", "one tensor"),
    "none": (lambda z: None, "NoneType", "one tensor"),
    "number": (lambda z: 1.0, "float", "one tensor"),
    "array": (lambda z: z.numpy(), "ndarray", "one tensor"),
    "latent_dist": (lambda z: SimpleNamespace(latent_dist=Posterior(z)), "SimpleNamespace", r"latent_dist\.mode"),
    "sample": (lambda z: SimpleNamespace(sample=z), "SimpleNamespace", r"\.sample"),
}


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("role", ["encode", "decode"])
def test_an_output_that_is_no_tensor_is_explained(name, role):
    function, kind, remedy = OUTPUTS[name]
    parts = {"encode": torch.tanh, "decode": torch.tanh, role: function}
    field = LatentField(parts["encode"], parts["decode"], latent_shape=2)
    with pytest.raises(FieldError, match=rf"^{role} returned an? {kind} instead of a tensor; .*{remedy}") as caught:
        field(torch.zeros(1, 2))
    assert str(caught.value).count("\n") == 0


def test_another_format_is_another_field():
    encoder, decoder = autoencoder()
    field = LatentField(encoder, decoder, latent_shape=3, name="mine", units="half lives")
    double = field.to(dtype=torch.float64)
    assert (field.dtype, double.dtype) == (torch.float32, torch.float64)
    assert (double.name, double.units, double.latent_shape) == ("mine", "half lives", (3,))
    assert encoder.weight.dtype == torch.float32
    assert field.to(dtype=torch.float32) is field
    z = torch.randn(2, 3)
    assert torch.allclose(double(z.double()).float(), field(z), rtol=0, atol=1e-6)
    assert torch.equal(double.to(dtype=torch.float32)(z), field(z))


@pytest.mark.parametrize(
    "function",
    [lambda z: torch.tanh(z.float()), lambda z: torch.tanh(z).float(), lambda z: torch.zeros(len(z), 2) + 0.5],
)
def test_a_format_the_model_cannot_have_is_refused(function):
    with pytest.raises(FieldError, match=r"cast|float32"):
        LatentField.from_map(function, latent_shape=2, dtype=torch.float32).to(dtype=torch.float64)


def test_an_identity_that_can_be_stored():
    encoder, decoder = autoencoder()
    field = LatentField(encoder, decoder, latent_shape=3, name="tiny")
    described = field.describe()
    assert described["parameters"] == 6 * 3 + 3 + 3 * 6 + 6
    assert described["fingerprint"] == field.fingerprint
    assert (described["name"], described["latent_shape"], described["dtype"]) == ("tiny", [3], "float32")
    assert repr(field) == "LatentField(tiny: latent 3, 45 parameters, float32 on cpu)"


def test_a_module_called_by_encode_and_decode_counts_once():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = nn.Linear(4, 2), nn.Linear(2, 4)

        def encode(self, x):
            return self.encoder(x)

        def decode(self, z):
            return self.decoder(z)

    model = Model()
    field = LatentField(model.encode, model.decode, latent_shape=2)
    assert field.modules == (model,)
    assert field.describe()["parameters"] == sum(p.numel() for p in model.parameters())


def test_empty_batches():
    encoder, decoder = autoencoder()
    field = LatentField(encoder, decoder, latent_shape=3)
    nothing = torch.zeros(0, 3)
    assert field(nothing).shape == (0, 3)
    assert field.jacobian(nothing).shape == (0, 3, 3)


class Halves(nn.Module):
    """A model as most people write it."""

    def __init__(self) -> None:
        super().__init__()
        self.inward, self.outward = nn.Linear(5, 2), nn.Linear(2, 5)
        self.latent_dim = 2

    def encode(self, x: Tensor) -> Tensor:
        return self.inward(x)

    def decode(self, z: Tensor) -> Tensor:
        return self.outward(z)


def test_a_model_with_encode_and_decode_is_a_field_by_itself() -> None:
    model = Halves()
    field = LatentField(model)
    z = torch.randn(3, 2)
    assert field.latent_shape == (2,)
    assert torch.equal(field(z), model.encode(model.decode(z)).detach())
    assert LatentField(model, example=torch.zeros(1, 5)).latent_shape == (2,)
    del model.latent_dim
    with pytest.raises(InputError, match="needs latent_shape"):
        LatentField(model)


def test_a_model_without_them_is_one_sentence_with_the_remedy() -> None:
    bare = nn.Module()
    bare.encoder, bare.decoder = nn.Linear(5, 2), nn.Linear(2, 5)
    with pytest.raises(
        InputError, match=r"This Module has no methods encode and decode; give its parts \(model.encoder"
    ):
        LatentField(bare)
    with pytest.raises(InputError, match="This Linear has no methods encode and decode; add them, or give a pair"):
        LatentField(nn.Linear(2, 2))


def test_to_takes_format_and_device_by_place_as_modules_do() -> None:
    field = LatentField(Halves())
    assert field.to(torch.float64).dtype == torch.float64
    assert field.to("cpu") is field
    assert field.to(torch.device("cpu"), torch.float64).dtype == torch.float64
    assert field.to("cpu", dtype=torch.float64).dtype == torch.float64
    for twice in ({"dtype": torch.float32}, {"device": "cpu"}):
        with pytest.raises(InputError, match="one of them is given twice"):
            field.to(torch.float64, "cpu", **twice)


@pytest.mark.parametrize("device", ["cuda:99", "nowhere", 7.5, ""])
def test_a_device_that_is_not_there_is_one_sentence(device: Any) -> None:
    for call in (
        lambda: LatentField(Halves()).to(device),
        lambda: LatentField(Halves()).to(device=device),
        lambda: LatentField(Halves(), device=device),
    ):
        with pytest.raises(InputError, match="is not available here"):
            call()


@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64])
def test_a_format_that_is_not_floating_is_one_sentence(dtype: torch.dtype) -> None:
    with pytest.raises(InputError, match="floating number format"):
        LatentField(Halves()).to(dtype)


def test_a_model_is_never_asked_for_no_rows():
    """``reshape(len(z), -1)`` cannot be told what −1 means where there are no numbers."""
    field = LatentField(lambda x: x.flatten(1) / 2, lambda z: z.reshape(len(z), 1, -1), latent_shape=2)
    assert field(torch.zeros(0, 2)).shape == (0, 2)
    limits = find_attractors(field, starts.gaussian(10))
    assert len(limits.attractors) == 1
