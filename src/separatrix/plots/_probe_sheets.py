"""This file tells what the atoms look like, and what images become when they are coded with few of them."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from separatrix.arguments import checked
from separatrix.field import LatentField
from separatrix.plots._marks import mosaic, place_picture
from separatrix.plots._pictures import are_pictures, decoded_pictures, to_rgb, value_range
from separatrix.plots._probe_curves import colours_of
from separatrix.plots._style import FAINT, INK, MUTED, WIDTH, new_figure, styled
from separatrix.studies import Probe, Role
from separatrix.studies._probing.coding import reconstructions
from separatrix.studies._probing.probe import shown_sparsities
from separatrix.words import without_folders

_ATOMS = 12
_GAP = 0.35
_LABEL = 3.4  # room for the names, in picture sizes
_BASES = (Role.ORTHONORMAL, Role.PCA)  # unit directions, decoded at the length of a typical latent
_SHOWN = (Role.ITERATED, Role.ONCE, Role.ORTHONORMAL, Role.UNTRAINED, Role.REAL)


@styled
def probe_atoms(found: Probe, field: LatentField, *, title: str | None = None) -> Figure:
    """The first distinct atoms of each dictionary, decoded; unit directions at the typical length of the coded latents.

    Cost: one decoding per picture.
    """
    heading = title or f"What the atoms look like: {without_folders(found.name)}"
    if not are_pictures(tuple(found.example_images.shape[1:])):
        return _sentence(heading)
    length = float(found.examples.norm(dim=1).mean())
    rows = [(known, known.distinct[:_ATOMS]) for known in found.dictionaries]
    pictures = []
    for known, atoms in rows:
        scaled = atoms * (length / atoms.norm(dim=1, keepdim=True)) if known.role in _BASES else atoms
        pictures.append(decoded_pictures(field, scaled.reshape(-1, *field.latent_shape)))
    colours = colours_of(found.dictionaries)
    figure, axes = _page(heading, _LABEL + 1.06 * _ATOMS, 1.12 * len(rows))
    for row, ((known, _), images) in enumerate(zip(rows, pictures, strict=True)):
        assert images is not None
        _row_name(axes, 1.12 * row, known.name, f"{known.geometry.distinct} distinct", colours[known.name])
        for place, pixels in enumerate(to_rgb(images, value_range(found.example_images))):
            place_picture(axes, pixels, _LABEL + 1.06 * place, 1.12 * row, FAINT, width=0.6)
    return figure


@styled
@checked
def probe_reconstructions(found: Probe, field: LatentField, *, count: int = 4, title: str | None = None) -> Figure:
    """The same images coded with 5, 25 and 50 % of d atoms of several dictionaries, and decoded.

    Above them the image and D(E(x)), which no code can be expected to exceed.

    Cost: one decoding per picture.
    """
    heading = title or f"Coded and decoded: {without_folders(found.name)}"
    targets = found.example_images[:count].to(torch.float64)
    if not are_pictures(tuple(targets.shape[1:])):
        return _sentence(heading)
    latents = found.examples[:count]
    own = decoded_pictures(field, latents.reshape(-1, *field.latent_shape))
    assert own is not None
    shown = [known for known in found.dictionaries if known.role in _SHOWN]
    sparsities = shown_sparsities(field.latent_dim)
    coded = [reconstructions(field, latents, known, sparsities) for known in shown]
    colours = colours_of(found.dictionaries)
    block = 1.04 * len(targets) + _GAP
    figure, axes = _page(heading, _LABEL + block * len(sparsities), 1.1 * (len(shown) + 2) + 0.9)
    shades = value_range(targets)
    for row, (name, images) in enumerate((("image", targets), ("D(E(x))", own))):
        _row_name(axes, 1.1 * row, name, "", MUTED)
        _pictures(axes, images, 1.1 * row, _LABEL, shades)
    top = 1.1 * 2 + 0.75
    for column, k in enumerate(sparsities):
        words = f"{k} atom{'s' if k > 1 else ''} ({100 * k / field.latent_dim:.0f} % of {field.latent_dim})"
        axes.text(_LABEL + block * column, top - 0.12, words, fontsize=8.5, color=INK, va="bottom")
    for row, (known, levels) in enumerate(zip(shown, coded, strict=True)):
        _row_name(axes, top + 1.1 * row, known.name, "", colours[known.name])
        for column, images in enumerate(levels):
            _pictures(axes, images, top + 1.1 * row, _LABEL + block * column, shades)
    return figure


def _pictures(axes: Axes, images: Tensor, y: float, x: float, shades: tuple[float, float]) -> None:
    for place, pixels in enumerate(to_rgb(images, shades)):
        place_picture(axes, pixels, x + 1.04 * place, y, FAINT, width=0.6)


def _page(heading: str, across: float, down: float) -> tuple[Figure, Axes]:
    figure = new_figure(0.6 + WIDTH / across * down, heading)
    axes = figure.subplots()
    mosaic(axes, left=-0.05, right=across + 0.05, bottom=down + 0.05, top=-0.1)
    return figure, axes


def _row_name(axes: Axes, y: float, name: str, more: str, colour: str) -> None:
    axes.text(_LABEL - 0.2, y + (0.38 if more else 0.5), name, color=colour, fontsize=8.5, ha="right", va="center")
    if more:
        axes.text(_LABEL - 0.2, y + 0.72, more, color=MUTED, fontsize=8.5, ha="right", va="center")


def _sentence(heading: str) -> Figure:
    figure = new_figure(1.4, heading)
    axes = figure.subplots()
    axes.set_axis_off()
    axes.text(0.0, 0.5, "The decoder returns no images, so there is nothing to look at.", color=MUTED, va="center")
    return figure
