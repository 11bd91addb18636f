"""Does the derivative at the picture itself tell how the loss will grow? x_n − x ≈ Σ_{i<n} J_F^i (F(x) − x)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import scipy
import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.cost import NO_WORK, Cost
from separatrix.data import ImageSource, tensor_of
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.storage import storable
from separatrix.studies._drift.image_map import image_map
from separatrix.studies._drift.quality import psnr_of
from separatrix.studies._drift.rates import doubling_time
from separatrix.studies._drift.trips import require_derivative, require_pictures, sized
from separatrix.words import Tabular, counted
from separatrix.work import Progress

_FEWEST = 3  # pictures over which a correlation means anything


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class Linearisation(Tabular):
    """n pictures over N plain round trips, without any edit: what was to be expected of the derivative, and what came.

    Attributes:
        predicted: ``(n, N)`` PSNR in dB of x + Σ_{i<t} J^i (F(x) − x).
        measured: ``(n, N)`` PSNR of Fᵗ(x), not cut off at black and white.
        predicted_doubling, doubling: ``(n,)`` the trip at which the squared error is twice that of the first; infinite if it never is.
        cost: map evaluations and derivative products.
    """

    _facts: ClassVar[tuple[str, ...]] = ("correlation", "rank_correlation", "ratio", "sentence")

    predicted: Tensor
    measured: Tensor
    predicted_doubling: Tensor
    doubling: Tensor
    cost: Cost = NO_WORK

    def __len__(self) -> int:
        return len(self.predicted)

    @property
    def _both(self) -> tuple[Tensor, Tensor]:
        known = self.predicted_doubling.isfinite() & self.doubling.isfinite()
        return self.predicted_doubling[known], self.doubling[known]

    @property
    def correlation(self) -> float:
        """Pearson's between predicted and measured doubling times over the pictures in which both happen; NaN for fewer than three."""
        predicted, measured = self._both
        if len(predicted) < _FEWEST or not (float(predicted.std()) > 0 and float(measured.std()) > 0):
            return float("nan")
        return float(torch.corrcoef(torch.stack((predicted, measured)))[0, 1])

    @property
    def rank_correlation(self) -> float:
        """Spearman's between the PSNR predicted and measured after the last trip; NaN for fewer than three pictures."""
        if len(self) < _FEWEST:
            return float("nan")
        return float(scipy.stats.spearmanr(self.predicted[:, -1], self.measured[:, -1]).statistic)

    @property
    def ratio(self) -> float:
        """Median of measured over predicted doubling times: 1 where the derivative tells all."""
        predicted, measured = self._both
        return float((measured / predicted).median()) if len(predicted) else float("nan")

    @property
    def sentence(self) -> str:
        """Say how far the derivative can be trusted."""
        apart = (self.predicted - self.measured).abs().mean(dim=0)
        close = int((apart <= 1.0).to(torch.int64).cumprod(dim=0).sum())
        both = len(self._both[0])
        doubled = (
            f"Of {counted(len(self), 'picture')}, {both} {'has' if both == 1 else 'have'} an error that doubles both in the prediction and in fact; measured over predicted time: {self.ratio:.2f}."
            if both
            else f"Of {counted(len(self), 'picture')}, none has an error that doubles both in the prediction and in fact."
        )
        return f"The derivative at the original tells PSNR to within 1 dB for {close} of {self.predicted.shape[1]} trips. {doubled}"

    @property
    def table(self) -> Mapping[str, Sequence[Any]]:
        """One row per trip, means over the pictures."""
        return {
            "trip": list(range(1, self.predicted.shape[1] + 1)),
            "predicted": self.predicted.mean(dim=0).tolist(),
            "measured": self.measured.mean(dim=0).tolist(),
        }

    def __repr__(self) -> str:
        return f"Linearisation({len(self)} pictures, {self.predicted.shape[1]} trips; {self.sentence})"


@checked
def linearised(
    field: LatentField,
    images: ImageSource,
    *,
    trips: int = 10,
    values: tuple[float, float] = (0.0, 1.0),
    progress: bool | Progress = False,
) -> Linearisation:
    """Predict the loss of each trip by the derivative of D∘E at the original, and measure it beside.

    To first order the loss of trip t is the first loss carried along: x_t − x ≈ Σ_{i<t} J^i (F(x) − x), with J the derivative of F = D∘E
    at x. Whether that holds far enough to be of use is what this is for.

    Args:
        field: the latent field.
        images: pictures, as `separatrix.drift` takes them.
        trips: N.
        values: of black and white.
        progress: show a progress bar, or move the one that is there (`separatrix.work.Progress`).

    Raises:
        InputError: as `separatrix.drift`; a picture of which the model makes NaN; or fewer than two trips.

    Cost: one map evaluation and one jvp (four evaluations) per picture and trip.

    >>> half = LatentField.from_map(lambda x: x / 2, latent_shape=(1, 4, 4))
    >>> found = linearised(half, torch.full((1, 1, 4, 4), 0.8), trips=3)
    >>> bool((found.predicted - found.measured).abs().max() < 1e-4)
    True
    """
    field = LatentField.of(field)
    if trips < 2:
        raise InputError(f"A prediction goes beyond the first trip; give at least 2 trips, not {trips}.")
    pixels = tensor_of(images, "images")
    require_pictures(pixels, values)
    image = image_map(sized(field, pixels), tuple(pixels.shape[1:]))
    x = pixels.to(field.device, field.dtype)
    now = image(x)
    require_derivative(now)
    carried = now - x
    total = carried.clone()
    predicted, measured = [total], [now - x]
    with Progress.of(progress).stage("linearisation", trips - 1) as line:
        for _ in range(trips - 1):
            carried = image.jvp(x, carried)
            total = total + carried
            now = image(now)
            predicted.append(total)
            measured.append(now - x)
            line.advance()
    errors = [
        torch.stack([each.to("cpu", torch.float64).square().flatten(1).mean(dim=1) for each in column], dim=1)
        for column in (predicted, measured)
    ]
    return Linearisation(
        predicted=psnr_of(errors[0], values),
        measured=psnr_of(errors[1], values),
        predicted_doubling=doubling_time(errors[0]),
        doubling=doubling_time(errors[1]),
        cost=Cost(map=len(x) * trips, jvp=len(x) * (trips - 1)),
    )
