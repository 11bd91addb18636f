"""Agreement of labels against its definitions, and the alignment of clouds that were moved on purpose."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.errors import InputError
from separatrix.numerics._agreement import agreement
from separatrix.numerics._procrustes import procrustes, relative

some = settings(max_examples=40, deadline=None, derandomize=True)


def labels(seed, kinds, count=300):
    return np.random.default_rng(seed).integers(0, kinds, count)


@some
@given(seed=st.integers(0, 10_000), kinds=st.integers(2, 6), unknown=st.integers(0, 50))
def test_renamed_labels_agree_fully_and_unknown_ones_do_not_count(seed, kinds, unknown):
    a = labels(seed, kinds)
    b = np.random.default_rng(seed + 1).permutation(50)[a]
    b[:unknown] = -1
    found = agreement(a, b, shuffles=19)
    assert found.ami == pytest.approx(1.0, abs=1e-9)
    assert found.ari == pytest.approx(1.0, abs=1e-9)
    assert (found.counted, found.items) == (300 - unknown, 300)
    assert found.p_value == 1 / 20
    assert -0.1 < found.null_high < 0.2


def test_independent_labels_agree_by_chance_alone():
    p_values, amis = [], []
    for seed in range(40):
        found = agreement(labels(seed, 4), labels(seed + 1000, 3), shuffles=99)
        p_values.append(found.p_value)
        amis.append(found.ami)
    assert abs(np.mean(amis)) < 3 * np.std(amis) / math.sqrt(40) + 1e-3
    assert 0.35 < np.mean(p_values) < 0.65
    assert min(p_values) >= 0.01


def test_the_adjusted_rand_index_by_hand():
    # Pairs together in both: {0,1} and {3,4}; in a: 2·C(3,2) = 6; in b: C(2,2)·3 = 3; of C(6,2) = 15.
    a, b = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 2, 2, 1])
    expected = 6 * 3 / 15
    assert agreement(a, b).ari == pytest.approx((2 - expected) / ((6 + 3) / 2 - expected))


def test_with_a_single_basin_there_is_nothing_to_agree_on():
    one, two = np.zeros(20, dtype=np.int64), np.arange(20) % 2
    assert math.isnan(agreement(one, one).ami)
    lopsided = agreement(one, two)
    assert (lopsided.ami, lopsided.p_value) == (0.0, 1.0)
    assert math.isnan(lopsided.null_high)
    assert agreement(np.full(5, -1), two[:5]).counted == 0


def orthogonal(dim, seed):
    return torch.linalg.qr(torch.randn(dim, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))[0]


@some
@given(dim=st.integers(1, 6), seed=st.integers(0, 1000), scale=st.floats(0.1, 10))
def test_procrustes_undoes_any_similarity(dim, seed, scale):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(30, dim, generator=g, dtype=torch.float64)
    rotation, shift = orthogonal(dim, seed + 1), torch.randn(dim, generator=g, dtype=torch.float64)
    y = scale * x @ rotation + shift
    found = procrustes(x, y)
    assert found.scale == pytest.approx(scale, rel=1e-9)
    assert torch.allclose(found.rotation, rotation, atol=1e-8)
    assert torch.allclose(found(x), y, atol=1e-8 * scale)
    assert found.r_squared(x, y) == pytest.approx(1.0, abs=1e-12)


def test_procrustes_finds_no_better_rotation_and_works_between_dimensions():
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(50, 3, generator=g), torch.randn(50, 3, generator=g)
    best = procrustes(x, y).r_squared(x, y)
    assert 0 <= best < 0.3
    for seed in range(20):
        other = procrustes(x, y)
        turned = type(other)(orthogonal(3, seed), other.scale, other.source_centre, other.target_centre)
        assert turned.r_squared(x, y) <= best + 1e-12
    flat = torch.cat([x, torch.zeros(50, 2)], dim=1) @ orthogonal(5, 3).float()
    assert procrustes(x, flat)(x).shape == (50, 5)
    assert procrustes(x, flat).r_squared(x, flat) == pytest.approx(1.0, abs=1e-5)
    assert procrustes(flat, x).r_squared(flat, x) == pytest.approx(1.0, abs=1e-5)


def test_relative_representations_forget_rotation_scale_and_shift():
    g = torch.Generator().manual_seed(0)
    z, anchors = (
        torch.randn(9, 4, generator=g, dtype=torch.float64),
        torch.randn(20, 4, generator=g, dtype=torch.float64),
    )
    moved = [3 * points @ orthogonal(4, 5) + 2 for points in (z, anchors)]
    assert torch.allclose(relative(z, anchors), relative(*moved), atol=1e-12)
    assert relative(anchors, anchors).diagonal().numpy() == pytest.approx(1.0)
    assert relative(anchors.mean(dim=0)[None], anchors).abs().max() < 1e-9


def test_mistakes_are_sentences():
    for source, target, words in (
        (torch.zeros(3, 2), torch.zeros(4, 2), "two pairs of points, not 3 and 4"),
        (torch.zeros(1, 2), torch.zeros(1, 2), "two pairs"),
        (torch.ones(3, 2), torch.rand(3, 2), "all coincide"),
    ):
        with pytest.raises(InputError, match=words):
            procrustes(source, target)
