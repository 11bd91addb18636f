"""Everything that is known about one model, gathered for its figures and its chapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from separatrix.data import ChosenImages
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets import GridSearch, LimitSets, Sensitivity
from separatrix.studies import Resemblance


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelResults:
    """It tells what a report on one model is made from. Beyond the field and one search, each part adds a section.

    Attributes:
        title: the model in a few words.
        subtitle: in one line.
        latent_field: the latent vector field.
        searches: results by the kind of their starts, such as ``{"encoded digits": …, "Gaussian noise": …}``.
        together: the searches as one (see `join_searches`), if the chapter is about the attractors of all of them; it is
            about those of the first if not given.
        train: training images, to stand beside the attractors.
        noun: what the images of ``train`` are called: nobody knows of a suspected image that it was trained on.
        resemblance: of `limits`.
        sensitivity: of the starts of the first search.
        grid: a search over a grid of a two-dimensional latent space, for the map of basins.
        inputs: a few images whose orbits are shown, by name.
        facts: what else is known about the model, in words.
    """

    title: str
    subtitle: str
    latent_field: LatentField
    searches: Mapping[str, LimitSets]
    together: LimitSets | None = None
    train: Tensor | ChosenImages | None = None
    noun: str = "training image"
    resemblance: Resemblance | None = None
    sensitivity: Sensitivity | None = None
    grid: GridSearch | None = None
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.searches:
            raise InputError(
                "A report needs at least one search, such as searches={'data': find_attractors(field, starts)}."
            )

    def image_words(self, row: int) -> str:
        """An image of ``train`` by its row number and its name, such as ``"17 (shoes/0017.png)"``."""
        name = self.image_name(row)
        return f"{row:,}" if name is None else f"{row:,} ({name})"

    def image_name(self, row: int) -> str | None:
        """The name of an image of ``train``, such as its file; None if it has none beyond its row number."""
        return self.train.by_row.get(row) if isinstance(self.train, ChosenImages) else None

    @property
    def limits(self) -> LimitSets:
        """Return what the chapter is about, which all names and colours follow."""
        return self.first if self.together is None else self.together

    @property
    def first(self) -> LimitSets:
        """The first search."""
        return next(iter(self.searches.values()))
