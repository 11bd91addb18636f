"""MODEL and the options that say how to load it, once for all commands."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

import typer

from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._options import AllowCode, Decoder, Device, LatentShape, Model, Set, Weights
from separatrix.cli._parsing import parsed_settings, parsed_shape

if TYPE_CHECKING:
    from separatrix.field import LatentField


@dataclass(frozen=True)
class ChosenModel:
    """What the command line says about the model; nothing is loaded yet.

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

    @property
    def reads(self) -> tuple[str, ...]:
        """The files and folders that it is read from."""
        return (self.spec, *self.given.values())

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


# The parameters that a command with a model has, in the order of --help.
def _signature(
    model: Model,
    weights: Weights = None,
    latent_shape: LatentShape = None,
    decoder: Decoder = None,
    settings: Set = None,
    allow_code: AllowCode = False,
    device: Device = None,
) -> None: ...


def takes_model(command: Callable[..., ExitCode]) -> Callable[..., ExitCode]:
    """A command with a parameter that is a `ChosenModel` gets MODEL and its options in that parameter's place.

    Mistakes in them are usage errors, found before anything heavy is imported.
    """
    hints = get_type_hints(command, include_extras=True)
    injected = inspect.signature(_signature).parameters
    hints_of_model = get_type_hints(_signature, include_extras=True)
    (chosen,) = (name for name, hint in hints.items() if hint is ChosenModel)

    @functools.wraps(command)
    def typed(ctx: typer.Context, **arguments: Any) -> ExitCode:
        said = {name: arguments.pop(name) for name in injected}
        options = ("--weights", "--latent-shape", "--decoder", "--device")
        texts = {option: said[option[2:].replace("-", "_")] for option in options}
        model = ChosenModel(
            spec=said["model"],
            given={option: text for option, text in texts.items() if text is not None},
            settings=tuple(said["settings"] or ()),
            allow_code=said["allow_code"],
            latent_shape=parsed_shape(ctx, said["latent_shape"]),
            options=parsed_settings(ctx, said["settings"]),
        )
        return command(ctx, **{chosen: model}, **arguments)

    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        parts = injected.values() if name == chosen else [parameter]
        known = hints_of_model if name == chosen else hints
        parameters += [
            # Keyword-only, so that what must be given may follow what need not be; typer passes everything by name.
            part.replace(
                kind=part.kind if part.name == "ctx" else inspect.Parameter.KEYWORD_ONLY, annotation=known[part.name]
            )
            for part in parts
        ]
    typed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    typed.__annotations__ = {part.name: part.annotation for part in parameters} | {"return": ExitCode}
    del typed.__wrapped__  # typer would read the command's own signature through it
    return typed
