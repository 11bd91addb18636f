"""The page and the figures of reproduce/drift.py."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from separatrix.numerics import bootstrap_means, interval_of
from separatrix.studies import safe_trips

MARKS = (1, 2, 5, 10, 20)
LARGE = ("taef2", "vaelight")
NAMES = {"taef2": "TAEF2", "vaelight": "VAElight"}
COLOURS = {
    "taef2": "#d1495b",
    "vaelight": "#2e6f95",
    "MNIST": "#3b4ba3",
    "sprites": "#e0a24a",
    "FashionMNIST": "#6aa57a",
}
STYLES = {"photographs": "-", "BSDS": "--", "ImageNet": ":"}
SHOWN = (0, 1, 2, 5, 10, 20)
_FEWEST = 3  # pictures or models over which a rank correlation means anything
_AGREES = 0.7  # Spearman's ρ from which two orders are said to agree


def page(record: dict[str, Any]) -> str:
    """Curves in a table, then the two questions, then what it cost."""
    cells, trips = record["cells"], record["trips"]
    pooled = _pooled(cells)
    every = {
        **({} if len({cell["pictures"] for cell in cells.values() if cell["model"] == LARGE[0]}) < 2 else pooled),
        **cells,
    }
    lines = [
        "# Generation loss of real autoencoders",
        "",
        f"`{record['command']}`, torch {record['torch']}, one CPU thread, "
        f"{sum(cell['cpu_seconds'] + cell['cpu_seconds_linear'] for cell in cells.values()) / 60:.0f} minutes of it. Every picture passes {trips} times through D∘E and is rounded "
        "to 8 bits after each. *photographs*: the central 256×256 pixels of scikit-image's astronaut, chelsea, coffee and rocket and of scikit-learn's china "
        "and flower. *BSDS* and *ImageNet*: pictures of 64×64, upsampled to 256×256 (bicubic), so they have no fine detail to lose. *sprites* are drawn like dSprites. "
        "The random AutoencoderKL (Stable Diffusion's configuration, small) shows that the format goes through, and nothing else.",
        *([f"Not measured: {'; '.join(map(_title, record['missing']))}."] if record["missing"] else []),
        "",
        "![curves, predictions, rankings](drift.png)",
        "![pictures](drift_pictures.png)",
        "",
        said(record),
        "",
        "## How they rot",
        "",
        "−3 dB: the trip, between two, at which the squared error of a picture is twice that of the first; median over pictures (∞: not within "
        f"{trips}). Safe trips: survived above the bar by 95 % of the pictures, with an exact binomial interval. Gap: root mean square of F(F(x)) − F(x), shares of white.",
        "",
        f"| model, pictures | n | PSNR after {', '.join(map(str, MARKS))} trips, dB | −3 dB | gap | safe at 30 dB | safe at 20 dB | brightness, contrast after {trips} | it | grows fastest, per trip |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, cell in every.items():
        psnr = _psnr(cell)
        values = " ".join(f"{psnr[:, mark - 1].mean():.1f}" for mark in MARKS if mark <= trips)
        part, rate = cell["fastest"]
        fastest = f"{part} ×{rate:.2f}" if rate is not None and rate > 1 else "nothing"
        safe = (safe_trips(torch.tensor(psnr), bar).words for bar in (30, 20))
        lines.append(
            f"| {_title(name)} | {len(psnr)} | {values} | {_median(cell['doubled'])} | {cell['gap']:.3f} | {' | '.join(safe)} | "
            f"{cell['brightness'][-1]:+.3f}, {cell['contrast'][-1]:.2f} | {cell['rot']} | {fastest} |"
        )
    lines += ["", "## Does the derivative at the picture predict the loss?", "", *_linear(every)]
    lines += ["", "## Does one trip tell what twenty will do?", "", *_rankings(record, every)]
    return "\n".join(lines) + "\n"


def findings(record: dict[str, Any]) -> dict[str, Any]:
    """What is said of all cases together, in numbers."""
    cells = record["cells"]
    pooled, real = _pooled(cells), {name: cell for name, cell in cells.items() if not name.startswith("random")}
    found: dict[str, Any] = {}
    for model in LARGE:
        if cell := pooled.get(f"{model}, all"):
            psnr = _psnr(cell)
            found[model] = {
                "pictures": len(psnr),
                "psnr": [round(float(psnr[:, mark - 1].mean()), 2) for mark in MARKS],
                "contrast": round(cell["contrast"][-1], 3),
                "doubled": _median(cell["doubled"]),
                "rot": cell["rot"],
            }
    both = [_both(cell["linear"]) for cell in real.values()]
    ranks = [rank for pair in both if (rank := _rank(*pair)) is not None]
    found["linear"] = {
        "ratio": round(
            float(np.median([truth / guess for pair in both for guess, truth in zip(*pair, strict=True)])), 3
        ),
        "agree": sum(rank >= _AGREES for rank in ranks),
        "cases": len(ranks),
    }
    agree = [rho for rho in _by_pictures(real).values() if rho is not None]
    found["pictures"] = {"agree": sum(rho >= _AGREES for rho in agree), "cases": len(agree)}
    orders = _by_models(record).values()
    return found | {"models": {key: sum(one[key] for one in orders) for key in ("swaps", "certain", "pairs")}}


def said(record: dict[str, Any]) -> str:
    """The findings, in words chosen by the numbers."""
    found, trips = record["findings"], record["trips"]
    sentences = [
        f"{NAMES[model]} {one['rot']}: {one['psnr'][0]:.1f} dB after one trip, {one['psnr'][2]:.1f} after five, {one['psnr'][-1]:.1f} after {trips}, with "
        f"{one['contrast']:.2f} of the contrast; the error has doubled after {one['doubled']} trips."
        for model in LARGE
        if (one := found.get(model))
    ]
    linear, pictures, models = found["linear"], found["pictures"], found["models"]
    ratio = linear["ratio"]
    verb = "overstates" if ratio > 1.05 else "understates" if ratio < 0.95 else "tells"
    sentences += [
        f"The derivative at the picture {verb} the loss: −3 dB comes {ratio:.1f} times as late as it says in the median, and its order of "
        f"pictures agrees with the true one (Spearman's ρ ≥ {_AGREES}) in {linear['agree']} of {linear['cases']} cases.",
        f"Which *pictures* rot most after {trips} trips is told by the first (ρ ≥ {_AGREES}) in {pictures['agree']} of {pictures['cases']} cases.",
        f"Which *model* is better after {trips} trips is told wrongly by the first in {models['swaps']} of {models['pairs']} pairs of models on the same pictures, in "
        f"{models['certain']} of them with certainty (paired 95 % intervals at both ends).",
    ]
    return f"**Said plainly.** {' '.join(sentences)}"


def _linear(cells: dict[str, Any]) -> list[str]:
    lines = [
        "To first order x_n − x ≈ Σ_{i<n} J^i (F(x) − x), with J the derivative of F = D∘E at the picture. *plain* trips: without rounding or cutting off, as the derivative "
        "sees it. *both*: pictures whose error doubles within those trips in the prediction and in fact; over these the medians and Spearman's ρ.",
        "",
        "| model, pictures | trips | off after 2 trips | off after the last | both, of n | −3 dB predicted | plain | ρ over pictures |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, cell in cells.items():
        linear = cell["linear"]
        guess, truth = _both(linear)
        off = [p - m for p, m in zip(linear["predicted"], linear["measured"], strict=True)]
        medians = (f"{np.median(values):.2f}" if len(values) else "–" for values in (guess, truth))
        rho = _rank(guess, truth)
        lines.append(
            f"| {_title(name)} | {linear['trips']} | {off[1]:+.1f} dB | {off[-1]:+.1f} dB | {len(guess)} of {len(linear['doubled'])} | "
            f"{' | '.join(medians)} | {'–' if rho is None else f'{rho:+.2f}'} |"
        )
    return lines


def _rankings(record: dict[str, Any], cells: dict[str, Any]) -> list[str]:
    trips = record["trips"]
    lines = [
        f"Spearman's ρ between PSNR after 1 and after {trips} trips: over the pictures of one model, and over models on the same pictures (means).",
        "",
        "| model, pictures | n | ρ over pictures |",
        "|---|---|---|",
    ]
    for name, rho in _by_pictures(cells).items():
        lines.append(f"| {_title(name)} | {len(cells[name]['psnr'])} | {'–' if rho is None else f'{rho:+.2f}'} |")
    lines += [
        "",
        f"| pictures | best to worst after 1 trip | after {trips} trips | ρ over models | pairs that change places | with certainty |",
        "|---|---|---|---|---|---|",
    ]
    for group, one in _by_models(record).items():
        orders = (
            ", ".join(f"{NAMES.get(m, m)} {value:.1f}" for m, value in order) for order in (one["first"], one["last"])
        )
        rho = "–" if one["rho"] is None else f"{one['rho']:+.2f}"
        lines.append(
            f"| {group} | {' | '.join(orders)} | {rho} | {one['swaps']} of {one['pairs']} | {one['certain']} |"
        )
    return lines


def _pooled(cells: dict[str, Any]) -> dict[str, Any]:
    """All photographs of a large model as one cell, of those sets that were measured on both."""
    sets = [{cell["pictures"] for cell in cells.values() if cell["model"] == model} for model in LARGE]
    both = set.intersection(*sets)
    found = {}
    for model in LARGE if both else ():
        own = [cell for cell in cells.values() if cell["model"] == model and cell["pictures"] in both]
        counts = [len(cell["psnr"]) for cell in own]

        def mean(key: str, own: list[Any] = own, counts: list[int] = counts) -> list[float]:
            return np.average([cell[key] for cell in own], axis=0, weights=counts).tolist()

        linear = [cell["linear"] for cell in own]
        found[f"{model}, all"] = {
            "model": model,
            "psnr": [row for cell in own for row in cell["psnr"]],
            "doubled": [value for cell in own for value in cell["doubled"]],
            "brightness": mean("brightness"),
            "contrast": mean("contrast"),
            "gap": math.sqrt(np.average([cell["gap"] ** 2 for cell in own], weights=counts)),
            "rot": " or ".join(sorted({cell["rot"] for cell in own})),
            "fastest": ["", None] if len({cell["fastest"][0] for cell in own}) > 1 else own[0]["fastest"],
            "linear": {
                "trips": linear[0]["trips"],
                "predicted": np.average([one["predicted"] for one in linear], axis=0, weights=counts).tolist(),
                "measured": np.average([one["measured"] for one in linear], axis=0, weights=counts).tolist(),
                "doubled": [value for one in linear for value in one["doubled"]],
                "plainly_doubled": [value for one in linear for value in one["plainly_doubled"]],
            },
        }
    return found


def _psnr(cell: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(cell["psnr"])


def _both(linear: dict[str, Any]) -> tuple[list[float], list[float]]:
    pairs = [
        (guess, truth)
        for guess, truth in zip(linear["doubled"], linear["plainly_doubled"], strict=True)
        if guess is not None and truth is not None
    ]
    return [guess for guess, _ in pairs], [truth for _, truth in pairs]


def _rank(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Spearman's ρ, None for fewer than three or where one side is constant."""
    if len(one) < _FEWEST or len(set(one)) == 1 or len(set(other)) == 1:
        return None
    return float(spearmanr(one, other).statistic)


def _by_pictures(cells: dict[str, Any]) -> dict[str, float | None]:
    return {name: _rank(_psnr(cell)[:, 0].tolist(), _psnr(cell)[:, -1].tolist()) for name, cell in cells.items()}


def _by_models(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Per group of cases on the same pictures: both orders, their rank correlation, and how many pairs change places."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for cell in record["cells"].values():
        groups.setdefault(cell["group"], []).append(cell)
    found = {}
    for group, members in groups.items():
        if len(members) < 2:
            continue
        ends = [(cell["model"], float(_psnr(cell)[:, 0].mean()), float(_psnr(cell)[:, -1].mean())) for cell in members]
        changes = [_change(_psnr(a), _psnr(b)) for a, b in itertools.combinations(members, 2)]
        found[group] = {
            "first": sorted(((model, one) for model, one, _ in ends), key=lambda pair: -pair[1]),
            "last": sorted(((model, last) for model, _, last in ends), key=lambda pair: -pair[1]),
            "rho": _rank([one for _, one, _ in ends], [last for _, _, last in ends]),
            "swaps": sum(changed for changed, _ in changes),
            "certain": sum(certain for _, certain in changes),
            "pairs": len(changes),
        }
    return found


def _change(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> tuple[bool, bool]:
    """Whether two models change places between the first and the last trip, and whether both orders are certain.

    Certain: the 95 % bootstrap interval over pictures of the paired difference does not hold 0.
    """
    apart = torch.from_numpy(one - other)[:, [0, -1]]
    changed = float(apart[:, 0].mean()) * float(apart[:, 1].mean()) < 0
    low, high = interval_of(bootstrap_means(apart))
    return changed, changed and bool(((low > 0) | (high < 0)).all())


def _title(name: str) -> str:
    model, _, pictures = name.partition(", ")
    return f"**{NAMES[model]}, all**" if pictures == "all" else f"{NAMES.get(model, model)}, {pictures}"


def _median(doubled: list[float | None]) -> str:
    value = float(np.median([math.inf if one is None else one for one in doubled]))
    return f"{value:.1f}" if math.isfinite(value) else "∞"


def draw(record: dict[str, Any], folder: Path) -> None:
    """Curves of PSNR and contrast, predicted against measured, and one trip against twenty."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.5, 7.2), layout="constrained")
    (curves, contrast, small), (linear, pictures, models) = figure.subplots(2, 3)
    cells, trips = record["cells"], range(1, record["trips"] + 1)
    for cell in cells.values():
        mean = _psnr(cell).mean(axis=0)
        large = cell["model"] in LARGE
        colour = COLOURS.get(cell["model"] if large else cell["group"])
        if colour is None:
            continue  # the random model is no finding
        if large:
            style, label = STYLES[cell["group"]], f"{NAMES[cell['model']]}, {cell['pictures']}"
            curves.plot(trips, mean, style, color=colour, label=label)
            contrast.plot(trips, cell["contrast"], style, color=colour)
        else:
            first = next(name for name, other in cells.items() if other["group"] == cell["group"])
            small.plot(trips, mean, color=colour, linewidth=1, label=cell["group"] if cells[first] is cell else None)
        guess, truth = _both(cell["linear"])
        linear.scatter(guess, truth, s=10, color=colour, alpha=0.6, linewidth=0)
        pictures.scatter(_psnr(cell)[:, 0], _psnr(cell)[:, -1], s=10, color=colour, alpha=0.6, linewidth=0)
        models.plot([0, 1], mean[[0, -1]], "o-", markersize=3, linewidth=1, color=colour)
    contrast.axhline(1, color="#888", linewidth=0.8, linestyle=":")
    lowest, highest = linear.get_xlim()[0], max(linear.get_xlim()[1], linear.get_ylim()[1])
    linear.plot([max(lowest, 1), highest], [max(lowest, 1), highest], color="#888", linewidth=0.8, linestyle=":")
    linear.set_xscale("log")
    linear.set_yscale("log")
    for axes, title, x, y in (
        (curves, "Photographs: PSNR falls", "trip", "dB against the original"),
        (contrast, "Two kinds of rot: contrast", "trip", "of the original's"),
        (small, "Small models, their own pictures", "trip", "dB"),
        (linear, "Trip of −3 dB, each picture", "predicted by the derivative", "without rounding"),
        (pictures, "Does one trip tell? Pictures", "dB after 1 trip", f"dB after {record['trips']}"),
        (models, "Does one trip tell? Models", "", "dB, mean over pictures"),
    ):
        axes.set_title(title, loc="left")
        axes.set_xlabel(x)
        axes.set_ylabel(y)
    models.set_xticks([0, 1], ["after 1 trip", f"after {record['trips']}"])
    for axes in (curves, small):
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(folder / "drift.png", dpi=100)


def draw_pictures(pictures: dict[str, Any], path: Path) -> None:
    """The first two photographs, along the way through either model."""
    from matplotlib.figure import Figure

    rows = [(model, number) for model in LARGE if f"{model}, photographs" in pictures for number in range(2)]
    if not rows:
        return
    figure = Figure(figsize=(10.2, 1.75 * len(rows)), layout="constrained")
    for axes, (model, number), trip, frame in (
        (panel, row, trip, frame)
        for line, row in zip(figure.subplots(len(rows), len(SHOWN), squeeze=False), rows, strict=True)
        for panel, trip, frame in zip(line, SHOWN, range(len(SHOWN)), strict=True)
    ):
        axes.imshow(pictures[f"{model}, photographs"][number, frame].transpose(1, 2, 0))
        axes.set_xticks([])
        axes.set_yticks([])
        if number == 0:
            axes.set_title({0: "original", 1: "1 trip"}.get(trip, f"{trip} trips"), fontsize=9)
        if trip == 0:
            axes.set_ylabel(NAMES[model])
    figure.savefig(path, dpi=80)
