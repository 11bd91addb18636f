"""Models that become another map after many calls, and those that return what is no latent: refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import separatrix as sx
from separatrix.errors import ConvergenceWarning, FieldError

UP = torch.randn(2, 5, generator=torch.Generator().manual_seed(1))
STARTS = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
CALLS = 30  # more than an examination makes, fewer than a search


def encode(x: Tensor) -> Tensor:
    return torch.tanh(0.6 * x @ UP.T)


def after(calls: int, change: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The encoder, until it was called so often."""
    called = 0

    def now(x: Tensor) -> Tensor:
        nonlocal called
        called += 1
        return encode(x) if called <= calls else change(encode(x))

    return now


def search(encoder: Callable[[Tensor], Tensor]) -> sx.LimitSets:
    return sx.find_attractors(sx.LatentField(encoder, lambda z: z @ UP, latent_shape=(2,)), STARTS)


@pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")
@pytest.mark.parametrize(
    "change", [torch.neg, lambda z: 1.001 * z, lambda z: z * torch.nan], ids=["sign", "size", "nan"]
)
def test_a_model_that_changes_during_a_search_is_refused(change: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(
        FieldError, match=r"gives others at the same latents at its end: the model keeps a state .*a counter"
    ):
        search(after(CALLS, change))


def test_what_stays_is_not_refused() -> None:
    """Nor is NaN at some of the points."""
    assert len(search(encode)) == 2
    with pytest.warns(ConvergenceWarning, match="NONFINITE"):
        search(lambda x: torch.where(x[:, :1] > 0.2, torch.nan, encode(x)))


def test_weights_may_be_trained_between_two_searches() -> None:
    size = torch.ones(())
    field = sx.LatentField(lambda x: size * encode(x), lambda z: z @ UP, latent_shape=(2,))
    assert len(sx.find_attractors(field, STARTS)) == 2
    size.fill_(0.1)
    assert len(sx.find_attractors(field, STARTS)) == 1


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (lambda z: z.to("meta"), "is on the device meta for latents on cpu; keep the whole model on one device"),
        (lambda z: z.to_sparse(), r"is a sparse tensor; return a dense one, with \.to_dense\(\)"),
        (lambda z: z.to(torch.complex64), "is complex64 for float32 latents; return real numbers"),
        (lambda z: z.int(), r"is int32 for float32 latents; return them as they came, .*\.to\(torch\.float32\)\.$"),
    ],
    ids=["meta", "sparse", "complex", "whole"],
)
def test_what_is_no_latent_is_one_sentence(form: Callable[[Tensor], Tensor], words: str) -> None:
    with pytest.raises(FieldError, match=words):
        search(lambda x: form(encode(x)))
