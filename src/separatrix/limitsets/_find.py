"""`find_attractors`: from starts to limit sets."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from shutil import rmtree

from torch import Tensor

from separatrix.arguments import checked
from separatrix.engines import Engine, Keeping, SharedFolder, current
from separatrix.field import LatentField, require_self_map, required_to_stay
from separatrix.limitsets._assemble import assemble_unpolished
from separatrix.limitsets._parts import finest
from separatrix.limitsets._search import Search
from separatrix.limitsets._sets import LimitSets
from separatrix.limitsets._triviality import triviality
from separatrix.orbits import run_orbits
from separatrix.orbits._iterate import report_unfinished
from separatrix.protocol import Protocol
from separatrix.starts import Starts, as_starts
from separatrix.storage import NO_CHECKPOINT, Checkpoint, PathLike, place_of
from separatrix.work import Progress

_PARTS = "-parts"  # beside a checkpoint, the folder of parts that are done since
_ASKED = 4  # starts at which a model is asked whether it is the one of a checkpoint
_EXAMINED, _TRIED = 4, 256  # starts; more are tried where the model raises an exception for one of those


@checked
def find_attractors(
    field: LatentField,
    starts: Starts | Tensor,
    protocol: Protocol | str | None = None,
    *,
    batch_size: int | None = None,
    progress: bool | Progress = False,
    throw: bool = False,
    checkpoint: PathLike | None = None,
    engine: Engine | None = None,
) -> LimitSets:
    """The limit sets that orbits from these starts end on, their stability, and which start ends where.

    With the default protocol an *attractor* has residual at the float64 floor and ρ(J) < 1, and every start counted in
    its basin was seen to contract towards it, in the norm in which the map contracts there, or to rest on it. From about ten thousand starts
    on most labels rest on a sample instead: ``limits.audit.statistical`` bounds how many of them are wrong (``Protocol.max_wrong``, 0.1 %;
    0 follows every orbit). With ``Protocol.paper()`` end points are merged as they are, by cosine.

    Args:
        field: the latent field; it is checked first (shapes, finiteness, determinism, batch independence).
        starts: ``(n, *latent)`` points or `separatrix.starts._starts`.
        protocol: the rules of the count; a `Protocol`, or ``"paper"``.
        batch_size: most latents in one network pass; by a fixed rule if not given (`LatentField.with_batch_size`).
        progress: show a progress bar, or move the one that is there (`separatrix.work._progress`).
        throw: raise if an orbit reached no limit set, instead of one warning with the reasons.
        checkpoint: a folder in which the state of the search is stored now and then. A search that was killed goes on from there when it
            is called again, and ends in the same result, bit for bit on one machine. The folder is removed when the search has ended.
        engine: who computes the parts of each round (`separatrix.engines`), for example ``sx.engines.Processes(2)``; that of the block
            (``sx.engines.using``) if not given, else this process.
            Results have the same bits whoever computes, with as many threads. With a checkpoint each part is kept as soon as it is there.

    Returns:
        Limit sets, most visited first. Orbits that reached none have label −1 and a `Status` that says why.

    Raises:
        FieldError: the model is not a deterministic self-map; the message names the remedy.
        InputError: bad starts or options, or the checkpoint is that of another search.
        NotConvergedError: with ``throw=True``.

    Cost: the orbits' own map evaluations up to their capture, one Jacobian and some ten evaluations per candidate set; all
    counted in ``LimitSets.cost``.

    >>> import torch
    >>> field = LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(1,), dtype=torch.float64)
    >>> limits = find_attractors(field, torch.linspace(-1, 1, 10, dtype=torch.float64)[:, None])
    >>> limits
    LimitSets(2 fixed points; 2 attract; all 10 starts reached an attractor)
    >>> [round(z, 6) for z in limits.points.flatten().sort().values.tolist()]
    [-0.957504, 0.957504]
    """
    field, protocol = LatentField.of(field), Protocol.of(protocol)
    source = as_starts(starts)
    field = field.with_batch_size(batch_size)
    first, further = (partial(source.block, field, 0, min(count, len(source))) for count in (_EXAMINED, _TRIED))
    require_self_map(field, first(), further)
    fine, notes = finest(field)
    transit = fine if protocol.precision == "float64" else field
    with _stored_in(checkpoint, field, source, protocol) as place, required_to_stay(field):
        if protocol.polish:
            limits = Search(transit, fine, protocol, Progress.of(progress), place, _keeping(engine, checkpoint)).run(
                source
            )
        else:
            with Progress.of(progress).stage("following orbits", len(source)) as line:
                orbits = run_orbits(transit, source, protocol, progress=line, checkpoint=place)
            limits = assemble_unpolished(fine, orbits)
        place.end()
        if checkpoint is not None:
            rmtree(f"{os.fspath(checkpoint)}{_PARTS}", ignore_errors=True)
    provenance = {"field": field.describe(), "starts": dict(source.provenance)}
    found = triviality(limits)
    notes += limits.notes + ((str(found.statement),) if found.trivial else ())
    limits = replace(limits, notes=notes, provenance={**provenance, **limits.provenance})
    report_unfinished(limits.orbits, throw)
    return limits


def _keeping(engine: Engine | None, checkpoint: PathLike | None) -> Engine | Keeping | None:
    """The engine; beside a checkpoint, one that keeps the parts of the rounds since."""
    engine = engine or current()
    if engine is None or checkpoint is None or isinstance(engine, SharedFolder):  # which keeps parts itself
        return engine
    return Keeping(engine, place_of(f"{os.fspath(checkpoint)}{_PARTS}"))


def _stored_in(
    path: PathLike | None, field: LatentField, source: Starts, protocol: Protocol
) -> AbstractContextManager[Checkpoint]:
    """The checkpoint of this search. Cost: 10 map evaluations that no result counts, if there is one."""
    if path is None:
        return nullcontext(NO_CHECKPOINT)
    identity = field.describe()
    belongs_to = {
        "version of separatrix": version("separatrix"),
        "field": {name: identity[name] for name in ("latent_shape", "dtype", "device", "fingerprint")},
        "starts": source.identity,
        "protocol": protocol.to_dict(),
    }
    image = field.examine(source.block(field, 0, min(_ASKED, len(source)))).image
    assert image is not None  # it was evaluated there before
    return Checkpoint.at(path, belongs_to, image)
