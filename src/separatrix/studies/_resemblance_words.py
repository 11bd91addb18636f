"""This file tells what a resemblance study concludes, in words with its numbers, and what would change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum

from torch import Tensor

from separatrix.limitsets import LimitSets, triviality
from separatrix.storage import storable
from separatrix.words import Statement, Tone, counted

EXACT = 0.01
"""Distance ratio below which a called attractor is an exact copy. Images of one source differ from their neighbours by about
0.25 of the pixel range (RMS, FashionMNIST), and a hundredth of that is less than one of 256 grey levels: as pictures the two are
the same. By the cosine, brightness apart."""
_STRANGE = 0.05  # quantile of the unseen images below which an attractor does not look like the data
_MOST_ELSEWHERE = 0.1  # with more starts than this on no attractor, "none found" is no finding


@storable
class Outcome(StrEnum):
    """It tells what a resemblance study may conclude, and no more than that."""

    TRIVIAL = "trivial field"
    CANNOT_SAY = "cannot say"
    NO_EVIDENCE = "no evidence of memorization"
    EVIDENCE = "evidence of memorization"


def cannot_say(why: str) -> Statement:
    """Return the statement that nothing can be said, and why."""
    return Statement("Cannot say", why, Outcome.CANNOT_SAY)


def sign_of(distance: str) -> int:
    """Return 1 for a cosine and −1 for a distance: a reader is shown the coefficient times this."""
    return 1 if distance == "cosine" else -1


def exact_copies(called: Tensor, ratio: Tensor) -> Tensor:
    """``(a,)`` bool: called, and no further from its image than rounding to grey levels; never without neighbours.

    >>> import torch
    >>> exact_copies(torch.tensor([True, True, False]), torch.tensor([1e-5, 0.06, 1e-5])).tolist()
    [True, False, False]
    """
    return called & (ratio < EXACT)


def exact_words(count: int) -> str:
    """Count how many of the called are exact copies, to follow their number.

    >>> exact_words(16)
    '16 of them exact copies, distance ratio below 0.01'
    """
    return (
        f"{count or 'none'} of them {'an exact copy' if count == 1 else 'exact copies'}, distance ratio below {EXACT:g}"
    )


def most_unseen(alpha: float) -> str:
    """Tell which share of the unseen images a called attractor beats: p ≤ q ≤ α, and p is the share of those that it does not.

    >>> most_unseen(0.05)
    '95 %'
    """
    return f"{100 * (1 - alpha):g} %"


def judged(
    limits: LimitSets,
    columns: Mapping[str, Tensor],
    null: Tensor,
    alpha: float,
    distance: str,
    *,
    noun: str = "training image",
    beside: int = 0,
) -> Statement:
    """The strongest statement that the columns of a `Resemblance` allow.

    Args:
        limits, columns, null, alpha, distance: of the study.
        noun: what the images are called: nobody knows of a suspected image that it was trained on.
        beside: attractors of another search among which the q-values are adjusted too.
    """
    count = len(columns["sets"])
    if not count:
        return cannot_say(f"no attractor was found, so there is nothing to compare with the {noun}s.")
    trivial = triviality(limits)
    if trivial.trivial:
        found = replace(trivial.statement, code=Outcome.TRIVIAL)
        return found.followed_by(f"Its resemblance to {noun}s is not read.")
    closest = _measured(float(columns["coefficient"].max()), distance)
    if not len(null):
        return cannot_say(
            f"the attractors come as close to {noun}s as a {closest}, but without held-out "
            "images nobody knows what an unseen image would reach."
        )
    sign = sign_of(distance)
    level = f"unseen images: median {sign * median(null):.3f}, closest {sign * float(null.max()):.3f}"
    called = columns["q_value"] <= alpha
    if bool(called.any()):
        starts = int(columns["hits"][called].sum()) / max(len(limits.labels), 1)
        exact = int(exact_copies(called, columns["ratio"]).sum())
        return Statement(
            "Evidence of memorization",
            f"{int(called.sum())} of {counted(count, 'attractor')} come closer to one "
            f"{noun} than {most_unseen(alpha)} of unseen images do, {exact_words(exact)} ({closest} at best; {level}; "
            f"false discovery rate {alpha:g}). {100 * starts:.0f} % of the starts end there.",
            Outcome.EVIDENCE,
            Tone.ALARM,
        )
    family = count + beside
    if family / (len(null) + 1) > alpha and float(columns["p_value"].min()) <= 1 / (len(null) + 1):
        return cannot_say(
            f"with {counted(len(null), 'held-out image')} the smallest possible p-value is "
            f"{1 / (len(null) + 1):.2g}, too coarse for {counted(family, 'attractor')} at level {alpha:g}."
        )
    fates = limits.fates
    if 1 - fates.attractor / max(fates.starts, 1) > _MOST_ELSEWHERE:
        return cannot_say(f"none of the {counted(count, 'attractor')} found stands out, but {fates.words}.")
    return Statement(
        "No evidence of memorization",
        f"none of the {counted(count, 'attractor')} comes closer to one "
        f"{noun} than unseen images do ({closest} at best; {level}). That is not evidence of no "
        f"memorization.{_strangers(columns['coefficient'], null, noun)}",
        Outcome.NO_EVIDENCE,
        Tone.CALM,
    )


def _strangers(coefficient: Tensor, null: Tensor, noun: str) -> str:
    """A sentence if most attractors are further from the given images than nearly all unseen ones."""
    strange = int((coefficient < null.quantile(_STRANGE)).sum())
    if 2 * strange <= len(coefficient):
        return ""
    return (
        f" And {strange} of {len(coefficient)} are less like any {noun} than {100 * (1 - _STRANGE):.0f} % of "
        "the unseen images: they do not describe the data."
    )


def would_change(outcome: StrEnum, limits: LimitSets, null: Tensor, noun: str = "training image") -> tuple[str, ...]:
    """Return what another reader should vary before believing the outcome."""
    reasons = [
        f"Other starts: an attractor that none of these {len(limits.labels):,} starts reached is not in the table.",
        "Another distance: pixels are compared; a shifted, mirrored or recoloured copy would go unnoticed.",
        f"Duplicates among the {noun}s that pixels do not show (shifted, recoloured): where an image has some, a copy of it stands out less; "
        "take them out.",
    ]
    if len(null):
        reasons.append(
            f"Other held-out images: they must come from the same source as the {noun}s, and "
            f"{len(null):,} of them cannot give a p-value below {1 / (len(null) + 1):.2g}."
        )
    else:
        reasons.append(f"Held-out images from the same source as the {noun}s: they set the level to beat.")
    if outcome is Outcome.EVIDENCE:
        reasons.append(
            f"Near-duplicates of {noun}s among the held-out ones, of the kind that pixels do not show, would raise the null; "
            "their absence lowers it."
        )
    if outcome is Outcome.TRIVIAL:
        reasons.append("A trained model, or starts far from the one point that takes everything.")
    return tuple(reasons)


def median(values: Tensor) -> float:
    """NaN where there is nothing."""
    return float(values.quantile(0.5)) if len(values) else float("nan")


def _measured(coefficient: float, distance: str) -> str:
    return f"cosine of {coefficient:.3f}" if distance == "cosine" else f"distance of {-coefficient:.3g}"
