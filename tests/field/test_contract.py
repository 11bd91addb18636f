"""One door for all: whatever evaluates a field refuses what is no deterministic self-map, once and in the same words."""

from __future__ import annotations

import functools
import random
import sys

import numpy as np
import pytest
import torch
from torch import nn

import separatrix as sx
from separatrix import LatentField, ood
from separatrix.data import ImageSet
from separatrix.errors import FieldError
from separatrix.limitsets._motion import motion
from separatrix.ood._fitting import fit_detector
from separatrix.orbits._glance import glance
from separatrix.plots._film import filmed

pytestmark = pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")


def networks():
    torch.manual_seed(0)
    return nn.Linear(6, 3), nn.Linear(3, 6)


ENC, DEC = networks()
X = torch.linspace(-1, 1, 240).reshape(40, 6)
Z = torch.linspace(-2, 2, 60).reshape(20, 3)
IMAGES = torch.linspace(0, 1, 240).reshape(40, 1, 2, 3)


HIDDEN = []


class Hidden:
    """A module that nobody finds, so that nobody puts it into eval mode: only its number is kept."""

    def __init__(self, module):
        HIDDEN.append(module)
        self.number = len(HIDDEN) - 1

    def __call__(self, x):
        return sys.modules[__name__].HIDDEN[self.number](x)


def counting():
    calls = [0]

    def encode(x):
        calls[0] += 1
        return ENC(x) + 1e-3 * calls[0]

    return encode


def remembering():
    last = [torch.zeros(1, 3)]

    def encode(x):
        y = ENC(x)
        out, last[0] = y + 0.1 * last[0].mean(), y
        return out

    return encode


def own_generator():
    generator = torch.Generator().manual_seed(1)
    return lambda x: ENC(x) + 0.5 * torch.randn(len(x), 3, generator=generator)


def own_numpy_generator():
    generator = np.random.default_rng(0)
    return lambda x: ENC(x) + float(generator.normal())


def hidden_norm():
    norm = Hidden(nn.BatchNorm1d(3))
    return lambda x: norm(ENC(x))


def shrinking(at):
    """Return latents of another shape in the calls ``at``."""
    calls = [0]

    def encode(x):
        calls[0] += 1
        return ENC(x)[:, :2] if at(calls[0]) else ENC(x)

    return encode


RANDOM = "the model draws random numbers; return the posterior mean instead of a sample"
STATE = "the model keeps a state from call to call"
CHANGED = f"have shapes .*{STATE}|which it had not before; return the same shape"
BATCH = r"f\(z\) depends on the other latents of the batch"
LIES = {
    "sample": (lambda: lambda x: ENC(x) + 0.5 * torch.randn(len(x), 3), RANDOM),
    "numpy sample": (lambda: lambda x: ENC(x) + float(np.random.normal()), RANDOM),  # noqa: NPY002
    "python sample": (lambda: lambda x: ENC(x) + random.random(), RANDOM),
    "own generator": (own_generator, RANDOM),
    "own numpy generator": (own_numpy_generator, STATE),
    "counter": (counting, STATE),
    "memory": (remembering, STATE),
    "batch mean": (lambda: lambda x: ENC(x) - ENC(x).mean(dim=0), BATCH),
    "hidden batch norm": (hidden_norm, "f works on a batch but not on a single latent"),
}


def liar(name, **options):
    encode, sentence = LIES[name][0](), LIES[name][1]
    if options.get("images"):
        return LatentField(
            lambda x: encode(x.flatten(1)), lambda z: DEC(z).reshape(-1, 1, 2, 3), latent_shape=3
        ), sentence
    return LatentField(encode, DEC, latent_shape=3), sentence


def images():
    return ImageSet(pixels=IMAGES)


PROTOCOL = sx.Protocol(max_steps=20)
DOORS = {
    "call": lambda field: field(Z),
    "velocity": lambda field: field.velocity(Z),
    "encode": lambda field: field.encode(X),
    "decode": lambda field: field.decode(Z),
    "reconstruct": lambda field: field.reconstruct(X),
    "bare": lambda field: field.bare(Z),
    "jvp": lambda field: field.jvp(Z, Z),
    "vjp": lambda field: field.vjp(Z, Z),
    "jacobian": lambda field: field.jacobian(Z[:1]),
    "differentiable": lambda field: field.differentiable,
    "check": lambda field: field.check().require(),
    "iterate": lambda field: sx.iterate(field, Z, PROTOCOL),
    "iterate one": lambda field: sx.iterate(field, Z[:1], PROTOCOL),
    "iterate equals": lambda field: sx.iterate(field, torch.zeros(9, 3), PROTOCOL),
    "encoded starts": lambda field: sx.starts.encoded(X).block(field, 0, 3),
    "find_attractors": lambda field: sx.find_attractors(field, Z, PROTOCOL),
    "find_fixed_points": lambda field: sx.find_fixed_points(field, Z),
    "motion": lambda field: motion(field, Z[:2]),
    "contraction": lambda field: sx.contraction(field, X),
    "sensitivity": lambda field: sx.sensitivity(field, Z, PROTOCOL),
    **{f"{kind} fit": lambda field, kind=kind: ood.Detector.kinds[kind](field).fit(X) for kind in ood.Detector.kinds},
    **{
        f"{kind} fit_features": lambda field, kind=kind: ood.Detector.kinds[kind](field).fit_features(Z)
        for kind in ("knn", "mahalanobis", "residual", "typicality", "trajectory")
    },
    "fit_detector": lambda field: fit_detector(field, X, "knn", check=False),
    "self_check": lambda field: ood.self_check(field, X),
    "rate_law": lambda field: sx.rate_law(field, honest_limits(), Z),
    "score_check": lambda field: sx.score_check(field, X),
    "memorization": lambda field: sx.memorization(field, honest_limits(), X),
    "audit": lambda field: sx.audit_memorization(field, X[:20], X[20:], sample=8, noise=8),
    "probe": lambda field: sx.probe(field, honest_limits(), X),
    "compare": lambda field: sx.compare(LatentField(ENC, DEC, latent_shape=3), field, Z),
    "glance": lambda field: glance(field, sx.starts.gaussian(8)),
    "film strip": lambda field: filmed(field, X[:2], [1, 2]),
    "portrait": lambda field: sx.plots.field_portrait(honest_limits(), field, resolution=8),
}


@functools.cache
def honest_limits():
    return sx.find_attractors(LatentField(ENC, DEC, latent_shape=3), Z)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("lie", LIES)
def test_every_lie_is_refused_at_every_door_in_the_same_sentence(lie, door):
    field, sentence = liar(lie)
    given_x, given_z = X.clone(), Z.clone()
    state = torch.get_rng_state(), random.getstate(), np.random.get_state()[2]  # noqa: NPY002
    with pytest.raises(FieldError, match=sentence):
        DOORS[door](field)
    assert torch.equal(torch.get_rng_state(), state[0])
    assert random.getstate() == state[1]
    assert np.random.get_state()[2] == state[2]  # noqa: NPY002
    assert torch.equal(X, given_x)
    assert torch.equal(Z, given_z)


def counted():
    calls = []

    def encode(x):
        calls.append(len(x))
        return ENC(x)

    return LatentField(encode, DEC, latent_shape=3), calls


@pytest.mark.parametrize("first", ["call", "encode", "decode", "jvp", "iterate", "find_attractors", "knn fit"])
def test_it_is_paid_once_per_field(first):
    field, calls = counted()
    DOORS[first](field)
    for door in (lambda: field(Z), lambda: field.decode(Z), lambda: field.encode(X), lambda: field.bare(Z)):
        calls.clear()
        door()
        assert len(calls) <= 1, "the evaluation itself"
    from separatrix.field import require_self_map

    calls.clear()
    require_self_map(field, Z)
    field.admit(Z)
    assert calls == []


def test_what_it_costs_and_that_no_result_counts_it():
    field, calls = counted()
    orbits = sx.iterate(field, Z, PROTOCOL)
    assert sum(calls) - orbits.cost.map == 4 + 1 + 1 + 4
    field, calls = counted()
    field.check()
    calls.clear()
    assert sum(calls) == 0
    orbits = sx.iterate(field, Z, PROTOCOL)
    assert sum(calls) == orbits.cost.map


def test_a_copy_in_another_format_is_known_already():
    field, _ = counted()
    field(Z)
    twin = field.to(dtype=torch.float64)
    assert twin.examined is field.examined


@pytest.mark.parametrize("lie", ["sample", "counter", "batch mean"])
def test_a_copy_of_what_was_never_evaluated_is_examined_itself(lie):
    field, sentence = liar(lie)
    twin = field.to(dtype=torch.float64)
    with pytest.raises(FieldError, match=sentence):
        twin(Z.double())


def test_a_refused_model_is_asked_again_once_it_is_mended():
    norm = nn.BatchNorm1d(3).train()
    field = LatentField.from_map(Hidden(norm), latent_shape=3)
    for _ in range(2):
        with pytest.raises(FieldError, match="not on a single latent"):
            field(Z)
    norm.eval()
    assert torch.equal(field(Z), norm(Z))


def test_it_is_tested_where_the_field_is_evaluated():
    """And not at N(0, I), where this map is not defined."""

    def encode(z):
        if not bool((z > 0).all()):
            raise RuntimeError("only positive numbers")
        return z.sqrt() + torch.randn_like(z)

    field = LatentField.from_map(encode, latent_shape=2)
    with pytest.raises(FieldError, match=RANDOM):
        field(torch.rand(5, 2) + 1)


def test_a_map_that_is_infinite_at_these_points_is_no_liar():
    field = LatentField.from_map(lambda z: z * torch.inf, latent_shape=2)
    assert not field(torch.ones(3, 2)).isfinite().any()
    assert sx.iterate(field, torch.ones(3, 2)).counts == {sx.Status.NONFINITE: 3}
    with pytest.raises(FieldError, match="every tested point"):
        sx.find_attractors(field, torch.ones(3, 2))


def test_random_numbers_that_do_not_matter_are_allowed_and_not_taken():
    def encode(z):
        return 0.5 * z + 0.0 * torch.randn_like(z)

    field = LatentField.from_map(encode, latent_shape=2)
    state = torch.get_rng_state()
    field(torch.ones(3, 2))
    field(torch.ones(3, 2))
    assert field.encoder.draws
    assert torch.equal(torch.get_rng_state(), state)


def test_layers_that_are_made_on_first_use_are_refused():
    net = nn.Sequential(nn.LazyLinear(3), nn.Tanh())
    with pytest.raises(FieldError, match=r"weight 0\.weight of model has no values yet.*run the model once"):
        LatentField.from_map(net, latent_shape=3)(Z)
    with pytest.raises(FieldError, match="no values yet"):
        LatentField(net, DEC, latent_shape=3).encode(X)
    net(Z)
    assert torch.equal(LatentField.from_map(net, latent_shape=3)(Z), net(Z))


def test_a_damaged_weight_is_refused_at_every_door():
    net = nn.Linear(3, 3)
    net.weight.data[0, 0] = torch.nan
    with pytest.raises(FieldError, match="The weight weight of model contains NaN"):
        sx.iterate(LatentField.from_map(net, latent_shape=3), Z)


def test_what_the_model_raises_is_raised_as_it_is():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        LatentField(nn.Linear(7, 3), DEC, latent_shape=3)(Z)
    with pytest.raises(FieldError, match=r"has shape \(4, 2\)"):
        LatentField(nn.Linear(6, 2), DEC, latent_shape=3)(Z)


@pytest.mark.parametrize("first", range(2, 40, 3))
def test_latents_whose_shape_changes_from_call_to_call_are_one_sentence_whenever_they_do(first):
    field = LatentField(shrinking(lambda call: call >= first), DEC, latent_shape=3)
    with pytest.raises(FieldError, match=CHANGED):
        torch.cat([field(Z) for _ in range(40)])


@pytest.mark.parametrize("only", [2, 3])
def test_a_single_latent_of_another_shape_is_one_sentence(only):
    field = LatentField(shrinking(lambda call: call == only), DEC, latent_shape=3)
    with pytest.raises(FieldError, match=r"f\(z\) of a single latent has shape \(1, 2\)"):
        field(Z)


def test_a_search_whose_latents_change_their_shape_ends_with_one_sentence():
    with pytest.raises(FieldError, match=CHANGED):
        sx.find_attractors(LatentField(shrinking(lambda call: call >= 12), DEC, latent_shape=3), Z)
