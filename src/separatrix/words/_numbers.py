"""Numbers and names as they are written in sentences, tables and figures."""

from __future__ import annotations

import re


def percent(share: float) -> str:
    """Write a share in per cent; never "0 %" or "100 %" for what is not exactly that.

    >>> [percent(share) for share in (0.0, 0.0004, 0.004, 0.1234, 0.9996, 1.0)]
    ['0 %', '<0.1 %', '0.4 %', '12 %', '>99.9 %', '100 %']
    """
    value = 100 * share
    if value <= 0 or value >= 100:
        return f"{value:.0f} %"
    if value < 0.1:
        return "<0.1 %"
    if value > 99.9:
        return ">99.9 %"
    return f"{value:.1f} %" if value < 9.95 or value >= 99 else f"{value:.0f} %"


def counted(count: int, noun: str) -> str:
    """Write a number with its noun.

    >>> counted(1, "attractor"), counted(2000, "attractor")
    ('1 attractor', '2,000 attractors')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def without_folders(name: str) -> str:
    """Leave the folders out of the name of a file, or of a model in one; a name with a scheme, such as that of a hub, stays whole.

    >>> [without_folders(name) for name in ("/data/models/vae.py:build", "photos/", "a/b.npz#train", "hf:org/vae", "digits")]
    ['vae.py:build', 'photos', 'b.npz#train', 'hf:org/vae', 'digits']
    """
    scheme, colon, _ = name.partition(":")
    if colon and len(scheme) > 1 and not re.search(r"[/\\]", scheme):  # one letter is a drive
        return name
    return re.split(r"[/\\]", name.rstrip("/\\"))[-1] or name
