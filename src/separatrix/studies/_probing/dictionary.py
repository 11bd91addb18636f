"""A dictionary: latents used as atoms, what they are, and their geometry."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from torch import Tensor

from separatrix.errors import InputError
from separatrix.numerics._frame_geometry import FrameGeometry, distinct_atoms, frame_geometry
from separatrix.storage import storable


@storable
class Role(StrEnum):
    """It tells what a dictionary is for in a probe; the value is how figures and tables call it."""

    ITERATED = "iterated noise"
    NOISE = "raw noise"
    ONCE = "f applied once"
    ORTHONORMAL = "random orthonormal basis"
    UNTRAINED = "untrained copy, iterated"
    PCA = "PCA of real latents"
    REAL = "real latents"
    OTHER = "other"

    @property
    def needs_data(self) -> bool:
        """The control could not be made from the checkpoint alone."""
        return self in (Role.PCA, Role.REAL)


@storable
@dataclass(frozen=True, eq=False)
class Dictionary:
    """n atoms of d coordinates.

    Attributes:
        role: what it is for.
        atoms: ``(n, d)`` float64 on the CPU, one flattened latent per row; lengths do not matter to the pursuit.
        words: what the atoms are, for a sentence ("the end points of 40 orbits that reached no limit set").
        name: how figures call it; that of the role if not given.
    """

    role: Role
    atoms: Tensor
    words: str
    name: str = ""

    def __post_init__(self) -> None:
        if self.atoms.ndim != 2 or 0 in self.atoms.shape:
            raise InputError(
                f"A dictionary needs at least one atom, (n, d), and these have the shape {tuple(self.atoms.shape)}."
            )
        object.__setattr__(self, "name", self.name or str(self.role))

    @cached_property
    def geometry(self) -> FrameGeometry:
        """Coherence, effective rank and redundancy."""
        return frame_geometry(self.atoms)

    @cached_property
    def distinct(self) -> Tensor:
        """``(m, d)`` the atoms without zeros and without copies up to the rounding of a network; one at least."""
        kept = distinct_atoms(self.atoms)
        return self.atoms[kept] if len(kept) else self.atoms[:1]

    def __len__(self) -> int:
        return len(self.atoms)

    def __repr__(self) -> str:
        return f"Dictionary({self.name}: {len(self)} atoms of {self.atoms.shape[1]} coordinates)"
