"""Scores with file names on disk: CSV, or Parquet and Arrow where pyarrow is installed. One set of columns for all."""

from __future__ import annotations

import csv
import importlib
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from separatrix.errors import FileError, InputError
from separatrix.ood.decisions import Decisions, Verdict

COLUMNS = ("file", "score", "p_value", "decision")
"""Of every table. Score and p-value are empty (null) where the decision is ``unscorable``."""

WORDS = {Verdict.TYPICAL: "in", Verdict.OOD: "out", Verdict.UNSCORABLE: "unscorable"}
"""What the column ``decision`` holds."""

SUFFIXES = (".csv", ".parquet", ".arrow")


class Row(NamedTuple):
    """One line of a table; NaN where the file has no score."""

    file: str
    score: float
    p_value: float
    decision: str


def rows_of(names: Sequence[str], decisions: Decisions) -> list[Row]:
    """One row per name.

    >>> import torch
    >>> from separatrix.ood.decisions import decided
    >>> scores, p = torch.tensor([2.5, torch.nan]).double(), torch.tensor([0.01, torch.nan]).double()
    >>> [row.decision for row in rows_of(["a.png", "b.png"], decided(scores, p, 0.05, calibration=99))]
    ['out', 'unscorable']
    """
    words = [WORDS[Verdict(verdict)] for verdict in decisions.verdict.tolist()]
    return [Row(*row) for row in zip(names, decisions.scores.tolist(), decisions.p_values.tolist(), words, strict=True)]


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
    with whole_file(path) as building:
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
            },
            schema=arrow.schema(
                zip(COLUMNS, (arrow.string(), arrow.float64(), arrow.float64(), arrow.string()), strict=True)
            ),
        )
        if path.suffix == ".parquet":
            importlib.import_module("pyarrow.parquet").write_table(table, building)
        else:
            with importlib.import_module("pyarrow.ipc").new_file(building, table.schema) as writer:
                writer.write_table(table)


def write_whole(path: Path, text: str) -> None:
    """A text file, all of it or nothing."""
    with whole_file(path) as building:
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
    if tuple(table.column_names) != COLUMNS:
        raise FileError(_other_columns(str(path), table.column_names))
    columns = [table.column(name).to_pylist() for name in COLUMNS]
    return [row for cells in zip(*columns, strict=True) if (row := _row(cells)) is not None]


def parsed_rows(lines: Iterable[str], where: str) -> Iterator[Row]:
    """The valid rows of a CSV table with its header, one by one as the lines come.

    >>> list(parsed_rows(["file,score,p_value,decision\\n", "a.png,1.5,0.25,in\\n", "b.pn"], "here"))
    [Row(file='a.png', score=1.5, p_value=0.25, decision='in')]
    """
    reader = csv.reader(lines)
    try:
        header = next(reader, None)
        if header is None or tuple(header) != COLUMNS:
            raise FileError(_other_columns(where, header or ()))
        for cells in reader:
            row = _row(cells)
            if row is not None:
                yield row
    except (csv.Error, UnicodeDecodeError) as error:
        raise FileError(f"{where} is no CSV table ({error}); write it again with separatrix ood score.") from error


def csv_rows(stream: TextIO, rows: Iterable[Row], *, header: bool) -> None:
    """Lines of a CSV table; numbers with all their digits."""
    writer = csv.writer(stream, lineterminator="\n")
    if header:
        writer.writerow(COLUMNS)
    for row in rows:
        numbers = ["" if math.isnan(value) else repr(value) for value in (row.score, row.p_value)]
        writer.writerow((row.file, *numbers, row.decision))


def open_text(path: Path, mode: str) -> TextIO:
    """A text file as CSV wants it; names that are no UTF-8 survive."""
    stream: TextIO = path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")  # type: ignore[assignment]
    return stream


def _row(cells: Sequence[Any]) -> Row | None:
    if len(cells) != len(COLUMNS) or not cells[0] or cells[3] not in WORDS.values():
        return None
    try:
        score, p_value = (math.nan if cell in ("", None) else float(cell) for cell in cells[1:3])
    except ValueError:
        return None
    known = math.isnan(score), math.isnan(p_value)
    if known != ((True, True) if cells[3] == WORDS[Verdict.UNSCORABLE] else (False, False)):
        return None
    return Row(cells[0], score, p_value, cells[3]) if known[1] or 0 < p_value <= 1 else None


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


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A sibling that becomes ``path`` if the block succeeds, and vanishes if it does not."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(number)
    except OSError as error:
        raise FileError(
            f"Cannot write to {path.parent} ({error.strerror}); choose a folder you may write to."
        ) from error
    building = Path(name)
    try:
        building.chmod(0o644)
        yield building
        building.replace(path)
    except OSError as error:
        raise FileError(
            f"Writing {path} failed ({error.strerror or error}); free some space or choose another disk."
        ) from error
    finally:
        building.unlink(missing_ok=True)
