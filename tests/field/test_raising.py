"""A model that raises for some inputs: those alone are lost, whatever the batch, and a model that raises for all is not believed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import separatrix as sx
from separatrix.engines import Processes
from separatrix.errors import FieldError, ModelWarning
from separatrix.field import Raised, evaluated
from separatrix.protocol import Rounds

quiet = pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")


def picky(z: torch.Tensor) -> torch.Tensor:
    if bool((z[:, 0] > 1.5).any()):
        raise ValueError("too far out")
    return torch.tanh(2 * z)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.floats(0, 3), min_size=1, max_size=20))
def test_exactly_those_rows_are_lost(values):
    rows, raised = torch.tensor(values, dtype=torch.float64)[:, None], Raised()
    bad = rows[:, 0] > 1.5
    if bool(bad.all()):
        with pytest.raises(ValueError, match="too far out"):
            evaluated(picky, rows, raised)
        assert not raised
        found = evaluated(picky, rows, raised, torch.ones(1, 1, dtype=torch.float64))
    else:
        found = evaluated(picky, rows, raised)
    assert torch.equal(found.isnan()[:, 0], bad)
    assert torch.equal(found[~bad], torch.tanh(2 * rows[~bad]))
    assert raised.inputs == ({"ValueError: too far out": int(bad.sum())} if bad.any() else {})
    assert bool(raised.evaluations) == (bool(bad.any()) and len(values) > 1)


def test_a_model_that_takes_no_batches_of_a_size_is_not_excused():
    def no_pairs(z):
        if len(z) > 1:
            raise RuntimeError("one at a time")
        return z

    with pytest.raises(RuntimeError, match="one at a time"):
        evaluated(no_pairs, torch.ones(4, 1), Raised())


def test_a_broken_model_is_not_asked_about_every_row():
    calls = []

    def broken(z):
        calls.append(len(z))
        raise KeyError("weights")

    with pytest.raises(KeyError):
        evaluated(broken, torch.ones(4096, 1), Raised(), torch.ones(16, 1))
    assert len(calls) < 100


def test_our_own_errors_are_not_about_the_input():
    def refused(z):
        raise FieldError("It changes.")

    with pytest.raises(FieldError):
        evaluated(refused, torch.ones(4, 1), Raised(), torch.ones(1, 1))


def starts(first_is_bad: bool) -> torch.Tensor:
    z = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    return z[z[:, 0].argsort(descending=first_is_bad)]


@quiet
@pytest.mark.parametrize("first_is_bad", [False, True])
def test_a_search_goes_on_without_them(first_is_bad, monkeypatch):
    z = starts(first_is_bad)
    bad = z[:, 0] > 1.5
    assert 5 < int(bad.sum()) < 40
    whole = sx.find_attractors(sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=2), z)
    found = sx.find_attractors(sx.LatentField.from_map(picky, latent_shape=2), z)
    assert torch.equal(found.orbits.status == int(sx.Status.NONFINITE), bad)
    assert bool((found.labels[bad] == -1).all())
    same = found.points[found.labels[~bad]] - whole.points[whole.labels[~bad]]
    assert float(same.abs().max()) < 1e-9
    assert f"for {int(bad.sum())} inputs (ValueError: too far out), which count as NONFINITE" in found.notes[-1]
    monkeypatch.setattr(
        Rounds, "rows_in_a_part", lambda self, rows: 20
    )  # parts of which all rows are bad, which only the search can tell
    with Processes(2) as two:
        cut = sx.find_attractors(sx.LatentField.from_map(picky, latent_shape=2), z, engine=two)
    assert torch.equal(cut.labels, found.labels)
    assert cut.notes == found.notes


@quiet
def test_iterating_goes_on_without_them_and_says_so():
    z = starts(False)
    with pytest.warns(ModelWarning, match="raised an exception for"):
        orbits = sx.iterate(sx.LatentField.from_map(picky, latent_shape=2), z)
    assert torch.equal(orbits.status == int(sx.Status.NONFINITE), z[:, 0] > 1.5)


def test_a_model_that_raises_always_is_refused():
    def never(z):
        raise KeyError("weights")

    with pytest.raises((FieldError, KeyError)):
        sx.find_attractors(sx.LatentField.from_map(never, latent_shape=2), starts(False))
