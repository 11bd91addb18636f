"""Many small pictures as few: a sheet of tiles, of which every card shows its own. A browser takes longer for thousands of images than for thousands of cards."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

# Pixels around each tile, copies of its outermost ones: a browser that rounds shows these, and no neighbour.
_BORDER = 1


@dataclass(frozen=True)
class Sheet:
    """Tiles of one size side by side.

    Attributes:
        png: all of them.
        name: a word for style sheets, that of these pixels.
        ratio: of a tile, width to height, as CSS takes it.
        size: of the sheet, in per cent of a tile's width and height.
        positions: of each tile, where CSS shows it alone.
    """

    png: bytes
    name: str
    ratio: str
    size: str
    positions: tuple[str, ...]

    @classmethod
    def of(cls, tiles: Sequence[bytes]) -> Sheet | None:
        """Put images together, in order; None where they are of several sizes.

        >>> def png(shade):
        ...     Image.new("L", (4, 2), shade).save(file := io.BytesIO(), format="png")
        ...     return file.getvalue()
        >>> sheet = Sheet.of([png(shade) for shade in range(3)])
        >>> sheet.ratio, sheet.size, sheet.positions[0]
        ('4 / 2', '300% 400%', '12.5% 16.6667%')
        """
        pictures = [Image.open(io.BytesIO(tile)) for tile in tiles]
        if len({picture.size for picture in pictures}) != 1:
            return None
        mode = "L" if all(picture.mode == "L" for picture in pictures) else "RGB"
        pixels = [np.asarray(picture.convert(mode)) for picture in pictures]
        height, width = pixels[0].shape[:2]
        columns = math.ceil(math.sqrt(len(tiles)))
        rows = math.ceil(len(tiles) / columns)
        tall, wide = height + 2 * _BORDER, width + 2 * _BORDER
        whole = np.zeros((rows * tall, columns * wide, *pixels[0].shape[2:]), np.uint8)
        positions = []
        for number, each in enumerate(pixels):
            row, column = divmod(number, columns)
            edges = [(_BORDER, _BORDER), (_BORDER, _BORDER), (0, 0)][: each.ndim]
            whole[row * tall : (row + 1) * tall, column * wide : (column + 1) * wide] = np.pad(each, edges, mode="edge")
            across = (column * wide + _BORDER) / (columns * wide - width)
            along = (row * tall + _BORDER) / (rows * tall - height)
            positions.append(f"{100 * across:.6g}% {100 * along:.6g}%")
        buffer = io.BytesIO()
        Image.fromarray(whole).save(buffer, format="png", optimize=True)
        size = f"{100 * columns * wide / width:.6g}% {100 * rows * tall / height:.6g}%"
        name = f"sheet-{hashlib.sha256(buffer.getvalue()).hexdigest()[:12]}"
        return cls(buffer.getvalue(), name, f"{width} / {height}", size, tuple(positions))
