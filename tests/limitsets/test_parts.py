"""Searches in parts: the same bits whoever computes which part, when, and how often it is killed."""

from __future__ import annotations

import functools
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import separatrix as sx
from separatrix.engines import Processes
from separatrix.limitsets import _parts as parts
from separatrix.limitsets._capture import Frozen
from separatrix.protocol import Rounds
from separatrix.storage import from_bytes, save_result, to_bytes

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")]


def conv() -> tuple[sx.LatentField, sx.starts.Starts, sx.Protocol]:
    """A small convolutional autoencoder in float32 whose orbits end on two cycles."""
    torch.manual_seed(1)
    model = sx.models.ConvAutoencoder((1, 8, 8), 6, base_channels=4, final="identity")
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 3 if weight.ndim > 1 else 1
    field = sx.LatentField(lambda x: torch.tanh(model.encode(x)), model.decode, latent_shape=6, modules=(model,))
    return field, sx.starts.gaussian(200, seed=0), sx.Protocol()


def curve() -> tuple[sx.LatentField, torch.Tensor, sx.Protocol]:
    known = sx.testing.oracles.invariant_curve(count=90)
    return known.field, known.starts, sx.Protocol(max_steps=1500)


def sampled() -> tuple[sx.LatentField, sx.starts.Starts, sx.Protocol]:
    """Four wells, most orbits of which are captured statistically."""
    field = sx.LatentField.from_map(lambda z: z + 0.05 * (z - z**3), latent_shape=2, dtype=torch.float64)
    return field, sx.starts.gaussian(2796, seed=0), sx.Protocol(max_wrong=1e-2)


SEARCHES: dict[str, Callable[[], tuple]] = {"cycles": conv, "a curve": curve, "captures by a sample": sampled}
every = pytest.mark.parametrize("make", SEARCHES.values(), ids=SEARCHES)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(Rounds, "rows_in_a_part", lambda self, rows: 24)
    monkeypatch.setattr("separatrix.storage._checkpoint._TIMES", 0)


@pytest.fixture(scope="module")
def two():
    with Processes(2) as engine:
        yield engine


def bits(limits: sx.LimitSets) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        save_result(limits, f"{folder}/limits")
        return b"".join(path.read_bytes() for path in sorted(Path(folder, "limits").glob("[rt]*")))


@functools.cache
def here(make) -> bytes:
    """As it is found in this process, with parts of 24 rows."""
    return bits(sx.find_attractors(*make()))


class Reversed:
    """An engine that gives results from the last to the first, and computes each part twice from bytes."""

    workers = 3

    def map(self, task, parts, *shared):
        given = list(parts)
        done = [(number, [task(part, *shared) for _ in range(2)]) for number, part in enumerate(given)]
        for number, (first, second) in reversed(done):
            assert first == second, "a part gives the same bytes whenever it is computed"
            yield number, first

    def close(self):
        pass


@every
def test_the_same_bits_in_any_order_and_by_any_engine(make, two):
    assert bits(sx.find_attractors(*make(), engine=Reversed())) == here(make)
    assert bits(sx.find_attractors(*make(), engine=two)) == here(make)
    assert bits(sx.find_attractors(*make(), engine=two)) == here(make)


def test_most_rounds_have_parts(monkeypatch):
    counts = []
    genuine = parts.Crew.follow
    monkeypatch.setattr(
        parts.Crew, "follow", lambda self, given, head: (counts.append(len(given)), genuine(self, given, head))[1]
    )
    sx.find_attractors(*sampled())
    assert max(counts) > 7


@every
def test_how_rows_are_cut_changes_no_label(make, monkeypatch):
    cut = sx.find_attractors(*make())
    monkeypatch.setattr(Rounds, "rows_in_a_part", lambda self, rows: 2**20)
    whole = sx.find_attractors(*make())
    assert torch.equal(cut.labels, whole.labels)
    assert cut.orbits.cost.map == pytest.approx(whole.orbits.cost.map, rel=1e-2)


def test_what_is_sent_is_what_there_is():
    """Head and parts come out of their bytes as they were, and the bytes are the same every time."""
    field, starts, protocol = curve()
    found = []
    genuine = parts.Crew.follow

    def seen(self, given, head):
        for value in (head, *given):
            content = to_bytes(value, parts._SENT)
            again = from_bytes(content, parts._SENT)
            assert to_bytes(again, parts._SENT) == content
            found.append(type(value))
        return genuine(self, given, head)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts.Crew, "follow", seen)
        sx.find_attractors(field, starts, protocol)
    assert {parts.Round, parts.Part} == set(found)
    assert Frozen in parts._SENT


class Killed(BaseException):
    """The process is gone, as far as an exception can say so."""


@every
def test_killed_between_parts_it_ends_in_the_same_bits_and_computes_no_part_twice(make, tmp_path):
    class Dying:
        """An engine of which nothing is left after some parts."""

        workers, left, computed = 2, 0, 0

        def map(self, task, parts, *shared):
            for number, part in enumerate(parts):
                if not self.left:
                    raise Killed
                self.left -= 1
                self.computed += 1
                yield number, task(part, *shared)

        def close(self):
            pass

    dying, needed, lives = Dying(), Dying(), 0
    needed.left = 10**6
    assert bits(sx.find_attractors(*make(), engine=needed)) == here(make)
    found = None
    while found is None:
        dying.left, lives = 3, lives + 1
        try:
            found = sx.find_attractors(*make(), engine=dying, checkpoint=tmp_path / "state")
        except Killed:
            assert lives < 200
    assert bits(found) == here(make)
    assert lives > 3
    assert dying.computed == needed.computed
    assert list(tmp_path.iterdir()) == []


def test_kill_9_at_random_moments_ends_in_the_same_bits(tmp_path):
    """The coordinator and its workers, for real."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import torch; torch.set_num_threads(1); import test_parts as t\n"
        "import separatrix as sx; from separatrix.protocol import Rounds; Rounds.rows_in_a_part = lambda self, rows: 24\n"
        "with sx.engines.Processes(2) as two:\n"
        "    found = sx.find_attractors(*t.sampled(), engine=two, checkpoint=sys.argv[2] + '/state')\n"
        "    sx.save_result(found, sys.argv[2] + '/limits')\n"
    )
    whole, rng = here(sampled), random.Random(0)
    kills = 0
    while not (tmp_path / "limits").exists():
        arguments = [sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path)]
        process = subprocess.Popen(arguments, start_new_session=True)
        try:
            process.wait(timeout=rng.uniform(3, 9) if kills < 3 else None)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    assert b"".join(path.read_bytes() for path in sorted((tmp_path / "limits").glob("[rt]*"))) == whole
