"""Before a trajectory score is trusted: do the attractors describe the data, and do simple inputs turn the score round?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets
from separatrix.numerics.distances import nearest, spread
from separatrix.numerics.metrics import Interval, auroc_interval
from separatrix.ood.baselines import KNNDetector, MahalanobisDetector, ReconstructionDetector, ResidualDetector
from separatrix.ood.detector import Detector, inputs_of, split
from separatrix.ood.landmarks import landmarks, training_attractors
from separatrix.ood.simple_inputs import FROM_THE_DATA, simple_inputs
from separatrix.ood.trajectory import TrajectoryDetector
from separatrix.ood.typicality import TypicalityDetector
from separatrix.protocol import Protocol
from separatrix.studies.resemblance import resemblance

# ID inputs that the check looks at. With 240 held out (of 600) blurred digits near the line, AUROC .43 to .47, could not be told
# from it; with 480, and the interval that uses that a blurred input has its original among them, they can.
_SAMPLE = 1200
_UNLIKE = 0.05  # quantile of the held-out null below which an attractor does not look like the data


@dataclass(frozen=True, kw_only=True)
class SelfCheck:
    """What was seen on ID inputs alone.

    Attributes:
        ok: no simple input turns the paper's score round.
        inverted: the simple inputs for which the 95 % interval of its AUROC lies below 0.5.
        auroc: detector → simple input → AUROC against held-out ID inputs, with its interval; those of blurred inputs and of
            negatives are paired.
        reached: share of training latents that ended on a limit set.
        coverage: 1 − mean d²/spread², d the distance of an ID latent to the nearest attractor: 1 means that the attractors are
            where the data are, 0 or less that they describe it no better than its mean does. NaN without attractors.
        unlike: share of the attractors that resemble the training images less than 95 % of held-out images do; NaN unknown.
        recommended: kind of the detector whose lowest AUROC over the simple inputs is highest.
        findings: sentences.
    """

    ok: bool
    inverted: tuple[str, ...]
    auroc: Mapping[str, Mapping[str, Interval]]
    reached: float
    coverage: float
    unlike: float
    recommended: str
    findings: tuple[str, ...]

    @property
    def describes(self) -> bool:
        """The attractors are nearer to the data than its mean is, and at least half of them resemble it as held-out inputs do.

        A score that measures distances to attractors that do not describe the data may still order some inputs rightly, and
        does so by accident.
        """
        return self.coverage > 0 and not self.unlike > 0.5

    @property
    def sentence(self) -> str:
        """All findings as one sentence."""
        return " ".join(self.findings)


def self_check(
    field: LatentField,
    data: Any,
    *,
    limits: LimitSets | None = None,
    protocol: Protocol | None = None,
    sample: int = _SAMPLE,
    seed: int = 0,
) -> SelfCheck:
    """Fit every detector on a part of the ID data and test it on another part against inputs made from the data.

    Constant, noise and blurred inputs and negatives are OOD and need no second data set; a detector that cannot tell them from
    the data is not to be used. That it can is no proof for other OOD inputs.

    Args:
        field: the latent field.
        data: ID inputs, best such that the network was not trained on.
        limits: attractors found before; else up to 256 training latents are followed.
        protocol: of that search.
        sample: how many inputs, drawn at random: files are often sorted, by class or by writer.
        seed: of the draw, the split and the noise.

    Cost: the search, and about 5N map evaluations per input, N = 10.

    Raises:
        InputError: fewer than 30 inputs.
    """
    x = inputs_of(data)
    if min(sample, len(x)) < 30:
        raise InputError(f"A self-check needs at least 30 ID inputs, not {min(sample, len(x))}; give more.")
    if sample < len(x):
        x = x[split(len(x), sample / len(x), seed)[1]]
    trained, kept = split(len(x), 0.4, seed)
    if limits is None:
        limits = training_attractors(field, Detector.encoded(field, x[trained]), protocol).limits
    with_points = len(landmarks(limits).points) > 0
    candidates: list[Detector] = [
        TypicalityDetector(field, attractors=limits),
        KNNDetector(field),
        MahalanobisDetector(field),
        ResidualDetector(field),
        ReconstructionDetector(field),
    ]
    if with_points:
        candidates.insert(0, TrajectoryDetector(field, attractors=limits, self_check=False))
    simple = simple_inputs(x[kept], count=len(kept), seed=seed)
    table = {
        detector.kind: _tested(detector.fit(x[trained], x[kept]), x[kept], {n: s.to(x) for n, s in simple.items()})
        for detector in candidates
    }
    inverted = tuple(name for name, interval in table.get("trajectory", {}).items() if interval.high < 0.5)
    recommended = max(table, key=lambda kind: (_worst(table[kind]), sum(i.value for i in table[kind].values())))
    return _judged(field, limits, x[trained], x[kept], table, inverted, recommended)


def check_fitted(detector: TrajectoryDetector, data: Any) -> SelfCheck:
    """:func:`self_check` with the attractors that a detector was fitted with."""
    return self_check(detector.field, data, limits=detector.limits)


def _tested(detector: Detector, kept: Tensor, simple: Mapping[str, Tensor]) -> dict[str, Interval]:
    def scores(inputs: Tensor) -> Tensor:
        # What cannot be scored is not accepted either.
        return detector.score(inputs).nan_to_num(nan=torch.inf, posinf=torch.inf)

    inside = scores(kept)  # not the calibration scores: those are sorted, and pairs must stay together
    return {
        name: auroc_interval(inside, scores(inputs), paired=name in FROM_THE_DATA) for name, inputs in simple.items()
    }


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
        study = resemblance(field, limits, trained, kept)
        unlike = float((study.coefficient < study.held_out.quantile(_UNLIKE)).double().mean())
        if coverage <= 0:
            findings.append(
                f"The attractors are no nearer to the data than its mean is (coverage {coverage:.2f}): they do not describe it."
            )
        if unlike > 0.5:
            findings.append(f"{unlike:.0%} of the attractors resemble the data less than 95 % of held-out inputs do.")
    else:
        findings.append("No attractor was found, so the trajectory score of the paper cannot be computed.")
    if found.reached < 0.9:
        findings.append(f"Only {found.reached:.0%} of the training latents settled on a limit set.")
    if inverted:
        worst = min(table["trajectory"][name].value for name in inverted)
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
