"""The fields of three autoencoders with k = 2: attractors, basins, and where orbits from a grid end. Figure 1 of Fumero et al.

    SEPARATRIX_DATA=... python reproduce/fields.py [--seeds 3]

MNIST, trained here as contraction.py does, with an untrained copy of each beside it. A grid of 40×40 covers the encoded data. Writes fields.json,
.md and .png; what is there is not computed again.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import torch
from contraction import images, trained
from parts import Parts, rows, spent

import separatrix as sx
from separatrix.errors import ConvergenceWarning
from separatrix.models import untrained_copy

SIDE = 40  # of the grid
ARROWS = 20
MARGIN = 0.1  # of the extent of the data, around it


def measured(seed: int, kept: Path) -> dict[str, Any]:
    """Where a grid over the encoded data ends, and what a picture of it needs."""
    train = images("mnist", 5000)
    field = trained(f"mnist_k2_seed{seed}", train, kept)
    with torch.no_grad():
        z = field.encode(train[:1000])
    low, high = z.amin(dim=0), z.amax(dim=0)
    low, high = low - MARGIN * (high - low), high + MARGIN * (high - low)
    box = (low.tolist(), high.tolist())
    found = sx.find_attractors(field, sx.starts.grid(*box, shape=(SIDE, SIDE)))
    fresh = untrained_copy(field, seed)
    # The same distance around what the untrained encoder makes of the images: its latents are elsewhere.
    own = fresh.encode(train[:1000])
    nothing = sx.find_attractors(fresh, sx.starts.grid(own.amin().item(), own.amax().item() + 1e-3, shape=(10, 10)))
    coarse = sx.starts.grid(*box, shape=(ARROWS, ARROWS)).block(field, 0, ARROWS**2)
    with torch.no_grad():
        v = field.velocity(coarse)
    attracted = (found.stable == 1)[found.labels.clamp(min=0)] & (found.labels >= 0)
    return {
        "attractors": len(found.attractors),
        "limit_sets": len(found),
        "reached": float(attracted.double().mean()),
        "untrained": len(nothing.attractors),
        "rho": found.attractors.spectral_radius.tolist(),
        "box": [low.tolist(), high.tolist()],
        "labels": found.labels.tolist(),
        "points": found.attractors.points.tolist(),
        "codes": z[:300].tolist(),
        "arrows": v.tolist(),
    }


def draw(record: dict[str, Any], path: Path) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    parts = record["parts"]
    colours = ListedColormap(["#f2f2f2", *[f"C{number}" for number in range(10)]])
    figure = Figure(figsize=(4.4 * len(parts), 4.6), layout="constrained")
    for axes, (name, part) in zip(figure.subplots(1, len(parts), squeeze=False).flat, parts.items(), strict=True):
        (left, bottom), (right, top) = part["box"]
        labels = torch.tensor(part["labels"]).reshape(SIDE, SIDE)
        shown = torch.where(labels < 0, 0, 1 + labels % 10)
        extent = (left, right, bottom, top)
        axes.imshow(shown, origin="lower", extent=extent, cmap=colours, vmin=0, vmax=10, alpha=0.35, aspect="auto")
        x, y = torch.linspace(left, right, ARROWS), torch.linspace(bottom, top, ARROWS)
        v = torch.tensor(part["arrows"])
        unit = (v / v.norm(dim=1, keepdim=True).clamp(min=1e-12)).reshape(ARROWS, ARROWS, 2)
        axes.quiver(x, y, unit[..., 0], unit[..., 1], color="#444", width=0.003, scale=32)
        codes, points = torch.tensor(part["codes"]), torch.tensor(part["points"])
        axes.scatter(*codes.T, s=4, color="#222", alpha=0.35, linewidths=0)
        axes.scatter(*points.T, s=110, marker="*", color="white", edgecolors="black", zorder=3)
        axes.set_title(f"{name}: {part['attractors']} attractors", loc="left", fontsize=10)
    figure.savefig(path, dpi=110)


def page(record: dict[str, Any]) -> str:
    return "\n".join(
        [
            "# Fields of autoencoders with two latents",
            "",
            f"`python reproduce/fields.py`, {spent(record)}. MNIST, 5000 images, 20 epochs; a grid of {SIDE}×{SIDE} over the encoded data. Colours: basins; grey points: "
            "codes of images; stars: attractors; arrows: the direction of v.",
            "",
            "![fields](fields.png)",
            "",
            *rows(
                ["network", "attractors", "orbits that end at one", "ρ", "attractors of an untrained copy"],
                [
                    [
                        name,
                        f"{part['attractors']}",
                        f"{100 * part['reached']:.1f} %",
                        ", ".join(f"{rho:.2f}" for rho in part["rho"]),
                        f"{part['untrained']}",
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
    parser.add_argument("--kept", type=Path, default=Path("runs/kept"), help="folder of the networks trained here")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    options.kept.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore", ConvergenceWarning)
    parts = Parts(options.out / "fields.json")
    for seed in range(options.seeds):
        parts.make(f"seed {seed}", lambda seed=seed: measured(seed, options.kept))
    draw(parts.record, options.out / "fields.png")
    (options.out / "fields.md").write_text(page(parts.record), encoding="utf-8")


if __name__ == "__main__":
    main()
