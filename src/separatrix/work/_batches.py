"""The rows that go through a network at once are counted here: never more than was asked for, and half as many where memory runs out.

Every evaluation of a field, derivatives included, comes through here, so that a batch size holds for all that is done
with the field. The usual size follows from the model alone and not from a measurement of time, so that neither costs nor
results depend on what else the machine does.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from separatrix.errors import OutOfMemoryError

_FIRST = 64  # rows of the first pass, which shows how large the data are
_NUMBERS_ON_CPU = 2**17  # coordinates of latents and data per pass: more are page faults, and 1.7 to 3.8 times slower
_MOST_FOR_WEIGHTS = 2**19  # … unless that would read many weights for few rows
_NUMBERS_ON_ACCELERATORS = 2**24
_FEWEST_ON_CPU, _MOST = 2, 2**16
_SIGNS = ("out of memory", "not enough memory", "allocate memory", "alloc_failed", "defaultcpuallocator")


class Batches:
    """Calls functions of rows with at most ``size`` rows at a time.

    Attributes:
        asked: the most rows that the caller allows; None leaves it to the usual size.
        usual: the size for this model, once its data have been seen (`usual_size`).
        fits: the most rows that memory holds, as far as it has run out; it is kept, so that nothing fails twice.

    >>> halves = Batches(asked=2)
    >>> halves(lambda z: z * len(z), torch.ones(4)).tolist()
    [2.0, 2.0, 2.0, 2.0]
    """

    def __init__(self, asked: int | None = None) -> None:
        self.asked = asked
        self.usual: int | None = None
        self.fits: int | None = None

    @property
    def size(self) -> int:
        """The most rows in one pass now."""
        wanted = self.asked or self.usual or _FIRST
        return wanted if self.fits is None else min(wanted, self.fits)

    def __call__(self, function: Callable[..., Tensor], *columns: Tensor) -> Tensor:
        """function(*columns), rows in order, in parts of even size: 130 rows of at most 128 are 65 + 65.

        Raises:
            OutOfMemoryError: a single row is too much.
        """
        if not isinstance(columns[0], Tensor) or not columns[0].ndim:
            return function(*columns)  # which refuses it in words of its own
        count = len(columns[0])
        while True:
            size = self.size
            try:
                if count <= size:
                    return function(*columns)
                even = -(-count // -(-count // size))
                return torch.cat(
                    [function(*part) for part in zip(*(each.split(even) for each in columns), strict=True)]
                )
            except Exception as error:
                if not out_of_memory(error):
                    raise
                if min(size, count) <= 1:
                    raise OutOfMemoryError(
                        "The machine ran out of memory with a single latent at a time, so no batch size helps; "
                        "use a machine with more memory, a smaller model or smaller images."
                    ) from error
            self.fits = min(size, count) // 2
            if columns[0].device.type == "cuda":
                torch.cuda.empty_cache()


def usual_size(latent: int, data: int, parameters: int, device: torch.device) -> int:
    """Rows per pass for latents and data of that many coordinates, by a rule that was measured once.

    On a CPU, 2^17 coordinates per pass are within a tenth of the best pace of convolutional networks (28 × 28 to 64 × 64
    pixels; batches of 512 take up to twice as long); networks with many weights for small data, which are read once per
    pass, get up to four times as many. An accelerator is filled, and memory that does not suffice halves the batch.

    >>> usual_size(latent=32, data=784, parameters=240_000, device=torch.device("cpu"))
    160
    """
    numbers = latent + data
    if device.type != "cpu":
        return max(1, min(_NUMBERS_ON_ACCELERATORS // numbers, _MOST))
    room = max(_NUMBERS_ON_CPU, min(parameters // 4, _MOST_FOR_WEIGHTS))
    return max(_FEWEST_ON_CPU, min(room // numbers, _MOST))


def out_of_memory(error: BaseException) -> bool:
    """Return whether an exception, of torch or of another engine, says that memory did not suffice."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)
