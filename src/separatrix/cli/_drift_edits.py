"""Edits between two trips, as they are typed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import typer

from separatrix.cli._parsing import usage_error

if TYPE_CHECKING:
    from separatrix.studies import Edit

HELP = (
    "What is done between two trips, again for more: 8bit (the default), none, jpeg:90, paste:mask.png (white is pasted back), shift:3, "
    "noise:0.05, tiles:64:16, keep-latent."
)


def parsed_edits(ctx: typer.Context, texts: Sequence[str] | None) -> tuple[Edit, ...]:
    """``["shift:3", "8bit"]`` to edits, from the outermost to the innermost; rounding to 8 bits where none are named."""
    from separatrix.errors import InputError
    from separatrix.studies._drift.edits import USUAL

    if not texts:
        return USUAL
    edits: list[Edit] = []
    for text in texts:
        name, *values = text.split(":")
        try:
            if name == "paste":
                edits += [_mask(":".join(values))]
            elif name != "none":
                edits += [_known(name)(*values)]
        except InputError:
            raise
        except (KeyError, ValueError, TypeError) as error:
            raise usage_error(ctx, "--edit", f"{text!r} is no edit; give one of: {HELP.partition(': ')[2]}") from error
    return tuple(edits)


def _known(name: str) -> Callable[..., Edit]:
    from separatrix.studies import JPEG, KeepLatent, LatentNoise, Rounding, Shift, Tiles

    known: dict[str, Callable[..., Edit]] = {
        "8bit": Rounding,
        "jpeg": lambda quality="90": JPEG(int(quality)),
        "shift": lambda pixels="3": Shift(int(pixels)),
        "noise": lambda strength="0.05": LatentNoise(float(strength)),
        "tiles": lambda size="64", overlap="0": Tiles(int(size), int(overlap)),
        "keep-latent": KeepLatent,
    }
    return known[name]


def _mask(path: str) -> Edit:
    from separatrix.data import load_images
    from separatrix.studies import PasteBack

    if not path:
        return PasteBack()
    pixels = load_images(path).pixels[0]
    return PasteBack((pixels.mean(dim=0) > 0.5).to(pixels.dtype), name=path)
