"""The small model that the tests of detectors share."""

from __future__ import annotations

import pytest
from blobs import TanhAutoencoder

import separatrix as sx


@pytest.fixture
def wells() -> sx.LatentField:
    model = TanhAutoencoder()
    return sx.LatentField(model.encode, model.decode, latent_shape=(2,), modules=[model], name="wells")
