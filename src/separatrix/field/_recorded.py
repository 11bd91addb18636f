"""A field that answers from memory: what pages and figures ask a model is written down, and can be asked again without the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor

from separatrix.errors import InputError
from separatrix.field._field import LatentField
from separatrix.storage import storable
from separatrix.words import Readable

_DIGEST = 16  # bytes of each question that are kept


@storable
@dataclass(frozen=True, repr=False)
class Answers(Readable):
    """Rows that a model was asked for, and what it answered: digests ``(n, 16)`` uint8 and answers ``(n, …)`` per question."""

    digests: Mapping[str, Tensor] = field(default_factory=dict)
    values: Mapping[str, Tensor] = field(default_factory=dict)
    identity: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""


class RecordedField(LatentField):
    """A field of which every answer is kept, row by row; asked again, it does not evaluate the model.

    Args:
        live: the field that is asked where the answer is not known; None if there is none any more.
        answers: what is known already.

    Attributes:
        asked: the live field was asked for something since.

    Raises:
        InputError: without a live field, for a question that was never asked.

    >>> live = LatentField.from_map(lambda z: z / 2, latent_shape=(1,))
    >>> recorded = RecordedField(live)
    >>> recorded(torch.ones(2, 1)).flatten().tolist()
    [0.5, 0.5]
    >>> RecordedField(None, recorded.answers)(torch.ones(1, 1)).item()
    0.5
    """

    def __init__(self, live: LatentField | None, answers: Answers | None = None) -> None:
        known = answers or Answers()
        identity = dict(live.describe() if live is not None else known.identity)
        self._live, self._identity = live, identity
        self.asked = False
        self._title = live.title if live is not None else known.title
        super().__init__(
            self._never,
            self._never,
            latent_shape=identity["latent_shape"],
            dtype=getattr(torch, identity["dtype"]),
            device=live.device if live is not None else "cpu",
            name=identity["name"],
            units=identity["units"],
            modules=(),
            details=identity.get("details"),
        )
        self._known: dict[str, dict[bytes, Tensor]] = {
            question: {
                bytes(digest.tolist()): value for digest, value in zip(digests, known.values[question], strict=True)
            }
            for question, digests in known.digests.items()
        }

    @property
    def is_live(self) -> bool:
        """Return whether there is a field to ask for what is not known."""
        return self._live is not None

    @property
    def live(self) -> LatentField:
        """The field that is asked, for whoever needs more of it than answers.

        Raises:
            InputError: there is none any more.
        """
        if self._live is None:
            raise InputError(
                f"This picture needs the model, which was not asked for it when {self.name} was run; run it again with figures."
            )
        return self._live

    @property
    def answers(self) -> Answers:
        """Everything that was answered so far."""
        asked = {question: rows for question, rows in self._known.items() if rows}
        return Answers(
            {
                question: torch.tensor([list(digest) for digest in rows], dtype=torch.uint8)
                for question, rows in asked.items()
            },
            {question: torch.stack(list(rows.values())) for question, rows in asked.items()},
            self._identity,
            self._title,
        )

    @property
    def title(self) -> str:
        """The model in one line."""
        return self._title

    def describe(self) -> dict[str, Any]:
        """Return the identity of the model that answered."""
        return dict(self._identity)

    def guest(self) -> AbstractContextManager[None]:
        """Borrow the model, where there is one."""
        return nullcontext() if self._live is None else self._live.guest()

    def encode(self, x: Tensor) -> Tensor:
        """E(x), from memory where it is known."""
        return self._answered("encode", x, lambda rows: self.live.encode(rows))

    def decode(self, z: Tensor) -> Tensor:
        """D(z), from memory where it is known."""
        return self._answered("decode", z, lambda rows: self.live.decode(rows))

    def bare(self, z: Tensor) -> Tensor:
        """f(z), from memory where it is known."""
        return self._answered("map", z, lambda rows: self.live.bare(rows))

    def _answered(self, question: str, rows: Tensor, ask: Callable[[Tensor], Tensor]) -> Tensor:
        known = self._known.setdefault(question, {})
        digests = [_digest(row) for row in rows.detach().to("cpu").contiguous()]
        unknown = [place for place, digest in enumerate(digests) if digest not in known]
        if unknown or not digests:
            self.asked = True
            answers = ask(rows[unknown]).detach().to("cpu")
            if not digests:
                return answers
            known |= {digests[place]: answer for place, answer in zip(unknown, answers, strict=True)}
        return torch.stack([known[digest] for digest in digests]).to(self.device)

    @staticmethod
    def _never(_: Tensor) -> Tensor:
        raise AssertionError("a recorded field is asked through its public methods")


def _digest(row: Tensor) -> bytes:
    said = f"{row.dtype}{tuple(row.shape)}".encode()
    return sha256(said + row.reshape(-1).view(torch.uint8).numpy().tobytes()).digest()[:_DIGEST]
