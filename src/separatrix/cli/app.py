"""The program: its commands, and what ``separatrix --help`` says."""

from __future__ import annotations

from typing import Annotated

import typer

from separatrix.cli.attractors import attractors
from separatrix.cli.audit import audit
from separatrix.cli.demo import demo
from separatrix.cli.diff import diff
from separatrix.cli.doctor import doctor
from separatrix.cli.exit_codes import ExitCode
from separatrix.cli.film import film
from separatrix.cli.group import OneSentenceCommand, OneSentenceGroup
from separatrix.cli.ood import ood
from separatrix.cli.options import Traceback
from separatrix.cli.probe import probe
from separatrix.cli.train_decoder import train_decoder

# Typer makes a line of every paragraph of an epilog.
_EXIT_CODES = "\n\n".join(["Exit codes:", *(f"{int(code):>3}  {code.sentence}" for code in ExitCode)])

app = typer.Typer(
    name="separatrix",
    cls=OneSentenceGroup,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"separatrix {version('separatrix')}")
        raise typer.Exit


@app.callback(invoke_without_command=True, epilog=_EXIT_CODES)
def separatrix(
    ctx: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    _traceback: Traceback = False,
) -> None:
    """Read a trained autoencoder as a dynamical system on its latent space: f(z) = encode(decode(z)).

    New here? [bold]separatrix demo[/bold] trains three small models and shows what they remember, in half a minute.

    With a model of your own: [bold]separatrix doctor my_model.py:load[/bold] first, then
    [bold]separatrix attractors my_model.py:load --data images/[/bold].
    """
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


for _command in (demo, attractors, audit, probe, film, diff, doctor, train_decoder):
    app.command(cls=OneSentenceCommand)(_command)
app.add_typer(ood)
