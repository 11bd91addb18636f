"""Is this a deterministic self-map of the latent space? Each requirement is tested, and each failure explained."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from separatrix.errors import FieldError, ModelWarning
from separatrix.field import LatentField
from separatrix.numerics.counter_random import gaussian

_POINTS = 4
_SQUEEZED = "name the axis in squeeze(dim), or use flatten(1), so that a batch of one keeps its batch axis"
_ROUNDING = 2e3  # batch composition may change results by this many rounding units, not more


@dataclass(frozen=True)
class Finding:
    """One tested requirement: ``passed`` is None where it is worth knowing but not a failure."""

    name: str
    passed: bool | None
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        mark = {True: "ok  ", False: "FAIL", None: "note"}[self.passed]
        return f"{mark} {self.name}: {self.detail}{f' → {self.remedy}' if self.remedy else ''}"


@dataclass(frozen=True)
class FieldCheck:
    """All findings; ``ok`` if none failed. Printing it shows one line per requirement."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """No requirement failed (notes are not failures)."""
        return all(finding.passed is not False for finding in self.findings)

    def require(self) -> None:
        """Raise FieldError with the first failure and its remedy."""
        for finding in self.findings:
            if finding.passed is False:
                raise FieldError(f"{_as_sentence(finding.detail)}; {finding.remedy}.")

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings))


def check(field: LatentField, starts: Tensor | None = None) -> FieldCheck:
    """Test everything a latent field must be: finite weights, closing shapes and formats, determinism, independence of the batch.

    Also noted: outputs of which the first entry is taken, train mode, whether there are gradients, whether float64 is
    available. Stops at the first failure that makes the later tests meaningless. The model is untouched afterwards.

    Args:
        field: the field.
        starts: ``(n, *latent)`` points to test at; a few N(0, I) points if not given.

    Cost: about 100 map evaluations.

    >>> print(check(LatentField.from_map(torch.tanh, latent_shape=(2,))).ok)
    True
    """
    field = LatentField.of(field)
    return FieldCheck(tuple(_findings(field, starts, thorough=True)))


def require_self_map(field: LatentField, starts: Tensor) -> None:
    """The part of :func:`check` that every search starts with; raises FieldError, warns about train mode."""
    FieldCheck(tuple(_findings(field, starts, thorough=False))).require()
    if changed := [
        part for module in field.modules for part in module.modules() if part.training and _depends_on_mode(part)
    ]:
        warnings.warn(
            f"{field.name} has {type(changed[0]).__name__} layers in training mode; it is evaluated in eval mode, as a field "
            "must be, and left in training mode.",
            ModelWarning,
            stacklevel=3,
        )


def _findings(field: LatentField, starts: Tensor | None, *, thorough: bool) -> Iterator[Finding]:
    weights = _weights(field)
    yield weights
    if not weights.passed:
        return
    z = _points(field, starts)
    with field.guest():
        closes, image = _closes(field, z)
        yield closes
        for words in field.taken_by_place:
            yield Finding("outputs", None, words, "where another one is meant, return that alone")
        if image is None:
            return
        if image.dtype != z.dtype:
            yield _other_format(z, image)
            return
        yield _finite(z, image)
        # One guest context around both: the second evaluation draws the numbers that follow those of the first.
        image, again = field.bare(z), field.bare(z)
    yield _deterministic(image, again)
    if torch.equal(image.nan_to_num(), again.nan_to_num()):
        yield _batch_independent(field, z, image)
    if thorough:
        yield _mode(field)
        yield _gradients(field)
        yield _double(field, z, image)


def _points(field: LatentField, starts: Tensor | None) -> Tensor:
    if starts is not None and len(starts):
        return starts[:_POINTS].to(field.device, field.dtype)
    z = torch.from_numpy(gaussian(seed=0, first=0, count=_POINTS, width=field.latent_dim))
    return z.to(field.device, field.dtype).reshape(_POINTS, *field.latent_shape)


def _weights(field: LatentField) -> Finding:
    for module in field.modules:
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                kind = "NaN" if bool(tensor.isnan().any()) else "infinity"
                return Finding(
                    "weights",
                    False,
                    f"the weight {name} of {field.name} contains {kind}",
                    "load an undamaged checkpoint, one saved before training diverged",
                )
    count = sum(p.numel() for module in field.modules for p in module.parameters())
    return Finding("weights", True, f"{count:,} parameters, all finite" if field.modules else "no modules found")


def _closes(field: LatentField, z: Tensor) -> tuple[Finding, Tensor | None]:
    name, wanted = "shapes", tuple(z.shape)
    try:
        x = field.decode(z)
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        if more := _unbound(field._decode):
            given = ", ".join(f"{argument}=…" for argument in more)
            return Finding(
                name,
                False,
                f"decode needs {' and '.join(more)} beside the latents, as a conditional decoder does",
                f"bind {' and '.join(more)}: decode=lambda z: model.decode(z, {given}), one field per condition",
            ), None
        return Finding(
            name,
            False,
            f"decode does not accept latents of shape {wanted} ({_first_line(error)})",
            "give the latent_shape that the decoder was built for",
        ), None
    try:
        image = field.encode(x)
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        return Finding(
            name,
            False,
            f"encode does not accept what decode returns, shape {tuple(x.shape)} ({_first_line(error)})",
            "resize or convert the decoder's output to the encoder's input inside encode",
        ), None
    if tuple(image.shape) != wanted and image.shape == z.squeeze().shape:
        return Finding(
            name,
            False,
            f"encode(decode(z)) has shape {tuple(image.shape)} for latents of shape {wanted}, which have lost their axes of length 1",
            _SQUEEZED,
        ), None
    if tuple(image.shape) != wanted:
        return Finding(
            name,
            False,
            f"encode(decode(z)) has shape {tuple(image.shape)} for latents of shape {wanted}",
            f"give latent_shape={tuple(image.shape[1:])} if that is the latent, or take the right output of the encoder",
        ), None
    return Finding(name, True, f"latent {wanted[1:]} → data {tuple(x.shape[1:])} → latent {wanted[1:]}"), image


def _other_format(z: Tensor, image: Tensor) -> Finding:
    own, given = (str(t.dtype).removeprefix("torch.") for t in (z, image))
    return Finding(
        "format",
        False,
        f"encode(decode(z)) is {given} for {own} latents",
        f"return them as they came, encode=lambda x: model.encode(x).to(torch.{own}), or give dtype=torch.{given} if the model "
        "computes in that",
    )


def _unbound(function: Any) -> list[str]:
    """Arguments that a decoder must be given beside the latents."""
    function = getattr(function, "function", function)  # behind what unwraps its output
    try:
        parameters = list(inspect.signature(getattr(function, "forward", function)).parameters.values())
    except (TypeError, ValueError):
        return []
    fixed = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters[1:] if p.default is p.empty and p.kind not in fixed]


def _finite(z: Tensor, image: Tensor) -> Finding:
    bad = ~image.flatten(1).isfinite().all(dim=1) & z.flatten(1).isfinite().all(dim=1)
    if bool(bad.all()):
        return Finding(
            "finite",
            False,
            "f(z) is NaN or infinite at every tested point",
            "check the value range between decoder and encoder, or use float32 instead of half precision",
        )
    return Finding("finite", True, "f(z) is finite at the tested points")


def _deterministic(first: Tensor, second: Tensor) -> Finding:
    apart = float((first - second).abs().nan_to_num().max())
    if apart > 0:
        return Finding(
            "deterministic",
            False,
            f"two evaluations of f at the same points differ by up to {apart:.2g}: the model draws random numbers",
            "return the posterior mean instead of a sample, and fix the noise or the mask of a masked autoencoder",
        )
    return Finding("deterministic", True, "two evaluations agree to the last bit")


def _batch_independent(field: LatentField, z: Tensor, image: Tensor) -> Finding:
    remedy = "put BatchNorm layers in eval mode (model.eval()), or hand separatrix the modules so that it can"
    try:
        rows = [field(row.unsqueeze(0)) for row in z]
        if rows[0].shape != z[:1].shape:
            detail = f"f(z) of a single latent has shape {tuple(rows[0].shape)} instead of {tuple(z[:1].shape)}"
            return Finding("batch independence", False, detail, _SQUEEZED)
        alone = torch.cat(rows)
    except (RuntimeError, ValueError) as error:
        detail = f"f works on a batch but not on a single latent ({_first_line(error)})"
        return Finding("batch independence", False, detail, remedy)
    unit = torch.finfo(image.dtype).eps * (1 + float(image.abs().nan_to_num().max()))
    apart = float((alone - image).abs().nan_to_num().max()) / unit
    if apart > _ROUNDING:
        return Finding(
            "batch independence",
            False,
            f"f(z) depends on the other latents of the batch (by {apart * unit:.2g})",
            remedy,
        )
    return Finding("batch independence", True, f"alone and in a batch agree to {apart:.0f} rounding units")


def _mode(field: LatentField) -> Finding:
    training = [name for module in field.modules for name, part in module.named_modules() if part.training]
    if training:
        return Finding(
            "eval mode",
            None,
            f"{len(training)} submodules are in training mode",
            "they are evaluated in eval mode here",
        )
    return Finding("eval mode", True, "no module is in training mode")


def _gradients(field: LatentField) -> Finding:
    if field.differentiable:
        return Finding("gradients", True, "autograd reaches from f(z) to z")
    words = "autograd does not see the derivative of f, or only a part of it"
    return Finding("gradients", None, words, "derivatives are taken by differences")


def _double(field: LatentField, z: Tensor, image: Tensor) -> Finding:
    try:
        twin = field.to(dtype=torch.float64)
    except FieldError as error:
        return Finding("float64", None, str(error), "limit sets are polished only to the model's own precision")
    drift = float((twin(z.to(torch.float64)) - image).abs().nan_to_num().max())
    return Finding("float64", True, f"a float64 copy is available; f differs from it by up to {drift:.2g}")


def _depends_on_mode(part: nn.Module) -> bool:
    kinds = (
        nn.modules.batchnorm._BatchNorm,
        nn.modules.instancenorm._InstanceNorm,
        nn.modules.dropout._DropoutNd,
    )
    return isinstance(part, kinds)


def _as_sentence(detail: str) -> str:
    # f is the latent map and F the reconstruction, so the symbol f keeps its case at the head of a sentence.
    return detail if detail.startswith(("f ", "f(")) else f"{detail[:1].upper()}{detail[1:]}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
