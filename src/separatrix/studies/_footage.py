"""From a training, or from a folder of checkpoints, to the fields of a film."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from separatrix.data import ImageSource, load_images
from separatrix.errors import FileError, InputError, SeparatrixError
from separatrix.field import LatentField, require_self_map
from separatrix.models import load
from separatrix.models._autoencoders import ConvAutoencoder
from separatrix.models._training import TrainingHistory, train_autoencoder
from separatrix.work import Progress

_SHOWN = 300  # encoded images that are drawn as dots
_MEASURED = 1000  # images on which errors are measured
_HELD_OUT = 0.2
_NUMBER = re.compile(r"\d+")
_SUFFIXES = (".safetensors", ".pt", ".pth")


@dataclass(frozen=True)
class Footage:
    """What a film is made of: fields, their parameters, and the images that are shown and measured.

    Attributes:
        fields: one per frame.
        parameters: epoch, step or number of each.
        unit: what the parameters count.
        shown: images drawn as dots.
        classes: their labels, if known.
        errors: images by name on which the reconstruction error is measured.
        words: the model and the data in one line.
        history: of the training; None for checkpoints.
        left_out: checkpoints that are damaged or no field, by name, and why.
    """

    fields: tuple[LatentField, ...]
    parameters: tuple[float, ...]
    unit: str
    shown: Tensor
    classes: Tensor | None
    errors: Mapping[str, Tensor]
    words: str
    history: TrainingHistory | None = None
    left_out: Mapping[str, str] = dataclass_field(default_factory=dict)


def footage_of_training(
    data: ImageSource | None = None,
    *,
    epochs: int = 60,
    frames: int = 24,
    channels: int = 16,
    noise_std: float = 0.1,
    learning_rate: float = 2e-3,
    batch_size: int = 64,
    seed: int = 0,
    scale: float | None = None,
    device: torch.device | str = "cpu",
    progress: bool | Progress = False,
) -> Footage:
    """Train the reference autoencoder with k = 2 and keep a copy at ``frames`` epochs, more of them early on.

    Args:
        data: images; the digits of scikit-learn (8×8, installed with it) if not given. A fifth is held out.
        epochs: of the training.
        frames: how many copies, the untrained model and the last epoch included.
        channels: of the first convolution.
        noise_std: of the noise on the input (a denoising autoencoder has a field that points to the data).
        learning_rate: Adam's, at the start.
        batch_size: images per step.
        seed: of the weights, the split and the order.
        scale: the stored value that is white, as for `load_images`.
        device: where the model is trained and the fields compute.
        progress: show a progress bar, or move the one that is there (`separatrix.work._progress`).

    Raises:
        InputError: an option is out of range, or the images cannot be trained on.
    """
    if frames < 2:
        raise InputError(f"A film needs at least 2 frames, not {frames}.")
    images, classes, name = _images(data, scale)
    order = np.random.default_rng(seed).permutation(len(images))
    images, classes = images[order], None if classes is None else classes[order]
    held = max(1, int(_HELD_OUT * len(images)))
    train, unseen = images[held:], images[:held]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ConvAutoencoder(tuple(train.shape[1:]), 2, base_channels=channels).to(device)
    camera = Camera(model, moments(epochs, frames), steps=-(-len(train) // batch_size))
    history = train_autoencoder(
        model,
        train,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=0.0,
        noise_std=noise_std,
        seed=seed,
        progress=progress,
        on_step=camera.see,
    )
    return Footage(
        fields=tuple(each.field(f"epoch {epoch}") for epoch, each in camera.copies.items()),
        parameters=tuple(float(epoch) for epoch in camera.copies),
        unit="epoch",
        shown=unseen[:_SHOWN],
        classes=None if classes is None else classes[:held][:_SHOWN],
        errors={"training images": train[:_MEASURED], "unseen images": unseen[:_MEASURED]},
        words=f"A convolutional autoencoder with two latent numbers, trained on {len(train):,} images ({name}), seed {seed}.",
        history=history,
    )


def footage_of_checkpoints(
    folder: str | Path,
    data: ImageSource,
    *,
    model: str | None = None,
    limit: int | None = None,
    scale: float | None = None,
    allow_code: bool = False,
) -> Footage:
    """The checkpoints of a folder in the order of the last number in their names.

    Args:
        folder: with files of `save_model`, or of weights for ``model``.
        data: images to show, and to measure the error on.
        model: ``path/to/file.py:factory`` of the module that the weights belong to.
        limit: at most so many checkpoints, evenly chosen.
        scale: the stored value that is white, as for `load_images`.
        allow_code: passed on to `load`.

    Raises:
        FileError: there is no checkpoint there, or none can be read; single ones are left out.
        InputError: the images cannot be used.
    """
    place = Path(folder)
    files = sorted((path for path in place.glob("*") if path.suffix in _SUFFIXES), key=_in_order)
    if not files:
        raise FileError(f"{place} holds no checkpoints; they must end in {', '.join(_SUFFIXES)}.")
    if limit is not None and limit < len(files):
        files = [files[round(index)] for index in np.linspace(0, len(files) - 1, limit)]
    images = load_images(data, limit=_MEASURED, scale=scale).pixels
    fields, left_out = _sound(files, model, allow_code)
    files = [path for path in files if path.name not in left_out]
    numbers = [_number(path) for path in files]
    known = all(number is not None for number in numbers) and len(set(numbers)) == len(numbers)
    lost = f", {len(left_out)} more left out" if left_out else ""
    return Footage(
        fields=fields,
        parameters=tuple(
            float(number) if known and number is not None else float(i) for i, number in enumerate(numbers)
        ),
        unit=_unit(files) if known else "checkpoint",
        shown=images[:_SHOWN],
        classes=None,
        errors={"the images shown": images},
        words=f"{len(files)} checkpoints of {place.name}{lost}, {len(images):,} images.",
        left_out=left_out,
    )


def _sound(files: list[Path], model: str | None, allow_code: bool) -> tuple[tuple[LatentField, ...], dict[str, str]]:
    """The fields of the checkpoints that can be read and are fields, and why the others are not; raises if none is."""
    fields: list[LatentField] = []
    left_out: dict[str, str] = {}
    for path in files:
        try:
            field = load(model or path, weights=None if model is None else path, allow_code=allow_code)
            require_self_map(field, torch.empty(0))
            fields.append(field)
        except SeparatrixError as error:
            if len(left_out) + 1 == len(files):
                raise
            left_out[path.name] = str(error)
    return tuple(fields), left_out


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

    >>> moments(60, 12)
    (0, 1, 2, 3, 4, 6, 9, 13, 19, 28, 41, 60)
    """
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


def _images(data: ImageSource | None, scale: float | None) -> tuple[Tensor, Tensor | None, str]:
    if data is None:
        from sklearn.datasets import load_digits

        digits = load_digits()
        pixels = torch.from_numpy(digits.images[:, None] / 16).to(torch.float32)
        return pixels, torch.from_numpy(digits.target).to(torch.int64), "handwritten digits"
    found = load_images(data, scale=scale)
    name = Path(str(found.provenance["source"])).name if "source" in found.provenance else "given images"
    return found.pixels.to(torch.float32), None, name


def _number(path: Path) -> int | None:
    found = _NUMBER.findall(path.stem)
    return int(found[-1]) if found else None


def _in_order(path: Path) -> tuple[int, str]:
    number = _number(path)
    return (-1 if number is None else number, path.name)


def _unit(files: list[Path]) -> str:
    """What stands before the number in the names, if it says so."""
    for word in ("epoch", "step"):
        if all(word in path.stem for path in files):
            return word
    return "checkpoint"
