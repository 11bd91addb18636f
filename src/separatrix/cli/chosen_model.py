"""MODEL and the options that say how to load it, once for all commands."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

import typer

from separatrix.cli.exit_codes import ExitCode
from separatrix.cli.options import AllowCode, Decoder, Device, LatentShape, Model, Set, Weights
from separatrix.cli.parsing import parsed_settings, parsed_shape

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
    """A command whose second parameter is a `ChosenModel` gets MODEL and its options in that parameter's place.

    Mistakes in them are usage errors, found before anything heavy is imported.
    """
    hints = get_type_hints(command, include_extras=True)
    injected = get_type_hints(_signature, include_extras=True)
    context, chosen, *rest = inspect.signature(command).parameters.values()
    if hints[chosen.name] is not ChosenModel:
        raise TypeError(f"the second parameter of {command.__name__} must be a ChosenModel")
    names = list(inspect.signature(_signature).parameters)

    @functools.wraps(command)
    def typed(ctx: typer.Context, **arguments: Any) -> ExitCode:
        said = {name: arguments.pop(name) for name in names}
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
        return command(ctx, model, **arguments)

    parameters = [context, *inspect.signature(_signature).parameters.values(), *rest]
    typed.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            parameter.replace(
                kind=inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation={**hints, **injected}[parameter.name]
            )
            for parameter in parameters
        ]
    )
    typed.__annotations__ = {p.name: {**hints, **injected}[p.name] for p in parameters} | {"return": ExitCode}
    del typed.__wrapped__  # typer would read the command's own signature through it
    return typed
