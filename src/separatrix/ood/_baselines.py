"""This file tells what a detector has to beat, on the same latents: neighbours, one Gaussian, the reconstruction, the first step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.numerics.counter_random import uniform
from separatrix.ood._detector import Detector

Reduce = Literal["kth", "mean"]

_ELEMENTS_AT_ONCE = 2**22  # entries of one block of the distance table


class KNNDetector(Detector):
    """Distance to the k-th nearest of the training latents (Sun et al. 2022), or the mean over the k nearest.

    Args:
        field: the latent field; only its encoder is used.
        k: which neighbour.
        reduce: ``"kth"`` or ``"mean"``.
        normalize: compare unit vectors, as Sun et al. do for classifiers' features.
        bank: keep at most so many training latents, a random choice.

    Distances are float64 differences, not matrix products, so a training latent itself has distance exactly 0. Cost: half a
    map evaluation and ``bank`` distances per input.
    """

    kind: ClassVar[str] = "knn"

    @checked
    def __init__(
        self, field: LatentField, *, k: int = 10, reduce: Reduce = "kth", normalize: bool = False, bank: int = 5000
    ) -> None:
        super().__init__(field)
        if k < 1 or bank < 1 or reduce not in get_args(Reduce):
            raise InputError(
                f"k and bank are at least 1 and reduce is 'kth' or 'mean', not {k}, {bank} and {reduce!r}."
            )
        self.k, self.reduce, self.normalize, self.bank = k, reduce, normalize, bank
        self._bank = torch.empty(0, 0, dtype=torch.float64)

    def _fit(self, latents: Tensor, data: Tensor | None) -> None:  # noqa: ARG002
        flat = self._flat(latents)
        if len(flat) > self.bank:
            flat = flat[torch.from_numpy(uniform(0, 0, len(flat), 1)[:, 0]).argsort()[: self.bank].sort().values]
        self._bank = flat

    def _score(self, latents: Tensor, data: Tensor | None) -> Tensor:  # noqa: ARG002
        flat = self._flat(latents)
        k = min(self.k, len(self._bank))
        width = max(1, _ELEMENTS_AT_ONCE // len(self._bank))
        nearest = [
            torch.cdist(rows, self._bank, compute_mode="donot_use_mm_for_euclid_dist")
            .topk(k, dim=1, largest=False)
            .values
            for rows in flat.split(width)
        ]
        distances = torch.cat(nearest)
        scores = distances.amax(dim=1) if self.reduce == "kth" else distances.mean(dim=1)
        return torch.where(flat.isfinite().all(dim=1) & scores.isfinite(), scores, torch.nan)

    def _flat(self, latents: Tensor) -> Tensor:
        flat = latents.flatten(1).to("cpu", torch.float64)
        return flat / flat.norm(dim=1, keepdim=True).clamp(min=1e-300) if self.normalize else flat

    def options(self) -> dict[str, Any]:
        return {"k": self.k, "reduce": self.reduce, "normalize": self.normalize, "bank": self.bank}

    def state(self) -> dict[str, Tensor]:
        return {"bank": self._bank}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._bank = state["bank"]


class MahalanobisDetector(Detector):
    """√((z − μ)ᵀ Σ⁻¹ (z − μ)), Σ shrunk after Ledoit & Wolf (2004), of the training latents. Cost: half a map evaluation."""

    kind: ClassVar[str] = "mahalanobis"

    def __init__(self, field: LatentField) -> None:
        super().__init__(field)
        self._mean = torch.empty(0, dtype=torch.float64)
        self._whiten = torch.empty(0, 0, dtype=torch.float64)

    def _fit(self, latents: Tensor, data: Tensor | None) -> None:  # noqa: ARG002
        self._mean, self._whiten = whitening(latents.flatten(1).to("cpu", torch.float64))

    def _score(self, latents: Tensor, data: Tensor | None) -> Tensor:  # noqa: ARG002
        flat = latents.flatten(1).to("cpu", torch.float64)
        scores = ((flat - self._mean) @ self._whiten).norm(dim=1)
        return torch.where(flat.isfinite().all(dim=1) & scores.isfinite(), scores, torch.nan)

    def options(self) -> dict[str, Any]:
        return {}

    def state(self) -> dict[str, Tensor]:
        return {"mean": self._mean, "whiten": self._whiten}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._mean, self._whiten = state["mean"], state["whiten"]


class _Direct(Detector):
    """A score that needs no fitting, only calibration."""

    def _fit(self, latents: Tensor, data: Tensor | None) -> None:
        """Nothing to fit."""

    def options(self) -> dict[str, Any]:
        return {}

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to restore."""


class ReconstructionDetector(_Direct):
    """‖x − D(E(x))‖₂ over all pixels. Cost: one map evaluation (an encoding and a decoding)."""

    kind: ClassVar[str] = "reconstruction"
    needs_data: ClassVar[bool] = True

    def _score(self, latents: Tensor, data: Tensor | None) -> Tensor:
        assert data is not None  # needs_data
        return reconstruction_error(self.field, latents, data)


class ResidualDetector(_Direct):
    """‖f(z) − z‖₂, the first step. Its square is twice the energy ½‖v(z)‖² of the field: the same order, so the same decisions.

    Cost: one and a half map evaluations.
    """

    kind: ClassVar[str] = "residual"

    def _score(self, latents: Tensor, data: Tensor | None) -> Tensor:  # noqa: ARG002
        lengths = torch.cat([self.field.velocity(part).flatten(1).norm(dim=1) for part in latents.split(128)])
        return torch.where(lengths.isfinite(), lengths.to(torch.float64), torch.nan)


def reconstruction_error(field: LatentField, latents: Tensor, data: Tensor) -> Tensor:
    """``(n,)`` float64 ‖x − D(z)‖₂; NaN where the decoder's output is not finite."""
    joined = torch.cat([part.flatten(1).norm(dim=1) for part in reconstruction_errors(field, latents, data)])
    return torch.where(joined.isfinite(), joined, torch.nan)


def reconstruction_errors(field: LatentField, latents: Tensor, data: Tensor) -> Iterator[Tensor]:
    """D(z) − x in float64, block by block."""
    for z, x in zip(latents.split(128), data.split(128), strict=True):
        decoded = field.decode(z)
        if decoded.shape != x.shape:
            raise InputError(
                f"The decoder returns shape {tuple(decoded.shape[1:])} for inputs of shape {tuple(x.shape[1:])}; "
                "pass inputs in the decoder's shape, or a detector that does not compare pixels."
            )
        yield decoded.to(torch.float64) - x.to(decoded.device, torch.float64)


def whitening(rows: Tensor, least: float = 1e-12) -> tuple[Tensor, Tensor]:
    """Mean μ and a matrix W with (x − μ)ᵀ Σ⁻¹ (x − μ) = ‖(x − μ)W‖², Σ the Ledoit–Wolf covariance of ``rows`` ``(n, k)``.

    Directions in which nothing varies are weighed as if their variance were the share ``least`` of the largest.
    """
    from sklearn.covariance import LedoitWolf

    shrunk = LedoitWolf().fit(rows.numpy())
    values, vectors = torch.linalg.eigh(torch.from_numpy(shrunk.covariance_))
    floor = max(least * float(values[-1]), 1e-300)
    return torch.from_numpy(shrunk.location_), (vectors / values.clamp(min=floor).sqrt()).contiguous()
