"""`field.check()`: every way not to be a deterministic self-map is found, named, and given a remedy."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import nn

import separatrix as sx
from separatrix import LatentField
from separatrix.errors import FieldError, ModelWarning
from separatrix.field import check, require_self_map
from separatrix.models._outputs import Unwrapping


class Moments(NamedTuple):
    mean: torch.Tensor
    variance: torch.Tensor


class Latents(NamedTuple):
    variance: torch.Tensor
    latents: torch.Tensor


def field_of(function, k=2, **options):
    return LatentField.from_map(function, latent_shape=k, **options)


def failures(field, starts=None):
    return {finding.name: finding for finding in check(field, starts).findings if finding.passed is False}


def only_failure(field):
    found = failures(field)
    assert len(found) == 1, found
    return next(iter(found.values()))


def test_a_good_field_passes_everything():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 2), nn.Tanh()).eval()
    result = LatentField(net, nn.Linear(2, 4).eval(), latent_shape=2).check()
    assert result.ok
    assert [finding.name for finding in result.findings] == [
        "weights",
        "shapes",
        "deterministic",
        "batch independence",
        "encode's input",
        "decode's input",
        "encode's output",
        "decode's output",
        "finite",
        "eval mode",
        "gradients",
        "float64",
    ]
    assert all(finding.passed for finding in result.findings)
    assert len(str(result).splitlines()) == 12
    result.require()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_damaged_weight_is_named(value):
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].bias.data[1] = value
    failure = only_failure(LatentField(net, nn.Identity(), latent_shape=2))
    assert "1.bias" in failure.detail
    assert ("NaN" if value != value else "infinity") in failure.detail
    assert "checkpoint" in failure.remedy


def test_a_damaged_buffer_is_named():
    net = nn.BatchNorm1d(2).eval()
    net.running_var[0] = torch.nan
    assert "running_var" in only_failure(LatentField(net, nn.Identity(), latent_shape=2)).detail


def test_a_decoder_for_another_latent():
    failure = only_failure(LatentField(nn.Linear(6, 3), nn.Linear(4, 6), latent_shape=3))
    assert failure.name == "shapes"
    assert "decode does not accept latents of shape (4, 3)" in failure.detail
    assert "latent_shape" in failure.remedy


def test_an_encoder_for_other_data():
    failure = only_failure(LatentField(nn.Linear(7, 3), nn.Linear(3, 6), latent_shape=3))
    assert "encode does not accept what decode returns, shape (4, 6)" in failure.detail
    assert "\n" not in failure.detail


def test_a_map_that_does_not_close():
    failure = only_failure(LatentField(nn.Linear(6, 2), nn.Linear(3, 6), latent_shape=3))
    assert "shape (4, 2) for latents of shape (4, 3)" in failure.detail
    assert "(2,)" in failure.remedy


def test_a_lost_batch_axis():
    failure = only_failure(field_of(lambda z: z.sum(dim=0)))
    assert "shape (2,)" in failure.detail


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (lambda z: (z, z), "tuple"),
        (lambda z: torch.distributions.Normal(z, 1.0), "Normal"),
        (lambda z: {"latent": z}, "dict"),
    ],
)
@pytest.mark.parametrize("role", ["encode", "decode"])
def test_outputs_that_are_no_tensors(output, words, role):
    parts = {"encode": torch.tanh, "decode": torch.tanh, role: output}
    field = LatentField(parts["encode"], parts["decode"], latent_shape=2)
    with pytest.raises(FieldError, match=f"{role} returned an? {words}"):
        check(field).require()
    with pytest.raises(FieldError, match=f"{role} returned an? {words}"):
        sx.find_attractors(field, sx.starts.gaussian(5))


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (lambda z: (z, z.exp()), "encode returned a tuple of 2, of which the first is taken"),
        (lambda z: [z, z, z], "encode returned a list of 3, of which the first is taken"),
        (lambda z: Moments(z, z.exp()), "encode returned a Moments of 2, of which the first is taken"),
        (
            lambda z: (torch.distributions.Normal(z, 1.0), z),
            "encode returned a tuple of 2, of which the first is taken",
        ),
        (lambda z: Latents(z.exp(), z), None),  # chosen by its name
        (lambda z: (z,), None),  # nothing to choose from
        (torch.tanh, None),
    ],
)
def test_a_part_chosen_by_its_place_is_said(output, words):
    field = LatentField(Unwrapping(output, "encode"), Unwrapping(torch.tanh, "decode"), latent_shape=2)
    result = check(field)
    assert result.ok
    notes = [finding.detail for finding in result.findings if finding.name == "outputs"]
    assert notes == ([] if words is None else [words])


def test_a_part_chosen_by_its_place_is_said_of_both_and_where_shapes_do_not_close():
    decode = Unwrapping(lambda z: (z[:, :1], z), "decode")
    result = check(LatentField(Unwrapping(lambda x: (x, x), "encode"), decode, latent_shape=2))
    assert [(finding.name, finding.passed) for finding in result.findings][1:] == [
        ("shapes", False),
        ("outputs", None),
        ("outputs", None),
    ]


STOCHASTIC = {
    "noise per latent": lambda z: z + torch.randn_like(z),
    "noise per coordinate": lambda z: z + torch.randn(2),
    "one number": lambda z: z * torch.rand(1),
    "dropout": lambda z: nn.functional.dropout(z, 0.5, training=True),
    "tiny noise": lambda z: z + 1e-6 * torch.randn_like(z),
    "random mask": lambda z: z * (torch.rand(len(z), 2) > 0.5),
    "permutation": lambda z: 0.5 * z[:, torch.randperm(2)] + torch.rand(()),
}


@pytest.mark.parametrize("name", STOCHASTIC)
def test_a_stochastic_map_is_called_stochastic(name):
    found = failures(field_of(STOCHASTIC[name]))
    assert "deterministic" in found
    assert "mean" in found["deterministic"].remedy
    with pytest.raises(FieldError, match="random"):
        sx.find_attractors(field_of(STOCHASTIC[name]), sx.starts.gaussian(5))


def test_a_vae_that_samples():
    """The classic: z = μ + σε."""
    net = nn.Linear(4, 4)

    def encode(x):
        mean, log_std = net(x).chunk(2, dim=1)
        return mean + log_std.exp() * torch.randn_like(mean)

    assert "deterministic" in failures(LatentField(encode, nn.Linear(2, 4), latent_shape=2))


BATCH_DEPENDENT = {
    "mean of the batch": lambda z: z - z.mean(dim=0),
    "functional batch norm": lambda z: nn.functional.batch_norm(z, None, None, training=True),
    "softmax over the batch": lambda z: z.softmax(dim=0),
    "neighbour": lambda z: 0.5 * z + 0.1 * z.roll(1, 0),
    "position in the batch": lambda z: 0.5 * z + 0.1 * torch.arange(len(z))[:, None],
}


@pytest.mark.parametrize("name", BATCH_DEPENDENT)
def test_a_map_that_looks_at_its_batch(name):
    field = field_of(BATCH_DEPENDENT[name])
    failure = failures(field)["batch independence"]
    assert "other latents" in failure.detail or "single latent" in failure.detail
    assert "BatchNorm" in failure.remedy
    with pytest.raises(FieldError, match="batch"):
        sx.find_attractors(field, sx.starts.gaussian(5))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_map_that_is_nowhere_finite(value):
    failure = failures(field_of(lambda z: z + value))["finite"]
    assert "every tested point" in failure.detail


def test_a_map_that_is_finite_somewhere_passes():
    assert check(field_of(lambda z: torch.where(z[:, :1] > 0, z, torch.nan))).ok


def test_train_mode_is_a_note_and_a_warning_not_a_failure():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(0.5)).train()
    field = LatentField(net, nn.Identity(), latent_shape=2)
    result = check(field)
    assert result.ok
    (mode,) = [finding for finding in result.findings if finding.name == "eval mode"]
    assert mode.passed is None
    assert "training mode" in mode.detail
    with pytest.warns(ModelWarning, match="BatchNorm1d layers in training mode"):
        sx.find_attractors(field, sx.starts.gaussian(6))
    assert all(part.training for part in net.modules())


def test_train_mode_without_consequences_is_not_warned_about(recwarn):
    net = nn.Sequential(nn.Linear(2, 2), nn.Tanh()).train()
    require_self_map(LatentField(net, nn.Identity(), latent_shape=2), torch.zeros(4, 2))
    assert not [warning for warning in recwarn.list if issubclass(warning.category, ModelWarning)]


def test_no_gradients_and_no_float64_are_notes():
    notes = {f.name: f for f in check(field_of(torch.no_grad()(lambda z: torch.tanh(z.float())))).findings}
    assert notes["gradients"].passed is None
    assert "differences" in notes["gradients"].remedy
    assert notes["float64"].passed is None
    assert check(field_of(torch.no_grad()(torch.tanh))).ok


def test_the_starts_decide_where_it_is_tested():
    field = field_of(lambda z: torch.where(z > 50, torch.nan, 0.5 * z))
    assert check(field).ok
    assert not check(field, torch.full((3, 2), 100.0)).ok


def test_a_single_start_is_enough_to_notice_batch_dependence_or_pass():
    assert check(field_of(torch.tanh), torch.zeros(1, 2)).ok


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_rounding_is_not_batch_dependence(dtype):
    torch.manual_seed(0)
    encoder, decoder = nn.Linear(64, 16).to(dtype), nn.Linear(16, 64).to(dtype)
    assert check(LatentField(encoder, decoder, latent_shape=16)).ok


def test_each_sentence_is_one_line_with_a_remedy():
    for field in (
        field_of(lambda z: z + torch.randn_like(z)),
        field_of(lambda z: z[:, :1]),
        field_of(lambda z: z * torch.nan),
        field_of(lambda z: z - z.mean(dim=0)),
    ):
        with pytest.raises(FieldError) as caught:
            check(field).require()
        sentence = str(caught.value)
        assert "\n" not in sentence
        assert sentence.endswith(".")
        assert sentence[0].isupper() or sentence.startswith("f(")  # F is the reconstruction
        assert "; " in sentence


def test_the_latent_map_keeps_its_letter_at_the_head_of_a_sentence():
    with pytest.raises(FieldError, match=r"^f\(z\) depends on the other latents"):
        check(field_of(lambda z: z - z.mean(dim=0))).require()
    with pytest.raises(FieldError, match=r"^Two evaluations of f"):
        check(field_of(lambda z: z + torch.randn_like(z))).require()
