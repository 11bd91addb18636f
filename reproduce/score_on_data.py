"""Does v point uphill in the density of the latents of real images? `sx.score_check` on held-out images of twelve networks.

    SEPARATRIX_DATA=... python reproduce/score_on_data.py [--models conv2 ...]

Three autoencoders of MNIST with k = 2, trained here; five of FashionMNIST and four Burgess VAEs, trained by others. 2000 held-out images each: half
of them make the density, at the other half the field is asked. Writes score_on_data.json and .md; what is there is not computed again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from contraction import FASHION, MNIST, images, trained
from parts import Parts, rows, spent
from probing_inputs import burgess_model, data, fashion_model, sprites

import separatrix as sx

BURGESS = ("VAE_mnist", "betaB_mnist", "factor_mnist", "btcvae_dsprites")
MODELS = (*MNIST, *FASHION, *BURGESS)
COUNT, TRAINED_ON = 2000, 10_000


def measured(name: str, kept: Path) -> dict[str, Any]:
    if name in MNIST:
        field, file, side = trained(name, images("mnist", 5000), kept), "mnist", 28
    elif name in FASHION:
        field, file, side = fashion_model(name), "fashion_mnist", 28
    else:
        field, file, side = burgess_model(name), "mnist", 32
    if name.endswith("dsprites"):
        held_out = sprites(COUNT, 1).coded
    else:
        source = data() / f"data/{file}.npz"
        held_out = sx.data.load_images(source, key="x_test", limit=COUNT, size=(side, side)).pixels
    found = sx.score_check(field, held_out.float(), limit=COUNT)
    facts = ("mean", "low", "high", "uphill", "p_value", "control", "width", "still")
    return {
        "k": field.latent_dim,
        **{fact: float(getattr(found, fact)) for fact in facts},
        "null": float(found.null.std()),
    }


def page(record: dict[str, Any]) -> str:
    return "\n".join(
        [
            "# Does the field point uphill in the density of the latents?",
            "",
            f"`python reproduce/score_on_data.py`, {spent(record)}. Mean cosine of v and the gradient of the estimated density at 1000 held-out latents, its 95 % "
            "interval, the spread of the same when all velocities are turned at random, and the mean cosine of pointing to the mean of the latents instead.",
            "",
            *rows(
                ["network", "k", "mean cosine", "95 %", "uphill at", "turned: spread", "p", "to the mean"],
                [
                    [
                        name,
                        f"{part['k']}",
                        f"{part['mean']:.3f}",
                        f"{part['low']:.3f} to {part['high']:.3f}",
                        f"{part['uphill']:.0%}",
                        f"{part['null']:.3f}",
                        f"{part['p_value']:.3f}",
                        f"{part['control']:.3f}",
                    ]
                    for name, part in record["parts"].items()
                ],
            ),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--kept", type=Path, default=Path("runs/kept"), help="folder of the networks trained here")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    options.kept.mkdir(parents=True, exist_ok=True)
    parts = Parts(options.out / "score_on_data.json")
    torch.manual_seed(0)
    for name in options.models:
        parts.make(name, lambda name=name: measured(name, options.kept))
    (options.out / "score_on_data.md").write_text(page(parts.record), encoding="utf-8")


if __name__ == "__main__":
    main()
