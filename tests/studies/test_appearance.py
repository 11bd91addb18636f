"""Decoded attractors that are pictures, that are noise, and that every latent gives; suspects with and without a null."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch

import separatrix as sx
from separatrix.errors import ConvergenceWarning, InputError
from separatrix.plots import contact_sheet
from separatrix.studies._probing import appearance
from separatrix.studies._probing.appearance import Seen
from separatrix.studies._resemblance_words import Outcome
from separatrix.words import percent

SIDE = 8


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradients(count: int) -> torch.Tensor:
    """Smooth images: planes in as many directions."""
    angle = torch.arange(count, dtype=torch.float64) * 6.2832 / count
    ramp = torch.linspace(-1, 1, SIDE, dtype=torch.float64)
    planes = angle.cos()[:, None, None] * ramp[None, :, None] + angle.sin()[:, None, None] * ramp[None, None, :]
    return 0.5 + 0.35 * planes.unsqueeze(1)


def memory(stored: torch.Tensor) -> sx.LatentField:
    """Latents are pixels; noise ends on one of the stored images, slowly."""
    flat = stored.flatten(1)
    centred = flat - 0.5

    def step(z: torch.Tensor) -> torch.Tensor:
        return 0.7 * z + 0.3 * torch.softmax(40 * (z @ centred.T) / centred.norm(dim=1), dim=1) @ centred

    return sx.LatentField(
        lambda x: step(x.flatten(1) - 0.5),
        lambda z: (z + 0.5).reshape(-1, 1, SIDE, SIDE),
        latent_shape=SIDE * SIDE,
        dtype=torch.float64,
        name="memory",
    )


@pytest.fixture(scope="module")
def stored():
    field = memory(gradients(6))
    return field, sx.find_attractors(field, sx.starts.gaussian(60, seed=0))


def test_stored_pictures_are_seen_and_the_noise_they_came_from_is_not(stored):
    field, limits = stored
    found = appearance(field, limits)
    assert (len(found), found.what, found.settled) == (6, "attractors", 1.0)
    assert bool(found.looks_like_an_image.all())
    assert float(found.structure.min()) > 0.7
    assert found.start_share < 0.1
    assert abs(float(found.start_structure.median())) < 0.1
    assert "6 of 6 decoded attractors look like images" in str(found.statement)
    assert str(found.statement).endswith("so the iteration leads to images.")
    assert found.statement.code is Seen.ITERATION
    assert any("Nothing is said about memorization" in reason for reason in found.cannot)
    assert found.hits.tolist() == sorted(found.hits.tolist(), reverse=True)


def test_stored_noise_does_not_look_like_images():
    field = memory(torch.rand(5, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    found = appearance(field, sx.find_attractors(field, sx.starts.gaussian(40, seed=0)))
    assert not bool(found.looks_like_an_image.any())
    assert "Nothing that looks like an image is stored" in str(found.statement)


def test_a_decoder_that_smooths_everything_gets_the_credit():
    basis = gradients(4).flatten(1) - 0.5
    field = sx.LatentField(
        lambda x: torch.tanh(3 * (x.flatten(1) - 0.5) @ torch.linalg.pinv(basis)),
        lambda z: (z @ basis + 0.5).reshape(-1, 1, SIDE, SIDE),
        latent_shape=4,
        dtype=torch.float64,
    )
    found = appearance(field, sx.find_attractors(field, sx.starts.gaussian(30, seed=0)))
    assert found.start_share == 1.0
    assert "the decoder's doing" in str(found.statement)
    assert found.statement.code is Seen.DECODER


def test_suspects_get_the_verdict_of_the_resemblance_study(stored):
    field, limits = stored
    fresh = torch.rand(300, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = appearance(field, limits, suspects=gradients(6), held_out=fresh)
    assert found.resemblance is not None
    assert found.resemblance.outcome is Outcome.EVIDENCE
    assert any("resemblance to a suspect is one of pixels" in reason for reason in found.cannot)
    alone = appearance(field, limits, suspects=gradients(6))
    assert any("About the suspects: Cannot say" in reason for reason in alone.cannot)


def test_suspects_are_called_at_the_level_and_by_the_distance_that_were_asked_for(stored):
    field, limits = stored
    fresh = torch.rand(12, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    strict = appearance(
        field, limits, suspects=gradients(6), held_out=fresh, alpha=0.05, distance="euclidean"
    ).resemblance
    lax = appearance(field, limits, suspects=gradients(6), held_out=fresh, alpha=0.2).resemblance
    # Six p-values of 1/13 have q = 1/13: between the two levels.
    assert (strict.alpha, strict.outcome, strict.distance) == (0.05, Outcome.CANNOT_SAY, "euclidean")
    assert (lax.alpha, lax.outcome, lax.distance) == (0.2, Outcome.EVIDENCE, "cosine")


def test_nobody_says_that_a_suspect_was_trained_on(stored):
    field, limits = stored
    fresh = torch.rand(300, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    strangers = torch.rand(20, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    for suspects, held_out in (
        (gradients(6), fresh),
        (strangers, fresh),
        (gradients(6), None),
        (gradients(6), fresh[:3]),
    ):
        found = appearance(field, limits, suspects=suspects, held_out=held_out).resemblance
        words = " ".join((str(found.statement), *found.would_change)).lower()
        assert "training image" not in words
        assert "suspected image" in str(found.statement) + " ".join(found.would_change)


def test_orbits_that_do_not_settle_show_their_end_points_and_this_is_said():
    turn = torch.linalg.qr(gaussian(16, 16)).Q  # a rotation: every orbit moves for ever
    field = sx.LatentField(
        lambda x: x.flatten(1) @ turn, lambda z: z.reshape(-1, 1, 4, 4), latent_shape=16, dtype=torch.float64
    )
    starts = sx.starts.gaussian(12, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        orbits = sx.iterate(field, starts, sx.Protocol(max_steps=20))
    found = appearance(field, orbits, starts=starts)
    assert (found.what, len(found)) == ("end points", 12)
    assert any("not attractors" in reason for reason in found.cannot)
    with pytest.raises(InputError, match="search with find_attractors"):
        appearance(field, orbits, starts=starts, suspects=gradients(3))


def test_the_sheet_frames_what_was_found(stored):
    field, limits = stored
    fresh = torch.rand(300, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    plain = contact_sheet(appearance(field, limits))
    gids = [artist.get_gid() for artist in plain.findobj() if artist.get_gid()]
    assert sum(gid.startswith("image:") for gid in gids) == 6
    suspected = contact_sheet(appearance(field, limits, suspects=gradients(6), held_out=fresh))
    gids = [artist.get_gid() for artist in suspected.findobj() if artist.get_gid()]
    assert sum(gid.startswith("suspect:") for gid in gids) == 6


def test_the_sheet_states_shares_of_all_starts(stored):
    field, limits = stored
    found = appearance(field, limits)
    half = replace(found, settled=found.settled / 2)  # as many starts again reached nothing
    for seen, share in ((found, 1.0), (half, 0.5)):
        (axes,) = contact_sheet(seen).axes
        first = share * found.settled * int(found.hits[0]) / int(found.hits.sum())
        assert axes.texts[0].get_text() == percent(first)
    assert contact_sheet(found, starts=10**6).axes[0].texts[0].get_text() == percent(int(found.hits[0]) / 10**6)


def test_bad_input_is_refused_with_the_remedy(stored):
    field, limits = stored
    with pytest.raises(InputError, match="give suspects too"):
        appearance(field, limits, held_out=gradients(3))
    flat = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), 2, dtype=torch.float64)
    with pytest.raises(InputError, match="no images"):
        appearance(flat, sx.find_attractors(flat, sx.starts.gaussian(8)))
