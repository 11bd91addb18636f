"""Generation loss against models whose loss is known exactly."""

from __future__ import annotations

import math

import pytest
import torch
from drift_fields import DOUBLE, SIDE, cosines, diagonal, drifted, from_cosines, maps, pictures

import separatrix as sx
from separatrix.errors import DataWarning, InputError
from separatrix.studies import (
    JPEG,
    KeepLatent,
    LatentNoise,
    PasteBack,
    Rot,
    Rounding,
    Shift,
    Tiles,
)
from separatrix.studies._drift.linearised import linearised
from separatrix.studies._drift.loss import BANDS, PARTS, Originals, band_mask
from separatrix.studies._drift.patterns import drift_patterns
from separatrix.studies._drift.quality import Windowed


def test_an_orthogonal_projection_loses_once():
    keep = torch.zeros(SIDE, SIDE, **DOUBLE)
    keep[:7, :7] = 1
    found = drifted(maps(lambda x: from_cosines(keep * cosines(x))), pictures())
    assert (found.psnr[:, 0] < 90).all()
    assert torch.allclose(found.psnr, found.psnr[:, :1].expand_as(found.psnr), atol=1e-6)
    assert (found.step_psnr[:, 1:] == 100).all()
    assert found.idempotence_gap < 1e-4
    assert found.half_life == math.inf
    assert found.statement.code is Rot.ONCE


def test_a_diagonal_map_has_the_exact_rate_of_each_band():
    gains, x = [0.99, 0.95, 0.8, 0.5], pictures()
    found = drifted(diagonal(gains), x, trips=6)
    assert list(found.gain_rates) == list(BANDS)
    assert list(found.gain_rates.values()) == pytest.approx(gains, abs=1e-9)
    energy = cosines(x).square()
    whole = sum(
        (1 - gain**6) ** 2 * energy[..., band_mask(band, SIDE, SIDE)].sum(dim=(1, 2)) for band, gain in enumerate(gains)
    )
    assert torch.allclose(found.squared_error[:, -1], whole / x[0].numel(), rtol=1e-9)
    # In grey pictures nothing else is lost: neither brightness nor colour, and nothing is new.
    grey = drifted(diagonal(gains), x[:, :1].expand(-1, 3, -1, -1).contiguous(), trips=6)
    parts = dict(zip(PARTS, grey.parts[:, -1].mean(dim=0).tolist(), strict=True))
    assert max(parts["brightness"], parts["colour"], parts["new structure"]) < 1e-20
    assert parts["detail under 4 px"] > 0


@pytest.mark.parametrize("channels", [1, 3])
def test_the_parts_add_up_to_the_squared_error(channels):
    x = pictures(8, channels)
    y = pictures(8, channels, seed=1) * 1.3 - 0.2
    found = Originals(x).loss(y)
    whole = (y - x).square().flatten(1).mean(dim=1)
    assert torch.allclose(found.parts.sum(dim=1), whole, rtol=1e-10, atol=0)
    assert torch.allclose(found.new.sum(dim=1), found.parts[:, -1], rtol=1e-10, atol=0)
    assert (found.parts >= 0).all()


def test_parts_of_pictures_without_anything_in_them_add_up_too():
    flat = torch.full((2, 3, 9, 12), 0.4, **DOUBLE)
    noisy = flat + 0.1 * torch.randn(2, 3, 9, 12, generator=torch.Generator().manual_seed(0), **DOUBLE)
    found = Originals(flat).loss(noisy)
    assert torch.allclose(found.parts.sum(dim=1), (noisy - flat).square().flatten(1).mean(dim=1), rtol=1e-10)
    assert found.gains.isnan().all()
    assert found.contrast.isnan().all()


def test_contraction_to_the_mean_image_takes_one_trip():
    x = pictures()
    mean = x.mean(dim=0, keepdim=True)
    found = drifted(maps(lambda z: mean.expand_as(z)), x)
    expected = (x - mean).square().flatten(1).mean(dim=1)
    assert torch.allclose(found.squared_error, expected[:, None].expand(-1, 5), rtol=1e-9)
    assert (found.step_psnr[:, 1:] == 100).all()


def test_contrast_and_brightness_are_told_apart():
    found = drifted(maps(lambda x: 0.5 + 1.1 * (x - 0.5) + 0.01), pictures(), trips=2)
    parts = found.parts[:, -1].mean(dim=0)
    brightness = 0.01 + 1.1 * 0.01
    assert found.brightness[:, -1].tolist() == pytest.approx([brightness] * 6)
    assert found.contrast[:, -1].tolist() == pytest.approx([1.21] * 6)
    assert float(parts[0]) == pytest.approx(brightness**2)
    assert float(parts[3:].sum()) < 1e-20
    assert found.statement.code is Rot.AMPLIFIES
    assert found.rates["contrast"] > 1


def test_a_colour_matrix_that_keeps_grey_changes_colour_alone():
    matrix = torch.eye(3, **DOUBLE) * 0.7 + 0.1
    x = pictures()
    found = drifted(maps(lambda z: torch.einsum("dc,nchw->ndhw", matrix, z)), x, trips=4)
    chroma = (x - x.mean(dim=1, keepdim=True)).square().flatten(1).mean(dim=1)
    assert torch.allclose(found.parts[:, -1, PARTS.index("colour")], (1 - 0.7**4) ** 2 * chroma, rtol=1e-9)
    assert torch.allclose(found.squared_error, found.parts[:, :, PARTS.index("colour")], rtol=1e-9)


def test_a_pure_shift_comes_back_and_keeps_every_power():
    found = drifted(maps(lambda x: x.roll(8, dims=-1)), pictures(), trips=4)
    assert (found.psnr[:, 3] == 100).all()
    assert (found.psnr[:, :3] < 60).all()
    assert found.contrast.flatten().tolist() == pytest.approx([1.0] * 24)
    assert found.brightness.abs().max() < 1e-12


def test_a_decoder_that_clips_loses_once_what_lies_outside():
    x = pictures()
    found = drifted(maps(lambda z: z.clamp(0.4, 0.6)), x)
    assert torch.allclose(found.squared_error[:, 0], (x.clamp(0.4, 0.6) - x).square().flatten(1).mean(dim=1))
    assert (found.step_psnr[:, 1:] == 100).all()


def test_a_rounded_latent_ends_in_a_cycle():
    # x → round(4 x)/4 and then .25 up, wrapping at 1: every picture of quarters has period 4.
    field = maps(lambda x: ((4 * x).round() % 4 / 4 + 0.25) % 1)
    found = drifted(field, pictures(), trips=9)
    assert torch.allclose(found.psnr[:, 0], found.psnr[:, 4], atol=1e-9)
    assert torch.allclose(found.psnr[:, 4], found.psnr[:, 8], atol=1e-9)
    assert (found.step_psnr < 60).all()


def test_what_is_pasted_back_is_not_lost():
    field, x = diagonal([0.9] * 4), pictures()
    plain = drifted(field, x)
    everything = drifted(field, x, edits=(PasteBack(torch.ones(SIDE, SIDE)),))
    assert float(everything.squared_error.max()) == 0
    nothing = drifted(field, x, edits=(PasteBack(torch.zeros(SIDE, SIDE)),))
    assert torch.equal(nothing.psnr, plain.psnr)
    middle = drifted(field, x, edits=(PasteBack(),))
    half = SIDE // 4
    outside = torch.ones(SIDE, SIDE, dtype=torch.bool)
    outside[half:-half, half:-half] = False
    assert float(middle.where[:, outside].max()) == 0
    assert float(middle.where[:, ~outside].min()) > 0
    with pytest.raises(InputError, match="A mask for these pictures is 32×32"):
        drifted(field, x, edits=(PasteBack(torch.ones(8, 8)),))


def test_a_kept_latent_costs_one_trip_however_many_there_are():
    field, x = diagonal([0.9] * 4), pictures()
    kept = drifted(field, x, edits=(KeepLatent(),), trips=10)
    assert torch.equal(kept.psnr, drifted(field, x, trips=1).psnr.expand(-1, 10))
    assert kept.cost.map == 6 * 11 / 2
    noisy = drifted(field, x, edits=(KeepLatent(), LatentNoise(0.1)), trips=10)
    assert (noisy.psnr[:, 1:] < noisy.psnr[:, :-1]).all()


def test_noise_on_the_latent_has_the_strength_that_was_asked_for():
    x = pictures(4)
    found = drifted(maps(lambda z: z), x, trips=2, edits=(LatentNoise(0.2),))
    expected = 0.04 * x.flatten(1).var(dim=1, correction=0)
    assert torch.allclose(found.squared_error[:, 0], expected, rtol=0.1)
    assert torch.allclose(found.squared_error[:, 1], 2.04 * expected, rtol=0.1)


def test_shifts_break_the_grid_and_nothing_else():
    x = pictures()
    assert (drifted(diagonal([1.0] * 4), x, edits=(Shift(3),)).psnr > 99).all()
    grid = torch.ones(SIDE, SIDE, **DOUBLE)
    grid[::8] = 0.9  # every eighth row is darkened, wherever the picture lies
    field = maps(lambda z: grid * z)
    rows = drifted(field, x, trips=8, edits=(Shift(1),)).where[1].mean(dim=1)
    assert float(rows.max() / rows.min()) < 2
    assert float(drifted(field, x, trips=8).where[1].mean(dim=1).min()) == 0


def test_tiles_of_a_pointwise_model_make_no_difference():
    x = pictures()
    field = maps(lambda z: 0.9 * z)
    plain = drifted(field, x)
    for tiles in (Tiles(16), Tiles(20, overlap=5), Tiles(SIDE)):
        assert torch.allclose(drifted(field, x, edits=(tiles,)).psnr, plain.psnr, atol=1e-9)
    assert drifted(field, x, edits=(Tiles(16),)).cost.map == 4 * plain.cost.map
    with pytest.raises(InputError, match="smaller than tiles"):
        drifted(field, x, edits=(Tiles(64),))


def test_eight_bits_and_jpeg():
    x = pictures()
    same = maps(lambda z: z)
    rounded = drifted(same, x, edits=(Rounding(),))
    assert torch.allclose(rounded.psnr, rounded.psnr[:, :1].expand(-1, 5))
    assert 57 < float(rounded.psnr.min()) <= float(rounded.psnr.max()) < 61  # 10 log₁₀(12·255²) = 58.9
    jpeg = [drifted(same, x, edits=(JPEG(quality),)).psnr[:, -1].mean() for quality in (30, 95)]
    assert 20 < jpeg[0] < jpeg[1] < 60
    assert drifted(maps(lambda z: z, 1), x[:, :1], edits=(JPEG(80),)).psnr.min() > 25


def test_other_values_of_black_and_white_are_the_same_picture():
    field, x = maps(lambda z: 0.9 * z), pictures() - 0.5
    here = drifted(field, x, edits=(Rounding(), JPEG(70)), values=(-0.5, 0.5))
    wide = drifted(field, 2 * x, edits=(Rounding(), JPEG(70)), values=(-1.0, 1.0))
    assert torch.allclose(here.psnr, wide.psnr)
    assert torch.equal(here.pictures, wide.pictures)
    with pytest.raises(InputError, match=r"outside of black 0 and white 1; say what is black and white with values="):
        drifted(field, 2 * x)


def test_nothing_depends_on_how_pictures_fall_into_batches(monkeypatch):
    x = pictures()
    options = {"edits": (Shift(2), LatentNoise(0.1), Rounding()), "seed": 3}
    whole = drifted(diagonal([0.9] * 4), x, **options)
    monkeypatch.setattr("separatrix.studies._drift.trips._VALUES_AT_ONCE", 2 * x[0].numel())
    parts = drifted(diagonal([0.9] * 4), x, **options)
    assert torch.allclose(whole.psnr, parts.psnr, atol=1e-9)
    assert torch.allclose(whole.where, parts.where)
    assert torch.equal(whole.pictures, parts.pictures)
    assert whole.pictures.shape == (3, 6, 3, SIDE, SIDE)


@pytest.mark.parametrize(("channels", "height", "width"), [(3, 32, 32), (1, 11, 40), (3, 24, 17)])
def test_ssim_is_that_of_scikit_image(channels, height, width):
    metrics = pytest.importorskip("skimage.metrics")
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 2, channels, height, width, generator=generator, dtype=torch.float64)
    b = 0.7 * a + 0.3 * b
    found = Windowed(a).ssim(Windowed(b), (0.0, 2.0))
    expected = [
        metrics.structural_similarity(
            one.numpy(), other.numpy(), data_range=2, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for one, other in zip(a, b, strict=True)
    ]  # fmt: skip
    assert found.tolist() == pytest.approx(expected, abs=1e-12)
    assert Windowed(a).ssim(Windowed(a)).tolist() == pytest.approx([1.0, 1.0], abs=1e-12)


def test_ssim_is_against_the_original_and_against_the_trip_before():
    x = pictures(2)
    found = drifted(maps(lambda z: 0.8 * z), x, trips=2)
    assert torch.allclose(found.ssim[:, 1], Windowed(0.64 * x).ssim(Windowed(x)))
    assert torch.allclose(found.step_ssim[:, 1], Windowed(0.64 * x).ssim(Windowed(0.8 * x)))
    small = drifted(maps(lambda z: z, side=8), pictures(side=8), trips=1)
    assert small.ssim.isnan().all()
    assert "below 11 px" in small.notes[0]


@pytest.mark.parametrize(
    ("images", "options", "words"),
    [
        (torch.zeros(2, 5), {}, "pictures n×1×h×w or n×3×h×w"),
        (torch.zeros(2, 4, 32, 32), {}, "not on data of shape 2×4×32×32"),
        (torch.full((2, 3, 32, 32), float("nan")), {}, "every value of a picture finite"),
        (pictures(), {"trips": 0}, "at least one trip"),
        (pictures(), {"bar": math.nan}, "bar must be a number, not nan"),
        (pictures(), {"bar": 120.0}, "A bar lies above 0 and at 100 dB"),
        (pictures(side=16), {}, "shape 3×16×16"),
        (pictures(), {"edits": (KeepLatent(), Shift(1))}, "never encodes the picture again"),
        (pictures(), {"edits": (Tiles(8), Tiles(16))}, "give Tiles once"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(images, options, words):
    keep = torch.ones(SIDE, SIDE, **DOUBLE)
    with pytest.raises(InputError, match=words):
        drifted(maps(lambda x: keep * x), images, **options)
    with pytest.raises(InputError, match="quality of a JPEG"):
        JPEG(0)


def test_pictures_that_overflow_are_lost_and_nothing_breaks():
    for blows_up in (lambda x: x * 1e200, lambda x: x * 1e200 - x * 1e200):
        found = drifted(maps(blows_up), pictures(), trips=3)
        assert found.psnr.isfinite().all()
        assert found.safe.trips == 0
        assert found.to_dict()["rows"][-1]["psnr"] < 10


def test_copies_are_no_further_evidence():
    """Two pictures fifty times each are two pictures: a hundred would promise what two cannot."""
    x = pictures()[:2]
    once, often = (drifted(diagonal([0.9] * 4), given, trips=3) for given in (x, x.repeat(50, 1, 1, 1)))
    assert often.names == once.names
    assert torch.equal(often.psnr, once.psnr)
    assert often.badge == once.badge
    assert often.safe == once.safe
    assert often.notes == ("98 pictures of 100 equal others before them and were left out.", *once.notes)
    assert not any("left out" in note for note in once.notes)


@pytest.mark.parametrize("edits", [(), (Rounding(),), (KeepLatent(), JPEG(90)), (Tiles(16), Rounding())])
def test_nan_is_told_and_not_taken_for_a_black_picture(edits):
    """What a decoder breaks is stored as black: nothing in the numbers tells that from a model that fades."""
    x = pictures()
    breaks = maps(lambda z: torch.where(z.amax(dim=(1, 2, 3), keepdim=True) > 0.749, torch.nan, 0.9 * z + 0.05))
    found = drifted(breaks, x, trips=3, edits=edits, shown=1)
    broken = tuple(str(row) for row in (x.amax(dim=(1, 2, 3)) > 0.749).nonzero().flatten().tolist())
    assert found.broken == broken
    assert 0 < len(broken) < len(x)
    assert f"{len(broken)} pictures came back with NaN or infinity" in found.statement.detail
    assert found.first(int(broken[0])).broken == ()
    sound = drifted(maps(lambda z: 0.9 * z + 0.05), x, edits=edits)
    assert sound.broken == ()
    assert "NaN" not in str(sound.statement)


def test_one_trip_tells_nothing_of_the_trips_after_it():
    """A model that fades was said to lose only once, and to need no remedy."""
    found = drifted(diagonal([0.9] * 4), pictures(), trips=1, edits=(Rounding(),))
    assert found.statement.code is Rot.ONE_TRIP
    assert "takes two or more" in found.statement.detail
    assert "does not double" not in found.statement.detail
    assert drifted(diagonal([0.9] * 4), pictures(), trips=2).statement.code is not Rot.ONE_TRIP


@pytest.mark.parametrize(
    ("scaled", "values", "words"),
    [
        (lambda x: x / 255, (0.0, 1.0), "no value above 0.0029.*, where 1 is white"),
        (lambda x: x, (-1.0, 1.0), "no value below 0.5.*, where -1 is black"),
        (lambda x: x * 255 / 65535, (0.0, 1.0), "where 1 is white"),
    ],
)
def test_pictures_that_were_scaled_otherwise_are_not_safe_in_silence(scaled, values, words):
    """Divided by 255 twice, every loss is below what anybody sees: 20 edits at 30 dB were promised."""
    x = pictures().clamp(min=0.5) if values[0] < 0 else pictures()
    with pytest.warns(DataWarning, match=words):
        drifted(diagonal([0.9] * 4), scaled(x), values=values)


@pytest.mark.filterwarnings("error")
def test_dark_and_flat_pictures_as_they_are_raise_no_alarm():
    flat = torch.full((2, 3, SIDE, SIDE), 0.02, **DOUBLE)
    for x, values in ((pictures(), (0.0, 1.0)), (2 * pictures() - 1, (-1.0, 1.0)), (flat, (0.0, 1.0))):
        drifted(maps(lambda z: z), x, trips=1, values=values)


def test_two_masks_of_one_name_are_two_edits():
    """A run with another mask in the same file was answered from the stored one."""
    one, other = (PasteBack(torch.eye(SIDE) * share, name="mask.png") for share in (1, 0.5))
    assert one.words != other.words
    assert one.words == PasteBack(torch.eye(SIDE, **DOUBLE), name="mask.png").words
    assert PasteBack().words == "pasted back outside the middle quarter"


def test_half_precision_is_not_broken_by_what_files_do():
    """2^16 levels are infinite in half precision, and white pictures were said to come back with infinity."""
    x = pictures().clamp(0.4, 0.6).sub(0.4).mul(5)
    same = sx.LatentField.from_map(lambda z: z * 1.0, (3, SIDE, SIDE), dtype=torch.float16)
    for bits in (8, 16):
        found = sx.drift(same, x.half(), trips=3, edits=(Rounding(bits),))
        assert found.broken == ()
        assert float(found.psnr.min()) > 55


def test_flat_pictures_have_no_contrast_that_stays():
    flat = torch.linspace(0.3, 0.7, 4, **DOUBLE)[:, None, None, None].expand(4, 3, SIDE, SIDE).contiguous()
    found = drifted(maps(lambda z: 0.9 * z), flat, trips=3)
    assert "Contrast stays" not in found.statement.detail
    assert "no contrast to be followed" in found.statement.detail


def test_where_a_trip_gives_nan_no_pattern_fades(tmp_path):
    """The derivative of NaN is 0 to autograd: every faint disturbance was said to fade, and half of the predictions to hold."""
    x = pictures(3, channels=1, side=12)
    x[1] += 0.2
    breaks = maps(
        lambda z: torch.where(z.amax(dim=(1, 2, 3), keepdim=True) > 0.8, torch.nan, 0.9 * z - 0.1 * z.square()),
        1,
        side=12,
    )
    for study in (lambda: drift_patterns(breaks, x, count=1), lambda: linearised(breaks, x, trips=2)):
        with pytest.raises(InputError, match=r"makes NaN or infinity of .* has no derivative"):
            study()
    found = sx.runs.drift(breaks, x, trips=2, patterns=3, remedies=False, figures=False, out=tmp_path / "run")
    assert found.drift.broken == ("1",)
    assert len(found.results.patterns) == len(found.results.linearised) == 2
    with pytest.raises(InputError, match=r"bits must be a whole number, not 8\.5"):
        Rounding(8.5)
