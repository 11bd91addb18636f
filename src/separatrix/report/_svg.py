"""A figure as SVG inside a page: sharp at any size, its text is text, and it follows the colours of the page, dark or light."""

from __future__ import annotations

import io
import re
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from separatrix.plots import INKS

# What figures are drawn with, by the name of the same colour in page.css. White stays white: it lies on colours.
_COLOURS = {**INKS, "#000000": "ink"}
_LARGEST = 2**20  # characters; a figure of so many marks is smaller as a bitmap
_MOST_MARKS = 1500  # repeated ones, each of which costs a browser a millisecond and more
_INCH = 100  # CSS pixels; text of 8.5 points then has 11.8


def inline_svg(figure: Figure, name: str) -> str:
    """The figure as an ``<svg>`` element for the page, or nothing if that would be too large.

    Args:
        figure: any of ours.
        name: its accessible name; identifiers in the element are made unique by it.

    >>> svg = inline_svg(Figure(figsize=(2, 1)), "Nothing < something")
    >>> svg[:83]
    '<svg class="drawn" role="img" aria-label="Nothing &lt; something" width="200" viewB'
    """
    buffer = io.StringIO()
    rules: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": name, "savefig.facecolor": "none"}
    with matplotlib.rc_context(rules):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawn = buffer.getvalue()
    body = drawn[drawn.index(">", drawn.index("<svg")) + 1 :]
    body = re.sub(r"\s*<metadata>.*?</metadata>", "", body, flags=re.S)
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.S).replace("xlink:href", "href")
    used = set(re.findall(r"(?:#|url\(#)([\w.:-]+)", body))
    body = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", body)
    body = re.sub(
        r"#[0-9a-f]{6}", lambda found: f"var(--{_COLOURS[found[0]]})" if found[0] in _COLOURS else found[0], body
    )
    body = re.sub(r"(font(?:-family)?: [^;\"]*?)'DejaVu Sans'[^;\"]*", r"\1var(--sans)", body)
    if len(body) > _LARGEST or body.count("<use") > _MOST_MARKS:
        return ""
    wide, high = (72 * inches for inches in figure.get_size_inches())
    label = name.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return (
        f'<svg class="drawn" role="img" aria-label="{label}" width="{round(figure.get_figwidth() * _INCH)}" '
        f'viewBox="0 0 {wide:g} {high:g}">{body}'
    )
