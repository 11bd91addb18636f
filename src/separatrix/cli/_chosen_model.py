"""MODEL and the options that say how to load it, once for all commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import typer

from separatrix.cli._options import AllowCode, Decoder, Device, LatentShape, Model, Set, Weights
from separatrix.cli._parsing import parsed_settings, parsed_shape

if TYPE_CHECKING:
    from separatrix.field import LatentField


@dataclass(frozen=True)
class ChosenModel:
    """It tells what the command line says about the model; nothing is loaded yet.

    Attributes:
        spec: the argument MODEL.
        given: the other options as they were typed, ``"--weights"`` → value, those that were not left out.
        settings: the values of ``--set``, as they were typed.
        allow_code: ``--allow-code``.
        latent_shape: parsed.
        options: the settings, parsed.
    """

    spec: str
    given: Mapping[str, str]
    settings: tuple[str, ...]
    allow_code: bool
    latent_shape: tuple[int, ...] | None
    options: Mapping[str, str]

    @classmethod
    def of(
        cls,
        ctx: typer.Context,
        model: Model,
        weights: Weights = None,
        latent_shape: LatentShape = None,
        decoder: Decoder = None,
        settings: Set = None,
        allow_code: AllowCode = False,
        device: Device = None,
    ) -> Self:
        """The bundle of these options, in the order of ``--help``."""
        texts = {"--weights": weights, "--latent-shape": latent_shape, "--decoder": decoder, "--device": device}
        return cls(
            spec=model,
            given={option: text for option, text in texts.items() if text is not None},
            settings=tuple(settings or ()),
            allow_code=allow_code,
            latent_shape=parsed_shape(ctx, latent_shape),
            options=parsed_settings(ctx, settings),
        )

    @property
    def reads(self) -> tuple[str, ...]:
        """The files and folders that it is read from."""
        return (self.spec, *self.given.values())

    @property
    def origin(self) -> str:
        """Give the spec where `separatrix.load` needs nothing else; weights, a decoder or a setting make it another model."""
        others = self.settings or self.given.keys() - {"--device"}
        return "" if others else self.spec

    def load(self) -> LatentField:
        """The field; see `separatrix.load`."""
        from separatrix.models import load

        return load(
            self.spec,
            weights=self.given.get("--weights"),
            latent_shape=self.latent_shape,
            decoder=self.given.get("--decoder"),
            options=dict(self.options),
            allow_code=self.allow_code,
            device=self.given.get("--device"),
        )
