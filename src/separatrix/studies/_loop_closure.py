"""Does the decoder's output fit the encoder's input? A wrong range or normalisation is a model nobody trained.

Nothing crashes when a decoder returns −1 to 1 and the encoder wants 0 to 1: the field is merely another one. So the loop is
tested with what is known: the range of decoded images, and on data the straight line that best maps x to D(E(x)).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from separatrix.data import ImageSource
from separatrix.field import LatentField
from separatrix.models._adapter import adapter_of

_SLOPE, _SHIFT = 0.25, 0.15  # how far the line may be from the diagonal; a regression to the mean alone is below
_ALIKE = 0.6  # correlation below which a reconstruction is too poor to tell anything about its range
_UNREACHED = 0.45  # of the data's range, at one end, that no decoded value reaches: half of it where −1 … 1 meets 0 … 1
_BEYOND = 0.5  # of the range: decoded values this far outside are another convention, not overshoot

_AS_IT_IS = "none here: encode takes what decode returns as it is"


@dataclass(frozen=True)
class LoopClosure:
    """It tells how decoder and encoder meet.

    Attributes:
        words: what is done between them, by whom.
        low, high: 1 % and 99 % points of decoded values at the tested latents.
        round_trip: largest |x − to_image(y)| over a perfect decoder's outputs; NaN where no adapter owns the
            preprocessing.
        slope, intercept, correlation: of the line D(E(x)) ≈ slope·x + intercept over the pixels of the data; NaN
            without data.
        mismatch: what is wrong, in a sentence; empty if nothing is seen.
        known_range: where the model's images are known to lie, as loading recorded it; None if it is not known.
        compared: decoded values were compared with images. Without, only the known range can show a mismatch.
    """

    words: str
    low: float
    high: float
    round_trip: float
    slope: float
    intercept: float
    correlation: float
    mismatch: str
    known_range: tuple[float, float] | None = None
    compared: bool = False

    @property
    def ok(self) -> bool:
        """Nothing is seen to be wrong."""
        return not self.mismatch


def loop_closure(field: LatentField, latents: Tensor, data: Tensor | None = None) -> LoopClosure:
    """Tests the way from decoder to encoder at a few latents, and on data where there are some.

    Args:
        field: the field.
        latents: where decoded values are looked at; encodings of data where there are some.
        data: images as the field takes them.

    Cost: half an evaluation per latent, one per datum.
    """
    adapter = adapter_of(field)
    owner = adapter.preprocessing if adapter is not None else None
    recorded = field.details.get("preprocessing")
    recorded = recorded if isinstance(recorded, Mapping) else {}
    words = owner.words() if owner is not None else recorded.get("words", _AS_IT_IS)
    decoded = field.decode(latents).double().flatten()
    kept = decoded[decoded.isfinite()]
    low, high = (float(kept.quantile(q)) for q in (0.01, 0.99)) if len(kept) else (math.nan, math.nan)
    round_trip = owner.round_trip_error() if owner is not None else math.nan
    slope = intercept = correlation = math.nan
    mismatch = ""
    if round_trip > 1e-2:
        mismatch = f"the constants of the preprocessing lose {round_trip:.2g} of the range in {field.dtype}; use a finer format"
    known = recorded.get("data_range")
    known_range = None if known is None else (float(known[0]), float(known[1]))
    if not mismatch and known_range is not None:
        mismatch = _of_range(low, high, known_range)
    compared = data is not None and data.dim() == 4
    if data is not None and compared:
        x = data.to(field.device, field.dtype)
        rebuilt = field.reconstruct(x)
        if rebuilt.shape == x.shape:
            slope, intercept, correlation = _line(x, rebuilt)
            mismatch = mismatch or _of_line(slope, intercept, correlation)
        span = float(x.max() - x.min()) or 1.0
        beyond = max(float(x.min()) - low, high - float(x.max())) / span
        if not mismatch and beyond > _BEYOND:
            mismatch = (
                f"decoded values reach from {low:.3g} to {high:.3g} where the data lie in [{float(x.min()):.3g}, "
                f"{float(x.max()):.3g}]; convert the decoder's output to the encoder's range"
            )
        unreached = max(low - float(x.min()), float(x.max()) - high) / span
        if not mismatch and unreached > _UNREACHED:
            mismatch = (
                f"decoded values reach only from {low:.3g} to {high:.3g} where the data lie in [{float(x.min()):.3g}, "
                f"{float(x.max()):.3g}]; give the data in the range the model was trained on, or convert inside decode"
            )
    return LoopClosure(
        words, low, high, round_trip, slope, intercept, correlation, mismatch, known_range, compared=compared
    )


def _of_range(low: float, high: float, known: tuple[float, float]) -> str:
    if not max(known[0] - low, high - known[1]) > _BEYOND * (known[1] - known[0]):
        return ""
    return (
        f"decoded values reach from {low:.3g} to {high:.3g}, far outside [{known[0]:g}, {known[1]:g}] where the model's "
        "images lie; check the units of the latents and the value range of its decoder"
    )


def _line(x: Tensor, y: Tensor) -> tuple[float, float, float]:
    """Slope and intercept of least squares, and the correlation, over all pixels."""
    a, b = x.double().flatten(), y.double().flatten()
    a0, b0 = a - a.mean(), b - b.mean()
    variance, other = float(a0 @ a0), float(b0 @ b0)
    if variance == 0 or other == 0 or not math.isfinite(other):
        return math.nan, math.nan, math.nan
    slope = float(a0 @ b0) / variance
    return slope, float(b.mean()) - slope * float(a.mean()), float(a0 @ b0) / math.sqrt(variance * other)


def _of_line(slope: float, intercept: float, correlation: float) -> str:
    if not correlation > _ALIKE:
        return ""
    # A poor reconstruction regresses to the mean: its slope is about the squared correlation, without any mismatch.
    low, high = min(1.0, correlation**2) - _SLOPE, 1 + _SLOPE
    centred = abs(slope * 0.5 + intercept - 0.5)
    if low <= slope <= high and centred <= _SHIFT:
        return ""
    known = ""
    if abs(slope - 2) < 0.4 and abs(intercept + 1) < 0.4:
        known = ", as of a decoder that returns −1 to 1 where 0 to 1 is expected"
    elif abs(slope - 0.5) < 0.15 and abs(intercept - 0.5) < 0.15:
        known = ", as of a decoder that returns 0 to 1 where −1 to 1 is expected"
    return (
        f"reconstructions are about {slope:.2f}·x {intercept:+.2f} of their images{known}; convert the decoder's output "
        "to the encoder's range inside decode"
    )


def as_images(data: ImageSource, limit: int) -> Tensor | None:
    """The first images of a source, None if they are no images."""
    from separatrix.data import load_images

    pixels = load_images(data, limit=limit).pixels
    return pixels if pixels.dim() == 4 else None
