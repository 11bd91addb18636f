"""Where real networks contract, and whether the spectral radius predicts how long their orbits take.

    SEPARATRIX_DATA=... python reproduce/contraction.py [--models conv2 mnist_k2_seed0 ...] [--device cpu]

* Places: ρ and ‖J‖₂ on training latents, at 1.5 and 4 times their distance from the mean, and under fresh weights
  (`sx.contraction`); dense up to 512 latent dimensions, matrix-free above (TAEF2 at 40 px: 800).
* Rate law: T = log(ε/‖e₀‖)/log ρ against the steps of plain float64 iteration (`sx.rate_law`), for the orbits of encoded
  images. Then the same with the two assumptions behind it granted, one by one: the whole Jacobian instead of ρ
  (``law="linear"``), and the clock started in a neighbourhood of the attractor. Nothing is fitted.
* ``mnist_k2_seed*`` are trained here: the setting of Fumero et al. (arXiv:2505.22785), who report a Pearson correlation near
  0.99, smaller than theirs (4 stages from 8 channels, 5000 images, 20 epochs).

The Fashion-MNIST autoencoders, the Burgess VAEs and TAEF2 lie in $SEPARATRIX_DATA; sprites are drawn. One model is one entry of contraction.json; what is there is not computed again, so the script can be
interrupted. Writes contraction.{json,md,png}.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from contraction_page import write_page
from devices import available
from probing_inputs import burgess_model, data, fashion_model, sprites, taef2
from torch import Tensor

import separatrix as sx
from separatrix.errors import ConvergenceWarning
from separatrix.limitsets._assemble import versions
from separatrix.models import ConvAutoencoder, load_model, save_model, train_autoencoder
from separatrix.plots import contraction_map
from separatrix.protocol import DENSE_LIMIT
from separatrix.studies import Law, RateLaw

FASHION = ("conv2", "conv8", "conv32", "conv128", "fc")
BURGESS = ("betaB_mnist", "betaH_mnist", "btcvae_dsprites")
MNIST = tuple(f"mnist_k2_seed{seed}" for seed in range(3))
MODELS = (*MNIST, *FASHION, *BURGESS, "taef2")
MEMORIZED = 50  # images that fc was trained on
SIDE = 40  # pixels of TAEF2's images: 800 latent dimensions, too many for dense Jacobians
TOLERANCE = 1e-4  # ε as a share of the spread
NEAR, CLOSER = 0.1, 0.01  # the neighbourhood, as a share of the spread: three decades above ε, and two
OTHER_TOLERANCES = (1e-2, 1e-6)
STEPS = 2000
LAWS: dict[str, tuple[Law, float | None]] = {
    "as published": ("radius", None),
    "whole Jacobian": ("linear", None),
    "from nearby": ("radius", NEAR),
    "both": ("linear", NEAR),
    "both, closer": ("linear", CLOSER),
}


def prepared(name: str, count: int, device: torch.device, kept: Path | None) -> tuple[sx.LatentField, Tensor]:
    """A model and images like those it was trained on; mostly those themselves."""
    if name in MNIST:
        train = images("mnist", 5000)
        return trained(name, train, kept).to(device=device), train[:count]
    if name in FASHION:
        some = images("fashion_mnist", MEMORIZED if name == "fc" else count)
        return fashion_model(name).to(device=device), some
    if name == "taef2":
        source = data() / "data/imagenet1000_64px.npz"
        return taef2(SIDE).to(device=device), sx.data.load_images(
            source, key="x", limit=count, size=(SIDE, SIDE)
        ).pixels
    some = sprites(count, 0).coded if name.endswith("dsprites") else images("mnist", count, side=32)
    return burgess_model(name).to(device=device), some


def images(name: str, count: int, side: int = 28) -> Tensor:
    """The first training images, ``(count, 1, side, side)`` in [0, 1]."""
    return sx.data.load_images(data() / f"data/{name}.npz", key="x_train", limit=count, size=(side, side)).pixels


def trained(name: str, train: Tensor, kept: Path | None) -> sx.LatentField:
    """The paper's convolutional autoencoder at k = 2, trained or, if it lies in the folder, loaded."""
    file = None if kept is None else kept / f"{name}.safetensors"
    if file is not None and file.exists():
        return load_model(file).field(name)
    seed = int(name.removeprefix("mnist_k2_seed"))
    torch.manual_seed(seed)
    model = ConvAutoencoder((1, 28, 28), 2, base_channels=8)
    train_autoencoder(model, train, epochs=20, batch_size=64, learning_rate=2e-3, seed=seed)
    if file is not None:
        save_model(model, file)
    return model.eval().field(name)


def places(field: sx.LatentField, some: Tensor, limit: int) -> dict[str, Any]:
    """The distributions of ρ and ‖J‖₂, place by place."""
    found = sx.contraction(field, some, limit=limit)
    return {
        row.name: {
            "points": row.count,
            "radius": row.radius,
            "norm": row.norm,
            "share_radius_below_1": row.attracting,
            "share_norm_below_1": row.contracting,
        }
        for row in found.rows
    }


def steps_of_orbits(field: sx.LatentField, some: Tensor, map_to: Path | None) -> dict[str, Any]:
    """Predicted and measured steps under every law, and what the search itself recorded."""
    starts = sx.starts.encoded(some)
    rules = sx.Protocol(max_steps=STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        limits = sx.find_attractors(field, starts, rules)
        plain = sx.iterate(field, starts, rules)
    if map_to is not None:
        contraction_map(limits, field, starts.block(field, 0, len(starts))).savefig(map_to, dpi=110)
    wide = field.to(
        dtype=torch.float64
    )  # float32 stops contracting at its own precision before a slow orbit is within ε
    settings: dict[str, Any] = {"max_steps": STEPS, "limit": len(starts)}
    laws = {
        name: sx.rate_law(wide, limits, starts, law=law, neighbourhood=near, tolerance=TOLERANCE, **settings)
        for name, (law, near) in LAWS.items()
    }
    others = {
        f"{tolerance:g}": sx.rate_law(wide, limits, starts, tolerance=tolerance, **settings).correlation
        for tolerance in OTHER_TOLERANCES
    }
    both = (limits.labels >= 0) & (plain.status == int(sx.Status.CONVERGED))
    recorded, iterated = limits.orbits.steps[both].double(), plain.steps[both].double()
    return {
        "limits": repr(limits),
        "starts": len(starts),
        "radii": limits.attractors.spectral_radius.tolist(),
        "laws": {name: summary(law) for name, law in laws.items()},
        "other_tolerances": others,
        "attractors": attractors(limits, laws),
        "search_steps_over_plain": float((recorded / iterated.clamp(min=1)).median()),
        "search_steps_pearson": pearson(recorded, iterated),
    }


def summary(law: RateLaw) -> dict[str, Any]:
    """One law on one model, with its points."""
    x, y = law.predicted, law.measured
    return {
        "orbits": len(law),
        "missed": law.missed,
        "pearson": law.correlation,
        "pearson_of_logs": pearson(x.log(), y.log()),
        "within": law.within_attractors,
        "between": law.between_attractors,
        "variance_between": variance_between(law),
        "ratio": law.ratio,
        "slope": float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()) if len(law) else None,
        "entered_median": float(law.entered.double().median()) if len(law) else None,
        "deviation_predicted": float(x.std()),
        "deviation_measured": float(y.std()),
        "predicted": x.tolist(),
        "measured": y.tolist(),
    }


def variance_between(law: RateLaw) -> float:
    """Share of the variance of the measured steps that lies between attractors: what knowing the attractor alone would explain."""
    groups = [law.measured[law.attractor == which] for which in law.attractor.unique()]
    inside = sum(float((group - group.mean()).square().sum()) for group in groups)
    whole = float((law.measured - law.measured.mean()).square().sum())
    return 1 - inside / whole if whole else math.nan


def attractors(limits: sx.LimitSets, laws: dict[str, RateLaw]) -> list[dict[str, float]]:
    """Medians per attractor, in order of hits."""
    whole, rest = laws["as published"], laws["both"]
    return [
        {
            "rho": float(limits.spectral_radius[index]),
            "orbits": int((whole.attractor == index).sum()),
            "predicted": float(whole.predicted[whole.attractor == index].median()),
            "measured": float(whole.measured[whole.attractor == index].median()),
            "before_the_neighbourhood": float(rest.entered[rest.attractor == index].double().median()),
        }
        for index in whole.attractor.unique().tolist()
    ]


def pearson(x: Tensor, y: Tensor) -> float:
    return float(torch.corrcoef(torch.stack((x, y)))[0, 1]) if len(x) > 2 else float("nan")


def rounded(value: Any) -> Any:
    """Five significant digits, and None for NaN, which JSON does not know."""
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    return [rounded(part) for part in value] if isinstance(value, (list, tuple)) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--starts", type=int, default=100, help="images whose orbits are followed")
    parser.add_argument("--points", type=int, default=64, help="images at which J is measured; 4 for TAEF2")
    parser.add_argument("--device", type=available, default="cpu")
    parser.add_argument("--kept", type=Path, help="folder of the networks trained here, which are not trained again")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "contraction.json"
    record: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"versions": versions(), "runs": []}
    for name in options.models:
        if any(run["model"] == name for run in record["runs"]):
            continue
        field, some = prepared(name, max(options.starts, options.points), options.device, options.kept)
        began = time.perf_counter()
        large = field.latent_dim > DENSE_LIMIT
        run: dict[str, Any] = {
            "model": name,
            "k": field.latent_dim,
            "device": str(field.device),
            "places": places(field, some, 4 if large else options.points),
        }
        if not large:  # TAEF2's orbits reach nothing: foundation_orbits.md
            chart = options.out / "contraction_map.png" if name == "conv2" else None
            run.update(steps_of_orbits(field, some[: options.starts], chart))
        run["seconds"] = time.perf_counter() - began
        record["runs"].append(rounded(run))
        record["runs"].sort(key=lambda run: MODELS.index(run["model"]))
        file.write_text(json.dumps(record) + "\n", encoding="utf-8")
        print(
            name,
            {key: law["pearson"] for key, law in run.get("laws", {}).items()},
            f"{run['seconds']:.0f} s",
            flush=True,
        )
    write_page(record, options.out, len(MODELS))


if __name__ == "__main__":
    main()
