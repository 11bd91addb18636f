"""What a drift costs beside its round trips: processor time of `sx.drift` over that of the bare loop, on TAEF2 at 256 px.

    python benchmarks/drift.py --images 24 --trips 20

Both do the same trips with the same rounding; the bare loop measures nothing. Needs SEPARATRIX_DATA and scikit-image.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import skimage.data
import torch
from omp import processor

import separatrix as sx
from separatrix.data import load_images
from separatrix.limitsets._assemble import versions
from separatrix.studies import Rounding

_BATCH = 2  # pictures: as many as `sx.drift` sends through together, so that none of the two has the caches for itself
NAMES = ("astronaut", "chelsea", "coffee", "rocket")


def pictures(count: int, side: int) -> torch.Tensor:
    """So many photographs, each a part of its original that no other one is."""
    found = []
    for index in range(count):
        image = getattr(skimage.data, NAMES[index % len(NAMES)])()
        top, left = ((size - side) * (1 + index // len(NAMES)) // (2 + count // len(NAMES)) for size in image.shape[:2])
        found.append(torch.from_numpy(image[top : top + side, left : left + side].copy()))
    return load_images(torch.stack(found).numpy()).pixels


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--trips", type=int, default=20)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    images = pictures(asked.images, asked.side)
    field = sx.load("taef2", latent_shape=(32, asked.side // 8, asked.side // 8))
    field.reconstruct(images[:1])
    measured = bare = 0.0
    for batch in images.split(_BATCH):  # one after the other, so that both meet the same machine
        began = time.process_time()
        sx.drift(field, batch, trips=asked.trips)
        measured += time.process_time() - began
        began, x = time.process_time(), batch
        for _ in range(asked.trips):
            x = (field.reconstruct(x).clamp(0, 1) * 255).round() / 255
        bare += time.process_time() - began
    record = {
        "machine": processor(),
        "versions": versions(),
        "images": asked.images,
        "side": asked.side,
        "trips": asked.trips,
        "edits": Rounding().words,
        "bare": bare,
        "drift": measured,
    }
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "drift.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (asked.out / "drift.md").write_text(page(record), encoding="utf-8")
    print(page(record))


def page(record: dict[str, Any]) -> str:
    """The measurement in a sentence."""
    return (
        f"Measured by `python benchmarks/drift.py` ({record['machine']}, one thread, torch {record['versions']['torch']}).\n\n"
        f"TAEF2, {record['images']} images of {record['side']} px, {record['trips']} trips, {record['edits']} between them: the bare round trips took "
        f"{record['bare']:.1f} s of processor time, `sx.drift` {record['drift']:.1f} s: {record['drift'] / record['bare']:.3f} times as long.\n"
    )


if __name__ == "__main__":
    main()
