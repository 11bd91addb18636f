"""z_{t+1} = f(z_t) for many starts, with an active set: a finished orbit costs nothing more."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.cost import Cost
from separatrix.errors import ConvergenceWarning, InputError, ModelWarning, NotConvergedError, warn
from separatrix.field import LatentField
from separatrix.numerics import spread as spread_of
from separatrix.orbits._judge import Judge, OrbitState
from separatrix.orbits._observers import Observer, Paths
from separatrix.orbits._pool import Advanced, Columns, Queue, Rows, advance, width_for
from separatrix.orbits._result import Orbits
from separatrix.orbits._status import Status
from separatrix.protocol import Protocol
from separatrix.starts import Starts, as_starts
from separatrix.storage import NO_CHECKPOINT, Checkpoint
from separatrix.work import SILENT, Progress

_GOOD = 16  # starts, of which the model must take one where it raises an exception for all rows of a batch
_STATE = (Columns, OrbitState, Queue, Rows)  # what iterating is made of between two looks


@checked
def iterate(
    field: LatentField,
    starts: Starts | Tensor,
    protocol: Protocol | str | None = None,
    *,
    observers: Sequence[Observer] = (),
    store_paths: bool = False,
    batch_size: int | None = None,
    spread: float | None = None,
    progress: bool | Progress = False,
    throw: bool = False,
) -> Orbits:
    """Iterate the latent map from every start until the protocol's stop rule, or its budget, ends the orbit.

    z_{t+1} = f(z_t), t = 0 … N. Finished orbits leave the batch and waiting starts take their place, so the network
    always sees full batches of orbits that still move. Nothing is stored meanwhile, because observers keep what they like; a search
    can be resumed (``find_attractors(checkpoint=…)``).

    Args:
        field: the latent field.
        starts: ``(n, *latent)`` points, or `separatrix.starts._starts`.
        protocol: stop rule and budget; the default ends an orbit when its estimated distance to the limit is small.
        observers: record statistics along the way (`separatrix.orbits._observers`), or end orbits.
        store_paths: keep whole orbits in ``Orbits.paths``; for few and short ones.
        batch_size: most latents in one network pass; by a fixed rule if not given (`LatentField.with_batch_size`).
        spread: the length unit of the tolerances; that of the starts if not given.
        progress: show a progress bar that counts finished orbits, or move the one that is there (`separatrix.work._progress`).
        throw: raise if an orbit reached no limit set, instead of warning.

    Returns:
        One row per start, in the order of the starts.

    Raises:
        InputError: bad starts or batch size.
        NotConvergedError: with ``throw=True``.

    Cost: N + 1 map evaluations for an orbit of N steps (the last one gives the residual of the end point), and p more at the end
    of one that is on a cycle of period p.

    >>> field = LatentField.from_map(lambda z: 0.5 * z, latent_shape=(2,), dtype=torch.float64)
    >>> orbits = iterate(field, torch.ones(3, 2, dtype=torch.float64))
    >>> orbits.counts
    {<Status.CONVERGED: 1>: 3}
    >>> bool((orbits.rate - 0.5).abs().max() < 1e-9)
    True
    """
    field, protocol = LatentField.of(field), Protocol.of(protocol)
    source = as_starts(starts)
    if spread is not None and not 0 < spread < math.inf:
        raise InputError(f"spread must be a positive length, or None for that of the starts, not {spread!r}.")
    watching: list[Observer] = [*observers, *([Paths()] if store_paths else [])]
    names = [observer.name for observer in watching]
    if len(set(names)) < len(names):
        raise InputError(f"Observers need different names; these are {', '.join(names)}.")
    with Progress.of(progress).stage("following orbits", len(source)) as line:
        orbits = run_orbits(
            field.with_batch_size(batch_size), source, protocol, observers=watching, spread=spread, progress=line
        )
    report_unfinished(orbits, throw)
    return orbits


@checked
def run_orbits(
    field: LatentField,
    source: Starts,
    protocol: Protocol,
    *,
    observers: Sequence[Observer] = (),
    spread: float | None = None,
    centre: Tensor | None = None,
    progress: Progress = SILENT,
    checkpoint: Checkpoint = NO_CHECKPOINT,
) -> Orbits:
    """:func:`iterate` without the warning, for searches that go on with the unfinished orbits.

    ``progress`` is advanced by one for every orbit that ends. ``centre`` ``(k,)`` is what divergence is measured from; the mean
    of the starts if not given, so that what becomes of one start may then depend on another that lies far out. With a ``checkpoint``
    (and without observers, whose memory is their own) the orbits under way are stored now and then.
    """
    with field.guest():
        state = checkpoint.begin({"field": field, "source": source}, _STATE)
        if state is None:
            sample = source.block(field, 0, min(len(source), protocol.stopping.spread_sample))
            unit = spread_of(sample) if spread is None else spread
            middle = centre_of(sample) if centre is None else centre
            columns, good = Columns.empty(len(source), sample), sample[:_GOOD]
            for observer in observers:
                observer.begin(len(source), sample[:1])
            queue, rows, evaluations = Queue(field, source, width_for(field)), None, 0
        else:
            unit, middle, columns, queue, rows, evaluations, (field.batches.usual, field.batches.fits) = state
            progress.advance(queue.taken - len(rows))
            good = source.block(field, 0, min(len(source), _GOOD))

        def take(count: int) -> Rows:
            nonlocal rows
            under_way, rows = rows, None
            return under_way or Rows.fresh(*queue.take(count), protocol)

        def look(under_way: Rows, done: Advanced) -> None:
            if checkpoint.due:
                made, sizes = evaluations + done.evaluations, (field.batches.usual, field.batches.fits)
                checkpoint.keep((unit, middle, columns, queue, under_way, made, sizes))

        judge, width = Judge(protocol, unit, middle), width_for(field)
        done = advance(field, judge, take, columns, width, observers=observers, progress=progress, look=look, good=good)
        evaluations += done.evaluations + _measure_cycles(field, columns)
        if done.raised:
            warn(done.raised.sentence, ModelWarning)
        paths = [observer.result() for observer in observers if isinstance(observer, Paths)]
        observed = {observer.name: observer.result() for observer in observers if not isinstance(observer, Paths)}
        return Orbits(
            **vars(columns),
            spread=unit,
            protocol=protocol,
            cost=Cost(map=evaluations),
            paths=paths[0] if paths else None,
            observed=observed,
        )


def centre_of(sample: Tensor) -> Tensor:
    """``(k,)`` the mean of the finite starts, which divergence is measured from."""
    finite = sample[sample.flatten(1).isfinite().all(dim=1)]
    return (finite if len(finite) else torch.zeros_like(sample)).flatten(1).mean(dim=0)


def _measure_cycles(field: LatentField, columns: Columns) -> int:
    """The residual of a point on a cycle is ‖f^p(z) − z‖, at exactly the reported point: p more evaluations for each, returned."""
    rows = (columns.status == int(Status.PERIODIC)).nonzero().squeeze(1)
    rows = rows[columns.period[rows].argsort(descending=True, stable=True)]
    periods, z = columns.period[rows].tolist(), columns.points[rows]
    for step in range(max(periods, default=0)):
        going = sum(period > step for period in periods)
        z[:going] = field.bare(z[:going])
    columns.residual[rows] = (z - columns.points[rows]).flatten(1).norm(dim=1).to(torch.float64)
    return sum(periods)


def report_unfinished(orbits: Orbits, throw: bool) -> None:
    """One warning with the counts per status and their remedies, or an exception if the caller prefers one."""
    lost = {status: count for status, count in orbits.counts.items() if not status.reached_limit_set}
    if not lost:
        return
    parts = [f"{count} {status.name} ({status.sentence}; {status.remedy})" for status, count in lost.items()]
    message = f"{sum(lost.values())} of {len(orbits)} orbits reached no limit set: {'; '.join(parts)}."
    if throw:
        raise NotConvergedError(message)
    warn(message, ConvergenceWarning)
