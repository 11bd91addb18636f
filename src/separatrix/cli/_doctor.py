"""``separatrix doctor``."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType
from rich.text import Text

from separatrix.cli._chosen_model import ChosenModel
from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._options import STARTS, STARTS_PANEL, Data, Scale, Seed, Size
from separatrix.cli._parsing import size_of_images
from separatrix.cli._tables import heading, labelled, number, table
from separatrix.cli._terminal import Terminal
from separatrix.words import duration

if TYPE_CHECKING:
    from separatrix.field import FieldCheck
    from separatrix.studies import Diagnosis
    from separatrix.studies._advice import Advice

_MARKS = {True: Text("ok", style="green"), False: Text("FAIL", style="bold red"), None: Text("note", style="yellow")}


def doctor(
    ctx: typer.Context,
    model: ChosenModel,
    data: Data = None,
    size: Size = None,
    scale: Scale = None,
    samples: Annotated[
        int,
        typer.Option("--samples", min=2, metavar="N", help="Points at which the field is measured.",
                     rich_help_panel=STARTS_PANEL),
    ] = 256,
    seed: Seed = 0,
) -> ExitCode:  # fmt: skip
    """Is this model usable, what kind of field is it, and how should it be searched?

    Tests everything that a latent field must be (closing shapes, finite,
    deterministic, independent of the batch), measures how strongly it contracts,
    where a few short orbits go and how fast the network is, and ends with the
    command to run next. Takes a few thousand evaluations.

    [bold]separatrix doctor my_model.py:load --data mnist.npz#x_test[/bold]
    """
    terminal: Terminal = ctx.obj
    pixels = size_of_images(ctx, size, scale, {"--data": data})

    from separatrix.data import load_images
    from separatrix.studies import diagnose
    from separatrix.words import jsonable

    field = model.load()
    images = None if data is None else load_images(data, limit=samples, size=pixels, scale=scale)
    terminal.show(field.title)
    found = diagnose(field, images, samples=samples, seed=seed, progress=terminal.progress)
    terminal.show(*_findings(found.checked))
    record = jsonable(found.to_dict())
    if not found.checked.ok:
        terminal.keep(record)
        found.checked.require()
    said = (("--data", data), ("--size", size), ("--scale", None if scale is None else f"{scale:g}"))
    images_given = {option: text for option, text in said if text is not None}
    command = next_command(
        model.spec,
        {**model.given, **images_given},
        found,
        [
            *(word for text in model.settings for word in ("--set", text)),
            *(["--allow-code"] if model.allow_code else []),
        ],
    )
    terminal.show(*_measurements(found, model.spec), *_advice(found), Text(""))
    terminal.line(command)
    terminal.document({**record, "command": command, "exit_code": int(ExitCode.OK)})
    return ExitCode.OK


def next_command(model: str, given: dict[str, str], found: Diagnosis, more: Sequence[str] = ()) -> str:
    """The ``separatrix attractors`` that this diagnosis leads to, ready to be pasted."""
    advice, speed = found.advice, found.throughput
    assert advice is not None
    assert speed is not None
    words = ["separatrix", "attractors", model]
    for option, value in given.items():
        words += [option, value]
    words += more
    words += ["--protocol", advice.preset]
    from separatrix.protocol import Protocol

    preset = Protocol() if advice.preset == "default" else Protocol.paper_foundation()
    for name in (field.name for field in fields(Protocol)):
        if getattr(advice.protocol, name) != getattr(preset, name):
            words += [f"--{name.replace('_', '-')}", str(getattr(advice.protocol, name))]
    if "--data" not in given:
        words += ["--noise", str(advice.starts)]
    elif advice.starts < STARTS:
        words += ["--starts", str(advice.starts)]
    return shlex.join([*words, "--batch-size", str(speed.batch_size)])


def _findings(checked: FieldCheck) -> list[RenderableType]:
    rows = [
        (
            _MARKS[finding.passed],
            finding.name,
            f"{finding.detail} → {finding.remedy}" if finding.remedy else finding.detail,
        )
        for finding in checked.findings
    ]
    return [heading("Is it a deterministic self-map?"), table(("", "requirement", "finding"), rows, words=(0, 1, 2))]


def _measurements(found: Diagnosis, spec: str) -> list[RenderableType]:
    assert found.pilot is not None
    assert found.throughput is not None
    entries = [*_model_entries(found, spec)]
    entries += [
        (
            f"σ of {scale.where}",
            f"{number(scale.sigma_in)} → {number(scale.sigma_out)} by one f: σ_out/σ_in = {number(scale.ratio)}",
        )
        for scale in found.scales
    ]
    for where in dict.fromkeys(at.where for at in found.spectra):
        here = [at for at in found.spectra if at.where == where]
        entries.append(
            (
                f"{len(here)} point{'s' if len(here) > 1 else ''}, {where}",
                f"ρ {'about ' if here[0].rough else ''}{_range(s.radius for s in here)}, "
                f"‖J‖₂ {'at least ' if here[0].rough else ''}{_range(s.norm for s in here)}"
                + (" (a short power iteration: more would take too long here)" if here[0].rough else ""),
            )
        )
    pilot = found.pilot
    ends = ", ".join(f"{count} {status.name.lower()}" for status, count in pilot.statuses.items())
    settled = (
        f"; those that reached a limit set took {number(pilot.steps_median, '.0f')} steps"
        if pilot.steps_median > 0
        else ""
    )
    entries += [
        (
            f"{sum(pilot.statuses.values())} pilot orbits",
            f"from {pilot.starts}, at most {pilot.max_steps} steps: {ends}{settled}",
        ),
        ("rounding", _rounding_words(found)),
        ("bfloat16", _coarse_words(found)),
        ("memory", "unknown" if found.memory is None else f"{_bytes(found.memory)} per orbit at the peak of one step"),
        (
            "speed",
            f"{number(found.throughput.per_second, ',.0f')} map evaluations per second, in batches of {found.throughput.batch_size}",
        ),
    ]
    return [heading("What kind of field is it?"), labelled(entries)]


def _rounding_words(found: Diagnosis) -> str:
    if found.rounding is None:
        return "unknown: there is no float64 copy of this model to compare with"
    sizes = f"{number(found.rounding.median, '.1g')} of the spread (at most {number(found.rounding.largest, '.1g')})"
    return f"moves f(z) by {sizes}, {found.model['dtype']} against float64"


def _coarse_words(found: Diagnosis) -> str:
    if found.model["dtype"] == "bfloat16":
        return "the model's own format"
    if found.bfloat16 is None:
        return "unknown: there is no bfloat16 copy of this model"
    return f"would move f(z) by {number(found.bfloat16.median, '.1g')} of the spread"


def _bytes(count: int) -> str:
    """``"1.2 MB"``."""
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}"


def _model_entries(found: Diagnosis, spec: str) -> list[tuple[str, str]]:
    """Return what loading decided, and how decoder and encoder meet."""
    details = found.model.get("details", {})
    entries = []
    if details:
        version = next((f", {name} {details[name]}" for name in ("diffusers", "transformers") if name in details), "")
        kind = f"{details.get('family', 'unknown')}: {details.get('class', 'unknown')}{version}"
        entries.append(("family", f"{kind}; this family was tested with: {_verified(details, spec)}"))
        if details.get("revision"):
            entries.append(("revision", str(details["revision"])))
    entries.append(("units", str(found.model["units"])))
    loop = found.loop
    if loop is not None:
        entries.append(("decoder to encoder", loop.words))
        seen = f"decoded values {number(loop.low)} to {number(loop.high)} (1 to 99 %)"
        if loop.slope == loop.slope:
            seen += f"; D(E(x)) is about {number(loop.slope, '.2f')}·x {number(loop.intercept, '+.2f')}, correlation "
            seen += number(loop.correlation, ".2f")
        entries.append(("range", f"{seen}; {_range_words(found)}"))
    return entries + [("note", note) for note in details.get("notes", ())]


def _range_words(found: Diagnosis) -> str:
    loop = found.loop
    assert loop is not None
    if loop.mismatch:
        return f"MISMATCH: {loop.mismatch}"
    if loop.compared:
        return "no mismatch seen"
    from separatrix.studies._diagnosis import NOISE

    given = found.pilot is not None and found.pilot.starts != NOISE
    untested = "not tested: these data are no images" if given else "not tested without --data"
    if loop.known_range is None:
        return untested
    low, high = loop.known_range
    return f"not far outside the known [{low:g}, {high:g}]; reconstructions {untested}"


def _verified(details: Mapping[str, Any], spec: str) -> str:
    """Return what of the model's family was run where separatrix was tested, as its author says."""
    from separatrix.models import FAMILIES

    named = next((family for family in FAMILIES if family.name == details.get("family")), None)
    return (named or FAMILIES.find(spec)).verified


def _advice(found: Diagnosis) -> list[RenderableType]:
    advice = found.advice
    assert advice is not None
    entries = [
        ("protocol", advice.preset),
        ("steps per orbit", advice.prediction),
        (
            "a thousand starts",
            f"the orbits alone take {duration(advice.seconds)}; {on_top(advice)}",
        ),
        ("for a first look", f"{advice.starts:,} starts"),
    ]
    return [heading("How to search it"), labelled(entries), *(Text(reason) for reason in advice.reasons)]


def on_top(advice: Advice) -> str:
    """Return what a search does besides its orbits, as far as that is known before the candidates are."""
    if not advice.protocol.polish:
        return "this protocol does not polish, but the spectrum at each end point comes on top"
    if advice.polishing is None:
        each = f"f itself, up to {advice.protocol.polishing.plain_iterations:,} times, and then the leading eigenvalues"
    else:
        each = f"a Jacobian, {advice.polishing:,} evaluations or more"
    return f"polishing ({each}, for each candidate) and closed curves come on top"


def _range(values: Any) -> str:
    """``"0.91 to 1.2"``, or one number where they agree."""
    ordered = sorted(values)
    low, high = number(ordered[0]), number(ordered[-1])
    return low if low == high else f"{low} to {high}"
