"""Several threads, one model: whoever is done first leaves the others what they borrowed. Ordered by events, not by time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import nn

from separatrix import LatentField
from separatrix.field import _derivatives as derivatives
from separatrix.field._guest import _LOANS, borrowed
from separatrix.field._watched import generators_kept

WAIT = 30.0  # seconds until a test that hangs fails


class Gate(nn.Module):
    """Passes its input on; a chosen call stops inside until it is let out."""

    def __init__(self):
        super().__init__()
        self.entered, self.leave = threading.Event(), threading.Event()
        self.armed = False

    def forward(self, z):
        if self.armed:
            self.armed = False
            self.entered.set()
            assert self.leave.wait(WAIT)
        return z


def in_thread(function):
    return ThreadPoolExecutor(1).submit(function)


def with_dropout():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 3), Gate(), nn.Dropout(0.5)).train()
    return net, LatentField.from_map(net, latent_shape=3), torch.ones(4, 3)


def test_the_first_to_finish_does_not_put_the_other_into_training_mode():
    net, field, z = with_dropout()
    right = field(z)
    net[1].armed = True
    slow = in_thread(lambda: field(z))
    assert net[1].entered.wait(WAIT)
    assert torch.equal(field(z), right)  # borrows and gives back while the other is inside
    net[1].leave.set()
    assert torch.equal(slow.result(WAIT), right)
    assert all(part.training for part in net.modules())
    assert not _LOANS


def test_it_holds_the_other_way_round_and_for_fields_that_share_a_part():
    net, field, z = with_dropout()
    other = LatentField(nn.Sequential(net[0], net[2]), nn.Identity(), latent_shape=3)
    right, right_other = field(z), other(z)
    net[1].armed = True
    with other.guest():
        slow = in_thread(lambda: field(z))
        assert net[1].entered.wait(WAIT)
        assert torch.equal(other.bare(z), right_other)
        net[1].leave.set()
        assert torch.equal(slow.result(WAIT), right)
        assert torch.equal(other.bare(z), right_other)
        assert not net[2].training
    assert net[2].training
    assert not _LOANS


def test_borrowers_in_any_order_leave_a_mixed_model_mixed():
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5), nn.BatchNorm1d(2)).train()
    net[2].eval()
    loans = [borrowed((net,)), borrowed((net[1],)), borrowed((net[0], net[2]))]
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]):
        for loan in loans:
            loan.__enter__()
        for number in order:
            assert not any(part.training for part in (net[1] if number == 1 else net[0]).modules())
            loans[number].__exit__(None, None, None)
            loans[number] = borrowed(loans[number]._modules)
        assert [part.training for part in net.modules()] == [True, True, True, False]
        torch.set_grad_enabled(True)  # which belongs to the thread: borrowers of one thread leave in order


def test_another_threads_draws_are_not_repeated():
    """It draws while a field is evaluated, and after: the numbers must be those of an undisturbed sequence."""
    gate = Gate()
    field = LatentField.from_map(nn.Sequential(nn.Linear(3, 3), gate, nn.Dropout(0.5)).train(), latent_shape=3)
    torch.manual_seed(7)
    undisturbed = torch.rand(30)
    torch.manual_seed(7)
    drawn = []
    for _ in range(3):  # the first of these is the one that examines the field
        gate.entered.clear()
        gate.leave.clear()
        gate.armed = True
        evaluation = in_thread(lambda: field(torch.ones(2, 3)))
        assert gate.entered.wait(WAIT)
        drawn.append(torch.rand(5))
        gate.leave.set()
        evaluation.result(WAIT)
        drawn.append(torch.rand(5))
    assert torch.equal(torch.cat(drawn), undisturbed)


def test_borrowing_alone_touches_no_generator():
    torch.manual_seed(3)
    undisturbed = torch.rand(4)
    torch.manual_seed(3)
    with borrowed((nn.Dropout(0.5),)):
        first = torch.rand(2)
    assert torch.equal(torch.cat([first, torch.rand(2)]), undisturbed)


def test_models_that_draw_are_evaluated_one_at_a_time():
    """Of two that draw, neither puts back what the other has drawn in between."""
    inside = []

    def encode(z):
        inside.append(1)
        assert len(inside) == 1
        result = 0.5 * z + 0 * torch.rand(1)
        inside.pop()
        return result

    field = LatentField.from_map(encode, latent_shape=2)
    field(torch.ones(2, 2))
    state = torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda n: field(torch.full((2, 2), float(n))), range(40)))
    assert all(torch.equal(result, torch.full((2, 2), n / 2)) for n, result in enumerate(results))
    assert torch.equal(torch.get_rng_state(), state)
    with generators_kept(torch.device("cpu")):
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), state)


def test_forward_mode_derivatives_are_taken_one_at_a_time():
    """Torch keeps its levels of forward mode, and its choice of attention kernels, for the process and not for a thread."""
    before = torch.backends.cuda.flash_sdp_enabled()
    gate = Gate()
    slow = LatentField.from_map(nn.Sequential(nn.Linear(2, 2), gate), latent_shape=2)
    fast = LatentField.from_map(nn.Linear(2, 2), latent_shape=2)
    z = torch.ones(2, 2)
    right = slow.jvp(z, z), fast.jvp(z, z)
    gate.armed = True
    first = in_thread(lambda: slow.jvp(z, z))
    assert gate.entered.wait(WAIT)
    assert not derivatives._FORWARD_MODE.acquire(blocking=False), "a second one would return zeros"
    second = in_thread(lambda: fast.jvp(z, z))
    gate.leave.set()
    assert torch.equal(first.result(WAIT), right[0])
    assert torch.equal(second.result(WAIT), right[1])
    assert torch.backends.cuda.flash_sdp_enabled() == before
