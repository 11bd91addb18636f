"""This file leads from errors to comparisons, conclusions and a statement; and the same for several draws of the noise together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from separatrix.cost import NO_WORK
from separatrix.errors import InputError
from separatrix.studies._probing.coding import CodingErrors
from separatrix.studies._probing.compare import SPACES, DictionaryComparison, Space, compared
from separatrix.studies._probing.dictionary import Dictionary, Role
from separatrix.studies._probing.headline import Conclusion, conclusion_of, probe_statement
from separatrix.studies._probing.result import Probe
from separatrix.words import Statement


@dataclass(frozen=True)
class Judgement:
    """It tells what errors allow one to say."""

    comparisons: tuple[DictionaryComparison, ...]
    conclusions: Mapping[Space, Conclusion]
    statement: Statement


def judgement(
    dictionaries: Sequence[Dictionary],
    errors: Mapping[str, CodingErrors],
    sparsities: tuple[int, ...],
    *,
    power: Tensor,
    empty: Tensor,
    repeats: int,
    seed: int,
    draws: int = 1,
) -> Judgement:
    """Iterated noise against each control, and one step against the random basis, in both spaces.

    Errors of several draws are stacked, ``(m, s, l)``, and the statement says how many there were.
    """
    first = dictionaries[0].name
    pairs = [(first, known.name) for known in dictionaries[1:]] + [(str(Role.ONCE), str(Role.ORTHONORMAL))]
    scales: dict[Space, float] = {"latent": float(power.mean()), "image": float(empty.mean())}
    comparisons = tuple(
        compared(
            errors[a].of(space),
            errors[b].of(space),
            sparsities,
            names=(a, b),
            space=space,
            repeats=repeats,
            seed=seed,
            scale=scales[space],
        )
        for a, b in pairs
        for space in SPACES
    )
    roles = {known.name: known.role for known in dictionaries}
    conclusions = {
        space: conclusion_of(
            {roles[c.control]: c.standing for c in comparisons if c.space == space and c.name == first}
        )
        for space in SPACES
    }
    statement = probe_statement(conclusions, comparisons, Role.UNTRAINED in roles.values(), draws)
    return Judgement(comparisons, conclusions, statement)


def pooled(probes: Sequence[Probe]) -> Probe:
    """Probes of the same data with different draws of the noise as one: errors are averaged over the draws, per image.

    For a latent space of few dimensions, where n = d atoms are few and another draw is another dictionary. Intervals of
    comparisons are over images and draws together. Geometry and reasons are those of the first draw.

    Raises:
        InputError: no probe, or probes of different data, sparsities or controls.
    """
    if not probes:
        raise InputError("There is nothing to pool; give at least one probe.")
    one = probes[0]
    for other in probes[1:]:
        same = other.sparsities == one.sparsities and list(other.errors) == list(one.errors)
        if not same or not torch.equal(other.power, one.power):
            raise InputError(f"{one!r} and {other!r} are not of the same data, sparsities and controls; probe alike.")
    stacked = {
        name: CodingErrors(*(_stacked(probes, name, part) for part in ("latent", "image", "ended_early")))
        for name in one.errors
    }
    found = judgement(
        one.dictionaries,
        stacked,
        one.sparsities,
        power=one.power,
        empty=one.empty,
        repeats=one.provenance["repeats"],
        seed=one.provenance["seed"],
        draws=len(probes),
    )
    return replace(
        one,
        errors={
            name: CodingErrors(each.latent.mean(dim=0), each.image.mean(dim=0), each.ended_early.mean(dim=0))
            for name, each in stacked.items()
        },
        comparisons=found.comparisons,
        conclusions=found.conclusions,
        statement=found.statement,
        cost=sum((probe.cost for probe in probes), NO_WORK),
        provenance={**one.provenance, "draws": len(probes)},
    )


def _stacked(probes: Sequence[Probe], name: str, part: str) -> Tensor:
    return torch.stack([getattr(probe.errors[name], part) for probe in probes])
