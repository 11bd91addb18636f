"""Numbers and flags that are no such things: one sentence that names the argument, from everything that anybody may call."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch

import separatrix as sx
from separatrix import numerics, ood, orbits, protocol, studies
from separatrix.arguments import checked, flag, number, whole
from separatrix.errors import DataWarning, InputError
from test_public_line import ROOMS

NUMBERS = re.compile(r"(int|float|bool|(Sequence|tuple)\[(int|float)(, (int|float|\.\.\.))*\])( \| None)?")
MADE_BY_USERS = (
    studies.Edit,
    studies.EditBudget,
    ood.AlarmBudget,
    sx.Protocol,
)  # other records are made by the library
NOT_ASKED = {
    "Observer.begin": "is called by orbits, with the number of starts",
    "LatentOutlierDetector": "keeps what it is given as it is, by scikit-learn's rules, and looks at it when it is fitted",
    "LatentEncoder": "likewise",
    "OODClassifier": "likewise",
    "score": "hands all on to score_to_table",
    "shape_words": "writes any shape",
}


RIGHT = {
    "int": 3,
    "float": 0.5,
    "bool": True,
    "Sequence[int]": (1, 8, 8),
    "Sequence[float]": (0.5, 0.5),
    "tuple[int, int]": (8, 8),
    "tuple[int, ...]": (1, 8, 8),
}


def public() -> Iterator[tuple[str, Callable[..., Any]]]:
    """What has numbers or flags among its parameters, by its name."""
    for room in ("separatrix", *(f"separatrix.{name}" for name in (*ROOMS, "protocol"))):
        module = import_module(room)
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            if inspect.isfunction(thing):
                yield name, thing
            elif inspect.isclass(thing) and not issubclass(thing, (Exception, protocol.Rules)):
                if not dataclasses.is_dataclass(thing) or issubclass(thing, MADE_BY_USERS):
                    yield name, thing
                for method in vars(thing):
                    function = inspect.getattr_static(thing, method)
                    if not method.startswith("_") and inspect.isfunction(getattr(function, "__func__", function)):
                        yield f"{name}.{method}", getattr(thing, method)


def parameters(function: Callable[..., Any]) -> dict[str, str]:
    try:
        found = inspect.signature(function).parameters.values()
    except ValueError:
        return {}
    return {one.name: str(one.annotation) for one in found if NUMBERS.fullmatch(str(one.annotation))}


ASKED = {
    f"{name}({parameter})": (function, parameter, annotation)
    for name, function in public()
    for parameter, annotation in parameters(function).items()
    if name not in NOT_ASKED and not name.endswith(".begin")
}


def wrong(annotation: str) -> list[Any]:
    """Values that look like what is asked for and are not."""
    kind = annotation.removesuffix(" | None")
    if kind == "bool":
        return ["no", 1, 0.0, torch.zeros(2), *([None] if kind == annotation else [])]
    single = ["3", True, float("nan"), 1j, torch.tensor(True), np.array("3"), {}, [[1]]]
    if "[" in kind:
        return [3, "34", {1, 2}, [1, "2"], [True, False], {1: 2}]
    return [*single, *([2.5, 3.0, np.float64(3)] if kind == "int" else []), *([None] if kind == annotation else [])]


def test_there_is_much_to_ask() -> None:
    assert len(ASKED) > 250


@pytest.mark.parametrize("name", ASKED)
def test_what_is_no_number_is_one_sentence(name: str) -> None:
    """It is said before anything else is looked at: whatever else the function needs, but for numbers, is nothing at all here."""
    function, parameter, annotation = ASKED[name]
    needed = [one for one in inspect.signature(function).parameters.values() if one.default is one.empty]
    others = {
        one.name: RIGHT.get(str(one.annotation), object())
        for one in needed
        if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    }
    for value in wrong(annotation):
        with pytest.raises(InputError, match=rf"\b{parameter} must be .*not ") as caught:
            function(**others | {parameter: value})
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3), torch.tensor(3)])
def test_whole_numbers_of_all_kinds_are_taken(value: Any) -> None:
    assert type(whole("trips", value)) is int
    assert whole("trips", value) == 3
    assert number("bar", value) == 3


def test_numbers_of_all_kinds_are_taken() -> None:
    for value in (0.5, np.float32(0.5), np.array(0.5), torch.tensor(0.5)):
        assert type(number("bar", value)) is float
        assert number("bar", value) == 0.5
    assert number("bar", float("inf")) == float("inf")
    assert flag("video", np.True_) is True


@checked
class Kept:
    def __init__(self, sizes: tuple[int, ...] = (), share: float | None = None) -> None:
        self.sizes, self.share = sizes, share


def test_a_function_sees_numbers_of_python() -> None:
    kept = Kept(torch.tensor([1, 2]), np.float32(0.5))  # type: ignore[arg-type]
    assert kept.sizes == (1, 2)
    assert {type(size) for size in kept.sizes} == {int}
    assert kept.share == 0.5
    assert type(kept.share) is float
    assert sx.Protocol(max_steps=np.int64(30)).max_steps == 30  # type: ignore[arg-type]
    assert type(protocol.Rounds(pilot=np.int64(3)).pilot) is int  # type: ignore[arg-type]
    with pytest.raises(InputError, match="level must be a whole number from 1 to 9, not 10"):
        whole("level", 10, 1, 9)


IMAGES, POINTS = torch.rand(6, 1, 4, 4), torch.randn(8, 2)
MAP = sx.LatentField.from_map(torch.tanh, latent_shape=(2,))
PICTURES = sx.LatentField.from_map(lambda x: x / 2, latent_shape=(1, 4, 4))
BEYOND: dict[str, tuple[Callable[[], Any], str]] = {
    "a length below 0": (lambda: sx.iterate(MAP, POINTS, spread=-1.0), "spread must be a positive length"),
    "no length": (lambda: sx.iterate(MAP, POINTS, spread=0.0), "spread must be a positive length"),
    "an endless length": (lambda: sx.iterate(MAP, POINTS, spread=float("inf")), "spread must be a positive length"),
    "a shape in letters": (lambda: sx.LatentField.from_map(torch.tanh, "2"), "latent_shape must be .* not '2'"),
    "a shape without order": (
        lambda: sx.LatentField.from_map(torch.tanh, {2, 3}),
        "latent_shape must be .* not {2, 3}",
    ),
    "half an axis": (lambda: sx.LatentField.from_map(torch.tanh, 2.5), "latent_shape must be .* not 2.5"),
    "half an axis of two": (lambda: sx.LatentField.from_map(torch.tanh, (2.5, 1)), "size in latent_shape .* not 2.5"),
    "a true shape": (lambda: sx.LatentField.from_map(torch.tanh, True), "size in latent_shape .* not True"),
    "another shape, empty": (lambda: MAP.with_latent_shape((0,)), "size in latent_shape .* not 0"),
    "groups in letters": (lambda: sx.contraction(MAP, POINTS, groups={"a": "1"}), "factor of 'a' in groups .* not '1'"),
    "groups inside out": (lambda: sx.contraction(MAP, POINTS, groups={"a": -1}), "factor of 'a' in groups .* not -1"),
    "groups far away": (
        lambda: sx.contraction(MAP, POINTS, groups={"a": float("inf")}),
        "in groups .* finite, not inf",
    ),
    "groups without names": (lambda: sx.contraction(MAP, POINTS, groups=[1.0]), r"groups must be .* not \[1\.0\]"),
    "no edits at all": (lambda: sx.drift(PICTURES, IMAGES, edits=None), "edits must be edits .* not None"),
    "an edit in letters": (lambda: sx.drift(PICTURES, IMAGES, edits=["JPEG"]), "edits must be edits .* not 'JPEG'"),
    "edits in letters": (lambda: sx.drift(PICTURES, IMAGES, edits="JPEG"), "edits must be edits .* not 'JPEG'"),
    "fewer than none shown": (lambda: sx.drift(PICTURES, IMAGES, shown=-1), "shown must be .* not -1"),
    "a frame of no trip": (lambda: sx.drift(PICTURES, IMAGES, trips=3, frames=(1, 4)), "Each of frames .* not 4"),
    "an endless white": (lambda: sx.drift(PICTURES, IMAGES, values=(0, float("inf"))), "Black must be below white"),
    "the first -1": (lambda: sx.drift(PICTURES, IMAGES, trips=2).first(-1), "count must be .* not -1"),
    "endless noise": (lambda: studies.LatentNoise(float("inf")), "strength of noise is 0 or more, and finite"),
    "no side": (lambda: studies.drift_patterns(PICTURES, IMAGES, side=0), "side must be .* not 0"),
    "a level below 0": (
        lambda: studies.overlap(IMAGES, IMAGES, alpha=-1.0),
        "alpha must lie between 0 and 1, not at -1",
    ),
    "a level of 1": (
        lambda: sx.audit_memorization(PICTURES, IMAGES, IMAGES, alpha=1),
        "alpha must lie between 0 and 1",
    ),
    "a sample of none": (lambda: studies.overlap(IMAGES, IMAGES, sample=0), "sample must be .* not 0"),
    "names of -1": (lambda: studies.overlap(IMAGES, IMAGES).listed(-1), "most must be .* not -1"),
    "no shuffles": (lambda: numerics.agreement(np.arange(3), np.arange(3), shuffles=0), "shuffles must be .* not 0"),
    "sparsities in letters": (lambda: numerics.omp(POINTS, POINTS, "2"), "sparsities must be .* not '2'"),
    "half an atom": (lambda: numerics.omp(POINTS, POINTS, 1.5), "sparsities must be .* not 1.5"),
    "more starts than numbers": (lambda: sx.starts.gaussian(2**80), "count must be a whole number"),
    "images of no shape": (lambda: sx.starts.noise_images(3, None), "image_shape must be .* not None"),
    "a step before the first": (lambda: orbits.Snapshots((0, -1)), "Each of steps must be .* not -1"),
    "a protocol of no name": (lambda: sx.DynamicsMonitor(MAP, POINTS, 1, protocol=3), "The protocol is a int"),
}


@pytest.mark.parametrize("name", BEYOND)
def test_what_no_function_can_use_is_one_sentence(name: str) -> None:
    call, words = BEYOND[name]
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_warnings_point_at_the_line_that_called() -> None:
    dark = torch.rand(3, 1, 16, 16) / 100
    with pytest.warns(DataWarning) as caught:
        sx.drift(sx.LatentField.from_map(lambda x: x / 2, latent_shape=(1, 16, 16)), dark, trips=1)
    assert {warning.filename for warning in caught} == {__file__}


def test_shapes_of_all_kinds_are_taken() -> None:
    for shape in (2, (2,), [2], torch.Size([2]), np.int64(2), np.array([2]), torch.tensor(2)):
        assert sx.LatentField.from_map(torch.tanh, shape).latent_shape == (2,)  # type: ignore[arg-type]
    assert sx.DynamicsMonitor(MAP, POINTS, 1, protocol="paper", log=None).protocol == sx.Protocol.paper()
    assert sx.drift(PICTURES, IMAGES, trips=1, edits=studies.JPEG()).edits == ("JPEG of quality 90",)  # type: ignore[arg-type]
