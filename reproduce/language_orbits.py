"""Orbits of a real language model through its own residual stream, beside the same network untrained.

    SEPARATRIX_DATA=... python reproduce/language_orbits.py [--steps 300] [--seeds 1]

stories260K (a Llama of 5 layers and width 64, trained by others on TinyStories) takes 128 sequences of 64 tokens from after the embedding
to before the head, again and again: the residual ‖f(z_t) − z_t‖, the same as a share of ‖z_t‖, and ‖z_t‖ over whole sequences
(Fumero et al., arXiv:2505.22785, section on language models); and what the head makes of z_t, the mean log-probability of the token that
follows in the text. Beside it copies of the network as transformers initialises them, each with its own embedding of the same tokens.
Then every token of the vocabulary alone: where does a sequence of one token end? Writes language_orbits.json, .md and .png.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from foundation_orbits import quantiles, rounded, run, twins
from torch import Tensor

import separatrix as sx
from separatrix.errors import ConvergenceWarning

COLUMNS = ("residual", "relative_residual", "norm", "log_probability")
TITLES = ("‖f(z) − z‖", "‖f(z) − z‖ / ‖z‖", "‖z‖", "log-probability of the next token")
SHOWN = (0, 1, 2, 3, 5, 10, 20, 50, 100, 200, 299)
REST = 1e-3  # of ‖z‖: below it a sequence counts as at rest
COLOURS = ("#3b4ba3", "#d9697a")


def untrained(folder: Path, seed: int, length: int) -> sx.LatentField:
    """The same configuration with the weights that its library begins with."""
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as place:
        config = transformers.AutoConfig.from_pretrained(folder)
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(place)
        return sx.load(place, options={"length": length})


def log_probability(field: sx.LatentField, z: Tensor, tokens: Tensor) -> Tensor:
    """Of each sequence, the mean over its tokens but the first of their log-probability given those before, ``(n,)``."""
    model: Any = field.modules[0].model
    with torch.no_grad():
        scores = model.lm_head(z)[:, :-1].log_softmax(dim=2)
    return scores.gather(2, tokens[:, 1:, None]).flatten(1).mean(dim=1)


def sequences(field: sx.LatentField, tokens: Tensor, steps: int) -> dict[str, Any]:
    """Quantiles per step over the sequences, how many came to rest, and what becomes of twins."""
    z = sx.models.embed_tokens(field, tokens)
    columns: dict[str, list[Tensor]] = {name: [] for name in COLUMNS}
    for _ in range(steps):
        columns["log_probability"].append(log_probability(field, z, tokens))
        one, z = run(field, z, 1)
        for name in COLUMNS[:3]:
            columns[name].append(one[name][0])
    stacked = {name: torch.stack(values) for name, values in columns.items()}
    apart = twins(field, z[:8], 100)
    return {
        **{name: quantiles(column) for name, column in stacked.items()},
        "at_rest": int((stacked["relative_residual"][-1] < REST).sum()),
        "largest_norm": float(stacked["norm"].max()),
        "twins": [apart[0], apart[-1]],
    }


def single_tokens(field: sx.LatentField) -> dict[str, Any]:
    """Where each token of the vocabulary ends as a sequence of its own."""
    count = int(field.modules[0].vocabulary)
    starts = sx.models.embed_tokens(field, torch.arange(count)[:, None])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = sx.find_attractors(field, starts)
    return {
        "starts": count,
        "sentence": found.fates.words,
        "attractors": len(found.attractors),
        "radius": found.attractors.spectral_radius.tolist(),
        "norm": found.attractors.spectral_norm.tolist(),
        "hits": found.attractors.hits.tolist(),
        "median_steps": float(found.orbits.steps.double().median()),
    }


def measured(
    name: str, load: Callable[[int], sx.LatentField], tokens: Tensor, steps: int, work: Path
) -> dict[str, Any]:
    """One network's numbers, from its file in ``work`` if they are there."""
    place = work / f"{name}, {steps} steps.json"
    if not place.exists():
        begin = time.process_time()
        found = {**sequences(load(tokens.shape[1]), tokens, steps), "single": single_tokens(load(1))}
        place.write_text(json.dumps(rounded(found | {"cpu_seconds": time.process_time() - begin})), encoding="utf-8")
    found = json.loads(place.read_text(encoding="utf-8"))
    print(f"{name}: {found['cpu_seconds']:.0f} s", flush=True)
    return found


def table(record: dict[str, Any]) -> str:
    real, fresh = record["models"]["trained"], {k: v for k, v in record["models"].items() if k != "trained"}
    lines = [
        "# Orbits of a real language model",
        "",
        f"`{record['command']}`; stories260K, {record['parameters']:,} parameters, {record['sequences']} sequences of {record['length']} tokens "
        f"that it wrote itself at temperature 1, so a latent has {record['length']}×{record['width']} coordinates; float32, torch {record['torch']}, "
        f"transformers {record['transformers']}, one CPU thread, {sum(one['cpu_seconds'] for one in record['models'].values()) / 60:.0f} minutes of it. Untrained ({len(fresh)}): the weights that transformers begins "
        "with, and their own embedding of the same tokens. Medians over sequences; the 5 and 95 % points are in language_orbits.json.",
        "",
        "![orbits](language_orbits.png)",
    ]
    for name, one in record["models"].items():
        lines += ["", f"## {name.capitalize()}", "", "| step | " + " | ".join(TITLES) + " |", "|---" * 5 + "|"]
        for t in [t for t in SHOWN if t < record["steps"]]:
            lines.append(f"| {t} | " + " | ".join(f"{one[column]['median'][t]:.4g}" for column in COLUMNS) + " |")
    lines += [
        "",
        "## Where they end",
        "",
        f"| network | at rest after {record['steps']} steps (residual < {REST:g} ‖z‖) | largest ‖z‖ on the way | twins: distance / ‖z‖ | after 100 steps | "
        "single tokens: attractors | ρ | median steps |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, one in record["models"].items():
        alone = one["single"]
        radii = f"{min(alone['radius']):.3f}–{max(alone['radius']):.3f}" if alone["radius"] else "–"
        lines.append(
            f"| {name} | {one['at_rest']} of {record['sequences']} | {one['largest_norm']:.4g} | {one['twins'][0]:.2g} | {one['twins'][1]:.2g} | "
            f"{alone['attractors']} ({alone['sentence']}) | {radii} | {alone['median_steps']:.0f} |"
        )
    return "\n".join([*lines, "", verdict(real, list(fresh.values()), record), ""])


def verdict(real: dict[str, Any], fresh: list[dict[str, Any]], record: dict[str, Any]) -> str:
    """What the numbers say, in words chosen by them."""
    first, last = 1, record["steps"] - 1  # step 0 leaves the embedding, whose scale is another one
    share = real["relative_residual"]["median"]
    others = [one["relative_residual"]["median"] for one in fresh]
    shrinks = share[last] < share[first] / 10
    claims = (
        f"residuals {'shrink' if shrinks else 'do not shrink'} (median share of ‖z‖ {share[first]:.2g} at step {first}, {share[last]:.1e} at step {last}; "
        f"the norm never exceeds {math.ceil(real['largest_norm'])}) and {real['at_rest']} of {record['sequences']} sequences come to rest"
    )
    beside = (
        f"untrained they begin at {max(one[first] for one in others):.2g} and end no lower than "
        f"{min(one[last] for one in others):.1e}"
    )
    forgets = real["log_probability"]["median"][min(10, record["steps"] - 1)] < -math.log(record["vocabulary"])
    said = (
        "The text is not what survives: after one pass the head predicts the next token as it was trained to "
        f"({real['log_probability']['median'][1]:.2f}), after ten worse than chance among {record['vocabulary']} tokens "
        f"({real['log_probability']['median'][10]:.2f} against {-math.log(record['vocabulary']):.2f})."
        if forgets
        else "The head's prediction of the text survives ten passes."
    )
    return f"**Said plainly.** Trained, {claims}; {beside}. {said}"


def draw(record: dict[str, Any], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.4), layout="constrained")
    panels = figure.subplots(2, 2).flat
    for axes, column, title in zip(panels, COLUMNS, TITLES, strict=True):
        for number, one in enumerate(record["models"].values()):
            band, steps = one[column], range(len(one[column]["median"]))
            style = {"color": COLOURS[min(number, 1)], "linewidth": 1.8 if number == 0 else 0.9}
            axes.plot(steps, band["median"], label={0: "trained", 1: "untrained"}.get(number), **style)
            axes.fill_between(
                steps, band["p5"], band["p95"], color=style["color"], alpha=0.2 if number == 0 else 0.1, linewidth=0
            )
        axes.set_title(title, loc="left")
        axes.set_xlabel("step")
        if column != "log_probability":
            axes.set_yscale("log")
        else:
            axes.axhline(-math.log(record["vocabulary"]), color="#888", linewidth=0.8, linestyle=":")
            axes.annotate(
                "chance", (record["steps"] - 1, -math.log(record["vocabulary"])), ha="right", va="bottom", color="#666"
            )
    figure.axes[0].legend(frameon=False)
    figure.suptitle(f"stories260K: median and 5–95 % of {record['sequences']} sequences of {record['length']} tokens")
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=1, help="untrained copies")
    parser.add_argument("--work", type=Path, default=Path("runs/language_orbits"), help="what is done so far")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = Path(os.environ["SEPARATRIX_DATA"])
    folder = data / "weights/stories260k"
    tokens = torch.from_numpy(np.load(data / "data/stories260k_tokens.npz")["tokens"]).long()
    models: dict[str, Callable[[int], sx.LatentField]] = {
        "trained": lambda length: sx.load(folder, options={"length": length})
    }
    for seed in range(options.seeds):
        models[f"untrained, seed {seed}"] = partial(untrained, folder, seed)
    options.work.mkdir(parents=True, exist_ok=True)
    whole = models["trained"](tokens.shape[1])
    record: dict[str, Any] = {
        "command": f"python reproduce/language_orbits.py --steps {options.steps} --seeds {options.seeds}",
        "parameters": sum(p.numel() for p in whole.modules[0].parameters()),
        "vocabulary": int(whole.modules[0].vocabulary),
        "sequences": len(tokens),
        "length": tokens.shape[1],
        "width": whole.latent_shape[1],
        "steps": options.steps,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "models": {name: measured(name, load, tokens, options.steps, options.work) for name, load in models.items()},
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "language_orbits.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
    (options.out / "language_orbits.md").write_text(table(record), encoding="utf-8")
    draw(record, options.out / "language_orbits.png")
    print(table(record))


if __name__ == "__main__":
    main()
