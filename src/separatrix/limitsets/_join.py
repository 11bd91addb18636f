"""Several searches of one field as one, so that what is said of its attractors is said of all that were found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from separatrix.errors import InputError
from separatrix.limitsets._capture_audit import CaptureAudit, StatisticalCaptures
from separatrix.limitsets._same_sets import same_sets
from separatrix.limitsets._sets import LimitSets
from separatrix.limitsets._triviality import triviality
from separatrix.orbits import Orbits

_ORBIT_COLUMNS = ("points", "steps", "residual", "rate", "error", "status", "period")


def join_searches(searches: Sequence[LimitSets]) -> LimitSets:
    """All sets that any of the searches found and all their starts, one search after the other.

    The sets of the first search come first, in their order, then those that only later ones found. So they are not
    sorted by hits, and indices and names of the first search stay what they are. Spread, protocol and provenance are
    the first's; observations and whole paths are left out.

    Raises:
        InputError: no searches, or of fields with latents of different shapes.

    >>> import separatrix as sx
    >>> wells = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=2, dtype=torch.float64)
    >>> join_searches([sx.find_attractors(wells, sx.starts.gaussian(50, seed=seed)) for seed in (0, 1)])
    LimitSets(4 fixed points; 4 attract; all 100 starts reached an attractor)
    """
    if not searches:
        raise InputError("There is nothing to join; give at least one search.")
    result = searches[0]
    for limits in searches[1:]:
        result = _with(result, limits)
    return result if len(searches) == 1 else replace(result, notes=_notes(searches, result))


def _with(known: LimitSets, other: LimitSets) -> LimitSets:
    place = same_sets(other, known)
    new = (place < 0).nonzero().squeeze(1)
    place[new] = len(known) + torch.arange(len(new))
    # One row more, for the label −1 of starts that reached nothing.
    renumbered = torch.cat((place, place.new_tensor([-1]))).to(other.labels.device)[other.labels]
    labels = torch.cat((known.labels, renumbered))
    count = len(known) + len(new)
    added = other[new]
    width = max(known.eigenvalues.shape[1], added.eigenvalues.shape[1])
    columns: dict[str, Any] = {
        name: torch.cat((getattr(known, name), getattr(added, name)))
        for name in LimitSets._columns
        if name not in ("eigenvalues", "hits")
    }
    return replace(
        known,
        **columns,
        eigenvalues=torch.cat((_padded(known.eigenvalues, width), _padded(added.eigenvalues, width))),
        hits=torch.bincount(labels[labels >= 0], minlength=count),
        labels=labels,
        orbits=_orbits(known.orbits, other.orbits),
        traces={**known.traces, **{len(known) + index: trace for index, trace in added.traces.items()}},
        audit=_audit(known.audit, other.audit),
        cost=known.cost + other.cost,
    )


def _notes(searches: Sequence[LimitSets], both: LimitSets) -> tuple[str, ...]:
    """Each note once. That a field is trivial for the starts of one search need not hold for all of them."""
    kept = [note for limits in searches for note in limits.notes if note != str(triviality(limits).statement)]
    found = triviality(both)
    return tuple(dict.fromkeys((*kept, *((str(found.statement),) if found.trivial else ()))))


def _padded(eigenvalues: Tensor, width: int) -> Tensor:
    """Searches may know different numbers of eigenvalues; NaN is unknown."""
    return pad(eigenvalues, (0, width - eigenvalues.shape[1]), value=torch.nan)


def _orbits(first: Orbits, second: Orbits) -> Orbits:
    columns: dict[str, Any] = {
        name: torch.cat((getattr(first, name), getattr(second, name))) for name in _ORBIT_COLUMNS
    }
    return replace(first, **columns, paths=None, observed={}, cost=first.cost + second.cost)


def _audit(first: CaptureAudit | None, second: CaptureAudit | None) -> CaptureAudit | None:
    if first is None or second is None:
        return first or second
    return CaptureAudit(
        captured=first.captured + second.captured,
        checked=first.checked + second.checked,
        agreed=first.agreed + second.agreed,
        rounds=max(first.rounds, second.rounds),
        abandoned=first.abandoned or second.abandoned,
        statistical=_samples(first.statistical, second.statistical),
    )


def _samples(first: StatisticalCaptures | None, second: StatisticalCaptures | None) -> StatisticalCaptures | None:
    if first is None or second is None:
        return first or second
    return StatisticalCaptures(
        captured=first.captured + second.captured,
        followed=first.followed + second.followed,
        disagreements=first.disagreements + second.disagreements,
        bound=max(first.bound, second.bound),
    )
