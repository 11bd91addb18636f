"""Where does a reconstruction error come from: a poor dictionary of attractors, or poor coverage by it?

With Π(z) the point of the attractors nearest to z and L a Lipschitz constant of the decoder D between them (Fumero et al.,
ICLR 2026, section on generalization),

    ‖x − F(x)‖ ≤ ‖x − D(Π(E x))‖ + L ‖E x − Π(E x)‖.

The first term is the *prototype* error, the second the *coverage* error. (The paper's squared form needs a factor 2 on
each term, because the cross term does not vanish.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets
from separatrix.numerics import nearest
from separatrix.storage import Columnar, storable

_PIECES = 8  # of each segment from a latent to its attractor, on which the slope of the decoder is measured
_CHUNK = 64


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class Decomposition(Columnar):
    """One row per image, in norms over all its pixels.

    Attributes:
        error: ``(n,)`` ‖x − F(x)‖.
        prototype: ``(n,)`` ‖x − D(Π(E x))‖.
        distance: ``(n,)`` ‖E x − Π(E x)‖, in latent units.
        lipschitz: the estimate of L: the steepest of the pieces of the segments from *training* latents to their
            attractors. A slope somewhere else may be steeper, so it is a lower bound of the true constant.
        reference: how many training latents it comes from.
    """

    _columns: ClassVar[tuple[str, ...]] = ("error", "prototype", "distance")

    _read_off: ClassVar[tuple[str, ...]] = ("coverage", "holds")

    error: Tensor
    prototype: Tensor
    distance: Tensor
    lipschitz: float
    reference: int

    def __repr__(self) -> str:
        return f"Decomposition({self.sentence})"

    @property
    def coverage(self) -> Tensor:
        """``(n,)`` L ‖E x − Π(E x)‖."""
        return self.lipschitz * self.distance

    @property
    def holds(self) -> Tensor:
        """``(n,)`` bool: the inequality holds for the image, up to rounding."""
        bound = self.prototype + self.coverage
        return self.error <= bound * (1 + 1e-6)

    @property
    def sentence(self) -> str:
        """The means of the three, and for how many images the estimate of L was too small."""
        broken = int((~self.holds).sum())
        words = (
            f"The reconstruction error, {float(self.error.mean()):.3g} per image, is at most the distance to the decoded attractor "
            f"(prototype), {float(self.prototype.mean()):.3g}, plus that of the latents times the slope of the decoder, "
            f"{self.lipschitz:.3g} (coverage), {float(self.coverage.mean()):.3g}"
        )
        if not broken:
            return f"{words}; the bound holds on all {len(self):,} images."
        return f"{words}; on {broken} of {len(self):,} images the bound fails, so the slope is underestimated there."


def decomposition(field: LatentField, limits: LimitSets, images: Tensor, reference: Tensor) -> Decomposition:
    """Prototype and coverage error of images.

    Args:
        field: the latent field.
        limits: its limit sets; the dictionary is every known point of those that attract.
        images: ``(n, …)`` to be explained, such as test images.
        reference: ``(r, …)`` training images, from which the decoder's slope is estimated.

    Raises:
        InputError: there is no attractor.

    Cost: one encoding and two decodings per image, one encoding and nine decodings per reference image.

    >>> from separatrix import find_attractors
    >>> field = LatentField(lambda x: x.tanh(), lambda z: 2 * z, latent_shape=(1,), dtype=torch.float64)
    >>> limits = find_attractors(field, torch.tensor([[-1.0], [1.0]], dtype=torch.float64))
    >>> x = torch.tensor([[2.0]], dtype=torch.float64)
    >>> found = decomposition(field, limits, x, x)
    >>> round(found.lipschitz, 9), bool(found.holds.all())
    (2.0, True)
    """
    attractors = limits.attractors
    if not len(attractors):
        raise InputError("There is no attractor to explain the images with; search from more starts.")
    dictionary = torch.cat([attractors.trace(index) for index in range(len(attractors))]).to(field.device, field.dtype)
    error, prototype, distance = [], [], []
    for first in range(0, len(images), _CHUNK):
        x = images[first : first + _CHUNK].to(field.device, field.dtype)
        latents = field.encode(x)
        near = nearest(latents, dictionary)
        error.append(_norm(x - field.decode(latents)))
        prototype.append(_norm(x - field.decode(dictionary[near.index])))
        distance.append(near.distance.cpu())
    return Decomposition(
        error=_joined(error),
        prototype=_joined(prototype),
        distance=_joined(distance),
        lipschitz=_steepest(field, dictionary, reference),
        reference=len(reference),
    )


def _steepest(field: LatentField, dictionary: Tensor, reference: Tensor) -> float:
    """max ‖D(b) − D(a)‖/‖b − a‖ over the pieces of the segments from each latent to its nearest attractor."""
    steepest = 0.0
    for first in range(0, len(reference), _CHUNK):
        latents = field.encode(reference[first : first + _CHUNK].to(field.device, field.dtype))
        ends = dictionary[nearest(latents, dictionary).index]
        length = (ends - latents).to(torch.float64).flatten(1).norm(dim=1).cpu() / _PIECES
        before = field.decode(latents)
        for piece in range(1, _PIECES + 1):
            after = field.decode(latents + (ends - latents) * (piece / _PIECES))
            slope = _norm(after - before) / length
            steepest = max(steepest, float(slope[length > 0].max()) if bool((length > 0).any()) else 0.0)
            before = after
    return steepest


def _norm(difference: Tensor) -> Tensor:
    return difference.detach().to("cpu", torch.float64).flatten(1).norm(dim=1)


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.float64)
