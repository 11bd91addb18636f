"""Which family of models a spec names: the table from schemes and file suffixes to loaders.

A family is one small file that defines a :class:`Family`, and one line where it is registered (``loading.py``
for the built-in ones, ``FAMILIES.register(...)`` in anyone's code).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from separatrix.errors import InputError
from separatrix.field import LatentField

_SCHEME = re.compile(r"([a-z][a-z0-9+-]*):")


@dataclass(frozen=True, kw_only=True)
class LoadRequest:
    """What a loader is asked for.

    Attributes:
        spec: the model as the user wrote it.
        weights: a file of weights to load into the model, or None.
        latent_shape: shape of one latent as given by the user, or None for the loader to find out.
    """

    spec: str
    weights: Path | None = None
    latent_shape: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Family:
    """Models that are loaded in one way.

    Attributes:
        name: how messages and tables call the family.
        form: how its specs look, such as ``"package.module:factory"``.
        load: makes the field.
        schemes: the words before the colon that belong to it (``"hf"`` in ``hf:org/name``); the empty scheme
            stands for every ``left:right`` whose left is no family's scheme.
        suffixes: the file endings that belong to it, in lower case, with the dot.
    """

    name: str
    form: str
    load: Callable[[LoadRequest], LatentField]
    schemes: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()


class Registry:
    """The families by scheme and by suffix, in order of registration; none is ever replaced.

    >>> registry = Registry()
    >>> files = Family(name="files", form="model.xyz", load=lambda request: None, suffixes=(".xyz",))
    >>> registry.register(files)
    >>> registry.find("folder/MODEL.XYZ").name
    'files'
    >>> registry.register(files)
    Traceback (most recent call last):
    ...
    separatrix.errors.InputError: The family 'files' is registered already; give the new one another name.
    """

    def __init__(self) -> None:
        self._families: dict[str, Family] = {}
        self._schemes: dict[str, Family] = {}
        self._suffixes: dict[str, Family] = {}

    def __iter__(self) -> Iterator[Family]:
        return iter(self._families.values())

    def register(self, family: Family) -> None:
        """Adds a family.

        Raises:
            InputError: its name, a scheme or a suffix is taken; nothing is added then.
        """
        if family.name in self._families:
            raise InputError(f"The family {family.name!r} is registered already; give the new one another name.")
        for kind, keys, table in (
            ("scheme", family.schemes, self._schemes),
            ("suffix", family.suffixes, self._suffixes),
        ):
            for key in keys:
                if key in table:
                    raise InputError(
                        f"The {kind} {key!r} belongs to the family {table[key].name!r}; "
                        f"choose another one for {family.name!r}."
                    )
        self._families[family.name] = family
        self._schemes.update(dict.fromkeys(family.schemes, family))
        self._suffixes.update(dict.fromkeys(family.suffixes, family))

    def find(self, spec: str) -> Family:
        """The family of a spec: by its scheme, else by its file suffix, else by the bare colon.

        Raises:
            InputError: no family reads such a spec; the message lists the forms there are.
        """
        scheme = _SCHEME.match(spec)
        if scheme and scheme[1] in self._schemes:
            return self._schemes[scheme[1]]
        if (suffix := Path(spec).suffix.lower()) in self._suffixes:
            return self._suffixes[suffix]
        if ":" in spec and "" in self._schemes:
            return self._schemes[""]
        forms = ", ".join(family.form for family in self)
        raise InputError(f"{spec!r} does not say which model is meant; give one of these forms: {forms}.")


FAMILIES = Registry()
"""The families that :func:`separatrix.models.load` knows."""
