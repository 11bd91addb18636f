"""A conclusion as data: whoever prints, colours or acts on it reads a field of it, and nobody takes a sentence apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Tone(StrEnum):
    """The colour of a statement."""

    ALARM = "alarm"
    CALM = "calm"
    OPEN = "open"


@dataclass(frozen=True)
class Statement:
    """It tells what a study concludes; ``str`` gives the whole sentence.

    Attributes:
        headline: the conclusion in a few words, or in a sentence with its full stop.
        detail: its numbers, as they follow the headline and a colon.
        code: which of the conclusions that the study may reach it is. Programs read this and no word.
        tone: an alarm, calming, or open.

    >>> class Answer(StrEnum):
    ...     NO = "no"
    >>> found = Statement("Within budget", "none of 12 images is given back.", Answer.NO, Tone.CALM)
    >>> str(found)
    'Within budget: none of 12 images is given back.'
    >>> found.sentence, found.to_dict()["code"]
    ('None of 12 images is given back.', 'no')
    """

    headline: str
    detail: str
    code: StrEnum
    tone: Tone = Tone.OPEN

    @property
    def sentence(self) -> str:
        """The detail as it stands alone, without the headline."""
        return f"{self.detail[:1].upper()}{self.detail[1:]}"

    @property
    def slug(self) -> str:
        """The code as it stands in JSON, such as ``"cannot_say"``."""
        return self.code.name.lower()

    def followed_by(self, *sentences: str) -> Statement:
        """Add sentences to the detail; empty ones are left out."""
        return replace(self, detail=" ".join(filter(None, (self.detail, *sentences))))

    def to_dict(self) -> dict[str, str]:
        """JSON-ready."""
        return {"headline": self.headline, "detail": self.sentence, "code": self.slug, "tone": str(self.tone)}

    def __str__(self) -> str:
        if self.headline.endswith("."):
            return " ".join(filter(None, (self.headline, self.sentence)))
        return f"{self.headline}: {self.detail}"
