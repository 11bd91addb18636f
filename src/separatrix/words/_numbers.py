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


def signed(value: float, digits: int) -> str:
    """Write a difference with its sign; one that rounds to nothing has none.

    >>> signed(3.46, 1), signed(-6.6, 1), signed(-0.04, 1)
    ('+3.5', '−6.6', '0.0')
    """
    rounded = f"{value:+.{digits}f}"
    return rounded.replace("-", "−") if float(rounded) else rounded[1:]


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


def printable(name: str) -> str:
    """Write the name of a file as text can hold it: bytes that are no UTF-8, as in archives of long ago, become �.

    >>> printable("caf\\udce9.png")
    'caf�.png'
    """
    return name.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def duration(seconds: float) -> str:
    """Write a time in the unit that a person would use.

    >>> [duration(seconds) for seconds in (0.2, 42, 600, 7200, 3e6)]
    ['under a second', '42 s', '10 min', '2 h', '35 days']
    """
    if seconds < 1:
        return "under a second"
    for unit, size, limit in (("s", 1.0, 120.0), ("min", 60.0, 7200.0), ("h", 3600.0, 172_800.0)):
        if seconds < limit:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds / 86_400:,.0f} days"
