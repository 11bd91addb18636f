"""Copies of models: the same map, no weight shared, the original untouched, or one sentence that says why not."""

from __future__ import annotations

import collections
import copy
import functools
import threading
import types
from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from torch import nn

import separatrix as sx
from separatrix import LatentField
from separatrix.errors import FieldError
from separatrix.field._copies import Copier, transplanted
from separatrix.field._guest import modules_behind

Z = torch.tensor([[0.3, -1.2], [0.9, 0.1]])
COMPILED = []  # one entry per graph that was compiled


def counting(graph, inputs):
    COMPILED.append(graph)
    return graph.forward


compiled = functools.partial(torch.compile, backend=counting)  # needs no C compiler


def net_of(*more):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2), *more)


class Coder(nn.Module):
    """A module with a method beside `forward`."""

    def __init__(self):
        super().__init__()
        self.inner = net_of()

    def encode(self, x):
        return self.inner(x)

    forward = encode


class CompiledMethod(Coder):
    @compiled
    def forward(self, x):
        return self.inner(x)


class OwnFunctions(Coder):
    """Functions on the instance that close over it, as accelerate and others put them there."""

    def __init__(self):
        super().__init__()
        plain = self.encode
        self.encode = functools.wraps(plain)(lambda x: plain(x))
        self._steps = [lambda x: self.inner(x)]
        self.forward = types.MethodType(lambda self, x: self._steps[0](x), self)


class CompiledForward(Coder):
    def __init__(self):
        super().__init__()
        self.forward = compiled(self.forward)


class Holder(nn.Module):
    """Compiled and parallel parts inside a module."""

    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, x):
        return self.part(x)


class Locked(Coder):
    """Parts that cannot be copied and hold no weights."""

    def __init__(self):
        super().__init__()
        self.lock, self.tools = threading.Lock(), {"lines": iter([1]), "gate": threading.Lock()}
        self.again = self.encode

    def forward(self, x):
        with self.lock:
            return self.again(x)


class PlainTensors(Coder):
    """Tensors that are neither parameters nor buffers, one of them part of a graph."""

    def __init__(self):
        super().__init__()
        self.mean = torch.tensor([[0.1, 0.2], [0.3, 0.4]])

    def forward(self, x):
        self.last = self.inner(x @ self.mean)
        return self.last


class Pair(NamedTuple):
    net: nn.Module
    factor: float


class Slotted:
    __slots__ = ("__hidden", "net")

    def __init__(self, net):
        self.net, self.__hidden = net, net

    def __call__(self, x):
        return self.__hidden(x) + 0 * self.net(x)


@dataclass(frozen=True)
class Frozen:
    net: nn.Module

    def __call__(self, x):
        return self.net(x)


class Cyclic:
    def __init__(self, net):
        self.net = net
        self.run = self.evaluate

    def evaluate(self, x):
        return self.net(x)

    def __call__(self, x):
        return self.run(x)


GLOBAL = net_of()


class UsesGlobal:
    def encode(self, x):
        return (lambda y: GLOBAL(y))(x)


def recursive(net):
    def function(x, left=6):
        return net(x) if left == 0 else function(x, left - 1)

    return function


def through(net):
    """One net, reached in many ways; each is a callable of it."""
    pair, later, doubled = Pair(net, 1.0), collections.defaultdict(list, {"net": net}), compiled(net)
    space = types.SimpleNamespace(net=net)

    @functools.cache
    def model():
        return net

    return {
        "compiled module": compiled(net),
        "its forward": compiled(net).forward,
        "behind a lambda": lambda x: doubled(x),
        "attribute of a compiled module": lambda x: doubled._orig_mod(x),
        "compiled function": compiled(lambda x: net(x)),
        "compiled twice": compiled(compiled(lambda x: net(x))),
        "compiled and wrapped": functools.wraps(net.forward)(compiled(lambda x: net(x))),
        "compiled inside": Holder(compiled(net)),
        "compiled inside a compiled one": compiled(Holder(compiled(net))),
        "data parallel": nn.DataParallel(net),
        "data parallel, unwrapped by hand": nn.DataParallel(net).module,
        "data parallel inside": Holder(nn.DataParallel(net)),
        "cached": lambda x: model()(x),
        "named tuple": lambda x: pair.factor * pair.net(x),
        "defaultdict": lambda x: later["net"](x),
        "slots": Slotted(net),
        "frozen dataclass": Frozen(net),
        "object that holds its own method": Cyclic(net),
        "simple namespace": lambda x: space.net(x),
        "recursive function": recursive(net),
    }


def parametrised(by):
    net = net_of()
    by(net[0])
    by(net[2])
    net(Z)
    return net


def scripted_behind_a_lambda():
    scripted = torch.jit.script(net_of())
    return lambda x: scripted(x)


PECULIAR = {
    "compiled method of the class": CompiledMethod,
    "compiled forward of the instance": CompiledForward,
    "bound method of a compiled module": lambda: compiled(Coder()).encode,
    "functions that close over their module": OwnFunctions,
    "its bound method": lambda: OwnFunctions().encode,
    "locks": Locked,
    "plain tensors": PlainTensors,
    "global behind a method": lambda: UsesGlobal().encode,
    "scripted": lambda: torch.jit.script(net_of()),
    "scripted behind a lambda": scripted_behind_a_lambda,
    "traced": lambda: torch.jit.trace(net_of(), Z),
    "graph module": lambda: torch.fx.symbolic_trace(net_of()),
    "weight norm": lambda: parametrised(nn.utils.parametrizations.weight_norm),
    "spectral norm": lambda: parametrised(nn.utils.parametrizations.spectral_norm),
    "orthogonal": lambda: parametrised(nn.utils.parametrizations.orthogonal),
    "old weight norm": lambda: parametrised(nn.utils.weight_norm),
    "old spectral norm": lambda: parametrised(nn.utils.spectral_norm),
}
KINDS = (*through(net_of()), *PECULIAR)
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:The .grad attribute:UserWarning"
)


@pytest.fixture
def way(request):
    return PECULIAR[request.param]() if request.param in PECULIAR else through(net_of())[request.param]


@torch.no_grad()
def eval_mode(function):
    for module in modules_behind(function):
        module.eval()
    return function(Z)


def weights(function):
    return [t for module in modules_behind(function) for t in (*module.parameters(), *module.buffers())]


@pytest.mark.parametrize("way", KINDS, indirect=True)
def test_a_copy_is_the_same_map_and_shares_no_weight(way):
    before = eval_mode(way)
    (twin,) = transplanted(way)
    assert torch.equal(eval_mode(twin), before)
    own, copied = weights(way), weights(twin)
    assert own
    assert not {t.data_ptr() for t in own} & {t.data_ptr() for t in copied}
    with torch.no_grad():
        for tensor in own:
            tensor.mul_(0.5).add_(0.1)
    assert not torch.allclose(eval_mode(way), before)
    assert torch.equal(eval_mode(twin), before), "the copy saw later weights"


@pytest.mark.parametrize("way", KINDS, indirect=True)
def test_a_copy_in_float64_computes_in_float64(way):
    field = LatentField.from_map(way, latent_shape=2)
    before = field(Z)
    double = field.to(dtype=torch.float64)(Z.double())
    assert double.dtype == torch.float64
    assert torch.allclose(double.float(), before, rtol=0, atol=1e-6)
    assert torch.equal(field(Z), before)
    assert all(t.dtype == torch.float32 for t in weights(way) if t.is_floating_point())


# A class cannot be copied, so that a method compiled there stays so; the monitor does not run it compiled all the same.
@pytest.mark.parametrize("way", [n for n in KINDS if "compiled" in n and "of the class" not in n], indirect=True)
def test_a_copy_of_what_was_compiled_is_not_compiled(way):
    (twin,) = transplanted(way)
    COMPILED.clear()
    torch.compiler.reset()
    eval_mode(twin)
    assert not COMPILED


def test_parts_that_hold_no_weights_are_shared_by_name():
    copier = Copier()
    twin = copier.copied(Locked())
    assert torch.equal(twin(Z), net_of()(Z))
    assert copier.shared == ["Locked.lock", "Locked.tools"]


def test_hooks_and_gradients_of_the_original_do_not_notice():
    net, calls = net_of(), []
    net(Z).sum().backward()
    gradients = [p.grad.clone() for p in net.parameters()]
    net.register_forward_pre_hook(lambda *_: calls.append(1))
    (twin,) = transplanted(compiled(net))
    assert twin.get_submodule("_orig_mod") is not net
    assert calls == []
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), gradients, strict=True))


def test_a_weight_captured_beside_its_module_stays_tied():
    encoder = nn.Linear(2, 2, bias=False)
    shift = nn.BatchNorm1d(2).eval()
    mean = shift.running_mean
    for order in ((lambda x: x @ encoder.weight, encoder), (encoder, lambda x: x @ encoder.weight)):
        (free, module) = transplanted(*order, dtype=torch.float64)
        assert {t.dtype for f in (free, module) for t in weights(f)} == {torch.float64}
        copied = {t.data_ptr() for f in (free, module) for t in weights(f)}
        assert len(copied) == 1
    (both,) = transplanted(lambda x: shift(x) + mean, dtype=torch.float64)
    assert both(Z.double()).dtype == torch.float64
    assert len({t.data_ptr() for t in weights(both)}) == 5, "the mean is the layer's own running mean"


class Refuses(nn.Linear):
    def __deepcopy__(self, memo):
        raise PermissionError("this model is not to be copied")


class Handle:
    """Holds weights and cannot be copied."""

    def __init__(self, net):
        self.net = net

    def __reduce_ex__(self, protocol):
        raise TypeError("cannot pickle a Handle")

    def __call__(self, x):
        return self.net(x)


class Single:
    """Copies of it are itself."""

    def __init__(self, net):
        self.net = net

    def __copy__(self):
        return self

    def __call__(self, x):
        return self.net(x)


class HoldsHandle(Coder):
    def __init__(self):
        super().__init__()
        self.handle = Handle(self.inner)

    def forward(self, x):
        return self.handle(x)


class FullyShardedDataParallel(Holder):
    """The name is what it is known by: the real one needs several processes."""


class Exported(Coder):
    @torch.jit.export
    def encode(self, x):
        return self.inner(x)

    def forward(self, x):
        return self.inner(x)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Refuses(2, 2), "this model is not to be copied"),
        (lambda: Handle(net_of()), "cannot pickle a Handle"),
        (lambda: Single(net_of()), "A Single that holds weights"),
        (HoldsHandle, r"HoldsHandle\.handle holds weights and refuses"),
        (lambda: FullyShardedDataParallel(net_of()), "sharded over several processes"),
        (lambda: torch.jit.script(Exported()).encode, "method encode of a ScriptModule"),
    ],
)
def test_what_cannot_be_copied_is_one_sentence(make, words):
    model = make()
    with pytest.raises(FieldError, match=words) as error:
        transplanted(model)
    assert "\n" not in str(error.value)
    with pytest.raises(FieldError, match=words):
        LatentField.from_map(model, latent_shape=2, dtype=torch.float32).to(torch.float64)


def test_a_dynamically_quantised_model_has_no_float64_copy_and_says_so():
    from torch.ao.quantization import quantize_dynamic

    quantised = quantize_dynamic(net_of(), {nn.Linear})
    (twin,) = transplanted(quantised)
    assert torch.equal(twin(Z), quantised(Z))
    with pytest.raises(FieldError, match="cannot be evaluated as"):
        LatentField.from_map(quantised, latent_shape=2).to(torch.float64)


def test_out_of_memory_is_not_put_into_other_words():
    class Large(nn.Linear):
        def __deepcopy__(self, memo):
            raise MemoryError

    with pytest.raises(MemoryError):
        transplanted(Large(2, 2))


def test_a_value_met_late_is_copied_all_the_same():
    """At the end of the depth a value is left as it is; where it is met again earlier it must be copied."""
    net = nn.Linear(2, 2)
    deep = [[[[[net]]]]]
    near = [net]
    (twin,) = transplanted(lambda x: deep and near[0](x))
    assert weights(twin)
    assert copy.copy(near) == [net]
    assert not {t.data_ptr() for t in weights(twin)} & {net.weight.data_ptr(), net.bias.data_ptr()}


# -- fields whose copy or whose values are of another kind than they should be ------------------------------------------


def test_a_model_without_numbers_is_to_be_materialised_first():
    with torch.device("meta"):
        empty, half = net_of(), net_of()
    half[0] = nn.Linear(2, 3, device="cpu")
    for model in (empty, half, lambda x: half(x)):
        with pytest.raises(FieldError, match=r"on the device meta.*to_empty"):
            LatentField(model, nn.Identity(), latent_shape=2)
    with pytest.raises(FieldError, match="on the device meta"):
        LatentField(net_of(), nn.Identity(), latent_shape=2).to("meta")
    LatentField(empty.to_empty(device="cpu"), nn.Identity(), latent_shape=2)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_another_format_out_than_in_is_one_sentence(dtype):
    field = LatentField.from_map(lambda z: torch.tanh(z).to(dtype), latent_shape=2)
    own = str(dtype).removeprefix("torch.")
    assert not field.check().ok
    with pytest.raises(FieldError, match=rf"is {own} for float32 latents.*dtype={dtype}"):
        sx.find_attractors(field, Z)
    assert LatentField.from_map(lambda z: torch.tanh(z).to(z.dtype), latent_shape=2).check().ok
