"""The recipe ``probe``: noise to attractors, a contact sheet, and with images the dictionary's worth."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from separatrix import starts as starting
from separatrix.arguments import checked
from separatrix.cost import NO_WORK
from separatrix.data import ImageSet, ImageSource, encode_range, load_images
from separatrix.errors import ConvergenceWarning, InputError
from separatrix.field import LatentField, RecordedField
from separatrix.limitsets import LimitSets, find_attractors
from separatrix.orbits import Orbits, iterate
from separatrix.plots._pictures import are_pictures
from separatrix.protocol import Protocol
from separatrix.report import ModelResults
from separatrix.report._budget import FigureBudget
from separatrix.report._figures import planned_portrait
from separatrix.report._memorization import STARTS
from separatrix.report._probe import probe_figures, probe_page
from separatrix.runs._attractors import LIMITS, fitting_images
from separatrix.runs._plan import Plan, data_record, model_record
from separatrix.runs._run import Run, opened
from separatrix.runs._views import Ended, View, provenance, recorded, write_views
from separatrix.starts import Starts
from separatrix.storage import PathLike
from separatrix.studies import Appearance, Probe, appearance, data_free_dictionaries, pooled
from separatrix.studies import probe as dictionary_probe
from separatrix.studies._probing.summary import probe_summary
from separatrix.words import jsonable, without_folders
from separatrix.work import Progress

RECIPE = "probe"
_FEWEST_STARTS = 256  # of which at least one meets a basin of 1 % with probability 92 %, whatever the dimension
_MOST_STARTS = 1000


@dataclass(frozen=True, kw_only=True)
class ProbeRun(Ended):
    """It tells what was found.

    Attributes:
        found: the limit sets, or the orbits where only a number of steps was asked for.
        appearance: the contact sheet's numbers; None if the decoder makes no images.
        probe: None without images.
    """

    found: LimitSets | Orbits
    appearance: Appearance | None
    probe: Probe | None

    @property
    def reached(self) -> int:
        """Starts that reached a limit set, stable or not."""
        return self.found.fates.limit_set


@checked
def probe(
    field: LatentField,
    images: ImageSource | None = None,
    *,
    starts: int | None = None,
    steps: int | None = None,
    draws: int = 1,
    protocol: Protocol | None = None,
    reference: ImageSource | None = None,
    suspects: ImageSource | None = None,
    held_out: ImageSource | None = None,
    out: PathLike | None = None,
    overwrite: bool = False,
    batch_size: int | None = None,
    seed: int = 0,
    figures: bool = True,
    explorer: bool = True,
    progress: bool | Progress = False,
) -> ProbeRun:
    """Iterate noise, look at where it ends, and with images measure what that is worth as a dictionary; write a run.

    Args:
        field: the latent field.
        images: real images to be coded, as `load_images` takes them; without them nothing is coded.
        starts: draws from N(0, I); see `default_starts` if not given.
        steps: take the end points after so many steps, without a search for attractors, for fields that do not converge.
        draws: of the noise, each with dictionaries of its own; their probes are pooled. The first is looked at.
        protocol: of the search.
        reference: see `separatrix.probe`.
        suspects, held_out: see `appearance`.
        out, overwrite, figures, explorer: as for `attractors`.
        batch_size: most latents, or images, in one network pass; by a fixed rule if not given (`LatentField.with_batch_size`).
        seed: of everything random.
        progress: show a progress bar, or move the one that is there (`separatrix.work.Progress`).

    Raises:
        InputError, FieldError: as the search, `separatrix.probe` and `appearance`.
        FileError: something that is not to be replaced is at ``out``, or it cannot be written.

    Warns:
        FigureWarning: a figure is missing.

    Cost: that of one search per draw, of its `data_free_dictionaries`, and half an evaluation per image, dictionary and sparsity. A
    stage that is stored costs nothing.
    """
    began = time.perf_counter()
    if steps is not None and suspects is not None:
        raise InputError("Suspects are compared with attractors, which need a search; leave steps out.")
    if draws < 1 or (draws > 1 and images is None):
        raise InputError("Draws of the noise are pooled over coded images: give images, and at least one draw.")
    coded, others, suspected, unseen = (
        None if source is None else load_images(source) for source in (images, reference, suspects, held_out)
    )
    count = starts or default_starts(field.latent_dim, coded=coded is not None)
    noise = [starting.gaussian(count, seed=seed + draw) for draw in range(draws)]
    field, rules = field.with_batch_size(batch_size), Protocol.of(protocol)
    plan = Plan(
        recipe=RECIPE,
        model=model_record(field),
        data=data_record(images=coded, reference=others, suspects=suspected, held_out=unseen),
        options={
            "starts": noise[0].provenance,
            "draws": draws,
            "steps": steps,
            "protocol": None if steps else rules.to_dict(),
            "seed": seed,
        },
    )
    with Progress.of(progress).stage(RECIPE, 2 * draws + 2) as line, opened(out, plan, overwrite=overwrite) as run:
        fields = recorded(run, model=field)
        if not run.finished:  # found out now, not after the search
            for readable in filter(None, (coded, others)):
                _require_readable(field, readable)
            for compared, which in ((suspected, "suspected"), (unseen, "held-out")):
                if compared is not None:
                    fitting_images(field, compared, which)

        def searched(draw: int) -> LimitSets | Orbits:
            name = _name(plan.options, draw)
            return run.stage(name, lambda: _ends(field, noise[draw], steps, rules, line, run.unfinished(name)))

        def probed(draw: int) -> Probe:
            known = data_free_dictionaries(field, searched(draw), starts=noise[draw], seed=seed + draw)
            with line.stage("coding images"):
                return dictionary_probe(field, known, coded, reference=others, seed=seed)

        found = searched(0)
        if _makes_images(fields["model"], noise[0]) or suspected is not None:
            run.stage(
                "appearance",
                lambda: appearance(field, found, starts=noise[0], suspects=suspected, held_out=unseen, seed=seed),
            )
        if coded is not None and draws == 1:
            run.stage("probe", lambda: probed(0))
        elif coded is not None:
            each = [run.stage(f"probe-{draw + 1}", partial(probed, draw)) for draw in range(draws)]
            run.stage("probe", lambda: pooled(each))
        view = write_views(run, probe_view, fields, figures=figures, explorer=explorer, progress=line)
        return ProbeRun(
            found=found,
            appearance=_if_any(run, "appearance"),
            probe=_if_any(run, "probe"),
            summary=view.summary,
            folder=run.folder,
            seconds=time.perf_counter() - began,
        )


def probe_view(run: Run, fields: Mapping[str, RecordedField]) -> View:
    """Everything that is written of such a run."""
    field, options = fields["model"], run.plan["options"]
    searches: list[LimitSets | Orbits] = [run.load(_name(options, draw)) for draw in range(options["draws"])]
    found = searches[0]
    seen: Appearance | None = _if_any(run, "appearance")
    probed: Probe | None = _if_any(run, "probe")
    cost = sum((each.cost for each in searches), NO_WORK)
    orbits = found.orbits if isinstance(found, LimitSets) else found
    spent = {**asdict(cost), "total": cost.total}
    summary = {
        "kind": f"separatrix {RECIPE}",
        "field": field.describe(),
        "starts": options["starts"],
        "protocol": found.protocol.to_dict(),
        "statuses": {status.name: number for status, number in orbits.counts.items()},
        "fates": found.fates.to_dict(),
        "attractors": len(found.attractors) if isinstance(found, LimitSets) else None,
        "appearance": None if seen is None else _appearance(seen),
        "probe": None if probed is None else probe_summary(probed),
        "cost": spent,
    }
    known = provenance(run, cost=f"{cost.total:,.0f} evaluations for the noise")
    figures, living = probe_figures(field, len(orbits), seen, probed), {}
    if isinstance(found, LimitSets):
        living["field"] = ModelResults(
            title=without_folders(field.name),
            subtitle=f"{field.title}, from noise",
            latent_field=field,
            searches={STARTS["noise"]: found},
        )
        figures |= planned_portrait(living["field"], FigureBudget.after([found]))
    return View(
        summary=jsonable(summary),
        figures=figures,
        living=living,
        page=lambda drawn: probe_page(without_folders(field.name), found, seen, probed, known, drawn),
    )


def default_starts(latent_dim: int, *, coded: bool) -> int:
    """Take as many as latent dimensions, at most 1000; at least 256 where noise is only looked at and codes no images.

    A dictionary of more atoms than dimensions would be no fair rival of a basis. Attractors have no such bound.

    >>> default_starts(2, coded=False), default_starts(2, coded=True), default_starts(4096, coded=False)
    (256, 2, 1000)
    """
    return min(latent_dim if coded else max(latent_dim, _FEWEST_STARTS), _MOST_STARTS)


def _name(options: Mapping[str, Any], draw: int) -> str:
    """The stage of a draw: limit sets, or the orbits where only a number of steps was asked for."""
    name = LIMITS if options["steps"] is None else "orbits"
    return f"{name}-{draw + 1}" if draw else name


def _if_any(run: Run, name: str) -> Any:
    return run.load(name) if run.has(name) else None


def _require_readable(field: LatentField, images: ImageSet) -> None:
    encode_range(field, lambda a, b: images.pixels[a:b], 0, 1)


def _ends(
    field: LatentField, noise: Starts, steps: int | None, rules: Protocol, progress: Progress, checkpoint: Path | None
) -> LimitSets | Orbits:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the statuses are in the summary
        if steps is None:
            return find_attractors(field, noise, rules, progress=progress, checkpoint=checkpoint)
        return iterate(field, noise, Protocol(max_steps=steps), progress=progress)


def _makes_images(field: LatentField, noise: Starts) -> bool:
    return are_pictures(tuple(field.decode(noise.block(field, 0, 1)).shape[1:]))


def _appearance(seen: Appearance) -> dict[str, Any]:
    return {
        "what": seen.what,
        "count": len(seen),
        "look_like_images": int(seen.looks_like_an_image.sum()),
        "starts_that_do": seen.start_share,
        "structure_median": float(seen.structure.median()),
        "start_structure_median": float(seen.start_structure.median()),
        "settled": seen.settled,
        "code": seen.statement.slug,
        "sentence": str(seen.statement),
        "cannot": list(seen.cannot),
        "suspects": None if seen.resemblance is None else str(seen.resemblance.statement),
    }
