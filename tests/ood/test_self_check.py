"""The self-check warns where simple inputs score as more typical than the data, and only there."""

from __future__ import annotations

import warnings

import pytest
import torch

import separatrix as sx
from separatrix import ood
from separatrix.errors import DetectorWarning, InputError, SeparatrixWarning
from separatrix.numerics._metrics import auroc_interval
from separatrix.ood._detector import split
from separatrix.ood._self_check import ScoreState
from separatrix.ood._simple_inputs import blurred
from separatrix.words import Tone


def ring(count: int = 300, radius: float = 3.0) -> torch.Tensor:
    """Rows far from the origin; a constant row is near it or not, by what it is made of."""
    angle = 6.283 * torch.rand(count, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return radius * torch.cat([angle.cos(), angle.sin(), (angle + 2).cos(), (angle + 2).sin()], dim=1)


def test_an_attractor_in_the_middle_of_a_ring_is_inverted():
    """f = z/2 has its attractor at 0, where no data are: everything inside the ring is nearer to it than the data."""
    field = sx.LatentField.from_map(lambda z: 0.5 * z, latent_shape=(4,), dtype=torch.float64)
    detector = ood.TrajectoryDetector(field, steps=5)
    with pytest.warns(DetectorWarning, match="inverted"):
        detector.fit(ring())
    check = detector.self_check
    assert not check.ok
    assert (check.statement.code, check.statement.tone) == (ScoreState.INVERTED, Tone.ALARM)
    assert check.inverted
    assert all(check.auroc["trajectory"][name].high < 0.5 for name in check.inverted)
    assert abs(check.coverage) < 0.05
    assert check.recommended != "trajectory"
    assert check.findings[0] in detector.notes
    lowest = min(area.value for area in check.auroc[check.recommended].values())
    assert repr(check) == (
        f"SelfCheck(trajectory score: inverted on {', '.join(check.inverted)}; recommended: {check.recommended}, "
        f"lowest AUROC {lowest:.2f})"
    )


def test_attractors_on_the_data_are_not_complained_about():
    """f maps to the nearest corner, and the data sit at the corners: simple inputs lie between them."""
    field = sx.LatentField.from_map(lambda z: (8 * z).tanh(), latent_shape=(4,), dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    signs = torch.tensor([[1.0, -1, 1, -1], [-1, 1, -1, 1], [1, 1, -1, -1], [-1, -1, 1, 1]], dtype=torch.float64)
    data = signs[torch.randint(0, 4, (300,), generator=generator)]
    data = data + 0.02 * torch.randn(300, 4, generator=generator, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error", SeparatrixWarning)
        detector = ood.TrajectoryDetector(field, steps=5).fit(data)
    assert detector.self_check.ok
    assert detector.self_check.statement.code is ScoreState.OK
    assert detector.self_check.inverted == ()
    assert detector.self_check.coverage > 0.99
    assert detector.self_check.describes
    assert repr(detector.self_check).startswith("SelfCheck(trajectory score: ok; recommended: ")


def test_the_sample_is_drawn_at_random_not_from_the_head_of_the_file():
    """Sorted data: the head is one corner, at which the map has no attractor of the others'."""
    field = sx.LatentField.from_map(lambda z: (8 * z).tanh(), latent_shape=(2,), dtype=torch.float64)
    noise = 0.02 * torch.randn(800, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    corners = torch.tensor([[1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    data = corners.repeat_interleave(400, dim=0) + noise
    check = sx.self_check(field, data, sample=100, protocol=sx.Protocol(max_steps=200))
    assert check.coverage > 0.99  # of the head alone there would be one attractor and no spread to cover
    again = sx.self_check(field, data, sample=100, protocol=sx.Protocol(max_steps=200))
    assert again.auroc == check.auroc
    other = sx.self_check(field, data, sample=100, seed=1, protocol=sx.Protocol(max_steps=200))
    assert other.auroc != check.auroc


def test_blurred_inputs_are_told_from_the_line_by_their_pairs():
    """A latent that is the roughness of a picture: contrasts differ widely, and a blur takes about the same share of each."""
    generator = torch.Generator().manual_seed(0)
    contrast = 10 ** torch.rand(400, 1, 1, 1, generator=generator, dtype=torch.float64)
    pictures = contrast * torch.rand(400, 1, 8, 8, generator=generator, dtype=torch.float64)

    class Roughness(torch.nn.Module):
        def forward(self, x):
            return x.diff(dim=3).abs().flatten(1).mean(dim=1, keepdim=True)

    class Slope(torch.nn.Module):
        def forward(self, z):
            return (0.5 * z)[:, :, None, None] * torch.arange(8, dtype=z.dtype).expand(len(z), 1, 8, 8)

    field = sx.LatentField(Roughness(), Slope(), latent_shape=(1,), dtype=torch.float64)
    check = sx.self_check(field, pictures, protocol=sx.Protocol(max_steps=200))
    fitted, kept = split(400, 0.4, 0)
    detector = ood.TrajectoryDetector(field, self_check=False).fit(pictures[fitted], pictures[kept])
    scores = detector.score(pictures[kept]), detector.score(blurred(pictures[kept], sigma=8 / 14))
    assert check.auroc["trajectory"]["blurred"] == pytest.approx(auroc_interval(*scores, paired=True), abs=1e-12)
    value, low, high = check.auroc["trajectory"]["blurred"]
    apart = auroc_interval(*scores)
    assert 0 < value < 0.5
    assert high - low < 0.5 * (apart.high - apart.low)
    assert ("blurred" in check.inverted) == (high < 0.5)


class Counting(torch.nn.Module):
    """Encodes as it is told, and counts what it has seen."""

    def __init__(self, function):
        super().__init__()
        self.function, self.seen = function, 0

    def forward(self, x):
        self.seen += len(x)
        return self.function(x)


def test_it_looks_again_only_where_it_cannot_tell():
    """The attractor is at 0. Noise is nearer to it than a ring is, which 240 rows show; of noise itself nothing can be shown."""
    seen = {}
    noise = 6 * torch.rand(2400, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 3
    for name, data in (("ring", ring(2400)), ("noise", noise)):
        encode = Counting(lambda z: 0.5 * z)
        field = sx.LatentField(encode, lambda z: z, latent_shape=(4,), dtype=torch.float64)
        limits = sx.find_attractors(field, sx.starts.points(data[:20]), sx.Protocol(max_steps=200))
        encode.seen = 0
        area = sx.self_check(field, data, limits=limits).auroc["trajectory"]["noise"]
        assert (area.low < 0.5 < area.high) == (name == "noise")
        seen[name] = encode.seen
    assert 2 * seen["ring"] < seen["noise"]


def test_too_few_inputs():
    field = sx.LatentField.from_map(lambda z: 0.5 * z, latent_shape=(4,), dtype=torch.float64)
    with pytest.raises(InputError, match="at least 30"):
        sx.self_check(field, ring(20))
