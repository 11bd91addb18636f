"""The dictionaries that a checkpoint yields without data: iterated noise, and what it must beat."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from separatrix import starts as starting
from separatrix.arguments import checked
from separatrix.cost import NO_WORK, Cost
from separatrix.data import shape_words
from separatrix.errors import ConvergenceWarning, FieldError, InputError
from separatrix.field import LatentField
from separatrix.limitsets import Kind, LimitSets, find_attractors
from separatrix.models import untrained_copy
from separatrix.numerics import counter_random
from separatrix.orbits import Orbits, iterate
from separatrix.starts import Starts, as_starts
from separatrix.studies._probing.dictionary import Dictionary, Role
from separatrix.words import counted

_CHUNK = 128  # latents through the map at once
_BASIS_STREAM = 5 << 64  # of the random basis, so that one seed does not give the starts again


@dataclass(frozen=True, eq=False)
class DataFreeDictionaries:
    """Iterated noise first, then its controls; one set serves any number of data sets.

    Attributes:
        dictionaries: with different names; the first has the role `Role.ITERATED`.
        absent: a sentence for each control that could not be made, and why.
        cost: map evaluations spent on them here.
    """

    dictionaries: tuple[Dictionary, ...]
    absent: tuple[str, ...] = ()
    cost: Cost = NO_WORK

    def also(self, name: str, latents: Tensor, words: str) -> DataFreeDictionaries:
        """These and one more, such as the noise after ten steps."""
        more = Dictionary(Role.OTHER, _flat(latents), words, name)
        if name in {known.name for known in self.dictionaries}:
            raise InputError(f"There is a dictionary called {name!r} already; choose another name.")
        return DataFreeDictionaries((*self.dictionaries, more), self.absent, self.cost)


@checked
def data_free_dictionaries(
    field: LatentField,
    atoms: LimitSets | Orbits | Tensor,
    *,
    starts: Starts | Tensor | None = None,
    untrained: LimitSets | Orbits | Tensor | bool = True,
    seed: int = 0,
) -> DataFreeDictionaries:
    """Iterated noise as a dictionary, with every control that needs no data, all from the same n starts.

    * *iterated noise*: for each start the attractor it reached; where it reached none, the point where its orbit ended.
      Two starts with one attractor give one distinct atom.
    * *raw noise*: the starts themselves. *f applied once*: f of each.
    * *random orthonormal basis*: min(n, d) rows of a Haar-random rotation.
    * *untrained copy, iterated*: the same starts and the same protocol on freshly initialised weights.

    Args:
        field: the latent field.
        atoms: the limit sets or the orbits of noise starts, or points of one's own.
        starts: the noise, in the order of ``atoms``; read off limit sets, whose provenance has it. For points without
            starts as many are drawn from N(0, I).
        untrained: limit sets, orbits or points of the untrained copy if they are known; False leaves the control out.
        seed: of the basis, of noise drawn here, and of the untrained weights.

    Raises:
        InputError: limit sets of starts that are not noise, or numbers and shapes that do not fit.

    Cost: n map evaluations, and for the untrained copy what its search costs (usually little: it contracts).
    """
    points, words = atoms_of(atoms)
    if points.shape[1] != field.latent_dim:
        raise InputError(
            f"The atoms have {points.shape[1]} coordinates and the latent space of {field.name} has {field.latent_dim}; "
            "use those of this field."
        )
    noise = noise_of(atoms, starts, len(points), seed)
    z = noise.block(field, 0, len(noise))
    once = torch.cat([field(part) for part in z.split(_CHUNK)])
    made = [
        Dictionary(Role.ITERATED, points, words),
        Dictionary(Role.NOISE, _flat(z), f"the {len(z):,} starts"),
        Dictionary(Role.ONCE, _flat(once), f"f of the {len(z):,} starts"),
        orthonormal(min(len(z), field.latent_dim), field.latent_dim, seed),
    ]
    cost, absent = Cost(map=len(z)), []
    if untrained is not False:
        try:
            found = _untrained(field, atoms, noise, seed) if untrained is True else untrained
            cost += found.cost if untrained is True and isinstance(found, (LimitSets, Orbits)) else NO_WORK
            other, how = atoms_of(found)
            made.append(Dictionary(Role.UNTRAINED, other, how))
        except (InputError, FieldError) as error:
            absent.append(f"No untrained copy: {error}")
    else:
        absent.append("No untrained copy: it was not asked for.")
    return DataFreeDictionaries(tuple(made), tuple(absent), cost)


def atoms_of(found: LimitSets | Orbits | Tensor) -> tuple[Tensor, str]:
    """One atom per start, ``(n, d)`` float64, and what they are in words. Points that are not finite are left out.

    >>> atoms_of(torch.eye(2))[1]
    '2 given points'
    """
    if isinstance(found, Tensor):
        if found.ndim < 2:
            raise InputError(f"Atoms need the shape (n, *latent_shape), not {tuple(found.shape)}.")
        return _finite(_flat(found)), f"{len(found):,} given points"
    orbits = found.orbits if isinstance(found, LimitSets) else found
    points = _flat(orbits.points)
    if not isinstance(found, LimitSets):
        return _finite(points), f"the end points of {len(points):,} orbits ({orbits.fates.words})"
    attracting = (
        (found.stable == 1)[found.labels.clamp(min=0)] & (found.labels >= 0) if len(found) else found.labels > 0
    )
    # The polished point where the set is one point; on cycles and curves where the orbit itself ended, if it was followed so far.
    single = attracting.clone()
    single[attracting] = found.kind[found.labels[attracting]] == int(Kind.FIXED_POINT)
    single |= attracting & ~orbits.followed
    points[single.cpu()] = _flat(found.points)[found.labels[single].cpu()]
    sets = len(found.labels[attracting].unique())
    parts = []
    if sets:
        parts.append(f"the {counted(sets, 'attractor')} that {int(attracting.sum()):,} starts reached")
    if rest := int((~attracting).sum()):
        end = "s" if rest > 1 else ""
        parts.append(f"the end point{end} of {rest:,} orbit{end} that reached none ({found.fates.others})")
    return _finite(points), " and ".join(parts)


def orthonormal(count: int, dimension: int, seed: int) -> Dictionary:
    """``count`` rows of a Haar-random orthogonal matrix: Q of a Gaussian matrix (the pursuit does not see signs)."""
    draws = torch.from_numpy(counter_random.gaussian(_BASIS_STREAM | seed, 0, count, dimension))
    return Dictionary(
        Role.ORTHONORMAL, torch.linalg.qr(draws.T).Q.T.contiguous(), f"{count:,} random orthonormal atoms"
    )


def noise_of(atoms: LimitSets | Orbits | Tensor, starts: Starts | Tensor | None, count: int, seed: int) -> Starts:
    """The starts of these atoms: as given, or read off limit sets, or as many drawn anew for mere points."""
    if starts is not None:
        noise = as_starts(starts)
        expected = len(atoms.labels) if isinstance(atoms, LimitSets) else len(atoms)
        if len(noise) != expected:
            raise InputError(f"There are {len(noise):,} starts for {expected:,} atoms; give the starts of these atoms.")
        return noise
    if isinstance(atoms, LimitSets):
        return _starts_from(atoms.provenance.get("starts", {}))
    if isinstance(atoms, Orbits):
        raise InputError("Orbits do not say where they began; pass starts=, the noise they were iterated from.")
    return starting.gaussian(count, seed=seed)


def _starts_from(provenance: Mapping[str, Any]) -> Starts:
    if provenance.get("kind") != "gaussian":
        raise InputError(
            f"Data-free probing needs the attractors of noise, and these limit sets began from "
            f"{provenance.get('kind', 'unknown starts')!r}; search from starts.gaussian(n), or pass starts=."
        )
    first, last = int(provenance["first"]), int(provenance["last"])
    return starting.gaussian(last, seed=int(provenance["seed"]), std=float(provenance["std"]))[first:last]


def _untrained(
    field: LatentField, atoms: LimitSets | Orbits | Tensor, noise: Starts, seed: int
) -> LimitSets | Orbits | Tensor:
    if isinstance(atoms, Tensor):
        raise InputError("points do not say how they were found; pass untrained=, the same from an untrained copy.")
    copy = untrained_copy(field, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the dictionary's words say what was reached
        if isinstance(atoms, LimitSets):
            return find_attractors(copy, noise, atoms.protocol)
        return iterate(copy, noise, atoms.protocol)


def _flat(latents: Tensor) -> Tensor:
    return latents.detach().flatten(1).to("cpu", torch.float64, copy=True)


def _finite(points: Tensor) -> Tensor:
    kept = points[points.isfinite().all(dim=1)]
    if not len(kept):
        raise InputError(
            f"None of {len(points):,} points of shape {shape_words(points.shape[1:])} is finite, so there is no atom."
        )
    return kept
