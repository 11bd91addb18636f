"""Limit sets of successive fields under names that stay."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import ConvergenceWarning, FieldError, InputError, ModelWarning, warn
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets, find_attractors
from separatrix.protocol import Protocol
from separatrix.starts import Starts
from separatrix.storage import Columnar, storable
from separatrix.studies._continuation.events import Events
from separatrix.studies._continuation.following import Follower
from separatrix.studies._continuation.matching import By, checked_threshold, decoded_traces
from separatrix.work import Progress


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class Continuation(Columnar):
    """One row per limit set and field, in order of the fields. Only sets that attract or may attract have rows.

    Attributes:
        time: ``(r,)`` int64, which field: the set belongs to ``limits[time]`` and to ``parameters[time]``.
        set: ``(r,)`` int64, which of its limit sets.
        id: ``(r,)`` int64, the name that stays: 0, 1, … in the order of appearance.
        share: ``(r,)`` float64, share of the starts that end there.
        spectral_radius: ``(r,)`` float64.
        points: ``(r, *latent)`` float64, one point of the set.
        events: births, deaths, merges and splits, and who went out of sight or came into it; see
            :class:`~separatrix.studies.EventKind`.
        parameters: one number per field, such as the epoch.
        limits: the searches themselves.
        decoded: per field and per set *with a row*, decoded points ``(p, …)``; None if they were not asked for.
        by: the rule of the matching.
        threshold: its threshold.
    """

    _columns: ClassVar[tuple[str, ...]] = ("time", "set", "id", "share", "spectral_radius", "points")

    time: Tensor
    set: Tensor
    id: Tensor
    share: Tensor
    spectral_radius: Tensor
    points: Tensor
    events: Events
    parameters: tuple[float, ...]
    limits: tuple[LimitSets, ...]
    decoded: tuple[tuple[Tensor, ...], ...] | None
    by: By
    threshold: float

    @property
    def table(self) -> Mapping[str, Sequence[Any]]:
        """One row per limit set and field, with the parameter of the field."""
        return {"parameter": [self.parameters[time] for time in self.time.tolist()], **super().table}

    @property
    def counts(self) -> Tensor:
        """``(t,)`` int64, sets with a row per field."""
        return torch.bincount(self.time, minlength=len(self.parameters))

    @checked
    def ids(self, time: int) -> Tensor:
        """``(m,)`` int64, the id of every limit set of field ``time``; −1 for unstable ones."""
        names = torch.full((len(self.limits[time]),), -1, dtype=torch.int64)
        rows = self.time == time
        names[self.set[rows]] = self.id[rows]
        return names

    @checked
    def labels(self, time: int) -> Tensor:
        """``(n,)`` int64, the id of the set on which each start ends in field ``time``; −1 for none."""
        own = self.limits[time].labels.cpu()
        names = torch.cat([self.ids(time), torch.tensor([-1])])
        return names[own]

    def lifetimes(self) -> dict[int, tuple[int, int]]:
        """id → (first, last) field in which it is seen; between them it may have been out of sight."""
        spans: dict[int, tuple[int, int]] = {}
        for time, name in zip(self.time.tolist(), self.id.tolist(), strict=True):
            spans[name] = (spans.get(name, (time, time))[0], time)
        return spans

    @checked
    def rematched(self, *, by: By | None = None, threshold: float | None = None) -> Continuation:
        """The same searches matched by another rule. Cost: none, nothing is evaluated.

        Raises:
            InputError: ``by="decoded"`` where nothing was decoded (``keep_decoded=True`` keeps it).
        """
        return continuation_of(self.limits, self.parameters, self.decoded, by=by or self.by, threshold=threshold)

    def describe_events(self) -> list[str]:
        """One line per field in which something happened."""
        lines = []
        words = self.events.words
        for time, value in enumerate(self.parameters):
            said = [word for word, when in zip(words, self.events.time.tolist(), strict=True) if when == time]
            if said:
                lines.append(f"{value:g}: {', '.join(said)}")
        return lines

    def __repr__(self) -> str:
        counts = self.counts.tolist()
        first, last = (counts[0], counts[-1]) if counts else (0, 0)
        return (
            f"Continuation({len(self.parameters)} fields, {first} sets at first and {last} at last, "
            f"{len(self.lifetimes())} ids, by {self.by}; {self.events!r})"
        )


@checked
def continuation(
    searches: Iterable[LatentField] | Sequence[LimitSets],
    starts: Starts | Tensor | None = None,
    protocol: Protocol | None = None,
    *,
    parameters: Sequence[float] | None = None,
    by: By = "basins",
    threshold: float | None = None,
    fields: Sequence[LatentField] | None = None,
    keep_decoded: bool = False,
    batch_size: int | None = None,
    progress: bool | Progress = False,
) -> Continuation:
    """Limit sets of successive fields, each matched with those of the field before; see :func:`match` for the rules.

    Args:
        searches: the fields, one after the other (a generator is asked for the next only when the last is done), or limit
            sets that were found already.
        starts: where every search begins; the same starts in every field are what ``by="basins"`` compares.
        protocol: of the searches.
        parameters: one number per field, such as the epoch; 0, 1, 2, … if not given.
        by: ``"basins"``, ``"points"`` or ``"decoded"``.
        threshold: dissimilarity at which two sets are different; see :func:`match`.
        fields: with limit sets for ``searches``, the fields to decode with.
        keep_decoded: keep the decoded sets, so that they can be matched by them later.
        batch_size: most latents, or images, in one network pass; by a fixed rule if not given (`LatentField.with_batch_size`).
        progress: show a progress bar, or move the one that is there (`separatrix.work._progress`).

    Raises:
        FieldError: none of the fields is a self-map; single ones are left out, with a warning.
        InputError: fields without starts, limit sets with starts, or numbers of parameters or fields that do not fit.

    Cost: one search per field; matching evaluates nothing.

    >>> from separatrix import starts
    >>> wells = (LatentField.from_map(lambda z, h=h: z + 0.2 * (z - z**3 + h), (1,)) for h in (0.0, 0.2, 0.5))
    >>> story = continuation(wells, starts.box(200, -1.25, 1.25, seed=0), parameters=(0.0, 0.2, 0.5))
    >>> story.counts.tolist(), story.describe_events()
    ([2, 2, 1], ['0.5: 0 merged into 1'])
    """
    checked_threshold(by, threshold)
    decoding = keep_decoded or by == "decoded"
    found: list[LimitSets] = []
    pictures: list[tuple[Tensor, ...]] = []
    broken: list[tuple[int, str, FieldError]] = []
    count = len(searches) if isinstance(searches, Sized) else None
    one_by_one: Iterable[LatentField | LimitSets] = searches
    with warnings.catch_warnings(), Progress.of(progress).stage("continuation", count) as line:
        warnings.simplefilter("ignore", ConvergenceWarning)  # shares that reached nothing are in the result
        for number, given in enumerate(one_by_one):
            if isinstance(given, LimitSets):
                if starts is not None or protocol is not None:
                    raise InputError(
                        "Limit sets were found already, so starts and protocol do not apply; leave them out."
                    )
                limits, field = given, None if fields is None else fields[number]
            else:
                if starts is None:
                    raise InputError("A continuation of fields needs starts, such as starts.gaussian(500, seed=0).")
                try:
                    limits = find_attractors(given, starts, protocol, batch_size=batch_size, progress=line)
                except FieldError as error:  # one damaged checkpoint must not cost the searches of the others
                    broken.append((number, given.name, error))
                    continue
                field = given
            found.append(limits)
            if decoding:
                if field is None:
                    raise InputError("There is nothing to decode with; pass fields=, one for each search.")
                pictures.append(decoded_traces(field, lasting(limits)[0]))
    if broken and not found:
        raise broken[0][2]
    if not found:
        raise InputError("A continuation needs at least one field.")
    tried = len(found) + len(broken)
    values = tuple(float(value) for value in (range(tried) if parameters is None else parameters))
    if len(values) != tried:
        raise InputError(f"There are {tried} fields and {len(values)} parameters; give one for each.")
    for number, name, why in broken:
        warn(f"Field {number} ({name}) is left out of the continuation: {why}", ModelWarning)
    lost = {number for number, _, _ in broken}
    values = tuple(value for number, value in enumerate(values) if number not in lost)
    return continuation_of(found, values, tuple(pictures) if decoding else None, by=by, threshold=threshold)


def lasting(limits: LimitSets) -> tuple[LimitSets, Tensor]:
    """The sets that attract or may attract, and their numbers."""
    numbers = (limits.stable != 0).nonzero().squeeze(1)
    return limits[numbers], numbers.cpu()


def continuation_of(
    found: Sequence[LimitSets],
    parameters: Sequence[float],
    decoded: Sequence[Sequence[Tensor]] | None,
    *,
    by: By,
    threshold: float | None = None,
) -> Continuation:
    """Names for the sets of searches, one after the other."""
    limit = checked_threshold(by, threshold)
    if by == "decoded" and decoded is None:
        raise InputError('Nothing was decoded here; continue with keep_decoded=True, or match by="basins" or "points".')
    kept = [lasting(limits) for limits in found]
    follower = Follower(by, limit)
    names: list[Tensor] = []
    events: list[tuple[int, int, int, int]] = []
    for time, (sets, _) in enumerate(kept):
        own, happened = follower.follow(sets, None if decoded is None else decoded[time])
        names.append(own)
        events += [(time, int(kind), who, other) for kind, who, other in happened]
    table = torch.tensor(events, dtype=torch.int64).reshape(-1, 4)
    return Continuation(
        time=torch.cat([torch.full((len(own),), time, dtype=torch.int64) for time, own in enumerate(names)]),
        set=torch.cat([numbers for _, numbers in kept]),
        id=torch.cat(names),
        share=torch.cat([limits.fractions.cpu() for limits, _ in kept]),
        spectral_radius=torch.cat([limits.spectral_radius.cpu() for limits, _ in kept]),
        points=torch.cat([limits.points.to("cpu", torch.float64) for limits, _ in kept]),
        events=Events(time=table[:, 0], kind=table[:, 1].to(torch.uint8), id=table[:, 2], other=table[:, 3]),
        parameters=tuple(parameters),
        limits=tuple(found),
        decoded=None if decoded is None else tuple(tuple(sets) for sets in decoded),
        by=by,
        threshold=limit,
    )
