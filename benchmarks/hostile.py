"""Messages that no page sends: cut off, too long, of unknown kinds, full of what is no number; drawn from a seed."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

_SPECIAL = [0.0, -0.0, float("nan"), float("inf"), -float("inf"), 3.4e38, -3.4e38, 1e-45]


def hostile(count: int, width: int, largest: int, *, seed: int = 0, huge: int = 0) -> Iterator[bytes | str]:
    """So many messages; a few of ``huge`` bytes, which the protocol itself refuses."""
    draw = random.Random(seed)
    for index in range(count):
        head = struct.pack(
            "<IBBH", draw.getrandbits(32), draw.randrange(8), draw.choice((1, 1, 1, 0, 255)), draw.getrandbits(16)
        )
        kind = draw.randrange(10)
        if huge and index % huge == huge - 1:
            yield bytes(largest + 1)
        elif kind == 0:
            yield draw.randbytes(draw.randrange(64))
        elif kind == 1:
            yield head[: draw.randrange(9)]
        elif kind == 2:
            yield head + draw.randbytes(draw.randrange(4 * width * 3))
        elif kind == 3:
            yield "".join(chr(draw.randrange(1, 0x2000)) for _ in range(draw.randrange(40)))
        elif kind == 4:
            yield head + struct.pack(f"<{width}f", *(draw.choice(_SPECIAL) for _ in range(width)))
        elif kind == 5:
            yield struct.pack("<IBBH", index, draw.randrange(1, 5), 1, 65535) + struct.pack(
                f"<{width}f", *[1e38] * width
            )
        elif kind == 6:  # cancels what was never asked
            yield struct.pack("<IBBH", draw.getrandbits(32), 5, 1, 0) + draw.randbytes(draw.randrange(16))
        elif kind == 7 and index % 50 == 0:
            yield struct.pack("<IBBH", index, 4, 1, 0) + bytes((largest - 8) // (4 * width) * 4 * width)
        else:
            yield struct.pack("<IBBH", index, 1, 1, draw.choice((0, 1, 65535))) + struct.pack(
                f"<{width}f", *(draw.gauss(0, 2) for _ in range(width))
            )
