"""What is fitted by default follows from the committed evidence, and is what the evidence is about."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from statistics import fmean
from types import ModuleType

import torch
from bound import result
from ood_bound import DETECTORS, mean, unseen

import separatrix as sx
from separatrix.cli import _ood_fit as ood_fit
from separatrix.ood import LatentOutlierDetector
from separatrix.ood._fitting import fit_detector
from separatrix.ood._typicality import density


def test_the_default_everywhere_is_the_detector_with_the_best_mean_on_kinds_that_nothing_was_chosen_on() -> None:
    best = max(DETECTORS, key=lambda kind: mean(kind, unseen))
    defaults = [
        inspect.signature(function).parameters[name].default
        for function, name in ((fit_detector, "kind"), (ood_fit.fit, "detector"), (LatentOutlierDetector, "detector"))
    ]
    assert [str(default) for default in defaults] == [best] * 3


def test_the_rules_that_the_choice_calls_used_are_the_best_of_its_variants_and_those_of_the_code(
    script: Callable[[str], ModuleType],
) -> None:
    networks = result("benchmarks/ood_choice")["networks"]
    choice = script("benchmarks/ood_choice")
    means = {
        name: fmean(area for network in networks for area in network["auroc"][name]["altered"].values())
        for name in choice.VARIANTS
    }
    (used,) = [name for name in choice.VARIANTS if name.endswith("(used)")]
    assert max(means, key=lambda name: means[name]) == used
    columns, far = choice.VARIANTS[used]
    field = sx.LatentField(lambda x: 0.5 * x, lambda z: z, latent_shape=(3,))
    data = torch.randn(90, 3, generator=torch.Generator().manual_seed(0))
    detector = sx.TypicalityDetector(field, steps=2).fit(data)
    features = detector._features(field.encode(data), data)
    assert torch.equal(detector.state()["far"], density(features[:, columns], far)["far"])
    without = sx.TypicalityDetector(field, steps=2, baselines=False).fit(data)
    course = without._features(field.encode(data), data)
    assert (
        features.shape[1] == course.shape[1] + far
    )  # the five lengths that need no trajectory, all of them counting once more
