"""Generation loss of a published autoencoder: the numbers that are known of it, and what its page promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import separatrix as sx
from separatrix.studies import KeepLatent, Rounding

pytestmark = pytest.mark.real

KNOWN = {1: (30.0, 29.8, 31.9, 30.4), 5: (20.2, 22.0, 22.8, 22.7)}
"""PSNR in dB after so many plain round trips of the middle 128 px of four photographs, on a screen."""


@pytest.fixture(scope="module")
def photographs() -> torch.Tensor:
    data = pytest.importorskip("skimage.data")

    def middle(image: np.ndarray) -> np.ndarray:
        top, left = ((side - 128) // 2 for side in image.shape[:2])
        return image[top : top + 128, left : left + 128]

    chosen = [middle(getattr(data, name)()) for name in ("astronaut", "chelsea", "coffee", "rocket")]
    return torch.from_numpy(np.stack(chosen)).permute(0, 3, 1, 2) / 255


def test_taef2_loses_what_is_known_and_a_kept_latent_does_not(real_data, photographs):
    field = sx.load("taef2", weights=real_data / "weights/taef2")
    plain = sx.drift(field, photographs, trips=5, edits=())
    for trips, known in KNOWN.items():
        assert plain.psnr[:, trips - 1].tolist() == pytest.approx(known, abs=0.06)
    assert float(plain.contrast[:, -1].mean()) > 1.05  # it amplifies, and more with every trip
    assert plain.rates["contrast"] > 1
    rounded = sx.drift(field, photographs[:1], trips=5)
    assert float((rounded.psnr[0] - plain.psnr[0]).abs().max()) < 0.5  # rounding changes nothing visible
    kept = sx.drift(field, photographs[:1], trips=5, edits=(KeepLatent(), Rounding()))
    assert float((kept.psnr - rounded.psnr[:, :1]).abs().max()) < 0.05
