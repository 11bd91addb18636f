"""Our own JSON, in files and in headers of files: each kind is read through its schema, or refused in one sentence.

Nothing is converted: true is no number, 1.0 no count and "3" no 3. Unknown names, NaN, infinity and numbers out of bounds are
refused, and what is larger than any honest record is not even parsed. This file is imported where something is read, and not
before: msgspec takes a few milliseconds.
"""

from __future__ import annotations

import inspect
import json
import re
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from separatrix.errors import FileError

LARGEST = 20_000_000
"""Bytes of one JSON text; parsed, a hostile one takes twenty times as much memory."""

LONGEST = 1000
"""Entries of a list of sizes: no network here has more layers, no latent more axes."""

_SAFE = 2**53  # beyond, other readers of JSON lose digits
_SHOWN = 120  # characters of a reason; names in a file may be of any length

Count = Annotated[int, Meta(ge=0, le=_SAFE)]
Positive = Annotated[int, Meta(ge=1, le=_SAFE)]
Whole = Annotated[int, Meta(ge=-_SAFE, le=_SAFE)]
Rate = Annotated[float, Meta(gt=0, lt=1)]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Shape = Annotated[list[Positive], Meta(min_length=1, max_length=LONGEST)]

S = TypeVar("S")


class Record(Struct, kw_only=True, forbid_unknown_fields=True):
    """A JSON object with these names and no others."""


class Part(Struct, kw_only=True):
    """A JSON object of which only these names are read."""


class FieldIdentity(Part):
    """It tells what `LatentField.describe` says of the model that something was computed on."""

    name: str
    latent_shape: Shape
    fingerprint: str | None
    weights: str | None = ""  # of the state dicts alone; files without it hold that in ``fingerprint``
    device: str = "cpu"


class DetectorRecord(Record):
    """``detector.json``."""

    format: int
    kind: str
    options: dict[str, Any]
    field: FieldIdentity
    input_shape: Shape | None
    lost_in_calibration: Count
    notes: list[str]
    tensors_sha256: Digest


class ExportedDetector(Record):
    """The metadata of a detector in one ONNX file."""

    format: int
    kind: str
    options: dict[str, Any]
    calibration: Positive
    input_shape: Shape
    dtype: Literal["float32", "float64"]
    model: str
    fingerprint: str | None
    notes: list[str]


class MonitorState(Record):
    """The counts of a stream monitor between two sittings."""

    rate: Rate
    calibration: Positive
    delta: Rate
    inputs: Count
    alarms: Count
    unscorable: Count

    def __post_init__(self) -> None:
        if self.alarms > self.inputs:
            raise ValueError(f"{self.alarms} alarms among {self.inputs} inputs")


class DecoderQuality(Part):
    """It tells how good a surrogate decoder is, null where a number is unknown."""

    r2: Annotated[float, Meta(le=1)] | None = None
    psnr: float | None = None
    train_psnr: float | None = None
    images: Count | None = None
    held_out: Count | None = None
    epochs: Count | None = None


class PlanOfRun(Part):
    """It tells what a run is of; the rest of it, each recipe knows."""

    recipe: str
    model: dict[str, Any]
    data: dict[str, Any]
    options: dict[str, Any]
    versions: dict[str, str]


class RunManifest(Part):
    """``manifest.json`` of a run."""

    kind: str
    state: Literal["running", "finished"]
    plan: PlanOfRun
    stages: dict[str, Digest]
    files: list[str]
    figures: bool


class ProcessRecord(Record):
    """It tells who is writing a folder: see `separatrix.storage._owner`."""

    host: str
    boot: str
    namespace: str
    pid: Positive
    started: str


def schema_of(function: Callable[..., Any], names: Sequence[str], *, defaults: bool = False) -> type[Any]:
    """The schema of a JSON object with the arguments ``names`` of a constructor, in the types that it declares.

    With ``defaults``, those that have one may be left out.

    >>> def make(sizes: Sequence[int], *, depth: int | None = None, final: Literal["a", "b"] = "a") -> None: ...
    >>> record_of(b'{"sizes": [3, 4], "depth": null, "final": "b"}', schema_of(make, ("sizes", "depth", "final")), "x").sizes
    [3, 4]
    """
    target = function.__init__ if inspect.isclass(function) else function
    hints = get_type_hints(target)
    known = inspect.signature(function).parameters
    fields: list[Any] = []
    for name in names:
        optional = defaults and known[name].default is not inspect.Parameter.empty
        fields.append((name, _bounded(hints.get(name, Any)), *([known[name].default] if optional else [])))
    return msgspec.defstruct("Arguments", fields, bases=(Record,), kw_only=True)


def arguments_of(
    function: Callable[..., Any], given: dict[str, Any], where: str, remedy: str, names: Sequence[str] | None = None
) -> dict[str, Any]:
    """The arguments that a record gives a constructor, in the types that it declares; all of ``names``, where these are known.

    Raises:
        FileError: one is unknown, of another type, out of bounds or missing; what the constructor refuses beyond that, it says.
    """
    wanted = list(given) if names is None else list(names)
    if unknown := [name for name in given if name not in wanted or name not in inspect.signature(function).parameters]:
        raise FileError(f"{where} has an option {unknown[0]!r}, which {function.__name__} does not know; {remedy}.")
    return values_of(record_of(json.dumps(given), schema_of(function, wanted), where, remedy))


def _bounded(hint: Any) -> Any:
    """The same type for JSON, with whole numbers and lengths within bounds."""
    if hint is int:
        return Whole
    parts = tuple(map(_bounded, get_args(hint)))
    if get_origin(hint) in (Sequence, list, tuple):
        return Annotated[list[parts[0]], Meta(max_length=LONGEST)]  # type: ignore[valid-type]
    if get_origin(hint) in (Union, types.UnionType):
        return Union[parts]  # noqa: UP007  # a union of types that are known only now
    return hint


def read_record(path: Path, schema: type[S], remedy: str = "write it again") -> S:
    """The record in a file.

    Raises:
        FileNotFoundError: there is no such file; what that means, the caller knows.
        FileError: it cannot be read, is huge, no JSON, or not of this schema.
    """
    return record_of(read_bounded(path, remedy), schema, str(path), remedy)


def record_of(text: str | bytes, schema: type[S], where: str, remedy: str = "write it again") -> S:
    """The record in a JSON text; ``where`` and ``remedy`` are for the sentence of the FileError."""
    if len(text) > LARGEST:
        raise FileError(_larger(where, remedy))
    try:
        return msgspec.json.decode(text, type=schema, strict=True)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise FileError(f"{where} is damaged, edited or of another kind ({_reason(error)}); {remedy}.") from error


def values_of(record: Struct) -> dict[str, Any]:
    """The values of a record by name."""
    return msgspec.structs.asdict(record)


def read_bounded(path: Path, remedy: str = "write it again") -> bytes:
    """The bytes of a file of JSON, at most `LARGEST`; errors as those of :func:`read_record`."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # a NUL byte in a path is a ValueError
        reason = getattr(error, "strerror", None) or str(error)
        raise FileError(f"{path} cannot be read ({reason}); {remedy}.") from error
    if len(content) > LARGEST:
        raise FileError(_larger(str(path), remedy))
    return content


def foreign_json(text: str | bytes, where: str, remedy: str = "copy or download it again") -> Any:
    """Any JSON as Python's json writes it, NaN included: of others' files, whose names and values their readers judge."""
    if len(text) > LARGEST:
        raise FileError(_larger(where, remedy))
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{where} is no JSON ({_reason(error)}); {remedy}.") from error


def json_if_any(path: Path) -> Any:
    """The JSON in a file, None where there is no file, or no JSON of an honest size in it."""
    try:
        return foreign_json(read_bounded(path), str(path))
    except (FileNotFoundError, FileError):
        return None


def format_of(text: str | bytes) -> Any:
    """The number ``format`` in a record, None where there is none: a record of another version is not a damaged one."""
    try:
        content = json.loads(text) if len(text) <= LARGEST else None
    except (ValueError, RecursionError):
        return None
    found = content.get("format") if isinstance(content, dict) else None
    return found if type(found) is int else None


def _larger(where: str, remedy: str) -> str:
    return f"{where} is larger than any honest JSON here ({LARGEST / 1e6:.0f} MB); {remedy}."


def _reason(error: BaseException) -> str:
    """Say the reason, such as ``calibration: expected int >= 1``."""
    words = " ".join(str(error).replace("`", "").split())
    found = re.fullmatch(r"(.*) - at \$\.?(.*)", words)
    if found and found[2]:
        words = f"{found[2]}: {found[1][:1].lower()}{found[1][1:]}"
    return (words if len(words) <= _SHOWN else words[:_SHOWN] + "…").rstrip(".") or type(error).__name__
