"""Ray: the same results and the same sentences as from worker processes, whatever becomes of actors and machines.

A cluster of two nodes on this machine, each with room for one actor.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

import engine_tasks as tasks
import separatrix as sx
from separatrix.engines import Here, Ray
from separatrix.engines import _ray as ours
from separatrix.errors import EngineError, FieldError, InputError

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning", "ignore::FutureWarning")
_SMALL = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        here = Cluster(initialize_head=True, head_node_args={**_SMALL, "include_dashboard": False})
        here.second = here.add_node(**_SMALL)
        yield here
        ray.shutdown()
        here.shutdown()


@pytest.fixture(scope="module")
def two(cluster: Any) -> Iterator[Ray]:
    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    with Ray(cluster.address) as engine:
        assert {name: signal.getsignal(name) for name in before} == before, "what a signal does is ours to say"
        assert engine.workers == 2, "as many as there is room for"
        yield engine


def test_ray_data_scores_pictures(cluster, tmp_path):
    """It comes first: the actors of `two` take all of the cluster's room."""
    from ray.data import ActorPoolStrategy, DataContext, from_numpy

    from separatrix.ood import BatchScorer, ResidualDetector

    def load() -> sx.LatentField:
        return sx.LatentField.from_map(lambda z: z / 2, latent_shape=(1, 4, 4))

    pixels = np.random.default_rng(0).integers(0, 256, (40, 4, 4), dtype=np.uint8)
    place = ResidualDetector(load()).fit(torch.rand(200, 1, 4, 4)).save(tmp_path / "detector")
    ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
    try:
        DataContext.get_current().enable_progress_bars = False
        scored = from_numpy(pixels).map_batches(
            BatchScorer, fn_constructor_args=(load, place), fn_constructor_kwargs={"column": "data"}, batch_size=16,
            compute=ActorPoolStrategy(size=1), num_cpus=1,
        ).to_pandas()  # fmt: skip
    finally:
        ray.shutdown()
    wanted = BatchScorer(load, place)({"image": pixels})
    assert scored["score"].to_numpy() == pytest.approx(wanted["score"])
    assert scored["decision"].tolist() == wanted["decision"].tolist()


def test_the_same_as_here_by_two_actors_that_stay(two):
    parts = [str(number).encode() for number in range(20)]
    assert dict(two.map(tasks.doubled, parts)) == dict(Here().map(tasks.doubled, parts))
    crew = list(two._crew)
    assert len(crew) == 2
    assert os.getpid() not in {process for _, process in two.map(tasks.whose, range(6))}
    assert two._crew == crew


def test_a_search_has_the_same_bits(two, monkeypatch):
    monkeypatch.setattr("separatrix.protocol.Rounds.rows_in_a_part", lambda self, rows: 24)
    field = sx.LatentField.from_map(lambda z: (2 * z).tanh(), latent_shape=2)
    here, there = (sx.find_attractors(field, sx.starts.gaussian(400, seed=0), engine=each) for each in (Here(), two))
    assert here.points.equal(there.points)
    assert here.labels.equal(there.labels)
    assert here.orbits.points.equal(there.orbits.points)


def test_what_is_shared_is_sent_once(two, monkeypatch):
    put, genuine = [], ours.sent
    monkeypatch.setattr(ours, "sent", lambda value: (put.append(value), genuine(value))[1])
    shared = {"a": 1}
    for _ in range(3):
        assert dict(two.map(tasks.in_words, [1, 2], shared)) == {0: "1/1", 1: "2/1"}
    assert put == [shared]


def test_lost_actors_are_replaced_and_a_part_that_loses_three_is_named(two):
    done: dict[int, int] = {}
    with pytest.raises(EngineError, match=r"Part 1 failed 3 times \(its process or its machine was lost"):
        done.update(two.map(tasks.always_killed, range(3)))
    assert done == {0: 0, 2: 2}


def test_a_part_that_fails_is_tried_three_times(two, tmp_path):
    done: dict[int, int] = {}
    with pytest.raises(EngineError, match=r"Part 3 failed 3 times \(ZeroDivisionError: part 3\); all other parts"):
        done.update(two.map(tasks.failing, range(6), str(tmp_path)))
    assert done == {n: n for n in range(6) if n != 3}


def test_our_own_errors_are_raised_as_they_would_be_here(two):
    with pytest.raises(FieldError, match="The model changes; load it again"):
        dict(two.map(tasks.refusing, range(4)))


def test_other_versions_are_refused(two, monkeypatch):
    monkeypatch.setattr("separatrix.engines._worker.version", lambda name: "9")
    monkeypatch.setattr(two, "workers", 1)
    for actor in list(two._crew):
        two._dismiss(actor)
    with pytest.raises(
        EngineError, match=r"A worker has separatrix [\d.]+, and here it is 9; install the same versions"
    ):
        dict(two.map(tasks.doubled, [b"a"]))


def test_a_machine_that_is_lost_takes_nothing_along(cluster, two):
    """No part ever ends there; after the loss there is room for one actor only."""
    found = two.map(tasks.endless_there, range(6), cluster.second.node_id)
    done = dict([next(found)])
    cluster.remove_node(cluster.second, allow_graceful=False)
    done.update(found)
    assert done == {n: n for n in range(6)}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"cpus": 0}, "cpus must be a whole number, at least 1, not 0."),
        ({"cpus": 0.5}, "cpus must be a whole number, not 0.5."),
        ({"gpus": -1}, "gpus must be at least 0, not -1."),
        ({"workers": 0}, "workers must be a whole number, at least 1, not 0."),
        ({"workers": "2"}, "workers must be a whole number, not '2'."),
    ],
)
def test_bad_numbers(wrong, sentence):
    with pytest.raises(InputError, match=rf"^{re.escape(sentence)}$"):
        Ray(**wrong)


def test_without_ray_it_is_said(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(InputError, match=r"needs Ray, which is not installed; pip install 'separatrix\[ray\]'"):
        Ray()
