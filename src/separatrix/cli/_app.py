"""The program: its commands, and what ``separatrix --help`` says."""

from __future__ import annotations

from typing import Annotated

import typer

from separatrix.cli._attractors import attractors
from separatrix.cli._audit import audit
from separatrix.cli._bundles import with_shared_options
from separatrix.cli._copy import copy
from separatrix.cli._demo import demo
from separatrix.cli._diff import diff
from separatrix.cli._doctor import doctor
from separatrix.cli._drift import drift
from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._explore import explore
from separatrix.cli._film import film
from separatrix.cli._gallery import gallery
from separatrix.cli._group import OneSentenceCommand, OneSentenceGroup
from separatrix.cli._ood import ood
from separatrix.cli._options import Traceback
from separatrix.cli._probe import probe
from separatrix.cli._runs import report
from separatrix.cli._runs_group import runs
from separatrix.cli._train_decoder import train_decoder

# Typer makes a line of every paragraph of an epilog.
_EXIT_CODES = "\n\n".join(["Exit codes:", *(f"{int(code):>3}  {code.sentence}" for code in ExitCode)])

app = typer.Typer(
    name="separatrix",
    cls=OneSentenceGroup,
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


for _command in (
    demo,
    attractors,
    audit,
    probe,
    drift,
    film,
    diff,
    doctor,
    train_decoder,
    explore,
    gallery,
    report,
    copy,
):
    app.command(cls=OneSentenceCommand)(with_shared_options(_command))
app.add_typer(ood)
app.add_typer(runs)
