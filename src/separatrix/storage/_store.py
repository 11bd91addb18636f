"""Results on disk: one folder with ``tensors.safetensors``, ``result.json`` and a manifest, never pickle.

The folder is built beside its final place and renamed when it is complete, so a reader sees all of it or nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from enum import Enum
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from separatrix.arguments import checked
from separatrix.cost import Cost
from separatrix.errors import FileError, InputError
from separatrix.protocol import Protocol
from separatrix.storage._manifest import RESULT
from separatrix.storage._place import url_of
from separatrix.storage._places import place_of
from separatrix.storage._publish import publish
from separatrix.storage._reservation import new_folder
from separatrix.words import Statement, Tone

FORMAT = 1
_TENSORS, _JSON = "tensors.safetensors", "result.json"
_AGAIN = "the result is damaged, compute it again"
_LAST_ROOMS = "separatrix.runs", "separatrix.explorer"  # by their names: nothing here imports them
_NAMED = 3  # results in a folder of them that a message names

Result = Any
"""Any record that `storable` knows can be saved: frozen dataclasses, named tuples and enumerations of tensors, numbers, words and each other."""

R = TypeVar("R", bound=type[Any])
_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (Statement, Tone)}
_PARTS: dict[
    str, tuple[type[Any], Callable[..., Any]]
] = {  # of results: what is stored as its fields, and what they make
    "protocol": (Protocol, Protocol.from_dict),
    "cost": (Cost, lambda fields: Cost(**fields)),
}


def storable(kind: R) -> R:
    """Class decorator: results of this type can be saved and loaded. Rooms announce theirs; the store imports none."""
    if _KINDS.setdefault(kind.__name__, kind) is not kind:
        raise InputError(f"There is already a result called {kind.__name__}; choose another name.")
    return kind


def storable_part(name: str, made: Callable[[dict[str, Any]], Any]) -> Callable[[type[Any]], type[Any]]:
    """Class decorator: this record of numbers and words may be a part of a result, under this name in the file.

    Args:
        name: in the file.
        made: makes the record of its fields, as JSON gives them back.
    """

    def announce(kind: type[Any]) -> type[Any]:
        _PARTS[name] = (kind, made)
        return kind

    return announce


@checked
def save_result(result: Result, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a result (orbits, limit sets, a study's) to the folder ``path``; :func:`load_result` gives it back bit for bit.

    What observers recorded is kept where it is made of tensors, numbers and strings.

    With ``overwrite`` an earlier result may be replaced, if nothing else is in its folder. The folder may be in an object store
    (``s3://bucket/folder``); it is built on this machine first.

    Raises:
        FileError: the folder exists or cannot be written.
        InputError: an observer recorded something else, or this is no result.

    >>> import tempfile, torch
    >>> import separatrix as sx
    >>> halved = sx.LatentField.from_map(lambda z: z / 2, latent_shape=3, dtype=torch.float64)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     place = save_result(sx.find_attractors(halved, sx.starts.gaussian(20)), f"{folder}/limits")
    ...     print(load_result(place))
    LimitSets(1 fixed point; 1 attract; all 20 starts reached an attractor)
    """
    if (url := url_of(path)) is not None:
        place = place_of(url)
        with TemporaryDirectory(ignore_cleanup_errors=True) as near:
            publish(save_result(result, Path(near, "result")), place, overwrite=overwrite)
        return Path(path)
    if _KINDS.get(type(result).__name__) is not type(result):
        raise InputError(f"A {type(result).__name__} is no result that can be saved; save one of {', '.join(_KINDS)}.")
    tensors: dict[str, Tensor] = {}
    record: dict[str, Any] = {
        "format": FORMAT,
        "type": type(result).__name__,
        "content": _flatten(result, "", tensors),
    }
    with new_folder(path, kind=RESULT, overwrite=overwrite) as folder:
        try:
            write_tensors(
                {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()},
                folder / _TENSORS,
            )
        except SafetensorError as error:
            raise FileError(f"Writing {path} failed ({error}); free some space or choose another disk.") from error
        record["sha256"] = checksums(record, folder / _TENSORS)
        (folder / _JSON).write_text(json.dumps(record, indent=1, allow_nan=True), encoding="utf-8")
    return Path(path)


def write_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """A safetensors file with the mode that any new file has here; safetensors lets only its owner read it.

    The mode is read off an empty file: to ask for the umask is to set it, for all threads.
    """
    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)
    save_file(tensors, path)
    path.chmod(mode)


def load_result(path: str | os.PathLike[str]) -> Result:
    """Read what :func:`save_result` wrote; damage and edits, also of single numbers, are detected by checksums.

    The folder may be in an object store (``s3://bucket/folder``).

    Raises:
        FileError: no result there, a newer format, or a damaged or edited file.

    See :func:`save_result` for an example.
    """
    if (url := url_of(path)) is None:
        return _loaded(Path(path))
    place = place_of(url)
    with TemporaryDirectory(ignore_cleanup_errors=True) as near:
        try:
            for file in (_JSON, _TENSORS):
                place.get(file, Path(near, file))
        except FileNotFoundError:
            inside = sorted(
                f"{place}/{name.removesuffix(f'/{_JSON}')}" for name in place.list() if name.endswith(f"/{_JSON}")
            )
            raise FileError(f"{place} holds no saved result ({file} is missing); {_elsewhere(inside)}.") from None
        try:
            return _loaded(Path(near))
        except FileError as error:
            raise FileError(str(error).replace(near, str(place))) from error


def _loaded(folder: Path) -> Result:
    from separatrix.storage._records import foreign_json, read_bounded

    try:
        record = foreign_json(read_bounded(folder / _JSON, _AGAIN), str(folder / _JSON), _AGAIN)  # ours may hold NaN
        found = checksums(record, folder / _TENSORS)
    except FileNotFoundError as error:
        raise FileError(
            f"{folder} holds no saved result ({Path(error.filename).name} is missing); {_elsewhere(_inside(folder))}."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(f"{folder} cannot be read ({error}); {_AGAIN}.") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise FileError(
            f"{folder} was not written by this version of separatrix (format {FORMAT}); upgrade and try again."
        )
    kind = _KINDS.get(str(record.get("type")))
    if kind is None:  # announced by a room that nobody has used yet: the last of them import all the others
        for room in _LAST_ROOMS:
            import_module(room)
        kind = _KINDS.get(str(record.get("type")))
    if kind is None:
        raise FileError(f"{folder} holds a {record.get('type')!r}, which this version cannot read; upgrade separatrix.")
    expected = record.get("sha256")
    for part, file in (("tensors", _TENSORS), ("record", _JSON)):
        if not isinstance(expected, dict) or expected.get(part) != found[part]:
            raise FileError(
                f"{folder / file} does not match its checksum; the result is damaged or was edited, compute it again."
            )
    try:
        rebuilt: Result = _rebuild(kind, record["content"], load_file(folder / _TENSORS))
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, SafetensorError, InputError) as error:
        words = " ".join(str(error).split())
        raise FileError(f"{folder} is incomplete ({words}); the result is damaged, compute it again.") from error
    return rebuilt


def _inside(folder: Path) -> list[str]:
    return sorted(str(record.parent) for record in folder.glob(f"[!.]*/{_JSON}"))  # a dot marks what is being written


def _elsewhere(inside: list[str]) -> str:
    """The remedy where no result is: commands write folders of runs, whose results lie one level down."""
    return f"it is a folder of results, load {' or '.join(inside[:_NAMED])}" if inside else "check the path"


def checksums(record: Any, tensors: Path) -> dict[str, str]:
    """SHA-256 of the tensor file, and of the record's meaning: its values in a fixed order, whatever the layout."""
    values = {key: record[key] for key in record if key != "sha256"} if isinstance(record, dict) else record
    text = json.dumps(values, sort_keys=True)
    with tensors.open("rb") as file:
        content = hashlib.file_digest(file, "sha256")
    return {
        "tensors": content.hexdigest(),
        "record": hashlib.sha256(text.encode()).hexdigest(),
    }


def _flatten(result: Result, prefix: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """JSON-ready content; tensors go to ``tensors`` under dotted names, with a reference in their place."""
    names = getattr(result, "_fields", None) or [field.name for field in fields(result) if field.init]
    return {name: _pack(getattr(result, name), f"{prefix}{name}", tensors) for name in names}


def _pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        key = _free(name, tensors)
        # safetensors knows no complex128: pairs of real numbers instead
        tensors[key] = torch.view_as_real(value.resolve_conj()) if value.is_complex() else value
        return {"complex tensor" if value.is_complex() else "tensor": key}
    if _KINDS.get(type(value).__name__) is type(value):
        kind = type(value).__name__
        if isinstance(value, Enum):
            return {"member": {"type": kind, "name": value.name}}
        return {"result": {"type": kind, "content": _flatten(value, f"{name}.", tensors)}}
    for part, (known, _) in _PARTS.items():
        if isinstance(value, known):
            return {part: value.to_dict() if isinstance(value, Protocol) else asdict(value)}
    if isinstance(value, Mapping):
        items = [[key, _pack(item, f"{name}.{key}", tensors)] for key, item in value.items()]
        return {"mapping": items}
    if isinstance(value, tuple):
        return {"tuple": [_pack(item, f"{name}.{i}", tensors) for i, item in enumerate(value)]}
    if isinstance(value, list):
        return [_pack(item, f"{name}.{i}", tensors) for i, item in enumerate(value)]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise InputError(
        f"A result cannot be saved with a {type(value).__name__} in it ({name}); record tensors or numbers."
    )


def _free(name: str, taken: Mapping[str, Tensor]) -> str:
    """The name, or the name with a number: an observer called "a.0" and the first part of one called "a" are two."""
    key, number = name, 1
    while key in taken:
        number += 1
        key = f"{name} ({number})"
    return key


def _unpack(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_unpack(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "complex tensor":
        # In the file numbers are aligned to 8 bytes; vectorised code for complex128 crashes unless they are to 16.
        return torch.view_as_complex(tensors[content].clone())
    if kind == "orbits":  # of earlier versions
        return _rebuild(_KINDS["Orbits"], content, tensors)
    if kind == "result":
        return _rebuild(_KINDS[content["type"]], content["content"], tensors)
    if kind == "member":
        return _KINDS[content["type"]][content["name"]]
    if kind in _PARTS:
        return _PARTS[kind][1](content)
    if kind == "mapping":
        return {key: _unpack(item, tensors) for key, item in content}
    if kind == "tuple":
        return tuple(_unpack(item, tensors) for item in content)
    raise ValueError(f"a {kind!r} is no part of a result")


def _rebuild(kind: type[Any], content: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    return kind(**{name: _unpack(value, tensors) for name, value in content.items()})
