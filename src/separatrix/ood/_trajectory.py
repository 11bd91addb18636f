"""The paper's detector: how far a trajectory runs from the training attractors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self, get_args

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.data import ImageSource
from separatrix.errors import DetectorWarning, InputError, warn
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets
from separatrix.numerics import spread
from separatrix.ood._detector import Detector
from separatrix.ood._landmarks import landmarks, training_attractors
from separatrix.ood._record import Metric, Trajectories, follow
from separatrix.ood._self_check import SelfCheck, self_check
from separatrix.protocol import Protocol

Statistic = Literal["mean", "end", "max", "path", "steps", "speed"]


class TrajectoryDetector(Detector):
    """Mean over the trajectory z_0 … z_N of the distance to the nearest *training attractor* (Fumero et al., ICLR 2026).

    One-sided: inputs that are *simpler* than the data often encode nearer to the attractors than the data do, and then score
    as the most typical of all. ``fit`` on inputs looks for that and warns (`self_check`); `TypicalityDetector` is two-sided.

    Args:
        field: the latent field.
        statistic: ``"mean"`` (the paper's), ``"end"`` (last distance), ``"max"``, ``"path"`` Σ‖f(z_t) − z_t‖, ``"speed"``
            (path per step), ``"steps"`` (until the squared step is below ``tolerance``).
        metric: ``"euclidean"`` or ``"cosine"`` distance.
        steps: N.
        tolerance: 0: every trajectory has N steps. Above 0: it ends when the squared step is below, the paper's rule.
        attractors: those of an earlier search, `LimitSets`; by default they are searched for from the training latents.
        protocol: of that search; the default gives up after 2000 steps per start.
        starts: how many training latents it follows.
        self_check: look for an inverted score while fitting on inputs.

    Cost: N + 1 map evaluations and a half per input. Memory: that of one block of inputs, whatever N.

    >>> field = LatentField.from_map(lambda z: 0.5 * z, latent_shape=(2,), dtype=torch.float64)
    >>> latents = torch.tensor([[0.3, 0.4], [0.6, 0.8], [3.0, 4.0], [1.0, 0.0]], dtype=torch.float64)
    >>> detector = TrajectoryDetector(field, steps=2).fit_features(latents)
    >>> round(detector.score_features(torch.tensor([[3.0, 4.0]]))[0].item(), 12)  # (5 + 2.5 + 1.25)/3
    2.916666666667
    """

    kind: ClassVar[str] = "trajectory"

    @checked
    def __init__(
        self,
        field: LatentField,
        *,
        statistic: Statistic = "mean",
        metric: Metric = "euclidean",
        steps: int = 10,
        tolerance: float = 0.0,
        attractors: LimitSets | None = None,
        protocol: Protocol | None = None,
        starts: int = 256,
        self_check: bool = True,
    ) -> None:
        super().__init__(field)
        if statistic not in get_args(Statistic):
            raise InputError(
                f"statistic must be one of {', '.join(map(repr, get_args(Statistic)))}, not {statistic!r}."
            )
        if statistic == "steps" and not tolerance > 0:
            raise InputError(
                "With tolerance=0 every trajectory has the same number of steps; give a tolerance above 0."
            )
        if metric not in get_args(Metric):
            raise InputError(f"metric must be 'euclidean' or 'cosine', not {metric!r}.")
        if steps < 1 or not tolerance >= 0 or starts < 1:
            raise InputError(
                f"steps and starts are at least 1 and tolerance at least 0, not {steps}, {starts}, {tolerance}."
            )
        self.statistic, self.metric, self.steps, self.tolerance = statistic, metric, steps, tolerance
        self.attractors, self.protocol, self.starts, self._check = attractors, protocol, starts, self_check
        self._points = torch.empty((0, *field.latent_shape))
        self._spread = 1.0
        self.limits: LimitSets | None = None  # what the distances are measured to, after fit
        self.self_check: SelfCheck | None = None

    @classmethod
    def paper(cls, field: LatentField, **options: Any) -> Self:
        """The setting of the paper's table: to a squared step below 1e-5, at most 500 steps, attractors by the paper's protocol."""
        return cls(field, **{"steps": 500, "tolerance": 1e-5, "protocol": Protocol.paper_foundation(), **options})

    @checked
    def fit(
        self, train: ImageSource, calibration: ImageSource | None = None, *, held_out: float = 0.5, seed: int = 0
    ) -> Self:
        """Fit as :meth:`Detector.fit` does, and test whether the score can be trusted on this model.

        Warns:
            DetectorWarning: simple inputs score as more typical than the data, or there is no attractor. What else the check
            found, attractors that do not describe the data among it, is in ``notes``.
        """
        super().fit(train, calibration, held_out=held_out, seed=seed)
        if self._check:
            self.self_check = self_check(self.field, train, limits=self.limits)
            self.notes = (*self.notes, *self.self_check.findings)
            if not self.self_check.ok:
                warn(self.self_check.statement.sentence, DetectorWarning)
        return self

    def _fit(self, latents: Tensor, data: Tensor | None) -> None:  # noqa: ARG002
        known = self.attractors
        found = (
            landmarks(known)
            if known is not None
            else training_attractors(self.field, latents, self.protocol, min(self.starts, len(latents)))
        )
        if not len(found.points) and self.statistic not in ("path", "steps", "speed"):
            raise InputError(
                "No attractor was found from the training latents, so there is nothing to measure distances to; raise "
                "max_steps of the protocol, or use TypicalityDetector, which does without."
            )
        self.limits = found.limits
        self._points, self._spread = found.points.detach().cpu(), spread(latents)
        self.notes = (f"{found.attractors} training attractors; {found.limits.fates.words}.",)

    def _score(self, latents: Tensor, data: Tensor | None) -> Tensor:  # noqa: ARG002
        run = follow(
            self.field,
            latents,
            self._points,
            steps=self.steps,
            tolerance=self.tolerance,
            metric=self.metric,
            spread=self._spread,
        )
        return torch.where(run.scorable, self._statistic(run), torch.nan)

    def _statistic(self, run: Trajectories) -> Tensor:
        if self.statistic == "steps":
            return run.length.to(torch.float64)
        if self.statistic == "speed":
            return run.path / (run.length + 1)
        return {"mean": run.mean, "end": run.end, "max": run.largest, "path": run.path}[self.statistic]

    def options(self) -> dict[str, Any]:
        names = ("statistic", "metric", "steps", "tolerance", "starts")
        return {name: getattr(self, name) for name in names}

    def state(self) -> dict[str, Tensor]:
        return {"points": self._points, "spread": torch.tensor(self._spread, dtype=torch.float64)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._points, self._spread = state["points"], float(state["spread"])
