"""Draw the pictures of the concepts, and train the small model of the living page: ``python docs/pictures.py``, a minute.

Both are committed: maps with known answers do not change, and a site that trains while it is built is slow.
"""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import separatrix as sx
from separatrix.models import DenseAutoencoder, save_model, train_autoencoder

HERE = Path(__file__).parent


def portrait() -> Figure:
    """All nine fixed points of tanh(2z) in two coordinates, and the arrows between them."""
    field = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(2,), name="tanh(2z)")
    limits = sx.find_fixed_points(field, sx.starts.box(400, -1.2, 1.2, seed=0))
    return sx.plots.field_portrait(
        limits, field, extent=(-1.3, 1.3, -1.3, 1.3), title="Nine fixed points, four of which attract"
    )


def basins() -> Figure:
    """The basins of its four attractors."""
    field = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(2,), name="tanh(2z)")
    shape, extent = (60, 60), (-1.3, 1.3, -1.3, 1.3)
    limits = sx.find_attractors(field, sx.starts.grid((-1.29, -1.29), (1.29, 1.29), shape))
    return sx.plots.basin_map(
        limits, shape=shape, extent=extent, field=field, title="Four basins; their borders are separatrices"
    )


def transient() -> Figure:
    """An orbit of the non-normal map (0.5, 10; 0, 0.5) from (0, 1): away tenfold, then back."""
    matrix = torch.tensor([[0.5, 10.0], [0.0, 0.5]], dtype=torch.float64)
    z, lengths = torch.tensor([0.0, 1.0], dtype=torch.float64), []
    for _ in range(30):
        lengths.append(float(z.norm()))
        z = matrix @ z
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.add_subplot()
    axes.semilogy(lengths, marker="o", markersize=3, linewidth=1.2, color="#2a6f97")
    axes.set(xlabel="steps", ylabel="distance to the attractor", title="ρ = 0.5, ‖J‖₂ = 10: first away, then back")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def digits_in_two_numbers() -> None:
    """Digits of 8×8 pixels through two latent numbers and back."""
    images = torch.from_numpy(load_digits().images / 16).float()[:, None]
    torch.manual_seed(0)
    network = DenseAutoencoder((1, 8, 8), 2, hidden=(64, 32))
    train_autoencoder(network, images[:1400], epochs=60, learning_rate=5e-3, noise_std=0.2, held_out=images[1400:])
    save_model(network, HERE / "static" / "digits.safetensors")


if __name__ == "__main__":
    digits_in_two_numbers()
    for draw in (portrait, basins, transient):
        draw().savefig(HERE / "pictures" / f"{draw.__name__}.png", dpi=110)
