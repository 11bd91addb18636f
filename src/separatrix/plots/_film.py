"""Orbits as film strips: what the model shows when its own output is fed back to it, again and again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets
from separatrix.numerics import nearest
from separatrix.plots._marks import mosaic, place_picture
from separatrix.plots._naming import names_of
from separatrix.plots._pictures import are_pictures, to_rgb, value_range
from separatrix.plots._style import FAINT, MUTED, WIDTH, colour, new_figure, styled
from separatrix.work import Progress

TIMES = (1, 2, 4, 8, 16, 64, 256)
_NEAR = 0.02  # share of the spread within which a frame carries the colour of the attractor


@styled
@checked
def orbit_film(
    limits: LimitSets,
    field: LatentField,
    inputs: Tensor,
    *,
    row_names: Sequence[str] = (),
    times: Sequence[int] = TIMES,
    like: LimitSets | None = None,
    title: str | None = None,
    progress: bool | Progress = False,
) -> Figure:
    """Each input x in its own row, followed by F(x), F²(x), … F^t(x) for the given times t, F = D∘E.

    As D(f^t(E(x))) = F^{t+1}(x), this is the orbit of E(x) seen through the decoder. A frame takes the colour
    of an attractor once the orbit is within 2 % of the spread of it.

    Args:
        limits: its limit sets, for the colours.
        field: the latent vector field; its decoder must return images ``(c, h, w)``.
        inputs: images ``(n, c, h, w)``, a few.
        row_names: one per input.
        times: increasing numbers of round trips.
        like: another search of the same field whose names and colours are kept.
        title: above the figure.
        progress: show progress.

    Cost: n · max(times) map evaluations.

    Raises:
        InputError: no images, a number of names that is not the number of inputs, or times that do not
            increase.
    """
    if not len(inputs) or not are_pictures(tuple(inputs.shape[1:])):
        raise InputError(f"A film needs images (n, c, h, w) with 1 or 3 channels, not {tuple(inputs.shape)}.")
    if row_names and len(row_names) != len(inputs):
        raise InputError(f"{len(row_names)} row names for {len(inputs)} inputs; give one per input or none.")
    if not times or list(times) != sorted(set(times)) or times[0] < 1:
        raise InputError(f"times must be increasing numbers of round trips from 1 on, not {tuple(times)}.")
    frames, latents = filmed(field, inputs, times, progress)
    pixels = to_rgb(frames.flatten(0, 1), value_range(frames))
    owners = [arrived(column, limits) for column in latents]
    names = names_of(limits, like)

    step = 1.14
    widest = max((len(name) for name in row_names), default=0)
    left, right = -0.08 - 0.105 * widest, step * len(times) + 1.5
    figure = new_figure(
        0.5 + (WIDTH - 0.3) / (right - left) * (step * len(inputs) + 0.32), title or "Fed back its own output"
    )
    axes = figure.subplots()
    mosaic(axes, left=left, right=right, bottom=step * len(inputs), top=-0.32)
    for column, head in enumerate(("input", *(f"{time}×" for time in times))):
        axes.text(step * column + 0.5, -0.1, head, ha="center", va="bottom", fontsize=9, color=MUTED)
    for row in range(len(inputs)):
        y = step * row
        for column in range(len(times) + 1):
            owner = owners[column - 1][row] if column else -1
            edge, width = (FAINT, 1.0) if owner < 0 else (colour(names[owner].rank), 2.2)
            place_picture(
                axes,
                pixels[column * len(inputs) + row],
                step * column,
                y,
                edge,
                width=width,
                gid=f"frame:{row}:{column}",
            )
        if owners[-1][row] >= 0:
            name = names[owners[-1][row]]
            axes.text(
                step * len(times) + 1.14, y + 0.5, name.label, va="center", fontweight="bold", fontsize=12,
                color=colour(name.rank), gid=f"end:{row}:{name.label}",
            )  # fmt: skip
        if row_names:
            axes.text(-0.14, y + 0.5, row_names[row], ha="right", va="center", fontsize=8.5, color=MUTED)
    return figure


def filmed(
    field: LatentField, inputs: Tensor, times: Sequence[int], progress: bool | Progress = False
) -> tuple[Tensor, list[Tensor]]:
    """Pictures ``(1 + len(times), n, c, h, w)`` float64, and at each time the latents that were decoded."""
    frames = [inputs.detach().to("cpu", torch.float64)]
    latents = []
    with field.guest(), Progress.of(progress).stage("following the inputs", times[-1]) as line:
        z = field.encode(inputs.to(field.device, field.dtype))
        done = 1
        for time in times:
            for _ in range(time - done):
                z = field.bare(z)
                line.advance()
            done = time
            latents.append(z)
            frames.append(field.decode(z).detach().to("cpu", torch.float64))
    return torch.stack(frames), latents


def arrived(latents: Tensor, limits: LimitSets) -> list[int]:
    """For each latent the set that it has practically reached, or −1."""
    if not len(limits):
        return [-1] * len(latents)
    traces = [limits.trace(index) for index in range(len(limits))]
    owner = [index for index, trace in enumerate(traces) for _ in range(len(trace))]
    near = nearest(latents.to("cpu", torch.float64), torch.cat(traces).to("cpu", torch.float64))
    close = near.distance <= _NEAR * limits.spread
    return [owner[point] if there else -1 for point, there in zip(near.index.tolist(), close.tolist(), strict=True)]
