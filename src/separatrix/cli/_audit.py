"""``separatrix audit``."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from separatrix.cli._chosen_model import ChosenModel
from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._options import BatchSize, Scale, Seed
from separatrix.cli._parsing import parsed_size, usage_error
from separatrix.cli._place import ExploredOutput, name_of_run
from separatrix.cli._tables import heading, labelled, number, table
from separatrix.cli._terminal import Terminal
from separatrix.cli._workers import Computing
from separatrix.words import duration

if TYPE_CHECKING:
    from separatrix.field import LatentField
    from separatrix.runs import AuditRun, DataFreeRun

_NAMED = 10  # images that are named in the terminal
_DATA, _RULES, _FREE = "The data", "The rules", "Without training data"


class Pixels(StrEnum):
    """Distances between images that have a name."""

    COSINE = "cosine"
    EUCLIDEAN = "euclidean"


def audit(
    ctx: typer.Context,
    model: ChosenModel,
    train: Annotated[
        str | None,
        typer.Option("--train", metavar="SOURCE", rich_help_panel=_DATA,
                     help="Its training images: a folder of pictures, .npy, .npz (file.npz#name picks an array), idx."),
    ] = None,
    held_out: Annotated[
        str | None,
        typer.Option("--held-out", metavar="SOURCE", rich_help_panel=_DATA,
                     help="Images from the same source that it never saw: they set the level to beat."),
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", metavar="H,W", help="Resize all images to this.", rich_help_panel=_DATA)
    ] = None,
    scale: Scale = None,
    budget: Annotated[
        float | None,
        typer.Option("--budget", min=0.0, max=0.999, metavar="SHARE", rich_help_panel=_RULES,
                     help="Share of the training images that the model may give back: 0.01 if not given."),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option("--sample", min=1, metavar="N", rich_help_panel=_RULES,
                     help="Training images that are followed, and as many held-out ones: 1000 if not given; more give a "
                     "narrower interval."),
    ] = None,
    noise: Annotated[
        int | None,
        typer.Option("--noise", min=1, metavar="N", rich_help_panel=_RULES,
                     help="Draws from N(0, 1) that are followed: 256, or 1000 with --data-free."),
    ] = None,
    alpha: Annotated[
        float,
        typer.Option("--alpha", min=1e-6, max=0.5, metavar="α", rich_help_panel=_RULES,
                     help="False discovery rate among the attractors that are called copies."),
    ] = 0.05,
    distance: Annotated[
        Pixels | None,
        typer.Option("--distance", help="Between images: cosine if not given.", rich_help_panel=_RULES),
    ] = None,
    data_free: Annotated[
        bool,
        typer.Option("--data-free", rich_help_panel=_FREE, help="Show what noise alone reveals; no training images needed."),
    ] = False,
    suspects: Annotated[
        str | None,
        typer.Option("--suspects", metavar="SOURCE", rich_help_panel=_FREE,
                     help="Images it may have been trained on, to be looked for among the attractors of noise."),
    ] = None,
    max_steps: Annotated[
        int | None, typer.Option("--max-steps", min=1, metavar="N", help="Budget per orbit.", rich_help_panel=_RULES)
    ] = None,
    batch_size: BatchSize = None,
    seed: Seed = 0,
    *,
    compute: Computing,
    output: ExploredOutput,
) -> ExitCode:  # fmt: skip
    """Does a model give back more of its training images than a budget allows?

    Exits with 0 (no), 1 (yes) or 2 (cannot say). A training image is given back
    if an attractor is closer to it, and to it alone, than 95 % of unseen images
    are to theirs (1 − α); exact copies among them are counted apart. Writes a
    folder with report.html, summary.json and model_card.md.

    [bold]separatrix audit my_model.py:load --train a/ --held-out b/ --budget 0.01[/bold]

    A stranger's checkpoint, without any data, or against suspected images:

    [bold]separatrix audit my_model.py:load --data-free --suspects a/ --held-out b/[/bold]

    Exits with 0 (no suspects, or no evidence of memorization), 1 (evidence) or
    2 (cannot say, as without held-out images).
    """
    terminal: Terminal = ctx.obj
    pixels = parsed_size(ctx, size)
    if data_free and train is not None:
        raise usage_error(ctx, "--data-free", "it looks at noise alone; leave out --train, or give it as --suspects.")
    if suspects is not None and not data_free:
        raise usage_error(ctx, "--suspects", "they are looked for without training data; give --data-free too.")
    if not data_free and (train is None or held_out is None):
        missing = "--train" if train is None else "--held-out"
        raise usage_error(ctx, missing, "an audit needs training and held-out images; or give --data-free.")
    if data_free and held_out is not None and suspects is None:
        raise usage_error(ctx, "--held-out", "it sets the level for suspected images; give --suspects too.")
    _refuse_idle(ctx, data_free, suspects, {"budget": budget, "sample": sample, "distance": distance, "size": size})

    from separatrix.data import load_images
    from separatrix.protocol import Protocol
    from separatrix.runs import audit as run_audit
    from separatrix.runs import audit_without_data
    from separatrix.studies import AuditDecision

    recipe = "audit without data" if data_free else "audit"
    reads = (*model.reads, train, held_out, suspects)
    place = output.reserved(f"audit-{name_of_run(model.spec)}", recipe=recipe, reads=reads)
    ctx.with_resource(compute.everything())
    field = model.load()
    images = {
        name: None if source is None else load_images(source, size=pixels, scale=scale)
        for name, source in (("train", train), ("held_out", held_out), ("suspects", suspects))
    }
    terminal.show(_header(field, images))
    common: dict[str, Any] = {
        "out": place,
        "distance": (distance or Pixels.COSINE).value,
        "alpha": alpha,
        "protocol": None if max_steps is None else Protocol(max_steps=max_steps),
        "seed": seed,
        "batch_size": batch_size,
        "figures": output.figures,
        "explorer": output.explorer,
        "progress": terminal.progress,
    }
    if data_free:
        free = audit_without_data(
            field, suspects=images["suspects"], held_out=images["held_out"], starts=noise or 1000, **common
        )
        like = free.appearance.resemblance
        decision = str(free.appearance.statement if like is None else like.statement)
        return _ended(terminal, free, _of_suspects(free), _free_words(free), decision)
    found = run_audit(
        field,
        images["train"],
        images["held_out"],
        budget=0.01 if budget is None else budget,
        sample=sample or 1000,
        noise=noise or 256,
        **common,
    )
    codes = {
        AuditDecision.WITHIN: ExitCode.OK,
        AuditDecision.EXCEEDED: ExitCode.EXCEEDED,
        AuditDecision.CANNOT_SAY: ExitCode.CANNOT_SAY,
    }
    return _ended(terminal, found, codes[found.audit.decision], _words(found), found.audit.brief)


def _refuse_idle(ctx: typer.Context, data_free: bool, suspects: str | None, given: dict[str, Any]) -> None:
    """Without training data some options decide nothing: whoever gives them expects something that does not happen."""
    if not data_free:
        return
    for name in ("budget", "sample"):
        if given[name] is not None:
            raise usage_error(
                ctx, f"--{name}", "it is about training images; leave it out, or give --train instead of --data-free."
            )
    for name in ("distance", "size"):
        if given[name] is not None and suspects is None:
            raise usage_error(
                ctx, f"--{name}", "there are no images that it applies to; leave it out, or give --suspects."
            )


def _header(field: LatentField, images: dict[str, Any]) -> Any:
    known = [(name.replace("_", "-"), f"{len(data):,} images") for name, data in images.items() if data is not None]
    return labelled((("model", field.title), *known))


def _words(run: AuditRun) -> list[Any]:
    from separatrix.report._memorization import STARTS, given_back_words
    from separatrix.words import percent

    study = run.audit.memorization
    rows = [
        [name, f"{len(values):,}", *(number(float(values.quantile(q))) for q in (0.05, 0.5, 0.95))]
        for name, values in study.null_levels
    ]
    source_rows = [
        [
            STARTS[source],
            f"{row.starts:,}",
            str(row.attractors),
            percent(row.distinct),
            str(row.shared),
            f"{row.evaluations:,.0f}",
        ]
        for source, row in study.sources.items()
    ]
    return [
        heading(f"How close to the nearest training image ({study.resemblance.measure})"),
        table(("images", "number", "5 %", "median", "95 %"), rows),
        heading("What each kind of start finds"),
        table(("starts", "number", "attractors", "per start", "from train too", "evaluations"), source_rows),
        *(Text(f"{STARTS[source]}: {row.fates.words}") for source, row in study.sources.items()),
        Text(""),
        *([] if study.chamfer is None else [Text(study.chamfer.sentence)]),
        *(Text(sentence) for sentence in study.context),
        Text(f"\n{run.audit.statement}", style="bold"),
        *(Text(sentence) for sentence in given_back_words(run.audit, _NAMED)),
        Text("What this audit does not see, and what would change it:", style="dim"),
        *(Text(f"  · {sentence}", style="dim") for sentence in study.would_change),
        Text(""),
    ]


def _free_words(run: DataFreeRun) -> list[Any]:
    like = run.appearance.resemblance
    return [
        Text(f"\n{run.appearance.statement}", style="bold"),
        *([] if like is None else [Text(str(like.statement), style="bold")]),
        Text("What cannot be concluded:", style="dim"),
        *(Text(f"  · {sentence}", style="dim") for sentence in run.appearance.cannot),
        Text(""),
    ]


def _of_suspects(run: DataFreeRun) -> ExitCode:
    """0 where nothing was asked or nothing was found, 1 for evidence, 2 where suspects were given and it cannot be said."""
    from separatrix.studies._resemblance_words import Outcome

    like = run.appearance.resemblance
    if like is None:
        return ExitCode.OK
    codes = {Outcome.NO_EVIDENCE: ExitCode.OK, Outcome.EVIDENCE: ExitCode.EXCEEDED}
    return codes.get(like.outcome, ExitCode.CANNOT_SAY)


def _ended(
    terminal: Terminal, run: AuditRun | DataFreeRun, code: ExitCode, words: list[Any], decision: str
) -> ExitCode:
    """Everything is said; of it ``decision`` alone stays with ``--quiet``."""
    assert run.folder is not None
    report = run.folder / "report.html"
    terminal.show(*words, Text(f"{duration(run.seconds)}; report, numbers and model-card section in", style="dim"))
    terminal.line(decision if terminal.quiet else str(report))
    terminal.document(
        {
            **run.summary,
            "folder": str(run.folder),
            "report": str(report),
            "seconds": run.seconds,
            "exit_code": int(code),
        }
    )
    return code
