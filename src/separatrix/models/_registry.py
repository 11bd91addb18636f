"""This file tells which family of models a spec names: the table from schemes and file suffixes to loaders.

A family is one small file that defines a :class:`Family`, and one line where it is registered (``_loading.py``
for the built-in ones, ``FAMILIES.register(...)`` in anyone's code).
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.field import LatentField

if TYPE_CHECKING:
    from separatrix.models._folders import ModelFolder

_SCHEME = re.compile(r"([a-z][a-z0-9+-]*):")


@dataclass(frozen=True, kw_only=True)
class LoadRequest:
    """It tells what a loader is asked for.

    Attributes:
        spec: the model as the user wrote it.
        weights: a file of weights to load into the model, or None.
        latent_shape: shape of one latent as given by the user, or None for the loader to find out.
        decoder: where the decoder of an encoder without one comes from, or None.
        allow_code: the user trusts the files enough to run what is in them.
        options: choices of the family by name, as text.
        folder: for families of folders, the folder that was found or fetched.
    """

    spec: str
    weights: Path | None = None
    latent_shape: tuple[int, ...] | None = None
    decoder: str | None = None
    allow_code: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    folder: ModelFolder | None = None

    def refuse_weights(self, why: str) -> None:
        """Raises an InputError if weights were given where they do not apply."""
        if self.weights is not None:
            raise InputError(f"{self.spec} {why}, so weights= does not apply; leave it out.")

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        """The option of this name, one of the allowed words."""
        value = self.options.get(name, default)
        if value not in allowed:
            raise InputError(f"The option {name} must be one of {', '.join(allowed)}, not {value!r}.")
        return value

    @checked
    def number(self, name: str, default: int) -> int:
        """The option of this name as a whole number of at least 1."""
        text = self.options.get(name, str(default))
        if not text.isdecimal() or int(text) < 1:
            raise InputError(f"The option {name} must be a whole number, at least 1, not {text!r}.")
        return int(text)


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
        names: whole specs that belong to it.
        recognises: whether a folder of model files is one of its own; None for families of no folders.
        takes_folders: every existing directory goes to it, which finds the family that recognises the folder.
        options: its choices, each with a sentence for the user.
        verified: what of it was run with real or random weights, and what was not.
    """

    name: str
    form: str
    load: Callable[[LoadRequest], LatentField]
    schemes: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    recognises: Callable[[ModelFolder], bool] | None = None
    takes_folders: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    verified: str = "by its author"

    def __repr__(self) -> str:
        return f"Family({self.name}: {self.form})"

    def require_options(self, given: Mapping[str, str]) -> None:
        """Raises an InputError for the first option that the family does not have."""
        for name in given:
            if name not in self.options:
                close = difflib.get_close_matches(name, self.options, n=1)
                hint = f"did you mean {close[0]}?" if close else f"it takes {', '.join(self.options) or 'none'}."
                raise InputError(f"The family {self.name!r} has no option {name!r}; {hint}")


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
        self._names: dict[str, Family] = {}

    def __repr__(self) -> str:
        return f"Registry({', '.join(self._families)})"

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
            ("name", family.names, self._names),
        ):
            for key in keys:
                if key in table:
                    raise InputError(
                        f"The {kind} {key!r} belongs to the family {table[key].name!r}; "
                        f"choose another one for {family.name!r}."
                    )
        if family.takes_folders and (other := self._of_folders()):
            raise InputError(f"Folders belong to the family {other.name!r}; give {family.name!r} a scheme instead.")
        self._families[family.name] = family
        self._names.update(dict.fromkeys(family.names, family))
        self._schemes.update(dict.fromkeys(family.schemes, family))
        self._suffixes.update(dict.fromkeys(family.suffixes, family))

    def find(self, spec: str) -> Family:
        """The family of a spec: by its name, its scheme, as a directory, by its file suffix, by the bare colon.

        Raises:
            InputError: no family reads such a spec; the message lists the forms there are.
        """
        if spec in self._names:
            return self._names[spec]
        scheme = _SCHEME.match(spec)
        if scheme and scheme[1] in self._schemes:
            return self._schemes[scheme[1]]
        if (folders := self._of_folders()) and os.path.isdir(spec):
            return folders
        if (suffix := Path(spec).suffix.lower()) in self._suffixes:
            return self._suffixes[suffix]
        if ":" in spec and "" in self._schemes:
            return self._schemes[""]
        forms = ", ".join(family.form for family in self)
        raise InputError(f"{spec!r} does not say which model is meant; give one of these forms: {forms}.")

    def recognise(self, folder: ModelFolder) -> Family:
        """The family that a folder of model files belongs to, in order of registration.

        Raises:
            InputError: no family recognises it.
        """
        for family in self:
            if family.recognises is not None and family.recognises(folder):
                return family
        known = ", ".join(family.name for family in self if family.recognises is not None)
        raise InputError(
            f"{folder.origin} {folder.words()}, which is none of the known kinds ({known}); {folder.remedy()}."
        )

    def _of_folders(self) -> Family | None:
        return next((family for family in self if family.takes_folders), None)


FAMILIES = Registry()
"""The families that :func:`separatrix.models.load` knows."""
