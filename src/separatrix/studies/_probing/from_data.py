"""Controls that need data: principal directions and real latents, never of the images that are coded."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from separatrix.errors import InputError
from separatrix.numerics._duplicates import representatives
from separatrix.studies._probing.dictionary import Dictionary, Role


@dataclass(frozen=True)
class Split:
    """Signals to be coded, and other real latents.

    Attributes:
        latents: ``(s, *latent_shape)`` to be coded.
        images: their images, or None.
        others: ``(r, d)`` float64, latents for the controls; maybe none.
        left_out: items of the reference that are copies of coded ones, or of each other (near-copies too, see
            :func:`~separatrix.numerics._duplicates.representatives`).
        absent: why there are no controls from data, where there are none.
    """

    latents: Tensor
    images: Tensor | None
    others: Tensor
    left_out: int
    absent: tuple[str, ...]


def apart(latents: Tensor, images: Tensor | None, others: Tensor | None, other_images: Tensor | None) -> Split:
    """Signals and a reference that shares no item with them; without a reference half of the signals become one."""
    if others is None:
        half = (len(latents) + 1) // 2 if len(latents) >= 4 else len(latents)
        latents, others = latents[:half], latents[half:]
        if images is not None:
            images, other_images = images[:half], images[half:]
    items, other_items = (latents, others) if images is None or other_images is None else (images, other_images)
    together = torch.cat([part.detach().flatten(1).cpu() for part in (items, other_items)])
    itself = representatives(together, "euclidean") == torch.arange(len(together))
    kept = itself[len(items) :].nonzero().squeeze(1)
    chosen = others[kept.to(others.device)].detach().flatten(1).to("cpu", torch.float64)
    chosen = chosen[chosen.isfinite().all(dim=1)]
    if len(latents) < 2:
        raise InputError(f"A comparison needs at least 2 images to be coded, not {len(latents)}; give more.")
    absent = () if len(chosen) else ("No PCA and no real latents: there are no images besides those that are coded.",)
    return Split(latents, images, chosen, len(others) - len(kept), absent)


def principal_directions(latents: Tensor, count: int) -> Dictionary:
    """The right singular vectors of real latents ``(r, d)``, largest first, at most ``count``.

    Not centred: a code is a combination of atoms without a constant, so the mean is a direction like others. Of all
    subspaces of k dimensions the first k of them leave the least of these latents (Eckart & Young 1936).
    """
    found = torch.linalg.svd(latents.to(torch.float64), full_matrices=False)
    rank = max(int((found.S[0] * max(latents.shape) * torch.finfo(torch.float64).eps < found.S).sum()), 1)
    atoms = found.Vh[: min(rank, count)]
    return Dictionary(Role.PCA, atoms, f"{len(atoms):,} principal directions of {len(latents):,} other real latents")


def real_latents(latents: Tensor, count: int) -> Dictionary:
    """The first ``count`` real latents as they are."""
    atoms = latents[:count].to(torch.float64)
    return Dictionary(Role.REAL, atoms, f"{len(atoms):,} latents of other images")
