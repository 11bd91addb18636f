"""The monitor: what it sees, that the training does not notice, and that it keeps to its budget."""

from __future__ import annotations

import itertools
import json
import random
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import separatrix as sx
from separatrix import DynamicsMonitor, LatentField
from separatrix.errors import FileError, InputError, ModelWarning
from separatrix.models import ConvAutoencoder, DenseAutoencoder, train_autoencoder
from separatrix.monitoring._budget import TimeBudget, Usage, ladder
from separatrix.monitoring._untouched import frozen
from separatrix.protocol import Protocol

some = settings(max_examples=12, deadline=None, derandomize=True)
QUICK = Protocol(max_steps=200, probe_steps=200)


def images(count=48):
    g = torch.Generator().manual_seed(3)
    return torch.rand(count, 1, 4, 4, generator=g)


class Noisy(DenseAutoencoder):
    """Everything that could go wrong: dropout, batch statistics, and a loss made of what a hook collects."""

    def __init__(self):
        super().__init__((1, 4, 4), 2, hidden=(8,))
        self.encoder.append(nn.Identity())
        self.decoder = nn.Sequential(nn.Dropout(0.2), nn.BatchNorm1d(2), *self.decoder)
        self.seen = []
        self.encoder[-1].register_forward_hook(lambda module, given, code: self.seen.append(code))

    def forward(self, x):
        image = super().forward(x)
        code = self.seen.pop()
        assert not self.seen, "somebody else ran this model"
        return image + 1e-3 * code.square().mean()


def trained(model_class, monitored, **options):
    torch.manual_seed(0)
    model = model_class()
    monitor = None
    if monitored:
        monitor = DynamicsMonitor(
            lambda: model.field(), sx.starts.encoded(images(12)), 3, log=None, protocol=QUICK, **options
        )
    history = train_autoencoder(
        model, images(), epochs=4, batch_size=16, noise_std=0.1, held_out=images(9),
        on_step=monitor.step if monitor else None,
    )  # fmt: skip
    return model, history, monitor


@pytest.mark.filterwarnings("ignore:1 of the model's hooks")
@pytest.mark.parametrize("model_class", [lambda: ConvAutoencoder((1, 4, 4), 2, base_channels=4), Noisy])
def test_the_loss_curve_is_the_same_to_the_last_bit(model_class):
    alone, without, _ = trained(model_class, False)
    watched, beside, monitor = trained(model_class, True, max_share=None)
    assert [(shot.step, shot.searched) for shot in monitor.history] == [(step, True) for step in (0, 3, 6, 9, 12)]
    assert_same_training((alone, without), (watched, beside))


@pytest.mark.filterwarnings("ignore:1 of the model's hooks")
def test_glances_and_searches_that_are_cut_change_nothing_either(monkeypatch):
    alone, without, _ = trained(Noisy, False)
    ticks = itertools.count()
    monkeypatch.setattr(TimeBudget, "deadline", property(lambda budget: budget.clock() + 30))  # looks at the clock
    watched, beside, monitor = trained(Noisy, True, max_share=1e6, clock=lambda: float(next(ticks)))
    assert [(shot.step, shot.searched) for shot in monitor.history] == [(step, False) for step in (0, 3, 6, 9, 12)]
    assert monitor.usage.cut == 5
    assert_same_training((alone, without), (watched, beside))


def assert_same_training(left, right):
    (alone, without), (watched, beside) = left, right
    assert beside.train_loss == without.train_loss
    assert beside.held_out_loss == without.held_out_loss
    for name, tensor in alone.state_dict().items():
        assert torch.equal(tensor, watched.state_dict()[name]), name


def a_moment(model):
    """All that belongs to the training and not to the monitor."""
    return (
        [(name, tensor.clone()) for name, tensor in model.state_dict().items()],
        [(name, p.requires_grad, None if p.grad is None else p.grad.clone()) for name, p in model.named_parameters()],
        [(part.training, list(part._forward_hooks)) for part in model.modules()],
        torch.get_rng_state().clone(), random.getstate(), np.random.get_state(), torch.is_grad_enabled(),  # noqa: NPY002
    )  # fmt: skip


def assert_same(left, right):
    if isinstance(left, (torch.Tensor, np.ndarray)):
        assert np.array_equal(left, right, equal_nan=True)
    elif isinstance(left, (tuple, list)):
        assert len(left) == len(right)
        for a, b in zip(left, right, strict=True):
            assert_same(a, b)
    else:
        assert left == right


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("grad", [True, False])
def test_nothing_is_touched_even_between_backward_and_step_and_when_a_snapshot_fails(broken, grad):
    torch.manual_seed(1)
    model = Noisy()
    model.decoder[0].eval()  # a deliberately mixed model stays mixed
    model(images()).square().mean().backward()
    monitor = DynamicsMonitor(
        model.field, sx.starts.gaussian(8), 1, max_share=None, log=None, protocol=QUICK, keep_hooks=True
    )
    monitor.step(0)
    if broken:
        with torch.no_grad():
            next(model.parameters()).fill_(torch.nan)
    seen = len(model.seen)
    with torch.set_grad_enabled(grad):
        before = a_moment(model)
        if broken:
            with pytest.warns(
                ModelWarning,
                match="Watching failed in the (glance|search) at step 1, and training goes on: .* contains NaN",
            ):
                shot = monitor.step(1)
            assert shot is None or not shot.searched, "no attractors of weights that are NaN"
        else:
            assert monitor.step(1).step == 1
        after = a_moment(model)
    assert_same(before, after)
    assert monitor.usage.failed == int(broken)
    assert broken or len(model.seen) > seen, "with keep_hooks the hook ran on the copies and wrote to the shared list"


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("reparametrise", [nn.utils.spectral_norm, nn.utils.weight_norm])
def test_hooks_of_the_user_are_left_out_and_those_of_torch_stay(reparametrise):
    model = DenseAutoencoder((1, 4, 4), 2, hidden=(8,))
    reparametrise(model.encoder[1])
    calls = []
    model.encoder[1].register_forward_hook(lambda *_: calls.append(1))
    model.last = model(images())  # what a module remembers of its graph does not hinder the copy
    calls.clear()
    twin, said = frozen(model.field())
    assert said.startswith("1 of the model's hooks")
    z = torch.randn(5, 2)
    image = twin(z)
    assert calls == []
    assert torch.equal(image, model.field()(z))
    with torch.no_grad():
        next(model.parameters()).mul_(2)
    assert torch.equal(twin(z), image)
    assert not torch.equal(model.field()(z), image)


class Clock:
    """Seconds that pass only where the test says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def watched_wells(
    clock, *, per_latent, gains, per_step, every=5, starts=64, max_share=0.1, pass_cost=0.0, alone_cost=0.0
):
    """A training in which ``gain`` of tanh(gain·z) grows, on a clock of its own: step times and evaluations cost seconds."""
    live = torch.zeros((), dtype=torch.float64)

    def function(z):
        polishing = len(z) == 1 and torch.is_grad_enabled()
        clock.now += per_latent * len(z) + pass_cost + alone_cost * polishing
        return torch.tanh(live * z)

    field = LatentField.from_map(function, (1,), dtype=torch.float64)
    monitor = DynamicsMonitor(
        field, sx.starts.box(starts, -2, 2, seed=0), every, max_share=max_share, log=None, clock=clock
    )
    for step, gain in enumerate(gains):
        live.fill_(gain)
        monitor.step(step)
        clock.now += per_step
    return monitor


def test_a_snapshot_that_waits_shows_the_weights_of_its_own_step():
    clock = Clock()
    monitor = watched_wells(clock, per_latent=1e-5, per_step=0.05, gains=[0.5] + [2.0] * 200)
    assert monitor.history[0].step == 0
    assert monitor.history[0].attractors == 1
    assert [shot.attractors for shot in monitor.history[1:]] == [2] * (len(monitor.history) - 1)
    assert monitor.history[1].events == ("1 split from 0",)
    steps = [shot.step for shot in monitor.history]
    assert all(later > earlier for earlier, later in pairwise(steps))
    assert all(step % 5 == 0 for step in steps)


def test_the_effort_grows_to_what_the_budget_pays_for():
    cheap = watched_wells(Clock(), per_latent=1e-7, per_step=0.1, gains=[2.0] * 100)
    assert (cheap.history[-1].starts, cheap.history[-1].max_steps) == (64, 4096)
    assert cheap.usage.skipped == 0
    assert [shot.step for shot in cheap.history[1:]] == list(range(5, 100, 5))
    dear = watched_wells(Clock(), per_latent=5e-4, per_step=0.1, gains=[2.0] * 300)
    assert len(dear.history) > 10
    assert {shot.starts for shot in dear.history} == {8}, "nothing more is paid for"
    assert dear.usage.skipped > 20
    assert dear.usage.snapshots + dear.usage.skipped in (59, 60)
    assert 0.09 < dear.usage.share <= 0.1
    assert "None fitted" not in dear.usage.sentence


def test_it_says_what_to_do_where_no_snapshot_fitted():
    usage = Usage(training_seconds=0.8, monitor_seconds=0.3, max_share=0.1, skipped=5)
    assert usage.sentence.endswith(
        "5 skipped). None fitted into that share: train longer, give fewer starts, or a larger max_share."
    )
    full = watched_wells(Clock(), per_latent=1.0, per_step=0.1, gains=[2.0] * 11, max_share=None)
    assert [(shot.step, shot.starts) for shot in full.history] == [(0, 64), (5, 64), (10, 64)]


@some
@given(
    per_latent=st.floats(1e-7, 1e-2),
    per_step=st.floats(1e-3, 1.0),
    every=st.integers(1, 30),
    max_share=st.floats(0.01, 0.5),
    starts=st.integers(1, 200),
    gains=st.lists(st.sampled_from([0.3, 0.9, 1.2, 2.0]), min_size=40, max_size=80),
)
def test_the_share_is_kept_whatever_things_cost(per_latent, per_step, every, max_share, starts, gains):
    clock = Clock()
    monitor = watched_wells(
        clock, per_latent=per_latent, per_step=per_step, every=every, max_share=max_share, starts=starts, gains=gains
    )
    usage = monitor.finish()
    # One pass of the network cannot be interrupted, nor can the first look; a Jacobian counts as a pass of many rows.
    one_pass = per_latent * 4 * max(starts, 64)
    first_look = per_latent * (2 * 8 + 16 + 64)
    assert usage.monitor_seconds <= max_share * usage.training_seconds + one_pass + first_look
    assert usage.training_seconds == pytest.approx(per_step * len(gains))
    assert usage.monitor_seconds + usage.training_seconds == pytest.approx(clock.now - 100)
    assert usage.snapshots == len(monitor.history)
    assert (
        usage.glances == sum(not shot.searched for shot in monitor.history) == usage.snapshots - len(monitor.searches)
    )


def test_a_snapshot_that_turns_out_too_dear_is_cut():
    clock = Clock()
    budget = TimeBudget(64, 4096, 0.1, clock)
    budget.enter()
    budget.leave()
    budget.calibrate(1e-3, latent_dim=2)
    clock.now += 100
    budget.enter()
    effort = budget.affordable()
    assert effort == ladder(64, 4096)[1] == budget.affordable(), "one step at a time, however often it is asked"
    budget.begin(effort)
    assert budget.deadline == pytest.approx(clock.now + 9.5)
    clock.now += 9.5
    budget.spent(9.5, None)
    budget.leave()
    assert budget.affordable() is None
    waited = clock.now
    while budget.affordable() is None:
        clock.now += 1
        budget.enter()
        budget.leave()
    # 1.5 times what it had when it was cut, saved anew at 10 % of the time; at the lower rung, half of that
    assert 50 < clock.now - waited < 170
    # What a glance does not show: the polishing of a single point is dear.
    slow = watched_wells(
        Clock(), per_latent=0, pass_cost=0.02, alone_cost=1.0, per_step=0.5, gains=[0.3] * 350, every=10
    )
    assert slow.usage.cut > 0
    assert slow.usage.snapshots > 1
    cut = [shot for shot in slow.history if shot.cut]
    assert len(cut) == slow.usage.cut, "a cut search keeps its glance"
    assert all(not shot.to_dict()["searched"] and shot.to_dict()["cut"] for shot in cut)
    # Seventeen passes of the glance, and four that examine the copy.
    assert all((shot.seconds > 21.5 * 0.02) == shot.cut for shot in slow.history if not shot.searched)
    assert slow.usage.monitor_seconds < 0.1 * slow.usage.training_seconds + 1.0
    assert "cut" in slow.usage.sentence


def test_steps_may_be_skipped_by_the_caller_and_repeated():
    monitor = DynamicsMonitor(
        LatentField.from_map(torch.tanh, (1,)), torch.ones(4, 1), 10, max_share=None, log=None, protocol=QUICK
    )
    shots = [monitor.step(step) for step in (3, 9, 11, 11, 12, 35, 39, 40)]
    assert [shot.step for shot in shots if shot] == [3, 11, 35, 40]


def test_lines_of_json(tmp_path):
    path = tmp_path / "dynamics.jsonl"
    field = LatentField.from_map(lambda z: torch.tanh(2 * z), (1,))
    for _ in range(2):  # a training that is resumed continues the file
        monitor = DynamicsMonitor(field, sx.starts.box(16, -1, 1, seed=0), 1, max_share=None, log=path)
        monitor.step(0)
        monitor.step(1)
        monitor.finish()
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [record["step"] for record in records] == [0, 1, 0, 1]
    assert records[1] == {
        **monitor.history[1].to_dict(), "seconds": records[1]["seconds"], "share": records[1]["share"],
    }  # fmt: skip
    assert records[0]["attractors"] == 2
    assert records[0]["spectral_radius"] == pytest.approx(0.166372, abs=1e-6)
    assert records[0]["converged"] == 1.0
    assert records[0]["ids"] == [0, 1]
    assert records[0]["settled"] == pytest.approx(monitor.history[0].settled)


def test_the_snapshots_make_a_continuation_that_is_stored(tmp_path):
    monitor = watched_wells(Clock(), per_latent=0, per_step=1, gains=[0.5] * 10 + [2.0] * 10, max_share=None)
    story = monitor.continuation()
    assert story.parameters == (0.0, 5.0, 10.0, 15.0)
    assert story.describe_events() == ["10: 1 split from 0"]
    assert [tuple(story.ids(time)[story.ids(time) >= 0].tolist()) for time in range(4)] == [
        shot.ids for shot in monitor.history
    ]
    sx.save_result(story, tmp_path / "story")
    loaded = sx.load_result(tmp_path / "story")
    assert isinstance(loaded, sx.studies.Continuation)
    assert loaded.rematched(by="points", threshold=5.0).events.words == ["1 split from 0"]


def test_mistakes_are_sentences(tmp_path):
    field = LatentField.from_map(torch.tanh, (1,))
    for options, words in (
        ({"every": 0}, "every must be"),
        ({"max_share": 0}, "max_share must be"),
        ({"by": "decoded"}, "by must be"),
        ({"log": 3}, "log takes a path"),
    ):
        with pytest.raises(InputError, match=words):
            DynamicsMonitor(field, torch.ones(4, 1), **{"every": 1, "log": None, **options})
    with pytest.raises(FileError, match="cannot be written"):
        DynamicsMonitor(field, torch.ones(4, 1), 1, log=tmp_path / "no" / "folder.jsonl")
    with pytest.raises(InputError, match="no snapshot yet with attractors"):
        DynamicsMonitor(field, torch.ones(4, 1), 1, log=None).continuation()
    noise = LatentField.from_map(lambda z: torch.cat([z, z]), (1,))
    monitor = DynamicsMonitor(noise, torch.ones(4, 1), 1, log=None)
    with pytest.warns(ModelWarning, match="failed in the first look at step 0, and training goes on: .*shape"):
        monitor.step(0)
    assert "shape" in monitor.usage.failures[0].message
