"""What the user's code is given is a copy or is watched: rude models give the answers of their polite twins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import separatrix as sx
from separatrix import LatentField, ood
from separatrix.errors import FieldError, InputError
from separatrix.field._watched import Watched

quiet = pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")


def networks():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3)), nn.Sequential(
        nn.Linear(3, 16), nn.Linear(16, 6)
    )


ENC, DEC = networks()


def polite():
    return LatentField(lambda x: ENC(x * 0.5 + 0.1), lambda z: DEC(z.relu()), latent_shape=3)


def in_place():
    return LatentField(lambda x: ENC(x.mul_(0.5).add_(0.1)), nn.Sequential(nn.ReLU(inplace=True), *DEC), latent_shape=3)


def past_the_counter():
    """Neither ``.data`` nor NumPy is counted by torch."""

    def encode(x):
        x.data.mul_(0.5).add_(0.1)
        return ENC(x)

    def decode(z):
        values = z.detach().numpy()
        np.maximum(values, 0, out=values)
        return DEC(z)

    return LatentField(encode, decode, latent_shape=3)


def one_buffer():
    code, picture = torch.empty(512, 3), torch.empty(512, 6)

    def encode(x):
        return code[: len(x)].copy_(ENC(x * 0.5 + 0.1))

    def decode(z):
        return picture[: len(z)].copy_(DEC(z.relu()))

    return LatentField(encode, decode, latent_shape=3)


def two_buffers_in_turn():
    buffers, turn = [torch.empty(512, 3), torch.empty(512, 3)], [0]

    def encode(x):
        turn[0] += 1
        return buffers[turn[0] % 2][: len(x)].copy_(ENC(x * 0.5 + 0.1))

    return LatentField(encode, lambda z: DEC(z.relu()), latent_shape=3)


def numpy_buffer():
    code = np.empty((512, 3), dtype=np.float32)

    def encode(x):
        code[: len(x)] = ENC(x * 0.5 + 0.1).detach().numpy()
        return torch.from_numpy(code[: len(x)])

    return LatentField(encode, lambda z: DEC(z.relu()), latent_shape=3)


RUDE = {f.__name__: f for f in (in_place, past_the_counter, one_buffer, two_buffers_in_turn, numpy_buffer)}

Z = torch.linspace(-2, 2, 60).reshape(20, 3)
X = torch.linspace(-1, 1, 240).reshape(40, 6)


@quiet
def search(field):
    limits = sx.find_attractors(field, sx.starts.encoded(X))
    return limits.points, limits.labels


DOORS = {
    "call": lambda field: field(Z),
    "velocity": lambda field: field.velocity(Z),
    "encode": lambda field: torch.cat([a := field.encode(X), field.encode(-X), a]),
    "decode": lambda field: torch.cat([a := field.decode(Z), field.decode(-Z), a]),
    "reconstruct": lambda field: field.reconstruct(X) - X,
    "bare": lambda field: field.bare(Z).detach(),
    "iterate": lambda field: sx.iterate(field, Z, sx.Protocol(max_steps=30)).residual,
    "jvp": lambda field: field.jvp(Z, torch.ones_like(Z)),
    "vjp": lambda field: field.vjp(Z, torch.ones_like(Z)),
    "jacobian": lambda field: field.jacobian(Z),
    "float64": lambda field: field.to(dtype=torch.float64)(Z.double()),
    "search": lambda field: torch.cat([part.flatten().double() for part in search(field)]),
    "detector": lambda field: ood.KNNDetector(field, k=2).fit(X).score(-X),
    "reconstruction": lambda field: ood.ReconstructionDetector(field).fit(X).score(-X),
    "residual": lambda field: ood.ResidualDetector(field).fit(X).score(-X),
}


# A NumPy buffer of float32 has no float64 copy, whoever asks.
PAIRS = [(kind, door) for kind in RUDE for door in DOORS if kind != "numpy_buffer" or door not in ("float64", "search")]


@quiet
@pytest.mark.parametrize(("kind", "door"), PAIRS)
def test_a_rude_model_gives_the_answers_of_its_polite_twin(kind, door):
    given_z, given_x = Z.clone(), X.clone()
    found = DOORS[door](RUDE[kind]())
    # Differences stand in for autograd where a model's own buffer would have to carry the graph.
    tolerance = 1e-2 if door in ("jvp", "vjp", "jacobian") and "buffer" in kind else 1e-5
    assert torch.allclose(found, DOORS[door](polite()), rtol=tolerance, atol=tolerance)
    assert torch.equal(Z, given_z)
    assert torch.equal(X, given_x)


def notes(field):
    return {finding.name: finding for finding in field.check().findings}


@pytest.mark.parametrize("kind", ["in_place", "past_the_counter"])
def test_writing_into_the_input_has_its_sentence(kind):
    found = notes(RUDE[kind]())
    for role in ("encode", "decode"):
        assert found[f"{role}'s input"].passed is None
        assert found[f"{role}'s input"].detail == f"{role} writes into the tensor that it is given"
        assert "x.clone()" in found[f"{role}'s input"].remedy
        assert found[f"{role}'s output"].passed


@pytest.mark.parametrize("kind", ["one_buffer", "two_buffers_in_turn", "numpy_buffer"])
def test_a_buffer_that_is_used_again_has_its_sentence(kind):
    found = notes(RUDE[kind]())
    assert found["encode's output"].passed is None
    assert "a later call overwrites an earlier result" in found["encode's output"].detail
    assert "output.clone()" in found["encode's output"].remedy
    assert found["encode's input"].passed


def test_a_polite_model_is_given_no_copy():
    seen = []
    field = LatentField(lambda x: x * 0.5, lambda z: seen.append(z) or z, latent_shape=2)
    z = torch.ones(3, 2)
    field(z)
    assert seen[-1] is z
    found = notes(field)
    assert found["decode's output"].passed
    assert "its input or a view of it" in found["decode's output"].detail
    assert not any((half.writes, half.reuses, half.draws) != (False,) * 3 for half in field.halves)


@pytest.mark.parametrize("function", [lambda z: z, lambda z: z.view(-1, 2), lambda z: z[:], lambda z: z.detach()])
@pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")
def test_a_result_that_is_its_input_is_never_written_to(function):
    field = LatentField.from_map(function, latent_shape=2, dtype=torch.float64)
    z = torch.linspace(-1, 1, 40, dtype=torch.float64).reshape(20, 2)
    before = z.clone()
    field.velocity(z)
    sx.iterate(field, z, sx.Protocol(max_steps=20), store_paths=True)
    sx.find_attractors(field, z, sx.Protocol(max_steps=20))
    ood.TypicalityDetector(field, protocol=sx.Protocol(max_steps=20)).fit_features(z).score_features(z)
    field.jacobian(z)
    assert torch.equal(z, before)


def test_a_model_that_begins_to_write_later_is_refused_and_then_given_copies():
    def encode(x):
        return x.mul_(2) if len(x) > 10 else x * 2

    field = LatentField.from_map(encode, latent_shape=2)
    field(torch.ones(4, 2))
    with pytest.raises(FieldError, match=r"encode has changed the tensor that it was given.*x\.clone\(\)"):
        field(torch.ones(11, 2))
    z = torch.ones(11, 2)
    assert torch.equal(field(z), 2 * torch.ones(11, 2))
    assert torch.equal(z, torch.ones(11, 2))


def test_another_threads_writing_to_the_rest_of_a_buffer_is_not_the_models():
    """A stream's ring of frames: torch counts writes per memory, not per view."""
    ring = torch.zeros(4, 2)
    arriving = []

    def encode(x):
        if arriving:
            ring[3] = 1.0  # what a camera's thread does meanwhile
        return x * 0.5

    field = LatentField.from_map(encode, latent_shape=2)
    field(ring[:1])
    arriving.append(True)

    half = field.encoder
    real, calls = half.function, []

    def only_during_the_first(x):
        calls.append(1)
        return real(x) if len(calls) == 1 else x * 0.5

    half.function = only_during_the_first
    assert torch.equal(field(ring[:1]), torch.zeros(1, 2))


def test_inference_tensors_pass():
    with torch.inference_mode():
        for field in (polite(), in_place()):
            z = torch.ones(3, 3)
            assert torch.allclose(field(z), polite()(torch.ones(3, 3)), atol=1e-6)
            assert torch.equal(z, torch.ones(3, 3))


def test_what_is_no_tensor_is_refused_in_words():
    with pytest.raises(InputError, match=r"takes tensors, not a ndarray; convert with torch\.as_tensor"):
        LatentField.from_map(torch.tanh, latent_shape=2)(np.zeros((1, 2)))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    writes=st.sampled_from(["no", "counted", "data", "numpy"]),
    buffers=st.integers(0, 3),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6),
)
def test_whatever_a_function_does_its_calls_are_those_of_a_pure_one(writes, buffers, sizes):
    """Results stay what they were, and inputs too, through any sequence of calls."""
    kept, turn = [torch.zeros(9, 2) for _ in range(buffers)], [0]

    def rude(x):
        pure = torch.sin(x) + 1
        if writes == "counted":
            x.zero_()
        elif writes == "data":
            x.data.zero_()
        elif writes == "numpy":
            x.numpy()[:] = 0
        turn[0] += 1
        return kept[turn[0] % buffers][: len(x)].copy_(pure) if buffers else pure

    half = Watched(rude, "encode")
    held = []
    for _ in range(2 + buffers):
        half.examine(torch.ones(2, 2), held)
    half.draws = False
    inputs = [torch.full((size, 2), 0.1 * n + 0.3) for n, size in enumerate(sizes)]
    copies = [x.clone() for x in inputs]
    results = [half(x) for x in inputs]
    for x, copy, result in zip(inputs, copies, results, strict=True):
        assert torch.equal(x, copy)
        assert torch.equal(result, torch.sin(copy) + 1)
    assert half.writes == (writes != "no")
    assert half.reuses == (buffers > 0)
