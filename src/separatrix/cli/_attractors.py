"""``separatrix attractors``."""

from __future__ import annotations

import warnings
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from separatrix.cli._attractors_output import forecast_tables, header, limit_sets, sensitivity_table, statuses, verdict
from separatrix.cli._chosen_model import ChosenModel
from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._options import (
    STARTS,
    STARTS_PANEL,
    BatchSize,
    Data,
    Scale,
    Seed,
    Size,
)
from separatrix.cli._parsing import parsed_box, size_of_images, usage_error
from separatrix.cli._place import ExploredOutput, name_of_run
from separatrix.cli._terminal import Terminal
from separatrix.cli._workers import Computing

if TYPE_CHECKING:
    from separatrix.field import LatentField
    from separatrix.protocol import Protocol, Rounds
    from separatrix.starts import Starts

_RULES, _TRAINING = "The rules of the count", "What the model was trained on"
_IN_A_PART = 32  # rows at least, where parts were asked for


class Preset(StrEnum):
    """The protocols that have a name."""

    DEFAULT = "default"
    PAPER = "paper"
    PAPER_FOUNDATION = "paper-foundation"


class Precision(StrEnum):
    """Number formats of the transit."""

    NATIVE = "native"
    FLOAT64 = "float64"


def attractors(
    ctx: typer.Context,
    model: ChosenModel,
    data: Data = None,
    size: Size = None,
    scale: Scale = None,
    noise: Annotated[
        int | None,
        typer.Option("--noise", min=1, metavar="N", rich_help_panel=STARTS_PANEL,
                     help=f"Start from N draws from N(0, 1) per coordinate; without any choice, {STARTS} of them."),
    ] = None,
    std: Annotated[
        float, typer.Option("--std", metavar="σ", help="Draw from N(0, σ²) instead.", rich_help_panel=STARTS_PANEL)
    ] = 1.0,
    box: Annotated[
        list[str] | None,
        typer.Option("--box", metavar="LOW,HIGH", rich_help_panel=STARTS_PANEL,
                     help="Start uniformly from a box; once for all coordinates, or once for each."),
    ] = None,
    starts: Annotated[
        int | None,
        typer.Option("--starts", min=1, metavar="N", rich_help_panel=STARTS_PANEL,
                     help=f"At most so many of the data, or so many in the box; {STARTS} if not given."),
    ] = None,
    train: Annotated[
        str | None,
        typer.Option("--train", metavar="SOURCE", rich_help_panel=_TRAINING,
                     help="Its training images: every attractor is compared with the nearest."),
    ] = None,
    held_out: Annotated[
        str | None,
        typer.Option("--held-out", metavar="SOURCE", rich_help_panel=_TRAINING,
                     help="Images from the same source that it never saw; without them there is no verdict."),
    ] = None,
    protocol: Annotated[
        Preset,
        typer.Option("--protocol", rich_help_panel=_RULES,
                     help="When an orbit has arrived and when two ends are one attractor; paper: as in arXiv:2505.22785."),
    ] = Preset.DEFAULT,
    max_steps: Annotated[
        int | None, typer.Option("--max-steps", min=1, metavar="N", help="Budget per orbit.", rich_help_panel=_RULES)
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", metavar="ε", rich_help_panel=_RULES,
                     help="Distance to the limit at which an orbit has arrived, as a share of the spread of the starts."),
    ] = None,
    precision: Annotated[
        Precision, typer.Option("--precision", help="Number format of the orbits.", rich_help_panel=_RULES)
    ] = Precision.NATIVE,
    sensitivity: Annotated[
        bool,
        typer.Option("--sensitivity", rich_help_panel=_RULES,
                     help="Also count by other thresholds, to see how much the number depends on them."),
    ] = False,
    parts: Annotated[
        int | None,
        typer.Option("--parts", min=1, metavar="N", rich_help_panel=_RULES, show_default="16",
                     help="Cut a round into so many parts, of 32 to 2048 orbits each; twice the workers of a cluster is a good number. "
                          "Without it no part has fewer than 512. No label depends on it."),
    ] = None,
    under_way: Annotated[
        int | None,
        typer.Option("--under-way", min=1, metavar="N", rich_help_panel=_RULES, show_default="16384",
                     help="Orbits that are followed at the same time, at most: a cluster wants more."),
    ] = None,
    plan_only: Annotated[
        bool,
        typer.Option("--plan-only",
                     help="Only foretell evaluations, seconds, memory and disk of the search, from a short look at the model."),
    ] = False,
    batch_size: BatchSize = None,
    seed: Seed = 0,
    *,
    compute: Computing,
    output: ExploredOutput,
) -> ExitCode:  # fmt: skip
    """Find the attractors of a model: where z → encode(decode(z)) ends when it is applied again and again.

    Prints the limit sets with their basins and stability, what became of every
    start, and what it cost. Writes a folder with report.html, summary.json, the
    figures and the limit sets.

    From the test images, with a verdict on memorization:

    [bold]separatrix attractors my_model.py:load --data mnist.npz#x_test[/bold]
    [bold]    --train mnist.npz#x_train --held-out mnist.npz#x_test[/bold]

    Without any data, with weights for the factory's module:

    [bold]separatrix attractors my_model.py:load --weights best.safetensors --noise 500[/bold]
    """
    terminal: Terminal = ctx.obj
    pixels = size_of_images(ctx, size, scale, {"--data": data, "--train": train})
    intervals = parsed_box(ctx, box) if box else None
    chosen = [option for option, value in (("--data", data), ("--noise", noise), ("--box", box)) if value]
    if len(chosen) > 1:
        raise usage_error(ctx, chosen[1], f"{chosen[0]} also says where orbits begin; give one of them.")
    if starts is not None and not {"--data", "--box"} & set(chosen):
        raise usage_error(ctx, "--starts", "it limits --data or --box; for draws from N(0, 1) give --noise N.")
    if held_out is not None and train is None:
        raise usage_error(ctx, "--held-out", "it is compared with the training images; give --train too.")

    from separatrix import starts as starting
    from separatrix.data import load_images
    from separatrix.errors import ConvergenceWarning
    from separatrix.runs import attractors as run_attractors

    reads = (*model.reads, data, train, held_out)
    place = None if plan_only else output.reserved(name_of_run(model.spec), recipe="attractors", reads=reads)
    rules = _rules(protocol, max_steps, tolerance, precision)
    rules = replace(rules, rounds=_rounds(rules.rounds, parts, under_way))
    field = model.load()
    if data is not None:
        source = starting.encoded(load_images(data, limit=starts or STARTS, size=pixels, scale=scale))
    elif intervals is not None:
        source = starting.box(starts or STARTS, *intervals, seed=seed)
    else:
        source = starting.gaussian(noise or STARTS, seed=seed, std=std)
    if plan_only:
        terminal.show(header(field, source, protocol.value, rules))
        return _plan(terminal, field, source, rules, batch_size)
    known = None if train is None else load_images(train, size=pixels, scale=scale)
    unseen = None if held_out is None else load_images(held_out, size=pixels, scale=scale)
    terminal.show(header(field, source, protocol.value, rules))
    with warnings.catch_warnings(), compute.everything(place):
        warnings.simplefilter("ignore", ConvergenceWarning)  # the table of statuses says it, with the reasons
        found = run_attractors(
            field,
            source,
            rules,
            out=place,
            train=known,
            held_out=unseen,
            count_by_other_rules=sensitivity,
            batch_size=batch_size,
            seed=seed,
            figures=output.figures,
            explorer=output.explorer,
            progress=terminal.progress,
        )
    summary = found.summary
    code = ExitCode.OK if summary["fates"]["limit_set"] else ExitCode.NOTHING_FOUND
    terminal.show(*limit_sets(summary), *statuses(summary))
    if summary["sensitivity"] is not None:
        terminal.show(*sensitivity_table(summary["sensitivity"]))
    terminal.show(*verdict(summary, found.seconds))
    terminal.run(found, code)
    return code


def _plan(terminal: Terminal, field: LatentField, source: Starts, rules: Protocol, batch_size: int | None) -> ExitCode:
    """Tell what the search would cost; nothing is begun."""
    from separatrix.limitsets import forecast

    expected = forecast(field, source, rules, batch_size=batch_size)
    terminal.show(*forecast_tables(expected))
    terminal.line(f"{expected.sentence[:1].upper()}{expected.sentence[1:]}.")
    terminal.document({**expected.to_dict(), "exit_code": int(ExitCode.OK)})
    return ExitCode.OK


def _rounds(rounds: Rounds, parts: int | None, under_way: int | None) -> Rounds:
    """Many workers are busy if there are many parts, and many orbits under way."""
    if parts is not None:
        rounds = replace(rounds, parts=parts, least_in_a_part=_IN_A_PART)
    return rounds if under_way is None else replace(rounds, most_under_way=under_way)


def _rules(preset: Preset, max_steps: int | None, tolerance: float | None, precision: Precision) -> Protocol:
    """The preset with what was asked for in its place."""
    from separatrix.protocol import Protocol

    rules = {
        Preset.DEFAULT: Protocol(),
        Preset.PAPER: Protocol.paper(),
        Preset.PAPER_FOUNDATION: Protocol.paper_foundation(),
    }[preset]
    return replace(
        rules,
        max_steps=rules.max_steps if max_steps is None else max_steps,
        tolerance=rules.tolerance if tolerance is None else tolerance,
        precision=precision.value,
    )
