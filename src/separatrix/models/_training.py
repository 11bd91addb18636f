"""A small trainer for autoencoders: mean squared error, Adam, step schedule, and nothing left behind."""

from __future__ import annotations

import copy
import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from separatrix.arguments import checked, whole
from separatrix.errors import InputError, first_line
from separatrix.field._guest import borrowed
from separatrix.field._watched import generators_kept
from separatrix.models._base import ReferenceAutoencoder
from separatrix.words import Tabular, counted
from separatrix.work import Progress

_EVALUATED_AT_ONCE = 256


@dataclass(frozen=True)
class TrainingHistory(Tabular):
    """It tells what happened in training, one entry per complete epoch.

    Attributes:
        train_loss: mean squared error per pixel over the epoch, measured while the weights changed; against
            the clean images also where the input was noisy.
        held_out_loss: the same on the held-out images at the end of the epoch, in evaluation mode and without
            noise; empty if none were given.
        seconds: wall-clock time of each epoch.
        interrupted: training was stopped from the keyboard before all epochs were done.
    """

    train_loss: tuple[float, ...] = ()
    held_out_loss: tuple[float, ...] = ()
    seconds: tuple[float, ...] = ()
    interrupted: bool = False

    @property
    def table(self) -> Mapping[str, Sequence[Any]]:
        """One row per epoch."""
        held_out = {"held_out_loss": self.held_out_loss} if self.held_out_loss else {}
        return {"train_loss": self.train_loss, **held_out, "seconds": self.seconds}

    def __repr__(self) -> str:
        losses = {"train": self.train_loss, "held-out": self.held_out_loss}
        last = ", ".join(f"{name} loss {values[-1]:.4g}" for name, values in losses.items() if values)
        return f"TrainingHistory({counted(self.epochs, 'epoch')}{f'; {last}' if last else ''}{', interrupted' if self.interrupted else ''})"

    @property
    def epochs(self) -> int:
        """Number of complete epochs."""
        return len(self.train_loss)


@checked
def train_autoencoder(
    model: nn.Module,
    images: Tensor | NDArray[Any],
    *,
    epochs: int,
    batch_size: int = 128,
    learning_rate: float = 5e-4,
    weight_decay: float = 1e-4,
    schedule_step: int | None = None,
    schedule_factor: float = 0.5,
    noise_std: float = 0.0,
    held_out: Tensor | NDArray[Any] | None = None,
    seed: int = 0,
    progress: bool | Progress = False,
    on_step: Callable[[int], object] | None = None,
) -> TrainingHistory:
    """Trains F = D∘E in place to minimise mean ‖F(x + noise) − x‖² per pixel.

    The defaults are those of the paper (Adam, learning rate 5e-4, weight decay 1e-4, a step schedule, 500
    epochs); of the schedule it gives no numbers, here the learning rate is halved after each third of the
    epochs.

    On a CPU the result is a function of the initial weights, the images and the options: the order of the
    images, the noise and the model's own dropout are drawn from ``seed``, and the global random state is put
    back afterwards, as are the train/eval modes. A ``held_out`` set changes nothing of the training.

    Args:
        model: maps ``(n, *image)`` to the same shape; a reference autoencoder or any module. Trained where it
            is, in its own number format; frozen parameters stay frozen.
        images: ``(n, *image)`` floating; they may be elsewhere than the model, batches are moved to it.
        epochs: passes over the images.
        batch_size: images per step; the last batch of an epoch may be smaller.
        learning_rate: Adam's step size at the start.
        weight_decay: L2 penalty in Adam's gradient.
        schedule_step: epochs after which the learning rate is multiplied by ``schedule_factor``, again and
            again; by default a third of the epochs, rounded up.
        schedule_factor: between 0 and 1.
        noise_std: standard deviation of Gaussian noise on the input (a denoising autoencoder); the target is
            clean.
        held_out: images on which the loss is measured after each epoch.
        seed: of the order, the noise and the dropout.
        progress: show a progress bar, or move the one that is there (`separatrix.work._progress`).
        on_step: called with 0 before the first step and with 1, 2, … after each, such as ``DynamicsMonitor.step``; it may
            look at the model and must not change it.

    Returns:
        The history. After Ctrl-C it ends with the last complete epoch and ``interrupted`` is true; the model
        keeps what it has learned until then.

    Raises:
        InputError: images or options cannot be used, or the loss became NaN or infinite; the model then has
            the weights of the last epoch that ended well.

    >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
    <torch...>
    >>> line = torch.linspace(-1, 1, 64).reshape(-1, 1) * torch.tensor([0.6, 0.8])  # one latent is enough
    >>> plane = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 2))
    >>> history = train_autoencoder(plane, line, epochs=200, learning_rate=0.02, weight_decay=0)
    >>> history.train_loss[-1] < 1e-6 < history.train_loss[0]
    True
    """
    epochs = whole("epochs", epochs, 1)
    batch_size = whole("batch_size", batch_size, 1, sys.maxsize)
    schedule_step = whole("schedule_step", -(-epochs // 3) if schedule_step is None else schedule_step, 1)
    _require(0 < learning_rate < math.inf, "learning_rate must be a positive number", learning_rate)
    _require(0 <= weight_decay < math.inf, "weight_decay must be zero or positive", weight_decay)
    _require(0 < schedule_factor <= 1, "schedule_factor must lie in (0, 1]", schedule_factor)
    _require(0 <= noise_std < math.inf, "noise_std must be zero or positive", noise_std)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise InputError(f"{type(model).__name__} has no parameters to train; call requires_grad_(True) on some.")
    device, dtype = parameters[0].device, parameters[0].dtype
    train = _checked_images(images, model, "images").to(dtype)
    test = None if held_out is None else _checked_images(held_out, model, "held_out").to(dtype)
    for sample in (train, train if test is None else test):
        _require_closes(model, sample[:1].to(device))

    optimizer = torch.optim.Adam(parameters, lr=learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, schedule_step, gamma=schedule_factor)
    generator = torch.Generator().manual_seed(seed)
    done: list[tuple[float, float, float]] = []
    interrupted = False
    with (
        _private_randomness(seed, device),
        _training_mode(model),
        Progress.of(progress).stage("training", epochs) as line,
    ):
        last_good = copy.deepcopy(model.state_dict())
        steps = -(-len(train) // batch_size)
        try:
            if on_step is not None:
                on_step(0)
            while len(done) < epochs:
                began = time.perf_counter()
                counted = None if on_step is None else _counted(on_step, steps * len(done))
                loss = _epoch(model, train, optimizer, generator, batch_size, noise_std, counted)
                # The loss is taken before the step, so the weights can be lost although it is still a number.
                if not math.isfinite(loss) or not all(bool(p.isfinite().all()) for p in parameters):
                    model.load_state_dict(last_good)
                    raise InputError(
                        f"The loss became NaN or infinite in epoch {len(done) + 1}; lower learning_rate "
                        f"(now {learning_rate:g}) or scale the images to about 1 "
                        "(the model has the weights of the last good epoch)."
                    )
                last_good = copy.deepcopy(model.state_dict())
                held = math.nan if test is None else _held_out_loss(model, test, device)
                schedule.step()
                done.append((loss, held, time.perf_counter() - began))
                line.advance()
        except KeyboardInterrupt:
            interrupted = True
        finally:
            optimizer.zero_grad(set_to_none=True)
    train_loss, held_out_loss, seconds = zip(*done, strict=True) if done else ((), (), ())
    return TrainingHistory(
        train_loss=train_loss,
        held_out_loss=() if test is None else held_out_loss,
        seconds=seconds,
        interrupted=interrupted,
    )


def _epoch(
    model: nn.Module,
    images: Tensor,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    batch_size: int,
    noise_std: float,
    stepped: Callable[[], object] | None,
) -> float:
    """One pass over the images in random order; the mean loss, or at once the first that is not finite."""
    place = next(model.parameters()).device
    total = 0.0
    for chosen in torch.split(torch.randperm(len(images), generator=generator), batch_size):
        target = images[chosen.to(images.device)].to(place)
        source = target
        if noise_std:
            # Drawn on the CPU, so that the noise does not depend on the device.
            noise = torch.randn(target.shape, generator=generator, dtype=target.dtype)
            source = target + noise_std * noise.to(place)
        optimizer.zero_grad(set_to_none=True)
        with torch.enable_grad():
            loss = mse_loss(model(source), target)
            if not math.isfinite(value := loss.item()):
                return value
            loss.backward()
        optimizer.step()
        if stepped is not None:
            stepped()
        total += value * len(chosen)
    return total / len(images)


def _counted(on_step: Callable[[int], object], done: int) -> Callable[[], object]:
    """``on_step`` with the number of steps that were taken, going on from ``done``."""
    numbers = itertools.count(done + 1)
    return lambda: on_step(next(numbers))


def _held_out_loss(model: nn.Module, images: Tensor, device: torch.device) -> float:
    with (
        borrowed((model,)),
        generators_kept(device),
    ):  # a model may draw in its forward, and training goes on from there
        total = 0.0
        for batch in torch.split(images, _EVALUATED_AT_ONCE):
            target = batch.to(device)
            total += mse_loss(model(target), target).item() * len(target)
    return total / len(images)


def _checked_images(images: Tensor | NDArray[Any], model: nn.Module, name: str) -> Tensor:
    """The images as a floating tensor that the model can take."""
    if not isinstance(images, (Tensor, np.ndarray)):
        raise InputError(f"{name} must be a tensor or an array of shape (n, …), not {type(images).__name__}.")
    tensor = images.detach() if isinstance(images, Tensor) else torch.from_numpy(np.array(images))
    if tensor.dim() < 2 or tensor.numel() == 0:
        raise InputError(
            f"{name} of shape {tuple(tensor.shape)} holds no images; give at least one, stacked as (n, …)."
        )
    if not tensor.is_floating_point():
        raise InputError(
            f"{name} holds {tensor.dtype} values; convert them to floating point, for bytes by {name} / 255."
        )
    if not bool(tensor.isfinite().all()):
        raise InputError(f"{name} holds NaN or infinite values; remove or replace those images.")
    if isinstance(model, ReferenceAutoencoder):
        if tuple(tensor.shape[1:]) != model.image_shape:
            expected = ", ".join(map(str, model.image_shape))
            raise InputError(
                f"{name} must have the shape (n, {expected}) of this model, not {tuple(tensor.shape)}; "
                "resize or reshape them."
            )
        low, high = tensor.min().item(), tensor.max().item()
        least, most = model.output_range or (low, high)
        if low < least or high > most:
            raise InputError(
                f"{name} range from {low:g} to {high:g}, but this model can only return values from "
                f"{least:g} to {most:g}; rescale or clip them."
            )
    return tensor


def _require_closes(model: nn.Module, sample: Tensor) -> None:
    """One image goes through the model and comes back in its own shape, before anything is trained."""
    with borrowed((model,)), generators_kept(sample.device):
        try:
            output = model(sample)
        except (RuntimeError, TypeError, ValueError) as error:
            raise InputError(
                f"{type(model).__name__} cannot take images of shape {tuple(sample.shape[1:])} "
                f"({first_line(error)}); give images of the size it was built for."
            ) from error
    if not isinstance(output, Tensor) or output.shape != sample.shape:
        returned = f"shape {tuple(output.shape[1:])}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise InputError(
            f"{type(model).__name__} returns {returned} for images of shape {tuple(sample.shape[1:])}; "
            "its forward must return the reconstruction in the images' own shape."
        )


def _require(holds: bool, rule: str, value: float) -> None:
    if not holds:
        raise InputError(f"{rule}, not {value!r}.")


@contextmanager
def _private_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Dropout draws from ``seed``; the global random states of CPU and ``device`` are put back at the end."""
    accelerators = [] if device.type == "cpu" else [device]
    kind = device.type if accelerators else "cuda"  # with no devices in the list the kind is not used
    with torch.random.fork_rng(accelerators, device_type=kind):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


@contextmanager
def _training_mode(model: nn.Module) -> Iterator[None]:
    """Train mode throughout; afterwards every part is in its former mode."""
    before = [(part, part.training) for part in model.modules()]
    model.train()
    try:
        yield
    finally:
        for part, training in before:
            part.training = training
