"""What a run of `iterate` returns: the points it names, what it cost, and that batches are nobody's business."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import separatrix as sx
from separatrix import LatentField, Protocol, Status
from separatrix.errors import ConvergenceWarning, InputError, NotConvergedError, OutOfMemoryError, SeparatrixError
from separatrix.orbits._glance import glance

RATES = torch.tensor([0.0, 0.2, 0.4, 0.6, 0.8], dtype=torch.float64)
quiet = pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")


def field_of(function, k=1, dtype=torch.float64):
    return LatentField.from_map(function, latent_shape=(k,), dtype=dtype)


def rows_of_different_length(n):
    """Each row contracts at its own rate (its second coordinate), so orbits end at very different times."""
    x = torch.linspace(-2, 2, n, dtype=torch.float64) + 0.01
    return torch.stack([x, RATES[torch.arange(n) % len(RATES)]], dim=1)


def by_own_rate(z):
    return torch.stack([z[:, 0] * z[:, 1], z[:, 1]], dim=1)


class Counting:
    """A map that counts the latents it sees, and the calls, once it was examined: that is at nobody's cost."""

    def __init__(self, function):
        self.function, self.latents, self.largest, self.calls = function, 0, 0, 0

    def examined_field(self, k):
        field = field_of(self, k)
        field.examine()
        self.latents = self.largest = self.calls = 0
        return field

    def __call__(self, z):
        self.calls += 1
        self.latents += len(z)
        self.largest = max(self.largest, len(z))
        return self.function(z)


def test_the_point_returned_is_the_one_whose_residual_is_reported():
    field = field_of(by_own_rate, 2)
    orbits = sx.iterate(field, rows_of_different_length(50))
    assert torch.equal(orbits.residual, (field(orbits.points) - orbits.points).norm(dim=1))


@pytest.mark.parametrize("r", [3.2, 3.4])
def test_the_residual_of_a_cycle_is_that_of_the_returned_point(r):
    field = field_of(lambda x: r * x * (1 - x))
    orbits = sx.iterate(field, torch.linspace(0.1, 0.9, 9, dtype=torch.float64)[:, None])
    assert set(orbits.counts) == {Status.PERIODIC}
    assert (orbits.period == 2).all()
    twice = field(field(orbits.points))
    expected = (twice - orbits.points).norm(dim=1)
    assert torch.allclose(orbits.residual, expected, rtol=1e-6, atol=1e-15)


def test_steps_are_applications_of_the_map_to_the_start():
    starts = rows_of_different_length(20)
    field = field_of(by_own_rate, 2)
    orbits = sx.iterate(field, starts)
    for start, end, steps in zip(starts, orbits.points, orbits.steps.tolist(), strict=True):
        z = start[None]
        for _ in range(steps):
            z = field(z)
        assert torch.equal(z[0], end)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(n=st.integers(1, 60), batch=st.integers(1, 100))
def test_an_orbit_of_n_steps_costs_n_plus_one(n, batch):
    counter = Counting(by_own_rate)
    orbits = sx.iterate(counter.examined_field(2), rows_of_different_length(n), batch_size=batch)
    assert orbits.cost.map == counter.latents == int((orbits.steps + 1).sum())
    assert counter.largest <= batch


def test_the_measured_batch_size_is_paid_for_and_counted():
    counter = Counting(by_own_rate)
    orbits = sx.iterate(counter.examined_field(2), rows_of_different_length(600))
    assert orbits.cost.map == counter.latents
    assert counter.latents >= int((orbits.steps + 1).sum())


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_batch_size_and_order_change_nothing(batch):
    starts = rows_of_different_length(40)
    field = field_of(by_own_rate, 2)
    whole = sx.iterate(field, starts)
    order = torch.randperm(len(starts), generator=torch.Generator().manual_seed(5))
    # The unit of length is that of the starts; rounding in its sum depends on their order, so it is given.
    shuffled = sx.iterate(field, starts[order], batch_size=batch, spread=whole.spread)
    for name in ("points", "steps", "residual", "rate", "error", "status", "period"):
        assert torch.equal(getattr(whole, name)[order].nan_to_num(), getattr(shuffled, name).nan_to_num()), name


def test_memory_that_runs_out_halves_the_batch_and_nothing_else():
    def small_machine(z):
        if len(z) > 10:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return by_own_rate(z)

    starts = rows_of_different_length(60)
    calm = sx.iterate(field_of(by_own_rate, 2), starts)
    tight = sx.iterate(field_of(small_machine, 2), starts)
    assert torch.equal(calm.points, tight.points)
    assert torch.equal(calm.steps, tight.steps)
    assert tight.cost.map == int((tight.steps + 1).sum()), "what failed was not an evaluation"


def test_memory_that_does_not_suffice_for_one_latent_is_an_error():
    def no_machine(z):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(OutOfMemoryError, match="no batch size helps"):
        sx.iterate(field_of(no_machine), torch.ones(4, 1))


def test_other_errors_of_the_model_are_not_taken_for_lack_of_memory():
    calls = []

    def broken(z):
        calls.append(len(z))
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        sx.iterate(field_of(broken), torch.ones(8, 1))
    assert calls.count(8) == 1, "not tried again in smaller batches"
    assert calls.count(1) == 16, "each row is asked alone whether the fault is in it, and so are starts that should do"


@quiet
def test_a_start_where_the_map_is_nan_is_lost_alone():
    field = field_of(lambda z: 0.5 * z.sqrt())
    starts = torch.tensor([[4.0], [-1.0], [0.25], [-0.1]], dtype=torch.float64)
    orbits = sx.iterate(field, starts)
    assert orbits.status.tolist() == [Status.CONVERGED, Status.NONFINITE, Status.CONVERGED, Status.NONFINITE]
    assert orbits.steps[[1, 3]].tolist() == [0, 0]
    assert torch.equal(orbits.points[[1, 3]], starts[[1, 3]])
    assert torch.allclose(orbits.points[[0, 2]], torch.full((2, 1), 0.25, dtype=torch.float64), atol=1e-4)


def test_nan_starts_are_refused_in_one_sentence():
    with pytest.raises(InputError, match="finite"):
        sx.iterate(field_of(torch.tanh), torch.tensor([[0.0], [torch.nan]]))


def test_paths_are_the_orbits_point_by_point():
    field = field_of(by_own_rate, 2)
    starts = rows_of_different_length(15)
    orbits = sx.iterate(field, starts, store_paths=True, batch_size=4)
    assert orbits.paths.shape == (15, int(orbits.steps.max()) + 1, 2)
    for path, start, end, steps in zip(orbits.paths, starts, orbits.points, orbits.steps.tolist(), strict=True):
        assert torch.equal(path[0], start)
        assert torch.equal(path[1 : steps + 1], field(path[:steps]))
        assert torch.equal(path[steps:], end.expand(len(path) - steps, 2))
    assert "paths" not in orbits.observed


def test_a_latent_keeps_its_shape():
    field = LatentField.from_map(lambda z: 0.5 * z, latent_shape=(2, 3, 4), dtype=torch.float64)
    orbits = sx.iterate(field, sx.starts.gaussian(5), store_paths=True)
    assert orbits.points.shape == (5, 2, 3, 4)
    assert orbits.paths.shape[2:] == (2, 3, 4)
    assert torch.allclose(orbits.rate, torch.full((5,), 0.5, dtype=torch.float64), rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_orbits_run_in_the_format_of_the_field(dtype):
    orbits = sx.iterate(field_of(lambda z: 0.5 * z, dtype=dtype), torch.ones(3, 1))
    assert orbits.points.dtype == dtype
    assert orbits.residual.dtype == orbits.error.dtype == orbits.rate.dtype == torch.float64


def test_the_warning_counts_and_names_every_reason():
    field = field_of(lambda z: torch.where(z > 0, 2 * z, torch.where(z < -5, z * torch.nan, 0.5 * z)))
    starts = torch.tensor([[1.0], [2.0], [-1.0], [-9.0]], dtype=torch.float64)
    with pytest.warns(ConvergenceWarning) as caught:
        sx.iterate(field, starts)
    (message,) = [str(warning.message) for warning in caught]
    assert message.startswith("3 of 4 orbits")
    assert "2 DIVERGED" in message
    assert "1 NONFINITE" in message
    assert Status.DIVERGED.remedy in message
    assert "CONVERGED" not in message


def test_nothing_is_said_when_everything_converged(recwarn):
    sx.iterate(field_of(lambda z: 0.5 * z), torch.ones(3, 1))
    assert not recwarn.list


def test_throw_raises_the_same_sentence():
    field = field_of(lambda z: 2 * z)
    with pytest.raises(NotConvergedError, match=r"3 of 3 orbits .* DIVERGED"):
        sx.iterate(field, torch.ones(3, 1), throw=True)
    assert issubclass(NotConvergedError, SeparatrixError)


@pytest.mark.parametrize("batch", [0, -3])
def test_a_batch_size_below_one_is_refused(batch):
    with pytest.raises(InputError, match="batch_size"):
        sx.iterate(field_of(torch.tanh), torch.ones(2, 1), batch_size=batch)


def test_starts_of_another_shape_are_refused_in_one_sentence():
    with pytest.raises(InputError, match=r"\S"):
        sx.iterate(field_of(torch.tanh, 3), torch.ones(2, 4))


@pytest.mark.parametrize("factor", [0.0, 1e-4, 1e-3, 1e-2, 0.9])
def test_a_glance_tells_how_often_the_network_was_asked(factor):
    """All starts go together, so it was asked once per step of the longest orbit, and once where that leads."""
    counting = Counting(lambda z: factor * z)
    seen = glance(counting.examined_field(1), sx.starts.box(8, -1, 1, seed=0))
    assert seen.passes == counting.calls
    assert seen.evaluations == counting.latents


def test_the_unit_of_length_can_be_given():
    field = field_of(lambda z: 0.5 * z)
    starts = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    coarse, fine = sx.iterate(field, starts, spread=1e3), sx.iterate(field, starts, spread=1e-3)
    assert (fine.steps - coarse.steps).tolist() == [20, 20] or ((fine.steps - coarse.steps) - 20).abs().max() <= 1
    assert (coarse.spread, fine.spread) == (1e3, 1e-3)


@quiet
def test_interrupting_leaves_the_model_as_it_was():
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.5)).train()
    calls = []

    def encode(z):
        calls.append(1)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return net(z)

    state = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        sx.iterate(LatentField.from_map(encode, latent_shape=2), torch.randn(4, 2, generator=torch.Generator()))
    assert all(part.training for part in net.modules())
    assert torch.equal(state, torch.get_rng_state())


def test_orbits_slice_like_a_table():
    orbits = sx.iterate(field_of(by_own_rate, 2), rows_of_different_length(10), store_paths=True)
    part = orbits[2:5]
    assert len(part) == 3
    assert torch.equal(part.steps, orbits.steps[2:5])
    assert torch.equal(part.paths, orbits.paths[2:5])
    assert len(orbits[-1]) == 1
    assert torch.equal(orbits[-1].points[0], orbits.points[9])
    assert part.protocol == orbits.protocol == Protocol()
