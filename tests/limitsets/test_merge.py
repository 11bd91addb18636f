"""Merging unpolished end points by a leader rule: by distance, or by the paper's cosine."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.limitsets._merge import leader_clusters

some = settings(max_examples=40, deadline=None, derandomize=True)


def cloud(n, k, seed):
    return torch.randn(n, k, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@some
@given(n=st.integers(1, 40), k=st.integers(1, 5), seed=st.integers(0, 999), tolerance=st.floats(0.01, 3))
def test_every_point_is_near_its_leader_and_leaders_are_apart(n, k, seed, tolerance):
    z = cloud(n, k, seed)
    labels, leaders = leader_clusters(z, "distance", tolerance)
    assert labels.tolist()[0] == 0
    assert sorted(set(labels.tolist())) == list(range(len(leaders)))
    assert ((z - z[leaders[labels]]).norm(dim=1) <= tolerance).all()
    assert torch.equal(labels[leaders], torch.arange(len(leaders)))
    apart = (z[leaders][:, None] - z[leaders][None]).norm(dim=2) + 1e9 * torch.eye(len(leaders))
    assert (apart > tolerance).all()
    assert leaders.tolist() == sorted(leaders.tolist())


@some
@given(n=st.integers(1, 40), k=st.integers(2, 5), seed=st.integers(0, 999), similarity=st.floats(0.5, 0.999))
def test_cosine_ignores_the_norm(n, k, seed, similarity):
    z = cloud(n, k, seed)
    lengths = 2.0 ** torch.arange(n, dtype=torch.float64).remainder(40)[:, None]
    labels, leaders = leader_clusters(z, "cosine", similarity)
    stretched, same_leaders = leader_clusters(lengths * z, "cosine", similarity)
    assert torch.equal(labels, stretched)
    assert torch.equal(leaders, same_leaders)
    unit = z / z.norm(dim=1, keepdim=True)
    own = (unit * unit[leaders[labels]]).sum(dim=1)
    assert (own[labels != labels.new_zeros(n)] > similarity - 1e-12).all() if n else True


def test_the_threshold_of_the_cosine_is_exclusive_and_that_of_the_distance_inclusive():
    assert leader_clusters(torch.tensor([[0.0], [1.0]]), "distance", 1.0)[0].tolist() == [0, 0]
    assert leader_clusters(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), "cosine", 1.0)[0].tolist() == [0, 1]


def test_opposite_directions_are_two():
    assert leader_clusters(torch.tensor([[1.0], [-1.0], [2.0]]), "cosine", 0.99)[0].tolist() == [0, 1, 0]


def test_zero_vectors_have_no_direction():
    labels, leaders = leader_clusters(torch.zeros(3, 2), "cosine", 0.99)
    assert len(leaders) == 3
    assert labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("rule", ["distance", "cosine"])
def test_no_points(rule):
    labels, leaders = leader_clusters(torch.zeros(0, 3), rule, 0.5)
    assert (labels.shape, leaders.shape) == ((0,), (0,))


def test_latents_of_any_shape_in_low_precision():
    z = torch.ones(4, 2, 3, dtype=torch.float32)
    z[2] += 1
    assert leader_clusters(z, "distance", 1e-3)[0].tolist() == [0, 0, 1, 0]
