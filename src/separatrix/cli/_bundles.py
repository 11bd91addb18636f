"""Options that commands have in common: a bundle of them is one parameter, and every command has the last three.

A bundle is a class whose classmethod ``of`` takes the context and the options of the bundle, each with its annotation for typer.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import typer

from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._options import Json, Quiet, Traceback


def _every(_json: Json = False, _quiet: Quiet = False, _traceback: Traceback = False) -> None:
    """The options of every command; `Terminal.for_arguments` reads them before anything is parsed."""


def with_shared_options(command: Callable[..., ExitCode]) -> Callable[..., ExitCode]:
    """The command as typer is to see it: bundles are the options that they consist of, and those of every command come last.

    Mistakes in the options of a bundle are usage errors, found before anything heavy is imported.
    """
    own = _parameters(command)
    bundles = {one.name: one.annotation.of for one in own if hasattr(one.annotation, "of")}
    parts = {name: [one for one in _parameters(make) if one.name != "ctx"] for name, make in bundles.items()}
    every = _parameters(_every)

    @functools.wraps(command)
    def typed(ctx: typer.Context, **arguments: Any) -> ExitCode:
        for one in every:
            del arguments[one.name]
        for name, make in bundles.items():
            arguments[name] = make(ctx, **{part.name: arguments.pop(part.name) for part in parts[name]})
        return command(ctx, **arguments)

    shown = [*(part for one in own for part in parts.get(one.name, [one])), *every]
    # Keyword-only, so that what must be given may follow what need not be; typer passes everything by name.
    shown = [one if one.name == "ctx" else one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in shown]
    typed.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    typed.__annotations__ = {one.name: one.annotation for one in shown} | {"return": ExitCode}
    del typed.__wrapped__  # typer would read the command's own signature through it
    return typed


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Its parameters with their annotations evaluated."""
    hints = get_type_hints(function, include_extras=True)
    return [one.replace(annotation=hints[one.name]) for one in inspect.signature(function).parameters.values()]
