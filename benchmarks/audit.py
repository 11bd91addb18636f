"""Does the memorization audit decide rightly on models whose truth is known? Twenty seeds of each, real digits.

    python benchmarks/audit.py [--seeds 20] [--out benchmarks/results]

*Memorizing*: a fully connected autoencoder (64-256-32 and back) trained with noisy inputs on 20 of the 1797 digits of
scikit-learn until it gives them back. *Well trained*: the same network on 1200 of them, until the error on unseen digits
stops falling. The audit (budget 1 %, α = 0.05, 400 sampled training images) should exceed the budget on the first and
not on the second. Then the same models with data that are not what they seem: 2.5, 5, 10 and 100 % of the held-out images are
copies of training images, or every training image is there twelve times, in equal copies or in copies that differ by up
to one of 255 grey levels. None of that may clear a memorizing model. Also: are the p-values of unseen digits, in the place of attractors, uniform (Kolmogorov–Smirnov, two samples)?
Writes audit.json and audit.md; what is in audit.json already is not computed again.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import torch
from scipy.stats import ks_2samp
from sklearn.datasets import load_digits
from torch import Tensor

from separatrix import LatentField
from separatrix.errors import OverlapWarning
from separatrix.limitsets._assemble import versions
from separatrix.models import DenseAutoencoder, train_autoencoder
from separatrix.numerics import benjamini_hochberg, clopper_pearson, rank_p_values
from separatrix.studies import AuditDecision, audit_memorization, closeness

KINDS = {"memorizing": (20, 3000), "well trained": (1200, 120)}  # training images, epochs
SAMPLE, NOISE, BUDGET = 400, 128, 0.01
LEAKED = {f"{share:g} % of the held-out images leaked": share / 100 for share in (2.5, 5, 10, 100)}
REPEATED = {"every training image twelve times": 0.0, "the same, up to one of 255 grey levels apart": 1 / 255}
CLEAN = "as they are"
DATA = {"memorizing": (CLEAN, *LEAKED, *REPEATED), "well trained": (CLEAN, *list(LEAKED)[1:3])}


def digits() -> Tensor:
    return torch.tensor(load_digits().images / 16.0, dtype=torch.float32)[:, None]


def cases(kind: str, seed: int) -> Iterator[dict[str, Any]]:
    """Train one model and audit it, on its data as they are and on data that are not what they seem."""
    images = digits()
    images = images[torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))]
    count, epochs = KINDS[kind]
    train, held_out = images[:count], images[1200:]
    torch.manual_seed(seed)
    model = DenseAutoencoder((1, 8, 8), 32, hidden=(256,), final="sigmoid")
    began = time.perf_counter()
    history = train_autoencoder(model, train, epochs=epochs, noise_std=0.2, held_out=held_out, seed=seed)
    seconds = time.perf_counter() - began
    field = LatentField(model.encoder, model.decoder, latent_shape=(32,))
    for data in DATA[kind]:
        known, unseen = altered(data, train, held_out, seed)
        began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OverlapWarning)  # the decision says it
            found = audit_memorization(field, known, unseen, budget=BUDGET, sample=SAMPLE, noise=NOISE, seed=seed)
        study = found.memorization.resemblance
        yield {
            "kind": kind,
            "data": data,
            "seed": seed,
            "train_error": history.train_loss[-1],
            "held_out_error": history.held_out_loss[-1],
            "decision": str(found.decision),
            "share": found.share,
            "low": found.low,
            "high": found.high,
            "copies": len(found.overlap.copies),
            "distinct": len(found.overlap.train),
            "attractors": len(study),
            "called": int(study.significant.sum()),
            "called_by_coefficient_alone": int((benjamini_hochberg(study.p_coefficient) <= study.alpha).sum()),
            "exchange_p": None if found.memorization.exchange is None else found.memorization.exchange.p_value,
            **(unseen_in_place_of_attractors(train, held_out, study.alpha) if data == CLEAN else {}),
            "evaluations": found.cost.map,
            "training_seconds": seconds,
            "audit_seconds": time.perf_counter() - began,
            "sentence": str(found.statement),
        }


def altered(data: str, train: Tensor, held_out: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Training and held-out images with leaked or repeated images among them."""
    if data in LEAKED:
        count = int(LEAKED[data] * len(held_out))
        return train, torch.cat([train[torch.arange(count) % len(train)], held_out[count:]])
    if data in REPEATED:
        repeated = train.repeat_interleave(12, dim=0)
        noise = torch.rand(repeated.shape, generator=torch.Generator().manual_seed(seed)) - 0.5
        return repeated + 2 * REPEATED[data] * noise, held_out
    return train, held_out


def unseen_in_place_of_attractors(train: Tensor, held_out: Tensor, alpha: float) -> dict[str, Any]:
    """One half of the unseen digits, judged by the other half.

    Ranks among a finite null are uniform exactly if both halves have one distribution, which is the two-sample test.
    """
    half = len(held_out) // 2
    ours, theirs = (closeness(part, train) for part in (held_out[:half], held_out[half:]))
    joined = torch.maximum(
        rank_p_values(ours.coefficient, theirs.coefficient), rank_p_values(-ours.ratio, -theirs.ratio)
    )
    return {
        "uniform": {
            name: float(ks_2samp(getattr(ours, name), getattr(theirs, name)).pvalue)
            for name in ("coefficient", "ratio")
        },
        "unseen_called": int((benjamini_hochberg(joined) <= alpha).sum()),
    }


def table(record: dict[str, Any]) -> str:
    """The Markdown page."""
    lines = [
        "# Does the memorization audit decide rightly?",
        "",
        f"`python benchmarks/audit.py --seeds {record['seeds']}`, torch {record['versions']['torch']}; {SAMPLE} sampled "
        f"training images, budget {BUDGET:.0%}.",
        "",
        "| model | data | seeds | exceeded | within | cannot say | 95 % interval of exceeded | training images given back, median |"
        " attractors called, median | called by the cosine alone, runs with any |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, data in [(model, known) for model in KINDS for known in DATA[model]]:
        rows = [row for row in record["runs"] if (row["kind"], row["data"]) == (kind, data)]
        if not rows:
            continue
        n = len(rows)
        counts = {decision: sum(row["decision"] == str(decision) for row in rows) for decision in AuditDecision}
        low, high = clopper_pearson(torch.tensor([counts[AuditDecision.EXCEEDED]]), n)
        share = sorted(row["share"] for row in rows)[n // 2]
        called = sorted(row["called"] / max(row["attractors"], 1) for row in rows)[n // 2]
        alone = sum(row["called_by_coefficient_alone"] > 0 for row in rows)
        lines.append(
            f"| {kind} | {data} | {n} | {counts[AuditDecision.EXCEEDED]} | {counts[AuditDecision.WITHIN]} | {counts[AuditDecision.CANNOT_SAY]} | "
            f"{float(low):.2f} to {float(high):.2f} | {share:.1%} | {called:.0%} | {alone} |"
        )
    names = {"coefficient": "cosine to the nearest training image", "ratio": "distance ratio"}
    clean = [row for row in record["runs"] if row["data"] == CLEAN]
    called = sum(row["unseen_called"] > 0 for row in clean)
    lines += [
        "",
        "Are p-values of unseen images, in the place of attractors, uniform? One two-sample Kolmogorov–Smirnov test of two "
        f"halves per model; for {called} of {len(clean)} models any of the unseen images is called (α = 0.05).",
        "",
        "Each of the two p-values is exact. The joint one that decides, the larger of them, is conservative: it is below α only "
        "where both are, and an unseen image passes both less often than it passes one (α² instead of α if they were independent). "
        "So false calls are rarer than α says, and a copy must stand out in both.",
        "",
    ]
    lines += ["| p-value of | models | p below 0.05 | smallest |", "|---|---|---|---|"]
    for name, words in names.items():
        values = [row["uniform"][name] for row in clean]
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
    for seed, kind in product(range(options.seeds), KINDS):
        if (kind, seed) in done:
            continue
        for row in cases(kind, seed):
            called = f"{row['called']}/{row['attractors']}"
            print(kind, seed, row["data"], row["decision"], f"{row['share']:.1%}", called, flush=True)
            record["runs"].append(row)
        file.write_text(json.dumps(record, indent=1) + "\n")
    (options.out / "audit.md").write_text(table(record))


if __name__ == "__main__":
    main()
