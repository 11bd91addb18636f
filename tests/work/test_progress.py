"""One line of progress over all stages: a share that never falls, and one line however deep the calls are."""

from __future__ import annotations

import io
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from separatrix.work import SILENT, Lines, Moment, Progress


class Remembered:
    """A sink that keeps every moment, and counts how often a line was closed."""

    def __init__(self):
        self.moments: list[Moment] = []
        self.closed = 0

    def show(self, moment):
        self.moments.append(moment)

    def close(self):
        self.closed += 1


def watched():
    sink = Remembered()
    return Progress(sink), sink


def test_a_stage_inside_another_moves_the_same_line():
    progress, sink = watched()
    with progress.stage("audit", total=4):
        progress.advance(2)
        with progress.stage("orbits", total=10):
            progress.advance(5)
    assert [(moment.stages[-1], moment.done, moment.total, moment.fraction) for moment in sink.moments] == [
        ("audit", 0, 4, 0.0),
        ("audit", 2, 4, 0.5),
        ("orbits", 0, 10, 0.5),
        ("orbits", 5, 10, 0.625),
        ("audit", 3, 4, 0.75),
    ]
    assert sink.closed == 1


def test_a_stage_is_worth_what_the_stage_around_it_says():
    progress, _ = watched()
    with progress.stage("all", total=10):
        with progress.stage("search", total=2, worth=8):
            progress.advance()
            assert progress.fraction == 0.4
        assert progress.fraction == 0.8


def test_without_a_total_the_share_waits_for_the_end():
    progress, sink = watched()
    with progress.stage("all", total=2):
        with progress.stage("scoring"):
            progress.advance(1000)
            assert progress.fraction == 0.0
            assert sink.moments[-1].done == 1000
        assert progress.fraction == 0.5


_STEPS = st.recursive(
    st.floats(0, 100),
    lambda inner: st.tuples(st.one_of(st.none(), st.floats(0, 50)), st.floats(0, 5), st.lists(inner, max_size=4)),
    max_leaves=20,
)


@given(st.lists(_STEPS, max_size=5))
def test_the_share_never_falls_and_never_passes_one(steps):
    """Whatever is counted: too much, too little, stages of nothing, stages that are worth nothing."""
    progress, sink = watched()

    def work(step):
        if isinstance(step, float):
            progress.advance(step)
            return
        total, worth, inner = step
        with progress.stage("inner", total, worth=worth):
            for each in inner:
                work(each)

    with progress.stage("outer", total=3):
        for step in steps:
            work(step)
    shares = [moment.fraction for moment in sink.moments]
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)


def test_an_exception_closes_the_line_and_the_next_piece_of_work_begins_at_zero():
    progress, sink = watched()

    def work():
        with progress.stage("first", total=2):
            progress.advance()
            with progress.stage("inner"):
                raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        work()
    assert sink.closed == 1
    with progress.stage("second", total=2):
        assert sink.moments[-1] == Moment(("second",), 0, 2, 0.0)


def test_counting_outside_of_all_stages_is_nothing():
    progress, sink = watched()
    progress.advance(3)
    assert sink.moments == []


def test_what_the_argument_of_a_function_may_be():
    progress, _ = watched()
    assert Progress.of(progress) is progress
    with Progress.of(False).stage("quiet", total=1) as quiet:
        quiet.advance()
    assert Progress.of(SILENT) is SILENT


def test_the_line_of_the_library_says_what_how_many_and_goes_away(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress.of(True).stage("audit", total=2) as progress, progress.stage("following orbits", total=1000):
        progress.advance(312)
    written = stream.getvalue()
    assert "audit, following orbits: 0/1,000" in written
    assert "left" in written
    assert written.endswith("\r")
    assert not written.splitlines()[-1].strip()


def test_where_nobody_watches_there_is_a_line_after_a_minute_and_then_ever_more_rarely():
    now, written = [100.0], []
    progress = Progress(Lines(lambda line: written.append((now[0] - 100, line)), clock=lambda: now[0]))
    with progress.stage("search", total=7200):
        for _ in range(7200):
            now[0] += 1
            progress.advance(1)
    assert written[0] == (60, "search: 60/7,200; 0.8 % of all stages after 60 s")
    assert [seconds for seconds, _ in written[:5]] == [60, 120, 180, 240, 300]
    assert len(written) < 50
    assert all(later - earlier >= max(60, earlier / 10) for (earlier, _), (later, _) in pairwise(written))
    count = len(written)
    with progress.stage("page"):
        now[0] += 59
        progress.advance(1)
    assert len(written) == count  # the next work has a minute of its own
