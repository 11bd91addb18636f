"""The tables of reproduce/probing.py in Markdown."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from scipy.stats import spearmanr

from separatrix.studies.probing import Finding, Role

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
        "+20 % is 20 % less error than the control. In brackets 95 % bootstrap intervals over images. *level*: the interval holds 0,",
        "or the difference is below 1 %. For the small models errors are means over draws of the noise.",
        "",
        *_counted(rows),
        "",
        *_why(rows),
        "",
        "## What iterating gains over each control",
        "",
        "| model, images | d | distinct | effective rank: noise, one step, iterated | space | against random basis | raw noise | "
        "**f once** | draws better than f once | untrained copy | finding |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for key, row in rows.items():
        lines += _row(key, row)
    if large:
        lines += ["", "## TAEF2 at 32 px: errors by number of atoms", ""]
        lines += _statuses(next(iter(large.values())))
        for key, row in large.items():
            lines += _levels(key.removeprefix("taef2 "), row)
    lines += ["", "## Headlines", ""]
    lines += [f"* **{key}** {row['headline']}" for key, row in rows.items()]
    return "\n".join(lines) + "\n"


def _counted(rows: dict[str, Any]) -> list[str]:
    lines = []
    for space in ("latent", "image"):
        found = Counter(row["findings"][space] for row in rows.values())
        words = ", ".join(f"{found[str(finding)]} {finding}" for finding in Finding)
        verdicts = {
            control: Counter(_against(row, control, space)["verdict"] for row in rows.values())
            for control in (Role.ORTHONORMAL, Role.ONCE)
        }
        basis, once = verdicts[Role.ORTHONORMAL], verdicts[Role.ONCE]
        lines.append(
            f"* {'In latent space' if space == 'latent' else 'After decoding'}, of {len(rows)} pairs of model and images: {words}. "
            f"Iterated noise is better than a random basis in {basis['better']}, level in {basis['level']}, worse in "
            f"{basis['worse']}; than f applied once better in {once['better']}, level in {once['level']}, worse in {once['worse']}."
        )
    return lines


def _why(rows: dict[str, Any]) -> list[str]:
    """Rank correlations over all pairs between what iterating gains and how many directions it keeps."""
    ranks = [[row["effective_rank"][name] for name in (Role.NOISE, Role.ONCE, Role.ITERATED)] for row in rows.values()]
    kept = [iterated / once for _, once, iterated in ranks]
    dictionaries = [row["dictionaries"][0]["geometry"] for row in rows.values()]
    distinct = [known["distinct"] / known["atoms"] for known in dictionaries]
    lines = []
    for space in ("latent", "image"):
        found = {}
        for control in (Role.ORTHONORMAL, Role.ONCE):
            gains = [_against(row, control, space)["share"][0] for row in rows.values()]
            gains = [-math.inf if gain is None else gain for gain in gains]
            found[control] = [float(spearmanr(gains, other).statistic) for other in (kept, distinct)]
        lines.append(
            f"* Rank correlation (Spearman, over all {len(rows)} pairs) of the gain {'in latent space' if space == 'latent' else 'after decoding'} "
            f"with the share of the effective rank after one step that iterating keeps: {found[Role.ONCE][0]:+.2f} for the gain over "
            f"one step, {found[Role.ORTHONORMAL][0]:+.2f} over the random basis; with the share of distinct atoms: "
            f"{found[Role.ONCE][1]:+.2f} and {found[Role.ORTHONORMAL][1]:+.2f}."
        )
    return lines


def _row(key: str, row: dict[str, Any]) -> list[str]:
    ranks = row["effective_rank"]
    words = ", ".join(f"{ranks[name]:.1f}" for name in (Role.NOISE, Role.ONCE, Role.ITERATED))
    distinct = row["dictionaries"][0]["geometry"]["distinct"]
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
        head = f"{key} | {row['dimension']} | {distinct} of {row['dictionaries'][0]['geometry']['atoms']} | {words}"
        lines.append(
            f"| {head if space == 'latent' else ' | | |'} | {space} | {' | '.join(cells)} | {row['findings'][space]} |"
        )
    return lines


def _share(one: dict[str, Any]) -> str:
    share, low, high = one["share"]
    if share is None or low is None:
        return "the control leaves nothing"
    return f"{100 * share:+.0f} % ({100 * low:+.0f} to {100 * high:+.0f}){_SIGNS[one['verdict']]}"


def _against(row: dict[str, Any], control: str, space: str) -> Any:
    return next(
        (
            one
            for one in row["comparisons"]
            if (one["dictionary"], one["control"], one["space"]) == (Role.ITERATED, control, space)
        ),
        None,
    )


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
