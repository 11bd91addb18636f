"""Small trainings by hand, with models, factories and loggers that fail in every way that somebody has met."""

from __future__ import annotations

import errno
import random
import threading
import warnings
from contextlib import suppress

import numpy as np
import torch
from torch import nn

import separatrix as sx
from separatrix import DynamicsMonitor, LatentField
from separatrix.models import DenseAutoencoder
from separatrix.protocol import Protocol

QUICK = Protocol(max_steps=60, probe_steps=60)
STEPS = 7


def images(count=16):
    return torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(3))


class Model(DenseAutoencoder):
    """An autoencoder whose loss depends on every random state and on its mode."""

    def __init__(self):
        super().__init__((1, 4, 4), 2, hidden=(6,))
        self.decoder = nn.Sequential(nn.Dropout(0.2), nn.BatchNorm1d(2), *self.decoder)


class Stop(BaseException):
    """Not an Exception, and not an order to stop the process."""


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class Broken(Model):
    """Fails in its second watched pass and later: the training never calls `field`."""

    raised: BaseException = RuntimeError("the model failed")

    def field(self, *args, **options):
        raised, passes = self.raised, []

        class Failing(nn.Module):
            def __init__(self, inner):
                super().__init__()
                self.inner = inner

            def forward(self, x):
                passes.append(1)
                torch.rand(3), random.random(), np.random.rand()  # noqa: NPY002
                if len(passes) > self.allowed:
                    raise raised
                return self.inner(x)

        failing = Failing(self.encoder)
        failing.allowed = self.allowed
        return LatentField(failing, self.decoder, latent_shape=2, name="broken")


def breaking(raised, allowed=0):
    return type("Broken", (Broken,), {"raised": raised, "allowed": allowed})


def factory(make):
    """A model whose factory is a function of the model."""
    return type("Model", (Model,), {"field": lambda self, *_, **__: make(self)})


def raising(error):
    raise error


class Careless(Model):
    """A factory that leaves the model in eval mode, frozen and without gradients, before it fails."""

    def field(self, *args, **options):
        self.eval().requires_grad_(False)
        self.zero_grad()
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.manual_seed(0), random.seed(0), np.random.seed(0)  # noqa: NPY002
        raise RuntimeError("and then it failed")


class Quiet(Careless):
    """The same, and it does not fail."""

    def field(self, *args, **options):
        with suppress(RuntimeError):
            super().field()
        return DenseAutoencoder.field(self)


class Growing(Model):
    """The latent has another shape at every snapshot."""

    def field(self, *args, **options):
        self.grown = getattr(self, "grown", 1) + 1
        wide = self.grown
        return LatentField.from_map(lambda z: 0.5 * z[:, :wide], latent_shape=wide)


class Casting(Model):
    """The latents come back in another number format from some step on."""

    def field(self, *args, **options):
        self.asked = getattr(self, "asked", 0) + 1
        dtype = torch.float32 if self.asked == 1 else torch.float64
        return LatentField(lambda x: self.encoder(x).to(dtype), self.decoder, latent_shape=2, dtype=torch.float32)


class Uncopyable(Model):
    def __deepcopy__(self, memo):
        raise PermissionError("a licence forbids copies")


class Locked(Model):
    """A part that cannot be copied and is no weight."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


class Hooked(Model):
    """A hook that raises when somebody else than the training runs it."""

    def __init__(self):
        super().__init__()
        self.passes = 0
        self.encoder[1].register_forward_hook(self.hook)

    def hook(self, *_):
        self.passes += 1
        if self.passes != self.expected:
            raise RuntimeError("somebody else ran this model")

    def forward(self, x):
        self.expected = self.passes + 1
        try:
            return super().forward(x)
        finally:
            self.expected = None


class InPlace(Model):
    """Overwrites what it is given."""

    def __init__(self):
        super().__init__()
        self.decoder = nn.Sequential(nn.ReLU(inplace=True), *self.decoder)


class Warns(Model):
    def field(self, *args, **options):
        warnings.warn("a warning of the factory", UserWarning, stacklevel=1)
        return DenseAutoencoder.field(self)


class BadWeights(Model):
    def field(self, *args, **options):
        return LatentField.from_map(lambda z: z * torch.nan, latent_shape=2)


COMPILED = []


def counting(graph, inputs):
    COMPILED.append(tuple(inputs[0].shape))
    return graph.forward


class CompiledFunction(Model):
    """The decoder that the field uses is a compiled function, as is the one in training."""

    def __init__(self):
        super().__init__()
        self.inner = self.decoder
        del self.decoder
        self.decode = torch.compile(lambda z: self.inner(z).reshape(-1, 1, 4, 4), backend=counting)

    def forward(self, x):
        return self.decode(self.encoder(x))

    def field(self, *args, **options):
        return LatentField(self.encoder, self.decode, latent_shape=2)


class CompiledParts(Model):
    def __init__(self):
        super().__init__()
        self.encoder = torch.compile(self.encoder, backend=counting)
        self.decoder = nn.DataParallel(self.decoder)


class CompiledMethod(Model):
    @torch.compile(backend=counting)
    def encoded(self, x):
        return self.encoder(x)

    def forward(self, x):
        return super().forward(x) + self.encoded(x).mean()

    def field(self, *args, **options):
        return LatentField(self.encoded, self.decode_, latent_shape=2)

    def decode_(self, z):
        return self.decoder(z).reshape(-1, 1, 4, 4)


class Logger:
    """A tracker that fails in one of its methods."""

    def __init__(self, method, error):
        self.method, self.error, self.records = method, error, []

    def log(self, record):
        self.records.append(record)
        if self.method == "log":
            raise self.error

    def close(self):
        if self.method == "close":
            raise self.error


def no_space(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def trained(model_class, watched, **options):
    """A small training by hand: losses, and all that belongs to the training at its end."""
    torch.manual_seed(0), random.seed(0), np.random.seed(0)  # noqa: NPY002
    model = model_class()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    monitor = None
    if watched:
        options = {"log": None, "max_share": None, **options}
        starts = options.pop("starts", sx.starts.gaussian(8, seed=0))
        monitor = DynamicsMonitor(lambda: model.field(), starts, 2, protocol=QUICK, **options)
    losses = []
    for step in range(STEPS):
        batch = images() + 0.1 * torch.rand(16, 1, 4, 4) + random.random() + np.random.rand()  # noqa: NPY002
        optimiser.zero_grad()
        loss = (model(batch) - batch).square().mean()
        loss.backward()
        if monitor:
            monitor.step(step)  # between backward and the optimiser's step: gradients are part of the training
        optimiser.step()
        losses.append(loss.item())
    if monitor:
        monitor.finish()
    state = [tensor.clone() for tensor in model.state_dict().values()]
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    modes = [(part.training, len(part._forward_hooks)) for part in model.modules()]
    taking = [p.requires_grad for p in model.parameters()]
    random_states = torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    torch_modes = torch.get_default_dtype(), torch.is_grad_enabled()
    return (losses, state, gradients, modes, taking, random_states, torch_modes), monitor


def assert_equal(left, right):
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right)
    elif isinstance(left, (list, tuple)):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_equal(one, other)
    else:
        assert left == right
