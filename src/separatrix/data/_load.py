"""One function for every source of images."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias
from typing import Protocol as Interface

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from separatrix.arguments import whole
from separatrix.data._arrays import described, read_npy, read_npz
from separatrix.data._batches import as_array, read_batches, read_dataset
from separatrix.data._idx import GZIP_MAGIC, is_idx, read_idx
from separatrix.data._images import ImageSet, shape_words
from separatrix.data._layout import Raw, refuse_one_image, resized, to_pixels, unscaled
from separatrix.data._pictures import read_folder, read_picture
from separatrix.data._white import Level, require_bright, require_scale
from separatrix.errors import DataWarning, FileError, InputError, warn
from separatrix.words import printable
from separatrix.work import require_room

_FLOAT = 4  # bytes of one value as the encoder takes it
_NPY_MAGIC = b"\x93NUMPY"
_ZIP_MAGIC = b"PK\x03\x04"
_PICKLE_START = 0x80  # the PROTO opcode that opens every pickle since protocol 2


class HasArray(Interface):
    """Anything that NumPy can look at as an array."""

    def __array__(self) -> NDArray[Any]: ...


class Indexed(Interface):
    """A data set of n items: images, or pairs of image and label."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


ImageSource: TypeAlias = (
    ImageSet | Tensor | HasArray | Image.Image | str | Path | Dataset[Any] | Indexed | Iterable[Any]
)
"""Whatever holds images or vectors, as `load_images` reads it: see its argument ``source``."""


def load_images(
    source: ImageSource,
    *,
    limit: int | None = None,
    key: str | None = None,
    size: tuple[int, int] | None = None,
    scale: float | None = None,
) -> ImageSet:
    """Images from whatever holds them, in source order, as channel-first float32 with white at 1.

    What a file is, is decided by its content, not by its name. Pickles are never opened. With ``limit`` no
    more than that is read: .npy is mapped into memory, .npz and idx are decompressed only so far, no
    further pictures are opened.

    * Layouts: n×h×w is grey and becomes n×1×h×w; n×h×w×c (c = 1, 3 or 4) becomes channel-first, n×c×h×w
      stays; n×d are vectors (embeddings, tables) and stay. A data set's items have the same layouts without
      the n.
    * Values: bytes are divided by 255 and 16-bit values by 65535, and refused if nothing among several images
      comes near that (flags 0 and 1 in bytes, 12 bits in 16), for it would be read as black; ``scale`` then
      says what is white. Floats keep their values: they must already be what the model takes, [0, 1] or its
      standardised range; whole numbers above 1 and values beyond ±30 are refused as unscaled. Vectors that are
      not bytes keep any values.
    * Pictures: greyscale stays one channel, but if one of the files is in colour then all become RGB. They
      stand as their EXIF orientation says; what is transparent is laid on white; of several frames the first
      counts. The provenance says how many were turned, laid on white, and have more frames.
    * A shuffling loader is read under a fixed random state and so gives the same order every time.

    Args:
        source: an array or tensor; a torch data set (images, or pairs of image and label); a `DataLoader`
            or any iterable of batches; a path to .npy, .npz (``"mnist.npz#x_train"`` names the array), idx
            or idx.gz, a picture, or a folder of pictures (recursive, in path order); an `ImageSet`.
        limit: take at most so many, the first ones.
        key: the array of an .npz file, or the entry of items that are dictionaries.
        size: ``(h, w)`` to resize to, bilinear with antialiasing as Pillow does.
        scale: the stored value that is white; pixels are divided by it.

    Raises:
        InputError: nothing usable in the source: no images, mixed sizes, several arrays, NaN, unscaled, far
            from white.
        FileError: a file is missing, damaged, a pickle, or of another type.

    Warns:
        DataWarning: the images are dark, or a picture has more frames than the one that is read.

    >>> images = load_images(np.full((5, 8, 8), 255, dtype=np.uint8), limit=2)
    >>> images, float(images.pixels.max())
    (ImageSet(2 images 1×8×8 from ndarray), 1.0)
    """
    limit = None if limit is None else whole("limit", limit, 1, of="images")
    scale = require_scale(scale)
    if size is not None:
        if not isinstance(size, (tuple, list)) or len(size) != 2:
            raise InputError(f"size must be (height, width), for example size=(32, 32), not {size!r}.")
        size = (whole("size", size[0], 1, of="pixels"), whole("size", size[1], 1, of="pixels"))
    if isinstance(source, ImageSet):
        _refuse_key(key, "an ImageSet")
        if scale is not None:
            raise InputError("An ImageSet has white at 1 already; give scale= where it is read.")
        chosen = source[:limit]
        return chosen if size is None else replace(chosen, pixels=resized(chosen.pixels, size))
    name = _name(source)
    raw = _read(source, name, limit, key, size, scale)
    require_room(_FLOAT * raw.values.size, f"{name} with {shape_words(raw.values.shape)} values", "pass limit=")
    pixels = to_pixels(raw.values, name, None if raw.levels else scale)
    if scale is None:
        require_bright(raw.levels, len(pixels), name)
    if size is not None:
        pixels = resized(pixels, size)
    return ImageSet(
        pixels=pixels,
        names=raw.names or tuple(map(str, range(len(pixels)))),
        provenance={
            "source": name,
            **raw.origin,
            "limit": limit,
            "size": None if size is None else list(size),
            "scale": scale,
        },
        targets=None if raw.targets is None else _labels(raw.targets),
    )


def tensor_of(source: ImageSource, name: str = "data") -> Tensor:
    """Return images or vectors as a tensor ``(n, …)``: one of floats as it is, anything else as `load_images` reads it.

    Raises:
        InputError: as there; or a tensor without rows or without their axis, called ``name`` in the message.

    Warns:
        DataWarning: a tensor holds the whole numbers of a picture file, which `load_images` refuses.

    >>> tensor_of(torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)).max()
    tensor(1.)
    """
    if not isinstance(source, Tensor) or not source.is_floating_point():
        source = load_images(source).pixels
    elif (
        source.ndim > 2
        and source.numel()
        and name != "latents"
        and (said := unscaled(source.detach(), name, stored=True))
    ):
        warn(said, DataWarning)
    if source.ndim < 2 or not len(source):
        raise InputError(
            f"{name} must hold at least one image or vector, (n, …), and has shape {tuple(source.shape)}; for one use x[None]."
        )
    return source.detach()


def _read(
    source: ImageSource,
    name: str,
    limit: int | None,
    key: str | None,
    size: tuple[int, int] | None,
    scale: float | None,
) -> Raw:
    if isinstance(source, (str, Path)):
        return _read_path(source, limit, key, size, scale)
    if isinstance(source, Image.Image):
        _refuse_key(key, "one picture")
        levels: list[Level] = []
        values = as_array(source, scale, levels)[None]
        return Raw(values=values, origin={"format": "picture"}, levels=tuple(levels))
    if isinstance(source, Tensor) or hasattr(source, "__array__"):
        _refuse_key(key, "an array")
        values = as_array(source)
        refuse_one_image(values.shape, name)
        return Raw(values=values[:limit] if values.ndim else values, origin=described(values.shape, values.dtype))
    if isinstance(source, Mapping):
        raise InputError(
            f"A dictionary is not a set of images; pick one of its entries: {', '.join(map(repr, source))}."
        )
    if isinstance(source, Dataset) or (hasattr(source, "__getitem__") and not isinstance(source, (list, tuple, bytes))):
        return read_dataset(source, limit, key, scale)
    if isinstance(source, Iterable) and not isinstance(source, bytes):
        return read_batches(source, limit, key, scale)
    return Raw(values=as_array(source))  # explains what can be read


def _read_path(
    source: str | Path, limit: int | None, key: str | None, size: tuple[int, int] | None, scale: float | None
) -> Raw:
    path = Path(source).expanduser()
    if "#" in path.name and not os.path.exists(path):  # where pathlib raises, for too long a name, os.path says no
        if key is not None:
            raise InputError(f"{source} already names an array after '#'; drop key={key!r}.")
        text, _, key = str(path).rpartition("#")
        path = Path(text)
    if os.path.isdir(path):
        _refuse_key(key, f"the folder {path}")
        return read_folder(path, limit, size, scale)
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
    except FileNotFoundError as error:
        raise FileError(f"There is no file or folder {path} (seen from {Path.cwd()}); check the path.") from error
    except (OSError, ValueError) as error:  # a NUL byte in a path is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"{path} cannot be opened ({reason}); check the path and its permissions.") from error
    if not start:
        raise FileError(f"{path} is an empty file; download or write it again.")
    if start.startswith(_ZIP_MAGIC):
        return read_npz(path, key, limit)
    _refuse_key(key, f"{path}, which is not an .npz file,")
    if start.startswith(_NPY_MAGIC):
        return read_npy(path, limit)
    if start.startswith(GZIP_MAGIC) or is_idx(start):
        return read_idx(path, limit)
    if start[0] == _PICKLE_START and 2 <= start[1] <= 5:
        raise FileError(
            f"{path} is a pickle, which can run code when it is opened, and is not read; "
            "convert it once to a numeric array with numpy.save."
        )
    return read_picture(path, size, scale)


def _refuse_key(key: str | None, source: str) -> None:
    if key is not None:
        raise InputError(f"key={key!r} chooses an array of an .npz file or an entry of items; {source} has none.")


def _name(source: ImageSource) -> str:
    return printable(str(source)) if isinstance(source, (str, Path)) else type(source).__name__


def _labels(targets: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(targets.astype(np.float64 if targets.dtype.kind == "f" else np.int64))
