"""Probes of a published VAE: what reproduce/probing.py reports in small, with the controls in their order."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

import separatrix as sx
from separatrix.errors import ConvergenceWarning
from separatrix.studies._probing import Conclusion, Role, appearance
from separatrix.studies._probing.compare import Standing

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def searched(real_data: Path):
    field = sx.load("burgess/betaB_mnist", weights=real_data / "weights/burgess_vae/betaB_mnist.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return field, sx.find_attractors(field, sx.starts.gaussian(10, seed=0))


def test_the_papers_comparison_is_won_and_one_step_wins_it_too(searched, real_data):
    field, limits = searched
    images = sx.data.load_images(real_data / "data/mnist.npz", key="x_test", limit=200, size=(32, 32))
    found = sx.probe(field, limits, images)
    assert found.against(Role.ORTHONORMAL, "latent").standing is Standing.BETTER
    assert found.against(Role.ORTHONORMAL, "image").standing is Standing.BETTER
    assert found.against(Role.ONCE, "latent").standing is Standing.WORSE
    assert found.conclusions == {"latent": Conclusion.ONE_STEP, "image": Conclusion.ONE_STEP}
    # An untrained copy takes everything to one point, and PCA of ten dimensions is nearly complete with eight atoms.
    untrained = next(known for known in found.dictionaries if known.role is Role.UNTRAINED)
    assert untrained.geometry.distinct == 1
    assert float(found.relative(Role.UNTRAINED).min()) > 0.8
    assert float(found.relative(Role.PCA)[-1]) < 0.01
    # No code of few atoms leads below the model's own reconstruction by more than chance.
    assert float(found.mse(Role.REAL, "image").min()) > 0.9 * float(found.floor.mean())


def test_its_decoder_makes_digits_of_noise_too(searched):
    field, limits = searched
    found = appearance(field, limits)
    assert found.start_share == 1.0
    assert bool(found.looks_like_an_image.all())
    assert "the decoder's doing" in str(found.statement)
    assert torch.isfinite(found.structure).all()
