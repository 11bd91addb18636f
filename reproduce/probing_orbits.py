"""Noise orbits of a model that takes long, block by block on disk, so that an interrupted run goes on where it was."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import separatrix as sx
from separatrix.errors import ConvergenceWarning, InputError
from separatrix.numerics import spread
from separatrix.orbits import Snapshots

BLOCK = 64
SNAPSHOTS = (3, 10, 30)


@dataclass(frozen=True)
class NoiseOrbits:
    """The orbits of all starts, and where they were after each number of steps of `SNAPSHOTS`."""

    orbits: sx.Orbits
    snapshots: Tensor


def noise_orbits(field: sx.LatentField, starts: sx.starts.Starts, max_steps: int, folder: Path) -> NoiseOrbits:
    """At most ``max_steps`` from every start; what lies in ``folder`` from an earlier run is not computed again.

    Raises:
        InputError: the folder holds blocks of another run.
    """
    protocol = sx.Protocol(max_steps=max_steps)
    unit = spread(starts.block(field, 0, len(starts)))
    blocks = []
    for first in range(0, len(starts), BLOCK):
        last = min(first + BLOCK, len(starts))
        place = folder / f"{first}-{last}"
        if not place.exists():
            watching = [Snapshots(SNAPSHOTS)]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # statuses are counted in the table
                found = sx.iterate(field, starts[first:last], protocol, observers=watching, spread=unit)
            sx.save_result(found, place)
            print(f"{field.name}, starts {first} to {last}: {found!r}", flush=True)
        block = sx.load_result(place)
        assert isinstance(block, sx.Orbits)
        if block.protocol != protocol or len(block) != last - first:
            raise InputError(f"{place} is of another run; remove {folder} or choose another --work.")
        blocks.append(block)
    orbits = blocks[0]
    for block in blocks[1:]:
        orbits = orbits.followed_by(block)
    return NoiseOrbits(orbits, torch.cat([block.observed["snapshots"] for block in blocks]))
