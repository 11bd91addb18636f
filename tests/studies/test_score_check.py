"""Fields whose direction is known: the best denoiser of a mixture climbs its density, a rotation does not, and the null is calibrated."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from separatrix import LatentField, load_result, save_result, score_check, starts
from separatrix.errors import InputError
from separatrix.studies import Uphill
from separatrix.studies import _score_check as module

CENTRES = torch.tensor([[-2.0, 0.0], [2.0, 0.0], [0.0, 2.5]], dtype=torch.float64)
WIDTH, NOISE = 0.5, 0.5  # of each heap, and of the noise that the denoiser takes away


def field_of(function: object, dim: int = 2) -> LatentField:
    return LatentField.from_map(function, latent_shape=(dim,), dtype=torch.float64)


def mixture(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    which = torch.randint(3, (count,), generator=generator)
    return CENTRES[which] + WIDTH * torch.randn(count, 2, generator=generator, dtype=torch.float64)


def score(z: Tensor) -> Tensor:
    """∇ log of the density of the mixture seen through the noise."""
    variance = WIDTH**2 + NOISE**2
    weights = (torch.cdist(z, CENTRES).square() / (-2 * variance)).softmax(dim=1)
    return (weights @ CENTRES - z) / variance


def denoised(z: Tensor) -> Tensor:
    """E[x | z], by Tweedie's formula."""
    return z + NOISE**2 * score(z)


def turned(angle: float) -> LatentField:
    """The denoiser's velocities, all turned."""
    c, s = math.cos(angle), math.sin(angle)
    matrix = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    return field_of(lambda z: z + (denoised(z) - z) @ matrix.T)


def test_the_best_denoiser_climbs_the_density() -> None:
    found = score_check(field_of(denoised), starts.points(mixture(1000)))
    assert found.mean > 0.9
    assert found.low < found.mean < found.high
    assert found.uphill > 0.95
    assert found.p_value <= 0.05
    assert found.control < found.mean - 0.3  # three heaps: the middle is not uphill
    assert found.statement.code is Uphill.UPHILL
    assert found.cost.map == len(found) == 500


@pytest.mark.parametrize(("angle", "cosine"), [(math.pi / 2, 0.0), (math.pi / 3, 0.5), (math.pi, -1.0)])
def test_a_field_that_is_turned_has_the_cosine_of_its_angle(angle: float, cosine: float) -> None:
    found = score_check(turned(angle), starts.points(mixture(1000)), rotations=99)
    straight = score_check(field_of(denoised), starts.points(mixture(1000)), rotations=99).mean
    assert found.mean == pytest.approx(cosine * straight, abs=0.05)
    assert (found.statement.code is Uphill.UPHILL) == (cosine == 1)


def test_the_null_is_calibrated_although_the_field_is_smooth() -> None:
    """Turned by an angle nobody chose, p ≤ 0.1 comes as often as it says; shuffled velocities would say so nearly always."""
    cloud = starts.points(mixture(120))
    checks = (
        score_check(turned(2 * math.pi * (index + 0.5) / 100), cloud, rotations=99, seed=index) for index in range(100)
    )
    values = torch.tensor([check.p_value for check in checks])
    for level in (0.1, 0.25, 0.5):
        assert abs(float((values <= level).double().mean()) - level) < 3.5 * math.sqrt(level * (1 - level) / 100)


def test_many_dimensions_have_a_normal_null_of_the_same_width(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    v, uphill = (torch.randn(50, 100, generator=generator, dtype=torch.float64) for _ in range(2))
    drawn = module._turned(v, uphill, 300, 0)
    monkeypatch.setattr(module, "_DRAWN", 50)
    normal = module._turned(v, uphill, 300, 0)
    assert float(drawn.std() / normal.std()) == pytest.approx(1, abs=0.15)
    assert abs(float(drawn.mean())) < 3 * float(drawn.std()) / math.sqrt(300)


def test_a_field_that_fixes_everything_is_still() -> None:
    found = score_check(field_of(lambda z: z), starts.points(mixture(100)))
    assert (len(found), found.still) == (0, 50)
    assert found.statement.code is Uphill.STILL
    assert math.isnan(found.p_value)


def test_the_width_is_a_choice_or_the_likeliest() -> None:
    wide = score_check(field_of(denoised), starts.points(mixture(400)), width=3.0, rotations=19)
    assert wide.width == 3.0
    assert 0.05 < score_check(field_of(denoised), starts.points(mixture(400)), rotations=19).width < 1


def test_units_do_not_matter_and_results_are_repeated() -> None:
    large = field_of(lambda z: 1e3 * denoised(z / 1e3))
    one, other = (
        score_check(model, starts.points(scale * mixture(200)), rotations=49)
        for model, scale in ((field_of(denoised), 1.0), (large, 1e3))
    )
    assert other.mean == pytest.approx(one.mean, abs=1e-9)
    assert torch.allclose(other.null, one.null, atol=1e-9)
    vast = score_check(field_of(lambda z: 1e12 * denoised(z / 1e12)), starts.points(1e12 * mixture(200)), rotations=9)
    assert vast.control == pytest.approx(one.control, abs=1e-9)  # was 0: slopes below 1e-8 counted as none
    assert other.width == pytest.approx(1e3 * one.width)


def test_copies_are_no_further_evidence() -> None:
    """Copies would be in both halves, and make the interval narrower than what is known."""
    once = score_check(field_of(denoised), starts.points(mixture(60)), rotations=19)
    often = score_check(field_of(denoised), starts.points(mixture(60).repeat(20, 1)), rotations=19)
    assert (often.low, often.high, often.mean) == (once.low, once.high, once.mean)
    assert torch.equal(often.points, once.points)


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    found = score_check(field_of(denoised), starts.points(mixture(100)), rotations=19)
    again = load_result(save_result(found, tmp_path / "found"))
    assert torch.equal(again.cosine, found.cosine)
    assert torch.equal(again.null, found.null)
    assert repr(again) == repr(found)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": starts.points(mixture(19))}, "at least 20 different latents"),
        (
            {"data": starts.points(torch.zeros(100, 2, dtype=torch.float64))},
            "at least 20 different latents, and there are 1;",
        ),
        ({"field": field_of(lambda z: z / 2, 1), "data": starts.gaussian(100)}, "one dimension"),
        ({"width": 0.0}, "positive length"),
        ({"width": math.inf}, "positive length"),
        ({"rotations": 0}, "at least one rotation"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(change: dict[str, object], words: str) -> None:
    asked = {"field": field_of(denoised), "data": starts.points(mixture(100)), **change}
    with pytest.raises(InputError, match=words):
        score_check(asked.pop("field"), asked.pop("data"), **asked)


def test_where_the_model_breaks_the_field_is_not_still() -> None:
    """NaN compares false with everything, so that v was said to be 0 there."""
    breaks = field_of(lambda z: torch.where(z[:, :1] > 0, torch.nan, denoised(z)))
    cloud = mixture(400)
    found = score_check(breaks, starts.points(cloud), rotations=19)
    assert (found.still, found.unknown) == (0, 200 - len(found))
    assert found.unknown > 50
    assert found.statement.code is Uphill.UPHILL
    assert f"Left out: {found.unknown} latents" in found.statement.detail
    nothing = score_check(field_of(lambda z: z * torch.nan), starts.points(cloud), rotations=19)
    assert (len(nothing), nothing.still, nothing.unknown) == (0, 0, 200)
    assert nothing.statement.headline == "Nothing can be said"
    lost = LatentField(
        lambda x: torch.where(x.flatten(1)[:, :1] > 2, torch.nan, x.flatten(1)), lambda z: denoised(z).reshape(-1, 1, 1, 2),
        latent_shape=(2,), dtype=torch.float64,
    )  # fmt: skip
    part = score_check(lost, cloud.reshape(-1, 1, 1, 2), rotations=19)
    assert part.unknown >= int((cloud[:, 0] > 2).sum()) > 20
    assert part.still == 0
    assert part.mean > 0.8


def test_a_latent_on_flat_ground_costs_no_other() -> None:
    """Its cosine is 0/0, which made every mean NaN, and no turned field does better than NaN: p was the least there is."""
    ring = torch.cat([sign * mixture(60) for sign in (1, -1)])
    cloud = torch.cat([ring, torch.zeros(1, 2, dtype=torch.float64)])
    shape = module._mean_shift
    module_shift = lambda z, heap, h: torch.where((z == 0).all(dim=1, keepdim=True), 0.0, shape(z, heap, h))  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_mean_shift", module_shift)
        found = next(
            check
            for seed in range(20)
            if (check := score_check(turned(math.pi / 2), starts.points(cloud), rotations=99, seed=seed)).unknown
        )
    assert (found.unknown, found.cosine.isfinite().all()) == (1, True)
    assert found.p_value > 0.05


def test_some_rows_of_a_check_have_no_null() -> None:
    found = score_check(turned(math.pi / 2), starts.points(mixture(200)), rotations=99)
    best = found[found.cosine > 0.9]
    assert best.mean > 0.9
    assert math.isnan(best.p_value)
    assert math.isnan(best.low)
    assert best.statement.code is Uphill.NOT_TOLD
    assert "nan" not in str(best)
    assert found.to(torch.float64).p_value == found.p_value
