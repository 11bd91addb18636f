"""This file leads from the text of options to what the library takes. No model and no tensor here, so that mistakes show at once."""

from __future__ import annotations

import math
from collections.abc import Mapping

import typer


def parsed_shape(ctx: typer.Context, text: str | None) -> tuple[int, ...] | None:
    """``"4,8,8"`` to ``(4, 8, 8)``; an x for the comma is understood too."""
    if text is None:
        return None
    try:
        sizes = tuple(int(part) for part in text.lower().replace("×", "x").replace("x", ",").split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise usage_error(
            ctx, "--latent-shape", f"{text!r} is not a shape; give sizes of at least 1, such as 32 or 4,8,8."
        )
    return sizes


def parsed_size(ctx: typer.Context, text: str | None) -> tuple[int, int] | None:
    """``"32,32"`` or ``"32"`` to ``(32, 32)``."""
    if text is None:
        return None
    try:
        sides = tuple(int(part) for part in text.lower().replace("x", ",").split(","))
    except ValueError:
        sides = ()
    if len(sides) not in (1, 2) or min(sides) < 1:
        raise usage_error(ctx, "--size", f"{text!r} is not a size; give height,width in pixels, such as 32,32.")
    return sides[0], sides[-1]


def size_of_images(
    ctx: typer.Context, size: str | None, scale: float | None, images: Mapping[str, str | None]
) -> tuple[int, int] | None:
    """``--size``, parsed; neither it nor ``--scale`` is idly given, where none of the options ``images`` is."""
    sides = parsed_size(ctx, size)
    if not any(images.values()):
        for option, value, what in (("--size", size, "images to resize"), ("--scale", scale, "images")):
            if value is not None:
                raise usage_error(ctx, option, f"there are no {what}; give {' or '.join(images)}.")
    return sides


def parsed_settings(ctx: typer.Context, texts: list[str] | None) -> dict[str, str]:
    """``["latent=mean", "size=64"]`` to a dictionary."""
    settings: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise usage_error(ctx, "--set", f"{text!r} is no setting; give NAME=VALUE, such as latent=mean.")
        settings[name] = value
    return settings


def parsed_box(ctx: typer.Context, texts: list[str]) -> tuple[list[float], list[float]]:
    """``["-1,1", "0,2"]`` to lows ``[-1, 0]`` and highs ``[1, 2]``."""
    low, high = [], []
    for text in texts:
        try:
            a, b = (float(part) for part in text.split(","))
        except ValueError:
            a = b = math.nan
        if not (math.isfinite(a) and math.isfinite(b) and a < b):
            raise usage_error(
                ctx, "--box", f"{text!r} is not an interval; give LOW,HIGH with LOW below HIGH, such as -2,2."
            )
        low.append(a)
        high.append(b)
    return low, high


def usage_error(ctx: typer.Context, option: str, sentence: str) -> typer.BadParameter:
    """Return what the parser itself would raise for a value that it does not accept."""
    return typer.BadParameter(sentence, ctx=ctx, param_hint=option)
