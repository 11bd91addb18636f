"""Orbits that are computed beforehand, from the nodes of a coarse grid: what a page plays where it cannot run the model."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import torch
from torch import Tensor

from separatrix.errors import ConvergenceWarning
from separatrix.explorer._sets import Catalogue, as_bytes
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets, find_attractors
from separatrix.limitsets._grid_search import GRID_RULES, Extent, grid_rules
from separatrix.orbits import Snapshots, iterate
from separatrix.plots import Plane
from separatrix.plots._pictures import decoded_pictures
from separatrix.starts import points
from separatrix.work import Progress

TIMES = (0, 1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256)
_FRAMES = (0, 2, 4, 8, 16)  # of these times, of which the images are kept
ROOM = 700_000  # bytes of latents and images
_MOST, _LEAST = 24, 6  # nodes a side


def nodes_of(
    field: LatentField,
    plane: Plane,
    extent: Extent,
    catalogue: Catalogue,
    *,
    inside: bool,
    room: int,
    progress: Progress,
) -> dict[str, Tensor]:
    """Orbits from the nodes of a grid, as many as there is room for; none where the model is inside and they would be too few to be of use.

    Cost: 257 map evaluations per node, and a search from the nodes for their ends.
    """
    pixels = math.prod(catalogue.images.shape[1:]) if len(catalogue.images) else 0
    each = 4 * len(TIMES) * field.latent_dim + len(_FRAMES) * pixels
    side = min(_MOST, int(math.sqrt(room / each)), 12 if inside else _MOST)
    if side < _LEAST:
        if inside:
            return {}
        side = _LEAST
    left, right, bottom, top = extent
    # In the middle of cells, so that the nodes are not the frame of the picture.
    steps = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    across, along = left + (right - left) * steps, bottom + (top - bottom) * steps
    xy = torch.stack(torch.meshgrid(across, along, indexing="xy"), dim=-1).reshape(-1, 2)
    starts = plane.lift(xy).to(field.device, field.dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the page says which orbits do not end
        walked = iterate(
            field, starts, replace(GRID_RULES, max_steps=TIMES[-1]), observers=[Snapshots(TIMES)], progress=progress
        )
    ends = search_from(field, starts, catalogue.searches[0], progress)
    known = torch.cat((catalogue.numbers_of(ends), torch.tensor([-1])))
    path = walked.observed["snapshots"].flatten(0, 1)
    arrays = {
        "node_xy": xy.float(),
        "node_z": path.flatten(1).float(),
        "node_t": torch.minimum(torch.tensor(TIMES)[None], walked.steps.cpu()[:, None]).to(torch.int32),
        "node_end": known[ends.labels].to(torch.int32),
        "node_steps": ends.orbits.steps.to(torch.int32),
    }
    if pixels:
        shown = path.reshape(len(xy), len(TIMES), *field.latent_shape)[:, list(_FRAMES)].flatten(0, 1)
        decoded = decoded_pictures(field, shown)
        assert decoded is not None
        arrays["node_images"] = as_bytes(decoded, catalogue.range)
        arrays["node_frames"] = torch.tensor(_FRAMES, dtype=torch.int32)
    return arrays


def search_from(field: LatentField, latents: Tensor, limits: LimitSets, progress: Progress) -> LimitSets:
    """Follow these points to their ends by the rules of maps of basins, and no farther than the search of the page went."""
    rules = grid_rules(limits)
    rules = replace(rules, max_steps=min(rules.max_steps, limits.protocol.max_steps))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the map shows it
        return find_attractors(field, points(latents), rules, progress=progress)
