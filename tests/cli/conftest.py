"""A working directory of its own with small models in it, and the program as a user would call it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from separatrix.cli._app import app

MODELS = '''
import time
from pathlib import Path

import torch
from torch import nn

import separatrix as sx


def wells():
    """tanh(2z) in two coordinates: four attractors at (±0.957504, ±0.957504), a quarter of a symmetric box each."""
    return sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(2,), name="wells")


def contraction():
    return sx.LatentField.from_map(lambda z: 0.5 * z, latent_shape=(3,), name="contraction")


def drift():
    """Every orbit leaves every bounded region; there is no fixed point."""
    return sx.LatentField.from_map(lambda z: z + 1, latent_shape=(2,), name="drift")


class Autoencoder(nn.Module):
    """Images 1×4×4 to two numbers and back; contracting, because its weights are small."""

    def __init__(self, latent_dim=2, pixels=16):
        super().__init__()
        torch.manual_seed(0)
        self.latent_dim = latent_dim
        self.down, self.up = nn.Linear(16, latent_dim), nn.Linear(latent_dim, pixels)

    def encode(self, x):
        return self.down(x.flatten(1))

    def decode(self, z):
        return torch.sigmoid(self.up(z)).reshape(len(z), 1, 4, -1)


def small():
    return Autoencoder().eval()


def shapes_that_do_not_close():
    return Autoencoder(pixels=20)


def nan_weights():
    model = Autoencoder()
    with torch.no_grad():
        model.down.weight[0, 3] = float("nan")
    return model


class Silent(Autoencoder):
    """Does not say how its latents are shaped."""

    def __init__(self):
        super().__init__()
        del self.latent_dim


class Moments(Autoencoder):
    """As a variational encoder: the mean comes first."""

    def encode(self, x):
        mean = super().encode(x)
        return mean, mean.exp()


def Tuple():
    """A field of one's own is taken at its word; only what a module returns is unwrapped."""
    model = Autoencoder()
    return sx.LatentField(lambda x: (model.encode(x), None), model.decode, latent_shape=2)


def Distribution():
    model = Autoencoder()
    return sx.LatentField(lambda x: torch.distributions.Normal(model.encode(x), 1.0), model.decode, latent_shape=2)


class Stochastic(Autoencoder):
    def encode(self, x):
        z = super().encode(x)
        return z + torch.randn_like(z)


class Dropping(Autoencoder):
    def __init__(self):
        super().__init__()
        self.drop, self.norm = nn.Dropout(0.5), nn.BatchNorm1d(16)

    def encode(self, x):
        return self.down(self.norm(self.drop(x.flatten(1))))


def no_latent():
    return sx.LatentField.from_map(torch.tanh, latent_shape=(0,))


def raises():
    raise RuntimeError("no licence key")


def late_failure():
    """Well-behaved while it is checked."""
    calls = []

    def function(z):
        calls.append(1)
        if len(calls) > 20:
            raise KeyError("the twenty-first call")
        return torch.tanh(z)

    return sx.LatentField.from_map(function, latent_shape=(2,))


def endless():
    """Says in a file that the search has begun, and then takes its time."""

    def function(z):
        Path("begun").touch()
        time.sleep(0.05)
        return z + 1e-3

    return sx.LatentField.from_map(function, latent_shape=(2,))
'''


class Answer:
    """What one call of the program said, and how it ended."""

    def __init__(self, code: int, stdout: str, stderr: str) -> None:
        self.code, self.stdout, self.stderr = code, stdout, stderr

    @property
    def json(self) -> dict[str, Any]:
        """The one document on stdout."""
        document = json.loads(self.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        assert isinstance(document, dict)
        return document

    @property
    def sentence(self) -> str:
        """The one line on stderr that says what is wrong, checked to be just that."""
        errors = [line for line in self.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, self.stderr
        assert "Traceback" not in self.stderr + self.stdout
        assert errors[0][-1] in ".?"
        return errors[0].removeprefix("error: ")


Program = Callable[..., Answer]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """``program("attractors", "toy.py:wells", …)`` in a fresh directory that holds toy.py."""
    (tmp_path / "toy.py").write_text(MODELS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("separatrix.work._progress.FIRST_LINE", math.inf)  # however slow the machine is

    def run(*arguments: str) -> Answer:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Answer(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """60 images 4×4 in data.npz, as arrays ``train`` and ``test``."""
    import numpy as np

    generator = np.random.default_rng(0)
    images = (255 * generator.random((60, 4, 4))).astype(np.uint8)
    path = tmp_path / "data.npz"
    np.savez(path, train=images[:40], test=images[40:])
    return path
