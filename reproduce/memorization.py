"""Memorization and generalization across bottlenecks, training-set sizes, and in an associative memory; every number with its null.

    SEPARATRIX_DATA=... python reproduce/memorization.py [--full] [--seeds 3] [--only bottleneck size memory]
        [--device cpu] [--out reproduce/results]

* bottleneck: the paper's convolutional autoencoder, k = 2 to 512, on MNIST, FashionMNIST and CIFAR-10.
* size: k = 128 on FashionMNIST, 20 to 5000 training images, equally many steps of training.
* memory: a fully connected autoencoder at near-zero loss on 50 images: how many are attractors, how many come back from
  noise, how many corrupted images return to their own.

CPU-sized by default (16 channels, 2000 images, 50 epochs of batches of 32, 200 starts); ``--full`` is the paper's size and wants a GPU. One run
is one line of memorization.json; what is there is not computed again, so the script can be interrupted. Writes
memorization.{json,md,png}.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from devices import available
from memorization_page import write_page
from torch import Tensor

import separatrix as sx
from separatrix.errors import ConvergenceWarning
from separatrix.limitsets._assemble import versions
from separatrix.models import ConvAutoencoder, DenseAutoencoder, train_autoencoder
from separatrix.protocol import Protocol

FILES = {"MNIST": "mnist.npz", "FashionMNIST": "fashion_mnist.npz", "CIFAR-10": "cifar10_10k2k.npz"}
BOTTLENECKS, SIZES = (2, 16, 128, 512), (20, 100, 500, 5000)


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    channels: int
    images: int
    epochs: int
    starts: int
    steps: int  # of training, in the comparison of training-set sizes
    batch: int
    rate: float  # of learning
    held_out: int = 1000


SMALL = Size(channels=16, images=2000, epochs=50, starts=200, steps=3000, batch=32, rate=2e-3)
FULL = Size(channels=32, images=50_000, epochs=500, starts=5000, steps=100_000, batch=128, rate=5e-4)


def images(name: str) -> tuple[Tensor, Tensor]:
    """Training and test images, ``(n, c, h, w)`` in [0, 1]."""
    with np.load(Path(os.environ["SEPARATRIX_DATA"]) / "data" / FILES[name]) as file:
        pair = [torch.from_numpy(file[key]).float() / 255 for key in ("x_train", "x_test")]
    train, test = (data[:, None] if data.ndim == 3 else data.permute(0, 3, 1, 2).contiguous() for data in pair)
    return train, test


def study(model: torch.nn.Module, train: Tensor, test: Tensor, size: Size, seed: int) -> dict[str, Any]:
    """Everything that is measured on one trained model."""
    field = model.field()  # type: ignore[operator]
    rules = Protocol(max_steps=3000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        limits, noise, unseen = (
            sx.find_attractors(field, starts, rules)
            for starts in (
                sx.starts.encoded(train[: size.starts]),
                sx.starts.gaussian(size.starts, seed=seed),
                sx.starts.encoded(test[-size.starts :]),
            )
        )
    held_out = test[: size.held_out]
    found = sx.memorization(field, limits, train, held_out, noise=noise, unseen=unseen, sample=200, seed=seed)
    like = found.resemblance
    slopes = sx.contraction(field, train, limit=16, seed=seed)
    return {
        "train_error": mse(field, train[:500]),
        "test_error": mse(field, held_out[:500]),
        "attractors": len(like),
        "unresolved": float((limits.labels < 0).double().mean()),
        "mem": float(like.coefficient.mean()) if len(like) else None,
        "mem_held_out": float(like.held_out.median()),
        "mem_other_train": float(found.other_train.median()),
        "mem_noise": float(like.noise.median()),
        "called": int(like.significant.sum()),
        "outcome": str(found.outcome),
        "exchange_p": None if found.exchange is None else found.exchange.p_value,
        "components": found.attractors.components,
        "entropy_rank": found.attractors.effective_rank,
        "components_of_images": found.train.components,
        "bound_holds": None if found.decomposition is None else float(found.decomposition.holds.double().mean()),
        "sources": {
            name: [row.attractors, row.shared, 1 - row.fates.limit_set / row.starts]
            for name, row in found.sources.items()
        },
        "chamfer_cosine": None if found.chamfer is None else found.chamfer.cosine,
        "norms": {row.name: row.norm[1] for row in slopes.rows},
        "evaluations": limits.cost.map + noise.cost.map + unseen.cost.map,
    }


def mse(field: sx.LatentField, data: Tensor) -> float:
    data = data.to(field.device)
    return float((field.reconstruct(data) - data).square().mean())


def bottleneck(name: str, k: int, seed: int, size: Size, device: torch.device) -> dict[str, Any]:
    train, test = images(name)
    train = train[: size.images]
    torch.manual_seed(seed)
    model = ConvAutoencoder(tuple(train.shape[1:]), k, base_channels=size.channels).to(device)
    colour = name == "CIFAR-10"
    # The gradients of these images are small beside a weight decay of 1e-4, which leaves the network at the mean image (a loss
    # of 0.063) at any rate of learning; without it, at the paper's rate, all bottlenecks learn.
    train_autoencoder(
        model,
        train,
        epochs=size.epochs,
        seed=seed,
        batch_size=size.batch,
        learning_rate=5e-4 if colour else size.rate,
        weight_decay=0.0 if colour else 1e-4,
    )
    return study(model, train, test, size, seed)


def training_size(count: int, seed: int, size: Size, device: torch.device) -> dict[str, Any]:
    train, test = images("FashionMNIST")
    train = train[:count]
    torch.manual_seed(seed)
    model = ConvAutoencoder((1, 28, 28), 128, base_channels=size.channels).to(device)
    per_epoch = max(1, -(-count // size.batch))
    train_autoencoder(
        model, train, epochs=max(1, size.steps // per_epoch), seed=seed, batch_size=size.batch, learning_rate=size.rate
    )
    return study(model, train, test, size, seed)


def memory(seed: int, size: Size, device: torch.device) -> dict[str, Any]:
    """What 50 images leave behind in an overparameterized network, and what comes back from damage."""
    train, test = images("FashionMNIST")
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    train = train[order[:50]]
    torch.manual_seed(seed)
    model = DenseAutoencoder((1, 28, 28), 64, hidden=(512, 512, 512), final="identity", activation="silu").to(device)
    history = train_autoencoder(model, train, epochs=4000, batch_size=50, weight_decay=0.0, seed=seed)
    field = model.field()
    latents = field.encode(train.to(device)).cpu()
    radius = torch.cat(
        [sx.contraction(field, sx.starts.points(latents), groups={"data": 1.0}, untrained=False).spectral_radius]
    )
    record = study(model, train, test, size, seed)
    generator = torch.Generator().manual_seed(seed)
    damaged = {
        "pixel noise, σ = 0.3": (train + 0.3 * torch.randn(train.shape, generator=generator)).clamp(0, 1),
        "lower half black": torch.cat((train[:, :, :14], torch.zeros_like(train[:, :, 14:])), dim=2),
    }
    returned = {name: comes_back(field, some, train) for name, some in damaged.items()}
    noise = ends(field, sx.starts.gaussian(200, seed=seed))
    apart = torch.cdist(field.decode(noise.to(device, field.dtype)).cpu().flatten(1), train.flatten(1))
    return {
        **record,
        "loss": history.train_loss[-1],
        "attracting_codes": int((radius < 1).sum()),
        "retrieved_from_noise": len(apart.argmin(dim=1)[apart.amin(dim=1) < CLOSE].unique()),
        "returned": returned,
    }


CLOSE = 0.5  # in the norm of an image of 784 pixels; two training images are 4 to 14 apart


def comes_back(field: sx.LatentField, damaged: Tensor, train: Tensor) -> int:
    """Damaged images whose orbit ends at their own original."""
    decoded = field.decode(ends(field, sx.starts.encoded(damaged)).to(field.device, field.dtype)).cpu()
    return int(((decoded - train).flatten(1).norm(dim=1) < CLOSE).sum())


def ends(field: sx.LatentField, starts: sx.starts.Starts) -> Tensor:
    """Where the orbits are after at most 3000 steps, settled or not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return sx.iterate(field, starts, Protocol(max_steps=3000)).points


def jobs(seeds: int, only: list[str], size: Size, device: torch.device) -> list[tuple[dict[str, Any], Any]]:
    """What is to be computed: the key of a run and the function that makes it. All of one seed before the next."""
    made: list[tuple[dict[str, Any], Any]] = []
    for seed in range(seeds):
        if "bottleneck" in only:
            made += [
                (
                    {"part": "bottleneck", "data": name, "k": k, "seed": seed},
                    lambda name=name, k=k, seed=seed: bottleneck(name, k, seed, size, device),
                )
                for name in FILES
                for k in BOTTLENECKS
            ]
        if "size" in only:
            made += [
                (
                    {"part": "size", "images": n, "seed": seed},
                    lambda n=n, seed=seed: training_size(n, seed, size, device),
                )
                for n in SIZES
            ]
    if "memory" in only:
        made += [
            ({"part": "memory", "seed": seed}, lambda seed=seed: memory(seed, size, device)) for seed in range(seeds)
        ]
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--only", nargs="+", choices=["bottleneck", "size", "memory"], default=["memory", "size", "bottleneck"]
    )
    parser.add_argument("--device", type=available, default="cpu")
    parser.add_argument("--out", type=Path, default=Path("reproduce/results"))
    options = parser.parse_args()
    size = FULL if options.full else SMALL
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "memorization.json"
    record = json.loads(file.read_text()) if file.exists() else {"versions": versions(), "runs": []}
    for key, function in jobs(options.seeds, options.only, size, options.device):
        key = {**key, "full": options.full}
        if any(all(run.get(name) == value for name, value in key.items()) for run in record["runs"]):
            continue
        began = time.perf_counter()
        run = {**key, **function(), "seconds": time.perf_counter() - began}
        print(
            json.dumps({name: run[name] for name in (*key, "attractors", "mem", "called", "outcome", "seconds")}),
            flush=True,
        )
        record["runs"].append(run)
        file.write_text(json.dumps(record, indent=1) + "\n")
    write_page(record, options.out)


if __name__ == "__main__":
    main()
