"""Inputs with known answers, kept with a detector: whether a model is the one it was fitted on is asked of the model itself.

Weights of one fingerprint may behave differently (a Python attribute, a captured tensor, another quantisation), and then a
detector is calibrated for nothing. So a saved detector holds a few inputs, what the model made of them, and how far rounding
alone may move each answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from separatrix.numerics.counter_random import gaussian
from separatrix.ood._simple_inputs import simple_inputs

if TYPE_CHECKING:
    from separatrix.ood._detector import Detector

PARITY = 1e-4
"""|answer − golden answer| ≤ PARITY·(size of the answer): what another batch, thread count or runtime may change."""

_ELSEWHERE = 2e-2  # of its size: what another kind of device may change (TensorFloat-32 keeps 11 bits)
_ROUNDING_UNITS = 32.0
_TEN_BITS = 2.0**-10
_SCORES = (
    1e-2  # at least, of a score: logarithms of distances to attractors magnify rounding; latents and images are exact
)
_AMPLIFIED = 16.0  # times what one small disturbance of an input does: one direction of many
_SAYS_NOTHING = 0.25  # a tolerance above this share of the size of the answers accepts anything
_NOTHING = -1.0  # the tolerance of an answer that tells nothing apart
_COUNT = 4


def examples(shape: tuple[int, ...], count: int) -> Tensor:
    """``count`` inputs of noise and constants in [0, 1]; no data of anybody."""
    made = simple_inputs(torch.tensor([0.0, 1.0]).reshape(2, *[1] * len(shape)).expand(2, *shape), count=count // 2)
    return torch.cat([made["noise"], made["constant"]])


def golden_answers(detector: Detector) -> dict[str, Tensor]:
    """Inputs (or latents, where it was fitted on those), and for each answer its value and its tolerance, here and elsewhere.

    Cost: 12 scores.
    """
    field, shape = detector.field, detector.input_shape
    if shape is None:
        drawn = torch.from_numpy(gaussian(0, 0, _COUNT, field.latent_dim)).reshape(_COUNT, *field.latent_shape)
        x = drawn.to(field.dtype)
    else:
        x = examples(shape, _COUNT).to(field.dtype)
    asked = _answers(detector, x)
    golden = {"x": x.cpu().contiguous()}
    unit = _ROUNDING_UNITS * torch.finfo(field.dtype).eps
    for place, least, disturbance in (
        ("here", max(PARITY, unit), unit),
        ("elsewhere", max(_ELSEWHERE, unit), max(_TEN_BITS, unit)),
    ):
        noise = torch.from_numpy(gaussian(1, 0, len(x), x[0].numel())).reshape(x.shape).to(x.dtype)
        moved = _answers(detector, x + disturbance * x.abs().amax().clamp(min=1.0) * noise)
        for name, answer in asked.items():
            size = _sizes(detector, name, answer)
            tolerance = (max(least, _SCORES) if name == "score" else least) * size + _AMPLIFIED * (
                moved[name] - answer
            ).abs().flatten(1).amax(dim=1)
            tells = answer.flatten(1).isfinite().all(dim=1) & (tolerance <= _SAYS_NOTHING * size)
            golden[f"{name}.{place}"] = torch.where(tells, tolerance, _NOTHING)
            golden[name] = answer.nan_to_num(0.0, 0.0, 0.0)
    return golden


def mismatch(detector: Detector, golden: Mapping[str, Tensor], *, same_device: bool) -> str | None:
    """None if the model answers as it did; "" if the answers cannot tell; else what it answers differently, in words."""
    given = _answers(detector, golden["x"][:_COUNT].to(detector.field.dtype))
    words = {"latent": "encodes", "image": "maps"}
    if same_device:  # ten steps of another device's rounding move a distance to an attractor by more than its size
        words["score"] = "scores"
    told = 0
    for name, does in words.items():
        answer, expected = given[name], golden[name]
        tolerance = golden[f"{name}.{'here' if same_device else 'elsewhere'}"]
        if answer.shape != expected.shape:
            return f"{does} a stored input to shape {tuple(answer.shape[1:])}, not {tuple(expected.shape[1:])}"
        rows = tolerance >= 0
        told += int(rows.sum())
        off = (answer - expected).abs().flatten(1).amax(dim=1)
        bad = rows & ~(off <= tolerance)
        if bool(bad.any()):
            row = int(bad.nonzero()[0])
            return f"{does} a stored input differently, by {float(off[row]):.2g} where {float(tolerance[row]):.2g} is rounding"
    return None if told else ""


def _answers(detector: Detector, x: Tensor) -> dict[str, Tensor]:
    """``(n, …)`` float64: the latents, their images under f, and the scores."""
    field = detector.field
    if detector.input_shape is None:
        z = x.to(field.device)
        score = detector._score(z, None)
    else:
        z = detector.encoded(field, x)
        score = detector._score(z, x)
    named = {"latent": z, "image": field(z), "score": score[:, None]}
    return {name: value.detach().to("cpu", torch.float64).contiguous() for name, value in named.items()}


def _sizes(detector: Detector, name: str, answer: Tensor) -> Tensor:
    """``(n,)``: of each answer or, where that is smaller, of a typical one."""
    own = answer.abs().flatten(1).amax(dim=1)
    typical = detector.calibrated.abs().median() if name == "score" else own.nanmedian()
    return torch.maximum(own, typical.to(own)).clamp(min=torch.finfo(torch.float64).tiny)
