"""Scores with file names on disk: CSV, or Parquet and Arrow where pyarrow is installed. One set of columns for all."""

from __future__ import annotations

import csv
import importlib
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from separatrix.errors import FileError, InputError
from separatrix.ood._decisions import Decision, Decisions
from separatrix.storage import PathLike, new_file

COLUMNS = ("file", "score", "p_value", "decision", "size", "mtime_ns")
"""Of every table. Score and p-value are empty (null) where the decision is ``unscorable``; the last two are the file's bytes
and time stamp (nanoseconds) when it was scored."""

_EARLIER = COLUMNS[:4]  # of tables from before the file's stamp was kept
_UNKNOWN = -1

# What a spreadsheet takes for a formula, if a cell begins so; an apostrophe before it makes it text. Names that have the
# apostrophe of themselves get one more, so that every name is read back as it was.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")

WORDS = {Decision.TYPICAL: "in", Decision.OOD: "out", Decision.UNSCORABLE: "unscorable"}
"""What the column ``decision`` holds."""

SUFFIXES = (".csv", ".parquet", ".arrow")


class Row(NamedTuple):
    """One line of a table; NaN where the file has no score, −1 where its size and time stamp are not known."""

    file: str
    score: float
    p_value: float
    decision: str
    size: int = _UNKNOWN
    mtime_ns: int = _UNKNOWN


def rows_of(names: Sequence[str], decisions: Decisions, stamps: Sequence[tuple[int, int]]) -> list[Row]:
    """One row per name, with the size and the time stamp of its file.

    >>> import torch
    >>> from separatrix.ood._decisions import decided
    >>> scores, p = torch.tensor([2.5, torch.nan]).double(), torch.tensor([0.01, torch.nan]).double()
    >>> [row.decision for row in rows_of(["a.png", "b.png"], decided(scores, p, 0.05, calibration=99), [(1, 2)] * 2)]
    ['out', 'unscorable']
    """
    words = [WORDS[Decision(decision)] for decision in decisions.decision.tolist()]
    columns = (names, decisions.scores.tolist(), decisions.p_values.tolist(), words, stamps)
    return [Row(name, score, p, word, *stamp) for name, score, p, word, stamp in zip(*columns, strict=True)]


def require_format(path: Path) -> None:
    """Refuse, before any work is done, a name whose ending stands for no format, or for one that lacks its package.

    Raises:
        InputError: with the endings there are, or with what to install.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path.name!r} names no table; end it in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}.")
    if path.suffix != ".csv":
        _arrow()


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write a table in the format of the file's ending, all of it or nothing.

    Raises:
        InputError: the ending is unknown, or pyarrow is missing.
        FileError: the place cannot be written.
    """
    require_format(path)
    with new_file(path) as building:
        if path.suffix == ".csv":
            with open_text(building, "w") as stream:
                csv_rows(stream, rows, header=True)
            return
        arrow = _arrow()
        table = arrow.table(
            {
                "file": [row.file.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for row in rows],
                "score": [_or_none(row.score) for row in rows],
                "p_value": [_or_none(row.p_value) for row in rows],
                "decision": [row.decision for row in rows],
                "size": [row.size for row in rows],
                "mtime_ns": [row.mtime_ns for row in rows],
            },
            schema=arrow.schema(
                zip(
                    COLUMNS,
                    (arrow.string(), arrow.float64(), arrow.float64(), arrow.string(), arrow.int64(), arrow.int64()),
                    strict=True,
                )
            ),
        )
        if path.suffix == ".parquet":
            importlib.import_module("pyarrow.parquet").write_table(table, building)
        else:
            with importlib.import_module("pyarrow.ipc").new_file(building, table.schema) as writer:
                writer.write_table(table)


def write_whole(path: PathLike, text: str) -> None:
    """A text file, all of it or nothing."""
    with new_file(path) as building:
        building.write_text(text + "\n", encoding="utf-8")


def read_rows(path: Path) -> list[Row]:
    """The valid rows of a table; a last line that was cut off, or a line that is none, is left out.

    Raises:
        InputError: the ending is unknown, or pyarrow is missing.
        FileError: there is no such table, or it has other columns.
    """
    require_format(path)
    try:
        if path.suffix == ".csv":
            with open_text(path, "r") as stream:
                return list(parsed_rows(stream, str(path)))
        if path.suffix == ".parquet":
            table = importlib.import_module("pyarrow.parquet").read_table(path)
        else:
            with _arrow().memory_map(str(path)) as source:
                table = importlib.import_module("pyarrow.ipc").open_file(source).read_all()
    except FileNotFoundError as error:
        raise FileError(f"There is no table {path}; check the path.") from error
    except OSError as error:
        raise FileError(f"{path} cannot be read ({' '.join(str(error).split())}); write it again.") from error
    except _errors_of_arrow() as error:
        raise FileError(f"{path} is damaged ({' '.join(str(error).split())}); write it again.") from error
    if tuple(table.column_names) not in (COLUMNS, _EARLIER):
        raise FileError(_other_columns(str(path), table.column_names))
    columns = [table.column(name).to_pylist() for name in table.column_names]
    return [row for cells in zip(*columns, strict=True) if (row := _row(cells)) is not None]


def parsed_rows(lines: Iterable[str], where: str, *, damaged: bool = False) -> Iterator[Row]:
    """The valid rows of a CSV table with its header, one by one as the lines come. Tables without sizes and stamps count too.

    With ``damaged``, a line that is no row is unscorable under its number, instead of being left out.

    >>> [row[:4] for row in parsed_rows(["file,score,p_value,decision\\n", "a.png,1.5,0.25,in\\n", "b.pn"], "here")]
    [('a.png', 1.5, 0.25, 'in')]
    """
    reader = csv.reader(lines)
    try:
        header = next(reader, None)
        if header is None or tuple(header) not in (COLUMNS, _EARLIER):
            raise FileError(_other_columns(where, header or ()))
        for cells in reader:
            row = _row(cells) if len(cells) == len(header) else None
            if row is None and damaged and cells:
                row = Row(f"line {reader.line_num}", math.nan, math.nan, WORDS[Decision.UNSCORABLE])
            if row is not None:
                yield row._replace(file=row.file[1:]) if _is_guarded(row.file) else row
    except (csv.Error, UnicodeDecodeError) as error:
        raise FileError(f"{where} is no CSV table ({error}); write it again with separatrix ood score.") from error


def csv_rows(stream: TextIO, rows: Iterable[Row], *, header: bool) -> None:
    """Lines of a CSV table; numbers with all their digits, and no name that a spreadsheet would compute.

    >>> import sys
    >>> csv_rows(sys.stdout, [Row("=1+1.png", 1.5, 0.25, "in", 10, 20)], header=False)
    '=1+1.png,1.5,0.25,in,10,20
    """
    writer = csv.writer(stream, lineterminator="\n")
    quoting = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)  # the other one leaves a bare \r unquoted
    if header:
        writer.writerow(COLUMNS)
    for row in rows:
        numbers = ["" if math.isnan(value) else repr(value) for value in (row.score, row.p_value)]
        name = f"'{row.file}" if _FORMULA.match(row.file) else row.file
        (quoting if "\r" in name else writer).writerow((name, *numbers, row.decision, row.size, row.mtime_ns))


def _is_guarded(name: str) -> bool:
    """Was an apostrophe put before it?"""
    return name.startswith("'") and _FORMULA.match(name[1:]) is not None


def open_text(path: Path, mode: str) -> TextIO:
    """A text file as CSV wants it; names that are no UTF-8 survive."""
    stream: TextIO = path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")  # type: ignore[assignment]
    return stream


def _row(cells: Sequence[Any]) -> Row | None:
    if len(cells) not in (len(COLUMNS), len(_EARLIER)) or not cells[0] or cells[3] not in WORDS.values():
        return None
    try:
        score, p_value = (math.nan if cell in ("", None) else float(cell) for cell in cells[1:3])
        size, mtime_ns = (int(cell) for cell in cells[4:] or (_UNKNOWN, _UNKNOWN))
    except (ValueError, TypeError):
        return None
    known = math.isnan(score), math.isnan(p_value)
    if known != ((True, True) if cells[3] == WORDS[Decision.UNSCORABLE] else (False, False)):
        return None
    return Row(cells[0], score, p_value, cells[3], size, mtime_ns) if known[1] or 0 < p_value <= 1 else None


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _other_columns(where: str, found: Sequence[str]) -> str:
    shown = ", ".join(found)[:200] or "none"
    return f"{where} has other columns ({shown}) than {', '.join(COLUMNS)}; give a table of separatrix ood score."


def _arrow() -> Any:
    if find_spec("pyarrow") is None:
        raise InputError(
            'Parquet and Arrow files need pyarrow; install it with pip install "separatrix[arrow]", or give a name that '
            "ends in .csv."
        )
    return importlib.import_module("pyarrow")


def _errors_of_arrow() -> tuple[type[BaseException], ...]:
    return () if find_spec("pyarrow") is None else (_arrow().ArrowException,)
