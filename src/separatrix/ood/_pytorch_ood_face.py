"""A detector with the method names of pytorch-ood (higher = more OOD there, too); the package itself is not needed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import torch
from torch import Tensor

from separatrix.errors import InputError
from separatrix.ood._detector import Detector


class PytorchOODFace:
    """``fit(data_loader)``, ``fit_features``, ``predict``, ``predict_features``, and calls, around a `Detector`.

    Loaders yield batches of inputs or (inputs, labels); by pytorch-ood's convention a negative label marks OOD, and such
    inputs are left out of fitting.

    >>> from separatrix import LatentField
    >>> from separatrix.ood import ResidualDetector
    >>> field = LatentField.from_map(lambda z: 0.5 * z, latent_shape=(1,))
    >>> batches = [(torch.arange(8.0)[:, None], torch.zeros(8)), (torch.full((4, 1), 99.0), -torch.ones(4))]
    >>> PytorchOODFace(ResidualDetector(field)).fit(batches)(torch.tensor([[8.0]])).tolist()
    [2.0]
    """

    requires_fit = True

    def __init__(self, detector: Detector) -> None:
        self.detector = detector

    def __repr__(self) -> str:
        return f"PytorchOODFace({self.detector!r})"

    def fit(self, data_loader: Iterable[Any]) -> Self:
        """Fit and calibrate on the ID inputs of a loader."""
        parts = []
        for batch in data_loader:
            x, y = batch if isinstance(batch, (tuple, list)) else (batch, None)
            parts.append(x if y is None else x[torch.as_tensor(y) >= 0])
        if not parts:
            raise InputError("The loader is empty; give batches of ID inputs.")
        self.detector.fit(torch.cat(parts))
        return self

    def fit_features(self, z: Tensor, y: Tensor | None = None) -> Self:
        """Fit and calibrate on latents; those with a negative label are left out."""
        self.detector.fit_features(z if y is None else z[torch.as_tensor(y) >= 0])
        return self

    def predict(self, x: Tensor) -> Tensor:
        """Scores of inputs, higher = more OOD."""
        return self.detector.score(x)

    def predict_features(self, z: Tensor) -> Tensor:
        """Scores of latents, higher = more OOD."""
        return self.detector.score_features(z)

    __call__ = predict
