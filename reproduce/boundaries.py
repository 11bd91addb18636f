"""Does the exponent of the basin boundaries foretell how many orbits a disturbance sends elsewhere?

    SEPARATRIX_DATA=... python reproduce/boundaries.py [--models conv2 ...]

f(ε) is the share of starts whose attractor changes when ε·spread·N(0, I)/√k is added; near boundaries f ∝ ε^α (Grebogi, McDonald, Ott & Yorke
1983), α = 1 where they are smooth. α is fitted at five small ε and foretells the share that keeps its attractor at an ε four times the largest of
them, as *Knowledge as Dynamics* (Helou & Nemytchenko 2026) does; so do its rivals, α = 1 and the share of starts that converge. Starts are
encoded images. Writes boundaries.json, .md and .png; what is there is not computed again.
"""

from __future__ import annotations

import argparse
import math
import warnings
from pathlib import Path
from typing import Any

import torch
from contraction import MNIST, images, trained
from parts import Parts, rows, spent
from probing_inputs import fashion_model
from torch import Tensor

import separatrix as sx
from separatrix.errors import ConvergenceWarning
from separatrix.numerics import bootstrap_means

FITTED = tuple(2.0**power for power in range(-9, -4))
ASKED = 4 * FITTED[-1]
STARTS = {"oracle": 2000, **dict.fromkeys(MNIST, 1000), "conv2": 400, "conv8": 200, "conv128": 300}


def prepared(name: str, kept: Path) -> tuple[sx.LatentField, sx.starts.Starts]:
    count = STARTS[name]
    if name == "oracle":
        field = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(2,), dtype=torch.float64)
        return field, sx.starts.box(count, -1, 1, seed=0)
    if name in MNIST:
        train = images("mnist", 5000)
        return trained(name, train, kept), sx.starts.encoded(train[:count])
    return fashion_model(name), sx.starts.encoded(images("fashion_mnist", count))


def measured(name: str, kept: Path) -> dict[str, Any]:
    """One search of the starts and of all their disturbed copies, so that attractors have one numbering."""
    field, starts = prepared(name, kept)
    z = starts.block(field, 0, len(starts)).double()
    spread = float((z - z.mean(dim=0)).square().sum(dim=1).mean().sqrt())
    generator = torch.Generator().manual_seed(0)
    clouds = [
        z + size * spread / math.sqrt(z.shape[1]) * torch.randn(z.shape, generator=generator, dtype=torch.float64)
        for size in (*FITTED, ASKED)
    ]
    found = sx.find_attractors(field, sx.starts.points(torch.cat([z, *clouds]).to(field.dtype)))
    labels = found.labels.reshape(2 + len(FITTED), len(z))
    settled = labels[0] >= 0
    changed = (labels[1:, settled] != labels[0, settled]).double()
    shares = changed.mean(dim=1)
    fits = torch.stack([fitted(means) for means in bootstrap_means(changed[:-1].T, repeats=500)])
    alpha, level = fitted(shares[:-1]).tolist()
    slopes = fits[:, 0][fits[:, 0].isfinite()]
    known = bool(len(slopes))
    return {
        "k": z.shape[1],
        "starts": int(settled.sum()),
        "attractors": len(found.attractors),
        "converged": float(settled.double().mean()),
        "changed": shares.tolist(),
        "changed_at_least": int(changed[0].sum()),
        "alpha": alpha,
        "alpha_low": float(slopes.quantile(0.025)) if known else math.nan,
        "alpha_high": float(slopes.quantile(0.975)) if known else math.nan,
        "kept": 1 - float(shares[-1]),
        "foretold": 1 - min(1.0, math.exp(level + alpha * math.log(ASKED))) if math.isfinite(alpha) else 1.0,
        "foretold_smooth": 1 - min(1.0, float(shares[-2]) * ASKED / FITTED[-1]),
    }


def fitted(shares: Tensor) -> Tensor:
    """Slope and level of log f against log ε, over those that are not 0; NaN where fewer than two are."""
    some = shares > 0
    if int(some.sum()) < 2:
        return torch.full((2,), math.nan, dtype=torch.float64)
    x = torch.tensor(FITTED, dtype=torch.float64).log()[some]
    y = shares[some].log()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    return torch.stack([slope, y.mean() - slope * x.mean()])


def draw(record: dict[str, Any], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.subplots()
    for name, part in record["parts"].items():
        sizes = [size for size, share in zip((*FITTED, ASKED), part["changed"], strict=True) if share]
        axes.plot(sizes, [share for share in part["changed"] if share], marker="o", markersize=4, label=name)
    axes.plot([FITTED[0], ASKED], [FITTED[0], ASKED], color="#888", linestyle=":", label="α = 1")
    axes.set(xscale="log", yscale="log", xlabel="ε, share of the spread", ylabel="starts whose attractor changes")
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def page(record: dict[str, Any]) -> str:
    return "\n".join(
        [
            "# The exponent of basin boundaries",
            "",
            f"`python reproduce/boundaries.py`, {spent(record)}. f: share of starts whose attractor changes when ε·spread·N(0, I)/√k is added; α is fitted at ε = "
            f"{FITTED[0]:.4f} to {FITTED[-1]:.4f} (95 %: bootstrap over starts) and foretells the share that keeps its attractor at ε = {ASKED:g}.",
            "",
            "![boundaries](boundaries.png)",
            "",
            *rows(
                [
                    "network",
                    "k",
                    "attractors",
                    "converged",
                    "f at the least ε",
                    "α (95 %)",
                    "keeps, measured",
                    "foretold",
                    "with α = 1",
                ],
                [
                    [
                        name,
                        f"{part['k']}",
                        f"{part['attractors']}",
                        f"{part['converged']:.3f}",
                        f"{part['changed'][0]:.4f}",
                        "–"
                        if part["alpha"] is None
                        else f"{part['alpha']:.2f} ({part['alpha_low']:.2f} to {part['alpha_high']:.2f})",
                        f"{part['kept']:.3f}",
                        f"{part['foretold']:.3f}",
                        f"{part['foretold_smooth']:.3f}",
                    ]
                    for name, part in record["parts"].items()
                ],
            ),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=tuple(STARTS), default=tuple(STARTS))
    parser.add_argument("--kept", type=Path, default=Path("runs/kept"), help="folder of the networks trained here")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    options.kept.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore", ConvergenceWarning)
    parts = Parts(options.out / "boundaries.json")
    for name in options.models:
        parts.make(name, lambda name=name: measured(name, options.kept))
    draw(parts.record, options.out / "boundaries.png")
    (options.out / "boundaries.md").write_text(page(parts.record), encoding="utf-8")


if __name__ == "__main__":
    main()
