"""``separatrix ood``: its commands."""

from __future__ import annotations

import typer

from separatrix.cli._bundles import with_shared_options
from separatrix.cli._group import OneSentenceCommand
from separatrix.cli._ood_export import export
from separatrix.cli._ood_fit import fit
from separatrix.cli._ood_monitor import monitor
from separatrix.cli._ood_score import score

ood = typer.Typer(name="ood", rich_markup_mode="rich")


@ood.callback(invoke_without_command=True)
def _group(ctx: typer.Context) -> None:
    """Tell inputs like the training data from others, with a false-alarm rate that holds.

    [bold]separatrix ood fit my_model.py:load --data held_out/ --out detector[/bold]

    [bold]separatrix ood score detector my_model.py:load photos/ --out scores.csv --fpr 0.01[/bold]

    [bold]separatrix ood monitor detector scores.csv --fpr 0.01[/bold]
    """
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


for _command in (fit, score, monitor, export):
    ood.command(cls=OneSentenceCommand)(with_shared_options(_command))
