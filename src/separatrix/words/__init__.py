"""This room tells what people read: statements with a code and a tone, numbers as they are written, and results as a line, a table or JSON."""

from separatrix.words._numbers import counted, duration, percent, printable, signed, without_folders
from separatrix.words._readable import Readable, Tabular, columns_of, jsonable, one_line, rows_of
from separatrix.words._statement import Statement, Tone

__all__ = [
    "Readable",
    "Statement",
    "Tabular",
    "Tone",
    "columns_of",
    "counted",
    "duration",
    "jsonable",
    "one_line",
    "percent",
    "printable",
    "rows_of",
    "signed",
    "without_folders",
]
