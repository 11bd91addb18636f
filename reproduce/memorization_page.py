"""The table and the figure of memorization.py, and for each claim of the paper whether these numbers bear it out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.figure import Figure

Run = dict[str, Any]


def write_page(record: dict[str, Any], out: Path) -> None:
    """memorization.md and memorization.png."""
    runs = record["runs"]
    lines = [
        "# Memorization and generalization",
        "",
        f"`python reproduce/memorization.py`, torch {record['versions']['torch']}. Medians over the seeds that are named, with the "
        "range in brackets. *mem* is the mean over attractors of the highest cosine to a training image; *unseen* is what held-out "
        "images reach (median), the null that it has to beat. *Called*: attractors closer to one training image than unseen images "
        "are (false discovery rate 5 %). *Trivial*: runs whose field takes everything to one point in a few steps. ‖J‖₂: medians on training latents / just outside / far away / before training.",
        "",
    ]
    for title, make in (
        ("Bottleneck", _bottleneck),
        ("Training-set size, k = 128, FashionMNIST", _sizes),
        ("Associative memory, 50 images of FashionMNIST", _memory),
    ):
        table = make(runs)
        if table:
            lines += [f"## {title}", "", *table, ""]
    lines += ["## The paper's claims", "", *_claims(runs), ""]
    (out / "memorization.md").write_text("\n".join(lines))
    figure = _figure(runs)
    if figure is not None:
        figure.savefig(out / "memorization.png", dpi=110)


def _bottleneck(runs: Sequence[Run]) -> list[str]:
    rows = [run for run in runs if run["part"] == "bottleneck"]
    keys = sorted({(run["data"], run["k"]) for run in rows})
    return _table(
        "data, k", [(f"{data}, {k}", [r for r in rows if (r["data"], r["k"]) == (data, k)]) for data, k in keys]
    )


def _sizes(runs: Sequence[Run]) -> list[str]:
    rows = [run for run in runs if run["part"] == "size"]
    return _table(
        "images", [(str(n), [r for r in rows if r["images"] == n]) for n in sorted({r["images"] for r in rows})]
    )


def _memory(runs: Sequence[Run]) -> list[str]:
    rows = [run for run in runs if run["part"] == "memory"]
    if not rows:
        return []
    damages = rows[0]["returned"]
    lines = [
        f"| seed | loss | training codes with ρ < 1 | attractors | called | from noise | {' | '.join(damages)} |",
        f"|---|---|---|---|---|---|{'---|' * len(damages)}",
    ]
    for run in rows:
        returned = " | ".join(f"{run['returned'][name]} of 50 return" for name in damages)
        lines.append(
            f"| {run['seed']} | {run['loss']:.1g} | {run['attracting_codes']} of 50 | {run['attractors']} | {run['called']} | "
            f"{run['retrieved_from_noise']} of 50 | {returned} |"
        )
    return lines


def _table(first: str, groups: Iterable[tuple[str, list[Run]]]) -> list[str]:
    lines = [
        f"| {first} | seeds | trivial | test MSE | attractors | unresolved | mem | unseen | called | components | of images | noise-only | "
        "‖J‖₂ |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    found = False
    for name, rows in groups:
        found = True

        def of(key: str | Callable[[Run], Any], form: str = ".3f", rows: list[Run] = rows) -> str:
            get = key if callable(key) else lambda run: run[key]
            values = [value for run in rows if (value := get(run)) is not None]
            if not values:
                return "–"
            low, middle, high = min(values), median(values), max(values)
            return f"{middle:{form}}" if low == high else f"{middle:{form}} ({low:{form}}–{high:{form}})"

        norms = " / ".join(f"{median(run['norms'][group] for run in rows):.2f}" for group in rows[0]["norms"])
        lines.append(
            f"| {name} | {len(rows)} | {sum(run['outcome'] == 'trivial field' for run in rows)} | {of('test_error', '.4f')} | {of('attractors', '.0f')} | {of('unresolved', '.0%')} | "
            f"{of('mem')} | {of('mem_held_out')} | {of(_called, '.0f')} | {of('components', '.0f')} | "
            f"{of('components_of_images', '.0f')} | {of(_noise_only, '.0f')} | {norms} |"
        )
    return lines if found else []


def _called(run: Run) -> int:
    """Attractors called copies; those of a trivial field are not read."""
    return 0 if run["outcome"] == "trivial field" else int(run["called"])


def _noise_only(run: Run) -> int:
    """Attractors that noise reaches and training images do not."""
    count, shared, _ = run["sources"]["noise"]
    return int(count - shared)


def _claims(runs: Sequence[Run]) -> list[str]:
    """Each claim with the numbers that decide it; what was not run decides nothing."""
    lines = []
    bottlenecks = [run for run in runs if run["part"] == "bottleneck" and run["mem"] is not None]
    bottlenecks = [run for run in bottlenecks if run["outcome"] != "trivial field"]  # which says nothing
    if bottlenecks:
        small = [run for run in bottlenecks if run["k"] <= 16]
        large = [run for run in bottlenecks if run["k"] >= 128]
        excess = lambda rows: median(run["mem"] - run["mem_held_out"] for run in rows)  # noqa: E731
        called = lambda rows: sum(_called(run) > 0 for run in rows)  # noqa: E731
        lines += [
            f"* *Small bottlenecks memorize (mem near 1, poor test error), large ones generalize.* Mem: median "
            f"{median(run['mem'] for run in small):.3f} at k ≤ 16 and {median(run['mem'] for run in large):.3f} at k ≥ 128. Against the null: "
            f"excess {excess(small):+.3f} and {excess(large):+.3f}; runs with any attractor closer to one training image than unseen "
            f"images are: {called(small)} of {len(small)} and {called(large)} of {len(large)}. "
            + _memory_of_images(
                median(r["mem"] for r in small) > median(r["mem"] for r in large), called(small) > called(large)
            ),
            f"* *The dictionary gets richer with k.* Components for 90 % of the variance: "
            f"{median(run['components'] for run in small):.0f} at k ≤ 16, {median(run['components'] for run in large):.0f} at k ≥ 128 "
            f"(medians; from k to k: {_steps_of('components', bottlenecks)}): "
            + _yes(median(run["components"] for run in large) > median(run["components"] for run in small)),
        ]
        norms = [run["norms"] for run in bottlenecks]
        on, out, far, before = (median(n[g] for n in norms) for g in list(norms[0])[:4])
        places = [[n[g] for g in list(n)[:4]] for n in norms]
        falls = sum(a > b > c for a, b, c, _ in places)
        below, fresh = (sum(place[i] < 1 for place in places) for i in (2, 3))
        lines += [
            f"* *The map contracts off the data.* Median ‖J‖₂ {on:.2f} on training latents, {out:.2f} just outside, {far:.2f} far away; it falls from "
            f"place to place in {falls} of {len(places)} runs and is below 1 far away in {below}: "
            + ("**conditional**." if 0 < min(falls, below) < len(places) else _yes(bool(min(falls, below)))),
            f"* *Networks contract at initialisation.* Median ‖J‖₂ {before:.2f} before training, below 1 in {fresh} of {len(places)} runs: "
            + _yes(fresh == len(places)),
        ]
    sizes = sorted(
        (run for run in runs if run["part"] == "size" and run["mem"] is not None), key=lambda run: run["images"]
    )
    if sizes:
        few, many = ([run for run in sizes if run["images"] == n] for n in (sizes[0]["images"], sizes[-1]["images"]))
        share = [median(_called(run) / max(run["attractors"], 1) for run in rows) for rows in (few, many)]
        each = [", ".join(f"{_called(run)} of {run['attractors']}" for run in rows) for rows in (few, many)]
        lines.append(
            f"* *Fewer training images, more memorization.* Attractors called (closer to one training image than unseen images are; "
            f"not necessarily exact copies), seed by seed: {each[0]} at {few[0]['images']} images, {each[1]} at "
            f"{many[0]['images']}: " + _yes(share[0] > share[1])
        )
    memories = [run for run in runs if run["part"] == "memory"]
    if memories:
        codes = median(run["attracting_codes"] for run in memories)
        lines.append(
            f"* *An overparameterized autoencoder stores its training images as attractors* (Radhakrishnan et al. 2020). "
            f"{codes:.0f} of 50 training codes attract (median of {len(memories)} seeds): "
            + ("**reproduced in part**: the others are fixed points that repel." if codes < 50 else "**reproduced**.")
        )
    return lines


def _steps_of(key: str, runs: Sequence[Run]) -> str:
    """Medians over the seeds at each k, data set by data set."""
    found = []
    for name in sorted({run["data"] for run in runs}):
        mine = [run for run in runs if run["data"] == name]
        medians = [median(r[key] for r in mine if r["k"] == k) for k in sorted({r["k"] for r in mine})]
        found.append(f"{name} {', '.join(f'{value:.0f}' for value in medians)}")
    return "; ".join(found)


def _memory_of_images(falls: bool, copies: bool) -> str:
    if not falls:
        return "**Not reproduced**: mem does not fall with k."
    if copies:
        return "**Reproduced**: mem falls with k, and small bottlenecks give back single images."
    return (
        "**Conditional**: mem falls with k, but no more attractors of small bottlenecks are called copies, closer to one training image than to its "
        "neighbours: at this size mem measures how prototypical the attractors are, and is no memory of single images."
    )


def _yes(holds: bool) -> str:
    return "**reproduced**." if holds else "**not reproduced**."


def _figure(runs: Sequence[Run]) -> Figure | None:
    rows = [run for run in runs if run["part"] == "bottleneck" and run["mem"] is not None]
    if not rows:
        return None
    names = sorted({run["data"] for run in rows})
    figure = Figure(figsize=(4.2 * len(names), 3.6), layout="constrained")
    axes = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
    for ax, name in zip(axes, names, strict=True):
        mine = [run for run in rows if run["data"] == name]
        ks = sorted({run["k"] for run in mine})
        for key, words, style in (
            ("mem", "attractors (mem)", "o-"),
            ("mem_held_out", "unseen images", "s--"),
            ("mem_noise", "uniform noise", ":"),
        ):
            ax.plot(ks, [median(r[key] for r in mine if r["k"] == k) for k in ks], style, label=words, markersize=4)
        ax.set(xscale="log", xlabel="bottleneck k", title=name)
        ax.set_xticks(ks, [str(k) for k in ks])
        ax.minorticks_off()
    axes[0].set_ylabel("cosine to the nearest training image")
    axes[0].legend(frameon=False, fontsize=8)
    figure.suptitle("Memorization coefficient beside its nulls", fontsize=11)
    return figure
