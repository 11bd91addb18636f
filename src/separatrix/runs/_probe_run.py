"""A probe of one model, the whole way: noise to attractors, a contact sheet, and with images the dictionary's worth."""

from __future__ import annotations

import json
import os
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from separatrix import starts as starting
from separatrix.cost import Cost
from separatrix.data import ImageSet, load_images
from separatrix.data._encoding import encode_range
from separatrix.errors import ConvergenceWarning, InputError
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets, find_attractors
from separatrix.orbits._iterate import iterate
from separatrix.orbits._result import Orbits
from separatrix.plots import contact_sheet, probe_atoms, probe_curves, probe_reconstructions
from separatrix.protocol import Protocol
from separatrix.report._drawing import draw_into
from separatrix.report._figures import FigurePlan
from separatrix.report._page import Picture
from separatrix.runs._examination import run_folder
from separatrix.runs._examination_summary import jsonable
from separatrix.starts import Starts
from separatrix.storage import save_result
from separatrix.studies._probing import Appearance, Probe, appearance, data_free_dictionaries, pooled, probe
from separatrix.studies._probing.summary import probe_summary
from separatrix.work import Progress

KIND = "separatrix probe"
SUMMARY, FOUND = "summary.json", "limits"
_FEWEST_STARTS = 256  # of which at least one meets a basin of 1 % with probability 92 %, whatever the dimension
_MOST_STARTS = 1000


@dataclass(frozen=True, kw_only=True)
class ProbeRun:
    """What was found and where it was written (``folder`` is None if nothing was).

    Attributes:
        found: the limit sets, or the orbits where only a number of steps was asked for.
        appearance: the contact sheet's numbers; None if the decoder makes no images.
        probe: None without images.
        summary: JSON-ready, what summary.json holds.
        folder: where it is.
        seconds: how long it took.
    """

    found: LimitSets | Orbits
    appearance: Appearance | None
    probe: Probe | None
    summary: dict[str, Any]
    folder: Path | None
    seconds: float

    @property
    def reached(self) -> int:
        """Starts that reached a limit set, stable or not."""
        return self.found.fates.limit_set


def run_probe(
    field: LatentField,
    images: Any = None,
    *,
    starts: int | None = None,
    steps: int | None = None,
    draws: int = 1,
    protocol: Protocol | None = None,
    reference: Any = None,
    suspects: Any = None,
    held_out: Any = None,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    batch_size: int | None = None,
    seed: int = 0,
    figures: bool = True,
    progress: bool | Progress = False,
) -> ProbeRun:
    """Iterate noise, look at where it ends, and with images measure what that is worth as a dictionary.

    Args:
        field: the latent field.
        images: real images to be coded, as `load_images` takes them; without them nothing is coded.
        starts: draws from N(0, I); see `default_starts` if not given.
        steps: take the end points after so many steps, without a search for attractors, for fields that do not converge.
        draws: of the noise, each with dictionaries of its own; their probes are pooled. The first is looked at and saved.
        protocol: of the search.
        reference: see `probe`.
        suspects, held_out: see `appearance`.
        out: the folder to write; must not exist yet.
        overwrite: replace an earlier probe there; anything else is never touched.
        batch_size: most latents, or images, in one network pass; by a fixed rule if not given (`LatentField.with_batch_size`).
        seed: of everything random.
        figures: draw them, when all else is written (see `examine`).
        progress: show a progress bar, or move the one that is there (`separatrix.work._progress`).

    Raises:
        InputError, FieldError: as the search, `probe` and `appearance`.
        FileError: something that is not to be replaced is at ``out``, or it cannot be written.
    """
    if steps is not None and suspects is not None:
        raise InputError("Suspects are compared with attractors, which need a search; leave steps out.")
    if draws < 1 or (draws > 1 and images is None):
        raise InputError("Draws of the noise are pooled over coded images: give images, and at least one draw.")
    began = time.perf_counter()
    count = starts or default_starts(field.latent_dim, coded=images is not None)
    noise, field = starting.gaussian(count, seed=seed), field.with_batch_size(batch_size)
    coded, others = (None if source is None else _fitting(field, source) for source in (images, reference))
    parts = 2 * draws + 2
    with Progress.of(progress).stage("probe", parts) as line:
        with run_folder(out, overwrite, KIND) as folder:
            found = _searched(field, noise, steps, protocol, line)
            seen = _seen(field, found, noise, suspects, held_out, seed)
            probed, cost = None, found.cost
            if coded is not None:
                base = data_free_dictionaries(field, found, starts=noise, seed=seed)
                with line.stage("coding images"):
                    probes = [probe(field, base, coded, reference=others, seed=seed)]
                for other in range(seed + 1, seed + draws):
                    again = starting.gaussian(count, seed=other)
                    ends = _searched(field, again, steps, protocol, line)
                    base = data_free_dictionaries(field, ends, starts=again, seed=other)
                    with line.stage("coding images"):
                        probes.append(probe(field, base, coded, reference=others, seed=seed))
                    cost += ends.cost
                probed = pooled(probes) if draws > 1 else probes[0]
            summary = _summary(field, noise, found, seen, probed, cost)
            if folder is not None:
                save_result(found, folder / (FOUND if isinstance(found, LimitSets) else "orbits"))
                (folder / SUMMARY).write_text(
                    json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
                )
        if out is not None and figures:
            draw_into(Path(out), _planned(field, seen, probed), progress=line)
    return ProbeRun(
        found=found,
        appearance=seen,
        probe=probed,
        summary=summary,
        folder=None if out is None else Path(out),
        seconds=time.perf_counter() - began,
    )


def default_starts(latent_dim: int, *, coded: bool) -> int:
    """As many as latent dimensions, at most 1000; at least 256 where noise is only looked at and codes no images.

    A dictionary of more atoms than dimensions would be no fair rival of a basis. Attractors have no such bound.

    >>> default_starts(2, coded=False), default_starts(2, coded=True), default_starts(4096, coded=False)
    (256, 2, 1000)
    """
    return min(latent_dim if coded else max(latent_dim, _FEWEST_STARTS), _MOST_STARTS)


def _fitting(field: LatentField, source: Any) -> ImageSet:
    """The images, if the encoder takes them: found out now, not after the search."""
    images = source if isinstance(source, ImageSet) else load_images(source)
    encode_range(field, lambda a, b: images.pixels[a:b], 0, 1)
    return images


def _searched(
    field: LatentField,
    noise: Starts,
    steps: int | None,
    protocol: Protocol | None,
    progress: Progress,
) -> LimitSets | Orbits:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the statuses are in the summary
        if steps is None:
            return find_attractors(field, noise, protocol, progress=progress)
        return iterate(field, noise, Protocol(max_steps=steps), progress=progress)


def _seen(
    field: LatentField, found: LimitSets | Orbits, noise: Starts, suspects: Any, held_out: Any, seed: int
) -> Appearance | None:
    """None where the decoder makes no images, unless suspects ask for them."""
    shape = field.decode(noise.block(field, 0, 1)).shape[1:]
    if (len(shape) != 3 or shape[0] not in (1, 3) or min(shape[1:]) < 2) and suspects is None:
        return None
    return appearance(field, found, starts=noise, suspects=suspects, held_out=held_out, seed=seed)


def _summary(
    field: LatentField,
    noise: Starts,
    found: LimitSets | Orbits,
    seen: Appearance | None,
    probed: Probe | None,
    cost: Cost,
) -> dict[str, Any]:
    orbits = found.orbits if isinstance(found, LimitSets) else found
    return dict(
        jsonable(
            {
                "kind": KIND,
                "field": field.describe(),
                "starts": dict(noise.provenance),
                "protocol": found.protocol.to_dict(),
                "statuses": {status.name: count for status, count in orbits.counts.items()},
                "fates": found.fates.to_dict(),
                "attractors": len(found.attractors) if isinstance(found, LimitSets) else None,
                "appearance": None if seen is None else _appearance(seen),
                "probe": None if probed is None else probe_summary(probed),
                "cost": {**asdict(cost), "total": cost.total},
            }
        )
    )


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


def _planned(field: LatentField, seen: Appearance | None, probed: Probe | None) -> FigurePlan:
    """Cost: one decoding per atom and reconstruction that is shown."""
    plan: FigurePlan = {}
    if seen is not None:
        plan["contact_sheet"] = lambda _: Picture.of(contact_sheet(seen), alt="")
    if probed is not None:
        plan["curves"] = lambda _: Picture.of(probe_curves(probed), alt="")
        if seen is not None:
            plan["atoms"] = lambda _: Picture.of(probe_atoms(field, probed), alt="")
            plan["reconstructions"] = lambda _: Picture.of(probe_reconstructions(field, probed), alt="")
    return plan
