"""This file tells what is done to a picture between two trips through an autoencoder, each edit as a value.

A list of edits reads from the outermost to the innermost: what is done before encoding is done in its order, and what is done after
decoding in the reverse one. So ``(Shift(3), Rounding())`` moves the picture, sends it through the model, rounds it and moves it back.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.numerics.counter_random import gaussian

Pass = Callable[[Tensor], Tensor]
_MOST_IMAGES = 2**40  # rows of random numbers that each trip has to itself


@dataclass(frozen=True, kw_only=True)
class Moment:
    """It tells where in the sequence a batch of pictures is.

    Attributes:
        trip: its number, from 1.
        first: the number of the first picture of the batch among all pictures.
        originals: ``(n, c, h, w)`` what the pictures were before the first trip.
        values: the values of black and white.
        seed: of everything random.
    """

    trip: int
    first: int
    originals: Tensor
    values: tuple[float, float] = (0.0, 1.0)
    seed: int = 0


@dataclass(frozen=True)
class Edit:
    """The edit that changes nothing, from which all others differ in one respect or two."""

    @property
    def words(self) -> str:
        """Return what is done, in a few words; two edits with the same words do the same."""
        return "nothing"

    def before(self, x: Tensor, moment: Moment) -> Tensor:
        """Change pictures before they are encoded."""
        del moment
        return x

    def latent(self, z: Tensor, moment: Moment) -> Tensor:
        """Change latents between encoder and decoder."""
        del moment
        return z

    def after(self, x: Tensor, moment: Moment) -> Tensor:
        """Change decoded pictures; what comes out is what the next trip starts from."""
        del moment
        return x


@checked
@dataclass(frozen=True)
class Rounding(Edit):
    """The picture is stored with so many bits per channel, and cut off at black and white: what every picture file does."""

    bits: int = 8

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 16:
            raise InputError(f"A picture is stored with 1 to 16 whole bits per channel, not {self.bits}.")

    @property
    def words(self) -> str:
        """Say how many bits."""
        return f"rounded to {self.bits} bits"

    def after(self, x: Tensor, moment: Moment) -> Tensor:
        """Round to the nearest of 2^bits levels."""
        low, high = moment.values
        levels = 2**self.bits - 1
        wide = (
            x if x.dtype == torch.float64 else x.float()
        )  # half precision has no room for 2^16 levels, nor for all of 2^8
        shades = ((wide - low) / (high - low)).nan_to_num(0.0).clamp(0, 1)
        return ((shades * levels).round() / levels * (high - low) + low).to(x.dtype)


@checked
@dataclass(frozen=True)
class JPEG(Edit):
    """The picture is stored as a JPEG of this quality, with Pillow's usual settings."""

    quality: int = 90

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 100:
            raise InputError(f"The quality of a JPEG is a number from 1 to 100, not {self.quality}.")

    @property
    def words(self) -> str:
        """Name the quality."""
        return f"JPEG of quality {self.quality}"

    def after(self, x: Tensor, moment: Moment) -> Tensor:
        """Write and read each picture."""
        low, high = moment.values
        levels = ((Rounding().after(x, moment) - low) / (high - low) * 255).round().to("cpu", torch.uint8)
        read = [self._stored(picture.permute(1, 2, 0).numpy()) for picture in levels]
        return torch.stack(read).to(x) / 255 * (high - low) + low

    def _stored(self, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Tensor:
        grey = pixels.shape[2] == 1
        buffer = io.BytesIO()
        Image.fromarray(pixels[:, :, 0] if grey else pixels).save(buffer, format="jpeg", quality=self.quality)
        found = np.asarray(Image.open(buffer)).copy()
        return torch.from_numpy(found[:, :, None] if grey else found).permute(2, 0, 1)


@dataclass(frozen=True, eq=False)
class PasteBack(Edit):
    """After every trip the part that was not edited is taken from the original again, as inpainting does.

    Attributes:
        kept: ``(h, w)``, 1 where the original is pasted back, 0 where the model's own pixels stay, or between; None keeps all but the
            middle quarter of the picture.
        name: what the mask is called in tables.
    """

    kept: Tensor | None = None
    name: str = ""

    @property
    def words(self) -> str:
        """Name the mask, and tell it from another one of that name."""
        if self.kept is None:
            return f"pasted back outside {self.name or 'the middle quarter'}"
        kept = self.kept.detach().to("cpu", torch.float64).contiguous()
        digest = hashlib.sha256(f"{tuple(kept.shape)}".encode() + kept.numpy().tobytes()).hexdigest()[:8]
        return f"pasted back outside {self.name or 'a mask'} ({digest})"

    @checked
    def mask(self, height: int, width: int) -> Tensor:
        """``(h, w)`` the mask for pictures of this size.

        Raises:
            InputError: the mask is of another size, or has values outside 0 and 1.
        """
        if self.kept is None:
            kept = torch.ones(height, width, dtype=torch.float64)
            kept[height // 4 : height // 4 + height // 2, width // 4 : width // 4 + width // 2] = 0
            return kept
        if self.kept.shape != (height, width) or not bool(((self.kept >= 0) & (self.kept <= 1)).all()):
            raise InputError(
                f"A mask for these pictures is {height}×{width} with values from 0 (edited) to 1 (pasted back), and this one "
                f"is {'×'.join(map(str, self.kept.shape))}; resize it."
            )
        return self.kept.to(torch.float64)

    def after(self, x: Tensor, moment: Moment) -> Tensor:
        """Paste the original back."""
        kept = self.mask(*x.shape[-2:]).to(x)
        return torch.where(kept == 1, moment.originals.to(x), kept * moment.originals.to(x) + (1 - kept) * x)


@checked
@dataclass(frozen=True)
class Shift(Edit):
    """Before each trip the picture is moved on by so many pixels, and back after it, so that no two trips lie on one grid.

    The picture wraps around its edges, so nothing is lost by the move itself.
    """

    pixels: int = 3

    @property
    def words(self) -> str:
        """Name the distance."""
        return f"shifted by {self.pixels} px between trips"

    def before(self, x: Tensor, moment: Moment) -> Tensor:
        """Move it on."""
        return x.roll((self.pixels * moment.trip,) * 2, dims=(-2, -1))

    def after(self, x: Tensor, moment: Moment) -> Tensor:
        """Move it back."""
        return x.roll((-self.pixels * moment.trip,) * 2, dims=(-2, -1))


@checked
@dataclass(frozen=True)
class LatentNoise(Edit):
    """Noise is added to the latent, as by an editor that denoises imperfectly.

    Attributes:
        strength: its standard deviation, as a share of that of the picture's latent at the same moment.
    """

    strength: float = 0.05

    def __post_init__(self) -> None:
        if not 0 <= self.strength < math.inf:
            raise InputError(f"The strength of noise is 0 or more, and finite, not {self.strength}.")

    @property
    def words(self) -> str:
        """Name the strength."""
        return f"noise of {self.strength:g} on the latent"

    def latent(self, z: Tensor, moment: Moment) -> Tensor:
        """Add it; the noise of a picture and a trip is the same in every batch."""
        rows, width = len(z), z[0].numel()
        parts = rows // len(moment.originals)  # tiles of one picture
        drawn = gaussian(moment.seed, moment.trip * _MOST_IMAGES + moment.first * parts, rows, width)
        size = z.flatten(1).std(dim=1, correction=0).reshape(-1, *[1] * (z.ndim - 1))
        return z + self.strength * size * torch.from_numpy(drawn).to(z).reshape(z.shape)


@dataclass(frozen=True)
class KeepLatent(Edit):
    """The editor keeps the latent: the picture is encoded once, and decoded only to be looked at."""

    @property
    def words(self) -> str:
        """Say that it is kept."""
        return "the latent is kept"


@checked
@dataclass(frozen=True)
class Tiles(Edit):
    """The picture goes through the model in square tiles that are blended where they overlap.

    Attributes:
        size: pixels a side; the last tile of a row lies at the edge and overlaps more.
        overlap: pixels that neighbours share, over which one fades into the other.
    """

    size: int = 64
    overlap: int = 0

    def __post_init__(self) -> None:
        if self.size < 1 or not 0 <= self.overlap < self.size:
            raise InputError(
                f"Tiles have a size of at least 1 px and overlap by less than that, not {self.size} and {self.overlap}."
            )

    @property
    def words(self) -> str:
        """Name the size."""
        return f"in tiles of {self.size} px" + (f" that overlap by {self.overlap}" if self.overlap else "")

    def through(self, once: Pass, x: Tensor) -> Tensor:
        """Send ``(n, c, h, w)`` pictures through ``once`` tile by tile."""
        n, _, height, width = x.shape
        corners = self.corners(height, width)
        cut = torch.stack([x[:, :, a : a + self.size, b : b + self.size] for a, b in corners], dim=1)
        done = once(cut.flatten(0, 1)).reshape(n, len(corners), *cut.shape[2:])
        ramp = self._ramp().to(done)
        weight = ramp[:, None] * ramp
        total, image = done.new_zeros(height, width), done.new_zeros(n, done.shape[2], height, width)
        for place, (a, b) in enumerate(corners):
            image[:, :, a : a + self.size, b : b + self.size] += weight * done[:, place]
            total[a : a + self.size, b : b + self.size] += weight
        return image / total

    @checked
    def corners(self, height: int, width: int) -> list[tuple[int, int]]:
        """Say where the tiles of a picture begin, top and left.

        Raises:
            InputError: the picture is smaller than a tile.
        """
        if min(height, width) < self.size:
            raise InputError(
                f"A picture of {height}×{width} px is smaller than tiles of {self.size} px; take smaller tiles."
            )
        return [(top, left) for top in self._starts(height) for left in self._starts(width)]

    def _starts(self, side: int) -> list[int]:
        return sorted({*range(0, side - self.size, self.size - self.overlap), side - self.size})

    def _ramp(self) -> Tensor:
        place = torch.arange(self.size, dtype=torch.float64)
        return torch.minimum(place + 1, self.size - place).clamp(max=self.overlap + 1) / (self.overlap + 1)


USUAL: tuple[Edit, ...] = (Rounding(),)
"""What happens to every picture that is saved as a file between two edits."""


def words_of(edits: tuple[Edit, ...]) -> str:
    """Say what is done between two trips.

    >>> words_of((Shift(3), Rounding())), words_of(())
    ('shifted by 3 px between trips, rounded to 8 bits', 'nothing between trips')
    """
    return ", ".join(edit.words for edit in edits) or "nothing between trips"
