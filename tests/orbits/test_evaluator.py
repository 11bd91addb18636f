"""The map in chunks: same values, every evaluation counted, smaller chunks when memory is short."""

from __future__ import annotations

import pytest
import torch

from separatrix import LatentField
from separatrix.orbits.evaluator import Evaluator


class Machine:
    """tanh(2z) on a machine that holds ``room`` latents, and remembers the batches it was given."""

    def __init__(self, room=10**9, error=None):
        self.room, self.batches = room, []
        self.error = error or torch.OutOfMemoryError("out of memory")

    def __call__(self, z):
        if len(z) > self.room:
            raise self.error
        self.batches.append(len(z))
        return torch.tanh(2 * z)


def evaluator_on(machine, chunk=None):
    return Evaluator(LatentField.from_map(machine, latent_shape=(2,)), chunk)


@pytest.mark.parametrize("chunk", [None, 1, 3, 64, 1000])
def test_chunks_change_no_value(chunk):
    z = torch.linspace(-3, 3, 200).reshape(100, 2)
    machine = Machine()
    evaluate = evaluator_on(machine, chunk)
    assert torch.equal(evaluate(z), torch.tanh(2 * z))
    assert evaluate.cost.map == sum(machine.batches) == 100
    assert max(machine.batches) <= (chunk or 100)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 5 bytes"),
        MemoryError(),
    ],
)
def test_lack_of_memory_halves_the_chunk(error):
    machine = Machine(room=7, error=error)
    evaluate = evaluator_on(machine, 64)
    z = torch.ones(50, 2)
    assert torch.equal(evaluate(z), torch.tanh(2 * z))
    assert max(machine.batches) <= 7
    assert evaluate.chunk <= 7
    assert evaluate.cost.map == 50
    machine.batches.clear()
    evaluate(z)
    assert evaluate.cost.map == 100
    assert sum(machine.batches) == 50, "the smaller size is kept: nothing fails twice"


def test_one_latent_too_many_is_raised():
    with pytest.raises(torch.OutOfMemoryError):
        evaluator_on(Machine(room=0))(torch.ones(4, 2))


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="size mismatch"):
        evaluator_on(Machine(room=0, error=RuntimeError("size mismatch")))(torch.ones(4, 2))


def test_no_latents_no_cost():
    evaluate = evaluator_on(Machine())
    assert evaluate(torch.ones(0, 2)).shape == (0, 2)
    assert evaluate.cost.map == 0


@pytest.mark.parametrize("wanted", [1, 100, 5000])
def test_the_chosen_chunk_is_useful_and_its_trials_are_counted(wanted):
    machine = Machine()
    evaluate = evaluator_on(machine)
    size = evaluate.choose_chunk(torch.ones(30, 2), wanted)
    assert 1 <= size <= wanted
    assert evaluate.chunk == size
    assert evaluate.cost.map == sum(machine.batches)


def test_the_chosen_chunk_fits_into_memory():
    machine = Machine(room=100)
    evaluate = evaluator_on(machine)
    assert evaluate.choose_chunk(torch.ones(30, 2), 5000) <= 100
    evaluate(torch.ones(1000, 2))
