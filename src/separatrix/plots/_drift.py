"""This file tells what is left of pictures, trip by trip: quality with intervals, what the error is made of, and the pictures themselves."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from separatrix.errors import InputError
from separatrix.plots._marks import mosaic, place_picture
from separatrix.plots._pictures import to_rgb
from separatrix.plots._style import FAINT, HUES, INK, MUTED, WIDTH, colour, new_figure, styled
from separatrix.studies import Drift, Patterns, Remedies
from separatrix.studies._drift.loss import PARTS

PART_COLOURS = dict(
    zip(PARTS, (HUES[3], HUES[0], HUES[1], "#bfe0dc", "#86c5bd", "#35a394", "#1f6f66", HUES[4]), strict=True)
)
"""Detail in four depths of one colour, coarse to fine."""

_COLUMNS = 8
_LABEL = 1.35  # room for names, in picture sizes


@styled
def drift_curves(found: Drift | Sequence[Drift], *, title: str | None = None) -> Figure:
    """PSNR and SSIM against the original over the trips, with 95 % intervals over the pictures, one line per model or per edit.

    Thin lines are single pictures, where there is one drift with few of them. The dashed line is the bar.

    Raises:
        InputError: there is nothing to draw.
    """
    drifts = [found] if isinstance(found, Drift) else list(found)
    if not drifts:
        raise InputError("There is no drift to draw; give at least one.")
    names = labels_of(drifts)
    known = [name for name in ("psnr", "ssim") if any(bool(getattr(one, name).isfinite().any()) for one in drifts)]
    figure = new_figure(3.6, title or "What is left after each trip")
    axes = np.atleast_1d(figure.subplots(1, len(known)))
    for panel, what in zip(axes, known, strict=True):
        for index, (one, name) in enumerate(zip(drifts, names, strict=True)):
            _line(panel, one, what, colour(index), name, alone=len(drifts) == 1)
        panel.set(xlabel="trips through the model", title={"psnr": "PSNR in dB", "ssim": "SSIM"}[what])
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.grid(axis="y", color=FAINT, linewidth=0.6)
    axes[0].axhline(drifts[0].bar, color=MUTED, linewidth=0.9, linestyle=(0, (4, 2)), gid="bar")
    if len(drifts) > 1:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2 if max(map(len, names)) > 28 else 3)
    return figure


def labels_of(drifts: Sequence[Drift]) -> list[str]:
    """Return what tells the drifts apart: the models, the edits, or both."""
    models, edits = {one.model for one in drifts}, {one.edits for one in drifts}
    said = [", ".join(one.edits) or "nothing between trips" for one in drifts]
    if len(edits) == 1:
        return [one.model for one in drifts]
    return said if len(models) == 1 else [f"{one.model}: {words}" for one, words in zip(drifts, said, strict=True)]


def _line(axes: Axes, one: Drift, what: str, hue: str, name: str, *, alone: bool) -> None:
    trips = np.arange(1, one.trips + 1)
    values = getattr(one, what)
    low, high = one.interval(what)
    if alone and len(one) <= 12:
        axes.plot(trips, values.T.numpy(), color=hue, linewidth=0.6, alpha=0.35)
    axes.fill_between(trips, low, high, color=hue, alpha=0.16, linewidth=0)
    marker = "o" if one.trips < 3 else None
    axes.plot(trips, values.mean(dim=0), color=hue, linewidth=2, marker=marker, label=name, gid=f"{what}:{name}")


@styled
def drift_parts(found: Drift, *, title: str | None = None) -> Figure:
    """Draw what the squared error is made of, trip by trip: as a stack, and as shares of the whole."""
    figure = new_figure(3.9, title or "What the error is made of")
    trips = np.arange(1, found.trips + 1)
    parts = found.parts.mean(dim=0).numpy().T
    whole = np.where(parts.sum(axis=0) > 0, parts.sum(axis=0), 1.0)
    left, right = figure.subplots(1, 2)
    hues = [PART_COLOURS[part] for part in PARTS]
    for axes, stack in ((left, parts), (right, 100 * parts / whole)):
        if len(trips) == 1:
            axes.bar(np.repeat(1, len(PARTS)), stack[:, 0], bottom=stack[:, 0].cumsum() - stack[:, 0], color=hues)
        else:
            axes.stackplot(trips, stack, colors=hues, labels=PARTS, linewidth=0)
        axes.set(xlabel="trips through the model")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(x=0)
    left.set_title("mean squared error, white = 1")
    right.set(title="% of it", ylim=(0, 100))
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=4, handlelength=1.2)
    return figure


@styled
def drift_pictures(found: Drift, *, title: str | None = None) -> Figure:
    """The kept pictures after some of the trips, one row each.

    Raises:
        InputError: no pictures were kept.
    """
    if not len(found.pictures):
        raise InputError("This drift has kept no pictures; measure it again with shown=3.")
    wanted = [0, *found.marks]
    columns = list(dict.fromkeys(_nearest(found.frames, trip) for trip in wanted))[:_COLUMNS]
    across, down = _LABEL + 1.05 * len(columns), 1.05 * len(found.pictures) + 0.3
    figure = new_figure(0.5 + WIDTH / across * down, title or "What becomes of the pictures")
    axes = figure.subplots()
    mosaic(axes, left=0, right=across, bottom=down, top=-0.05)
    for place, column in enumerate(columns):
        trip = found.frames[column]
        words = "original" if trip == 0 else f"{trip} trip{'' if trip == 1 else 's'}"
        axes.text(_LABEL + 1.05 * place + 0.5, 0.18, words, ha="center", va="center", fontsize=8.5, color=INK)
    for row, pictures in enumerate(found.pictures):
        axes.text(
            _LABEL - 0.12, 0.8 + 1.05 * row, found.names[row][:22], ha="right", va="center", fontsize=8.5, color=MUTED
        )
        for place, pixels in enumerate(to_rgb(pictures[columns], (0.0, 255.0))):
            place_picture(axes, pixels, _LABEL + 1.05 * place, 0.3 + 1.05 * row, FAINT, width=0.6)
    return figure


@styled
def drift_pattern_pictures(found: Patterns, *, title: str | None = None) -> Figure:
    """Patterns that grow, with their factor per trip; below what a single trip enlarges most, and what it becomes."""
    count = found.rates.shape[1]
    across, down = _LABEL + 1.1 * count, 3 * 1.35
    figure = new_figure(0.5 + WIDTH / max(across, 6.0) * down, title or f"Patterns that grow, at {found.names[0]}")
    axes = figure.subplots()
    mosaic(axes, left=0, right=max(across, 6.0), bottom=down, top=0)
    rows = (
        ("grows", found.growing[0], [f"× {rate:.2f} per trip" for rate in found.rates[0].tolist()]),
        ("one trip makes of", found.asked[0], [""] * count),
        ("this", found.answered[0], [f"× {gain:.1f} as strong" for gain in found.gains[0].tolist()]),
    )
    for row, (name, patterns, words) in enumerate(rows):
        axes.text(_LABEL - 0.12, 1.35 * row + 0.5, name, ha="right", va="center", fontsize=8.5, color=MUTED)
        for place, (pixels, said) in enumerate(zip(to_rgb(0.5 + 0.5 * patterns, (0.0, 1.0)), words, strict=True)):
            known = "nan" not in said
            if known:
                place_picture(axes, pixels, _LABEL + 1.1 * place, 1.35 * row, FAINT, width=0.6)
            words_here = said if known else "not found"
            axes.text(_LABEL + 1.1 * place + 0.5, 1.35 * row + 1.14, words_here, ha="center", va="center", fontsize=8.5)
    return figure


@styled
def drift_ways(found: Remedies, *, title: str | None = None) -> Figure:
    """The first picture, and what becomes of it after all trips when it is edited as usual and in other ways."""
    shown = {"original": found.usual.pictures[0, 0], "as usual": found.usual.pictures[0, -1]}
    shown |= {name: one.pictures[0, -1] for name, one in found.ways.items()}
    decibels = {"as usual": float(found.usual.psnr[0, -1])} | {
        name: float(one.psnr[0, -1]) for name, one in found.ways.items()
    }
    columns, rows = min(4, len(shown)), -(-len(shown) // 4)
    figure = new_figure(0.5 + WIDTH / 4.24 * 1.34 * rows, title or f"The same picture after {found.usual.trips} trips")
    axes = figure.subplots()
    mosaic(axes, left=-0.02, right=max(1.06 * columns, 4.24), bottom=1.34 * rows, top=-0.02)
    for place, (name, picture) in enumerate(shown.items()):
        x, y = 1.06 * (place % 4), 1.34 * (place // 4)
        place_picture(axes, to_rgb(picture[None], (0.0, 255.0))[0], x, y, FAINT, width=0.6)
        said = f"\n{decibels[name]:.1f} dB" if name in decibels else ""
        words = "\n".join(wrap(name, 26)) + said
        axes.text(x, y + 1.03, words, ha="left", va="top", fontsize=8.5, color=INK, linespacing=1.2)
    return figure


def _nearest(frames: Sequence[int], trip: int) -> int:
    """Tell which of the frames is nearest to a trip."""
    return min(range(len(frames)), key=lambda index: abs(frames[index] - trip))
