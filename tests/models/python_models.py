"""Autoencoders of twelve numbers and three latents whose methods return the records that libraries return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class Record:
    latents: Any = None
    sample: Any = None
    logits: Any = None
    latent_dist: Any = None


class Posterior:
    """As diffusers' DiagonalGaussianDistribution: ``sample`` is a method here, ``mean`` a tensor."""

    def __init__(self, mean: Tensor) -> None:
        self.mean = mean

    def mode(self) -> Tensor:
        return self.mean

    def sample(self) -> Tensor:
        return self.mean + torch.randn_like(self.mean)


class Autoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.down = nn.Sequential(nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 3))
            self.up = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 12))

    def encode(self, x: Tensor) -> Any:
        return self.down(x)

    def decode(self, z: Tensor) -> Any:
        return self.up(z)


class with_latent_dist(Autoencoder):
    def encode(self, x: Tensor) -> Any:
        return Record(latent_dist=Posterior(self.down(x)))

    def decode(self, z: Tensor) -> Any:
        return Record(sample=self.up(z))


class with_distribution(Autoencoder):
    def encode(self, x: Tensor) -> Any:
        return torch.distributions.Normal(self.down(x), 1.0, validate_args=False)


class with_tuple(Autoencoder):
    def encode(self, x: Tensor) -> Any:
        mean = self.down(x)
        return mean, mean.exp()

    def decode(self, z: Tensor) -> Any:
        return (self.up(z),)


class with_records(Autoencoder):
    def encode(self, x: Tensor) -> Any:
        return Record(latents=self.down(x))

    def decode(self, z: Tensor) -> Any:
        return Record(sample=self.up(z))


class with_logits(Autoencoder):
    def decode(self, z: Tensor) -> Any:
        return Record(logits=self.up(z))


def self_map(z: Tensor) -> Tensor:
    return torch.tanh(2 * z)
