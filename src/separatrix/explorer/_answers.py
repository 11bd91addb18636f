"""A page asks about a field that lives elsewhere: questions and answers as frames of bytes, the same for a server and for a notebook.

A frame begins with eight bytes, little-endian: the number of the question (4), what it is (1), the version of these rules (1), and a count (2).
Numbers in float32 follow. An answer has the number of its question. It may come in several parts, so that a large one is seen while it grows and no
other question waits for all of it; the last part says that it is the last.
"""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from separatrix.errors import InputError, first_line
from separatrix.field import LatentField

_HEAD = struct.Struct("<IBBH")
VERSION = 1
PATIENCE = 0.04  # seconds that a part of an answer takes, unless one row alone takes longer
_LARGEST = 2**20  # bytes of a frame, or as many as _ROWS images or latents take
_ROWS = 8
_FIRST = 64  # rows of the first part


class Ask(IntEnum):
    """It tells what is asked. CANCEL names the number of a question that nobody waits for any more."""

    STEP, DECODE, ENCODE, FIELD, CANCEL = range(1, 6)


class Part(IntEnum):
    """It tells what an answer is: its last part, another part, or one sentence that says why there is none."""

    LAST, MORE, ERROR = range(3)


class BadQuestion(InputError):
    """A frame is no question that can be answered.

    Attributes:
        number: of the question, as far as it can be known.
    """

    def __init__(self, sentence: str, number: int = 0) -> None:
        super().__init__(sentence)
        self.number = number


@dataclass(frozen=True, eq=False)
class Question:
    """A question that can be answered.

    Attributes:
        number: given by who asks.
        what: is asked.
        count: of steps.
        rows: ``(n, width)`` float32.
    """

    number: int
    what: Ask
    count: int
    rows: Tensor


class Answers:
    """A field that answers frames. All numbers are the library's own functions of the field.

    Attributes:
        largest: bytes that a question may have.

    >>> import separatrix as sx
    >>> answers = Answers(sx.LatentField.from_map(lambda z: z / 2, latent_shape=(1,)))
    >>> question = _HEAD.pack(7, Ask.STEP, VERSION, 3) + struct.pack("<f", 8.0)
    >>> [answer] = answers.to(answers.read(question))
    >>> _HEAD.unpack_from(answer)[0], struct.unpack_from("<3f", answer, _HEAD.size)
    (7, (4.0, 2.0, 1.0))
    """

    def __init__(self, field: LatentField) -> None:
        self.field = field
        # It also lets the field be examined here, where nobody waits and no stranger has chosen the point.
        data = field.decode(torch.zeros(1, *field.latent_shape, dtype=field.dtype, device=field.device))
        self._data_shape = tuple(data.shape[1:])
        pixels = math.prod(self._data_shape)
        self._width = {Ask.STEP: field.latent_dim, Ask.DECODE: field.latent_dim, Ask.ENCODE: pixels,
                       Ask.FIELD: field.latent_dim}  # fmt: skip
        self._made = {Ask.STEP: field.latent_dim, Ask.DECODE: pixels, Ask.ENCODE: field.latent_dim,
                      Ask.FIELD: field.latent_dim}  # fmt: skip
        self.largest = _HEAD.size + max(_LARGEST, 4 * _ROWS * max(field.latent_dim, pixels))
        self._seconds: dict[Ask, float] = {}  # per row, as it was last

    def read(self, frame: bytes) -> Question:
        """Understand a frame.

        Raises:
            BadQuestion: it is none.
        """
        if len(frame) < _HEAD.size:
            raise BadQuestion(f"A question has {_HEAD.size} bytes at least, this one {len(frame)}.")
        number, what, version, count = _HEAD.unpack_from(frame)
        if version != VERSION:
            raise BadQuestion(
                f"The page speaks version {version} and the server {VERSION}; load the page again.", number
            )
        if what not in list(Ask):
            raise BadQuestion(f"Nothing is known by the number {what}.", number)
        if len(frame) > self.largest:
            raise BadQuestion(f"A question has {self.largest} bytes at most, this one {len(frame)}.", number)
        ask = Ask(what)
        if ask is Ask.CANCEL:
            return Question(number, ask, count, torch.zeros(0, 1))
        width, size = self._width[ask], len(frame) - _HEAD.size
        if not size or size % (4 * width) or (ask is Ask.STEP and size != 4 * width):
            shape = "one row" if ask is Ask.STEP else "rows"
            raise BadQuestion(f"{ask.name.lower()} needs {shape} of {width} float32 numbers, not {size} bytes.", number)
        rows = torch.frombuffer(bytearray(frame[_HEAD.size :]), dtype=torch.float32).reshape(-1, width)
        if not rows.isfinite().all():
            raise BadQuestion("Only finite numbers can be asked about.", number)
        return Question(number, ask, count, rows)

    def to(self, question: Question) -> Iterator[bytes]:
        """Answer a question in parts, none of which takes much longer than `PATIENCE` or has more bytes than a question may.

        The answer to STEP is one part: as many of the steps as there was time for, and one at least.
        """
        try:
            yield from self._walk(question) if question.what is Ask.STEP else self._mapped(question)
        except Exception as error:  # a stranger's model can fail in any way, and the page can only be told
            yield self.refusal(question.number, f"The model fails here ({first_line(error)}).")

    @staticmethod
    def refusal(number: int, sentence: str) -> bytes:
        """One sentence instead of an answer."""
        return _HEAD.pack(number, Part.ERROR, VERSION, 0) + sentence.encode()

    def _walk(self, question: Question) -> Iterator[bytes]:
        most = max(1, min(question.count, (self.largest - _HEAD.size) // (4 * self.field.latent_dim)))
        z, began = self._latents(question.rows), time.perf_counter()
        path: list[Tensor] = []
        with self.field.guest():
            while len(path) < most and (not path or time.perf_counter() - began < PATIENCE):
                z = self.field.bare(z)
                path.append(z)
        yield _frame(question, Part.LAST, torch.cat(path))

    def _mapped(self, question: Question) -> Iterator[bytes]:
        function: Callable[[Tensor], Tensor] = {
            Ask.DECODE: lambda rows: self.field.decode(self._latents(rows)),
            Ask.ENCODE: lambda rows: self.field.encode(self._placed(rows).reshape(-1, *self._data_shape)),
            Ask.FIELD: lambda rows: self.field(self._latents(rows)),
        }[question.what]
        fits = max(1, (self.largest - _HEAD.size) // (4 * self._made[question.what]))
        done, each = 0, self._seconds.get(question.what, PATIENCE)
        size = _FIRST
        while done < len(question.rows):
            size = max(1, min(size, fits, int(PATIENCE / max(each, 1e-7))))
            began = time.perf_counter()
            made = function(question.rows[done : done + size])
            each = self._seconds[question.what] = (time.perf_counter() - began) / len(made)
            done, size = done + len(made), 4 * size  # what was quick may not be so everywhere
            yield _frame(question, Part.LAST if done == len(question.rows) else Part.MORE, made)

    def _latents(self, rows: Tensor) -> Tensor:
        return self._placed(rows).reshape(-1, *self.field.latent_shape)

    def _placed(self, rows: Tensor) -> Tensor:
        return rows.to(self.field.device, self.field.dtype)


def _frame(question: Question, part: Part, made: Tensor) -> bytes:
    numbers: bytes = made.detach().to("cpu", torch.float32).contiguous().numpy().tobytes()
    return _HEAD.pack(question.number, part, VERSION, 0) + numbers
