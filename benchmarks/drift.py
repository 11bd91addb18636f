"""What a drift costs beside its round trips: processor time of `sx.drift` over that of the bare loop, on TAEF2 at 256 px.

    python benchmarks/drift.py --images 24 --trips 20

Both do the same trips with the same rounding; the bare loop measures nothing. Needs SEPARATRIX_DATA and scikit-image.
"""

from __future__ import annotations

import argparse
import time

import skimage.data
import torch

import separatrix as sx
from separatrix.data import load_images
from separatrix.studies import Rounding

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
    """Print seconds and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--trips", type=int, default=20)
    parser.add_argument("--side", type=int, default=256)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    images = pictures(asked.images, asked.side)
    field = sx.load("taef2", latent_shape=(32, asked.side // 8, asked.side // 8))
    field.reconstruct(images[:1])
    began = time.process_time()
    sx.drift(field, images, trips=asked.trips)
    measured = time.process_time() - began
    bare = 0.0
    for batch in images.split(4):
        began, x = time.process_time(), batch
        for _ in range(asked.trips):
            x = (field.reconstruct(x).clamp(0, 1) * 255).round() / 255
        bare += time.process_time() - began
    print(f"{asked.images} images of {asked.side} px, {asked.trips} trips, edits {Rounding().words}")
    print(
        f"bare round trips {bare:.1f} s, sx.drift {measured:.1f} s of processor time: {measured / bare:.3f} times as long"
    )


if __name__ == "__main__":
    main()
