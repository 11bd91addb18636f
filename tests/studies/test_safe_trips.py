"""Safe trips against the binomial law: the interval holds the truth as often as it says."""

from __future__ import annotations

import pytest
import torch

from separatrix.errors import InputError
from separatrix.studies import safe_trips
from separatrix.studies._drift.rates import doubling_time
from separatrix.studies._drift.safe import lasts


def lifetimes(shares: list[float], count: int, generator: torch.Generator) -> torch.Tensor:
    """PSNR of pictures of which the given shares survive 1, 2, … trips."""
    draw = torch.rand(count, generator=generator)
    return torch.stack([torch.where(draw < share, 40.0, 20.0) for share in shares], dim=1)


@pytest.mark.parametrize(
    ("shares", "truth"),
    [([0.99, 0.97, 0.951, 0.949, 0.5], 3), ([0.97, 0.96, 0.955, 0.952, 0.9], 4), ([0.949, 0.5, 0.4, 0.3, 0.2], 0)],
)
@pytest.mark.parametrize("count", [30, 300])
def test_the_interval_holds_the_truth_as_often_as_it_says(shares, truth, count):
    generator, repeats = torch.Generator().manual_seed(0), 600
    found = [safe_trips(lifetimes(shares, count, generator)) for _ in range(repeats)]
    # Each end misses in at most 2.5 % of cases; 600 draws of that are within 2 % of it.
    assert sum(each.low > truth for each in found) / repeats <= 0.025 + 0.02
    assert sum(each.high < truth for each in found) / repeats <= 0.025 + 0.02
    assert all(each.low <= each.trips <= each.high for each in found)


def test_few_pictures_allow_no_promise():
    every = torch.full((71, 4), 40.0)
    assert (safe_trips(every).low, safe_trips(every).trips, safe_trips(every).high) == (0, 4, 4)
    assert safe_trips(torch.full((72, 4), 40.0)).low == 4
    assert "4 or more" in safe_trips(every).words


def test_a_picture_that_recovers_was_spoilt_all_the_same():
    psnr = torch.tensor([[31.0, 29.9, 31.0], [30.0, 30.0, 30.0], [10.0, 40.0, 40.0]])
    assert lasts(psnr, 30.0).tolist() == [1, 3, 0]
    assert safe_trips(psnr, 30.0, share=0.5).trips == 1


def test_what_is_no_share_is_refused():
    with pytest.raises(InputError, match="between 0 and 1"):
        safe_trips(torch.zeros(3, 3), share=1.0)
    with pytest.raises(InputError, match="at least one picture"):
        safe_trips(torch.zeros(0, 3))


def test_doubling_is_found_between_trips():
    grows = 1.5 ** torch.arange(6, dtype=torch.float64)[None]
    expected = 1 + torch.tensor(2.0, dtype=torch.float64).log() / torch.tensor(1.5, dtype=torch.float64).log()
    assert doubling_time(grows).item() == pytest.approx(float(expected))
    assert doubling_time(torch.ones(1, 1, dtype=torch.float64)).item() == float("inf")
