"""Every exception and warning of separatrix: one sentence that says what is wrong and what to do.

Three kinds of trouble, and only three: the *input* is bad, the *model* breaks the contract of a latent field,
or a *file* cannot be read or written. What merely does not converge is not an error, it is data
(:class:`separatrix.orbits.Status`).
"""

from __future__ import annotations

import inspect
import warnings


class SeparatrixError(Exception):
    """Base of all errors raised on purpose. Its message is one sentence with the remedy in it."""


class InputError(SeparatrixError, ValueError):
    """An argument, an option or a data source cannot be used as given."""


class FieldError(SeparatrixError):
    """The encoder and decoder do not form a deterministic self-map of the latent space."""


class FileError(SeparatrixError):
    """A file cannot be read, is not what its name says, or cannot be written."""


class OutOfMemoryError(SeparatrixError, MemoryError):
    """The model does not fit into memory, however small the batch is."""


class EngineError(SeparatrixError):
    """Workers are missing, do not fit together, or have failed at a part three times; what was computed is kept."""


class NotConvergedError(SeparatrixError):
    """Raised only on request (``throw=True``): some orbits did not reach a limit set within the budget."""


class SeparatrixWarning(UserWarning):
    """Base of all warnings: the result stands, and this is what to keep in mind when reading it."""


class ConvergenceWarning(SeparatrixWarning):
    """Some orbits did not reach a limit set; the counts per status are in the message."""


class OverlapWarning(SeparatrixWarning):
    """Images that were said to be unseen are training images; how many is in the message."""


class ModelWarning(SeparatrixWarning):
    """The model was usable, but not as it was handed over (train mode, no gradients, low precision)."""


class DataWarning(SeparatrixWarning):
    """Images were read, but perhaps not as they were meant (what is white, frames that were left out)."""


class CalibrationWarning(SeparatrixWarning):
    """There are too few calibration scores for the false-alarm rate that was asked for."""


class CheckpointWarning(SeparatrixWarning):
    """The state of a search could not be stored, or what was stored cannot be read; the search itself is complete."""


class FigureWarning(SeparatrixWarning):
    """A figure is missing; the results are complete."""


class DetectorWarning(SeparatrixWarning):
    """A detector's score is not to be trusted on this model; the message says what was seen and what to use instead."""


def warn(sentence: str, kind: type[SeparatrixWarning]) -> None:
    """Warn at the line that called the library, however deep in it the trouble was seen.

    A number of calls would be right for one of the ways there only. Python 3.12 has ``skip_file_prefixes`` for this.
    """
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "separatrix":
        frame, level = frame.f_back, level + 1
    warnings.warn(sentence, kind, stacklevel=level + 1)


def first_line(error: BaseException) -> str:
    """Return what an exception says, in one line without a full stop; the name of its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


class DamageWarning(SeparatrixWarning):
    """Something that was stored cannot be used any more and is being computed again."""
