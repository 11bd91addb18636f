"""A check says here what it found, one requirement at a time, with the words and the remedy."""

from __future__ import annotations

from dataclasses import dataclass

from separatrix.errors import FieldError


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
class FieldCheck:
    """All findings; ``ok`` if none failed. Printing it shows one line per requirement."""

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

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings))


def _as_sentence(detail: str) -> str:
    # f is the latent map and F the reconstruction, so the symbol f keeps its case at the head of a sentence.
    return detail if detail.startswith(("f ", "f(")) else f"{detail[:1].upper()}{detail[1:]}"
