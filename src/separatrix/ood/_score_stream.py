"""Scores of images that go by, block by block, and the images behind a few names."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

from torch import Tensor

from separatrix.data import ImageSet, PictureBlock, load_images, shape_words, stream_pictures
from separatrix.data._picture_stream import Encoded, decoded_block
from separatrix.data._shards import pictures_in
from separatrix.data._sources import files_of, is_stream
from separatrix.data._white import require_scale
from separatrix.errors import InputError
from separatrix.ood._detector import Detector
from separatrix.ood._score_task import BLOCK, block_scores, fetched
from separatrix.storage import PathLike


def stream_scores(
    detector: Detector, source: Path, *, resize: bool = False, scale: float | None = None
) -> Iterator[tuple[PictureBlock, Tensor]]:
    """Give blocks of images with their scores; the options are those of `stream_pictures`.

    NaN where there are no pixels, or where the model fails on an image alone, which is named like one that cannot be decoded.
    Where it fails on all from the first block on, the error is raised.
    """
    shape = image_shape(detector)
    fitting = False
    for block in _blocks(source, shape, resize, scale):
        scores, error = block_scores(detector, block)
        if error is not None and not fitting:
            raise error
        fitting = True
        yield block, scores


def image_shape(detector: Detector) -> tuple[int, ...]:
    """The shape of the images that a detector was fitted on.

    Raises:
        InputError: it was fitted on latents.
    """
    if detector.input_shape is None:
        raise InputError("This detector was fitted on latents, not on images; score latents with score_features.")
    return detector.input_shape


def images_of(source: PathLike, shape: tuple[int, ...], resize: bool, scale: float | None) -> ImageSet:
    """All images of an array or of one picture, whose names are their numbers where others say too little.

    Raises:
        InputError: they are of another shape than the detector's.
    """
    images = load_images(str(source), size=(shape[1], shape[2]) if resize and len(shape) == 3 else None, scale=scale)
    if images.image_shape != shape:
        raise InputError(
            f"{source} holds data of shape {shape_words(images.image_shape)} where the detector was fitted on "
            f"{shape_words(shape)}; pass resize=True if only the size differs, or data of that shape."
        )
    if len(set(images.names)) == len(images):
        return images
    return ImageSet(pixels=images.pixels, names=tuple(map(str, range(len(images)))))


def pictures_of(
    detector: Detector,
    sources: list[PathLike],
    names: Collection[str],
    *,
    resize: bool = False,
    scale: float | None = None,
) -> ImageSet | None:
    """The images of a few names, as the detector is given them; those without pixels are left out. None if there is none."""
    shape, scale = image_shape(detector), require_scale(scale)
    if len(sources) == 1 and not is_stream(sources[0]):
        images = images_of(sources[0], shape, resize, scale)
        rows = [row for row, name in enumerate(images.names) if name in names]
        return images[rows] if rows else None
    found = [] if not names else list(_encoded(sources, names))
    if not found:
        return None
    block = decoded_block(found, shape, resize, scale).block
    kept = [row for row, name in enumerate(block.names) if name not in block.broken]
    return ImageSet(pixels=block.pixels[kept], names=tuple(block.names[row] for row in kept)) if kept else None


def _encoded(sources: list[PathLike], names: Collection[str]) -> Iterator[Encoded]:
    """Give the pictures of these names; only shards that hold one of them are read, and only up to the last one."""
    for file in files_of(sources):
        if not file.is_shard:
            if file.name in names:
                yield fetched(file)
            continue
        missing = sum(name.startswith(f"{file.name}/") for name in names)
        if missing:
            yield from islice((picture for picture in pictures_in(file) if picture.name in names), missing)


def _blocks(source: Path, shape: tuple[int, ...], resize: bool, scale: float | None) -> Iterator[PictureBlock]:
    """Give a folder block by block; whatever else holds images is read at once and cut."""
    if source.is_dir():
        yield from stream_pictures(source, shape, resize=resize, scale=scale, block=BLOCK)
        return
    images = images_of(source, shape, resize, scale)
    for first in range(0, len(images), BLOCK):
        some = images[first : first + BLOCK]
        yield PictureBlock(names=some.names, pixels=some.pixels)
