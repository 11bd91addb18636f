"""This room tells where orbits begin: constructors, and the i-th start as a function of (seed, i)."""

from separatrix.starts._starts import (
    Starts,
    as_starts,
    box,
    encoded,
    gaussian,
    grid,
    noise_images,
    points,
)

__all__ = ["Starts", "as_starts", "box", "encoded", "gaussian", "grid", "noise_images", "points"]
