"""The most similar item is exact in float64, whatever the chunks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.errors import InputError
from separatrix.numerics import _neighbours as neighbours
from separatrix.numerics._neighbours import most_similar, nearest_items


def _random(count: int, width: int, seed: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_agrees_with_the_whole_table():
    queries, items = _random(37, 20, 0), _random(211, 20, 1)
    table = torch.nn.functional.cosine_similarity(queries[:, None], items[None], dim=2)
    found = most_similar(queries, items)
    assert torch.equal(found.index, table.argmax(dim=1))
    assert torch.allclose(found.similarity, table.amax(dim=1), atol=1e-14, rtol=0)


def test_chunks_change_nothing(monkeypatch):
    queries, items = _random(37, 20, 0), _random(211, 20, 1)
    whole = most_similar(queries, items)
    monkeypatch.setattr(neighbours, "_ELEMENTS_AT_ONCE", 60)
    pieces = most_similar(queries, items)
    assert torch.equal(pieces.index, whole.index)
    assert torch.allclose(pieces.similarity, whole.similarity, atol=1e-15, rtol=0)


def test_no_block_of_items_or_of_the_table_has_more_than_four_million_entries():
    sizes = []

    def seen(queries: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        sizes.extend((items.numel(), len(queries) * len(items)))
        return torch.zeros(len(queries), len(items))

    for rows, items in ((2100, torch.zeros(2100, 1)), (1, torch.zeros(2100, 2048))):
        nearest_items(torch.zeros(rows, items.shape[1]), items, 1, seen)
    assert 2**21 < max(sizes) <= 2**22


def test_an_item_finds_itself_with_cosine_one_and_its_scale_does_not_matter():
    items = _random(50, 30, 2, torch.float32)
    found = most_similar(items[[7, 31]] * 1e-3, items)
    assert found.index.tolist() == [7, 31]
    assert float((1 - found.similarity).abs().max()) < 1e-12


def test_float32_neighbours_closer_than_float32_rounding_are_told_apart():
    base = torch.ones(1, 64, dtype=torch.float64)
    direction = torch.eye(64, dtype=torch.float64)[:1]
    items = torch.cat((base + 2e-5 * direction, base + 1e-5 * direction))
    assert most_similar(base, items).index.item() == 1  # their cosines differ by 1e-12


def test_the_first_of_equal_items_wins_also_across_chunks(monkeypatch):
    items = torch.ones(9, 4)
    assert most_similar(items[:1], items).index.item() == 0
    monkeypatch.setattr(neighbours, "_ELEMENTS_AT_ONCE", 8)
    assert most_similar(items[:1], items).index.item() == 0


def test_extreme_lengths_do_not_overflow_and_zero_has_no_direction():
    tiny, huge = (
        torch.full((1, 3), 1e-200, dtype=torch.float64),
        torch.full((1, 3), 1e200, dtype=torch.float64),
    )
    assert most_similar(tiny, huge).similarity.item() == pytest.approx(1.0, abs=1e-15)
    assert most_similar(torch.zeros(1, 3), huge).similarity.item() == 0.0


def test_images_are_compared_as_vectors():
    images = _random(5, 48, 3).reshape(5, 3, 4, 4)
    assert most_similar(images[2:3], images).index.item() == 2


def test_nothing_to_compare_with_and_other_shapes_are_refused():
    with pytest.raises(InputError, match="at least one item"):
        most_similar(torch.zeros(1, 3), torch.zeros(0, 3))
    with pytest.raises(InputError, match="one shape"):
        most_similar(torch.zeros(1, 3), torch.zeros(2, 4))


def _brute(queries: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
    return (queries[:, None] - items[None]).norm(dim=2)


@pytest.mark.parametrize("elements", [60, 2**22])
def test_the_k_nearest_agree_with_the_whole_table(monkeypatch, elements):
    monkeypatch.setattr(neighbours, "_ELEMENTS_AT_ONCE", elements)
    queries, items = _random(17, 6, 0), _random(83, 6, 1)
    for distance, table in (
        ("euclidean", _brute(queries, items)),
        ("cosine", 1 - torch.nn.functional.cosine_similarity(queries[:, None], items[None], dim=2)),
        (lambda a, b: torch.cdist(a, b, p=1), torch.cdist(queries, items, p=1)),
    ):
        expected = table.sort(dim=1)
        found = nearest_items(queries, items, 5, distance)
        assert torch.equal(found.index, expected.indices[:, :5])
        assert torch.allclose(found.distance, expected.values[:, :5], atol=1e-13, rtol=0)


def test_euclidean_distances_stay_exact_far_from_the_origin():
    items = 1e6 + torch.tensor([[0.0], [1e-3], [3e-3]], dtype=torch.float64)
    found = nearest_items(items[:1] + 1.2e-3, items, 3, "euclidean")
    assert found.index.tolist() == [[1, 0, 2]]
    assert found.distance[0].tolist() == pytest.approx([2e-4, 1.2e-3, 1.8e-3], rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 1000))
def test_any_order_of_the_items_gives_the_same_distances(count, k, seed):
    items = _random(max(count, k), 3, seed)
    queries = _random(4, 3, seed + 1)
    order = torch.randperm(len(items), generator=torch.Generator().manual_seed(seed))
    plain, shuffled = (nearest_items(queries, some, k, "euclidean") for some in (items, items[order]))
    assert torch.equal(plain.index, order[shuffled.index])
    assert torch.equal(plain.distance, shuffled.distance)


@st.composite
def crowds(draw):
    """Queries and items of whole numbers far from the origin, with duplicates and near-duplicates: squares are exact integers."""
    width, count = draw(st.integers(1, 4)), draw(st.integers(1, 40))
    offset = draw(st.sampled_from([0, 1, 10**3, 2**24, 2**40]))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    reach = draw(st.sampled_from([1, 2, 1000]))  # 1 and 2: most items have a twin, and most distances tie
    items, queries = (offset + rng.integers(-reach, reach + 1, (some, width)) for some in (count, 5))
    return queries, items, draw(st.integers(1, count))


def _in_whole_numbers(queries, items, k):
    """The k nearest by (squared distance, index), without rounding."""
    squares = [[sum((int(a) - int(b)) ** 2 for a, b in zip(q, i, strict=True)) for i in items] for q in queries]
    return [sorted(range(len(items)), key=lambda item: (row[item], item))[:k] for row in squares]


def _engines():
    try:
        import faiss  # noqa: F401
    except ImportError:
        return ["torch"]
    return ["torch", "faiss"]


@pytest.mark.parametrize("engine", _engines())
@pytest.mark.parametrize("elements", [3, 2**22])
@settings(max_examples=60, deadline=None)
@given(crowd=crowds())
def test_duplicates_and_near_duplicates_are_told_apart_exactly(engine, elements, crowd):
    queries, items, k = crowd
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_ELEMENTS_AT_ONCE", elements)
        patch.setattr(neighbours, "_CANDIDATES", 2)  # so that faiss is asked although there are few items
        found = nearest_items(
            *(torch.from_numpy(some).double() for some in (queries, items)), k, "euclidean", engine=engine
        )
    assert found.index.tolist() == _in_whole_numbers(queries, items, k)


@pytest.mark.parametrize("engine", _engines())
@settings(max_examples=60, deadline=None)
@given(crowd=crowds(), scale=st.sampled_from([1, 2, 3]))
def test_equal_directions_are_taken_in_their_order(engine, crowd, scale):
    """Scaled copies tie in the cosine. Among all with one direction, those that come first are taken, and no nearer one is lost."""
    queries, items, k = crowd
    items = np.concatenate((items, scale * items))
    points, stored = torch.from_numpy(queries).double(), torch.from_numpy(items).double()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_CANDIDATES", 2)
        found = nearest_items(points, stored, k, engine=engine)
    length = points.norm(dim=1)[:, None] * stored.norm(dim=1)
    table = 1 - torch.where(length > 0, points @ stored.T / length, 0.0)
    assert torch.allclose(found.distance, table.sort(dim=1).values[:, :k], atol=1e-14, rtol=0)
    which = [tuple(int(x) for x in row // max(np.gcd.reduce(row), 1)) for row in items]
    for chosen in found.index.tolist():
        for place, item in enumerate(chosen):
            twins = [other for other in range(item) if which[other] == which[item]]
            assert set(twins) <= set(chosen[:place])


def test_both_engines_agree_where_one_image_is_there_many_times():
    pytest.importorskip("faiss")
    items = _random(8, 12, 3).repeat(30, 1)
    queries = items[:5] + 1e-9 * _random(5, 12, 4)
    for distance in ("cosine", "euclidean"):
        plain, fast = (nearest_items(queries, items, 7, distance, engine=engine) for engine in ("torch", "faiss"))
        assert plain.index.tolist() == [[row + 8 * copy for copy in range(7)] for row in range(5)]
        assert torch.equal(plain.index, fast.index)
        assert torch.equal(plain.distance, fast.distance)


@pytest.mark.parametrize("engine", _engines())
def test_what_over_or_underflows_in_a_product_hides_nothing(engine):
    for scale in (1e-30, 1e25, 1e120):
        items = scale * torch.arange(60.0, dtype=torch.float64)[:, None]
        found = nearest_items(items[[7]] * 1.01, items, 2, "euclidean", engine=engine)
        assert found.index.tolist() == [[7, 8]]


def test_ties_of_a_distance_of_ones_own_go_to_the_first(monkeypatch):
    for elements in (4, 2**22):
        monkeypatch.setattr(neighbours, "_ELEMENTS_AT_ONCE", elements)
        found = nearest_items(
            _random(3, 2, 0), _random(50, 2, 1), 4, lambda a, b: torch.full((len(a), len(b)), torch.inf)
        )
        assert found.index.tolist() == [[0, 1, 2, 3]] * 3


def test_what_cannot_be_asked_of_the_nearest():
    items = _random(3, 2, 0)
    with pytest.raises(InputError, match="4 nearest of 3"):
        nearest_items(items, items, 4)
    with pytest.raises(InputError, match="no distance 'manhattan'"):
        nearest_items(items, items, 1, "manhattan")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="table of 3 × 3"):
        nearest_items(items, items, 1, lambda a, b: a)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_faiss_gives_the_same_answers(distance):
    pytest.importorskip("faiss")
    queries, items = _random(40, 12, 5, torch.float32), _random(700, 12, 6, torch.float32)
    plain, fast = (nearest_items(queries, items, 7, distance, engine=engine) for engine in ("torch", "faiss"))
    assert torch.equal(plain.index, fast.index)
    assert torch.allclose(plain.distance, fast.distance, atol=1e-14, rtol=0)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_faiss_cannot_lose_neighbours_that_float32_cannot_tell_apart(distance):
    """A hundred items that differ from the query by less than float32 resolves: all of them are measured again."""
    pytest.importorskip("faiss")
    queries = 1000 * torch.ones(1, 8, dtype=torch.float64)
    items = queries + 1e-6 * _random(100, 8, 7)
    plain, fast = (nearest_items(queries, items, 3, distance, engine=engine) for engine in ("torch", "faiss"))
    assert torch.equal(plain.index, fast.index)
    assert nearest_items(queries[:0], items, 3, distance, engine="faiss").index.shape == (0, 3)


def test_faiss_takes_no_function():
    pytest.importorskip("faiss")
    with pytest.raises(InputError, match="cosine and euclidean"):
        nearest_items(torch.ones(1, 2), torch.ones(3, 2), 1, lambda a, b: a @ b.T, engine="faiss")
    with pytest.raises(InputError, match="no engine 'annoy'"):
        nearest_items(torch.ones(1, 2), torch.ones(3, 2), 1, engine="annoy")  # type: ignore[arg-type]
