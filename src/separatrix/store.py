"""Results on disk: one folder with ``tensors.safetensors`` and ``result.json``, never pickle.

The folder is built beside its final place and renamed when it is complete, so a reader sees all of it or nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from separatrix.cost import Cost
from separatrix.errors import FileError, InputError
from separatrix.limitsets.sets import LimitSets
from separatrix.orbits.result import Orbits
from separatrix.protocol import Protocol

FORMAT = 1
_TENSORS, _JSON = "tensors.safetensors", "result.json"
_COMPLEX = ":complex"  # safetensors has no complex128: stored as pairs of float64 under a marked name

Result = Orbits | LimitSets


@contextmanager
def new_folder(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary sibling that becomes ``path`` if the block succeeds, and vanishes if it does not.

    Raises:
        FileError: ``path`` exists (and ``overwrite`` is off), cannot be created, or the disk is full.
    """
    target = Path(path)
    if target.exists() and not overwrite:
        raise FileError(f"{target} already exists; choose another folder, or remove it first.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        building.chmod(0o755)
    except OSError as error:
        raise FileError(
            f"Cannot write to {target.parent} ({error.strerror}); choose a folder you may write to."
        ) from error
    try:
        yield building
        replaced = building.with_name(building.name + ".replaced")
        if target.exists():
            target.rename(replaced)
        building.rename(target)
        shutil.rmtree(replaced, ignore_errors=True)
    except OSError as error:
        raise FileError(
            f"Writing {target} failed ({error.strerror or error}); free some space or choose another disk."
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def save_result(result: Result, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write orbits or limit sets to the folder ``path``; :func:`load_result` gives them back bit for bit.

    What observers recorded is kept where it is a tensor.

    Raises:
        FileError: the folder exists or cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    record = {"format": FORMAT, "type": type(result).__name__, "content": _flatten(result, "", tensors)}
    with new_folder(path, overwrite=overwrite) as folder:
        try:
            save_file(
                {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()},
                folder / _TENSORS,
            )
        except SafetensorError as error:
            raise FileError(f"Writing {path} failed ({error}); free some space or choose another disk.") from error
        record["sha256"] = hashlib.sha256((folder / _TENSORS).read_bytes()).hexdigest()
        (folder / _JSON).write_text(json.dumps(record, indent=1, allow_nan=True), encoding="utf-8")
    return Path(path)


def load_result(path: str | os.PathLike[str]) -> Result:
    """Read what :func:`save_result` wrote; damage is detected by checksum.

    Raises:
        FileError: no result there, a newer format, or a damaged file.
    """
    folder = Path(path)
    try:
        record = json.loads((folder / _JSON).read_text(encoding="utf-8"))
        digest = hashlib.sha256((folder / _TENSORS).read_bytes()).hexdigest()
    except FileNotFoundError as error:
        raise FileError(
            f"{folder} holds no saved result ({Path(error.filename).name} is missing); check the path."
        ) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise FileError(
            f"{folder / _JSON} cannot be read ({error}); the result is damaged, compute it again."
        ) from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise FileError(
            f"{folder} was not written by this version of separatrix (format {FORMAT}); upgrade and try again."
        )
    if record.get("sha256") != digest:
        raise FileError(f"{folder / _TENSORS} does not match its checksum; the result is damaged, compute it again.")
    types = {"Orbits": Orbits, "LimitSets": LimitSets}
    if record.get("type") not in types:
        raise FileError(f"{folder} holds a {record.get('type')!r}, which this version cannot read; upgrade separatrix.")
    try:
        return _rebuild(types[record["type"]], record["content"], load_file(folder / _TENSORS))
    except (KeyError, TypeError, SafetensorError, InputError) as error:
        raise FileError(f"{folder} is incomplete ({error}); the result is damaged, compute it again.") from error


def _flatten(result: Result, prefix: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """JSON-ready content; tensors go to ``tensors`` under dotted names, with a reference in their place."""
    content: dict[str, Any] = {}
    for field in fields(result):
        value = getattr(result, field.name)
        content[field.name] = _pack(value, f"{prefix}{field.name}", tensors)
    return content


def _pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        key = name + _COMPLEX if value.is_complex() else name
        tensors[key] = torch.view_as_real(value.to(torch.complex128).resolve_conj()) if value.is_complex() else value
        return {"tensor": key}
    if isinstance(value, Orbits):
        return {"orbits": _flatten(value, f"{name}.", tensors)}
    if isinstance(value, Protocol):
        return {"protocol": value.to_dict()}
    if isinstance(value, Cost):
        return {"cost": asdict(value)}
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


def _unpack(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_unpack(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        tensor = tensors[content]
        return torch.view_as_complex(tensor) if content.endswith(_COMPLEX) else tensor
    if kind == "orbits":
        return _rebuild(Orbits, content, tensors)
    if kind == "protocol":
        return Protocol.from_dict(content)
    if kind == "cost":
        return Cost(**content)
    if kind == "mapping":
        return {key: _unpack(item, tensors) for key, item in content}
    return tuple(_unpack(item, tensors) for item in content)


def _rebuild(kind: type[Any], content: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    return kind(**{name: _unpack(value, tensors) for name, value in content.items()})
