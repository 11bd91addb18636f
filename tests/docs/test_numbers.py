"""Numbers in prose are those of the committed results: a phrase that says another one fails, and so does a number without a phrase."""

from __future__ import annotations

import pytest
from bound import Bound, prose, unbound
from claims_bound import CLAIMS
from ood_bound import OOD
from probing_bound import PROBING

# page, from the heading, to the heading, its phrases
PAGES: list[tuple[str, str, str, list[Bound]]] = [
    ("docs/claims.md", "", "", CLAIMS),
    ("docs/ood.md", "## What was measured", "## What the decisions promise", OOD),
    ("docs/probing.md", "## When it works, and when not", "## What this does not show", PROBING),
]
EVERY = [
    pytest.param(page, bound, id=f"{page}: {bound.phrase[:50]}") for page, _, _, phrases in PAGES for bound in phrases
]


@pytest.mark.parametrize(("page", "bound"), EVERY)
def test_a_phrase_stands_in_its_page_with_the_numbers_of_the_results(page: str, bound: Bound) -> None:
    assert bound.words in prose(page)


@pytest.mark.parametrize(("page", "first", "last", "phrases"), PAGES, ids=[page for page, *_ in PAGES])
def test_every_number_is_bound_to_a_result_or_listed_with_its_reason(
    page: str, first: str, last: str, phrases: list[Bound]
) -> None:
    assert list(unbound(prose(page, first, last), phrases)) == []


def test_a_wrong_number_and_a_number_without_a_phrase_are_found() -> None:
    text = "better in 11 of 36 pairs, and 7 times faster"
    assert Bound("in {} of {} pairs", lambda: (12, 36)).words not in text
    assert [found.split()[0] for found in unbound(text, [Bound("in {} of {} pairs", lambda: (11, 36))])] == ["7"]
