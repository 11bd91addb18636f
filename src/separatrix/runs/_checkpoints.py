"""This file tells where the fields of a film come from: copies of a model in training, or the checkpoints of a folder."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from separatrix.data import ImageSet
from separatrix.errors import FileError, InputError, SeparatrixError
from separatrix.field import LatentField, require_self_map
from separatrix.models import ConvAutoencoder, train_autoencoder
from separatrix.storage import PathLike
from separatrix.work import Progress

_HELD_OUT = 0.2
_NUMBER = re.compile(r"\d+")
_WORDS = ("step", "epoch")
_TOLD = re.compile(r"(epoch|step)\D{0,3}(\d+)")
_SUFFIXES = (".safetensors", ".pt", ".pth")


class Camera:
    """Copies of a model in training at chosen epochs; ``see`` is what `train_autoencoder` calls after every step."""

    def __init__(self, model: ConvAutoencoder, epochs: tuple[int, ...], *, steps: int) -> None:
        self._model, self._epochs, self._steps = model, set(epochs), steps
        self.copies: dict[int, ConvAutoencoder] = {}

    def see(self, step: int) -> None:
        """Keep a copy if an epoch has just ended that is wanted."""
        epoch, within = divmod(step, self._steps)
        if within == 0 and epoch in self._epochs:
            self.copies[epoch] = copy.deepcopy(self._model).eval()


def moments(epochs: int, frames: int) -> tuple[int, ...]:
    """Up to ``frames`` epochs from 0 to ``epochs``, both included: every one at first, then ever farther apart.

    Raises:
        InputError: fewer than two frames.

    >>> moments(60, 12)
    (0, 1, 2, 3, 4, 6, 9, 13, 19, 28, 41, 60)
    """
    if frames < 2:
        raise InputError(f"A film needs at least 2 frames, not {frames}.")
    if frames > epochs:
        return tuple(range(epochs + 1))
    low, high = 1.0, float(epochs)
    chosen: set[int] = set()
    for _ in range(60):  # the ratio at which the growing steps just reach the end
        ratio = (low * high) ** 0.5
        chosen, place = {0}, 1.0
        while round(place) < epochs and len(chosen) < frames - 1:
            chosen.add(round(place))
            place = max(place * ratio, round(place) + 1)
        low, high = (low, ratio) if round(place) >= epochs else (ratio, high)
    return (*sorted(chosen), epochs)


def split(images: ImageSet, seed: int) -> tuple[ImageSet, ImageSet]:
    """Images to train on and a fifth that is held out, in a random order."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(images)))
    held = max(1, int(_HELD_OUT * len(images)))
    return images[order[held:]], images[order[:held]]


def copies_in_training(
    train: Tensor,
    epochs: tuple[int, ...],
    *,
    channels: int = 16,
    noise_std: float = 0.1,
    learning_rate: float = 2e-3,
    batch_size: int = 64,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: bool | Progress = False,
) -> dict[int, ConvAutoencoder]:
    """Train the reference autoencoder with k = 2 and keep copies, by epoch.

    Args:
        train: images.
        epochs: after which a copy is kept, 0 for the untrained model; the training ends with the last.
        channels: of the first convolution.
        noise_std: of the noise on the input (a denoising autoencoder has a field that points to the data).
        learning_rate: Adam's, at the start.
        batch_size: images per step.
        seed: of the weights and of the order.
        device: where the model is trained.
        progress: show a progress bar, or move the one that is there (`separatrix.work.Progress`).

    Raises:
        InputError: an option is out of range, or the images cannot be trained on.
        KeyboardInterrupt: the training was interrupted; half a training has no film.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ConvAutoencoder(tuple(train.shape[1:]), 2, base_channels=channels).to(device)
    camera = Camera(model, epochs, steps=-(-len(train) // batch_size))
    history = train_autoencoder(
        model,
        train,
        epochs=epochs[-1],
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=0.0,
        noise_std=noise_std,
        seed=seed,
        progress=progress,
        on_step=camera.see,
    )
    if history.interrupted:
        raise KeyboardInterrupt
    return camera.copies


def checkpoints_of(folder: PathLike, limit: int | None = None) -> list[Path]:
    """The checkpoints of a folder in the order of the epochs and steps in their names, or of the last number; at most ``limit``, evenly chosen.

    Raises:
        FileError: there is none.
    """
    place = Path(folder)
    files = sorted((path for path in place.glob("*") if path.suffix in _SUFFIXES), key=_in_order)
    if not files:
        raise FileError(f"{place} holds no checkpoints; they must end in {', '.join(_SUFFIXES)}.")
    if limit is not None and limit < len(files):
        files = [files[round(index)] for index in np.linspace(0, len(files) - 1, limit)]
    return files


def numbered(files: Sequence[Path]) -> tuple[tuple[float, ...], str]:
    """The number of each checkpoint and what it counts, as far as the names say so.

    >>> numbered([Path("epoch-3.pt"), Path("epoch-10.pt")]), numbered([Path("a.pt"), Path("b2.pt")])
    (((3.0, 10.0), 'epoch'), ((0.0, 1.0), 'checkpoint'))
    >>> numbered([Path("epoch=3-loss=0.52.pt"), Path("epoch=10-loss=0.07.pt")])
    ((3.0, 10.0), 'epoch')
    """
    numbers = [_number(path) for path in files]
    known = [float(number) for number in numbers if number is not None]
    if len(set(known)) < len(files):
        return tuple(map(float, range(len(files)))), "checkpoint"
    words = (word for word in _WORDS if all(word in path.stem.lower() for path in files))
    return tuple(known), next(words, "checkpoint")


def unsound(files: Sequence[Path], loaded: Callable[[Path], LatentField]) -> dict[str, str]:
    """Why some checkpoints cannot be read or are no fields, by name.

    Raises:
        SeparatrixError: of the last one, if none is sound.
    """
    reasons: dict[str, str] = {}
    for path in files:
        try:
            require_self_map(loaded(path), torch.empty(0))
        except SeparatrixError as error:
            if len(reasons) + 1 == len(files):
                raise
            reasons[path.name] = str(error)
    return reasons


def _number(path: Path) -> int | None:
    """The number of the step that a name tells, else of the epoch, else the last number in it (which may be a loss where a word tells more)."""
    told = dict(_TOLD.findall(path.stem.lower()))
    found = [told[word] for word in _WORDS if word in told] or _NUMBER.findall(path.stem)[-1:]
    return int(found[0]) if found else None


def _in_order(path: Path) -> tuple[int, int, str]:
    """Sort by epoch before step, since some count steps anew in every epoch; a name that tells no epoch stands by its number."""
    number = _number(path)
    place = -1 if number is None else number
    return int(dict(_TOLD.findall(path.stem.lower())).get("epoch", place)), place, path.name
