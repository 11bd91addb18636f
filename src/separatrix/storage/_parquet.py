"""Long columns of numbers as one Parquet file: written in row groups and read column by column, so that memory does not grow with the rows.

A column is a tensor of int64, float64 or bool, or holds members of an enumeration, which are words in the file. NaN and infinity stay what they are and
nothing is null. What a column means and its unit are in the metadata of its field, what the table is of in that of the file (``separatrix``, JSON).
Parquet has checksums of pages, but none of what says which page is of which column; so the file has a SHA-256 of every column (``separatrix_sha256``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from separatrix.errors import FileError, InputError
from separatrix.storage._manifest import writer

ROWS = 2**17
"""In a row group: some megabytes, as readers on other machines like them."""

_KEY, _WORDS, _SHA256 = b"separatrix", b"words", b"separatrix_sha256"
_AGAIN = "write it again"


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """One column.

    Attributes:
        name: in the file.
        values: ``(n,)`` numbers, or numbers of the words.
        meaning: in a few words.
        unit: of the numbers; empty for pure ones.
        words: by their numbers, where they stand in the file instead.
    """

    name: str
    values: Tensor
    meaning: str
    unit: str = ""
    words: Sequence[str] = ()


def write_columns(path: Path, columns: Sequence[Column], facts: Mapping[str, Any]) -> None:
    """Write columns of one length to a file that is not there; ``facts`` say what they are of, JSON-ready.

    The bytes depend on the content and the version of pyarrow alone.

    Raises:
        InputError: pyarrow is not installed.
        OSError: it cannot be written.
    """
    arrow, parquet = parquet_of_arrow()
    types = {torch.int64: arrow.int64(), torch.float64: arrow.float64(), torch.bool: arrow.bool_()}
    fields = []
    for column in columns:
        told = {"meaning": column.meaning, "unit": column.unit} | (
            {_WORDS.decode(): json.dumps(list(column.words))} if column.words else {}
        )
        kind = arrow.dictionary(arrow.int32(), arrow.string()) if column.words else types[column.values.dtype]
        fields.append(arrow.field(column.name, kind, nullable=False, metadata=told))
    about = json.dumps({"written_by": writer(), **facts})
    schema = arrow.schema(fields, metadata={_KEY: about})
    words = [column.name for column in columns if column.words]
    hashes = {column.name: _begun(column.name, column.words) for column in columns}
    with parquet.ParquetWriter(
        path, schema, compression="zstd", use_dictionary=words, write_page_checksum=True
    ) as file:
        for first in range(0, len(columns[0].values), ROWS):
            arrays = []
            for column in columns:
                values = column.values[first : first + ROWS].cpu().contiguous().numpy()
                hashes[column.name].update(values)
                arrays.append(
                    arrow.DictionaryArray.from_arrays(values.astype("int32"), arrow.array(column.words))
                    if column.words
                    else arrow.array(values)
                )
            file.write_table(arrow.table(arrays, schema=schema), row_group_size=ROWS)
        file.add_key_value_metadata({_SHA256: json.dumps({name: known.hexdigest() for name, known in hashes.items()})})


def read_columns(
    stream: BinaryIO, where: str, names: Iterable[str] | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read some columns, or all, as the tensors that they were, and what the table is of.

    Of the file only these columns are read, one row group at a time.

    Raises:
        InputError: pyarrow is not installed, or there is no such column.
        FileError: it is no table of :func:`write_columns`, or damaged.
    """
    arrow, parquet = parquet_of_arrow()
    try:
        file = parquet.ParquetFile(stream, page_checksum_verification=True)
        schema = file.schema_arrow
        if _KEY not in (schema.metadata or {}):
            raise FileError(f"{where} is no table of separatrix, or damaged; give one that it wrote.")
        about = json.loads(schema.metadata[_KEY])
        wanted = list(schema.names if names is None else names)
        if unknown := [name for name in wanted if name not in schema.names]:
            raise InputError(f"{where} has no column {unknown[0]!r}; it has {', '.join(schema.names)}.")
        hashes = json.loads(file.metadata.metadata[_SHA256])
        return {name: _read(file, schema.field(name), hashes[name]) for name in wanted}, about
    except (InputError, FileError):
        raise
    except (arrow.ArrowException, OSError, ValueError, RuntimeError, LookupError) as error:
        raise FileError(f"{where} is damaged ({' '.join(str(error).split())}); {_AGAIN}.") from error


def parquet_of_arrow() -> tuple[Any, Any]:
    """pyarrow and its Parquet.

    Raises:
        InputError: it is not installed.
    """
    if find_spec("pyarrow") is None:
        raise InputError('Parquet files need pyarrow, which is not installed; pip install "separatrix[arrow]".')
    return import_module("pyarrow"), import_module("pyarrow.parquet")


def _read(file: Any, field: Any, sha256: str) -> Tensor:
    words = json.loads((field.metadata or {}).get(_WORDS, b"[]"))
    number = {word: index for index, word in enumerate(words)}
    kinds = {"int64": torch.int64, "double": torch.float64, "bool": torch.bool}
    whole = torch.empty(file.metadata.num_rows, dtype=torch.uint8 if words else kinds[str(field.type)])
    known, first = _begun(field.name, words), 0
    for group in range(file.num_row_groups):
        for chunk in file.read_row_group(group, columns=[field.name]).column(0).chunks:
            if words:
                codes = torch.tensor([number[word] for word in chunk.dictionary.to_pylist()], dtype=torch.uint8)
                part = codes[torch.from_numpy(chunk.indices.to_numpy(zero_copy_only=False).astype("int64"))]
            else:
                part = torch.from_numpy(chunk.to_numpy(zero_copy_only=False).copy())
            whole[first : first + len(part)] = part
            known.update(part.numpy())
            first += len(part)
    if first != len(whole) or known.hexdigest() != sha256:
        raise ValueError(f"the column {field.name} does not match its checksum")
    return whole


def _begun(name: str, words: Sequence[str]) -> Any:
    return hashlib.sha256(json.dumps([name, list(words)]).encode())
