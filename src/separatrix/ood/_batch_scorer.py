"""Scores as columns beside the pictures of a batch: for pipelines that hand out their rows as dictionaries of arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from separatrix.arguments import checked
from separatrix.data import PictureBlock, load_images, shape_words
from separatrix.data._batches import as_array
from separatrix.data._decoding import BROKEN, decoded
from separatrix.data._picture_stream import DARKEST, Encoded, brighter, decoded_block, warn_if_dark
from separatrix.data._white import Level, require_scale
from separatrix.errors import FileError, InputError, SeparatrixError, first_line
from separatrix.field import LatentField
from separatrix.ood._decisions import AlarmBudget
from separatrix.ood._detector import Detector
from separatrix.ood._files import load_detector
from separatrix.ood._score_stream import image_shape
from separatrix.ood._score_table import rows_of
from separatrix.ood._score_task import block_scores

ADDED = ("score", "p_value", "decision", "unscorable")
"""The columns that are added: as in the tables of `score_to_table`, and why a picture has no score (empty where it has one)."""


class BatchScorer:
    """Adds the score of each picture, its p-value and its decision to the batches of Ray Data, or of whoever calls it with a dictionary of columns.

    A pipeline makes one of these per worker, which loads the model and the detector once. A picture that cannot be decoded, has another
    size, or on which the model fails becomes unscorable, with the reason; the others are scored.
    But for rounding, no score depends on the other pictures of its batch.

    Args:
        load: builds the model, or its `LatentField`.
        detector: the folder in which a detector of that model was saved.
        column: the pictures: encoded as in their files (bytes, also under the key ``bytes``), pictures of Pillow, or arrays h×w, h×w×c or c×h×w, as `load_images` takes them.
        fpr: the rate of false alarms, as `Detector.decide` takes it.
        resize: bring pictures of other sizes to that of the detector.
        scale: the stored value that is white; 255 for arrays of bytes.

    Raises:
        InputError: there is no such column, or the batch has one of those that are added.
        FileError: no detector is there, or it was fitted on another model.

    Warns:
        DataWarning: all pictures so far were far below white.

    Cost: as `Detector.score`.

    >>> from separatrix.ood import ResidualDetector
    >>> import tempfile
    >>> half = LatentField.from_map(lambda z: z / 2, latent_shape=(1, 4, 4))
    >>> place = ResidualDetector(half).fit(torch.rand(200, 1, 4, 4)).save(tempfile.mkdtemp() + "/detector")
    >>> found = BatchScorer(lambda: half, place)({"image": np.full((2, 4, 4), 255, np.uint8), "label": np.arange(2)})
    >>> list(found), found["score"].tolist()
    (['image', 'label', 'score', 'p_value', 'decision', 'unscorable'], [1.0, 1.0])
    """

    @checked
    def __init__(
        self,
        load: Callable[[], Any],
        detector: str | os.PathLike[str],
        *,
        column: str = "image",
        fpr: float | AlarmBudget = 0.01,
        resize: bool = False,
        scale: float | None = None,
    ) -> None:
        self.detector = load_detector(detector, LatentField.of(load()), kind=Detector)  # type: ignore[type-abstract]
        self.column, self.fpr, self.resize, self.scale = column, fpr, resize, require_scale(scale)
        self._shape = image_shape(self.detector)
        self._brightest = DARKEST

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the batch with four columns more."""
        if self.column not in batch:
            raise InputError(
                f"The batch has no column {self.column!r}, only {', '.join(map(repr, batch))}; give column=."
            )
        taken = [name for name in ADDED if name in batch]
        if taken:
            raise InputError(f"The batch has a column {taken[0]!r} already; rename it.")
        pictures = batch[self.column]
        names = tuple(map(str, range(len(pictures))))
        block = self._decoded(names, pictures)
        readable = len(names) - len(block.broken)
        scores, failure = block_scores(self.detector, block) if names else (torch.zeros(0, dtype=torch.float64), None)
        if failure is not None and readable > 1:  # it is the model, not a picture
            raise failure
        rows = rows_of(names, self.detector.decide_scores(scores, self.fpr), [(0, 0)] * len(names))
        return {
            **batch,
            "score": scores.numpy(),
            "p_value": np.array([row.p_value for row in rows], np.float64),
            "decision": np.array([row.decision for row in rows], np.str_),
            "unscorable": np.array([block.broken.get(name, "") for name in names], np.str_),
        }

    def _decoded(self, names: Sequence[str], pictures: Sequence[Any]) -> PictureBlock:
        """Each row by itself: what one of them holds says nothing about the others."""
        pixels = torch.full((len(names), *self._shape), torch.nan)
        broken: dict[str, str] = {}
        for row, (name, picture) in enumerate(zip(names, pictures, strict=True)):
            if isinstance(picture, Mapping):  # as the datasets library keeps one
                picture = picture.get("bytes")
            try:
                if isinstance(picture, (bytes, bytearray, memoryview)):
                    encoded = Encoded(name, f"in row {name}", bytes(picture))
                    found = decoded_block([encoded], self._shape, self.resize, self.scale)
                    pixels[row], level = found.block.pixels[0], found.level
                    broken |= found.block.broken
                elif isinstance(picture, Image.Image):
                    pixels[row], level = self._opened(picture)
                else:
                    pixels[row], level = self._pixels(picture)
                self._brightest = brighter(self._brightest, level)
            except (InputError, FileError) as error:
                broken[name] = str(error)
            except (ValueError, TypeError) as error:  # of what is no array
                broken[name] = f"The picture cannot be read ({first_line(error)})."
        if len(pictures) > 1:
            warn_if_dark(self._brightest, self.scale, f"The column {self.column!r}")
        return PictureBlock(names=tuple(names), pixels=pixels, broken=broken)

    def _pixels(self, array: Any) -> tuple[torch.Tensor, Level]:
        if array is None:
            raise InputError("There is no picture in this row.")
        picture = as_array(array) if isinstance(array, torch.Tensor) else np.asarray(array)  # NumPy knows no bfloat16
        in_bytes = picture.dtype == np.uint8
        scale = 255 if self.scale is None and in_bytes else self.scale
        size = (self._shape[1], self._shape[2]) if self.resize else None
        found = load_images(picture[None], scale=scale, size=size).pixels[0]
        return self._fitting(found), Level(float(picture.max()), 255) if in_bytes else DARKEST

    def _opened(self, picture: Image.Image) -> tuple[torch.Tensor, Level]:
        """A picture of Pillow is more than its numbers: palette, orientation and transparency say what is seen."""
        size = (self._shape[1], self._shape[2]) if self.resize else None
        try:
            found = decoded(picture, self._shape[0] == 3, size, self.scale)
        except SeparatrixError:
            raise
        except BROKEN as error:
            raise FileError(f"The picture cannot be decoded ({first_line(error)}).") from error
        return self._fitting(torch.from_numpy(found.pixels)), found.level

    def _fitting(self, pixels: torch.Tensor) -> torch.Tensor:
        if tuple(pixels.shape) != self._shape:
            raise InputError(
                f"The picture is {shape_words(pixels.shape)} where {shape_words(self._shape)} is expected."
            )
        return pixels
