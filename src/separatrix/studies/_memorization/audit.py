"""A decision on memorization: which share of the training images does the model give back, against a budget?

A training image is *given back* if it is the nearest training image of an attractor that the resemblance study calls,
that is, of an attractor closer to that one image than 95 % of unseen images are to theirs (1 − α); exact copies are counted
among them. The share is estimated on a random
sample of the training images, each of which is also a start, with an exact interval. Noise starts are followed too,
because they reach attractors that no training image leads to; these are judged with the others, and a sampled image that
only they give back counts.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

import torch
from torch import Tensor

from separatrix import starts as starting
from separatrix.arguments import checked, share
from separatrix.cost import Cost
from separatrix.data import ImageSet, ImageSource, load_images, tensor_of
from separatrix.errors import ConvergenceWarning, InputError, OverlapWarning, warn
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets, find_attractors
from separatrix.numerics import Distance, Engine, clopper_pearson, trials_without_success
from separatrix.protocol import Protocol
from separatrix.storage import storable
from separatrix.studies._memorization.study import EXCHANGED, Memorization, memorization
from separatrix.studies._overlap import Overlap, overlap
from separatrix.studies._resemblance_words import EXACT, Outcome
from separatrix.words import Statement, Tabular, Tone
from separatrix.work import AtOnce, Progress, Stages

_SAMPLE = 1000
_NOISE = 256


@storable
class AuditDecision(StrEnum):
    """It tells how an audit ends."""

    WITHIN = "within budget"
    EXCEEDED = "budget exceeded"
    CANNOT_SAY = "cannot say"


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class MemorizationAudit(Tabular):
    """The decision and everything it rests on.

    Attributes:
        statement: the decision with its numbers; its code is an :class:`AuditDecision`.
        budget: the share of training images that may be given back.
        share: of the sampled training images, those given back. Repetitions count once.
        low, high: 95 % interval for the share of all training images (Clopper–Pearson; without width if all were sampled).
        sampled: ``(s,)`` int64, the training images that were sampled, from the distinct ones.
        given_back: ``(g,)`` int64, training images nearest to a called attractor of either search, sampled or not.
        exact: ``(e,)`` those of them that come back as an exact copy, see
            :data:`~separatrix.studies._resemblance_words.EXACT`.
        by_noise_alone: ``(h,)`` those of them that only attractors of noise give back.
        names: of training images by their rows, where they have some, such as their files in the folder; else empty.
        memorization: the study behind it.
        limits: limit sets from the sampled training images.
        unseen: limit sets from as many held-out images, all if there are not more: for comparison, they decide nothing
            (the p-values come from the held-out images themselves).
        noise: limit sets from noise.
    """

    statement: Statement
    budget: float
    share: float
    low: float
    high: float
    sampled: Tensor
    given_back: Tensor
    exact: Tensor
    by_noise_alone: Tensor
    names: Mapping[int, str]
    memorization: Memorization
    limits: LimitSets
    unseen: LimitSets
    noise: LimitSets

    @property
    def table(self) -> Mapping[str, Sequence[Any]]:
        """One row per training image that is given back: whether exactly, whether it was sampled, and whether only noise gives it back."""
        images = self.given_back
        columns = {"exact": self.exact, "sampled": self.sampled, "by_noise_alone": self.by_noise_alone}
        told = {name: torch.isin(images, chosen).tolist() for name, chosen in columns.items()}
        names = {"name": [self.names[image] for image in images.tolist()]} if self.names else {}
        return {"image": images.tolist(), **names, **told}

    @property
    def cost(self) -> Cost:
        """Return the cost of the three searches together."""
        return self.limits.cost + self.unseen.cost + self.noise.cost

    @property
    def decision(self) -> AuditDecision:
        """The code of the statement."""
        return AuditDecision(self.statement.code)

    @property
    def brief(self) -> str:
        """The decision and the counts behind it, in one line."""
        count, exact = (int(torch.isin(self.sampled, images).sum()) for images in (self.given_back, self.exact))
        return (
            f"{self.statement.headline}: {count} of {len(self.sampled):,} followed training images given back, {exact} exactly "
            f"(budget {100 * self.budget:.2f} %{self._left_out})"
        )

    @property
    def overlap(self) -> Overlap:
        """Return what held-out and training images have in common."""
        return self.memorization.resemblance.overlap

    @property
    def _left_out(self) -> str:
        count, total = len(self.overlap.copies), self.overlap.given[1]
        return f"; {count:,} of {total:,} held-out images are copies of training images" if count else ""

    def __repr__(self) -> str:
        return f"MemorizationAudit({self.decision}: {100 * self.share:.2f} % of {len(self.sampled)} images, budget {100 * self.budget:.2f} %)"


@checked
def audit_memorization(
    field: LatentField,
    train: ImageSource,
    held_out: ImageSource,
    *,
    budget: float = 0.01,
    sample: int = _SAMPLE,
    noise: int = _NOISE,
    protocol: Protocol | str | None = None,
    distance: Distance = "cosine",
    engine: Engine = "torch",
    alpha: float = 0.05,
    seed: int = 0,
    batch_size: int | None = None,
    stages: Stages | None = None,
    progress: bool | Progress = False,
) -> MemorizationAudit:
    """Does the model give back more than a share ``budget`` of its training images?

    *Exceeded* if the whole interval lies above the budget, *within* if it lies below, else *cannot say*. Nor can it be
    said where held-out images are what the attractors are near (`Exchange.reversed`), of a trivial field, of one on which more than 10 % of the starts reach no attractor, and with too few held-out
    images for a p-value at level ``alpha``, nor if more than a share ``alpha`` of the held-out images are copies of training
    images (`overlap`, asked before the searches; fewer are left out): none of these excuses a model, they say that this
    method sees nothing.

    Args:
        field: the latent field.
        train: its training images, ``(m, …)`` or what `load_images` takes.
        held_out: images from the same source that it was not trained on.
        budget: share of the training images that may be given back.
        sample: training images that are followed, and as many held-out images; all if there are not more.
        noise: draws from N(0, I) that are followed as well.
        protocol: of the searches.
        distance: between images.
        engine: of the nearest neighbours.
        alpha: expected share of false calls among the attractors that are called.
        seed: of the sample and of the noise.
        batch_size: most latents, or images, in one network pass; by a fixed rule if not given (`LatentField.with_batch_size`).
        stages: keeps the parts of the work (limits, held_out, noise, memorization), as a run does (`separatrix.runs`).
        progress: show a progress bar, or move the one that is there (`separatrix.work._progress`).

    Raises:
        InputError: a budget outside [0, 1), a sample below 1, or data of the wrong shape.

    Warns:
        OverlapWarning: before the searches, that too many of the held-out images are training images.

    Cost: three searches, from ``sample`` training images, as many held-out images and ``noise`` draws, and that of
    :func:`memorization`.
    """
    field, protocol = LatentField.of(field), Protocol.of(protocol)
    if not 0 <= budget < 1:
        raise InputError(f"A budget is a share of the training images from 0 to below 1, not {budget}.")
    if sample < 1 or noise < 1:
        raise InputError(f"An audit needs at least one training image and one noise start, not {sample} and {noise}.")
    share("alpha", alpha)
    trained, held = _loaded(train), _loaded(held_out)
    known, unseen = tensor_of(trained, "train"), tensor_of(held, "held_out")
    shared = overlap(trained, held, distance=distance, engine=engine, alpha=alpha, seed=seed)
    if shared.too_many:
        warn(f"The decision will be 'cannot say': {shared.sentence}", OverlapWarning)
    sampled = shared.train[_sampled(len(shared.train), sample, seed)]
    # Where all held-out images are copies they are followed all the same: these starts decide nothing.
    followed = shared.held_out if len(shared.held_out) else torch.arange(len(unseen))
    sources = {
        "limits": starting.encoded(trained[sampled]),
        "held_out": starting.encoded(held[followed[_sampled(len(followed), len(sampled), seed)]]),
        "noise": starting.gaussian(noise, seed=seed),
    }
    field, kept = field.with_batch_size(batch_size), stages or AtOnce()
    with Progress.of(progress).stage("searching from training images, held-out images and noise", 3) as line:

        def search(name: str) -> LimitSets:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # the decision says it
                find = partial(find_attractors, field, sources[name], protocol, checkpoint=kept.unfinished(name))
                return kept.stage(name, partial(find, progress=line))

        limits, beside, drawn = map(search, sources)
    study = kept.stage(
        "memorization",
        lambda: memorization(
            field,
            limits,
            known,
            unseen,
            noise=drawn,
            unseen=beside,
            distance=distance,
            engine=engine,
            alpha=alpha,
            seed=seed,
            shared=shared,
        ),
    )
    names = dict(enumerate(trained.own_names)) if isinstance(trained, ImageSet) else {}
    return decided(study, (limits, beside, drawn), budget=budget, sample=sample, seed=seed, names=names)


def decided(
    study: Memorization,
    searches: tuple[LimitSets, LimitSets, LimitSets],
    *,
    budget: float,
    sample: int,
    seed: int,
    names: Mapping[int, str],
) -> MemorizationAudit:
    """The decision that follows from a study and its searches, from training images, held-out images and noise. No map evaluations."""
    limits, beside, drawn = searches
    total = len(study.resemblance.overlap.train)
    sampled = study.resemblance.overlap.train[_sampled(total, sample, seed)]
    given_back, exact, by_noise_alone = _given_back(study)
    count, copies, alone = (int(torch.isin(sampled, images).sum()) for images in (given_back, exact, by_noise_alone))
    low, high = _interval(count, len(sampled), total)
    statement = _decided(study, _Sampled(count, copies, alone, len(sampled), total, low, high), budget)
    return MemorizationAudit(
        statement=statement,
        budget=budget,
        share=count / len(sampled),
        low=low,
        high=high,
        sampled=sampled,
        given_back=given_back,
        exact=exact,
        by_noise_alone=by_noise_alone,
        names=names,
        memorization=study,
        limits=limits,
        unseen=beside,
        noise=drawn,
    )


def _loaded(data: ImageSource) -> ImageSet | Tensor:
    """With its names and where it came from, if it says so; a tensor keeps its precision."""
    return data if isinstance(data, (ImageSet, Tensor)) else load_images(data)


def _sampled(total: int, count: int, seed: int) -> Tensor:
    """So many of the indices below ``total``, drawn without replacement, in ascending order."""
    return torch.randperm(total, generator=torch.Generator().manual_seed(seed))[:count].sort().values


def _given_back(study: Memorization) -> tuple[Tensor, Tensor, Tensor]:
    """Training images nearest to a called attractor, to an exact copy, and to called attractors of noise alone."""
    found, noise = study.resemblance, study.noise_only
    known, exact = found.nearest[found.significant].unique(), found.nearest[found.exact].unique()
    if noise is None:
        return known, exact, known[:0]
    reached = noise.nearest[noise.significant].unique()
    return (
        torch.cat([known, reached]).unique(),
        torch.cat([exact, noise.nearest[noise.exact]]).unique(),
        reached[~torch.isin(reached, known)],
    )


def _interval(count: int, sampled: int, total: int) -> tuple[float, float]:
    if sampled >= total:
        return count / total, count / total
    low, high = clopper_pearson(torch.tensor([count]), sampled)
    return float(low), float(high)


@dataclass(frozen=True)
class _Sampled:
    """It tells what came back of the training images that were sampled.

    Attributes:
        given_back, exact, by_noise_alone: how many of them, as in `MemorizationAudit`.
        count: how many were sampled.
        total: of so many distinct ones.
        low, high: 95 % interval of the share.
    """

    given_back: int
    exact: int
    by_noise_alone: int
    count: int
    total: int
    low: float
    high: float


def _decided(study: Memorization, sampled: _Sampled, budget: float) -> Statement:
    ours, overlap = study.resemblance.statement, study.resemblance.overlap
    if overlap.too_many:
        return _cannot_say(ours.detail)
    which = (
        f"all {sampled.total:,}"
        if sampled.count == sampled.total
        else f"{sampled.count:,} sampled of {sampled.total:,}"
    )
    if sampled.total < overlap.given[0]:
        which += " distinct"
    interval = (
        ""
        if sampled.count == sampled.total
        else f", 95 % interval {100 * sampled.low:.2f} % to {100 * sampled.high:.2f} %"
    )
    share = (
        f"{sampled.given_back} of {which} training images are given back "
        f"({100 * (sampled.given_back / sampled.count):.2f} %{interval}; budget {100 * budget:.2f} %)"
    )
    if sampled.given_back:
        share += f", {sampled.exact or 'none'} of them as exact copies (distance ratio below {EXACT:g})"
    if sampled.by_noise_alone:
        share += f", {sampled.by_noise_alone} of them only by attractors that noise reaches and no training image that was followed"
    if study.outcome is Outcome.EVIDENCE and sampled.low > budget:
        return Statement("Budget exceeded", f"{share}. {study.judged}", AuditDecision.EXCEEDED, Tone.ALARM)
    # What noise alone gives back can exceed a budget; it does not excuse that the training starts show nothing.
    if study.resemblance.outcome in (Outcome.TRIVIAL, Outcome.CANNOT_SAY):
        why = ours.detail if study.resemblance.outcome is Outcome.CANNOT_SAY else str(ours)
        return _cannot_say(why).followed_by("" if study.noise_only is None else study.noise_only.sentence)
    near = study.exchange
    if sampled.high <= budget and near is not None and near.reversed:
        counts = f"Of the {near.nearest} images nearest to them {near.in_train} are training images, where chance gives {near.expected:.1f}."
        return _cannot_say(f"{share}. {EXCHANGED} {counts}")
    if sampled.high <= budget:
        unseen = "Images that are stored in another way than as attractors are not seen by this audit."
        return Statement("Within budget", f"{share}. {study.judged} {unseen}", AuditDecision.WITHIN, Tone.CALM)
    more = f"Sample more training images: with none given back, {_needed(budget)}."
    return _cannot_say(f"{share}; the interval reaches across the budget. {more}").followed_by(overlap.sentence)


def _cannot_say(why: str) -> Statement:
    return Statement("Cannot say", why, AuditDecision.CANNOT_SAY)


def _needed(budget: float) -> str:
    """Count how many images have to be sampled before none given back is within the budget."""
    if budget == 0:
        return "only all of them decide about a budget of zero"
    return f"{trials_without_success(budget):,} would do"
