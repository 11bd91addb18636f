"""A statement says all in one sentence, its detail alone, and its code to programs; numbers are written as people write them."""

from __future__ import annotations

from enum import StrEnum

import pytest

from separatrix.words import Statement, Tone, counted, percent


class Answer(StrEnum):
    YES = "it is so"
    CANNOT_SAY = "cannot say"


def test_a_detail_follows_its_headline_or_stands_alone():
    found = Statement("Cannot say", "nobody knows 3 things.", Answer.CANNOT_SAY)
    assert str(found) == "Cannot say: nobody knows 3 things."
    assert found.sentence == "Nobody knows 3 things."
    assert (found.tone, found.slug) == (Tone.OPEN, "cannot_say")


def test_a_headline_with_a_full_stop_is_a_sentence():
    assert str(Statement("It is so.", "and why.", Answer.YES)) == "It is so. And why."
    assert str(Statement("It is so.", "", Answer.YES)) == "It is so."


def test_sentences_are_added_and_the_code_stays():
    found = Statement("Yes", "one.", Answer.YES, Tone.ALARM).followed_by("", "Two.", "Three.")
    assert (str(found), found.code, found.tone) == ("Yes: one. Two. Three.", Answer.YES, Tone.ALARM)
    assert found.to_dict() == {"headline": "Yes", "detail": "One. Two. Three.", "code": "yes", "tone": "alarm"}


@pytest.mark.parametrize(("count", "words"), [(0, "0 sets"), (1, "1 set"), (1234, "1,234 sets")])
def test_a_number_has_its_noun(count, words):
    assert counted(count, "set") == words


def test_a_share_is_never_all_or_nothing_by_rounding():
    assert [percent(share) for share in (0, 1e-9, 0.5, 1 - 1e-9, 1)] == ["0 %", "<0.1 %", "50 %", ">99.9 %", "100 %"]
