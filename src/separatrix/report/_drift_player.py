"""Pictures on their way, as small files inside a page: a slider over the trips, and an animation to share."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from separatrix.plots._pictures import to_rgb
from separatrix.report._page import Picture, Trips
from separatrix.studies import Drift
from separatrix.words import counted, jsonable

ROOM = 1_600_000
"""Bytes of all pictures of a slider together; in a page they take a third more."""

ENLARGED = 4
"""By how much the difference is made brighter, in the slider."""

_ROOM_OF_ANIMATION = 450_000
_QUALITIES = (92, 85, 75, 60, 40, 20)
_LABEL = 22  # pixels above the animation for its words
_LEAST_WIDTH = 160  # of one picture in the animation
_MILLISECONDS = 350


def trips_player(found: Drift, still: Picture | None, animation: Picture | None) -> Trips:
    """The slider over the kept pictures; ``still`` stands in its place in print, and with ``animation`` where no script runs."""
    return Trips(player_data(found), still, animation)


def player_data(found: Drift, room: int = ROOM) -> dict[str, Any]:
    """Return what the script of the page shows, JSON-ready; pictures are stored with as much loss as their number makes necessary, and no more."""
    stacks = [to_rgb(pictures, (0.0, 255.0)) for pictures in found.pictures]
    files = _files(stacks, room)
    return {
        "trips": list(found.frames),
        "last": found.trips,
        "bar": found.bar,
        "enlarged": ENLARGED,
        "small": bool(stacks) and max(stacks[0].shape[1:3]) <= 64,
        "psnr": jsonable(found.psnr.mean(dim=0).tolist()),
        "pictures": [
            {
                "name": found.names[row],
                "frames": ["data:image/webp;base64," + base64.b64encode(file).decode("ascii") for file in files[row]],
                "psnr": jsonable(found.psnr[row].tolist()),
                "ssim": jsonable(found.ssim[row].tolist()),
                "brightness": jsonable(found.brightness[row].tolist()),
                "contrast": jsonable(found.contrast[row].tolist()),
            }
            for row in range(len(stacks))
        ],
    }


def animation_of(found: Drift) -> Picture:
    """The first kept picture beside its original, trip by trip, as an animated WebP."""
    pictures = to_rgb(found.pictures[0], (0.0, 255.0))
    times = max(1, -(-_LEAST_WIDTH // pictures.shape[2]))
    frames = []
    for trip, now in zip(found.frames, pictures, strict=True):
        pair = (
            np.concatenate([pictures[0], np.full_like(now[:, :2], 255), now], axis=1).repeat(times, 0).repeat(times, 1)
        )
        frame = Image.new("RGB", (pair.shape[1], pair.shape[0] + _LABEL), "#ffffff")
        frame.paste(Image.fromarray(pair), (0, _LABEL))
        pen = ImageDraw.Draw(frame)
        pen.text((4, 4), "original", fill="#1f2a36")
        words = (
            counted(trip, "trip") if trip == 0 else f"{counted(trip, 'trip')}, {float(found.psnr[0, trip - 1]):.1f} dB"
        )
        pen.text((pair.shape[1] // 2 + 4, 4), words, fill="#1f2a36")
        frames.append(frame)
    durations = [_MILLISECONDS] * (len(frames) - 1) + [5 * _MILLISECONDS]
    for quality in _QUALITIES[2:]:
        buffer = io.BytesIO()
        frames[0].save(
            buffer,
            "webp",
            save_all=True,
            append_images=frames[1:],
            duration=durations,
            loop=0,
            quality=quality,
            method=4,
        )
        if buffer.tell() <= _ROOM_OF_ANIMATION:
            break
    alt = f"{found.names[0]} beside itself after 0 to {found.trips} trips through {found.model}, as an animation."
    return Picture(buffer.getvalue(), alt, "", frames[0].width)


def _files(stacks: list[NDArray[np.uint8]], room: int) -> list[list[bytes]]:
    """All pictures as WebP, at the best quality at which they fit, at half their size if they never do."""
    found: list[list[bytes]] = []
    while stacks:
        for quality in _QUALITIES:
            found = [[_webp(pixels, quality) for pixels in stack] for stack in stacks]
            if sum(len(file) for files in found for file in files) <= room:
                return found
        stacks = [np.stack([np.asarray(Image.fromarray(p).reduce(2)) for p in stack]) for stack in stacks]
    return found


def _webp(pixels: NDArray[np.uint8], quality: int) -> bytes:
    buffer = io.BytesIO()
    small = max(pixels.shape[:2]) <= 64
    Image.fromarray(pixels).save(buffer, format="webp", quality=quality, lossless=small, method=4)
    return buffer.getvalue()
