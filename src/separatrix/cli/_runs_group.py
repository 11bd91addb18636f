"""``separatrix runs``: runs are listed, looked at, and helped with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text
from typer.core import TyperGroup

from separatrix.cli._bundles import with_shared_options
from separatrix.cli._chosen_model import ChosenModel
from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._group import OneSentenceCommand
from separatrix.cli._options import BatchSize
from separatrix.cli._place import RUNS
from separatrix.cli._tables import table
from separatrix.cli._terminal import Terminal
from separatrix.words import duration

if TYPE_CHECKING:
    from separatrix.runs import Shown

_LIST = "list"
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", show_default=False, help="The folder of a run.")]


class _ListsByDefault(TyperGroup):
    """A group that lists runs where no command of it is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command in its place."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = [_LIST, *args]
        return super().parse_args(ctx, args)


runs = typer.Typer(
    name="runs", cls=_ListsByDefault, rich_markup_mode="rich", help="List runs, look at one, or help with one."
)


def list_runs(
    ctx: typer.Context,
    place: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where runs lie, or one run.")
    ] = RUNS,
) -> ExitCode:  # fmt: skip
    """List runs with their state, recipe, model and age, the newest first.

    A run that was stopped goes on when the command that began it is given again.
    """
    terminal: Terminal = ctx.obj
    from separatrix.runs import listed

    entries = list(listed(place))
    if not entries:
        terminal.show(Text(f"There are no runs in {place}."))
    else:
        rows = [
            (str(each.folder), each.state, each.recipe, each.model, str(each.stages), f"{duration(each.age)} ago")
            for each in entries
        ]
        terminal.show(table(("run", "state", "recipe", "model", "stages", "last stored"), rows, words=(0, 1, 2, 3)))
    if terminal.quiet:
        for each in entries:
            terminal.line(f"{each.folder}\t{each.state}")
    terminal.document(
        {
            "runs": [
                {"folder": str(each.folder), "state": each.state, "recipe": each.recipe, "model": each.model,
                 "stages": each.stages, "age_seconds": each.age}
                for each in entries
            ],
            "exit_code": int(ExitCode.OK),
        }
    )  # fmt: skip
    return ExitCode.OK


def show(ctx: typer.Context, run: RunArgument) -> ExitCode:
    """Show how far a run is, how fast, how long it takes still, and who works on it.

    [bold]separatrix runs show runs/my_model-1[/bold]
    """
    terminal: Terminal = ctx.obj
    from separatrix.runs import shown

    found = shown(run)
    moment = found.moment
    rows = [
        ("state", found.state if found.owner is None else f"{found.state} by {found.owner}"),
        ("recipe", found.recipe),
        ("stored", ", ".join(found.stages) or "no stage yet"),
        *(() if not moment else _progress(found)),
        *((str(each["name"]), _worker(each)) for each in found.workers),
    ]
    terminal.show(table(("run", str(run)), rows, words=(0, 1)))
    if terminal.quiet:
        terminal.line(found.state)
    terminal.document(
        {
            "folder": str(run), "state": found.state, "recipe": found.recipe, "stages": list(found.stages), "owner": found.owner,
            "progress": dict(moment) or None, "workers": [dict(each) for each in found.workers], "exit_code": int(ExitCode.OK),
        }
    )  # fmt: skip
    return ExitCode.OK


def work(
    ctx: typer.Context,
    run: RunArgument,
    model: ChosenModel,
    part: Annotated[
        int, typer.Option("--part", min=0, metavar="I", help="Number of this worker among many, such as $SLURM_ARRAY_TASK_ID.")
    ] = 0,
    wait: Annotated[
        float, typer.Option("--wait", min=0, metavar="SECONDS", help="Stay so long where nobody gives any parts.")
    ] = 600.0,
    batch_size: BatchSize = None,
) -> ExitCode:  # fmt: skip
    """Help with a run that was begun with --engine folder, until it is finished.

    MODEL and its options are those of the command that began the run: a worker
    loads nothing that the folder says, and refuses to work with another model.
    As many workers as you like may come and go at any time, on all machines
    that see the folder.

    [bold]separatrix attractors my_model.py:load --noise 1000000 --out big --engine folder[/bold]

    [bold]separatrix runs work big my_model.py:load --part $SLURM_ARRAY_TASK_ID[/bold]
    """
    terminal: Terminal = ctx.obj
    from separatrix.runs import work as helped

    done = helped(run, model.load().with_batch_size(batch_size), part=part, wait=wait)
    terminal.line(f"{run} is finished; {done} of its parts were computed here.")
    terminal.document({"folder": str(run), "parts": done, "exit_code": int(ExitCode.OK)})
    return ExitCode.OK


def _progress(found: Shown) -> list[tuple[str, str]]:
    moment = found.moment
    done = f"{moment['done']:,.0f}" + ("" if moment["total"] is None else f" of {moment['total']:,.0f}")
    rest = "not known yet" if moment["seconds_left"] is None else f"about {duration(moment['seconds_left'])}"
    return [
        ("doing", ", ".join(dict.fromkeys(moment["stages"]))),
        ("done", f"{done}, {moment['per_second']:,.1f} per second"),
        ("whole", f"{100 * moment['fraction']:.0f} % after {duration(moment['seconds'])}, {rest} left"),
        ("computed by", str(moment["engine"])),
    ]


def _worker(each: Any) -> str:
    owner = each.get("owner") or {}
    return f"process {owner.get('pid')} on {owner.get('host')}, {each.get('parts')} parts"


for _name, _command in ((_LIST, list_runs), ("show", show), ("work", work)):
    runs.command(_name, cls=OneSentenceCommand)(with_shared_options(_command))
