"""A check says here what it found, one requirement at a time, with the words and the remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from separatrix.errors import FieldError
from separatrix.words import Tabular, columns_of


@dataclass(frozen=True)
class Finding:
    """One tested requirement: ``passed`` is None where it is worth knowing but not a failure."""

    name: str
    passed: bool | None
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        mark = {True: "ok  ", False: "FAIL", None: "note"}[self.passed]
        return f"{mark} {self.name}: {self.detail}{f' → {self.remedy}' if self.remedy else ''}"


@dataclass(frozen=True)
class FieldCheck(Tabular):
    """All findings; ``ok`` if none failed. Printing it shows one line per requirement."""

    _facts: ClassVar[tuple[str, ...]] = ("ok",)

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """No requirement failed (notes are not failures)."""
        return all(finding.passed is not False for finding in self.findings)

    def require(self) -> None:
        """Raise FieldError with the first failure and its remedy."""
        for finding in self.findings:
            if finding.passed is False:
                raise FieldError(f"{_as_sentence(finding.detail)}; {finding.remedy}.")

    @property
    def table(self) -> Mapping[str, Sequence[Any]]:
        """One row per requirement."""
        return columns_of(Finding, self.findings)

    def __repr__(self) -> str:
        failed = [finding.name for finding in self.findings if finding.passed is False]
        state = f"failed: {', '.join(failed)}" if failed else "ok"
        return f"FieldCheck({state}; {len(self.findings)} findings)"

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings))


def _as_sentence(detail: str) -> str:
    # f is the latent map and F the reconstruction, so the symbol f keeps its case at the head of a sentence.
    return detail if detail.startswith(("f ", "f(")) else f"{detail[:1].upper()}{detail[1:]}"
