"""A callback for PyTorch Lightning (the package ``pytorch-lightning``). Needs the extra ``monitoring``."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import Callback

from separatrix.errors import InputError
from separatrix.monitoring._monitor import DynamicsMonitor


class LightningCallback(Callback):  # type: ignore[misc, unused-ignore]
    """Shows every optimizer step to a monitor, on the main process only.

    Args:
        monitor: of the module that the Trainer trains.

    Raises:
        InputError: it is no monitor. Once the training has begun nothing raises; see `DynamicsMonitor`.
    """

    def __init__(self, monitor: DynamicsMonitor) -> None:
        if not isinstance(monitor, DynamicsMonitor):
            raise InputError(f"LightningCallback takes a DynamicsMonitor, not a {type(monitor).__name__}.")
        super().__init__()
        self.monitor = monitor

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """The module at initialisation, or where training resumes."""
        self._show(trainer)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *of_the_batch: Any) -> None:  # noqa: ARG002
        """One batch was trained on."""
        self._show(trainer)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """The last snapshot."""
        if trainer.is_global_zero:
            self.monitor.finish()

    def _show(self, trainer: Any) -> None:
        if trainer.is_global_zero:
            self.monitor.step(trainer.global_step)
