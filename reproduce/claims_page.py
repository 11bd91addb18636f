"""RESULTS.md and docs/claims.md: the claims of ``claims/`` with what the committed results say of them.

    python reproduce/claims_page.py

Nothing is computed here but what `readings` reads off the results; a test holds both pages to be what this writes.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from readings import ROOT, Reading, file_of, result

HERE = Path(__file__).parent
SAID = {"reproduced": "reproduced", "conditional": "conditional", "not": "not reproduced", "not run": "not run"}
MACHINE = "two-core x86 machine, one thread"
INTRODUCTION = """\
Fumero, Moschella, Rodolà and Locatello, *Navigating the Latent Space Dynamics of Neural Models*, ICLR 2026 (arXiv:2505.22785).
"""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One file of ``claims/``; sentences have places for the numbers of its reading.

    Attributes:
        name: of the file.
        claim: in our words.
        paper: the figures, tables or sections it stands in.
        reading: module and function of `readings`.
        results: the committed results it reads, as ``reproduce/probing``.
        command: makes them.
        rule: how the verdict follows, in words.
        written: the rule, before or after the run.
        number: ours, with its interval.
        null: what it is compared with.
        finding: the same at length.
        deviations: from the paper.
        overturn: what would change the verdict.
        changed: what the rule was before, if it was another one.
        not_run: why there is no result, where there is none.
        page: of docs, that says why.
        machine: where not on the usual one.
        settings: phrases of the sentences whose numbers are settings or names, and so no result.
    """

    name: str
    claim: str
    paper: list[str]
    reading: str
    results: list[str]
    command: str
    rule: str
    written: str
    number: str
    null: str
    finding: str
    deviations: str
    overturn: str
    changed: str = ""
    not_run: str = ""
    page: str = ""
    machine: str = MACHINE
    settings: list[str] = field(default_factory=list)

    @property
    def was_run(self) -> bool:
        """To its end: the page of a result is what a recipe writes last."""
        return all(file_of(path).with_suffix(".md").exists() for path in self.results)

    @cached_property
    def read(self) -> Reading:
        """The verdict and the numbers."""
        module, function = self.reading.split(".")
        found: Reading = getattr(import_module(f"readings.{module}"), function)()
        return found

    @property
    def verdict(self) -> str:
        return self.read.verdict if self.was_run else "not run"

    def filled(self, sentence: str) -> str:
        """The sentence with its numbers, or why there are none."""
        return sentence.format(**self.read.numbers) if self.was_run else "–"

    @property
    def versions(self) -> str:
        """Of torch, as far as the results tell."""
        records: list[dict[str, Any]] = [result(path) for path in self.results] if self.was_run else []
        torch = {record.get("torch") or record.get("versions", {}).get("torch") for record in records} - {None}
        return f", torch {', '.join(sorted(torch))}" if torch else ""


def claims() -> list[Claim]:
    """All of them, in the order of their files."""
    files = sorted((HERE / "claims").glob("*.toml"))
    return [Claim(name=file.stem, **tomllib.loads(file.read_text(encoding="utf-8"))) for file in files]


def links(claim: Claim, up: str) -> str:
    """To the pages of its results, as seen from a page that ``up`` leads to the root from."""
    named = [
        (path.rpartition("/")[2].replace("_", " "), f"{up}{path.replace('/', '/results/')}") for path in claim.results
    ]
    return ", ".join(f"[{name}]({target}.md)" for name, target in named)


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def results_page(found: list[Claim]) -> str:
    """Write RESULTS.md: a table, then each claim with its rule and what would overturn it."""
    counts = ", ".join(f"{sum(c.verdict == key for c in found)} {words}" for key, words in SAID.items())
    lines = [
        "# Results, claim by claim",
        "",
        f"{INTRODUCTION.strip()} And claims of others about the same field, each with its source.",
        f"{len(found)} claims: {counts}. Written by `python reproduce/claims_page.py` from the JSON files beside it; each claim is a file of "
        "`reproduce/claims/`, with the rule of its verdict. Intervals: Student's over seeds, exact (Clopper and Pearson) of shares.",
        "*Conditional*: it holds in some of the cases that the rule names. How to run one again, or to overturn it, stands below the table.",
        "",
        "| claim | in the paper | our number | null | verdict |",
        "|---|---|---|---|---|",
    ]
    for claim in found:
        parts = (
            f"[{claim.claim}](#{claim.name.replace('_', '-')})",
            ", ".join(claim.paper),
            claim.filled(claim.number),
            claim.filled(claim.null),
            f"**{SAID[claim.verdict]}**",
        )
        lines.append(f"| {' | '.join(map(cell, parts))} |")
    for claim in found:
        lines += ["", *section(claim)]
    return "\n".join([*lines, ""])


def section(claim: Claim) -> list[str]:
    """One claim at length."""
    paper = ", ".join(claim.paper)
    lines = [f'<a id="{claim.name.replace("_", "-")}"></a>', f"## {claim.claim}", ""]
    if claim.was_run:
        lines += [f"**{SAID[claim.verdict].capitalize()}** ({paper}). {begin(claim.filled(claim.finding))}.", ""]
    else:
        lines += [f"**Not run** ({paper}). {claim.not_run}", ""]
    lines += [
        f"* Rule, written {claim.written}: {claim.rule}",
        *([f"* Changed rule: {claim.changed}"] if claim.changed else []),
        *([f"* Ours: {claim.filled(claim.number)}. Null: {claim.filled(claim.null)}."] if claim.was_run else []),
        f"* Deviations: {claim.deviations}",
        f"* Would overturn it: {claim.overturn}",
        f"* Command: `{claim.command}` ({claim.machine}{claim.versions}); "
        + (f"results: {links(claim, '../')}." if claim.was_run else "no result is committed."),
    ]
    return lines


def begin(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def claims_page(found: list[Claim]) -> str:
    """Write docs/claims.md: claim, verdict, finding."""
    lines = [
        "# The paper's claims, one by one",
        "",
        INTRODUCTION.strip(),
        "Every verdict is on networks that fit a CPU: smaller than the paper's, and but for the Burgess VAEs, TAEF2 and TinyStories 260K, which others",
        "trained, trained for less time. This page is a view of [RESULTS.md](../reproduce/RESULTS.md), which has the rule of each verdict, intervals, nulls,",
        "commands and what would overturn it. *Conditional* means that it depends on the model or on how it is measured; the line says on what.",
        "",
        "| claim | verdict | what we find | where |",
        "|---|---|---|---|",
    ]
    for claim in found:
        why = f", [why]({claim.page}.md)" if claim.page else ""
        where = links(claim, "../") + why if claim.was_run else f"`{claim.command}`"
        said = claim.filled(claim.finding) if claim.was_run else claim.not_run
        lines.append(f"| {cell(claim.claim)} | {SAID[claim.verdict]} | {cell(said)} | {where} |")
    lines += [
        "",
        'The formula of the memorization coefficient prints a minimum where its words say "closest": the library has the maximum.',
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    found = claims()
    (HERE / "RESULTS.md").write_text(results_page(found), encoding="utf-8")
    (ROOT / "docs/claims.md").write_text(claims_page(found), encoding="utf-8")
    print(f"{len(found)} claims; RESULTS.md and docs/claims.md are written")


if __name__ == "__main__":
    main()
