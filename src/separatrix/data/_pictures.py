"""Picture files and folders of them; headers are read first, so nothing is decoded that cannot be used."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from separatrix.data._decoding import BROKEN, Decoded, decoded, is_colour, oriented_size
from separatrix.data._images import shape_words
from separatrix.data._layout import Raw
from separatrix.errors import DataWarning, FileError, InputError, SeparatrixError, warn
from separatrix.words import printable
from separatrix.work import require_room

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
"""The only decoders that Pillow may use here: it also has some, such as EPS, that start other programs."""

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pbm"})

_FLOAT = 4  # bytes of a number


def read_folder(folder: Path, limit: int | None, size: tuple[int, int] | None, scale: float | None = None) -> Raw:
    """The first ``limit`` pictures under a folder, in the order of their paths; no others are opened."""
    paths = list(islice(pictures_under(folder, ()), limit))
    if not paths:
        raise FileError(f"{folder} contains no pictures ({_suffix_words()}){_instead(folder)}; check the path.")
    names = tuple(printable(path.relative_to(folder).as_posix()) for path in paths)
    return _decode_all(paths, names, size, scale, "folder")


def read_picture(path: Path, size: tuple[int, int] | None, scale: float | None = None) -> Raw:
    """One picture file as a set of one."""
    return _decode_all([path], (printable(path.name),), size, scale, "picture")


def _decode_all(
    paths: Sequence[Path], names: tuple[str, ...], size: tuple[int, int] | None, scale: float | None, form: str
) -> Raw:
    colour = False
    sizes: dict[tuple[int, int], Path] = {}  # (h, w) → the first file that has it
    longer: list[str] = []
    for name, path in zip(names, paths, strict=True):
        with opened(path) as picture:
            colour |= is_colour(picture)
            sizes.setdefault(oriented_size(picture), path)
            if _is_animated(picture):
                longer.append(name)
    if size is None and len(sizes) > 1:
        (one, first), (other, second) = list(sizes.items())[:2]
        raise InputError(
            f"The pictures differ in size: {first} is {shape_words(one)} and {second} is "
            f"{shape_words(other)} (height×width); pass size=({one[0]}, {one[1]}) to resize them all."
        )
    height, width = size or next(iter(sizes))
    need = _FLOAT * len(paths) * (3 if colour else 1) * height * width
    require_room(need, f"{len(paths)} pictures of {height}×{width} pixels", "give a smaller size, or fewer by limit=")
    values = np.empty((len(paths), 3 if colour else 1, height, width), np.float32)
    found = []
    for row, path in zip(values, paths, strict=True):
        picture_found = pixels_of(path, colour, size, scale)
        if picture_found.pixels.shape != row.shape:  # its orientation stands behind its pixels
            raise InputError(
                f"The picture {path} is turned to another size than the others; pass size=({height}, {width})."
            )
        row[:] = picture_found.pixels
        found.append(picture_found._replace(pixels=row))
    if longer:
        others = f" and {len(longer) - 1:,} more" if len(longer) > 1 else ""
        warn(
            f"{longer[0]}{others} of {len(paths):,} pictures hold several frames, of which the first is read; for the others, "
            "save them as pictures of their own.",
            DataWarning,
        )
    counts = {
        "turned_by_exif": sum(picture.turned for picture in found),
        "laid_on_white": sum(picture.on_white for picture in found),
        "first_of_several_frames": len(longer),
    }
    levels = tuple(picture.level for picture in found)
    return Raw(values=values, names=names, origin={"format": form, **counts}, levels=levels)


def pixels_of(
    path: Path | str, colour: bool, size: tuple[int, int] | None, scale: float | None, content: bytes | None = None
) -> Decoded:
    """The picture in a file, or in the bytes that stand for it.

    Raises:
        FileError: it cannot be decoded. InputError: it has values above ``scale``, or is too large.
    """
    with opened(path, content) as picture:
        try:
            return decoded(picture, colour, size, scale)
        except InputError as error:
            raise InputError(str(error).replace("The picture", f"The picture {path}", 1)) from error
        except SeparatrixError:
            raise
        except BROKEN as error:
            raise unreadable(path, error) from error


def _is_animated(picture: Image.Image) -> bool:
    try:
        return bool(getattr(picture, "is_animated", False))
    except BROKEN:
        return False


def opened(path: Path | str, content: bytes | None = None) -> Image.Image:
    """The picture in a file, or in the bytes that stand for it: header read, pixels not yet."""
    try:
        with warnings.catch_warnings():
            # Pillow refuses more than 179 million pixels, and warns of half as many: the memory decides here.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(path if content is None else BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        if content is not None or is_picture(str(path)):
            raise unreadable(path, "it is empty, damaged, or not what its name says") from error
        raise FileError(
            f"{path} is not in a format that is read here (.npy, .npz, idx or idx.gz, or a picture: "
            f"{_suffix_words()}); convert it, for example with numpy.save."
        ) from error
    except BROKEN as error:
        raise unreadable(path, error) from error


def unreadable(path: Path | str, error: BaseException | str) -> FileError:
    """The sentence for a picture whose pixels cannot be had."""
    return FileError(f"The picture {path} cannot be decoded ({str(error).rstrip('.')}); replace it or take it out.")


def is_picture(name: str) -> bool:
    """Is this the name of a picture? Its content is looked at when it is opened."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def pictures_under(
    folder: Path, parents: tuple[Path, ...], wanted: Callable[[str], bool] = is_picture
) -> Iterator[Path]:
    """Pictures in the order of their path parts, found as they are asked for; hidden files are skipped.

    With ``wanted``, files of other names.
    """
    real = folder.resolve()
    if real in parents:  # a link back to a folder we are already in
        return
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        raise FileError(f"The folder {folder} cannot be read ({error.strerror}); check its permissions.") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from pictures_under(folder / entry.name, (*parents, real), wanted)
        elif wanted(entry.name):
            yield folder / entry.name


def _suffix_words() -> str:
    return ", ".join(sorted(suffix[1:] for suffix in SUFFIXES))


def _instead(folder: Path) -> str:
    other = next((path.name for path in sorted(folder.iterdir())), None)
    return ", it is empty" if other is None else f", but for example {other}"
