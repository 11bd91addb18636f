"""Starts: the i-th depends on (seed, i) alone, in every kind, block and slice; what does not fit says so."""

from __future__ import annotations

import json
import pickle
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from separatrix import find_attractors, iterate, starts
from separatrix.data import _encoding as encoding
from separatrix.data import load_images
from separatrix.errors import FieldError, InputError, OutOfMemoryError
from separatrix.field import LatentField
from separatrix.starts import Starts, as_starts

PLANE = LatentField.from_map(torch.tanh, latent_shape=(2,))
MAPS = LatentField.from_map(torch.tanh, latent_shape=(2, 3, 1))
# Elementwise, so that even encoded starts are the same to the last bit in every batch.
PIXELS = LatentField(lambda x: x[:, 0, :2, :3] * 2 - 1, lambda z: z[:, None] / 2 + 0.5, latent_shape=(2, 3))
IMAGES = np.random.default_rng(0).integers(0, 256, (300, 1, 2, 3), dtype=np.uint8)

KINDS: dict[str, tuple[LatentField, Callable[[int], Starts]]] = {
    "gaussian": (MAPS, lambda seed: starts.gaussian(300, seed=seed, std=1.7)),
    "box": (MAPS, lambda seed: starts.box(300, -1, [1, 2, 3, 4, 5, 6], seed=seed)),
    "grid": (PLANE, lambda seed: starts.grid((-1, seed % 7 - 9), 1, shape=(20, 15))),
    "plane": (
        MAPS,
        lambda seed: starts.grid(-1, 1, (20, 15), origin=np.full(6, seed % 5), axes=np.eye(6)[2:4]),
    ),
    "encoded": (PIXELS, lambda _: starts.encoded(IMAGES)),
    "noise_images": (PIXELS, lambda seed: starts.noise_images(300, (1, 2, 3), seed=seed, low=-1, high=2)),
    "points": (PLANE, lambda _: starts.points(torch.arange(600.0).reshape(300, 2) / 7)),
}


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    seed=st.integers(0, 2**64 - 1),
    cuts=st.lists(st.integers(0, 300), max_size=6),
    offset=st.integers(0, 299),
)
def test_every_partition_gives_the_same_bits(kind: str, seed: int, cuts: list[int], offset: int) -> None:
    field, make = KINDS[kind]
    whole = make(seed)
    everything = whole.block(field, 0, 300)
    assert everything.shape == (300, *field.latent_shape)
    edges = sorted({0, 300, *cuts})
    parts = [whole.block(field, a, b) for a, b in pairwise(edges)]
    assert torch.equal(torch.cat(parts), everything)
    part = make(seed)[offset:]
    assert torch.equal(part.block(field, 0, len(part)), everything[offset:])
    assert torch.equal(whole[offset].block(field, 0, 1), everything[offset : offset + 1])
    assert whole.block(field, offset, offset).shape == (0, *field.latent_shape)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_slice_of_a_slice_keeps_its_identity(kind: str) -> None:
    field, make = KINDS[kind]
    part = make(3)[100:200][10:20]
    assert len(part) == part.count == 10
    assert torch.equal(part.block(field, 2, 5), make(3).block(field, 112, 115))
    assert part.provenance["first"] == 110
    assert part.provenance["last"] == 120
    assert part.provenance == make(3).subset(110, 120).provenance
    assert json.loads(json.dumps(part.provenance)) == part.provenance
    assert "numbers 110 to 119" in part.describe()
    assert "\n" not in part.describe()
    assert torch.equal(pickle.loads(pickle.dumps(part)).block(field, 0, 10), part.block(field, 0, 10))


@pytest.mark.parametrize("kind", ["gaussian", "box", "noise_images"])
def test_seeds_and_indices_make_the_difference(kind: str) -> None:
    field, make = KINDS[kind]
    one, other = make(1).block(field, 0, 300), make(2).block(field, 0, 300)
    assert not (one == other).any()
    assert one.unique().numel() == one.numel()


def test_kinds_of_one_seed_are_independent() -> None:
    """Gaussian draws must not be the box's uniforms in another guise."""
    field = LatentField.from_map(torch.tanh, latent_shape=(1,))
    identity = LatentField(lambda x: x, lambda z: z, latent_shape=(1,))
    columns = torch.cat(
        [
            starts.gaussian(20_000).block(field, 0, 20_000),
            starts.box(20_000, 0, 1).block(field, 0, 20_000),
            starts.noise_images(20_000, (1,)).block(identity, 0, 20_000),
        ],
        dim=1,
    )
    correlation = torch.corrcoef(columns.T)
    assert (correlation - torch.eye(3)).abs().max() < 4 / 20_000**0.5


def test_distributions() -> None:
    n = 40_000
    normal = starts.gaussian(n, std=2.0).block(PLANE, 0, n)
    assert normal.mean().abs() < 4 * 2 / (2 * n) ** 0.5
    assert normal.std().item() == pytest.approx(2, abs=4 * 2 / (4 * n) ** 0.5)
    uniform = starts.box(n, [-1, 10], [1, 14]).block(PLANE, 0, n)
    assert torch.allclose(uniform.amin(0), torch.tensor([-1.0, 10.0]), atol=0.01)
    assert torch.allclose(uniform.amax(0), torch.tensor([1.0, 14.0]), atol=0.01)
    assert torch.allclose(uniform.mean(0), torch.tensor([0.0, 12.0]), atol=4 * 1.2 / n**0.5)
    noise = starts.noise_images(n, (1, 2, 3)).block(PIXELS, 0, n)  # encoded to 2x − 1
    assert noise.mean().abs() < 4 * 0.58 / (6 * n) ** 0.5
    assert noise.amin() == pytest.approx(-1, abs=0.01)


def test_dtype_follows_the_field() -> None:
    double = LatentField.from_map(torch.tanh, latent_shape=(2,), dtype=torch.float64)
    for made in (
        starts.gaussian(9),
        starts.box(9, 0, 1),
        starts.grid(0, 1, (3, 3)),
        starts.points(torch.rand(9, 2)),
    ):
        assert made.block(double, 0, 9).dtype == torch.float64
        assert torch.equal(made.block(double, 0, 9).float(), made.block(PLANE, 0, 9))
    net = nn.Linear(6, 2, dtype=torch.float64)
    field = LatentField(net, nn.Linear(2, 6, dtype=torch.float64), latent_shape=2)
    assert starts.encoded(IMAGES.reshape(300, 6)).block(field, 0, 5).dtype == torch.float64


def test_the_grid_is_an_image() -> None:
    values = starts.grid((-1, 5), (1, 8), shape=(4, 3)).block(PLANE, 0, 12).reshape(4, 3, 2)
    assert values[:, :, 0].tolist() == [[-1, 0, 1]] * 4
    assert values[:, 1, 1].tolist() == [5, 6, 7, 8]
    axes = torch.tensor([[0.0, 0, 2], [0, 3, 0]])
    space = LatentField.from_map(torch.tanh, latent_shape=(3,))
    lifted = starts.grid(0, 1, (2, 2), origin=[7, 0, 0], axes=axes).block(space, 0, 4)
    assert lifted.tolist() == [[7, 0, 0], [7, 0, 2], [7, 3, 0], [7, 3, 2]]
    shifted = starts.grid(0, 1, (2, 2), origin=(10, 20)).block(PLANE, 0, 4)
    assert shifted.tolist() == [[10, 20], [11, 20], [10, 21], [11, 21]]


def test_a_million_starts_take_no_memory() -> None:
    tracemalloc.start()
    try:
        many = (
            starts.gaussian(1_000_000, seed=1),
            starts.noise_images(1_000_000, (3, 256, 256)),
            starts.box(10**6, 0, 1),
        )
        assert tracemalloc.get_traced_memory()[1] < 100_000
        assert many[0].block(PLANE, 999_990, 1_000_000).shape == (10, 2)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


def test_encoding_is_batched_and_lazy(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def encode(x: Tensor) -> Tensor:
        sizes.append(len(x))
        return x.flatten(1)[:, :2]

    field = LatentField(encode, lambda z: z, latent_shape=2)
    field.examine()  # once per field, and before the data are
    sizes.clear()
    made = starts.encoded(IMAGES)
    assert sizes == []
    made.block(field, 10, 290)
    assert sizes == [256, 24]
    sizes.clear()
    monkeypatch.setattr(encoding, "_NUMBERS_PER_BATCH", 60)
    blocks = made.block(field, 0, 25)
    assert sizes == [10, 10, 5]
    assert torch.equal(blocks, made.block(field, 0, 300)[:25])


def test_a_batch_too_large_for_the_accelerator_is_halved() -> None:
    def encode(x: Tensor) -> Tensor:
        if len(x) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x.flatten(1)[:, :2]

    field = LatentField(encode, lambda z: z, latent_shape=2)
    limit = 300
    whole = starts.encoded(IMAGES).block(field, 0, 100)
    limit = 7
    assert torch.equal(starts.encoded(IMAGES).block(field, 0, 100), whole)
    limit = 0
    with pytest.raises(OutOfMemoryError, match="no batch size helps"):
        starts.encoded(IMAGES).block(field, 0, 100)


def test_encoded_in_other_batches_differ_by_rounding_only() -> None:
    torch.manual_seed(0)
    field = LatentField(
        nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4)),
        nn.Sequential(nn.Linear(4, 6), nn.Unflatten(1, (1, 2, 3))),
        latent_shape=4,
    )
    made = starts.encoded(IMAGES)
    ones = torch.cat([made.block(field, i, i + 1) for i in range(50)])
    assert torch.allclose(made.block(field, 0, 50), ones, rtol=1e-5, atol=1e-6)


def test_blocks_are_not_the_users_tensor() -> None:
    latents = torch.rand(4, 2)
    block = as_starts(latents).block(PLANE, 0, 4)
    assert torch.equal(block, latents)
    block += 1
    assert float(latents.max()) < 1
    identity = LatentField(lambda x: x, lambda z: z, latent_shape=2)
    images = load_images(latents)
    starts.encoded(images).block(identity, 0, 4).add_(1)
    assert torch.equal(images.pixels, latents)


def test_as_starts() -> None:
    given = starts.gaussian(3)
    assert as_starts(given) is given
    assert torch.equal(as_starts(np.eye(2)).block(PLANE, 0, 2), torch.eye(2))
    assert torch.equal(as_starts(np.eye(2)[::-1]).block(PLANE, 0, 2), torch.eye(2).flip(0))
    frozen = np.eye(2)
    frozen.flags.writeable = False
    assert torch.equal(as_starts(frozen).block(PLANE, 0, 2), torch.eye(2))
    with pytest.raises(InputError, match=r"not from a str; for images use starts\.encoded\(data\)"):
        as_starts("mnist.npz")  # type: ignore[arg-type]


def test_provenance_names_what_the_starts_depend_on() -> None:
    assert starts.gaussian(10, seed=4).provenance == {
        "kind": "gaussian",
        "std": 1.0,
        "seed": 4,
        "first": 0,
        "last": 10,
    }
    assert starts.gaussian(1000, seed=4)[:10].provenance == starts.gaussian(10, seed=4).provenance
    latents = torch.rand(4, 2)
    assert starts.points(latents).provenance == starts.points(latents.clone()).provenance
    assert starts.points(latents).provenance != starts.points(latents + 1).provenance
    assert starts.points(latents.bfloat16()).provenance["sha256"]
    images = load_images(IMAGES, limit=5)
    data = starts.encoded(images).provenance["data"]
    assert data["sha256"] == images.fingerprint
    assert data["image_shape"] == [1, 2, 3]
    assert data["limit"] == 5
    assert starts.encoded(IMAGES, limit=5).provenance == starts.encoded(images).provenance


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (starts.gaussian(5000, seed=2), "5,000 draws from N(0, 1²), seed 2"),
        (starts.box(7, 0, [1, 2]), "7 uniform draws from [0, 1]×[0, 2], seed 0"),
        (
            starts.box(7, -1, np.arange(9)),
            "7 uniform draws from a box of 9 coordinates within [-1, 8], seed 0",
        ),
        (starts.grid((0, -1), (2, 1), (4, 5)), "20 points of a 4×5 grid over [0, 2]×[-1, 1]"),
        (starts.encoded(IMAGES), "300 encoded images 1×2×3 from ndarray"),
        (starts.encoded(torch.rand(4, 7)), "4 encoded vectors 7 from Tensor"),
        (
            starts.noise_images(9, (1, 8, 8)),
            "9 encoded noise images 1×8×8 with pixels from [0, 1], seed 0",
        ),
        (starts.points(torch.zeros(6, 2)), "6 given points 2"),
    ],
)
def test_descriptions(made: Starts, words: str) -> None:
    assert made.describe() == words
    assert repr(made) == f"Starts({words})"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: starts.gaussian(0), "count must be a whole number, at least 1, not 0."),
        (lambda: starts.gaussian(2.5), "count must be a whole number"),  # type: ignore[arg-type]
        (lambda: starts.gaussian(True), "count must be a whole number"),
        (lambda: starts.gaussian(5, std=-1), "std must be positive and finite, not -1."),
        (lambda: starts.gaussian(5, std=0), "std must be positive"),
        (lambda: starts.gaussian(5, std=float("inf")), "std must be positive and finite"),
        (lambda: starts.gaussian(5, std="wide"), "std must be a number"),  # type: ignore[arg-type]
        (lambda: starts.gaussian(5, seed=-1), "seed must be a whole number from 0"),
        (lambda: starts.gaussian(5, seed=2**64), "seed must be a whole number from 0"),
        (lambda: starts.gaussian(5, seed=None), "seed must be a whole number from 0"),  # type: ignore[arg-type]
        (lambda: starts.box(5, [0, 0], [1, 1, 1]), "low has 2 entries and high 3"),
        (lambda: starts.box(5, 1, 0), "low=1 must lie below high=0"),
        (lambda: starts.box(5, 1, 1), "low=1 must lie below high=1"),
        (lambda: starts.box(5, [], 1), "low must be finite and not empty"),
        (lambda: starts.grid(0, 1, 5), "shape must be (rows, columns)"),  # type: ignore[arg-type]
        (lambda: starts.grid(0, 1, (0, 5)), "shape must be a whole number"),
        (lambda: starts.grid((0, 0, 0), 1, (2, 2)), "must be numbers or pairs (x, y)"),
        (lambda: starts.grid(1, 0, (2, 2)), "low below high"),
        (lambda: starts.grid(0, 1, (2, 2), axes=np.eye(3)), "axes must be two latent vectors"),
        (lambda: starts.grid(0, 1, (2, 2), axes=[[1, 1], [2, 2]]), "choose independent ones"),
        (lambda: starts.noise_images(5, ()), "image_shape must have at least one axis"),
        (lambda: starts.noise_images(5, (1, 0, 4)), "image_shape must be a whole number"),
        (lambda: starts.noise_images(5, (1, 4, 4), low=1), "low=1 must lie below high=1.0"),
        (lambda: starts.points(torch.zeros(0, 2)), "at least one point"),
        (lambda: starts.points(torch.zeros(2)), "for one point use z[None]"),
        (lambda: starts.points(torch.tensor([[1.0, float("nan")]])), "leave out those that are NaN"),
        (lambda: starts.points("z"), "not a str"),  # type: ignore[arg-type]
        (lambda: starts.gaussian(5)[5:5], "choose 0 ≤ first < last ≤ 5"),
        (lambda: starts.gaussian(5)[::2], "leave the step"),
        (lambda: starts.gaussian(5).subset(2, 9), "choose 0 ≤ first < last ≤ 5"),
        (lambda: starts.gaussian(5).block(PLANE, 2, 9), "stay within 0 to 5"),
        (lambda: starts.gaussian(5)[:2].block(PLANE, 2, 3), "stay within 0 to 2"),
        (lambda: starts.box(5, [0, 0, 0], 1).block(PLANE, 0, 5), "3 entries in low and the latent space 2"),
        (lambda: starts.box(5, 0, [1, 1, 1]).block(PLANE, 0, 5), "3 entries in high and the latent space 2"),
        (lambda: starts.grid(0, 1, (2, 2)).block(MAPS, 0, 4), "axes=(2, 6)"),
        (lambda: starts.grid(0, 1, (2, 2), axes=np.eye(3)[:2]).block(MAPS, 0, 4), "grid's axes 3"),
        (lambda: starts.grid(0, 1, (2, 2), origin=[0, 0, 0]).block(PLANE, 0, 4), "grid's origin 3"),
        (lambda: starts.points(torch.zeros(4, 6)).block(MAPS, 0, 4), "6 and the latents of model 2×3×1"),
    ],
)
def test_bad_input_says_what_to_do(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        make()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_an_index_out_of_range_ends_a_loop() -> None:
    with pytest.raises(IndexError):
        starts.gaussian(5)[5]
    assert [part.first for part in starts.gaussian(3)] == [0, 1, 2]
    assert starts.gaussian(5)[-1].first == 4


def conv_field(channels: int, side: int) -> LatentField:
    encoder = nn.Sequential(nn.Conv2d(channels, 2, 3, stride=2, padding=1), nn.Flatten(), nn.Linear(side**2 // 2, 4))
    decoder = nn.Sequential(nn.Linear(4, channels * side**2), nn.Unflatten(1, (channels, side, side)))
    return LatentField(encoder, decoder, latent_shape=4)


@pytest.mark.parametrize(
    ("field", "shape", "words"),
    [
        (conv_field(1, 32), (1, 28, 28), "size=(32, 32)"),
        (conv_field(3, 8), (1, 8, 8), "x.expand(-1, 3, -1, -1)"),
        (conv_field(1, 8), (3, 8, 8), "x.mean(1, keepdim=True)"),
        (conv_field(1, 8), (64,), "x.reshape(-1, 1, 8, 8)"),
        (conv_field(1, 8), (65,), "give data of shape 1×8×8"),
    ],
)
def test_data_of_another_shape_name_both(field: LatentField, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(InputError) as caught:
        starts.noise_images(3, shape).block(field, 0, 3)
    message = str(caught.value)
    assert f"have shape {'×'.join(map(str, shape))}" in message
    assert words in message
    assert "\n" not in message


def test_latents_of_another_shape_and_broken_models() -> None:
    pooling = LatentField(nn.AvgPool2d(2), nn.Upsample(scale_factor=2), latent_shape=(1, 4, 4))
    with pytest.raises(InputError, match=r"shape 1×16×16 .* makes 1×8×8, .*makes 1×8×8 of it.*space is 1×4×4; resize"):
        starts.noise_images(3, (1, 16, 16)).block(pooling, 0, 3)

    def broken(_: Tensor) -> Tensor:
        raise RuntimeError("weights are missing\nmore")

    with pytest.raises(InputError, match=r"refuses it \(weights are missing\); check"):
        starts.noise_images(3, (4,)).block(LatentField(broken, lambda z: z, latent_shape=4), 0, 3)
    with pytest.raises(InputError, match=r"shape 1×2×3, and the encoder refuses it \(weights are missing\)"):
        starts.encoded(IMAGES).block(LatentField(broken, broken, latent_shape=4), 0, 3)
    with pytest.raises(FieldError, match="returned a tuple"):
        starts.encoded(IMAGES).block(LatentField(lambda x: (x, x), lambda z: z, latent_shape=4), 0, 3)


@pytest.mark.real
def test_real_images_through_a_real_shape(real_data: Path) -> None:
    torch.manual_seed(0)
    made = starts.encoded(load_images(f"{real_data / 'data' / 'mnist.npz'}#x_test", limit=300, size=(32, 32)))
    latents = made.block(conv_field(1, 32), 0, 300)
    assert latents.shape == (300, 4)
    assert torch.isfinite(latents).all()
    assert latents.std(0).min() > 1e-3
    with pytest.raises(InputError, match=r"1×28×28 where the model's decoder makes 1×32×32.*size=\(32, 32\)"):
        starts.encoded(f"{real_data / 'data' / 'mnist.npz'}#x_test", limit=3).block(conv_field(1, 32), 0, 3)


def test_more_starts_than_fit_into_half_of_the_memory_are_refused() -> None:
    field = LatentField.from_map(torch.tanh, latent_shape=(2,))
    endless = starts.gaussian(999_999_999_999_999, seed=0)
    for search in (find_attractors, iterate):
        with pytest.raises(
            InputError, match=r"999,999,999,999,999 starts would take .* GB of memory.*give fewer starts"
        ):
            search(field, endless)
