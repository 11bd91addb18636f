"""A callback for the Trainer of Hugging Face transformers. Needs the extra ``monitoring``."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from separatrix.errors import InputError
from separatrix.monitoring._monitor import DynamicsMonitor


class TransformersCallback(TrainerCallback):
    """Shows every optimizer step to a monitor, on the main process only.

    Args:
        monitor: of the model that the Trainer trains.

    Raises:
        InputError: it is no monitor. Once the training has begun nothing raises; see `DynamicsMonitor`.
    """

    def __init__(self, monitor: DynamicsMonitor) -> None:
        if not isinstance(monitor, DynamicsMonitor):
            raise InputError(f"TransformersCallback takes a DynamicsMonitor, not a {type(monitor).__name__}.")
        self.monitor = monitor

    def on_train_begin(self, args: Any, state: Any, control: Any, **context: Any) -> None:  # noqa: ARG002
        """The model at initialisation, or where training resumes."""
        self._show(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **context: Any) -> None:  # noqa: ARG002
        """One optimizer step was taken."""
        self._show(state)

    def on_train_end(self, args: Any, state: Any, control: Any, **context: Any) -> None:  # noqa: ARG002
        """The last snapshot."""
        if state.is_world_process_zero:
            self.monitor.finish()

    def _show(self, state: Any) -> None:
        if state.is_world_process_zero:
            self.monitor.step(state.global_step)
