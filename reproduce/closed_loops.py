"""Residuals and norms along orbits of a masked autoencoder and of encoders that had no decoder (Figures 12 and 16 of Fumero et al.).

    SEPARATRIX_DATA=... python reproduce/closed_loops.py [--seeds 3] [--steps 300]

* masked: a ViTMAE of three layers, trained here on FashionMNIST by hiding patches, iterated unmasked.
* encoder only: the features of a convolutional classifier of FashionMNIST, frozen, with a decoder trained on them.

Each beside the same with untrained weights (an untrained encoder gets a trained decoder all the same). Latent residual ‖f(z) − z‖, output residual, ‖z‖ per
step. Writes closed_loops.json, .md and .png; what is there is not computed again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from contraction import images
from foundation_orbits import quantiles, run
from parts import Parts, rows, spent
from probing_inputs import data
from torch import Tensor, nn

import separatrix as sx
from separatrix.models import untrained_copy

COUNTS = {"masked": 64, "encoder only": 500}
WIDTH = 64  # of the classifier's features
SHOWN = ("residual", "output_residual", "norm")


def masked(seed: int, trained: bool) -> sx.LatentField:
    sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
    from vit_mae import vit_mae  # transformers takes seconds to import

    with tempfile.TemporaryDirectory() as folder:
        # Untrained is the same network before its first step: the folder is what says how it is built.
        field = vit_mae(
            Path(folder), images("fashion_mnist", 5000 if trained else 128), epochs=10 if trained else 1, seed=seed
        )
        return field if trained else untrained_copy(field, seed)


class Classifier(nn.Module):
    """Features of images, and a linear layer on them that training needs and nobody else."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 7 * 7, WIDTH),
        )
        self.head = nn.Linear(WIDTH, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).relu())


def encoder_only(seed: int, trained: bool) -> sx.LatentField:
    torch.manual_seed(seed)
    x = images("fashion_mnist", 5000)
    labels = torch.from_numpy(_labels()[: len(x)]).long()
    model = Classifier()
    generator = torch.Generator().manual_seed(seed)
    if trained:
        _fit(model, lambda rows: nn.functional.cross_entropy(model(x[rows]), labels[rows]), len(x), 600, generator)
    encoder = model.features.eval().requires_grad_(False)
    with torch.no_grad():
        codes = encoder(x)
    decoder = nn.Sequential(
        nn.Linear(WIDTH, 32 * 7 * 7),
        nn.ReLU(),
        nn.Unflatten(1, (32, 7, 7)),
        nn.ConvTranspose2d(32, 16, 3, stride=2, padding=1, output_padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 1, 3, stride=2, padding=1, output_padding=1),
        nn.Sigmoid(),
    )
    # Features of an untrained encoder are small; the decoder is told their scale, as a trained one would learn it.
    mean, scale = codes.mean(dim=0), codes.std().clamp(min=1e-6)
    _fit(
        decoder, lambda rows: (decoder((codes[rows] - mean) / scale) - x[rows]).square().mean(), len(x), 1200, generator
    )
    decoder.eval().requires_grad_(False)
    return sx.LatentField(encoder, lambda z: decoder((z - mean) / scale), latent_shape=(WIDTH,))


def _fit(model: nn.Module, loss_of: Any, count: int, steps: int, generator: torch.Generator) -> None:
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(steps):
        loss = loss_of(torch.randint(count, (128,), generator=generator))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def _labels() -> Any:
    import numpy as np

    with np.load(data() / "data/fashion_mnist.npz") as file:
        return file["y_train"]


MADE = {"masked": masked, "encoder only": encoder_only}


def measured(kind: str, seed: int, trained: bool, steps: int) -> dict[str, Any]:
    field = MADE[kind](seed, trained)
    source = data() / "data/fashion_mnist.npz"
    x = sx.data.load_images(source, key="x_test", limit=COUNTS[kind], size=(28, 28)).pixels
    with torch.no_grad():
        z = field.encode(x)
        error = float((field.decode(z) - x).square().mean())
        columns, _ = run(field, z, steps)
    return {
        "error": error,
        "mean_image": float((x.mean(dim=0) - x).square().mean()),
        "orbits": len(x),
        "largest": float(columns["norm"].max() / columns["norm"][0].median()),
        **{name: quantiles(columns[name]) for name in SHOWN},
    }


def draw(record: dict[str, Any], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    panels = figure.subplots(2, 3)
    for line, kind in zip(panels, MADE, strict=True):
        for axes, column in zip(line, SHOWN, strict=True):
            for name, part in record["parts"].items():
                if name.startswith(f"{kind}, "):
                    colour = "#3b4ba3" if ", trained" in name else "#d9697a"
                    band, steps = part[column], range(len(part[column]["median"]))
                    axes.plot(
                        steps,
                        band["median"],
                        color=colour,
                        linewidth=1.2,
                        label=name.split(", ")[1] if ", seed 0" in name else None,
                    )
                    axes.fill_between(steps, band["p5"], band["p95"], color=colour, alpha=0.12, linewidth=0)
            axes.set_title(f"{kind}: {column.replace('_', ' ')}", loc="left", fontsize=10)
            if column != "norm":
                axes.set_yscale("log")
    panels[0, 0].legend(frameon=False)
    figure.savefig(path, dpi=110)


def page(record: dict[str, Any]) -> str:
    def ratio(part: dict[str, Any], column: str) -> str:
        median = part[column]["median"]
        return f"{median[-1] / median[1]:.2g}"

    return "\n".join(
        [
            "# Loops closed: a masked autoencoder, and encoders with a decoder of their own",
            "",
            f"`python reproduce/closed_loops.py`, {spent(record)}. Medians over test images of FashionMNIST; bands of the figure: 5 to 95 %. Error: mean squared "
            "error of D(E(x)) per pixel, and of the mean image. Ratios: of the last step over step 1.",
            "",
            "![residuals](closed_loops.png)",
            "",
            *rows(
                [
                    "network",
                    "error",
                    "mean image",
                    "orbits",
                    "latent residual, ratio",
                    "output residual, ratio",
                    "largest ‖z‖ over the first median",
                ],
                [
                    [
                        name,
                        f"{part['error']:.4f}",
                        f"{part['mean_image']:.4f}",
                        f"{part['orbits']}",
                        ratio(part, "residual"),
                        ratio(part, "output_residual"),
                        f"{part['largest']:.2f}",
                    ]
                    for name, part in record["parts"].items()
                ],
            ),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    parts = Parts(options.out / "closed_loops.json")
    for seed in range(options.seeds):
        for kind in MADE:
            for trained in (True, False):
                name = f"{kind}, {'trained' if trained else 'untrained'}, seed {seed}"
                parts.make(
                    name, lambda kind=kind, seed=seed, trained=trained: measured(kind, seed, trained, options.steps)
                )
    draw(parts.record, options.out / "closed_loops.png")
    (options.out / "closed_loops.md").write_text(page(parts.record), encoding="utf-8")


if __name__ == "__main__":
    main()
