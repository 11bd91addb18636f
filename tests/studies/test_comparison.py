"""Two models whose relation is known: one is the other in disguise, or has nothing to do with it."""

from __future__ import annotations

import math

import pytest
import torch

import separatrix as sx
from separatrix import LatentField, compare
from separatrix.errors import InputError
from separatrix.studies._comparison.result import BasinAgreement

GAIN = 2.0


def data(count=160):
    """Images 1×2×2 in four heaps, at the corners of a square in their first two pixels."""
    g = torch.Generator().manual_seed(0)
    x = torch.zeros(count, 4)
    x[:, :2] = torch.rand(count, 2, generator=g) * 3.6 - 1.8
    return x.reshape(count, 1, 2, 2)


def wells(turn=0.0, *, scale=1.0, shift=0.0, gains=(GAIN, GAIN), extra=0, swap=False):
    """E and D of tanh wells in the first two pixels, in latent coordinates that are turned, scaled and shifted.

    ``extra`` unused latent coordinates are added; ``swap`` makes basins of other pixels than the first two.
    """
    c, s = math.cos(turn), math.sin(turn)
    rotation = torch.tensor([[c, -s], [s, c]])
    gain = torch.tensor(gains)

    def encode(x):
        flat = x.flatten(1)
        pixels = torch.stack([flat[:, 0] * flat[:, 1], flat[:, 0] + 0.3], dim=1) if swap else flat[:, :2]
        z = scale * torch.tanh(gain * pixels) @ rotation + shift
        return torch.cat([z, torch.zeros(len(z), extra)], dim=1)

    def decode(z):
        pixels = (z[:, :2] - shift) / scale @ rotation.T
        return torch.cat([pixels, torch.zeros(len(z), 2)], dim=1).reshape(-1, 1, 2, 2)

    return LatentField(encode, decode, latent_shape=2 + extra, name="wells")


def test_a_model_in_other_coordinates_is_the_same_model():
    a, b = wells(), wells(0.7, scale=3.0, shift=5.0, extra=1)
    found = compare(a, b, sx.starts.encoded(data()))
    assert (found.ami, found.ari, found.rerun) == (1.0, 1.0, 1.0)
    assert found.p_value == 1 / 200
    assert found.counted == found.starts == 160
    assert sorted(found.partner.tolist()) == [0, 1, 2, 3]
    assert found.similarity.tolist() == [1.0] * 4
    assert set(found.views) == {"procrustes", "relative", "decoded"}, "latents of 2 and 3 numbers have no distance"
    for view in found.views.values():
        assert view.matched == 4
        assert view.partner.tolist() == found.partner.tolist()
        assert float(view.distance.max()) < 1e-4
        assert view.p_value == 1 / 200
        assert view.null_mean > view.null_low > 0.02
    assert found.views["procrustes"].fit == pytest.approx(1.0, abs=1e-6)
    assert math.isnan(found.views["decoded"].fit)
    back = compare(b, a, sx.starts.encoded(data()), rerun=False)
    assert back.ami == found.ami
    assert math.isnan(back.rerun)
    assert math.isnan(back.ceiling)


def test_coordinates_that_were_only_turned_are_told_from_the_same_ones():
    a, turned = wells(), wells(math.pi / 4)
    found = compare(a, turned, sx.starts.encoded(data()), rerun=False, threshold=0.05)
    assert found.ami == 1.0
    assert found.views["latent"].matched == 0
    assert found.views["procrustes"].matched == 4


def test_one_basin_merged_and_the_numbers_between():
    a, b = wells(), wells(gains=(GAIN, 0.5))
    found = compare(a, b, sx.starts.encoded(data()))
    assert 0.3 < found.ami < 0.8
    assert found.ami > found.null_high
    assert len(found.limits_a) == 4
    assert len(found.limits_b) == 2
    assert int((found.partner >= 0).sum()) == 2
    assert sorted(value for value in found.similarity.tolist() if value == value)[0] == pytest.approx(0.5, abs=0.12)
    assert found.views["decoded"].matched == 0
    assert int(found.views["decoded"].distance.isnan().sum()) == 2, "B has two attractors for four"


def test_reseeded_runs_are_the_ceiling():
    a, b, other = wells(), wells(0.2), wells(gains=(GAIN, 0.5))
    found = compare(a, b, sx.starts.encoded(data()), reseeded=[wells(1.0), other])
    assert found.reseeded[0] == 1.0
    assert found.reseeded[1] == pytest.approx(compare(a, other, sx.starts.encoded(data()), rerun=False).ami)
    assert found.ceiling == pytest.approx(sum(found.reseeded) / 2)
    assert "2 runs from another seed" in " ".join(found.sentences)


def test_latent_starts_compare_models_in_the_same_coordinates_only():
    found = compare(wells(), wells(gains=(3.0, 3.0)), sx.starts.gaussian(100, seed=1), rerun=False)
    assert found.ami == 1.0
    assert set(found.views) == {"latent", "decoded"}, "nothing is aligned without data"
    with_anchors = compare(wells(), wells(0.5), sx.starts.gaussian(40, seed=1), anchors=data(), rerun=False)
    assert with_anchors.views["procrustes"].matched == 4
    with pytest.raises(InputError, match="no starts in common"):
        compare(wells(), wells(extra=2), sx.starts.gaussian(10))
    with pytest.raises(InputError, match="threshold must be positive"):
        compare(wells(), wells(), sx.starts.gaussian(10), threshold=0)


def test_what_cannot_be_said_is_said():
    single = wells(gains=(0.5, 0.5))
    found = compare(single, wells(0.3, gains=(0.4, 0.4)), sx.starts.encoded(data(12)))
    assert math.isnan(found.ami)
    text = " ".join(found.sentences)
    assert found.statement.code is BasinAgreement.CANNOT_SAY
    assert text.count("Trivial: one point") == 2
    drift = LatentField(lambda x: x.flatten(1)[:, :2] + 1, wells()._decode, latent_shape=2)
    lost = compare(wells(), drift, sx.starts.encoded(data(12)), rerun=False)
    assert lost.counted == 0
    assert "100 % of the starts reached no attractor" in " ".join(lost.sentences)
    assert all(math.isnan(view.mean_distance) for view in lost.views.values())
    few = compare(wells(), wells(), sx.starts.encoded(data(6)), rerun=False)
    assert any("too few to be trusted" in note for note in few.notes)


def test_a_comparison_is_saved_and_speaks_json(tmp_path):
    found = compare(wells(), wells(0.4), sx.starts.encoded(data(60)), rerun=False)
    sx.save_result(found, tmp_path / "found")
    loaded = sx.load_result(tmp_path / "found")
    assert isinstance(loaded, sx.studies.Comparison)
    assert loaded.to_dict() == found.to_dict()
    assert loaded.sentences == found.sentences
    assert found.to_dict()["rerun"] is None
    assert repr(loaded) == "Comparison(4 and 4 attractors; basins agree with ami 1.000)"
