"""How many rows go through a network at once: what was asked for at every stage, and half as many where memory runs out."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import separatrix as sx
from separatrix import LatentField
from separatrix.data._encoding import decode_all
from separatrix.errors import OutOfMemoryError
from separatrix.limitsets._catalogue import Catalogue
from separatrix.limitsets._curves import CurveSearch
from separatrix.limitsets._polish import polish
from separatrix.limitsets._spectrum import spectrum_matrix_free
from separatrix.numerics._closed_curve import closed_curve
from separatrix.studies._diagnosis import diagnose
from separatrix.work import Batches, usual_size

LACKS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 5 bytes"),
    RuntimeError("not enough memory: you tried to allocate 5 bytes"),
    MemoryError(),
]
BASIS = torch.linalg.qr(torch.randn(16, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q.float()


class Machine:
    """An autoencoder of 4×4 images with k = 3 on a machine that holds ``room`` rows; it remembers how many it was given."""

    def __init__(self, room=10**9, error=LACKS[0]):
        self.room, self.error, self.batches = room, error, []

    def _holds(self, rows):
        if len(rows) > self.room:
            raise self.error
        self.batches.append(len(rows))

    def decode(self, z):
        self._holds(z)
        return (torch.tanh(2 * z) @ BASIS.to(z).mT).reshape(-1, 1, 4, 4)

    def encode(self, x):
        self._holds(x)
        return x.flatten(1) @ BASIS.to(x)

    def field(self):
        return LatentField(self.encode, self.decode, latent_shape=(3,), name="machine")


def starts(count=40):
    return sx.starts.gaussian(count, seed=0)


def images(count=40):
    return Machine().field().decode(starts(count).block(Machine().field(), 0, count))


def detector(kind):
    def stage(field):
        data = images(60) + 0.1 * torch.randn(60, 1, 4, 4, generator=torch.Generator().manual_seed(1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sx.errors.SeparatrixWarning)
            return kind(field).fit(data).score(data)

    return stage


def latents(field, count=40):
    return starts(count).block(field, 0, count)


def displaced(field):
    """Points beside a loop, followed to see whether they come back to it."""
    turns = 2 * np.pi * 0.618033988749895 * np.arange(600)
    loop = closed_curve(np.stack([np.cos(turns), np.sin(turns), 0 * turns], axis=1))
    search = CurveSearch(field, Catalogue(field, sx.Protocol(), 1.0, 1e-7))
    return torch.tensor([float(search._displaced([loop])[1])])


STAGES = {
    "search": lambda field: sx.find_attractors(field, starts()).points,
    "search in its precision": lambda field: sx.find_attractors(field, starts(), sx.Protocol.paper()).points,
    "tests of closed curves": displaced,
    "fixed points": lambda field: sx.find_fixed_points(field, starts(8), deflation=0).points,
    "orbits": lambda field: sx.iterate(field, starts()).points,
    "polishing": lambda field: polish(field.to(torch.float64), latents(field).double()).points,
    "matrix-free spectrum": lambda field: spectrum_matrix_free(field, latents(field, 2)).radius,
    "motion": lambda field: sx.motion(field, latents(field), steps=32).exponent,
    "Jacobians": lambda field: field.jacobian(latents(field)),
    "jvp": lambda field: field.jvp(latents(field), latents(field)),
    "vjp": lambda field: field.vjp(latents(field), latents(field)),
    "gradients seen": lambda field: torch.tensor(field.differentiable),
    "encoding": lambda field: field.encode(images()),
    "encoded starts": lambda field: sx.starts.encoded(images()).block(field, 0, 40),
    "decoding": lambda field: decode_all(field, latents(field)),
    "check": lambda field: torch.tensor(field.check().ok),
    "diagnosis": lambda field: torch.tensor(diagnose(field, images()).scales[0].ratio),
    "contraction": lambda field: sx.contraction(field, images(), untrained=False).spectral_norm,
    "sensitivity": lambda field: torch.tensor([row.count for row in sx.sensitivity(field, starts()).rows]),
    "memorization": lambda field: (
        sx.memorization(field, sx.find_attractors(field, starts()), images(), images(50)[40:]).resemblance.coefficient
    ),
    **{
        kind.__name__: detector(kind)
        for kind in (sx.TrajectoryDetector, sx.TypicalityDetector, sx.ood.KNNDetector, sx.ood.ReconstructionDetector)
    },
}


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES.keys())
def test_the_batch_size_asked_for_holds_at_every_stage(stage):
    machine = Machine()
    stage(machine.field().with_batch_size(5))
    assert max(machine.batches) <= 5


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES.keys())
def test_memory_that_does_not_suffice_halves_the_batch_at_every_stage(stage):
    expected = stage(Machine().field())
    for error in (LACKS[0], LACKS[2]):
        machine = Machine(room=3, error=error)
        assert torch.allclose(stage(machine.field()), expected, rtol=1e-3, atol=1e-5, equal_nan=True)
        assert max(machine.batches) <= 3


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES.keys())
def test_no_batch_size_helps_is_what_is_said_at_every_stage(stage):
    machine = Machine(room=0, error=LACKS[1])
    with pytest.raises(OutOfMemoryError, match="with a single latent at a time, so no batch size helps"):
        stage(machine.field())


def test_the_option_of_a_function_is_the_same_bound():
    for function in (sx.find_attractors, sx.iterate, sx.sensitivity):
        machine = Machine()
        function(machine.field(), starts(), batch_size=4)
        assert max(machine.batches) <= 4
    with pytest.raises(sx.errors.InputError, match="batch_size must be a whole number, at least 1, not 0"):
        sx.find_attractors(Machine().field(), starts(), batch_size=0)


@pytest.mark.parametrize("size", [None, 1, 3, 64, 1000])
def test_batches_change_no_value(size):
    z, seen = torch.linspace(-3, 3, 200).reshape(100, 2), []

    def function(part):
        seen.append(len(part))
        return torch.tanh(2 * part)

    assert torch.equal(Batches(size)(function, z), torch.tanh(2 * z))
    assert sum(seen) == 100
    assert max(seen) <= (size or 64)
    assert max(seen) - min(seen) <= 1 or size == 3


@pytest.mark.parametrize("error", LACKS, ids=repr)
def test_lack_of_memory_halves_the_batch_and_is_remembered(error):
    machine = Machine(room=7, error=error)
    field = machine.field().with_batch_size(64)
    field(latents(field))
    assert max(machine.batches) <= 7
    machine.room = 10**9
    machine.batches.clear()
    field(latents(field))
    assert max(machine.batches) <= 7, "the smaller size is kept: nothing fails twice"


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="size mismatch"):
        Machine(room=0, error=RuntimeError("size mismatch")).field()(torch.ones(4, 3))


def test_no_rows_are_one_empty_batch():
    field = Machine().field()
    assert field(torch.ones(0, 3)).shape == (0, 3)
    assert field.jacobian(torch.ones(0, 3)).shape == (0, 3, 3)


def test_the_usual_size_follows_from_the_model_alone():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert [usual_size(k, 784, 240_000, cpu) for k in (2, 32, 128)] == [166, 160, 143]
    assert usual_size(10, 64 * 64, 500_000, cpu) == 31
    assert usual_size(64, 784, 1_900_000, cpu) == 560, "many weights for small data"
    assert usual_size(4096, 3 * 256**2, 84_000_000, cpu) == 2
    assert usual_size(4096, 3 * 256**2, 84_000_000, gpu) == 83
    assert usual_size(1, 1, 0, cpu) == 2**16
    field = Machine().field()
    field(torch.ones(1, 3))
    assert field.batches.size == usual_size(3, 16, 0, cpu)
    assert field.with_batch_size(9).batches.size == field.with_batch_size(9).to(torch.float64).batches.size == 9
    assert field.with_batch_size(None) is field


def test_costs_and_labels_are_the_same_whatever_the_clock_says(monkeypatch):
    """A clock that runs wild, one thread or two: what is counted and found stays."""
    import time

    results = []
    before = torch.get_num_threads()
    for seconds, threads in ((iter(range(10**9)), 1), (iter(range(0, 10**13, 10**4)), 1), (iter(range(10**9)), 2)):
        for name in ("perf_counter", "monotonic", "time"):
            monkeypatch.setattr(time, name, lambda seconds=seconds: float(next(seconds)))
        torch.set_num_threads(threads)
        try:
            results.append(sx.find_attractors(Machine().field(), starts(300)))
        finally:
            torch.set_num_threads(before)
    monkeypatch.undo()
    first, *others = results
    assert first.cost.map > 300
    for other in others:
        assert other.cost == first.cost
        assert torch.equal(other.labels, first.labels)
        assert torch.equal(other.orbits.steps, first.orbits.steps)
