"""Some patterns grow from trip to trip, and others die: these are directions of the Jacobian of D∘E at real pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from separatrix.arguments import checked, whole
from separatrix.cost import NO_WORK, Cost
from separatrix.data import ImageSet, ImageSource, load_images, tensor_of
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets._spectrum import CycleOperator
from separatrix.numerics.counter_random import gaussian
from separatrix.protocol import DEFAULT
from separatrix.storage import storable
from separatrix.studies._drift.image_map import image_map
from separatrix.studies._drift.loss import BANDS, band_mask
from separatrix.studies._drift.trips import require_derivative, require_pictures, sized
from separatrix.words import Tabular
from separatrix.work import Progress

KINDS = ("grey", "colour")
_TOLERANCE = 0.05  # of eigenvalues and singular values: a picture of a pattern shows no more
_VECTORS, _RESTARTS = 24, 3  # of the Krylov spaces


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class Patterns(Tabular):
    """Directions of J, the derivative of F = D∘E, at m pictures (or the middle part of large ones), k of each kind.

    Attributes:
        names: of the pictures.
        rates: ``(m, k)`` |λ| of the leading eigenvalues: by how much such a pattern is multiplied per trip; NaN where not found.
        turns: ``(m, k)`` the angle of λ in radians: a pattern with an angle of π changes its sign at every trip.
        growing: ``(m, k, c, h, w)`` the eigenvectors (of complex ones the larger part), largest value 1.
        gains: ``(m, k)`` σ of the leading singular directions: by how much one trip enlarges them.
        asked: ``(m, k, c, h, w)`` the patterns that one trip enlarges most.
        answered: ``(m, k, c, h, w)`` what they become.
        kept: ``(m, 4, 2)`` of faint noise in each band of spatial frequency, grey and colour, how much is still there after a trip.
        cost: derivative products.
    """

    _facts: ClassVar[tuple[str, ...]] = ("sentence",)

    names: tuple[str, ...]
    rates: Tensor
    turns: Tensor
    growing: Tensor
    gains: Tensor
    asked: Tensor
    answered: Tensor
    kept: Tensor
    cost: Cost = NO_WORK

    def __len__(self) -> int:
        return len(self.rates)

    @property
    def table(self) -> Mapping[str, Sequence[Any]]:
        """One row per band and kind of faint noise: how much of it is left after one trip, mean over the pictures."""
        mean = self.kept.mean(dim=0)
        return {
            "band": [band for band in BANDS for _ in KINDS],
            "kind": [*KINDS] * len(BANDS),
            "left_after_a_trip": mean.flatten().tolist(),
        }

    @property
    def sentence(self) -> str:
        """The fastest pattern, and what dies first."""
        fastest = float(self.rates.nan_to_num(0.0).max()) if self.rates.numel() else 0.0
        known = [row for row in zip(*self.table.values(), strict=True) if row[2] == row[2]]
        grows = (
            f"The pattern that grows fastest is multiplied by {fastest:.2f} per trip."
            if fastest > 1.005
            else "No pattern grows: every faint disturbance fades."
        )
        if not known:
            return grows
        band, kind, left = min(known, key=lambda row: abs(row[2]))
        return f"{grows} What dies first is {kind} detail {band}: {round(100 * left) + 0:d} % of it is left after one trip."

    def __repr__(self) -> str:
        return f"Patterns({len(self)} pictures; {self.sentence})"


@checked
def drift_patterns(
    field: LatentField,
    images: ImageSource,
    *,
    count: int = 3,
    side: int = 64,
    values: tuple[float, float] = (0.0, 1.0),
    seed: int = 0,
    progress: bool | Progress = False,
) -> Patterns:
    """The leading eigen- and singular directions of J_F at pictures, without ever forming J_F (Arnoldi and Lanczos, ARPACK both).

    An eigenvector with |λ| > 1 is a pattern that grows with every trip, whatever the picture is edited for; a singular direction is what
    a single trip enlarges most. J_F is not normal, so the two differ. What dies has too many directions to be listed: faint
    noise of each band of spatial frequency is sent through J_F instead.

    Args:
        field: the latent field.
        images: pictures, as `separatrix.drift` takes them.
        count: k, directions of each kind.
        side: of larger pictures only the middle part of so many pixels a side is looked at, where the model takes such a part.
        values: of black and white.
        seed: of the faint noise.
        progress: show a progress bar, or move the one that is there (`separatrix.work.Progress`).

    Raises:
        InputError: as `separatrix.drift`; a picture of which the model makes NaN; or no direction is asked for, or more than pictures of so few pixels have.
        FieldError: the model gives no gradients and the pictures are too large for differences.

    Cost: 30 to 80 jvp and 10 to 30 pairs of jvp and vjp per picture.

    >>> half = LatentField.from_map(lambda x: x / 2, latent_shape=(1, 4, 4))
    >>> found = drift_patterns(half, torch.full((1, 1, 4, 4), 0.8), count=1)
    >>> round(found.rates.item(), 6), round(found.gains.item(), 6)
    (0.5, 0.5)
    """
    field = LatentField.of(field)
    named = images if isinstance(images, (ImageSet, Tensor)) else load_images(images)
    pixels = tensor_of(named, "images")
    require_pictures(pixels, values)
    if not 1 <= count <= pixels[0].numel() - 2:
        raise InputError(
            f"Pictures of {pixels[0].numel()} values have 1 to {pixels[0].numel() - 2} such directions, not {count}."
        )
    pixels = _middle(field, pixels, whole("side", side, 2))
    image = image_map(sized(field, pixels), tuple(pixels.shape[1:]))
    parts = []
    with Progress.of(progress).stage("patterns", len(pixels)) as line:
        for x in pixels.to(field.device, field.dtype):
            parts.append(_at(image, x, count, seed))
            line.advance()
    return Patterns(
        names=named.names if isinstance(named, ImageSet) else tuple(map(str, range(len(pixels)))),
        cost=sum((cost for _, cost in parts), NO_WORK),
        **{name: torch.stack([found[name] for found, _ in parts]) for name in parts[0][0]},
    )


def _at(image: LatentField, x: Tensor, count: int, seed: int) -> tuple[dict[str, Tensor], Cost]:
    operator = CycleOperator(image, x[None, None], replace(DEFAULT.spectra, arnoldi_error=_TOLERANCE))
    made = image(x[None])
    require_derivative(made)
    loss = (made - x).flatten().to("cpu", torch.float64).numpy()
    eigenvalues, eigenvectors = _eigen(operator, count, loss if loss.any() else operator.start)
    gains, asked = _singular(operator, count)
    answered = (
        np.stack([operator.forward(each) for each in asked]) if np.isfinite(gains).all() else np.zeros_like(asked)
    )
    kept = _kept(image, x, seed)
    shape = (count, *x.shape)
    found = {
        "rates": torch.from_numpy(np.abs(eigenvalues)),
        "turns": torch.from_numpy(np.angle(eigenvalues)),
        "growing": _shown(eigenvectors, shape),
        "gains": torch.from_numpy(gains),
        "asked": _shown(asked, shape),
        "answered": _shown(answered, shape),
        "kept": kept,
    }
    return found, operator.cost + Cost(map=1, jvp=kept.numel())


def _middle(field: LatentField, pixels: Tensor, side: int) -> Tensor:
    height, width = (min(size, side) for size in pixels.shape[-2:])
    top, left = ((size - part) // 2 for size, part in zip(pixels.shape[-2:], (height, width), strict=True))
    part = pixels[:, :, top : top + height, left : left + width]
    try:
        sized(field, part)
    except InputError:  # a model for pictures of one size
        return pixels
    return part


def _eigen(
    operator: CycleOperator, count: int, start: NDArray[np.float64]
) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    try:
        values, vectors = scipy.sparse.linalg.eigs(
            operator.linear(operator.forward),
            count,
            which="LM",
            v0=start,
            ncv=min(max(_VECTORS, 2 * count + 2), operator.field.latent_dim),
            tol=operator.tolerance,
            maxiter=_RESTARTS,
        )
    except scipy.sparse.linalg.ArpackNoConvergence as error:  # what has converged is worth showing
        values, vectors = error.eigenvalues, error.eigenvectors
    except scipy.sparse.linalg.ArpackError:
        values, vectors = np.zeros(0, np.complex128), np.zeros((operator.field.latent_dim, 0), np.complex128)
    order = np.argsort(-np.abs(values), kind="stable")[:count]
    found = np.full(count, complex(np.nan, np.nan))
    found[: len(order)] = values[order]
    real = np.zeros((count, operator.field.latent_dim))
    for row, vector in enumerate(vectors[:, order].T):
        turned = vector * np.exp(-1j * np.angle(vector[np.abs(vector).argmax()]))  # the phase in which it is most real
        real[row] = turned.real
    return found, real


def _singular(operator: CycleOperator, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    k = operator.field.latent_dim
    try:
        squares, vectors = scipy.sparse.linalg.eigsh(
            operator.linear(lambda direction: operator.adjoint(operator.forward(direction))),
            count,
            which="LM",
            v0=operator.start,
            ncv=min(max(_VECTORS // 2, 2 * count + 2), k),
            tol=operator.tolerance,
            maxiter=_RESTARTS,
        )
    except scipy.sparse.linalg.ArpackError:
        return np.full(count, np.nan), np.zeros((count, k))
    order = np.argsort(-squares, kind="stable")
    return np.sqrt(np.maximum(squares[order], 0.0)), np.ascontiguousarray(vectors[:, order].T)


def _kept(image: LatentField, x: Tensor, seed: int) -> Tensor:
    """``(4, 2)`` ⟨b, J b⟩/⟨b, b⟩ of noise b in each band, grey and colour; NaN where there is none such."""
    channels, height, width = x.shape
    drawn = torch.from_numpy(gaussian(seed, 0, channels, height * width)).reshape(channels, height, width)
    tangents, places = [], []
    for band in range(len(BANDS)):
        mask = band_mask(band, height, width)
        for kind in range(len(KINDS)):
            grey = drawn[:1].expand_as(drawn)
            noise = grey if kind == 0 else drawn - drawn.mean(dim=0, keepdim=True)
            inside = noise * mask
            if float(inside.abs().max()) > 0:
                planes = scipy.fft.idctn(inside.numpy(), axes=(-2, -1), norm="ortho")
                tangents.append(torch.from_numpy(planes))
                places.append((band, kind))
    kept = torch.full((len(BANDS), len(KINDS)), torch.nan, dtype=torch.float64)
    if tangents:
        b = torch.stack(tangents).to(x)
        moved = image.jvp(x.expand_as(b).contiguous(), b)
        ratios = (b * moved).flatten(1).sum(dim=1).to(torch.float64) / b.square().flatten(1).sum(dim=1)
        for (band, kind), ratio in zip(places, ratios.tolist(), strict=True):
            kept[band, kind] = ratio
    return kept


def _shown(vectors: NDArray[np.float64], shape: tuple[int, ...]) -> Tensor:
    """Turn vectors into pictures around 0, the largest value of each 1."""
    rows = torch.from_numpy(vectors.copy()).reshape(shape)
    largest = rows.flatten(1).abs().amax(dim=1).clamp(min=torch.finfo(torch.float64).tiny)
    return (rows / largest.reshape(-1, *[1] * (rows.ndim - 1))).to(torch.float32)
