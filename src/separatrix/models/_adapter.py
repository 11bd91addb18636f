"""This file tells what every family of foundation models becomes: one module with encode, decode and its own preprocessing."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from separatrix.field import LatentField
from separatrix.models._preprocessing import Preprocessing


class ModelAdapter(nn.Module):
    """A model of some library with the face of an autoencoder.

    A module, so that copying it to another number format or device takes the preprocessing constants along.
    A subclass implements :meth:`encode` and :meth:`decode`.

    Attributes:
        family: name of its family.
        latent_shape: shape of one latent.
        units: what one unit of the latent space is.
        preprocessing: what stands between decoder and encoder; None where data are not images.
        notes: sentences on what was decided, for `doctor`.
        quantised: the map is piecewise constant, so its Jacobian says nothing.
    """

    family: str = ""
    latent_shape: tuple[int, ...] = ()
    units: str = "the model's own latent units"
    preprocessing: Preprocessing | None
    notes: tuple[str, ...] = ()
    quantised: bool = False

    def __init__(self) -> None:
        super().__init__()
        # Here and not on the class: a class attribute would hide the submodule of the same name.
        self.preprocessing = None

    def encode(self, x: Tensor) -> Tensor:
        """E(x): data ``(n, …)``, images in [0, 1] where data are images, to latents ``(n, *latent_shape)``."""
        raise NotImplementedError

    def decode(self, z: Tensor) -> Tensor:
        """D(z): latents ``(n, *latent_shape)`` to data."""
        raise NotImplementedError

    @property
    def model_class(self) -> str:
        """Class of the model inside."""
        return type(self).__name__

    def field(self, name: str, **details: Any) -> LatentField:
        """The latent map of this model, with what was decided about it in ``field.details``; puts the model in eval mode."""
        # Flag by flag as a guest does: an exported program raises on eval(). What an adapter holds was loaded for the
        # field, so nobody trains it on; a user's own module goes to LatentField and keeps its mode.
        for part in self.modules():
            part.training = False
        return LatentField(
            self.encode,
            self.decode,
            latent_shape=self.latent_shape,
            name=name,
            units=self.units,
            details=self.describe() | details,
        )

    def describe(self) -> dict[str, Any]:
        """JSON-ready: family, class, preprocessing, notes."""
        return {
            "family": self.family,
            "class": self.model_class,
            "preprocessing": None if self.preprocessing is None else self.preprocessing.describe(),
            "quantised": self.quantised,
            "notes": list(self.notes),
        }


def adapter_of(field: LatentField) -> ModelAdapter | None:
    """The adapter behind a field, None if it was made otherwise."""
    return next((module for module in field.modules if isinstance(module, ModelAdapter)), None)
