"""Searches that ran out of steps: nobody dies of that, nobody is born of it, and names outlast it."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from searches_by_hand import limit_sets

import separatrix as sx
from separatrix import LatentField, continuation
from separatrix.protocol import Protocol
from separatrix.studies import EventKind, match
from separatrix.testing.oracles import tilted_well

RULES = ("basins", "points", "decoded")
STARTS = sx.starts.box(32, -1.25, 1.25, seed=0)
TOO_FEW = Protocol(max_steps=3, probe_steps=3)
some = settings(max_examples=60, deadline=None, derandomize=True)


def story_of(*searches, by="basins"):
    """Of (tilt, protocol) one after the other."""
    fields = [tilted_well(tilt=tilt).field for tilt, _ in searches]
    found = [sx.find_attractors(field, STARTS, rules) for field, (_, rules) in zip(fields, searches, strict=True)]
    return continuation(found, by=by, fields=fields)


def kinds(story):
    return {kind for kind, count in story.events.counts.items() if count}


@pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")
@pytest.mark.parametrize("by", RULES)
def test_ids_outlast_a_search_with_too_few_steps(by):
    story = story_of((0.1, None), (0.12, TOO_FEW), (0.14, TOO_FEW), (0.16, None), (0.18, None), by=by)
    assert story.counts.tolist() == [2, 0, 0, 2, 2]
    assert story.describe_events() == ["1: 0 out of sight, 1 out of sight", "3: 0 came into sight, 1 came into sight"]
    assert torch.equal(story.labels(3), story.labels(4))
    assert float((story.labels(3) == story.labels(0)).double().mean()) > 0.9, "each name is at its own well"
    assert story.lifetimes() == {0: (0, 4), 1: (0, 4)}
    assert repr(story.events) == "Events(0 births, 0 deaths, 0 merges, 0 splits, 2 occlusions, 2 sightings)"


@pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")
@pytest.mark.parametrize("by", ["basins", "points"])
def test_an_end_that_nobody_saw_is_told_when_the_starts_have_settled(by):
    story = story_of((0.1, None), (0.3, TOO_FEW), (0.45, None), by=by)
    (survivor,) = story.ids(2).tolist()
    end = f"{1 - survivor} merged into {survivor}" if by == "basins" else f"{1 - survivor} died"
    assert story.describe_events() == ["1: 0 out of sight, 1 out of sight", f"2: {survivor} came into sight, {end}"]


@pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")
@pytest.mark.parametrize("by", RULES)
def test_sets_on_starts_that_had_not_settled_are_not_born(by):
    story = story_of((0.1, TOO_FEW), (0.1, None), by=by)
    assert story.describe_events() == ["1: 0 came into sight, 1 came into sight"]


@pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")
def test_orbits_that_diverge_have_settled_the_question():
    fields = [LatentField.from_map(lambda z, a=a: a * z, (1,), dtype=torch.float64) for a in (0.5, 3.0, 0.5)]
    story = continuation(fields, STARTS)
    assert story.describe_events() == ["1: 0 died", "2: 1 born"]


@pytest.mark.parametrize(("open_starts", "words"), [(4, "0 died"), (5, "0 out of sight")])
def test_half_of_the_starts_decide(open_starts, words):
    """Ten starts of one set: what did not run out of steps ends on something else."""
    unsettled = torch.arange(10) < open_starts
    story = continuation([limit_sets([[0.0]], [0] * 10), limit_sets([], [-1] * 10, unsettled=unsettled)])
    assert story.events.words == [words]
    back = continuation(story.limits[::-1])
    assert back.events.words == ["0 born" if open_starts == 4 else "0 came into sight"]


def test_a_set_is_the_same_if_the_few_of_its_starts_that_settle_say_so():
    whole = limit_sets([[0.0], [1.0]], [0] * 60 + [1] * 40)
    few = limit_sets([[0.0]], [0] * 3 + [-1] * 97, unsettled=torch.arange(100) >= 3)
    story = continuation([whole, few, whole])
    assert [story.ids(time).tolist() for time in range(3)] == [[0, 1], [0], [0, 1]]
    assert story.events.words == ["1 out of sight", "1 came into sight"]


@pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")
def test_starts_that_were_not_followed_have_not_settled():
    field = tilted_well(tilt=0.38).field  # the left well is small: none of the first few starts is in it
    whole, few = (sx.find_attractors(field, STARTS[:count]) for count in (32, 2))
    assert (len(whole), len(few)) == (2, 1)
    story = continuation([few, whole, few, whole])
    assert [story.ids(time).tolist() for time in range(4)] == [[0], [0, 1], [0], [0, 1]]
    assert story.describe_events() == ["1: 1 came into sight", "2: 1 out of sight", "3: 1 came into sight"]


@st.composite
def searches(draw, most=5):
    """Sets at distinct places, each with a start at least, all starts on one of them."""
    size = draw(st.integers(1, most))
    places = draw(st.lists(st.integers(-6, 6), min_size=size, max_size=size, unique=True))
    labels = [*range(size), *draw(st.lists(st.integers(0, size - 1), min_size=20 - size, max_size=20 - size))]
    return limit_sets(torch.tensor(places, dtype=torch.float64).reshape(-1, 1), draw(st.permutations(labels)))


@some
@given(found=searches(), lost=st.lists(st.lists(st.booleans(), min_size=20, max_size=20), min_size=1, max_size=4))
@pytest.mark.parametrize("by", ["basins", "points"])
def test_whatever_starts_run_out_of_steps_a_field_that_stays_keeps_its_names(found, lost, by):
    partial = []
    for mask in map(torch.tensor, lost):
        labels = torch.where(mask, -1, found.labels)
        visited = torch.bincount(labels[labels >= 0], minlength=len(found)).nonzero().squeeze(1)
        partial.append(limit_sets(found.points, labels, unsettled=mask)[visited])
    story = continuation([found, *partial, found], by=by)
    last = len(lost) + 1
    assert torch.equal(story.labels(last), story.labels(0))
    for time, mask in enumerate(map(torch.tensor, lost), start=1):
        assert torch.equal(story.labels(time), torch.where(mask, -1, story.labels(0)))
    assert kinds(story) <= {EventKind.OCCLUSION, EventKind.SIGHTING}
    gone, back = (story.events.of_kind(kind) for kind in (EventKind.OCCLUSION, EventKind.SIGHTING))
    assert sorted(gone.id.tolist()) == sorted(back.id.tolist())
    seen = torch.stack([torch.bincount(story.ids(time), minlength=len(found)) for time in range(last + 1)])
    assert int((seen.diff(dim=0) < 0).sum()) == len(gone)


@some
@given(found=st.lists(searches(), min_size=2, max_size=5), by=st.sampled_from(["basins", "points"]))
def test_where_all_starts_settle_only_the_search_before_counts(found, by):
    """The plain rule, from `match` alone: partners keep names; others are told by parent and heir."""
    story = continuation(found, by=by)
    names = list(range(len(found[0])))
    fresh, told = len(names), []
    for time in range(1, len(found)):
        matching = match(found[time - 1], found[time], by=by)
        own = []
        for partner, parent in zip(matching.partner.tolist(), matching.parent.tolist(), strict=True):
            own.append(names[partner] if partner >= 0 else fresh)
            if partner < 0:
                told.append((time, f"{fresh} born" if parent < 0 else f"{fresh} split from {names[parent]}"))
                fresh += 1
        for name, heir in zip(names, matching.heir.tolist(), strict=True):
            if name not in own:
                told.append((time, f"{name} died" if heir < 0 else f"{name} merged into {own[heir]}"))
        names = own
        assert story.ids(time).tolist() == own
    assert list(zip(story.events.time.tolist(), story.events.words, strict=True)) == told


@pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")
def test_the_monitor_writes_out_of_sight_and_a_later_search_finds_them_again(tmp_path):
    """Wells whose map slows down for one snapshot, as a network does for a while in training."""
    pace = torch.ones((), dtype=torch.float64)
    field = LatentField.from_map(lambda z: z + pace * 0.2 * (z - z**3), (1,), dtype=torch.float64)
    path = tmp_path / "dynamics.jsonl"
    rules = Protocol(max_steps=128, probe_steps=128)
    monitor = sx.DynamicsMonitor(field, STARTS, 1, max_share=None, log=path, protocol=rules)
    for step, value in enumerate((1.0, 1e-3, 1.0)):
        pace.fill_(value)
        monitor.step(step)
    monitor.finish()
    first, slow, last = (json.loads(line) for line in path.read_text().splitlines())
    assert (first["ids"], slow["ids"], last["ids"]) == ([0, 1], [], [0, 1])
    assert (slow["attractors"], slow["converged"]) == (0, 0.0)
    assert slow["events"] == ["0 out of sight", "1 out of sight"]
    assert last["events"] == ["0 came into sight", "1 came into sight"]
