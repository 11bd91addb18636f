"""The detectors as a scikit-learn outlier estimator. There, and only there, *lower* = more unusual: scikit-learn's sign."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    OutlierMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from separatrix.data import encode_range, tensor_of
from separatrix.field import LatentField
from separatrix.ood._baselines import KNNDetector, MahalanobisDetector, ResidualDetector
from separatrix.ood._detector import Detector
from separatrix.ood._kernel_field import KernelDenoiser
from separatrix.ood._trajectory import TrajectoryDetector
from separatrix.ood._typicality import TypicalityDetector
from separatrix.protocol import Protocol

_SEARCH = Protocol(max_steps=500)
_RATE = 0.05


class LatentOutlierDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Outliers among rows, by the trajectories of a latent field.

    Rows are latents of ``field``, or with ``field=None`` plain features: then the field is the kernel denoiser of the
    training rows, whose attractors are the modes of their density (`KernelDenoiser`).

    Args:
        field: a `LatentField` whose latent has as many coordinates as the rows, or None.
        detector: ``"typicality"``, ``"trajectory"``, ``"knn"``, ``"mahalanobis"`` or ``"residual"``. What speaks
            for the default (docs/ood.md) was measured on images, with their reconstruction errors, which rows do not have.
        contamination: share of the training rows that `predict` calls outliers: a quantile, not a promise. `p_values` come
            from rows that were held out.
        max_rows: keep at most so many training rows in the kernel denoiser.
        random_state: seed of the splits.

    Attributes (after fit): ``detector_``, ``offset_``, ``n_features_in_``.

    >>> rows = np.random.default_rng(0).normal(size=(200, 2))
    >>> estimator = LatentOutlierDetector().fit(rows)
    >>> estimator.predict([[1.0, 0.5], [9.0, 9.0]]).tolist()
    [1, -1]
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "field": [LatentField, None],
        "detector": [StrOptions({"typicality", "trajectory", "knn", "mahalanobis", "residual"})],
        "contamination": [Interval(Real, 0, 0.5, closed="right")],
        "max_rows": [Interval(Integral, 2, None, closed="left")],
        "random_state": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(
        self,
        field: LatentField | None = None,
        *,
        detector: str = "typicality",
        contamination: float = 0.1,
        max_rows: int = 1000,
        random_state: int = 0,
    ) -> None:
        self.field = field
        self.detector = detector
        self.contamination = contamination
        self.max_rows = max_rows
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002
        """Fit on rows ``(n, k)``, n ≥ 6; ``y`` is ignored."""
        rows = validate_data(self, X, dtype=np.float64, ensure_min_samples=6)
        latents = torch.from_numpy(np.ascontiguousarray(rows).copy())
        field = self.field
        if field is None:
            chosen = np.random.default_rng(self.random_state).permutation(len(rows))[: self.max_rows]
            field = KernelDenoiser(latents[torch.from_numpy(np.sort(chosen))]).field()
        self.detector_ = self._detector(field).fit_features(self._shaped(latents, field), seed=self.random_state)
        self.offset_ = float(np.quantile(self._scores(rows), self.contamination))
        return self

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:
        """Minus the detector's score: *lower* = more unusual; −inf where the row cannot be scored."""
        check_is_fitted(self)
        return self._scores(validate_data(self, X, dtype=np.float64, reset=False))

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """``score_samples − offset_``: negative for outliers."""
        shifted: NDArray[np.float64] = self.score_samples(X) - self.offset_
        return shifted

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """+1 for inliers, −1 for outliers."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_values(self, X: ArrayLike) -> NDArray[np.float64]:
        """Split-conformal p-values from the rows that ``fit`` held out, as of `Detector.p_values`: NaN where there is no score."""
        check_is_fitted(self)
        # Not from score_samples, where a row that cannot be scored has become the most unusual one.
        scores = self._detector_scores(validate_data(self, X, dtype=np.float64, reset=False))
        values: NDArray[np.float64] = self.detector_.p_values_of(scores).numpy()
        return values

    def _detector(self, field: LatentField) -> Detector:
        makers: dict[str, Any] = {
            "typicality": lambda: TypicalityDetector(field, protocol=_SEARCH, seed=self.random_state),
            "trajectory": lambda: TrajectoryDetector(field, protocol=_SEARCH, self_check=False),
            "knn": lambda: KNNDetector(field),
            "mahalanobis": lambda: MahalanobisDetector(field),
            "residual": lambda: ResidualDetector(field),
        }
        made: Detector = makers[self.detector]()
        return made

    def _scores(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        minus: NDArray[np.float64] = -self._detector_scores(rows).nan_to_num(nan=torch.inf, posinf=torch.inf).numpy()
        return minus

    def _detector_scores(self, rows: NDArray[np.float64]) -> torch.Tensor:
        latents = torch.from_numpy(np.ascontiguousarray(rows).copy())
        return self.detector_.score_features(self._shaped(latents, self.detector_.field))

    @staticmethod
    def _shaped(latents: torch.Tensor, field: LatentField) -> torch.Tensor:
        if latents.shape[1] != field.latent_dim:
            raise ValueError(
                f"Rows of {latents.shape[1]} features are no latents of a field with {field.latent_dim} coordinates."
            )
        return latents.reshape(len(latents), *field.latent_shape)


class LatentEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Images to rows of latents, so that a Pipeline may begin with pictures.

    Nothing is fitted: the encoder is that of the field.

    Args:
        field: a `LatentField`.
        input_shape: shape of one image, where images come as rows; they are taken as they are if not given.

    >>> from sklearn.pipeline import make_pipeline
    >>> from separatrix.models import DenseAutoencoder
    >>> field = DenseAutoencoder((1, 4, 4), 2, hidden=(8,)).field()
    >>> images = np.random.default_rng(0).random((40, 16))
    >>> judge = make_pipeline(LatentEncoder(field, input_shape=(1, 4, 4)), LatentOutlierDetector(field, detector="knn"))
    >>> judge.fit(images).predict(images[:2]).shape
    (2,)
    """

    def __init__(self, field: LatentField, *, input_shape: tuple[int, ...] | None = None) -> None:
        self.field = field
        self.input_shape = input_shape

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002
        """Look at one image, to see that the encoder takes it; ``y`` is ignored."""
        images = np.asarray(X)
        self._n_features_out = self.transform(images[:1]).shape[1]
        self.n_features_in_ = int(np.prod(images.shape[1:]))
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return latents ``(n, k)`` of images ``(n, …)``."""
        images = _inputs(X, self.input_shape)
        latents = encode_range(self.field, lambda first, last: images[first:last], 0, len(images))
        rows: NDArray[np.float64] = latents.flatten(1).double().cpu().numpy()
        return rows


class OODClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """It makes a fitted detector a classifier of two classes, 0 typical and 1 OOD, for libraries that calibrate classifiers.

    With labelled examples of both kinds, MAPIE finds thresholds at which precision or recall holds
    (``mapie.risk_control.BinaryClassificationController(OODClassifier(detector).predict_proba, …)``). What needs no labels, a false-alarm
    rate that holds, the detector gives by itself (`Detector.decide`).

    Args:
        detector: a fitted detector.
        input_shape: shape of one input, where inputs come as rows; they are taken as they are if not given.
        features: the inputs are latents and not images.

    >>> import separatrix as sx
    >>> field = sx.LatentField.from_map(lambda z: 0.5 * z, latent_shape=(2,))
    >>> rows = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    >>> detector = sx.ood.KNNDetector(field).fit_features(rows)
    >>> OODClassifier(detector, features=True).predict([[0.0, 0.1], [9.0, 9.0]]).tolist()
    [0, 1]
    """

    def __init__(
        self, detector: Detector, *, input_shape: tuple[int, ...] | None = None, features: bool = False
    ) -> None:
        self.detector = detector
        self.input_shape = input_shape
        self.features = features
        self.classes_ = np.array([0, 1])

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002
        """Return itself: the detector is fitted already, and no label changes it."""
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return ``(n, 2)``: the detector's p-value p and 1 − p, which is monotone in the score and no probability of a class.

        An input that cannot be scored has p = 0.
        """
        p = self.detector.p_values_of(self._scores(X)).nan_to_num(nan=0.0).numpy()
        return np.stack([p, 1 - p], axis=1)

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Return 1 where p is 0.05 at most, as `Detector.decide` has it, or an input cannot be scored; a calibrating library has a threshold of its own.

        Warns:
            CalibrationWarning: there are too few calibration scores for any input to be called.
        """
        found = self.detector.decide_scores(self._scores(X), _RATE)
        return (found.is_ood | found.unscorable).numpy().astype(np.int64)

    def _scores(self, X: ArrayLike) -> torch.Tensor:
        if not self.features:
            return self.detector.score(_inputs(X, self.input_shape))
        latents = torch.from_numpy(np.array(X, dtype=np.float64))  # the detector has its own format
        shape = self.detector.field.latent_shape if self.input_shape is None else self.input_shape
        return self.detector.score_features(latents.reshape(len(latents), *shape))


def _inputs(X: ArrayLike, shape: tuple[int, ...] | None) -> torch.Tensor:
    """Images in the layout of the encoder, white at 1: bytes are divided by 255, as `separatrix.data.load_images` does."""
    images = np.asarray(X)
    if shape is not None:
        images = images.reshape(len(images), *shape)
    tensor = torch.from_numpy(images.astype(np.float32) if images.dtype.kind == "f" else images.copy())
    return tensor_of(tensor, "X")
