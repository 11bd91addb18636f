"""Nothing depends on how often rows are looked at; with looks every 16 steps the device is hardly ever asked anything."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import separatrix as sx
from separatrix import LatentField, Protocol, Status
from separatrix.errors import ConvergenceWarning
from separatrix.limitsets import _parts as parts
from separatrix.limitsets import _regions as regions
from separatrix.limitsets._capture import Capture
from separatrix.limitsets._curves import CurveSearch
from separatrix.orbits import FirstCrossings, MeanDistance, PathLength
from separatrix.orbits import _looks as looks
from separatrix.orbits._looks import ON_ACCELERATORS, Closely, steps_between, worth
from separatrix.orbits._observers import Snapshots
from separatrix.protocol import Statistics
from separatrix.testing import oracles
from separatrix.testing._questions import Questions
from separatrix.testing.oracles._record import as_field, normal, orthogonal

COLUMNS = ("points", "steps", "residual", "rate", "error", "status", "period")
SHORT = Protocol(max_steps=300)
LEAST_ASKED = 0.1  # questions per step
FEW = settings(max_examples=3)


@contextmanager
def looks_every(steps: int) -> Iterator[None]:
    before = looks.ON_CPU
    looks.ON_CPU = steps
    try:
        yield
    finally:
        looks.ON_CPU = before


def equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())


def quietly(function: Callable, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return function(*args, **kwargs)


def columns_equal(a: sx.Orbits, b: sx.Orbits) -> None:
    for name in COLUMNS:
        assert equal(getattr(a, name), getattr(b, name)), name
    assert b.cost.map >= a.cost.map


def four_outcomes(z: Tensor) -> Tensor:
    """By the first coordinate: two attractors, a march to infinity, a 2-cycle, and numbers that break at once."""
    x, y = z[:, :1], z[:, 1:]
    cycle = torch.where(x > 2, torch.tanh(-2 * y), 0.5 * y)
    beyond = torch.where(x < -2, 2 * x, torch.where(x > 2, 3 + 0.5 * (x - 3), torch.tanh(2 * x)))
    return torch.cat([torch.where(x > 6, torch.nan, beyond), cycle], dim=1)


SYSTEMS: dict[str, tuple[Callable[[int], tuple[LatentField, Tensor]], Protocol]] = {
    "fixed points and saddles": (lambda seed: _with(oracles.tanh_product(dim=3), normal(90, seed, 3)), Protocol()),
    "cycles": (lambda seed: _with(oracles.negated_tanh_product(dim=2), normal(60, seed, 2)), Protocol()),
    "cycles of the longest period": (
        lambda seed: _with(oracles.rotation(Fraction(1, 64)), normal(8, seed, 2)),
        Protocol(max_steps=400),
    ),
    "divergence": (lambda seed: _with(oracles.scaling(rho=2.0), normal(20, seed, 3)), Protocol(max_steps=3000)),
    "chaos": (lambda seed: _with(oracles.logistic(4.0), normal(20, seed, 1).sigmoid()), SHORT),
    "a non-normal sink": (lambda seed: _with(oracles.non_normal(), normal(40, seed, 2)), Protocol()),
    "all at once": (
        lambda seed: (as_field(four_outcomes, (2,), "four outcomes"), 3.5 * normal(80, seed, 2)),
        SHORT,
    ),
}
ANY = pytest.mark.parametrize(("make", "protocol"), SYSTEMS.values(), ids=SYSTEMS.keys())


def _with(oracle: oracles.Oracle, starts: Tensor) -> tuple[LatentField, Tensor]:
    return oracle.field, starts


@ANY
@FEW
@given(seed=st.integers(0, 1000), every=st.sampled_from([4, 16]))
def test_a_search_does_not_depend_on_looks(make, protocol, seed, every):
    field, starts = make(seed)
    expected = quietly(sx.find_attractors, field, starts, protocol)
    with looks_every(every):
        found = quietly(sx.find_attractors, field, starts, protocol)
    assert torch.equal(found.labels, expected.labels)
    assert equal(found.points, expected.points)
    assert found.notes == expected.notes
    assert found.audit == expected.audit
    columns_equal(expected.orbits, found.orbits)


@ANY
@FEW
@given(seed=st.integers(0, 1000), every=st.integers(2, 20), batch=st.sampled_from([None, 5]))
def test_iterating_with_observers_does_not_depend_on_looks(make, protocol, seed, every, batch):
    field, starts = make(seed)

    def run() -> sx.Orbits:
        lengths = torch.tensor([1.0, 1e-2, 1e-4], dtype=torch.float64)
        observers = [PathLength(), MeanDistance(starts[:3]), FirstCrossings(lengths), Snapshots((0, 5, 40)), _Visits()]
        arguments = {"observers": observers, "store_paths": True, "batch_size": batch}
        return quietly(sx.iterate, field, starts, protocol, **arguments)

    expected = run()
    with looks_every(every):
        found = run()
    columns_equal(expected, found)
    assert equal(found.paths, expected.paths)
    for name in ("path_length", "mean_distance", "snapshots", "visits"):
        assert equal(found.observed[name], expected.observed[name]), name
    for one, other in zip(found.observed["first_crossings"], expected.observed["first_crossings"], strict=True):
        assert equal(one, other)


class _Visits:
    """An observer that knows nothing of looks, and ends orbits after 30 steps."""

    name = "visits"

    def begin(self, count, like):
        self.count = torch.zeros(count, dtype=torch.int64)

    def see(self, orbit, step, z, f_z):
        assert len(orbit), "nothing is shown if there is nothing"
        self.count[orbit] += 1
        return step == 30

    def result(self):
        return self.count


def test_a_search_for_closed_curves_does_not_depend_on_looks():
    """Records, tubes, and the budget for tests of what is no curve."""
    oracle = oracles.invariant_curve(count=40)
    expected = quietly(sx.find_attractors, oracle.field, oracle.starts, Protocol(max_steps=1500))
    assert (expected.kind == int(sx.limitsets.Kind.CLOSED_CURVE)).any()
    assert (expected.orbits.status == int(Status.QUASIPERIODIC)).any()
    with looks_every(16):
        found = quietly(sx.find_attractors, oracle.field, oracle.starts, Protocol(max_steps=1500))
    assert torch.equal(found.labels, expected.labels)
    columns_equal(expected.orbits, found.orbits)


def test_statistical_captures_do_not_depend_on_looks():
    protocol = Protocol(max_wrong=0.02, statistics=Statistics(recorded=128))
    field, starts = oracles.tanh_product(dim=3, gain=1.1).field, normal(1500, 3, 3)
    expected = sx.find_attractors(field, starts, protocol)
    assert (expected.orbits.status == int(Status.SAMPLED)).any()
    with looks_every(16):
        found = sx.find_attractors(field, starts, protocol)
    assert torch.equal(found.labels, expected.labels)
    columns_equal(expected.orbits, found.orbits)


def test_decisions_do_not_count_what_was_wasted(monkeypatch):
    """What may be spent on tests of curves is a share of the search's evaluations: of those that are the same whatever the looks."""
    told: list[float] = []
    genuine = CurveSearch.examine
    monkeypatch.setattr(
        CurveSearch, "examine", lambda self, path, spent: (told.append(spent), genuine(self, path, spent))[1]
    )
    oracle = oracles.invariant_curve(count=40)
    spent = []
    for every in (1, 16):
        told.clear()
        with looks_every(every):
            quietly(sx.find_attractors, oracle.field, oracle.starts, Protocol(max_steps=1500))
        spent.append(list(told))
    assert spent[0] == spent[1]


def test_rows_that_have_ended_cost_evaluations_and_no_steps():
    """f(z) = z/2 from 0 ends at once, and waits 15 evaluations for the next look."""
    field = LatentField.from_map(lambda z: 0.5 * z, latent_shape=(1,), dtype=torch.float64)
    rest = torch.zeros(1, 1, dtype=torch.float64)
    assert sx.iterate(field, rest).cost.map == 1
    with looks_every(16):
        orbits = sx.iterate(field, rest)
    assert (orbits.cost.map, int(orbits.steps)) == (16, 0)


def test_broken_rows_do_not_disturb_the_others():
    """A row at NaN stays in the batch for 15 steps, and goes through the same matrix products as the others."""
    matrix, starts = 1.5 * orthogonal(4, 0), 2 * normal(40, 1, 4)
    whole = starts[:, 0] <= 1

    def f(z: Tensor) -> Tensor:
        return torch.where(z[:, :1] > 1, torch.nan, torch.tanh(z @ matrix))

    field = as_field(f, (4,), "breaks")
    with looks_every(16):
        orbits = quietly(sx.iterate, field, starts, SHORT, spread=1.0)
    alone = quietly(sx.iterate, field, starts[whole], SHORT, spread=1.0)
    assert (orbits.status[~whole] == int(Status.NONFINITE)).all()
    assert torch.equal(orbits.status[whole], alone.status)
    assert torch.equal(orbits.steps[whole], alone.steps)
    assert torch.allclose(orbits.points[whole], alone.points, rtol=0, atol=1e-9)


@FEW
@given(rows=st.integers(1, 200), count=st.integers(2, 40), seed=st.integers(0, 1000))
def test_grouped_products_are_right_with_and_without_questions(rows, count, seed):
    size = 40
    matrices, vectors = normal(count * size, seed, size).view(count, size, size), normal(rows, seed + 1, size)
    region = torch.arange(rows).remainder(7 * seed + 1).remainder(count)
    expected = (matrices[region] @ vectors.unsqueeze(2)).squeeze(2)
    for every in (1, 16):
        with looks_every(every):
            product = regions._Grouped(region, count).product(matrices, vectors)
        assert torch.allclose(product, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("device", ["cuda", "mps", "xpu"])
def test_an_accelerator_is_asked_every_sixteen_steps(device):
    assert steps_between(torch.device(device)) == ON_ACCELERATORS == 16
    assert steps_between(torch.device("cpu")) == 1


def test_looking_closely():
    mask, values = torch.tensor([False, True, False]), torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    for every in (1, 16):
        with looks_every(every):
            column = torch.zeros(3, 2)
            chosen = Closely(mask)
            chosen.put(column, chosen.of(values))
            assert column.tolist() == [[0.0, 0.0], [2.0, 2.0], [0.0, 0.0]]
            assert worth(mask)
            assert bool(chosen)
            assert worth(mask & ~mask) is bool(Closely(mask & ~mask)) is (every > 1)


# -- questions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "question",
    [
        lambda x: bool((x > 0).any()),
        lambda x: int(x.argmax()),
        lambda x: x.max().item(),
        lambda x: x[x > 0],
        lambda x: x.__setitem__(x > 0, 1.0),
        lambda x: x.nonzero(),
        lambda x: x.unique(),
        lambda x: x.masked_select(x > 0),
        lambda x: torch.repeat_interleave(x, torch.tensor([1, 2, 3])),
        lambda x: torch.bincount(x.long()),
        lambda x: torch.equal(x, x),
        lambda x: x.cpu(),
        lambda x: x.to("cpu"),
        lambda x: x.tolist(),
        lambda x: [1] if x[0] > 0 else [2],
    ],
)
def test_the_counter_sees_every_question(question):
    x = torch.tensor([1.0, 0.0, 2.0])
    with Questions() as counted:
        question(x)
    assert len(counted.asked) >= 1


def test_the_counter_is_silent_on_what_is_no_question():
    x, rows = torch.tensor([1.0, 0.0, 2.0]), torch.tensor([2, 0])
    with Questions() as counted:
        x[rows] = torch.where(x[rows] > 0, x[rows], 0.0)
        x.masked_fill_(x > 1, 3.0).clamp(min=0.5).argsort(stable=True).to(torch.float64)
    assert counted.asked == []


def asked_while_stepping(monkeypatch, field: LatentField, starts: Tensor, protocol: Protocol, every: int) -> float:
    """Questions per step of a search, while rows make steps."""
    field(starts[:2])  # a field is examined once, when it is first evaluated
    steps, counted, genuine, evaluate = [], Questions(), parts.advance, LatentField.bare

    def watched(*args, **kwargs):
        monkeypatch.setattr(LatentField, "bare", lambda self, z: (steps.append(len(z)), evaluate(self, z))[1])
        try:
            with counted:
                return genuine(*args, **kwargs)
        finally:
            monkeypatch.setattr(LatentField, "bare", evaluate)

    monkeypatch.setattr(parts, "advance", watched)
    with looks_every(every):
        quietly(sx.find_attractors, field, starts, protocol)
    monkeypatch.setattr(parts, "advance", genuine)
    return len(counted.asked) / len(steps)


SEARCHES = {
    "fixed points": lambda: (oracles.tanh_product(dim=3, count=300), Protocol()),
    "cycles": lambda: (oracles.negated_tanh_product(dim=2, count=100), Protocol()),
    "many dimensions": lambda: (oracles.affine_contraction(dim=40, count=60), Protocol()),
    "a curve, with records and a tube": lambda: (oracles.invariant_curve(count=40), Protocol(max_steps=1500)),
    "chaos": lambda: (oracles.logistic(4.0, count=20), Protocol(max_steps=300)),
}


@pytest.mark.slow
@pytest.mark.parametrize("make", SEARCHES.values(), ids=SEARCHES.keys())
def test_a_search_hardly_ever_asks(monkeypatch, make):
    oracle, protocol = make()
    asked = asked_while_stepping(monkeypatch, oracle.field, oracle.starts, protocol, 16)
    assert 0.05 < asked <= LEAST_ASKED


def test_asking_at_every_step_would_be_seen(monkeypatch):
    """The same count where every step is a look, and where a rule asks between looks."""
    oracle = oracles.tanh_product(dim=3, count=100)
    assert asked_while_stepping(monkeypatch, oracle.field, oracle.starts, Protocol(), 1) > 3
    genuine = Capture.see
    monkeypatch.setattr(Capture, "see", lambda self, *step: genuine(self, *step) & bool(step[1].isfinite().any()))
    assert asked_while_stepping(monkeypatch, oracle.field, oracle.starts, Protocol(), 16) > 1
