"""The table of counts under other thresholds: the verified count stands still, naive ones need not."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
import torch

import separatrix as sx
from separatrix import LatentField, Protocol
from separatrix.errors import InputError
from separatrix.limitsets._sensitivity import VERIFIED


def field_of(function, k=1):
    return LatentField.from_map(function, latent_shape=k, dtype=torch.float64)


def naive(table, words):
    return {(row.stop, row.merge): row.count for row in table.rows if words in row.rule}


def test_fast_wells_are_counted_alike_by_all_rules():
    table = sx.sensitivity(field_of(lambda z: torch.tanh(2 * z), 2), sx.starts.gaussian(60))
    assert table.stable
    verified = [row for row in table.rows if row.rule == VERIFIED]
    assert [row.count for row in verified] == [4, 4, 4]
    assert [row.counted for row in verified] == [60, 60, 60]
    assert [row.stop for row in verified] == pytest.approx([1e-5, 1e-6, 1e-4])
    assert naive(table, "merged by distance")[1e-5, 1e-2] == 4
    assert naive(table, "merged by cosine")[1e-5, 0.99] == 4
    assert table.starts == 60


def test_a_slow_contraction_is_one_attractor_and_many_naive_points():
    """Steps are three hundredths of the distance: where the step is small, the limit is not near."""
    table = sx.sensitivity(field_of(lambda z: 0.97 * z, 3), sx.starts.gaussian(40))
    assert table.stable
    assert all(row.count == 1 for row in table.rows if row.rule == VERIFIED)
    counts = naive(table, "merged by distance")
    assert counts[1e-2, 1e-3] == 40, "every start stops long before it is there"
    assert counts[1e-2, 1e-3] >= counts[1e-5, 1e-3]
    assert naive(table, "merged by cosine")[1e-5, 0.99] > 1


def test_cosine_merges_what_lies_on_one_ray():
    """Wells at 1, 2, 3 … on a line: by cosine all of them are one."""
    table = sx.sensitivity(
        field_of(lambda z: z - 0.1 * torch.sin(2 * torch.pi * z)), torch.linspace(1.6, 6.4, 20).double()[:, None]
    )
    assert [row.count for row in table.rows if row.rule == VERIFIED] == [5, 5, 5]
    assert naive(table, "merged by distance")[1e-5, 1e-2] == 5
    assert set(naive(table, "merged by cosine").values()) == {1}


def test_a_count_that_moves_is_not_stable():
    """Two wells at ±1e-5 of the spread: a merge tolerance of 1e-6 tells them apart, ten times more does not."""
    delta = 5e-6
    field = field_of(lambda z: delta * torch.tanh(2 * z / delta))
    table = sx.sensitivity(field, torch.tensor([[-1.0], [1.0], [2.0], [-2.0]], dtype=torch.float64))
    counts = [row.count for row in table.rows if row.rule == VERIFIED]
    assert counts[0] == counts[1] == 2
    assert counts[2] == 1
    assert not table.stable


def test_what_does_not_converge_is_shown_not_warned_about():
    table = sx.sensitivity(
        field_of(lambda z: torch.where(z > 0, 2 * z, 0.5 * z)), torch.tensor([[-1.0], [1.0], [-2.0]]).double()
    )
    assert [row.counted for row in table.rows if row.rule == VERIFIED] == [2, 2, 2]
    assert all(row.counted == 2 for row in table.rows)


def test_only_the_first_starts_are_used():
    table = sx.sensitivity(field_of(lambda z: torch.tanh(2 * z)), sx.starts.gaussian(100), limit=7)
    assert table.starts == 7
    assert max(row.counted for row in table.rows) == 7


def test_nothing_is_printed_unless_it_is_asked_for(capsys):
    field, starts = field_of(lambda z: 0.5 * z), sx.starts.gaussian(5)
    for progress in (False, True):
        sx.sensitivity(field, starts, progress=progress)
        shown = capsys.readouterr()
        assert (shown.out, bool(shown.err)) == ("", progress)
    sx.sensitivity(field, starts)
    assert capsys.readouterr().err == ""


def test_a_table_cannot_be_changed():
    table = sx.sensitivity(field_of(lambda z: 0.5 * z), sx.starts.gaussian(5))
    with pytest.raises(FrozenInstanceError):
        table.starts = 6
    with pytest.raises(FrozenInstanceError):
        table.rows[0].count = 2


def test_printing_shows_every_row():
    table = sx.sensitivity(field_of(lambda z: 0.5 * z), sx.starts.gaussian(5))
    lines = str(table).splitlines()
    assert len(lines) == 1 + len(table.rows)
    assert len({len(line) for line in lines}) == 1, "columns line up"


def test_printing_keeps_the_digits_of_a_cosine():
    table = sx.sensitivity(field_of(lambda z: 0.5 * z), sx.starts.gaussian(5), Protocol.paper())
    merges = {line.split()[-3] for line in str(table).splitlines()[1:]}
    assert merges == {"0.99", "0.999", "0.9", "0.01", "0.001"}


def test_the_rules_of_the_paper_can_be_examined_too():
    table = sx.sensitivity(field_of(lambda z: torch.tanh(2 * z), 2), sx.starts.gaussian(20), Protocol.paper())
    verified = [row for row in table.rows if row.rule == VERIFIED]
    assert [row.merge for row in verified] == pytest.approx([0.99, 0.999, 0.9])
    assert table.stable


@pytest.mark.parametrize("limit", [0, -1])
def test_no_starts_no_table(limit):
    with pytest.raises(InputError, match=r"\S"):
        sx.sensitivity(field_of(lambda z: 0.5 * z), sx.starts.gaussian(5), limit=limit)
