"""Data sets, loaders and other iterables: what they yield, stacked into one array."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import IterableDataset

from separatrix.data._arrays import described
from separatrix.data._decoding import decoded, is_colour
from separatrix.data._images import shape_words
from separatrix.data._layout import Raw, refuse_one_image
from separatrix.data._white import Level
from separatrix.errors import InputError

_NUMPY_FLOATS = (torch.float16, torch.float32, torch.float64)  # not bfloat16


def read_dataset(dataset: Any, limit: int | None, key: str | None, scale: float | None = None) -> Raw:
    """The first ``limit`` items of a data set: images or vectors, alone or with a label."""
    with _private_random_state():
        parts = [_split(item, key) for item in islice(_items(dataset), limit)]
    if not parts:
        raise InputError(f"The data set {type(dataset).__name__} is empty; give one with at least one item.")
    levels: list[Level] = []
    images = [as_array(image, scale, levels) for image, _ in parts]
    _refuse_mixed([image.shape for image in images], "Item")
    if not images[0].shape:
        raise InputError("The data set's items are single numbers; each item must be an image or a vector.")
    values = np.stack(images)
    return Raw(
        values=values,
        targets=_targets([label for _, label in parts], [1] * len(parts)),
        origin=_origin(values),
        levels=tuple(levels),
    )


def read_batches(batches: Iterable[Any], limit: int | None, key: str | None, scale: float | None = None) -> Raw:
    """Batches until ``limit`` images are there, alone or with labels; a PIL image is a batch of one."""
    images: list[NDArray[Any]] = []
    labels: list[Any] = []
    levels: list[Level] = []
    found = 0
    with _private_random_state():
        for element in batches:
            image, label = _split(element, key)
            array = as_array(image, scale, levels)
            batch = array[None] if isinstance(image, Image.Image) else array
            if batch.ndim < 2:
                raise InputError(
                    f"A batch has shape {shape_words(batch.shape) or '()'} and no batch axis; "
                    "yield batches n×c×h×w, n×h×w or n×d, or give the data set itself."
                )
            images.append(batch)
            labels.append(label)
            found += len(batch)
            if limit is not None and found >= limit:
                break
    if not images:
        raise InputError("The loader or iterable yielded nothing; give one with at least one batch.")
    refuse_one_image(images[0].shape, "A batch")
    _refuse_mixed([batch.shape[1:] for batch in images], "Batch")
    targets = _targets(labels, [len(batch) for batch in images])
    values = np.concatenate(images)[:limit]
    return Raw(
        values=values,
        targets=None if targets is None else targets[:limit],
        origin=_origin(values),
        levels=tuple(levels),
    )


def as_array(value: Any, scale: float | None = None, levels: list[Level] | None = None) -> NDArray[Any]:
    """A tensor, a PIL image or anything with ``__array__`` as a NumPy array, where possible a view.

    A PIL image is decoded: white is at 1, and its level is added to ``levels``.
    """
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        if value.is_floating_point() and value.dtype not in _NUMPY_FLOATS:
            value = value.float()
        array: NDArray[Any] = value.numpy()
        return array
    if isinstance(value, Image.Image):
        picture = decoded(value, colour=is_colour(value), scale=scale)
        if levels is not None:
            levels.append(picture.level)
        return picture.pixels
    if hasattr(value, "__array__"):
        return np.asarray(value)
    raise InputError(
        f"Images cannot be read from {_a(type(value).__name__)}; give a NumPy array, a tensor, "
        "a data set or loader of them, a file (.npy, .npz, idx, a picture) or a folder of pictures."
    )


def _items(dataset: Any) -> Iterator[Any]:
    if isinstance(dataset, IterableDataset):
        return iter(dataset)
    try:
        count = len(dataset)
    except (TypeError, NotImplementedError) as error:
        raise InputError(
            f"The data set {type(dataset).__name__} has no length; define __len__ or give a loader over it."
        ) from error
    return (dataset[index] for index in range(count))


def _split(item: Any, key: str | None) -> tuple[Any, Any]:
    """Image and label (None where there is none) of what a data set or loader yields."""
    if isinstance(item, Mapping):
        if key is None or key not in item:
            raise InputError(
                f"The data come as dictionaries with {', '.join(map(repr, item))}; "
                f"name the entry with the images, key={str(next(iter(item), 'image'))!r}."
            )
        return item[key], None
    if key is not None:
        raise InputError(
            f"key={key!r} names a dictionary's entry; the data come as {_a(type(item).__name__)}: drop it."
        )
    if isinstance(item, (tuple, list)):
        if not item:
            raise InputError("The data set yields empty tuples; it must yield images, or pairs (image, label).")
        return item[0], item[1] if len(item) > 1 else None
    return item, None


def _targets(labels: Sequence[Any], lengths: Sequence[int]) -> NDArray[Any] | None:
    """One number per image, or None: a pair may as well be (image, image), or hold a caption."""
    columns = []
    for label, length in zip(labels, lengths, strict=True):
        numeric = isinstance(label, (int, float, np.number, np.ndarray, Tensor))
        column = np.asarray(as_array(label) if isinstance(label, Tensor) else label).reshape(-1) if numeric else None
        if column is None or column.size != length or column.dtype.kind not in "biuf":
            return None
        columns.append(column)
    return np.concatenate(columns)


def _refuse_mixed(shapes: Sequence[tuple[int, ...]], what: str) -> None:
    for index, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise InputError(
                f"{what} 0 has images of shape {shape_words(shapes[0])} and {what.lower()} {index} "
                f"of {shape_words(shape)}; resize or convert them to one shape in the data set's transform."
            )


def _origin(values: NDArray[Any]) -> dict[str, Any]:
    return {"format": "stacked", **described(values.shape, values.dtype)}


def _a(noun: str) -> str:
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


@contextmanager
def _private_random_state() -> Iterator[None]:
    """A shuffling loader gives the same order every time; torch's global random state is left as it was."""
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(0)
    try:
        yield
    finally:
        torch.set_rng_state(state)
