"""The model is a guest: found wherever it hides, left exactly as it came, copied and never converted."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

import separatrix as sx
from separatrix import LatentField
from separatrix.field._copies import transplanted
from separatrix.field._fingerprints import fingerprint
from separatrix.field._guest import borrowed, modules_behind

GLOBAL_NET = nn.Linear(2, 2)


def uses_global(z):
    return GLOBAL_NET(z)


def net_with_everything():
    """BatchNorm and dropout, some parts in training mode and some not, one weight frozen, hooks on it."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Sequential(nn.Linear(8, 3), nn.Tanh()))
    net.train()
    net[1].eval()
    net[3][0].eval()
    net[0].weight.requires_grad_(False)
    net[0].register_forward_hook(lambda *_: None)
    return net


def state_of(net):
    return {
        "training": [part.training for part in net.modules()],
        "requires_grad": [p.requires_grad for p in net.parameters()],
        "bytes": [t.detach().numpy().tobytes() for t in net.state_dict().values()],
        "identity": [(id(t), t.data_ptr(), t.dtype) for t in (*net.parameters(), *net.buffers())],
        "grad": [p.grad for p in net.parameters()],
        "hooks": [list(part._forward_hooks) for part in net.modules()],
        "random": torch.get_rng_state().numpy().tobytes(),
        "grad_mode": torch.is_grad_enabled(),
    }


ACTIONS = {
    "evaluate": lambda field, z: field(z),
    "encode": lambda field, z: field.encode(z),
    "velocity": lambda field, z: field.velocity(z),
    "jvp": lambda field, z: field.jvp(z, z),
    "vjp": lambda field, z: field.vjp(z, z),
    "jacobian": lambda field, z: field.jacobian(z),
    "check": lambda field, _: field.check(),
    "float64": lambda field, z: field.to(dtype=torch.float64)(z.double()),
    "iterate": lambda field, z: sx.iterate(field, z, sx.Protocol(max_steps=5)),
    "search": lambda field, z: sx.find_attractors(field, z, sx.Protocol(max_steps=20)),
    "fixed points": lambda field, z: sx.find_fixed_points(field, z),
    "fingerprint": lambda field, _: field.fingerprint,
    "describe": lambda field, _: (field.describe(), repr(field)),
}


@pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")
@pytest.mark.parametrize("action", ACTIONS)
def test_nothing_is_left_behind(action):
    net = net_with_everything()
    field = LatentField(net, nn.Identity(), latent_shape=3)
    before = state_of(net)
    ACTIONS[action](field, torch.linspace(-1, 1, 12).reshape(4, 3))
    assert state_of(net) == before


def repeated(action, field, z):
    for _ in range(4):
        action(field, z)


@pytest.mark.parametrize("error", [ValueError, RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize(
    "action", ["evaluate", "encode", "jvp", "vjp", "jacobian", "iterate", "search", "fixed points"]
)
def test_nothing_is_left_behind_by_a_failure(action, error):
    net = net_with_everything()
    calls = []

    def encode(x):
        output = net(x)
        torch.rand(5)
        calls.append(1)
        if len(calls) > 2 or action in ("evaluate", "encode"):
            raise error("in the middle of it")
        return output

    field = LatentField(encode, nn.Identity(), latent_shape=3)
    before = state_of(net)
    z = torch.linspace(-1, 1, 12).reshape(4, 3)
    with pytest.raises((error, sx.errors.SeparatrixError)):  # a check may put it into its own words
        repeated(ACTIONS[action], field, z)
    assert state_of(net) == before


def test_borrowing_evaluates_in_eval_mode_without_gradients():
    net = net_with_everything()
    with borrowed((net,)):
        assert not any(part.training for part in net.modules())
        assert not torch.is_grad_enabled()
        with borrowed((net,)):  # a loop holds the guest while public methods enter again
            assert not any(part.training for part in net.modules())
        assert not any(part.training for part in net.modules())


def test_an_eval_method_with_side_effects_is_not_called():
    class Picky(nn.Linear):
        def eval(self):
            raise AssertionError("eval() was called")

        def train(self, mode=True):
            raise AssertionError("train() was called")

    net = Picky(2, 2)
    LatentField(net, nn.Identity(), latent_shape=2)(torch.zeros(1, 2))
    assert net.training


# -- finding modules -----------------------------------------------------------------------------------------------------


class Wrapper:
    """A plain object around modules, as most research code has one."""

    def __init__(self, net):
        self.net = net

    def encode(self, x):
        return self.net(x)


class CallableWrapper(Wrapper):
    def __call__(self, x):
        return self.net(x)


class ListWrapper(CallableWrapper):
    def __init__(self, net):
        self.stages = [net]

    def __call__(self, x):
        return self.stages[0](x)


class DictWrapper(CallableWrapper):
    def __init__(self, net):
        self.stages = {"encoder": net}

    def __call__(self, x):
        return self.stages["encoder"](x)


def hidden(net):
    """The same map, reached in the ways users reach it."""

    def closure(z):
        return net(z)

    def of_closure(z):
        return closure(z)

    def of_closure_of_closure(z):
        return of_closure(z) + 0

    def with_argument(model, z):
        return model(z)

    def with_default(z, model=net):
        return model(z)

    def with_keyword_default(z, *, model=net):
        return model(z)

    def with_a_lambda_inside(z):
        return (lambda y: net(y))(z)

    pair, table, plain = (net, 1.0), {"net": net}, Wrapper(net)
    return {
        "module": net,
        "forward": net.forward,
        "lambda": lambda z: net(z),
        "closure": closure,
        "closure of closure": of_closure,
        "closure of closure of closure": of_closure_of_closure,
        "partial": functools.partial(with_argument, net),
        "partial with keyword": functools.partial(lambda z, model: model(z), model=net),
        "partial of partial": functools.partial(functools.partial(with_argument), net),
        "partial of closure": functools.partial(closure),
        "default": with_default,
        "keyword default": with_keyword_default,
        "lambda inside": with_a_lambda_inside,
        "no_grad": torch.no_grad()(closure),
        "wrapped": functools.wraps(closure)(lambda z: closure(z)),
        "tuple": lambda z: pair[0](z),
        "dict": lambda z: table["net"](z),
        "callable object": CallableWrapper(net),
        "list in an object": ListWrapper(net),
        "dict in an object": DictWrapper(net),
        "method of a callable object": CallableWrapper(net).encode,
        "method of a plain object": plain.encode,
        "lambda around a plain object": lambda z: plain.encode(z),
        "attribute of a plain object": lambda z: plain.net(z),
    }


@pytest.mark.parametrize("way", hidden(nn.Linear(1, 1)))
def test_a_module_is_found(way):
    net = nn.Linear(2, 2)
    assert modules_behind(hidden(net)[way]) == (net,)


@pytest.mark.parametrize("way", hidden(nn.Linear(1, 1)))
def test_a_module_is_evaluated_in_eval_mode(way):
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).train()
    field = LatentField.from_map(hidden(net)[way], latent_shape=2)
    z = torch.ones(1, 2)
    assert torch.allclose(field(z), net[0](z), rtol=0, atol=1e-6)
    assert net.training


@pytest.mark.parametrize("way", hidden(nn.Linear(1, 1)))
def test_a_float64_copy_is_made_and_the_model_stays_float32(way):
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2))
    before = [p.clone() for p in net.parameters()]
    field = LatentField.from_map(hidden(net)[way], latent_shape=2)
    z = torch.tensor([[0.3, -1.2]])
    double = field.to(dtype=torch.float64)(z.double())
    assert double.dtype == torch.float64
    assert torch.allclose(double.float(), net(z), rtol=0, atol=1e-6)
    assert double.float().double().ne(double).any(), "computed in float64, not converted afterwards"
    assert all(torch.equal(a, b) and b.dtype == torch.float32 for a, b in zip(before, net.parameters(), strict=True))
    assert field(z).dtype == torch.float32


def test_a_global_module_is_found_and_copied():
    assert modules_behind(uses_global) == (GLOBAL_NET,)
    field = LatentField.from_map(uses_global, latent_shape=2)
    assert field.to(dtype=torch.float64)(torch.zeros(1, 2).double()).dtype == torch.float64
    assert GLOBAL_NET.weight.dtype == torch.float32


def test_modules_come_once_and_in_order():
    encoder, decoder = nn.Linear(3, 2), nn.Linear(2, 3)
    assert modules_behind(lambda x: encoder(x), decoder, encoder) == (encoder, decoder)
    assert modules_behind(torch.tanh, lambda z: 2 * z) == ()


def test_a_closure_that_is_not_complete_yet_is_no_error():
    def outer():
        def function(z):
            return later(z)

        found = modules_behind(function)
        if found:
            later = nn.Identity()
        return found

    assert outer() == ()


def test_a_class_and_a_library_are_not_a_model():
    assert modules_behind(lambda z: nn.functional.relu(z) + len(nn.Linear.__name__)) == ()


def test_a_recursive_function_ends():
    def function(z):
        return function(z) if z is None else GLOBAL_NET(z)

    assert modules_behind(function) == (GLOBAL_NET,)


# -- copies --------------------------------------------------------------------------------------------------------------


def test_captured_tensors_are_converted_with_the_modules():
    mean, scale, index = torch.tensor([0.1, 0.2]), torch.tensor(3.0), torch.tensor([1, 0])
    net = nn.Linear(2, 2)

    def encode(z):
        return net((z - mean) / scale)[:, index]

    (double,) = transplanted(encode, dtype=torch.float64)
    z = torch.tensor([[1.0, 2.0]])
    assert double(z.double()).dtype == torch.float64
    assert torch.allclose(double(z.double()).float(), encode(z), rtol=0, atol=1e-6)
    assert (mean.dtype, scale.dtype, index.dtype) == (torch.float32, torch.float32, torch.int64)
    assert encode(z).dtype == torch.float32


def test_a_module_shared_by_two_callables_stays_shared():
    net = nn.Linear(2, 2)
    first, second = transplanted(lambda z: net(z), functools.partial(lambda m, z: m(z), net), dtype=torch.float64)
    (a,), (b,) = modules_behind(first), modules_behind(second)
    assert a is b
    assert a is not net


def test_weights_tied_between_encoder_and_decoder_keep_their_values():
    encoder, decoder = nn.Linear(3, 2, bias=False), nn.Linear(2, 3, bias=False)
    decoder.weight = nn.Parameter(torch.randn(3, 2))
    encoder.weight = decoder.weight
    encoder.forward = lambda x: x @ encoder.weight
    field = LatentField(lambda x: x @ encoder.weight, decoder, latent_shape=2)
    z = torch.randn(4, 2)
    assert torch.allclose(field.to(dtype=torch.float64)(z.double()).float(), field(z), rtol=0, atol=1e-5)


def test_defaults_and_names_survive():
    net = nn.Linear(2, 2)

    def encode(z, factor=2.0, *, shift=1.0):
        return factor * net(z) + shift

    (double,) = transplanted(encode, dtype=torch.float64)
    z = torch.ones(1, 2)
    assert torch.allclose(double(z.double()).float(), encode(z), rtol=0, atol=1e-6)
    assert double.__name__ == "encode"


def test_what_holds_no_tensor_is_not_copied():
    function = lambda z: torch.tanh(z)  # noqa: E731
    assert transplanted(function, dtype=torch.float64) == (function,)


def test_the_copy_of_an_object_leaves_the_object_alone():
    net = nn.Linear(2, 2)
    wrapper = CallableWrapper(net)
    (double,) = transplanted(wrapper, dtype=torch.float64)
    assert double is not wrapper
    assert wrapper.net is net
    assert double.net.weight.dtype == torch.float64


def test_a_model_with_computed_weights_can_be_used():
    """`torch.nn.utils.weight_norm` keeps a computed tensor on the module, which `copy.deepcopy` refuses."""
    net = torch.nn.utils.weight_norm(nn.Linear(2, 2))
    net(torch.ones(1, 2))
    field = LatentField.from_map(lambda z: torch.tanh(net(z)), latent_shape=2)
    try:
        double = field.to(dtype=torch.float64)
    except sx.errors.FieldError:
        return  # saying so in the library's own words is enough; find_attractors then polishes in float32
    assert double(torch.ones(1, 2).double()).dtype == torch.float64


def test_a_cast_inside_is_explained():
    with pytest.raises(sx.errors.FieldError, match="cast"):
        LatentField.from_map(lambda z: torch.tanh(z.float()), latent_shape=2).to(dtype=torch.float64)


# -- fingerprint -----------------------------------------------------------------------------------------------------------


def test_a_fingerprint_is_that_of_the_weights():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    same = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    same.load_state_dict(net.state_dict())
    first = fingerprint((net,))
    assert first == fingerprint((same,)) == LatentField(net, nn.Identity(), latent_shape=2).fingerprint
    assert len(first) == 64
    with torch.no_grad():
        same[0].weight[0, 0] = torch.nextafter(same[0].weight[0, 0], torch.tensor(9.0))
    assert fingerprint((same,)) != first
    with torch.no_grad():
        same.load_state_dict(net.state_dict())
        same[1].running_mean += 1
    assert fingerprint((same,)) != first


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_fingerprints_of_all_formats(dtype):
    net = nn.Linear(2, 2).to(dtype)
    assert len(fingerprint((net,))) == 64


def test_no_modules_no_fingerprint():
    assert LatentField.from_map(torch.tanh, latent_shape=1).fingerprint is None
