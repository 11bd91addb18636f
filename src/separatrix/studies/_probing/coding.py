"""This file tells what a dictionary leaves of real latents, at several sparsities, before and after decoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from separatrix.data import decode_all
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.numerics import CodeStatus, SparseCodes, omp
from separatrix.storage import storable
from separatrix.studies._probing.dictionary import Dictionary


@dataclass(frozen=True)
class Signals:
    """The s latents to be coded, and what their decoded codes are compared with.

    Attributes:
        latents: ``(s, d)`` float64 on the CPU.
        targets: ``(s, p)`` float64, flattened images.
        floor: ``(s,)`` mean squared error of D(z) itself against the target: no dictionary is better, except by luck.
        peak_latent, peak_image: the ranges that PSNR refers to.
        target_words: what the targets are.
    """

    latents: Tensor
    targets: Tensor
    floor: Tensor
    peak_latent: float
    peak_image: float
    target_words: str

    def __len__(self) -> int:
        return len(self.latents)


@storable
@dataclass(frozen=True)
class CodingErrors:
    """Errors of s signals with one dictionary at l sparsities.

    Attributes:
        latent: ``(s, l)`` float64, ‖z − ẑ‖²/d.
        image: ``(s, l)`` float64, ‖x − D(ẑ)‖²/p.
        ended_early: ``(l,)`` float64, share of the signals that got fewer atoms than the sparsity allows, because no atom
            that is left would reduce the residual beyond rounding.
    """

    latent: Tensor
    image: Tensor
    ended_early: Tensor

    def of(self, space: str) -> Tensor:
        """``(s, l)`` of one space, "latent" or "image"."""
        return self.latent if space == "latent" else self.image


def signals_of(field: LatentField, latents: Tensor, images: Tensor | None) -> Signals:
    """Latents ``(s, *latent_shape)`` with their images, or with their own decodings where no images are given.

    Cost: half a map evaluation (one decoding) per latent.
    """
    flat = latents.detach().flatten(1).to("cpu", torch.float64)
    if not bool(flat.isfinite().all()):
        raise InputError("Some latents are NaN or infinite; leave their images out.")
    own = decoded(field, flat)
    targets = own if images is None else images.detach().flatten(1).to("cpu", torch.float64)
    if targets.shape != own.shape:
        raise InputError(
            f"The images have {targets.shape[1]:,} values each and the decoder makes {own.shape[1]:,}; "
            "pass images of the decoder's shape."
        )
    low, high = float(targets.min()), float(targets.max())
    return Signals(
        latents=flat,
        targets=targets,
        floor=(own - targets).square().mean(dim=1),
        peak_latent=float(flat.max() - flat.min()),
        peak_image=1.0 if low >= 0 and high <= 1 else high - low,
        target_words="the model's own decoding of the latents" if images is None else "the images",
    )


def coding_errors(
    field: LatentField, signals: Signals, dictionary: Dictionary, sparsities: Sequence[int]
) -> CodingErrors:
    """Orthogonal matching pursuit of all signals over the distinct atoms, decoded at each sparsity.

    Where the dictionary has fewer atoms than a sparsity asks for, all of them are the code.

    Cost: half a map evaluation per signal and sparsity.
    """
    atoms = dictionary.distinct.to(field.device)
    codes = omp(signals.latents.to(field.device), atoms, sparsities)
    latent, image, ended = [], [], []
    previous: tuple[int, Tensor, Tensor] | None = None
    for wanted in sparsities:
        level = codes.sparsities.index(min(wanted, min(atoms.shape)))
        if previous is None or previous[0] != level:
            rebuilt = codes.reconstruct(atoms, level).cpu()
            error = (decoded(field, rebuilt) - signals.targets).square().mean(dim=1)
            previous = level, (rebuilt - signals.latents).square().mean(dim=1), error
        latent.append(previous[1])
        image.append(previous[2])
        ended.append(float((_used(codes, level) < wanted).double().mean()))
    return CodingErrors(torch.stack(latent, dim=1), torch.stack(image, dim=1), torch.tensor(ended, dtype=torch.float64))


def reconstructions(
    field: LatentField, latents: Tensor, dictionary: Dictionary, sparsities: Sequence[int]
) -> list[Tensor]:
    """D(ẑ) of a few latents ``(s, d)``, one tensor ``(s, …)`` per sparsity: the pictures of `coding_errors`."""
    atoms = dictionary.distinct.to(field.device)
    codes = omp(latents.to(field.device), atoms, sparsities)
    pictures = []
    for wanted in sparsities:
        rebuilt = codes.reconstruct(atoms, codes.sparsities.index(min(wanted, min(atoms.shape))))
        z = rebuilt.to(field.device, field.dtype).reshape(-1, *field.latent_shape)
        pictures.append(field.decode(z).detach().to("cpu", torch.float64))
    return pictures


def decoded(field: LatentField, flat: Tensor) -> Tensor:
    """D of flattened latents ``(s, d)`` as ``(s, p)`` float64 on the CPU, in chunks."""
    return decode_all(field, flat.reshape(-1, *field.latent_shape)).flatten(1).to(torch.float64)


def _used(codes: SparseCodes, level: int) -> Tensor:
    """``(s,)`` atoms chosen up to a level; none for a signal that could not be coded."""
    chosen = (codes.support[:, : codes.sparsities[level]] >= 0).sum(dim=1)
    return torch.where(codes.status == int(CodeStatus.NONFINITE), 0, chosen)
