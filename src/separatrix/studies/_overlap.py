"""Are held-out images training images, or either of them repeated? Found before anything is concluded from them.

The held-out images are the null of a resemblance study: an attractor is called only if it beats nearly all of them. So once
a share α of them are copies of training images, no attractor can be called at level α, and a perfect memory looks innocent. And
an image that occurs several times among the training images makes its copies its own neighbours, so that a copy of it is not
closer to one image than to others. Both are looked for by the two questions that are asked of an attractor: is it close, and
is it closer than what lies around? Neither level is set by the held-out images, so that even if all of them are copies they are found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from separatrix.arguments import checked, share, whole
from separatrix.data import ImageSet, ImageSource, tensor_of
from separatrix.errors import InputError
from separatrix.numerics import Distance, Engine
from separatrix.numerics._duplicates import (
    CLOSE,
    NEAR,
    chords,
    first_of_equals,
    keys_of,
    representatives,
    spread_between,
)
from separatrix.storage import storable
from separatrix.studies._closeness import Closeness, closeness
from separatrix.studies._neighbours import nearest_in_bank
from separatrix.studies._resemblance_words import EXACT
from separatrix.words import Tabular, counted

_SAMPLE = 1000
_NAMED = 20  # copies that a sentence names; the record has all
_RARE = 0.1  # of α: so many training images at most may lie as near to another as a copy does


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class Overlap(Tabular):
    """It tells what held-out and training images have in common, and what is left to compare.

    Attributes:
        copies: ``(l,)`` int64, held-out images that are copies of a training image.
        originals: ``(l,)`` int64, that training image.
        equal: ``(l,)`` bool, the same values; else a near-copy.
        train: ``(m',)`` int64, training images without repetitions, the first of each.
        stands_for: ``(m,)`` int64, the first of its copies for each training image.
        held_out: ``(n',)`` int64, held-out images that are no copies, without repetitions: the null.
        repeated: ``(r,)`` int64, held-out images that are no copies and repeat an earlier one.
        variants: ``(v,)`` int64, training images that stand behind another one and are not quite equal to it.
        null: closeness of the images ``held_out``, as :meth:`closeness` measures it.
        others: ``(s,)`` coefficient of a sample of the images ``train`` against the other ones.
        given: how many training and held-out images there were.
        same: the held-out images are the training images, all of them and no others.
        alpha: the share of copies above which the split is not believed.
        distance: by which closeness is measured.
        names: of the copies and of their originals, where images have names; else empty.
        noun: what the images of ``train`` are called.
    """

    copies: Tensor
    originals: Tensor
    equal: Tensor
    train: Tensor
    stands_for: Tensor
    held_out: Tensor
    repeated: Tensor
    variants: Tensor
    null: Closeness
    others: Tensor
    given: tuple[int, int]
    same: bool
    alpha: float
    distance: Distance
    names: tuple[tuple[str, ...], tuple[str, ...]]
    noun: str

    @property
    def table(self) -> Mapping[str, Sequence[Any]]:
        """One row per held-out image that is a copy of a training image."""
        return {name: getattr(self, name).tolist() for name in ("copies", "originals", "equal")}

    def closeness(self, images: Tensor, train: Tensor, engine: Engine = "torch") -> Closeness:
        """Tell how close images come to the training images, of which all copies of one count as one.

        ``nearest`` is the first of its copies. The distance is that of the copy that is nearest, the ten further images of
        the ratio are others.
        """
        return _measured(images, train, self.train, self.stands_for, self.variants, self.distance, engine)

    def distinct(self, train: Tensor) -> Tensor:
        """The training images without repetitions."""
        return train if len(self.train) == len(train) else train[self.train]

    def unseen(self, held_out: Tensor) -> Tensor:
        """The held-out images that make the null."""
        return held_out if len(self.held_out) == len(held_out) else held_out[self.held_out]

    @property
    def too_many(self) -> bool:
        """More than a share α of the held-out images are copies.

        Copies that pixels do not show (shifted, cropped, recoloured) stay in the null, and come from where the visible ones
        do. If there are as many of them as of those that were found, a share above α hides every attractor.
        """
        return len(self.copies) > self.alpha * self.given[1]

    @property
    def sentence(self) -> str:
        """Return what was found, and what follows; empty where nothing was found."""
        return " ".join(words for words in (self._of_copies, self._of_repetitions) if words)

    @property
    def _of_copies(self) -> str:
        count, total = len(self.copies), self.given[1]
        if not count:
            return ""
        if self.same:
            return (
                f"The held-out images are the {self.noun}s themselves, all {total:,} of them, so nothing is known about images "
                "that the model has not seen. Give images from the same source that it was not trained on."
            )
        kind = _kinds(int(self.equal.sum()), count)
        found = (
            f"{count:,} of {counted(total, 'held-out image')} ({100 * count / total:.3g} %) "
            f"{f'is a copy of a {self.noun}' if count == 1 else f'are copies of {self.noun}s'} ({kind})"
        )
        if self.too_many:
            return (
                f"{found}, more than the share of {self.alpha:g} up to which the others are believed to be unseen. Give held-out "
                f"images that are no {self.noun}s."
            )
        return f"{found} and {'is' if count == 1 else 'are'} left out: {len(self.held_out):,} remain to set the level."

    @property
    def _of_repetitions(self) -> str:
        again, repeated = self.given[0] - len(self.train), len(self.repeated)
        words = []
        if again:
            words.append(
                f"{again:,} of {self.given[0]:,} {self.noun}s repeat{'s' if again == 1 else ''} another one, and such images count "
                f"once: {len(self.train):,} are distinct."
            )
        if repeated and not self.same:
            images = "image repeats another" if repeated == 1 else "images repeat others"
            words.append(f"{repeated:,} held-out {images}, and count once.")
        return " ".join(words)

    @checked
    def listed(self, most: int = _NAMED) -> tuple[str, ...]:
        """Name the copies and their originals, equal ones apart, at most so many of each: they had better be replaced."""
        whole("most", most, 0)
        if self.same:
            return ()
        sentences = []
        for words, chosen in (("the same as", self.equal), ("nearly the same as", ~self.equal)):
            rows = chosen.nonzero().squeeze(1).tolist()
            if rows:
                pairs = ", ".join(f"{self._name(0, row)} ({self._name(1, row)})" for row in rows[:most])
                more = f" and {len(rows) - most:,} more (all are in summary.json)" if len(rows) > most else ""
                sentences.append(
                    f"Other held-out images in the place of those that are {words} a {self.noun} (in brackets): {pairs}{more}."
                )
        return tuple(sentences)

    def record(self) -> dict[str, Any]:
        """JSON-ready: every copy and every repetition, image by image."""
        return {
            "copies": [
                {
                    "held_out": held,
                    "held_out_name": self.names[0][row] if self.names[0] else None,
                    "train": known,
                    "train_name": self.names[1][row] if self.names[1] else None,
                    "equal": equal,
                }
                for row, (held, known, equal) in enumerate(
                    zip(self.copies.tolist(), self.originals.tolist(), self.equal.tolist(), strict=True)
                )
            ],
            "too_many": self.too_many,
            "same": self.same,
            "sentence": self.sentence,
            "train_distinct": len(self.train),
            "train_repetitions": {
                str(row): first for row, first in enumerate(self.stands_for.tolist()) if first != row
            },
            "held_out_left": len(self.held_out),
            "held_out_repetitions": self.repeated.tolist(),
        }

    def _name(self, side: int, row: int) -> str:
        number = int((self.originals if side else self.copies)[row])
        return self.names[side][row] if self.names[side] else f"no. {number}"

    def __repr__(self) -> str:
        return (
            f"Overlap({len(self.copies):,} of {self.given[1]:,} held-out images are copies; {len(self.train):,} of "
            f"{self.given[0]:,} {self.noun}s are distinct)"
        )


@checked
def overlap(
    train: ImageSource,
    held_out: ImageSource | None = None,
    *,
    distance: Distance = "cosine",
    engine: Engine = "torch",
    alpha: float = 0.05,
    sample: int = _SAMPLE,
    seed: int = 0,
    noun: str = "training image",
) -> Overlap:
    """Find held-out images that are training images, and images that are repeated within either set.

    A held-out image is a *copy* if its values equal those of a training image, or if it is a near-copy: closer to it than
    0.05 of the spread of the training images, *and* closer than a tenth of its mean distance to the next ten. Where images
    have so few dimensions that training images lie that near to each other by chance, the tenth is lowered until at most a
    share α/10 of the distinct ones do; never below 0.01 (`EXACT`), where as pictures the two are the same.

    Repetitions are collapsed first, by :func:`~separatrix.numerics._duplicates.representatives`: an image that occurs twelve
    times is one image.

    Args:
        train: training images, ``(m, …)`` or what `load_images` takes.
        held_out: images that are said to be no training images; only repetitions are looked for without them.
        distance: between images, as in the study that asks. Repetitions are found by pixels, whatever function is given.
        engine: of the nearest neighbours.
        alpha: level of that study; see `Overlap.too_many`.
        sample: training images that are held against the others.
        seed: of the sample.
        noun: what the images of ``train`` are called in sentences.

    Raises:
        InputError: no images, or two shapes.

    Cost: (n + s)·m distances, those that the study needs for its null anyway, and that of ``representatives`` twice. 10 000
    MNIST images against 60 000: 31 s on one core, 2 s of it for the second.

    >>> images = torch.eye(12)
    >>> found = overlap(images, torch.cat([images[3:4], 0.5 + images]))
    >>> found.copies.tolist(), found.originals.tolist(), found.too_many
    ([0], [3], True)
    """
    share("alpha", alpha)
    whole("sample", sample, 1)
    known = tensor_of(train, "train")
    unseen = known[:0] if held_out is None else tensor_of(held_out, "held_out")
    if unseen.shape[1:] != known.shape[1:]:
        raise InputError(
            f"train has items of shape {tuple(known.shape[1:])} and held_out of {tuple(unseen.shape[1:])}; "
            "bring both to one shape."
        )
    keys, theirs = keys_of(known), keys_of(unseen)
    stands_for = representatives(known, distance, keys)
    chosen = stands_for.unique()
    distinct = known if len(chosen) == len(known) else known[chosen]
    among = _among_themselves(distinct, distance, engine, sample, seed)
    first_equal = first_of_equals(keys)
    variants = (first_equal[stands_for] != first_equal).nonzero().squeeze(1)
    null = _measured(unseen, known, chosen, stands_for, variants, distance, engine)
    first = {key: row for row, key in reversed(list(enumerate(keys)))}
    equal = torch.tensor([key in first for key in theirs], dtype=torch.bool)
    copied = equal | _near(null, among.ratio, distinct, distance, alpha)
    copies, free = copied.nonzero().squeeze(1), (~copied).nonzero().squeeze(1)
    once = representatives(unseen[free], distance) == torch.arange(len(free))
    left = free[once]
    originals = torch.tensor(
        [first.get(theirs[row], int(null.nearest[row])) for row in copies.tolist()], dtype=torch.int64
    )
    return Overlap(
        copies=copies,
        originals=originals,
        equal=equal[copies],
        train=chosen,
        stands_for=stands_for,
        held_out=left,
        repeated=free[~once],
        variants=variants,
        null=Closeness(*(column[left] for column in null)),
        others=among.coefficient,
        given=(len(known), len(unseen)),
        same=bool(theirs) and set(theirs) == set(keys),
        alpha=alpha,
        distance=distance,
        names=(_names(held_out, copies), _names(train, originals)),
        noun=noun,
    )


def _measured(
    images: Tensor,
    known: Tensor,
    chosen: Tensor,
    stands_for: Tensor,
    variants: Tensor,
    distance: Distance,
    engine: Engine,
) -> Closeness:
    """Closeness to the training images ``chosen``, with the distance to a variant of the nearest where that is smaller."""
    found = closeness(images, known if len(chosen) == len(known) else known[chosen], distance, engine=engine)
    found = found._replace(nearest=chosen[found.nearest])
    if not len(variants) or not len(images):
        return found
    other = nearest_in_bank(images, known[variants], 1, distance, engine=engine)
    before = 1 - found.coefficient if distance == "cosine" else -found.coefficient
    now = torch.minimum(before, other.distance[:, 0])
    shorter = (now < before) & (stands_for[variants[other.index[:, 0]]] == found.nearest)
    share = chords(now, distance) / chords(before, distance)
    return found._replace(
        coefficient=torch.where(shorter, 1 - now if distance == "cosine" else -now, found.coefficient),
        ratio=torch.where(shorter, found.ratio * share, found.ratio),
    )


def _near(null: Closeness, among: Tensor, distinct: Tensor, distance: Distance, alpha: float) -> Tensor:
    """``(n,)`` bool: near-copies, by the level of training images among themselves."""
    among = among[among.isfinite()]
    rare = float(among.quantile(_RARE * alpha)) if len(among) else NEAR
    apart = chords(1 - null.coefficient, distance) if distance == "cosine" else -null.coefficient
    # One training image has no neighbours, and then closeness is all there is.
    alone = null.ratio.isnan() | (null.ratio < max(EXACT, min(NEAR, rare)))
    return alone & (apart < CLOSE * spread_between(distinct, distance))


def _among_themselves(distinct: Tensor, distance: Distance, engine: Engine, sample: int, seed: int) -> Closeness:
    if len(distinct) < 2:
        return closeness(distinct[:0], distinct, distance)
    drawn = distinct
    if sample < len(distinct):
        order = torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed))
        drawn = distinct[order[:sample].sort().values]
    return closeness(drawn, distinct, distance, themselves=True, engine=engine)


def _names(data: ImageSource | None, rows: Tensor) -> tuple[str, ...]:
    names = data.own_names if isinstance(data, ImageSet) else ()
    return tuple(names[row] for row in rows.tolist()) if names else ()


def _kinds(equal: int, count: int) -> str:
    if equal == count:
        return "the same values" if count == 1 else "all with the same values"
    return f"{equal:,} with the same values" if equal else "nearly the same"
