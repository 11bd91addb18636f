"""A map on which starts have every fate, and how many of its 28 starts have which: each count is exact.

A latent is (c, x, y, s); the whole number nearest to c chooses the law of the others, and c itself goes to it.
"""

import numpy as np
import torch

import separatrix as sx
from separatrix.orbits import Fates

LAWS = {"attractor": 8, "saddle": 5, "curve": 6, "moving": 4, "diverged": 3, "nonfinite": 2}
FATES = Fates(attractor=8 + 6, saddle=5, moving=4, diverged=3, nonfinite=2)
MAX_STEPS = 1200
_ANGLE = torch.pi * (5**0.5 - 1)


def step(z: torch.Tensor) -> torch.Tensor:
    """One step of the law that each latent is under."""
    c, x, y, s = z.unbind(1)
    law = c.round()
    radius2 = x * x + y * y
    cosine, sine = np.cos(_ANGLE), np.sin(_ANGLE)
    grown = 1 + 0.2 * (1 - radius2)
    after = (
        (0.5 * x, 0.5 * y),  # a sink at 0
        (torch.tanh(2 * x), 0.5 * y),  # a saddle at 0, and all starts are on its stable manifold
        (grown * (cosine * x - sine * y), grown * (sine * x + cosine * y)),  # an attracting circle
        (1 - 1.4 * x * x + y, 0.3 * x),  # the chaos of Hénon
        (2 * x, y),
        (torch.where(law == 5, x, 1.0).log(), y),  # NaN as soon as x is negative, and in no gradient of the other laws
    )
    for number, (new_x, new_y) in enumerate(after):
        x, y = torch.where(law == number, new_x, x), torch.where(law == number, new_y, y)
    return torch.stack([law + 0.5 * (c - law), x, y, 0.5 * s], dim=1)


def make() -> sx.LatentField:
    """The map as an autoencoder of images 1×2×2 whose pixels, from 0 to 1, stand for latents from −10 to 10."""
    return sx.LatentField(
        lambda images: step(20 * images.flatten(1) - 10),
        lambda z: ((z + 10) / 20).reshape(-1, 1, 2, 2),
        latent_shape=4,
        dtype=torch.float64,
        name="every fate",
    )


def images() -> np.ndarray:
    """``(28, 1, 2, 2)``: the starts, law by law."""
    draws = np.random.default_rng(0).uniform(0.3, 0.9, size=(sum(LAWS.values()), 4))
    draws[:, 0] = np.repeat(np.arange(len(LAWS)), list(LAWS.values()))
    named = np.repeat(list(LAWS), list(LAWS.values()))
    draws[named == "saddle", 1] = 0
    draws[named == "moving", 1:3] *= 0.3
    return ((draws + 10) / 20).reshape(-1, 1, 2, 2)
