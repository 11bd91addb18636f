"""The common face of all detectors: fit, score, p-values, decisions, files. Higher score = more out-of-distribution."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from separatrix.arguments import checked
from separatrix.data import ImageSource, encode_range, tensor_of
from separatrix.errors import CalibrationWarning, DetectorWarning, InputError, warn
from separatrix.field import LatentField
from separatrix.numerics import calls, conformal_p_values
from separatrix.numerics._duplicates import keys_of
from separatrix.numerics.counter_random import uniform
from separatrix.ood._decisions import AlarmBudget, Decisions, decided, one_each
from separatrix.ood._files import load_detector, save_detector

_BLOCK = 512  # inputs scored together: memory depends on this, not on how many there are


class Detector(ABC):
    """Scores how far inputs are from the distribution it was fitted on, and decides with a false-alarm rate that holds.

    ``fit`` uses one part of the data to fit and *holds the other out* to calibrate: the p-value of an input is its rank
    among the held-out scores (split conformal, `separatrix.numerics._conformal`). Fit on ID inputs that the **network was
    not trained on**: training inputs score lower than fresh ones, and a calibration on them promises too few alarms.

    Args:
        field: the latent field of the model.

    Attributes:
        calibration: ``(n,)`` scores of the held-out inputs, in ascending order; None before :meth:`fit`.
        held_out: ``(n,)`` which rows these were, of ``calibration`` where it was given, else of ``train``; None before :meth:`fit`, and once loaded.

    Subclasses declare ``kind`` (their name in files) and implement the five hooks below.
    """

    kind: ClassVar[str] = ""
    needs_data: ClassVar[bool] = False
    kinds: ClassVar[dict[str, type[Detector]]] = {}

    def __init__(self, field: LatentField) -> None:
        self.field = field
        self.calibration: Tensor | None = None
        self.held_out: Tensor | None = None
        self.lost_in_calibration = 0
        self.input_shape: tuple[int, ...] | None = None
        self.notes: tuple[str, ...] = ()
        self.golden: Mapping[str, Tensor] | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        """Two detectors of one name could not be told apart in files."""
        super().__init_subclass__(**options)
        if cls.kind:
            if cls.kind in Detector.kinds:
                raise TypeError(f"A detector of kind {cls.kind!r} exists already; choose another name.")
            Detector.kinds[cls.kind] = cls

    # What a subclass provides ------------------------------------------------------------------------------------------

    @abstractmethod
    def _fit(self, latents: Tensor, data: Tensor | None) -> None:
        """Fit on finite latents ``(n, *latent)``, and on their inputs where they are known."""

    @abstractmethod
    def _score(self, latents: Tensor, data: Tensor | None) -> Tensor:
        """``(n,)`` float64 scores of one block; NaN where there is none."""

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """JSON-ready constructor arguments."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Return what was fitted, as tensors."""

    @abstractmethod
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of :meth:`state`."""

    # The face ----------------------------------------------------------------------------------------------------------

    @checked
    def fit(
        self, train: ImageSource, calibration: ImageSource | None = None, *, held_out: float = 0.5, seed: int = 0
    ) -> Self:
        """Fit on ID inputs and calibrate on others.

        Args:
            train: images or vectors: a tensor ``(n, …)``, an `ImageSet`, or what `load_images` takes.
            calibration: ID inputs for calibration only; by default a random share of ``train`` is held out.
            held_out: that share.
            seed: of the split.

        Raises:
            InputError: too few inputs, of a shape that the encoder does not take, or no calibration inputs but those that are
                fitted on.

        Warns:
            CalibrationWarning: some calibration inputs are fitted on as well, and are left out.
            DetectorWarning: some inputs to fit on have no finite latent, and are left out.

        Cost: half a map evaluation per input for its latent, and what the detector itself costs.
        """
        data = tensor_of(train)
        others = None if calibration is None else tensor_of(calibration)
        data, others, rows = _parted(data, others, held_out, seed)
        latents = self.encoded(self.field, data)
        self.input_shape = tuple(data.shape[1:])
        self._fit(*_usable(latents, data))
        return self._calibrate(
            self._scores(len(others), lambda a, b: (self.encoded(self.field, others[a:b]), others[a:b])), rows
        )

    @checked
    def fit_features(
        self, latents: Tensor, calibration: Tensor | None = None, *, held_out: float = 0.5, seed: int = 0
    ) -> Self:
        """Do as :meth:`fit` does, from latents ``(n, *latent_shape)`` instead of inputs.

        Raises:
            InputError: this detector compares inputs with their reconstructions, or the latents are not of the field's shape.
        """
        self._require_no_data()
        z = self._latents(latents)
        self.field.admit(z)  # also where only the latents are looked at
        others = None if calibration is None else self._latents(calibration)
        z, others, rows = _parted(z, others, held_out, seed)
        self.input_shape = None
        self._fit(*_usable(z, None))
        return self._calibrate(self._scores(len(others), lambda a, b: (others[a:b], None)), rows)

    def score(self, data: ImageSource) -> Tensor:
        """``(n,)`` float64, higher = more OOD; NaN where the trajectory met NaN or infinity, or diverged.

        Inputs are encoded, iterated and forgotten block by block. A score depends on its own input only, up to the network's
        rounding in batches of different sizes.
        """
        self._require_fitted()
        x = tensor_of(data)
        return self._scores(len(x), lambda a, b: (self.encoded(self.field, x[a:b]), x[a:b]))

    def score_features(self, latents: Tensor) -> Tensor:
        """:meth:`score` of latents."""
        self._require_fitted()
        self._require_no_data()
        z = self._latents(latents)
        return self._scores(len(z), lambda a, b: (z[a:b], None))

    def p_values(self, data: ImageSource) -> Tensor:
        """Split-conformal p-values, ``(n,)`` float64: for ID inputs P(p ≤ α) ≤ α; NaN where there is no score."""
        return self.p_values_of(self.score(data))

    def p_values_of(self, scores: Tensor | ArrayLike) -> Tensor:
        """The p-values that belong to scores of this detector."""
        return conformal_p_values(one_each(scores), self.calibrated)

    @checked
    def decide(self, data: ImageSource, fpr: float | AlarmBudget = 0.01, *, batch: bool = False) -> Decisions:
        """Tell which inputs are OOD, at a false-alarm rate of ``fpr`` on ID inputs.

        Args:
            data: as for :meth:`score`.
            fpr: the rate, or an `AlarmBudget` such as ``AlarmBudget(5, 10_000, "day")``.
            batch: decide on all inputs together by Benjamini–Hochberg; ``fpr`` is then the expected share of false calls
                among the calls.

        Warns:
            CalibrationWarning: there are too few calibration scores for that rate.
        """
        return self.decide_scores(self.score(data), fpr, batch=batch)

    @checked
    def decide_scores(
        self, scores: Tensor | ArrayLike, fpr: float | AlarmBudget = 0.01, *, batch: bool = False
    ) -> Decisions:
        """:meth:`decide` for scores that are known already."""
        known = one_each(scores)
        return decided(known, self.p_values_of(known), fpr, len(self.calibrated), batch=batch)

    @checked
    def threshold(self, fpr: float = 0.01) -> float:
        """Return the highest score that is not called at that false-alarm rate; infinity where none is called.

        It is the k-th highest of n calibration scores, k = ⌊α(n + 1)⌋: p(s) = (1 + #{c ≥ s})/(n + 1) ≤ α when at most k − 1 of them reach s.

        Raises:
            InputError: the rate is not between 0 and 1.
        """
        rank = calls(fpr, len(self.calibrated))
        return float(self.calibrated[-rank]) if rank else float("inf")

    @checked
    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the fitted detector (not the model) to a folder: safetensors and JSON."""
        self._require_fitted()
        return save_detector(self, path, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str], field: LatentField) -> Self:
        """Read what :meth:`save` wrote, for the same model.

        Raises:
            FileError: nothing there, damaged, of another kind, or fitted on another model.
        """
        return load_detector(path, field, kind=cls)

    def describe(self) -> dict[str, Any]:
        """JSON-ready: what a reader of the scores should know; subclasses add what they found out while fitting."""
        return {"kind": self.kind, "options": self.options(), "notes": list(self.notes)}

    def __repr__(self) -> str:
        state = "not fitted" if self.calibration is None else f"{len(self.calibration)} calibration scores"
        return f"{type(self).__name__}({self.field.name}; {state})"

    # Shared work -------------------------------------------------------------------------------------------------------

    @staticmethod
    def encoded(field: LatentField, data: Tensor) -> Tensor:
        """E(x) of inputs, batch by batch."""
        return encode_range(field, lambda a, b: data[a:b], 0, len(data))

    def _latents(self, latents: Tensor) -> Tensor:
        shape = tuple(latents.shape)
        if shape[1:] != self.field.latent_shape or not len(latents):
            raise InputError(
                f"Latents of shape {shape} do not fit this field; pass (n, {', '.join(map(str, self.field.latent_shape))})."
            )
        return latents.detach().to(self.field.device, self.field.dtype)

    def _scores(self, count: int, block: Callable[[int, int], tuple[Tensor, Tensor | None]]) -> Tensor:
        parts = []
        for first in range(0, count, _BLOCK):
            latents, data = block(first, min(first + _BLOCK, count))
            parts.append(self._score(latents, data).detach().to("cpu", torch.float64))
        return torch.cat(parts)

    def _calibrate(self, scores: Tensor, rows: Tensor) -> Self:
        known, rows = scores[~scores.isnan()], rows[~scores.isnan()]
        if not len(known):
            raise InputError("None of the calibration inputs can be scored; check the model with field.check().")
        # Given that it is scorable, an ID input is exchangeable with the scorable calibration inputs.
        self.lost_in_calibration = len(scores) - len(known)
        self.calibration, order = known.sort(stable=True)
        self.held_out, self.golden = rows[order], None
        return self

    @property
    def calibrated(self) -> Tensor:
        """``(n,)`` the calibration scores, sorted; `InputError` before :meth:`fit`."""
        self._require_fitted()
        assert self.calibration is not None
        return self.calibration

    def _require_fitted(self) -> None:
        if self.calibration is None:
            raise InputError(f"This {type(self).__name__} is not fitted; call fit(train) with ID inputs first.")

    def _require_no_data(self) -> None:
        if self.needs_data:
            raise InputError(
                f"{type(self).__name__} compares inputs with their reconstructions; use fit and score with inputs, not latents."
            )


def _usable(latents: Tensor, data: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The latents that are finite, and their inputs; it is said how many are left out."""
    finite = latents.flatten(1).isfinite().all(dim=1)
    kept = int(finite.sum())
    if kept < 2:
        raise InputError(f"A detector is fitted on at least 2 usable inputs, not {kept}; give more ID data.")
    if kept < len(latents):
        warn(
            f"{len(latents) - kept:,} of the {len(latents):,} inputs to fit on have a latent with NaN or infinity, and are left out; look at "
            "these inputs, and at the model with field.check().",
            DetectorWarning,
        )
    return latents[finite], None if data is None else data[finite.cpu()]


def _parted(inputs: Tensor, calibration: Tensor | None, held_out: float, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs to fit on, others to calibrate on, and which rows these are: none that is fitted on as well, which would score lower than anything fresh.

    Equal inputs are looked for, which a file given twice has, and a split of data that repeat themselves.
    """
    if calibration is None:
        fitted, rows = split(len(inputs), held_out, seed)
        inputs, calibration = inputs[fitted], inputs[rows]
    else:
        rows = torch.arange(len(calibration))
    known = set(keys_of(inputs))
    fresh = torch.tensor([key not in known for key in keys_of(calibration)], dtype=torch.bool)
    lost = int((~fresh).sum())
    if not lost:
        return inputs, calibration, rows
    words = f"{lost:,} of {len(calibration):,} calibration inputs are among those that the detector is fitted on"
    if lost == len(calibration):
        raise InputError(
            f"{words}, and none is left; give other inputs for calibration, or none, to have some held out."
        )
    warn(f"{words}, and are left out: such inputs score lower than fresh ones.", CalibrationWarning)
    return inputs, calibration[fresh.to(calibration.device)], rows[fresh]


def split(count: int, held_out: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of a random split: (to fit, held out), each in order.

    >>> [len(part) for part in split(10, 0.3, seed=0)]
    [7, 3]
    """
    if not 0 < held_out < 1:
        raise InputError(f"held_out is a share between 0 and 1, not {held_out}.")
    kept = min(max(round(held_out * count), 1), count - 2)
    if kept < 1:
        raise InputError(f"{count} inputs are too few to fit and calibrate; give at least 3, better hundreds.")
    order = torch.from_numpy(uniform(seed, 0, count, 1)[:, 0]).argsort()
    return order[kept:].sort().values, order[:kept].sort().values
