"""Does the memorization audit decide rightly on models whose truth is known? Twenty seeds of each, real digits.

    python benchmarks/audit.py [--seeds 20] [--out benchmarks/results]

*Memorizing*: a fully connected autoencoder (64-256-32 and back) trained with noisy inputs on 20 of the 1797 digits of
scikit-learn until it gives them back. *Well trained*: the same network on 1200 of them, until the error on unseen digits
stops falling. The audit (budget 1 %, α = 0.05, 400 sampled training images) should exceed the budget on the first and
not on the second. Also: are the p-values of unseen digits, in the place of attractors, uniform (Kolmogorov–Smirnov, two samples)?
Writes audit.json and audit.md; what is in audit.json already is not computed again.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from scipy.stats import ks_2samp
from sklearn.datasets import load_digits
from torch import Tensor

from separatrix import LatentField
from separatrix.limitsets.assemble import versions
from separatrix.models.autoencoders import DenseAutoencoder
from separatrix.models.training import train_autoencoder
from separatrix.numerics.intervals import clopper_pearson
from separatrix.numerics.ranks import benjamini_hochberg, rank_p_values
from separatrix.studies.memorization import Decision, audit_memorization
from separatrix.studies.resemblance import closeness

KINDS = {"memorizing": (20, 3000), "well trained": (1200, 120)}  # training images, epochs
SAMPLE, NOISE, BUDGET = 400, 128, 0.01


def digits() -> Tensor:
    return torch.tensor(load_digits().images / 16.0, dtype=torch.float32)[:, None]


def case(kind: str, seed: int) -> dict[str, Any]:
    """Train one model and audit it."""
    images = digits()
    images = images[torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))]
    count, epochs = KINDS[kind]
    train, held_out = images[:count], images[1200:]
    torch.manual_seed(seed)
    model = DenseAutoencoder((1, 8, 8), 32, hidden=(256,), final="sigmoid")
    began = time.perf_counter()
    history = train_autoencoder(model, train, epochs=epochs, noise_std=0.2, held_out=held_out, seed=seed)
    trained = time.perf_counter()
    field = LatentField(model.encoder, model.decoder, latent_shape=(32,))
    found = audit_memorization(field, train, held_out, budget=BUDGET, sample=SAMPLE, noise=NOISE, seed=seed)
    study = found.memorization.resemblance
    # One half of the unseen digits in the place of attractors, judged by the other half: ranks among a finite null are
    # uniform exactly if both halves have one distribution, which is the two-sample test.
    half = len(held_out) // 2
    ours, theirs = (closeness(part, train) for part in (held_out[:half], held_out[half:]))
    uniform = {
        name: float(ks_2samp(getattr(ours, name), getattr(theirs, name)).pvalue) for name in ("coefficient", "ratio")
    }
    joined = torch.maximum(
        rank_p_values(ours.coefficient, theirs.coefficient), rank_p_values(-ours.ratio, -theirs.ratio)
    )
    return {
        "kind": kind,
        "seed": seed,
        "train_error": history.train_loss[-1],
        "held_out_error": history.held_out_loss[-1],
        "decision": str(found.decision),
        "share": found.share,
        "low": found.low,
        "high": found.high,
        "attractors": len(study),
        "called": int(study.significant.sum()),
        "called_by_coefficient_alone": int((benjamini_hochberg(study.p_coefficient) <= study.alpha).sum()),
        "exchange_p": None if found.memorization.exchange is None else found.memorization.exchange.p_value,
        "uniform": uniform,
        "unseen_called": int((benjamini_hochberg(joined) <= study.alpha).sum()),
        "evaluations": found.cost.map,
        "training_seconds": trained - began,
        "audit_seconds": time.perf_counter() - trained,
        "sentence": found.sentence,
    }


def table(record: dict[str, Any]) -> str:
    """The Markdown page."""
    lines = [
        "# Does the memorization audit decide rightly?",
        "",
        f"`python benchmarks/audit.py --seeds {record['seeds']}`, torch {record['versions']['torch']}; {SAMPLE} sampled "
        f"training images, budget {BUDGET:.0%}.",
        "",
        "| model | seeds | exceeded | within | cannot say | 95 % interval of exceeded | training images given back, median |"
        " attractors called, median | called by the cosine alone, runs with any |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        rows = [row for row in record["runs"] if row["kind"] == kind]
        if not rows:
            continue
        n = len(rows)
        counts = {decision: sum(row["decision"] == str(decision) for row in rows) for decision in Decision}
        low, high = clopper_pearson(torch.tensor([counts[Decision.EXCEEDED]]), n)
        share = sorted(row["share"] for row in rows)[n // 2]
        called = sorted(row["called"] / max(row["attractors"], 1) for row in rows)[n // 2]
        alone = sum(row["called_by_coefficient_alone"] > 0 for row in rows)
        lines.append(
            f"| {kind} | {n} | {counts[Decision.EXCEEDED]} | {counts[Decision.WITHIN]} | {counts[Decision.CANNOT_SAY]} | "
            f"{float(low):.2f} to {float(high):.2f} | {share:.1%} | {called:.0%} | {alone} |"
        )
    names = {"coefficient": "cosine to the nearest training image", "ratio": "distance ratio"}
    called = sum(row["unseen_called"] > 0 for row in record["runs"])
    lines += [
        "",
        "Are p-values of unseen images, in the place of attractors, uniform? One two-sample Kolmogorov–Smirnov test of two "
        f"halves per run; in {called} of {len(record['runs'])} runs any of the unseen images is called (α = 0.05).",
        "",
        "Each of the two p-values is exact. The joint one that decides, the larger of them, is conservative: it is below α only "
        "where both are, and an unseen image passes both less often than it passes one (α² instead of α if they were independent). "
        "So false calls are rarer than α says, and a copy must stand out in both.",
        "",
    ]
    lines += ["| p-value of | runs | p below 0.05 | smallest |", "|---|---|---|---|"]
    for name, words in names.items():
        values = [row["uniform"][name] for row in record["runs"]]
        lines.append(f"| {words} | {len(values)} | {sum(v < 0.05 for v in values)} | {min(values):.2g} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "audit.json"
    record = json.loads(file.read_text()) if file.exists() else {"versions": versions(), "runs": []}
    record["seeds"] = options.seeds
    done = {(row["kind"], row["seed"]) for row in record["runs"]}
    for seed in range(options.seeds):
        for kind in KINDS:
            if (kind, seed) in done:
                continue
            row = case(kind, seed)
            print(
                kind, seed, row["decision"], f"{row['share']:.1%}", f"{row['called']}/{row['attractors']}", flush=True
            )
            record["runs"].append(row)
            file.write_text(json.dumps(record, indent=1) + "\n")
    (options.out / "audit.md").write_text(table(record))


if __name__ == "__main__":
    main()
