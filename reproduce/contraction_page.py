"""The tables and the figure of contraction.py, and for each claim of the paper whether these numbers bear it out."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from separatrix.plots._style import HUES, INK, MUTED

Run = dict[str, Any]

HIGH = 0.95  # a Pearson correlation that is called "near 0.99"
LAWS = ("as published", "whole Jacobian", "from nearby", "both", "both, closer")
PAPER = {"on the data": 1.08, "just outside": 0.69, "far away": 0.27}  # its k = 2 model, median ‖J‖₂


def write_page(record: dict[str, Any], out: Path, models: int) -> None:
    """contraction.md and contraction.png; ``models`` is how many there are in all."""
    runs = record["runs"]
    seconds = sum(run["seconds"] for run in runs)
    followed = [run for run in runs if "laws" in run]
    lines = [
        "# Where networks contract, and how long orbits take",
        "",
        f"`python reproduce/contraction.py{_chosen(runs, models)}`, torch {record['versions']['torch']}, "
        f"{', '.join(sorted({run['device'] for run in runs}))}, {seconds:.0f} s on one thread of a busy machine, without training.",
        "",
        *_verdicts(runs),
        "",
        "![norms and steps](contraction.png)",
        "",
        "## Places",
        "",
        "Medians, with the 5 and 95 % points in brackets. *Just outside* and *far away*: at 1.5 and 4 times the data's own distance "
        "from the mean latent. *Before training*: fresh weights, on their own latents of the same images.",
        "",
        "| model, k | place | points | ρ | ‖J‖₂ | ρ < 1 | ‖J‖₂ < 1 |",
        "|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        lines += [
            f"| {run['model']}, {run['k']} | {name} | {place['points']} | {_spread(place['radius'])} | {_spread(place['norm'])} | "
            f"{_percent(place['share_radius_below_1'])} | {_percent(place['share_norm_below_1'])} |"
            for name, place in run["places"].items()
        ]
    if any(run["model"] == "conv2" for run in followed):
        lines += [
            "",
            "conv2's latent space: blue where a single step contracts, the black line is ‖J‖₂ = 1, dots are training latents.",
            "",
            "![map of conv2](contraction_map.png)",
        ]
    lines += [
        "",
        "## Predicted against measured steps",
        "",
        "Steps of plain float64 iteration until within 1e-4 of the spread. *As published*: T = log(ε/‖e₀‖)/log ρ from the start. *Whole "
        "Jacobian*: the first t with ‖Jᵗe₀‖ ≤ ε. *From nearby*: the clock starts within 0.1 of the spread. *Both*: the two together, "
        "which is what linearisation promises, and has no free constant; *closer*: the clock starts within 0.01. Pearson correlation over orbits; in brackets within "
        "attractors (both columns less their attractor's mean); then the median of measured/predicted.",
        "",
        "| model | attractors, ρ | orbits | " + " | ".join(LAWS) + " | slope, as published / both |",
        "|---|---|---|" + "---|" * len(LAWS) + "---|",
    ]
    for run in followed:
        cells = [
            f"{_number(law['pearson'])} ({_number(law['within'])}), {_number(law['ratio'], '.2f')}"
            for law in (run["laws"][name] for name in LAWS)
        ]
        first = run["laws"][LAWS[0]]
        radii = [one["rho"] for one in run["attractors"]]
        span = f"{min(radii):.2f}–{max(radii):.2f}" if radii else "–"
        slopes = " / ".join(_number(run["laws"][law]["slope"], ".2f") for law in (LAWS[0], "both"))
        left = f", {first['missed']} missed" if first["missed"] else ""
        lines.append(
            f"| {run['model']} | {len(radii)}, {span} | {first['orbits']} of {run['starts']}{left} | {' | '.join(cells)} | {slopes} |"
        )
    lines += ["", "## Why", "", *_reasons(followed), "", "## Attractor by attractor", ""]
    lines += [
        "Medians over the orbits of each; the ten with the most orbits. *Before*: steps before the neighbourhood.",
        "",
        "| model | ρ | orbits | predicted | measured | before |",
        "|---|---|---|---|---|---|",
    ]
    for run in followed:
        lines += [
            f"| {run['model']} | {one['rho']:.3f} | {one['orbits']} | {one['predicted']:.1f} | {one['measured']:.1f} | "
            f"{_number(one['before_the_neighbourhood'], '.0f')} |"
            for one in sorted(run["attractors"], key=lambda one: -one["orbits"])[:10]
        ]
    (out / "contraction.md").write_text("\n".join([*lines, ""]), encoding="utf-8")
    _figure(runs, followed).savefig(out / "contraction.png", dpi=110)


def _verdicts(runs: list[Run]) -> list[str]:
    norms = {run["model"]: {name: place["norm"][1] for name, place in run["places"].items()} for run in runs}
    falls = [name for name, norm in norms.items() if norm["on the data"] > norm["just outside"] > norm["far away"]]
    below = [name for name, norm in norms.items() if norm["far away"] < 1]
    fresh = [name for name, norm in norms.items() if norm["before training"] < 1]
    count = len(norms)
    kept = [norm["on the data"] for norm in norms.values()]
    lines = [
        f"* *Contraction grows away from the data* (the paper's model: {', '.join(f'{value} {name}' for name, value in PAPER.items())}). Median "
        f"‖J‖₂ falls from place to place in {len(falls)} of {count} models ({', '.join(falls) or 'none'}), and is below 1 far away in {len(below)}. "
        + _verdict(len(falls) == count, 2 * len(falls) > count),
        f"* *‖J‖₂ ≈ 1 on training latents.* Medians from {min(kept):.2f} to {max(kept):.2f}, "
        f"{sum(0.8 <= value <= 1.25 for value in kept)} of {count} within 0.8 to 1.25. "
        + _verdict(
            all(0.8 <= value <= 1.25 for value in kept), 2 * sum(0.8 <= value <= 1.25 for value in kept) > count
        ),
        f"* *Networks contract before training.* Median ‖J‖₂ below 1 in {len(fresh)} of {count} models. "
        + _verdict(len(fresh) == count, 2 * len(fresh) > count),
    ]
    small = [run for run in runs if run["model"].startswith("mnist_k2") and "laws" in run]
    if small:
        first, last, nearest = (
            [run["laws"][law]["pearson"] or 0.0 for run in small] for law in (LAWS[0], "both", "both, closer")
        )
        known = [run["laws"][LAWS[0]]["variance_between"] for run in small]
        inner = [run["laws"][LAWS[0]]["within"] for run in small]
        lines.append(
            "* *Steps follow T = log(ε/‖e₀‖)/log ρ, Pearson near 0.99 on a k = 2 MNIST model.* From the start, "
            f"seed by seed: {_list(first)}. The attractor alone accounts for {_shares(known)} of the variance of the steps, and within "
            f"attractors the correlation is {_list(inner)}: it is near 0.99 where ρ differs much between attractors. With the "
            f"whole Jacobian, and counted from within 0.1 of the spread: {_list(last)}; from within 0.01: {_list(nearest)}. "
            + _verdict(min(first) >= HIGH, max(first) >= HIGH or median(last) >= HIGH)
        )
    return lines


def _reasons(runs: list[Run]) -> list[str]:
    """What the numbers say about the failure of the published law, cause by cause."""

    def column(law: str, key: str) -> list[float]:
        return [value for run in runs if (value := run["laws"][law][key]) is not None]

    share = [
        run["laws"]["both"]["entered_median"] / median(run["laws"]["as published"]["measured"])
        for run in runs
        if run["laws"]["both"]["orbits"]
    ]
    ratios = [
        run["laws"]["as published"]["deviation_measured"] / run["laws"]["as published"]["deviation_predicted"]
        for run in runs
        if run["laws"]["as published"]["deviation_predicted"]
    ]
    loose, tight = (
        [value for run in runs if (value := run["other_tolerances"][key]) is not None] for key in ("0.01", "1e-06")
    )
    search = [value for run in runs if (value := run["search_steps_pearson"]) is not None]
    between = column("as published", "between")
    return [
        f"* *The way to the neighbourhood.* It takes a median of {median(share):.0%} of an orbit's steps ({_range(share, '.0%')} over models). "
        "On the data ‖J‖₂ is near 1 or above it, so orbits creep along them at a pace of their own; "
        "the law counts none of it. Measured steps vary "
        f"{_range(ratios, '.1f')} times as much as predicted ones.",
        f"* *One eigenvalue for the whole Jacobian.* From nearby, ρ alone gives {_list(column('from nearby', 'pearson'))}, the whole Jacobian "
        f"{_list(column('both', 'pearson'))}, and a decade closer {_list(column('both, closer', 'pearson'))}: the direction in which an orbit arrives matters. From the start it is no help "
        f"({_list(column('whole Jacobian', 'pearson'))}), since the orbit is not where J is the map's.",
        f"* *What a single correlation mixes.* The attractor alone accounts for {_shares(column('as published', 'variance_between'))} of the "
        f"variance of measured steps. Within attractors the published law has {_list(column('as published', 'within'))}; over "
        f"the medians of three attractors or more: {_list(between) if between else '–'}. Where ρ differs much between attractors, it dominates both "
        "columns; with one or two attractors there is little but ‖e₀‖ to predict from.",
        f"* *The tolerance.* At ε = 0.01 of the spread {_list(loose)}, at 1e-6 {_list(tight)}. A smaller ε adds steps that the law "
        "counts rightly, as many to every orbit of an attractor: it stretches the distances between attractors and leaves those within "
        f"one as they are. The scale hardly matters: Pearson of the logarithms {_list(column('as published', 'pearson_of_logs'))}.",
        f"* *Not the search's shortcuts*: the steps that a search records correlate with those of plain iteration at {_list(search)}; "
        "here all steps are from plain iteration.",
    ]


def _chosen(runs: list[Run], models: int) -> str:
    """The option, unless all models are there."""
    return "" if len(runs) == models else f" --models {' '.join(run['model'] for run in runs)}"


def _verdict(holds: bool, partly: bool) -> str:
    return "**Reproduced.**" if holds else "**Conditional.**" if partly else "**Not reproduced.**"


def _figure(runs: list[Run], followed: list[Run]) -> Figure:
    figure = Figure(figsize=(13, 8.6), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.15))
    _norms(above.subplots(), runs)
    left, right = below.subplots(1, 2)
    _steps(left, followed, "as published", "From the start, by ρ: the law as published")
    _steps(right, followed, "both", "From within 0.1 of the spread, by the whole Jacobian")
    return figure


def _norms(axes: Axes, runs: list[Run]) -> None:
    names = list(runs[0]["places"]) if runs else []
    for index, name in enumerate(names):
        for column, run in enumerate(runs):
            if name not in run["places"]:
                continue
            low, middle, high = run["places"][name]["norm"]
            x = column + 0.18 * (index - (len(names) - 1) / 2)
            axes.plot([x, x], [low, high], color=HUES[index], linewidth=2, alpha=0.5)
            axes.plot([x], [middle], "o", color=HUES[index], markersize=5, label=name if column == 0 else None)
    axes.axhline(1, color=INK, linewidth=0.9)
    axes.set_yscale("log")
    names_below = [run["model"].replace("_", "\n", 1) for run in runs]
    axes.set_xticks(
        range(len(runs)), [f"{n}\nk = {run['k']}" for n, run in zip(names_below, runs, strict=True)], fontsize=7.5
    )
    axes.set_ylabel("‖J‖₂, median and 5–95 %")
    axes.set_title("Where single steps contract", loc="left", color=MUTED, fontsize=10)
    axes.legend(frameon=False, fontsize=8, ncols=4)


def _steps(axes: Axes, runs: list[Run], law: str, title: str) -> None:
    for index, run in enumerate(runs):
        found = run["laws"][law]
        label = f"{run['model']}, r = {_number(found['pearson'], '.2f')}"
        marker = "o" if index < len(HUES) else "^"
        axes.plot(
            found["predicted"],
            found["measured"],
            marker,
            color=HUES[index % len(HUES)],
            markersize=3,
            alpha=0.6,
            label=label,
        )
    axes.set(xscale="log", yscale="log", xlabel="predicted steps", ylabel="measured steps")
    values = [
        value for run in runs for key in ("predicted", "measured") for value in run["laws"][law][key] if value > 0
    ]
    ends = (min(values) / 1.2, 1.2 * max(values))
    axes.plot(ends, ends, color=INK, linewidth=0.9)
    axes.set_title(title, loc="left", color=MUTED, fontsize=10)
    axes.legend(frameon=False, fontsize=7.5, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _spread(values: list[float | None]) -> str:
    low, middle, high = (_number(value, ".2f" if value is None or value >= 0.01 else ".1g") for value in values)
    return f"{middle} ({low}–{high})"


def _number(value: float | None, form: str = ".3f") -> str:
    return "–" if value is None else f"{value:{form}}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _list(values: list[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _shares(values: list[float]) -> str:
    return ", ".join(f"{value:.0%}" for value in values)


def _range(values: list[float], form: str) -> str:
    return f"{min(values):{form}} to {max(values):{form}}" if values else "–"
