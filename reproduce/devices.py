"""The ``--device`` of these scripts."""

from __future__ import annotations

import argparse

import torch


def available(name: str) -> torch.device:
    """The device of that name, for argparse: one sentence where it is not there."""
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was compiled with CUDA
        raise argparse.ArgumentTypeError(
            f"there is no device {name!r} here; use cpu or one that torch knows"
        ) from error
