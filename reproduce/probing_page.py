"""The tables of reproduce/probing.py in Markdown."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from scipy.stats import spearmanr

from separatrix.studies import Conclusion, Role

_LEVELS = (8, 32, 128, 256)
_SIGNS = {"better": "", "level": " (level)", "worse": ""}


def page(record: dict[str, Any]) -> str:
    """Counts over all cells, a table of shares, and TAEF2's errors by dictionary and sparsity."""
    rows = record["rows"]
    large = {key: row for key, row in rows.items() if row["model"] == "taef2"}
    lines = [
        "# Data-free probing, with controls",
        "",
        f"`{record['command']}`, torch {record['torch']}, on one CPU thread.",
        "",
        "As many draws from N(0, I) as the latent has dimensions, iterated, are the dictionary; real latents are coded by orthogonal",
        "matching pursuit. A percentage is the area between two error curves over ln k, as a share of the area under the control's:",
        "+20 % is 20 % less error than the control. In brackets 95 % bootstrap intervals over images; for the small models, whose errors",
        "are means over draws of the noise, over images and draws. *level*: the interval holds 0, or the difference is below 1 %.",
        "No correction for the number of comparisons is made: of twenty level pairs one is expected to be called otherwise.",
        "",
        *_counted(rows),
        "",
        *(_why(rows) if len({row["model"] for row in rows.values()}) > 2 else []),
        "",
        "## What iterating gains over each control",
        "",
        "| model, images | d | rms of a real latent coordinate | attractors, of starts | effective rank: noise, one step, iterated, real | space | against random basis | raw noise | "
        "**f once** | draws better than f once | untrained copy | finding |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for key, row in rows.items():
        lines += _row(key, row)
    if large:
        lines += ["", "## TAEF2 at 32 px: errors by number of atoms", ""]
        lines += _statuses(next(iter(large.values())))
        for key, row in large.items():
            lines += _levels(key.removeprefix("taef2 "), row)
    lines += ["", "## What decoded noise looks like", ""]
    lines += _looks(record["appearance"])
    lines += ["", "## Headlines", ""]
    lines += [f"* **{key}** {row['headline']}" for key, row in rows.items()]
    return "\n".join(lines) + "\n"


def _counted(rows: dict[str, Any]) -> list[str]:
    lines = []
    for space in ("latent", "image"):
        found = Counter(row["findings"][space] for row in rows.values())
        words = ", ".join(f"{found[str(conclusion)]} {conclusion}" for conclusion in Conclusion)
        verdicts = {
            control: Counter(_against(row, control, space)["verdict"] for row in rows.values())
            for control in (Role.ORTHONORMAL, Role.ONCE)
        }
        step = Counter(_comparison(row, Role.ONCE, Role.ORTHONORMAL, space)["verdict"] for row in rows.values())
        basis, once = verdicts[Role.ORTHONORMAL], verdicts[Role.ONCE]
        lines.append(
            f"* {'In latent space' if space == 'latent' else 'After decoding'}, of {len(rows)} pairs of model and images: {words}. "
            f"Iterated noise is better than a random basis in {basis['better']}, level in {basis['level']}, worse in "
            f"{basis['worse']}; than f applied once better in {once['better']}, level in {once['level']}, worse in {once['worse']}. "
            f"f applied once alone is better than a random basis in {step['better']}, level in {step['level']}, worse in "
            f"{step['worse']}."
        )
    return lines


def _why(rows: dict[str, Any]) -> list[str]:
    """Rank correlations over all pairs between gains and how many directions are left."""
    every = list(rows.values())
    once, iterated, real = ([_rank(row, role) for row in every] for role in (Role.ONCE, Role.ITERATED, Role.REAL))
    dimension = [row["dimension"] for row in every]
    basis, step = (Role.ONCE, Role.ORTHONORMAL), (Role.ITERATED, Role.ONCE)
    explanations = (
        ("of one step over a random basis", basis, "real latents / d", real, dimension),
        ("of one step over a random basis", basis, "one step / d", once, dimension),
        ("of iterating over one step", step, "iterated / real latents", iterated, real),
        ("of iterating over one step", step, "iterated / one step", iterated, once),
    )
    lines = [
        "Why, over all pairs (several data sets share a model, so they are not independent, and the ratios were chosen after seeing",
        "the table): Spearman's ρ of the gain with ratios of effective ranks.",
        "",
        "| gain | ratio of effective ranks | ρ, latent | ρ, image |",
        "|---|---|---|---|",
    ]
    for words, (name, control), ratio, above, below in explanations:
        shares = [x / y for x, y in zip(above, below, strict=True)]
        found = []
        for space in ("latent", "image"):
            gains = [_comparison(row, name, control, space)["share"][0] for row in every]
            found.append(float(spearmanr([-math.inf if gain is None else gain for gain in gains], shares).statistic))
        lines.append(f"| {words} | {ratio} | {found[0]:+.2f} | {found[1]:+.2f} |")
    return lines


def _rank(row: dict[str, Any], role: Role) -> float:
    known = next(each for each in row["dictionaries"] if each["role"] == role.name.lower())
    return float(row["effective_rank"].get(known["name"], known["geometry"]["effective_rank"]))


def _row(key: str, row: dict[str, Any]) -> list[str]:
    words = ", ".join(f"{_rank(row, role):.1f}" for role in (Role.NOISE, Role.ONCE, Role.ITERATED, Role.REAL))
    starts = row["dictionaries"][0]["geometry"]["atoms"]
    counts = sorted(draw["attractors"] for draw in row.get("draws", ()))
    least, most = (counts[0], counts[-1]) if counts else (0, 0)
    distinct = "end points" if not counts else str(most) if least == most else f"{least}–{most}"
    lines = []
    for space in ("latent", "image"):
        cells = []
        for control in (Role.ORTHONORMAL, Role.NOISE, Role.ONCE, Role.UNTRAINED):
            one = _against(row, control, space)
            cells.append("–" if one is None else _share(one))
            if control is Role.ONCE:
                by_draw = row.get("shares_by_draw", {}).get(f"{space} against {control}", [])
                better = sum(share is not None and share > 0 for share in by_draw)
                cells.append(f"{better} of {len(by_draw)}" if by_draw else "–")
        head = f"{key} | {row['dimension']} | {math.sqrt(row['power']):.2f} | {distinct} of {starts} | {words}"
        lines.append(
            f"| {head if space == 'latent' else ' | | | |'} | {space} | {' | '.join(cells)} | {row['findings'][space]} |"
        )
    return lines


def _share(one: dict[str, Any]) -> str:
    share, low, high = one["share"]
    if share is None or low is None:
        return "the control leaves nothing"
    return f"{100 * share:+.0f} % ({100 * low:+.0f} to {100 * high:+.0f}){_SIGNS[one['verdict']]}"


def _against(row: dict[str, Any], control: str, space: str) -> Any:
    return _comparison(row, Role.ITERATED, control, space)


def _comparison(row: dict[str, Any], name: str, control: str, space: str) -> Any:
    wanted = (name, control, space)
    return next(
        (one for one in row["comparisons"] if (one["dictionary"], one["control"], one["space"]) == wanted), None
    )


def _looks(looks: dict[str, Any]) -> list[str]:
    lines = [
        "Moran's I: how well neighbouring pixels agree (noise 0). *Passes*: better than the same pixels shuffled, false discovery",
        "rate 5 %. For the small models the attractors of the first draw.",
        "",
        "| model | decoded | pass | decoded raw noise that passes | Moran's I, median | of decoded raw noise |",
        "|---|---|---|---|---|---|",
    ]
    return lines + [
        f"| {model} | {seen['count']} {seen['what']} | {100 * seen['share']:.0f} % | {100 * seen['start_share']:.0f} % | "
        f"{seen['structure']:.2f} | {seen['start_structure']:.2f} |"
        for model, seen in looks.items()
    ]


def _statuses(row: dict[str, Any]) -> list[str]:
    words = [
        f"{which} copy: {', '.join(f'{count} {status}' for status, count in counts.items())}"
        for which, counts in row["statuses"].items()
    ]
    ranks = ", ".join(f"{name} {rank:.0f}" for name, rank in row["effective_rank"].items())
    return [
        f"How the 512 orbits ended after at most 100 steps, {'; '.join(words)}: end points, not attractors, are the atoms.",
        f"Effective rank: {ranks}.",
    ]


def _levels(name: str, row: dict[str, Any]) -> list[str]:
    levels = [row["sparsities"].index(k) for k in _LEVELS]
    heads = [f"latent, {k}" for k in _LEVELS] + [f"image, {k}" for k in _LEVELS]
    lines = [
        "",
        f"**{name}**: share of ‖z‖² not coded, and mean squared error of the decoded image (of D(E(x)): {row['floor']:.4f}).",
        "",
        f"| dictionary | {' | '.join(heads)} |",
        f"|---|{'---|' * len(heads)}",
    ]
    for known in row["dictionaries"]:
        latent = [f"{known['relative_latent_error'][level]:.3f}" for level in levels]
        image = [f"{known['image_mse']['mean'][level]:.4f}" for level in levels]
        lines.append(f"| {known['name']} | {' | '.join(latent + image)} |")
    return lines
