"""Several searches as one: every set once, every start with the set it reached, names that stay."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from separatrix import LatentField, find_attractors
from separatrix.errors import InputError
from separatrix.limitsets._capture_audit import CaptureAudit
from separatrix.limitsets._join import join_searches
from separatrix.limitsets._triviality import triviality
from separatrix.plots._naming import names_of


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


@pytest.fixture(scope="module")
def searches():
    """Wells at 0, 1 and 3; the first search reaches 0 and 1, the second 3 and 1. Beyond 100 orbits escape."""

    def toward_wells(z: torch.Tensor) -> torch.Tensor:
        wells = column(0, 1, 3).to(z)
        return torch.where(z > 100, 2 * z, 0.5 * z + 0.5 * wells[(z - wells.T).abs().argmin(dim=1)])

    field = LatentField.from_map(toward_wells, (1,), dtype=torch.float64)
    first = find_attractors(field, column(0.1, -0.1, 1.1))
    with pytest.warns(match=r"\S"):
        second = find_attractors(field, column(3.1, 200.0, 2.9, 0.9))
    return first, second


def test_every_set_is_there_once_with_all_its_starts(searches):
    both = join_searches(searches)
    assert both.points.flatten().tolist() == pytest.approx([0, 1, 3], abs=1e-9)
    assert both.hits.tolist() == [2, 2, 2]
    assert both.labels.tolist() == [0, 0, 1, 2, -1, 2, 1]
    assert len(both.attractors) == 3
    assert both.fractions.tolist() == pytest.approx([2 / 7] * 3)
    assert both.orbits.steps.tolist() == [*searches[0].orbits.steps.tolist(), *searches[1].orbits.steps.tolist()]
    assert both.cost == searches[0].cost + searches[1].cost


def test_names_are_those_of_the_first_search(searches):
    both = join_searches(searches)
    for limits in searches:
        assert names_of(limits, both) == names_of(limits, searches[0])


def test_traces_move_with_their_sets(searches):
    first, second = searches
    traced = replace(second, traces={0: column(3, 3), 1: column(1, 1)})
    assert {index: trace.flatten().tolist() for index, trace in join_searches([first, traced]).traces.items()} == {
        2: [3, 3]
    }


def test_eigenvalues_of_different_width_are_padded_with_unknown(searches):
    first, second = searches
    wide = replace(second, eigenvalues=second.eigenvalues.repeat(1, 3))
    values = join_searches([first, wide]).eigenvalues
    assert values.shape == (3, 3)
    assert values[:2, 1:].isnan().all()
    assert values[2].isfinite().all()


def test_audits_add_up(searches):
    first, second = (
        replace(limits, audit=CaptureAudit(10, 4, agreed)) for limits, agreed in zip(searches, (4, 3), strict=True)
    )
    assert join_searches([first, second]).audit == CaptureAudit(20, 8, 7)
    assert join_searches([first, replace(second, audit=None)]).audit == first.audit


def test_that_one_search_is_trivial_is_no_note_on_both(searches):
    first, second = searches
    alone = replace(first[[0]], labels=torch.zeros(3, dtype=torch.int64), hits=torch.tensor([3]))
    noted = replace(alone, notes=("Lost precision.", str(triviality(alone).statement)))
    assert triviality(noted).trivial
    assert join_searches([noted, replace(second, notes=("Lost precision.",))]).notes == ("Lost precision.",)


def test_one_search_is_itself_and_none_is_refused(searches):
    assert join_searches(searches[:1]) is searches[0]
    with pytest.raises(InputError, match="at least one search"):
        join_searches([])
