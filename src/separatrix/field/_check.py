"""Is this a deterministic self-map? Each requirement is tested, and each failure explained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from separatrix.errors import FieldError, ModelWarning, first_line, warn
from separatrix.field._contract import ROUNDING, Examined
from separatrix.field._findings import FieldCheck, Finding
from separatrix.work import out_of_memory

if TYPE_CHECKING:
    from separatrix.field._field import LatentField

_EXAMINED = 4  # latents


def require_self_map(field: LatentField, starts: Tensor, further: Callable[[], Tensor] | None = None) -> None:
    """Refuse what :meth:`LatentField.check` calls a failure, at some starts of a search; raises FieldError, warns about train mode.

    The field is examined at ``starts``, or, where the model raises an exception for one of them, at the first four of ``further`` starts for
    which it does not.

    Cost: none for a field that was evaluated before, except where f was finite at none of the points it was examined at.
    """
    found = field.examined
    if found is None or not bool(_finite(found).passed):
        found = field.examine(starts)
        if found.error is not None and further is not None and len(taken := _taken(field, further())):
            found = field.examine(taken)
        found.check.require()
        FieldCheck((_finite(found),) if found.image is not None else ()).require()
    if changed := [
        part for module in field.modules for part in module.modules() if part.training and _depends_on_mode(part)
    ]:
        warn(
            f"{field.name} has {type(changed[0]).__name__} layers in training mode; it is evaluated in eval mode, as a field "
            "must be, and left in training mode.",
            ModelWarning,
        )


@contextmanager
def required_to_stay(field: LatentField) -> Iterator[None]:
    """Refuse a model whose answers at a few points are others at the end of the block: what was computed is of two maps.

    The points are those of its examination. It is asked anew at the beginning: since then its weights may have been trained on.

    Raises:
        FieldError: it keeps a state that the examination was too short to show.

    Cost: two evaluations of at most four points, which no result counts.
    """
    assert field.examined is not None
    z = field.examined.points
    before = _answers(field, z)
    yield
    if isinstance(before, Exception):
        return
    after = _answers(field, z)
    if isinstance(after, Exception) and out_of_memory(after):  # which says nothing about the map
        return
    unit = torch.finfo(z.dtype).eps * (1 + float(before.abs().nan_to_num().max()))
    if isinstance(after, Exception):
        words = f"raises an exception ({first_line(after)})"
    elif before.shape != after.shape or not _close(before, after, ROUNDING * unit):
        words = "gives others"
    else:
        return
    raise FieldError(
        f"{field.name} gave answers at the beginning of this search and {words} at the same latents at its end: the model keeps a "
        "state from call to call (a counter, a cache, a statistic); reset that state in every call, or leave it out of encode and decode."
    )


def _close(before: Tensor, after: Tensor, within: float) -> bool:
    """Two answers, of which NaN and infinity are parts like others."""
    return torch.allclose(before, after.to(before.dtype), rtol=0.0, atol=within, equal_nan=True)


def _answers(field: LatentField, z: Tensor) -> Tensor | Exception:
    try:
        with field.guest(), torch.no_grad():
            return field.encoder(field.decoder(z)).clone()
    except Exception as error:  # what a stranger's model does at these points
        return error


def _taken(field: LatentField, starts: Tensor) -> Tensor:
    """The first starts for which the model raises no exception; one evaluation each of those that are tried."""
    rows: list[Tensor] = []
    with field.guest(), torch.no_grad():
        for row in starts:
            with suppress(Exception):
                field.encoder(field.decoder(row[None]))
                rows.append(row)
            if len(rows) == _EXAMINED:
                break
    return torch.stack(rows) if rows else starts[:0]


def findings(field: LatentField, starts: Tensor | None) -> Iterator[Finding]:
    """Yield what `LatentField.check` says, one requirement at a time, up to the first failure that makes the later tests meaningless."""
    found = field.examine(starts)
    yield from found.check.findings
    if found.image is None:
        return
    yield _finite(found)
    yield _mode(field)
    if found.check.ok:
        yield _gradients(field)
        yield _double(field, found.points, found.image)


def _finite(found: Examined) -> Finding:
    assert found.image is not None
    z, image = found.points[: found.given], found.image[: found.given]
    bad = ~image.flatten(1).isfinite().all(dim=1) & z.flatten(1).isfinite().all(dim=1)
    if bool(bad.all()):
        return Finding(
            "finite",
            False,
            "f(z) is NaN or infinite at every tested point",
            "check the value range between decoder and encoder, or use float32 instead of half precision",
        )
    return Finding("finite", True, "f(z) is finite at the tested points")


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
