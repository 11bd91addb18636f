"""Everything that a living page holds: the field in a plane, who ends where, the limit sets, some orbits, and the model itself where it can be put in."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.data import ChosenImages
from separatrix.explorer._evaluate import evaluated
from separatrix.explorer._graph import exported_halves
from separatrix.explorer._lowering import Graph, NotExportable
from separatrix.explorer._nodes import ROOM, nodes_of, search_from
from separatrix.explorer._sets import Catalogue, catalogue_of
from separatrix.field import LatentField, RecordedField
from separatrix.limitsets import GridSearch, LimitSets
from separatrix.limitsets._grid_search import Extent
from separatrix.plots import Plane
from separatrix.plots._pictures import are_pictures, value_range
from separatrix.report import ModelResults
from separatrix.report._chapter import statement_of
from separatrix.storage import storable
from separatrix.words import Readable, jsonable, printable
from separatrix.work import Progress

GOLDEN = 8  # starts in the page whose images are known; it compares itself with them when it is opened
AGREEMENT = 1e-4  # largest relative difference from Python
FIELD_SIDE = 56  # arrows a side
BASIN_SIDE = 44
_FIELD_NODES, _BASIN_NODES = (
    57,
    41,
)  # a side, where the page computes them: 8n + 1, so that coarse grids are part of fine ones
_SOON = 10.0  # seconds of evaluations before a page is served
_PILOT = 8
_EXAMPLES = 24
_EXAMPLE_NUMBERS = 2**16  # of all example images together


@storable
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Scene(Readable):
    """A scene is all that a page is made of. A page is a pure function of it, so a run stores it as a stage.

    Attributes:
        text: JSON: title, statement, limit sets, the operations of the model, and what the arrays mean.
        arrays: by name; ``z`` in a name: latents; ``xy``: coordinates in the plane.
    """

    text: str
    arrays: Mapping[str, Tensor]

    @property
    def about(self) -> dict[str, Any]:
        """The text, read."""
        read: dict[str, Any] = json.loads(self.text)
        return read


@checked
def scene_of(
    results: ModelResults,
    *,
    origin: str = "",
    plane: Plane | None = None,
    examples: Mapping[str, Tensor] | None = None,
    field_side: int = FIELD_SIDE,
    basin_side: int = BASIN_SIDE,
    model: bool = True,
    live: bool = False,
    beforehand: bool = True,
    room: int = ROOM,
    progress: bool | Progress = False,
) -> Scene:
    """Evaluate the field where a page shows it, and put the model in.

    Args:
        results: a field with one search or more; its grid, if it has one, is the map of basins.
        origin: what a user gives to `separatrix.load` to have this model.
        plane: what is shown; of all of them the one that `Plane.of` chooses if not given.
        examples: images by name from which a reader may start; the inputs of the results if not given.
        field_side, basin_side: points a side at which the field is evaluated, and from which orbits are followed.
        model: put the model into the page, where it can be; without it the page shows orbits that were computed beforehand.
        live: the page will ask a model elsewhere (`separatrix.explorer.serve`, `separatrix.explorer.widget`), so none is put in. Where evaluating the
            field beforehand would take long, the page does it, coarse to fine.
        beforehand: evaluate the field in the plane here. Otherwise the page does it when it is opened, and the search is all that the scene knows of basins.
        room: bytes of orbits that are computed beforehand, about.
        progress: show a progress bar, or move the one that is there.

    Raises:
        InputError: the latent space has one dimension and no plane.

    Cost: the square of ``field_side`` in map evaluations, a search from the square of ``basin_side`` starts where the results hold no grid, and two thousand more; without ``beforehand``
    eight, and one decoding per limit set.
    """
    if isinstance(results.latent_field, RecordedField):
        results = replace(results, latent_field=results.latent_field.live)  # asked where nobody asked it before
    field, limits = results.latent_field, results.limits
    dots = results.train.dots if isinstance(results.train, ChosenImages) else None
    plane = plane or Plane.of(limits, dots)
    with Progress.of(progress).stage("a living page", 4) as line:
        extent = results.grid.extent if results.grid else _extent(field, plane, limits)
        searched = 0 if results.grid else _mean_steps(limits) * basin_side**2
        if beforehand and not (live and not _soon(field, limits, field_side**2 + searched)):
            grid = results.grid or _grid(field, plane, extent, basin_side, limits, line)
        else:
            grid, field_side = None, _FIELD_NODES
        named = dict(results.inputs if examples is None else examples)
        catalogue = catalogue_of(results, None if grid is None else grid.limits, list(named.values()))
        arrays: dict[str, Tensor] = {
            "origin_z": plane.origin.float(),
            "axes_z": plane.axes.float(),
            **({} if grid is None else _nodes(field, plane, grid, catalogue, field_side, line)),
            **_sets(catalogue, plane),
        }
        halves, why_not = None, "The page was asked to hold no model."
        if model and not live:
            halves, why_not = _model(field, limits)
        some = limits.points if len(limits) else limits.orbits.points  # nothing has to settle for pictures to be drawn
        decoded = field.decode(some[:1].to(field.device, field.dtype)) if len(some) else torch.zeros(0)
        pictures = are_pictures(tuple(decoded.shape[1:]))
        anywhere = live or halves is not None
        shown = _examples(field, named) if anywhere and pictures else {}
        arrays |= shown
        if beforehand and not live:
            arrays |= nodes_of(field, plane, extent, catalogue, inside=anywhere, room=room, progress=line)
        graphs: dict[str, Any] = {}
        if halves is not None:
            decode, encode = halves
            graphs = {"decode": decode.to_dict(), "encode": encode.to_dict()}
            arrays |= {**decode.constants, **encode.constants, **_golden(field, limits)}
    about = {
        "title": results.title,
        "subtitle": results.subtitle,
        "statement": statement_of(results).to_dict(),
        "origin": printable(origin),
        "latent_shape": list(field.latent_shape),
        "plane": {"labels": list(plane.labels), "description": plane.description, "extent": list(extent)},
        "field_side": field_side,
        "grid": [_BASIN_NODES] * 2 if grid is None else list(grid.shape),
        "sets": catalogue.rows,
        "fates": limits.fates.sentence,
        "starts": len(limits.labels),
        "spread": limits.spread,
        "tolerance": limits.protocol.tolerance,
        "max_steps": limits.protocol.max_steps,
        "range": list(catalogue.range if catalogue.rows else value_range(decoded, *named.values())),
        "image": list(decoded.shape[1:]) if pictures else None,
        "noun": results.noun,
        "examples": list(named)[: len(shown["example_z"])] if shown else [],
        "nulls": catalogue.nulls,
        "graph": graphs or None,
        "why_no_model": why_not,
        "agreement": AGREEMENT,
        "field": jsonable(field.describe()),
        "facts": dict(results.facts),
        "notes": list(limits.notes),
        "protocol": limits.protocol.to_dict(),
        "evaluations": limits.cost.map,
    }
    return Scene(
        text=json.dumps(jsonable(about), ensure_ascii=False, sort_keys=True),
        arrays={name: tensor.detach().cpu().contiguous() for name, tensor in arrays.items()},
    )


def _soon(field: LatentField, limits: LimitSets, evaluations: float) -> bool:
    """Could the field be evaluated so often before somebody who waits for a page has lost patience?"""
    z = limits.orbits.points[:_PILOT].to(field.device, field.dtype)
    began = time.perf_counter()
    field(z)
    return (time.perf_counter() - began) / max(len(z), 1) * evaluations <= _SOON


def _mean_steps(limits: LimitSets) -> float:
    return float(limits.orbits.steps.double().mean()) if len(limits.orbits.steps) else 0.0


def _extent(field: LatentField, plane: Plane, limits: LimitSets) -> Extent:
    return plane.extent(limits, limits.orbits.points if field.latent_dim > 2 else None)


def _nodes(
    field: LatentField, plane: Plane, grid: GridSearch, catalogue: Catalogue, side: int, line: Progress
) -> dict[str, Tensor]:
    """The field and the basins at the nodes of two grids."""
    _, velocity = plane.velocity(field, grid.extent, side, progress=line)
    arrays = {
        "velocity": (velocity @ plane.axes.T).float(),
        "speed": velocity.norm(dim=1).float(),
        "basin": catalogue.of_grid[grid.limits.labels].to(torch.int32),
        "basin_steps": grid.limits.orbits.steps.to(torch.int32),
    }
    if field.latent_dim > 2:
        arrays["off_plane"] = plane.off_plane(velocity).float()
    return arrays


def _grid(field: LatentField, plane: Plane, extent: Extent, side: int, limits: LimitSets, line: Progress) -> GridSearch:
    """Follow each point of a grid in the plane to its end, by the rules of maps of basins."""
    left, right, bottom, top = extent
    across, along = (
        torch.linspace(left, right, side, dtype=torch.float64),
        torch.linspace(bottom, top, side, dtype=torch.float64),
    )
    cells = torch.stack(torch.meshgrid(across, along, indexing="xy"), dim=-1).reshape(-1, 2)
    found = search_from(field, plane.lift(cells).to(field.dtype), limits, line)
    return GridSearch(limits=found, shape=(side, side), extent=extent)


def _sets(catalogue: Catalogue, plane: Plane) -> dict[str, Tensor]:
    owner = torch.cat([torch.full((len(trace),), index, dtype=torch.int32) for index, trace in enumerate(catalogue.traces)] or
                      [torch.zeros(0, dtype=torch.int32)])  # fmt: skip
    every = torch.cat(catalogue.traces) if catalogue.traces else torch.zeros(0, *plane.latent_shape)
    return {
        "set_z": every.flatten(1).float(),
        "set_xy": plane.coordinates(every).float(),
        "set_owner": owner,
        "set_images": catalogue.images,
        "near_images": catalogue.nearest_images,
    }


def _model(field: LatentField, limits: LimitSets) -> tuple[tuple[Graph, Graph] | None, str]:
    """The two halves, if they do what the model does at the golden starts; else why the page has none."""
    try:
        decode, encode = exported_halves(field)
    except NotExportable as error:
        return None, str(error)
    golden = _golden(field, limits)
    for z, wanted in zip(golden["golden_z"], golden["golden_f"], strict=True):
        found = evaluated(encode, evaluated(decode, z)).reshape(-1)
        difference = float((found - wanted).norm() / wanted.norm().clamp_min(1e-12))
        if not difference <= AGREEMENT:
            return None, (
                f"The model in the page would differ from the real one by {difference:.1e} of its answer, more than {AGREEMENT:g}; "
                "the page shows what was computed beforehand."
            )
    return (decode, encode), ""


def _golden(field: LatentField, limits: LimitSets) -> dict[str, Tensor]:
    """Starts of the search, spread over it, with their images under f."""
    ends = limits.orbits.points.detach().flatten(1)
    ends = ends[ends.isfinite().all(dim=1)].to(field.dtype)
    if not len(ends):
        ends = torch.zeros(1, field.latent_dim, dtype=field.dtype)
    chosen = ends[torch.linspace(0, len(ends) - 1, GOLDEN).round().long()]
    # Ends lie on few attractors: what is compared lies around them.
    shift = torch.linspace(-1, 1, GOLDEN * chosen.shape[1], dtype=torch.float64).mul(7).sin().reshape(chosen.shape)
    z = (chosen.double().cpu() + 0.3 * limits.spread * shift / math.sqrt(chosen.shape[1])).to(torch.float32)
    answer = field(z.reshape(-1, *field.latent_shape).to(field.device, field.dtype))
    return {"golden_z": z, "golden_f": answer.detach().flatten(1).float().cpu()}


def most_examples(numbers: int) -> int:
    """Return for how many images of so many numbers a page has room.

    >>> most_examples(64), most_examples(3 * 64 * 64), most_examples(3 * 512 * 512)
    (24, 5, 1)
    """
    return max(1, min(_EXAMPLES, _EXAMPLE_NUMBERS // numbers))


def _examples(field: LatentField, named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A few images as the model takes them, and their latents."""
    images: Sequence[Tensor] = list(named.values())
    if not images:
        return {}
    x = torch.stack([image.detach() for image in images[: most_examples(images[0].numel())]]).to(
        field.device, field.dtype
    )
    return {"example_x": x.float().cpu(), "example_z": field.encode(x).detach().flatten(1).float().cpu()}
