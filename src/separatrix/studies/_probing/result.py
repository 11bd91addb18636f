"""This file tells what a probe of one data set found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from separatrix.cost import NO_WORK, Cost
from separatrix.errors import InputError
from separatrix.storage import storable
from separatrix.studies._probing.coding import CodingErrors
from separatrix.studies._probing.compare import SPACES, DictionaryComparison, Space
from separatrix.studies._probing.dictionary import Dictionary
from separatrix.studies._probing.headline import Conclusion
from separatrix.words import Statement, Tabular


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class Probe(Tabular):
    """It tells how well s real latents are coded by iterated noise and by every control, at l sparsities.

    Attributes:
        name: of the data set.
        sparsities: numbers of atoms k₁ < … < k_l.
        dictionaries: iterated noise first, then the controls.
        errors: by the name of the dictionary.
        comparisons: iterated noise against each control, and f applied once against the random basis; in both spaces.
        power: ``(s,)`` ‖z‖²/d, the latent error of no atom at all.
        empty: ``(s,)`` ‖x − D(0)‖²/p, the same for the image.
        floor: ``(s,)`` ‖x − D(z)‖²/p, the image error of the latent itself.
        peak_latent, peak_image: ranges that PSNR refers to.
        examples: ``(m, d)`` the first few coded latents, and ``example_images`` ``(m, …)`` what they should decode to.
        conclusions: per space, what the controls allow one to say.
        statement: both together, with their numbers; its code is a `Conclusion`.
        reasons: sentences on why, from the geometry of the dictionaries and the counts.
        absent: controls that could not be made, and why.
        cost: map evaluations; one encoding or decoding counts as half.
        provenance: counts, seeds, field.
    """

    name: str
    sparsities: tuple[int, ...]
    dictionaries: tuple[Dictionary, ...]
    errors: Mapping[str, CodingErrors]
    comparisons: tuple[DictionaryComparison, ...]
    power: Tensor
    empty: Tensor
    floor: Tensor
    peak_latent: float
    peak_image: float
    examples: Tensor
    example_images: Tensor
    conclusions: Mapping[Space, Conclusion]
    statement: Statement
    reasons: tuple[str, ...]
    absent: tuple[str, ...] = ()
    cost: Cost = NO_WORK
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def table(self) -> Mapping[str, Sequence[Any]]:
        """One row per dictionary and sparsity: mean squared errors and PSNR in both spaces, and the share that is not coded."""
        columns: dict[str, list[Any]] = {
            "dictionary": [name for name in self.errors for _ in self.sparsities],
            "atoms": [*self.sparsities] * len(self.errors),
        }
        for space in SPACES:
            columns[f"mse_{space}"] = [value for name in self.errors for value in self.mse(name, space).tolist()]
            columns[f"psnr_{space}"] = [value for name in self.errors for value in self.psnr(name, space).tolist()]
        columns["relative"] = [value for name in self.errors for value in self.relative(name).tolist()]
        return columns

    def __len__(self) -> int:
        return len(self.power)

    def mse(self, dictionary: str, space: Space) -> Tensor:
        """``(l,)`` mean squared error over the signals."""
        return self._errors(dictionary).of(space).mean(dim=0)

    def psnr(self, dictionary: str, space: Space) -> Tensor:
        """``(l,)`` mean over the signals of 10 log₁₀(peak²/MSE), in dB; infinite where nothing is left of one."""
        peak = self.peak_latent if space == "latent" else self.peak_image
        return (10 * (peak**2 / self._errors(dictionary).of(space)).log10()).mean(dim=0)

    def relative(self, dictionary: str) -> Tensor:
        """``(l,)`` mean of ‖z − ẑ‖²/‖z‖²: the share of the latent that is not coded."""
        power = torch.where(self.power > 0, self.power, 1.0)
        return (self._errors(dictionary).latent / power[:, None]).mean(dim=0)

    def against(self, control: str, space: Space) -> DictionaryComparison:
        """Iterated noise against one control.

        Raises:
            InputError: there is no such control.
        """
        first = self.dictionaries[0].name
        for comparison in self.comparisons:
            if (comparison.name, comparison.control, comparison.space) == (first, control, space):
                return comparison
        raise InputError(
            f"This probe has no control {control!r}; it has {', '.join(map(repr, list(self.errors)[1:]))}."
        )

    def _errors(self, dictionary: str) -> CodingErrors:
        if dictionary not in self.errors:
            raise InputError(
                f"This probe has no dictionary {dictionary!r}; it has {', '.join(map(repr, self.errors))}."
            )
        return self.errors[dictionary]

    def __repr__(self) -> str:
        found = ", ".join(f"{space}: {conclusion}" for space, conclusion in self.conclusions.items())
        return f"Probe({self.name}, {len(self)} signals, {len(self.dictionaries)} dictionaries; {found})"
