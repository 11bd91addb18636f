"""Numbers as they are written in sentences, tables and figures."""

from __future__ import annotations


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
