"""RESULTS.md and docs/claims.md are what the claims and the committed results make of them, and every claim has a row."""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from types import ModuleType

import pytest
from bound import ROOT

Script = Callable[[str], ModuleType]
# What the issue asks for; a claim names where it stands.
EXPECTED = {
    *(f"Figure {number}" for number in range(1, 19)),
    "Table 1",
    "Theorem 1",
    "Error bound",
    "Energy",
    "PNAS 2020",
    "Replication",
    "Knowledge as dynamics",
}
ALLOWED = {"reproduced", "conditional", "not", "not run"}


@pytest.fixture
def page(script: Script) -> ModuleType:
    return script("reproduce/claims_page")


@pytest.mark.parametrize(
    ("path", "make"), [("reproduce/RESULTS.md", "results_page"), ("docs/claims.md", "claims_page")]
)
def test_a_page_is_what_the_results_make_of_the_claims(page: ModuleType, path: str, make: str) -> None:
    made = getattr(page, make)(page.claims())
    assert made == (ROOT / path).read_text(encoding="utf-8"), "run python reproduce/claims_page.py"


def test_every_claim_of_the_list_has_a_row(page: ModuleType) -> None:
    named = {place for claim in page.claims() for place in claim.paper}
    assert EXPECTED - named == set()


def test_a_claim_says_all_that_a_row_needs(page: ModuleType) -> None:
    for claim in page.claims():
        assert claim.verdict in ALLOWED, claim.name
        assert re.match(r"(before|after) the run", claim.written), claim.name
        assert all((claim.rule, claim.null, claim.deviations, claim.overturn, claim.command)), claim.name
        assert claim.was_run or claim.not_run, f"{claim.name} has no result and does not say why"


def test_a_claim_reads_committed_results_and_is_made_by_committed_scripts(page: ModuleType) -> None:
    for claim in page.claims():
        assert claim.results, claim.name
        for script in re.findall(r"python (\S+\.py)", claim.command) if claim.was_run else ():
            assert (ROOT / script).exists(), f"{claim.name}: {script}"


def test_numbers_in_sentences_come_from_results_or_are_named_as_settings(page: ModuleType) -> None:
    """What stands in a sentence outside its places is words, or a setting that the claim lists."""
    for claim in page.claims():
        for sentence in (claim.number, claim.null, claim.finding):
            bare = "".join(text + ("…" if name else "") for text, name, _, _ in string.Formatter().parse(sentence))
            for setting in claim.settings:
                bare = bare.replace(setting, "")
            assert not re.findall(r"(?<![\w.₀-₉])\d+(?:\.\d+)?", bare), f"{claim.name}: {bare}"


def test_another_number_changes_the_page(page: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    (claim,) = [claim for claim in page.claims() if claim.name.endswith("associative_memory")]
    before, (first, *_) = claim.filled(claim.finding), claim.read.numbers["codes"]
    monkeypatch.setitem(claim.read.numbers, "codes", [first + 1, *claim.read.numbers["codes"][1:]])
    assert claim.filled(claim.finding) != before
