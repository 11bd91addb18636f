"""Limit sets along a parameter: names that stay, and what happens at the two bifurcations that everyone knows."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from searches_by_hand import limit_sets

import separatrix as sx
from separatrix import LatentField, continuation
from separatrix.errors import FieldError, FileError, InputError, ModelWarning
from separatrix.studies import EventKind, match
from separatrix.studies._continuation.dissimilarity import basin_dissimilarity, chamfer_distances, contingency
from separatrix.testing.oracles import negated_tanh_product, tilted_well

FOLD = 2 / (3 * math.sqrt(3))  # 0.38490
RULES = ("basins", "points", "decoded")
some = settings(max_examples=60, deadline=None, derandomize=True)


TILTS = (0.0, 0.15, 0.3, 0.38, FOLD - 1e-3, FOLD + 1e-3, 0.39, 0.45)
GAINS = (0.9, 0.97, 1.03, 1.06, 1.1, 1.15)


def wells(tilts, **options):
    starts = sx.starts.box(32, -1.25, 1.25, seed=0)
    return continuation((tilted_well(tilt=h).field for h in tilts), starts, parameters=tilts, **options)


def pitchfork(gains, **options):
    fields = (LatentField.from_map(lambda z, a=a: torch.tanh(a * z), (1,), dtype=torch.float64) for a in gains)
    return continuation(fields, sx.starts.box(32, -2, 2, seed=0), parameters=gains, **options)


@pytest.fixture(scope="module")
def fold():
    return wells(TILTS, keep_decoded=True)


@pytest.fixture(scope="module")
def fork():
    return pitchfork(GAINS, keep_decoded=True)


@pytest.mark.parametrize("by", RULES)
def test_the_tilted_well_loses_exactly_one_id_at_the_fold(fold, by):
    assert math.isclose(FOLD, 0.38490, abs_tol=5e-6)
    story = fold.rematched(by=by)
    assert story.counts.tolist() == [2, 2, 2, 2, 2, 1, 1, 1]
    assert sorted(story.lifetimes().values()) == [(0, 4), (0, 7)]
    assert len(story.events) == 1
    assert story.events.time.tolist() == [5]
    lost = next(name for name, span in story.lifetimes().items() if span == (0, 4))
    assert story.events.id.tolist() == [lost]
    # The loser is the left well, and its starts all go to the right one; its place is empty.
    assert float(story.points[(story.id == lost) & (story.time == 4)]) == pytest.approx(-1 / math.sqrt(3), abs=0.05)
    kind = EventKind.MERGE if by == "basins" else EventKind.DEATH
    assert story.events.kind.tolist() == [int(kind)]
    assert story.events.other.tolist() == ([1 - lost] if by == "basins" else [-1])


# Decoded by the identity the sets are near zero, and so is their norm, the unit: hence the wide threshold.
@pytest.mark.parametrize(("by", "threshold"), [("basins", None), ("points", None), ("decoded", 1.5)])
def test_a_pitchfork_splits_one_into_two(fork, by, threshold):
    story = fork.rematched(by=by, threshold=threshold)
    assert story.counts.tolist() == [1, 1, 2, 2, 2, 2]
    assert story.events.words == ["1 split from 0"]
    assert story.events.time.tolist() == [2]
    assert story.lifetimes() == {0: (0, 5), 1: (2, 5)}
    back = continuation(fork.limits[::-1], by="points" if by == "decoded" else by)
    assert len(back.events) == 1
    assert back.events.kind.tolist() == [int(EventKind.MERGE)]
    assert back.events.time.tolist() == [4]


def test_each_start_keeps_its_id_while_nothing_happens():
    story = pitchfork((1.2, 1.4, 2.0))
    first = story.labels(0)
    assert set(first.tolist()) == {0, 1}
    for time in (1, 2):
        assert torch.equal(story.labels(time), first)
        assert torch.equal(story.ids(time)[story.limits[time].labels], first)


def test_a_stored_continuation_is_matched_again_without_any_field(tmp_path):
    tilts = (0.1, 0.3, 0.5)
    story = wells(tilts, keep_decoded=True)
    sx.save_result(story, tmp_path / "story")
    stored = sx.load_result(tmp_path / "story")
    assert isinstance(stored, sx.studies.Continuation)
    assert stored.events.words == story.events.words
    for by in RULES:
        again, fresh = stored.rematched(by=by), wells(tilts, by=by)
        assert again.by == by
        assert torch.equal(again.id, fresh.id)
        assert again.events.words == fresh.events.words
    with pytest.raises(InputError, match="keep_decoded=True"):
        wells(tilts).rematched(by="decoded")


def test_limit_sets_found_before_give_the_same_story():
    starts = sx.starts.box(60, -1.25, 1.25, seed=0)
    fields = [tilted_well(tilt=h).field for h in (0.2, 0.5)]
    found = [sx.find_attractors(field, starts) for field in fields]
    direct = continuation(fields, starts, by="decoded")
    for story in (continuation(found, by="decoded", fields=fields), continuation(found, by="points")):
        assert torch.equal(story.id, direct.id)
        assert story.events.words == direct.events.words


def test_a_cycle_is_matched_whatever_its_phase():
    oracle = negated_tanh_product()
    limits = sx.find_attractors(oracle.field, oracle.starts)
    (cycle,) = (limits.trace(0),)
    assert len(cycle) == 2
    turned = replace(limits, points=cycle[1:], traces={0: cycle.flip(0)})
    matching = match(limits, turned, by="points")
    assert matching.partner.tolist() == [0]
    assert float(matching.dissimilarity) == pytest.approx(0.0, abs=1e-12)


@st.composite
def sequences(draw):
    """A few searches from the same starts, the sets at distinct random places."""
    count = draw(st.integers(1, 30))
    found = []
    for _ in range(draw(st.integers(2, 4))):
        size = draw(st.integers(0, 5))
        places = draw(st.lists(st.integers(-6, 6), min_size=size, max_size=size, unique=True))
        labels = draw(st.lists(st.integers(-1, size - 1), min_size=count, max_size=count))
        found.append(limit_sets(torch.tensor(places, dtype=torch.float64).reshape(-1, 1) / 3, labels))
    return found


def story_of(found, by):
    """What must not depend on the order of the sets: where each id lives, and what happens to whom, without the names."""
    told = continuation(found, by=by)
    paths = {}
    for time, name, point in zip(told.time.tolist(), told.id.tolist(), told.points.flatten().tolist(), strict=True):
        paths.setdefault(name, []).append((time, point))
    events = zip(told.events.time.tolist(), told.events.kind.tolist(), told.events.id.tolist(), strict=True)
    others = [tuple(paths[other]) if other >= 0 else () for other in told.events.other.tolist()]
    happened = sorted((*event[:2], tuple(paths[event[2]]), other) for event, other in zip(events, others, strict=True))
    return sorted(paths.values()), happened


@some
@given(found=sequences(), by=st.sampled_from(["basins", "points"]), seed=st.integers(0, 1000))
def test_permuting_the_sets_changes_nothing_but_names(found, by, seed):
    g = torch.Generator().manual_seed(seed)
    shuffled = [limits[torch.randperm(len(limits), generator=g)] for limits in found]
    assert story_of(shuffled, by) == story_of(found, by)


@some
@given(found=sequences(), by=st.sampled_from(["basins", "points"]))
def test_every_id_is_born_once_and_every_end_is_an_event(found, by):
    story = continuation(found, by=by)
    spans = story.lifetimes()
    assert sorted(spans) == list(range(len(spans)))
    for time in range(len(found)):
        own = story.ids(time).tolist()
        assert len(set(own)) == len(own)
    begun = story.events.of_kind(EventKind.BIRTH, EventKind.SPLIT)
    ended = story.events.of_kind(EventKind.DEATH, EventKind.MERGE)
    assert sorted(zip(begun.id.tolist(), begun.time.tolist(), strict=True)) == sorted(
        (name, first) for name, (first, _) in spans.items() if first > 0
    )
    assert sorted(zip(ended.id.tolist(), ended.time.tolist(), strict=True)) == sorted(
        (name, last + 1) for name, (_, last) in spans.items() if last < len(found) - 1
    )
    for name, (first, last) in spans.items():
        assert story.time[story.id == name].tolist() == list(range(first, last + 1))


@some
@given(found=sequences())
def test_pairs_are_within_the_threshold_and_no_better_assignment_exists(found):
    before, after = found[:2]
    for by in ("basins", "points"):
        matching = match(before, after, by=by)
        rows = matching.partner[matching.partner >= 0]
        columns = (matching.partner >= 0).nonzero().squeeze(1)
        assert len(set(rows.tolist())) == len(rows)
        cost = matching.dissimilarity[rows, columns]
        assert bool((cost < matching.threshold).all())
        mirrored = match(after, before, by=by)
        back = mirrored.dissimilarity[
            mirrored.partner[mirrored.partner >= 0], (mirrored.partner >= 0).nonzero().squeeze(1)
        ]
        saved = [(matching.threshold - part).sum() for part in (cost, back)]
        assert float(saved[0]) == pytest.approx(float(saved[1]), abs=1e-9)


def test_the_dissimilarities_by_hand():
    before, after = torch.tensor([0, 0, 0, 1, 1, -1]), torch.tensor([0, 0, 1, 1, -1, 1])
    shared = contingency(before, after, (2, 2))
    assert shared.tolist() == [[2, 1], [0, 1]]
    table = basin_dissimilarity(shared, torch.tensor([3, 2]), torch.tensor([2, 3]))
    assert torch.allclose(table, 1 - torch.tensor([[2 / 3, 1 / 5], [0, 1 / 4]], dtype=torch.float64))
    square = [torch.tensor([[0.0, 0.0], [1.0, 0.0]])]
    assert chamfer_distances(square, [torch.tensor([[0.0, 3.0]])]).item() == pytest.approx(
        (3 + (3 + math.sqrt(10)) / 2) / 2
    )


def test_many_small_pieces_end_the_id_of_the_whole():
    whole = limit_sets([[0.0]], [0] * 40)
    pieces = limit_sets([[float(i)] for i in range(20)], [i % 20 for i in range(40)])
    story = continuation([whole, pieces])
    assert story.events.words == [f"{i} split from 0" for i in range(1, 21)] + ["0 died"]


def test_a_smaller_search_from_the_same_starts_is_compared_on_what_both_have():
    field = tilted_well().field
    starts = sx.starts.box(60, -1.25, 1.25, seed=0)
    matching = match(sx.find_attractors(field, starts), sx.find_attractors(field, starts[:40]))
    assert torch.equal(matching.dissimilarity[matching.partner, torch.arange(2)], torch.zeros(2, dtype=torch.float64))


def test_mistakes_are_sentences(tmp_path):
    field = tilted_well().field
    starts = sx.starts.box(8, -1.25, 1.25, seed=0)
    here, there = sx.find_attractors(field, starts), sx.find_attractors(field, sx.starts.box(8, -1.25, 1.25, seed=1))
    for call, words in (
        (lambda: match(here, there), "began at different starts"),
        (lambda: match(limit_sets([[0.0]], [0]), limit_sets([[0.0]], [0, 0])), "do not say which"),
        (lambda: match(here, here, by="cosine"), "must be one of 'basins', 'points', 'decoded'"),
        (lambda: match(here, here, by="decoded"), "needs fields="),
        (lambda: match(here, here, threshold=0), "threshold must be positive"),
        (lambda: match(here, limit_sets([[0.0, 0.0]], [0]), by="points"), "have no distance"),
        (lambda: continuation([]), "at least one field"),
        (lambda: continuation([field]), "needs starts"),
        (lambda: continuation([here], starts), "found already"),
        (lambda: continuation([here], by="decoded"), "nothing to decode with"),
        (lambda: continuation([here, here], parameters=[1.0]), "2 fields and 1 parameters"),
    ):
        with pytest.raises(InputError, match=words):
            call()
    with pytest.raises(FileError, match="no saved result"):
        sx.load_result(tmp_path / "nothing")


def test_a_field_that_is_none_does_not_cost_the_others():
    def wells(h):
        return LatentField.from_map(lambda z: z + 0.2 * (z - z**3 + h), (1,), name=f"h = {h}")

    broken = LatentField.from_map(lambda z: z * torch.nan, (1,), name="step 2")
    points = sx.starts.box(60, -1.25, 1.25, seed=0)
    with pytest.warns(ModelWarning, match=r"Field 1 \(step 2\) is left out of the continuation: .*NaN"):
        story = sx.continuation([wells(0.0), broken, wells(0.5)], points, parameters=(1, 2, 3))
    assert story.parameters == (1.0, 3.0)
    assert story.counts.tolist() == sx.continuation([wells(0.0), wells(0.5)], points).counts.tolist()
    with pytest.raises(FieldError, match="NaN"):
        sx.continuation([broken, broken], points)
    with pytest.raises(InputError, match="3 fields and 2 parameters"):
        sx.continuation([wells(0.0), broken, wells(0.5)], points, parameters=(1, 2))
