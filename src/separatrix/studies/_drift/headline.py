"""This file tells how often a picture may pass through a model, and how it rots, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum

from torch import Tensor

from separatrix.storage import storable
from separatrix.studies._drift.safe import SafeTrips
from separatrix.words import Statement, Tone, counted, percent

_STEADY = 1.0  # dB that may be lost after the first trip by what loses only once
_CHANGED = 0.05  # by which contrast must have changed, in nine of ten pictures, to be called a change


@storable
class Rot(StrEnum):
    """It tells what becomes of pictures that pass again and again."""

    ONCE = "loses only once"
    AMPLIFIES = "amplifies"
    FADES = "fades"
    CHANGES = "changes"
    ONE_TRIP = "one trip was measured"


_SENTENCES = {
    Rot.ONCE: "What is lost is lost on the first trip; after that pictures stay as they are.",
    Rot.AMPLIFIES: "It amplifies: contrast rises from trip to trip, and patterns that were never in the picture grow.",
    Rot.FADES: "It fades: contrast falls from trip to trip, and detail is smoothed away.",
    Rot.CHANGES: "Contrast stays about as it was, and the picture itself is replaced little by little.",
    Rot.ONE_TRIP: "What further trips do was not measured: that takes two or more.",
}
_FLAT = "The pictures are flat and have no contrast to be followed; what they are replaced by is seen in brightness and colour."


def rot_of(psnr: Mapping[int, float], contrasts: Tensor) -> Rot:
    """Tell the kinds of rot apart: by what is lost after the first trip, and by the contrast of the pictures after the last.

    >>> import torch
    >>> rot_of({1: 30.0, 20: 12.0}, torch.tensor([1.2, 1.4, 1.3])).value
    'amplifies'
    """
    if len(psnr) < 2:
        return Rot.ONE_TRIP
    first, last = next(iter(psnr.values())), list(psnr.values())[-1]
    if first - last < _STEADY:
        return Rot.ONCE
    known = contrasts[contrasts.isfinite()]
    if len(known) and float(known.quantile(0.1)) > 1 + _CHANGED:
        return Rot.AMPLIFIES
    if len(known) and float(known.quantile(0.9)) < 1 - _CHANGED:
        return Rot.FADES
    return Rot.CHANGES


def drift_statement(
    *,
    safe: SafeTrips,
    psnr: Mapping[int, float],
    half_life: float,
    contrasts: Tensor,
    broken: int = 0,
) -> Statement:
    """Say how many trips are safe, what is left at some of them, and which kind of rot it is.

    Args:
        safe: trips above the bar.
        psnr: mean over the pictures by trip, the first and the last among them.
        half_life: when the error has doubled.
        contrasts: of each picture after the last trip.
        broken: pictures that came back with NaN or infinity.
    """
    rot = rot_of(psnr, contrasts)
    count = counted(safe.trips, "edit") + (" or more" if safe.trips == safe.followed else "")
    headline = (
        f"Safe for {count} at {safe.bar:g} dB" if safe.trips else f"Not safe for a single edit at {safe.bar:g} dB"
    )
    decibels = ", ".join(f"{value:.1f}" for value in psnr.values())
    after = ", ".join(map(str, psnr))
    doubled = f"The error does not double within {safe.followed} trips." if safe.followed > 1 else ""
    if math.isfinite(half_life):
        doubled = f"The error has doubled after {half_life:.1f} trips."
    how = _SENTENCES[rot] if rot is not Rot.CHANGES or bool(contrasts.isfinite().any()) else _FLAT
    lost = f"{counted(broken, 'picture')} came back with NaN or infinity, shown as black or white." if broken else ""
    pictures = counted(safe.images, "picture")
    survive = (
        f"{percent(safe.alive[safe.trips - 1] / safe.images)} of {pictures} survive {safe.words} above that bar."
        if safe.trips
        else f"after one trip {percent(safe.alive[0] / safe.images)} of {pictures} are above that bar, and {percent(safe.share)} must be."
    )
    return Statement(
        headline,
        survive,
        rot,
        Tone.CALM if rot is Rot.ONCE else Tone.ALARM if safe.trips < 2 else Tone.OPEN,
    ).followed_by(lost, how, f"PSNR after {after} trip{'' if safe.followed == 1 else 's'}: {decibels} dB.", doubled)
