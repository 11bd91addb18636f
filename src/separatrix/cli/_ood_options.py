"""The arguments that several ``ood`` commands share, and how they are understood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from separatrix.cli._parsing import usage_error

if TYPE_CHECKING:
    from separatrix.ood import AlarmBudget

Folder = Annotated[
    str, typer.Argument(metavar="DETECTOR", show_default=False, help="The folder that separatrix ood fit wrote.")
]
Fpr = Annotated[
    str,
    typer.Option("--fpr", metavar="RATE",
                 help="False alarms per input that is like the training data: 0.01, 5/10000, or '5 a day at 10000 images a day'."),
]  # fmt: skip


def parsed_rate(ctx: typer.Context, text: str) -> float | AlarmBudget:
    """``"0.01"``, or a budget."""
    try:
        rate = float(text)
    except ValueError:
        from separatrix.errors import InputError
        from separatrix.ood import AlarmBudget

        try:
            return AlarmBudget.parse(text)
        except InputError as error:
            raise usage_error(ctx, "--fpr", str(error)) from error
    if not 0 < rate < 1:
        raise usage_error(ctx, "--fpr", f"a rate lies between 0 and 1, not at {text}; give one such as 0.01.")
    return rate
