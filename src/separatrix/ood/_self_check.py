"""Before a trajectory score is trusted: do the attractors describe the data, and do simple inputs turn the score round?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.data import ImageSource, tensor_of
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets
from separatrix.numerics import Interval, auroc_interval, nearest, spread
from separatrix.ood._detector import Detector, split
from separatrix.ood._landmarks import landmarks, training_attractors
from separatrix.ood._simple_inputs import FROM_THE_DATA, simple_inputs
from separatrix.protocol import Protocol
from separatrix.storage import storable
from separatrix.studies import closeness, resemblance
from separatrix.words import Statement, Tabular, Tone
from separatrix.work import Progress

_PAPER = "trajectory"
# Kinds of detectors, which the package registers; of equals the first is recommended.
_CANDIDATES = (_PAPER, "typicality", "knn", "mahalanobis", "residual", "reconstruction")
_SAMPLE = 2400  # ID inputs that the check may look at
_FITTED = 600  # of them, at most, to fit detectors on
_FIRST_LOOK = 240  # held-out inputs; enough where the score is far from the line, and most are
_INTERIM = 0.99  # level of the intervals that end the check early, so that looking again does not decide by itself
_UNLIKE = 0.05  # quantile of the held-out null below which an attractor does not look like the data


class ScoreState(StrEnum):
    """The trajectory score of the paper can be used, or not, in one of these ways."""

    OK = "ok"
    INVERTED = "inverted"
    NO_ATTRACTOR = "no attractor"


storable(Interval)  # a part of what follows; numbers know of no files


@storable
@dataclass(frozen=True, kw_only=True)
class SelfCheck(Tabular):
    """It tells what was seen on ID inputs alone.

    Attributes:
        ok: no simple input turns the paper's score round. It says nothing of the other detectors: see ``recommended``.
        inverted: the simple inputs for which the 95 % interval of its AUROC lies below 0.5.
        auroc: detector → simple input → AUROC against held-out ID inputs, with its interval; those of blurred inputs and of
            negatives are paired.
        reached: share of training latents that ended on a limit set.
        coverage: 1 − mean d²/spread², d the distance of an ID latent to the nearest attractor: 1 means that the attractors are
            where the data are, 0 or less that they describe it no better than its mean does. NaN without attractors.
        unlike: share of the attractors that resemble the training images less than 95 % of held-out images do; NaN unknown.
        recommended: kind of the detector whose lowest AUROC over the simple inputs is highest. Over other inputs, following it from
            network to network did no better than the typicality detector everywhere (docs/ood.md).
        findings: sentences.
    """

    _facts: ClassVar[tuple[str, ...]] = ("describes",)

    ok: bool
    inverted: tuple[str, ...]
    auroc: Mapping[str, Mapping[str, Interval]]
    reached: float
    coverage: float
    unlike: float
    recommended: str
    findings: tuple[str, ...]

    @property
    def table(self) -> Mapping[str, Sequence[Any]]:
        """One row per detector and kind of simple input: the AUROC with its interval."""
        rows = [(kind, name, *area) for kind, tested in self.auroc.items() for name, area in tested.items()]
        return dict(
            zip(("detector", "inputs", "auroc", "low", "high"), map(list, zip(*rows, strict=True)), strict=True)
        )

    @property
    def describes(self) -> bool:
        """The attractors are nearer to the data than its mean is, and at least half of them resemble it as held-out inputs do.

        A score that measures distances to attractors that do not describe the data may still order some inputs rightly, and
        does so by accident.
        """
        return self.coverage > 0 and not self.unlike > 0.5

    @property
    def statement(self) -> Statement:
        """Tell whether the score of the paper is to be used, then all findings; the code is a `ScoreState`."""
        headline, code, tone = "The trajectory score tells simple inputs from the data", ScoreState.OK, Tone.CALM
        if not self.ok:
            headline, code, tone = "The trajectory score cannot be computed", ScoreState.NO_ATTRACTOR, Tone.OPEN
        if self.inverted:
            headline, code, tone = "The trajectory score is inverted", ScoreState.INVERTED, Tone.ALARM
        return Statement(headline, " ".join(self.findings), code, tone)

    def __repr__(self) -> str:
        state = "ok" if self.ok else f"inverted on {', '.join(self.inverted)}" if self.inverted else "no attractor"
        return (
            f"SelfCheck(trajectory score: {state}; recommended: {self.recommended}, "
            f"lowest AUROC {_worst(self.auroc[self.recommended]):.2f})"
        )


@checked
def self_check(
    field: LatentField,
    data: ImageSource,
    *,
    limits: LimitSets | None = None,
    protocol: Protocol | None = None,
    sample: int = _SAMPLE,
    seed: int = 0,
    progress: bool | Progress = False,
) -> SelfCheck:
    """Fit every detector on a part of the ID data and test it on another part against inputs made from the data.

    Constant, noise and blurred inputs and negatives are OOD and need no second data set; a detector that cannot tell them from
    the data is not to be used. That it can is no proof for other OOD inputs.

    Args:
        field: the latent field.
        data: ID inputs, best such that the network was not trained on.
        limits: attractors found before; else up to 256 training latents are followed.
        protocol: of that search.
        sample: how many inputs at most, drawn at random: files are often sorted, by class or by writer. Some 600 are fitted on;
            of the others 240 are looked at, and twice as many again while an AUROC of the paper's score cannot be told from 0.5.
        seed: of the draw, the split and the noise.
        progress: show a progress bar, or move the one that is there (`separatrix.work._progress`).

    Cost: the search, and about 10N map evaluations per input looked at, N = 10.

    Raises:
        InputError: fewer than 30 inputs.
    """
    x = tensor_of(data)
    if min(sample, len(x)) < 30:
        raise InputError(f"A self-check needs at least 30 ID inputs, not {min(sample, len(x))}; give more.")
    if sample < len(x):
        x = x[split(len(x), sample / len(x), seed)[1]]
    trained, kept = split(len(x), 1 - min(_FITTED / len(x), 0.6), seed)
    looks = len(list(_looks(len(kept))))
    with Progress.of(progress).stage("testing detectors", len(_CANDIDATES) * (1 + looks) + 10) as line:
        return _checked(field, x[trained], x[kept], limits, protocol, seed, line)


def _checked(
    field: LatentField,
    trained: Tensor,
    kept: Tensor,
    limits: LimitSets | None,
    protocol: Protocol | None,
    seed: int,
    progress: Progress,
) -> SelfCheck:
    if limits is None:
        with progress.stage("searching", 1, worth=10):
            limits = training_attractors(field, Detector.encoded(field, trained), protocol, progress=progress).limits
    options: dict[str, dict[str, Any]] = {
        _PAPER: {"attractors": limits, "self_check": False},
        "typicality": {"attractors": limits},
    }
    kinds = _CANDIDATES if len(landmarks(limits).points) else _CANDIDATES[1:]
    candidates = [Detector.kinds[kind](field, **options.get(kind, {})) for kind in kinds]
    for detector in candidates:
        detector.fit(trained, kept[:_FIRST_LOOK])
        progress.advance()
    table = _tested(candidates, kept, seed, progress)
    inverted = tuple(name for name, interval in table.get(_PAPER, {}).items() if interval.high < 0.5)
    recommended = max(table, key=lambda kind: (_worst(table[kind]), sum(i.value for i in table[kind].values())))
    return _judged(field, limits, trained, kept, table, inverted, recommended)


def _tested(
    detectors: Sequence[Detector], kept: Tensor, seed: int, progress: Progress
) -> dict[str, dict[str, Interval]]:
    """Detector → simple input → AUROC, on more and more of the inputs until the paper's score is told from 0.5 everywhere."""
    scores: dict[tuple[str, str], list[Tensor]] = {}
    kinds = [detector.kind for detector in detectors]

    def areas(kind: str, level: float = 0.95) -> dict[str, Interval]:
        known = {name: torch.cat(parts) for (of, name), parts in scores.items() if of == kind}
        inside = known.pop("")
        return {
            name: auroc_interval(inside, outside, level=level, paired=name in FROM_THE_DATA)
            for name, outside in known.items()
        }

    for look in _looks(len(kept)):
        part = kept[look]
        simple = simple_inputs(part, count=len(part), seed=seed + look.start)
        for detector in detectors:
            for name, inputs in {"": part, **simple}.items():
                # What cannot be scored is not accepted either.
                found = detector.score(inputs.to(part)).nan_to_num(nan=torch.inf, posinf=torch.inf)
                scores.setdefault((detector.kind, name), []).append(found)
            progress.advance()
        paper = areas(_PAPER, _INTERIM) if _PAPER in kinds else {}
        if all(area.high < 0.5 or area.low > 0.5 for area in paper.values()):
            break
    return {kind: areas(kind) for kind in kinds}


def _looks(count: int) -> Iterator[slice]:
    """The first inputs, then as many again as there were so far.

    >>> [(look.start, look.stop) for look in _looks(1000)]
    [(0, 240), (240, 480), (480, 960), (960, 1000)]
    """
    first, last = 0, min(_FIRST_LOOK, count)
    while first < last:
        yield slice(first, last)
        first, last = last, min(2 * last, count)


def _worst(row: Mapping[str, Interval]) -> float:
    return min(interval.value for interval in row.values())


def _judged(
    field: LatentField,
    limits: LimitSets,
    trained: Tensor,
    kept: Tensor,
    table: Mapping[str, Mapping[str, Interval]],
    inverted: tuple[str, ...],
    recommended: str,
) -> SelfCheck:
    found = landmarks(limits)
    latents = Detector.encoded(field, trained)
    coverage = unlike = float("nan")
    findings = []
    if len(found.points):
        distance = nearest(latents, found.points).distance
        coverage = 1 - float(distance.square().mean()) / spread(latents) ** 2
        level = closeness(kept, trained).coefficient.quantile(_UNLIKE)
        unlike = float((resemblance(field, limits, trained).coefficient < level).double().mean())
        if coverage <= 0:
            findings.append(
                f"The attractors are no nearer to the data than its mean is (coverage {coverage:.2f}): they do not describe it."
            )
        if unlike > 0.5:
            findings.append(
                f"{100 * unlike:.0f} % of the attractors resemble the data less than 95 % of held-out inputs do."
            )
    else:
        findings.append("No attractor was found, so the trajectory score of the paper cannot be computed.")
    if found.reached < 0.9:
        findings.append(f"Only {100 * found.reached:.0f} % of the training latents reached a limit set.")
    if inverted:
        worst = min(table[_PAPER][name].value for name in inverted)
        findings.append(
            f"The trajectory score is inverted on simple inputs ({', '.join(inverted)}; AUROC down to {worst:.2f}): they score as "
            "more typical than the data."
        )
    low = _worst(table[recommended])
    findings.append(
        f"On held-out ID inputs against simple ones the {recommended} detector does best (lowest AUROC {low:.2f})."
        if low >= 0.5
        else f"No detector tells all simple inputs from the data (the best is {recommended}, lowest AUROC {low:.2f})."
    )
    return SelfCheck(
        ok=not inverted and bool(len(found.points)),
        inverted=inverted,
        auroc=table,
        reached=found.reached,
        coverage=coverage,
        unlike=unlike,
        recommended=recommended,
        findings=tuple(findings),
    )
