"""The usual pattern of reconstruction errors: exact lengths, and what a detector sees by it that the norm of an error does not show."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import interpolate

from separatrix import TypicalityDetector
from separatrix.field import LatentField
from separatrix.numerics._metrics import auroc
from separatrix.ood import ReconstructionDetector
from separatrix.ood._residual_pca import evenly, fit_residual_pca, flat_errors, residual_lengths


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(seed=st.integers(0, 10_000), kept=st.integers(2, 5), size=st.floats(0.01, 100.0))
def test_errors_of_known_variance_have_their_mahalanobis_length_inside_and_their_plain_length_outside(
    seed: int, kept: int, size: float
) -> None:
    """Rows of a Hadamard-like design: q orthogonal directions whose variances are known to the last bit of rounding."""
    d, n = 12, 3 * kept
    basis = torch.linalg.qr(normal(d, d, seed=seed)).Q
    lengths = size * torch.arange(kept, 0, -1, dtype=torch.float64)
    rows = torch.cat([sign * lengths[:, None] * basis[:, :kept].T for sign in (1, -1)] + [torch.zeros(kept, d)])
    centre = normal(d, seed=seed + 1)
    state = fit_residual_pca(rows.to(torch.float64) + centre)
    along, across = normal(kept, seed=seed + 2), 5.0
    error = centre + basis[:, :kept] @ along + across * basis[:, kept]
    inside, outside = residual_lengths(error[None], state)
    variances = 2 * lengths.square() / (n - 1)
    q = state["error_basis"].shape[1]
    assert q == min(kept, n // 3)
    assert inside.item() == pytest.approx(float((along.square() / variances).sum().sqrt()), rel=1e-6)
    assert outside.item() == pytest.approx(across, rel=1e-6)


def test_errors_that_are_rounding_are_not_blown_up() -> None:
    state = fit_residual_pca(1e-9 * normal(60, 8))
    inside, outside = residual_lengths(1e-9 * normal(5, 8, seed=1), state)
    assert (inside < 0.01).all()
    assert (outside < 1e-8).all()


def test_one_pixel_and_two_errors_are_enough() -> None:
    inside, outside = residual_lengths(torch.ones(3, 1, dtype=torch.float64), fit_residual_pca(normal(2, 1)))
    assert inside.tolist() == [0.0] * 3
    assert outside.isfinite().all()


def test_large_images_are_averaged_and_small_ones_and_vectors_are_left() -> None:
    x = normal(2, 3, 32, 32)
    assert torch.equal(flat_errors(x), x.flatten(1))
    assert torch.equal(flat_errors(normal(2, 7)), normal(2, 7))
    assert torch.allclose(
        flat_errors(interpolate(normal(2, 3, 64, 64), scale_factor=3)), normal(2, 3, 64, 64).flatten(1)
    )
    assert flat_errors(normal(1, 3, 130, 65)).shape == (1, 3 * 43 * 32)


@pytest.mark.parametrize(("count", "kept"), [(10, 10), (1000, 1000), (1001, 501), (4000, 1000)])
def test_the_subspace_is_fitted_on_at_most_a_thousand_spread_over_all(count: int, kept: int) -> None:
    chosen = list(range(count))[evenly(count)]
    assert len(chosen) == kept
    assert chosen[-1] >= count - 4


def first_four() -> LatentField:
    """E keeps the first four of ten numbers and D gives them back: the error is what stands in the other six."""
    return LatentField(
        lambda x: 0.5 * x[:, :4],
        lambda z: torch.cat([2 * z, torch.zeros(len(z), 6, dtype=z.dtype)], dim=1),
        latent_shape=(4,),
        dtype=torch.float64,
    )


def test_an_error_of_the_usual_size_in_an_unusual_place_is_seen() -> None:
    """ID errors lie in two of six directions; those of the other inputs are as long, and lie in the other four."""

    def inputs(place: slice, seed: int) -> Tensor:
        x = torch.zeros(600, 10, dtype=torch.float64)
        x[:, :4] = normal(600, 4, seed=seed)
        direction = normal(600, place.stop - place.start, seed=seed + 1)
        x[:, place] = direction / direction.norm(dim=1, keepdim=True) * (1 + 0.2 * normal(600, 1, seed=seed + 2).abs())
        return x

    train, test, strange = inputs(slice(4, 6), 0), inputs(slice(4, 6), 10), inputs(slice(6, 10), 20)
    norm = ReconstructionDetector(first_four()).fit(train)
    typical = TypicalityDetector(first_four(), steps=2).fit(train)
    assert 0.4 < auroc(norm.score(test), norm.score(strange)) < 0.6
    assert auroc(typical.score(test), typical.score(strange)) > 0.99


def test_too_far_counts_more_than_too_near() -> None:
    """Latents as far above the usual k-th-neighbour distance as others are below it, by their normal scores."""
    detector = TypicalityDetector(first_four(), steps=2).fit(
        torch.cat([normal(900, 4), 0.1 * normal(900, 6, seed=5)], dim=1)
    )
    far = detector.state()["far"]
    assert far.tolist() == [0.0] * (len(far) - 5) + [1.0] * 5
    with_latents_alone = TypicalityDetector(first_four(), steps=2).fit_features(normal(900, 4))
    assert float(with_latents_alone.state()["far"].sum()) == 2
    alone = TypicalityDetector(first_four(), steps=2, baselines=False).fit_features(normal(900, 4))
    assert float(alone.state()["far"].sum()) == 0
