"""Is this trajectory typical of training trajectories? Two-sided: what is too regular is as unusual as what is too wild."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets
from separatrix.numerics import NormalScale, apply_normal_scale, fit_normal_scale, spread
from separatrix.ood._baselines import KNNDetector, MahalanobisDetector, reconstruction_errors, whitening
from separatrix.ood._detector import Detector, split
from separatrix.ood._landmarks import landmarks, training_attractors
from separatrix.ood._record import follow
from separatrix.ood._residual_pca import evenly, fit_residual_pca, flat_errors, residual_lengths
from separatrix.protocol import Protocol

_REST = 1e-2  # of the length unit: what is nearer to an attractor, or moves less, is there
_FLOOR = 1e-6  # the same for lengths without a unit: rounding
_SMALLEST_SCALE = 1e-2  # lengths that differ by 1 % are the same: rounding must not be blown up to a deviation
_LEAST_VARIANCE = 1e-2  # the same for combinations of features, as a share of the widest
_MOST_OFF = 1e6  # normal units beyond this are all the same: no overflow in squares


class TypicalityDetector(Detector):
    """It tells how atypical the course of a trajectory is, on both sides.

    Features, all logarithms: the distance to the nearest training attractor at z_0 and z_N, and on average; the step
    ‖f(z) − z‖ at z_0 and z_N, whose difference is the rate; and, unless switched off, five lengths that need no trajectory:
    the distance to the k-th nearest training latent, the Mahalanobis distance of z_0, the reconstruction error, and how far
    that error lies in, and out of, the subspace of usual errors (`separatrix.ood._residual_pca`). With u the normal scores of the
    features among held-out ID inputs (`separatrix.numerics._normal_scores`: by rank, so that ID inputs which have arrived at an
    attractor, a cluster far from the others, are as typical as their share),
    score = ‖u‖²/q₁ + (u − μ)ᵀΣ⁻¹(u − μ)/q₂ + Σ max(u_j, 0)²/q₃: the first term sees a feature that is off, the second a
    combination that is. The third counts the upper side of those five lengths once more: an input that is too near may be a
    simple one or a good one, one that is too far is never typical. Σ is the Ledoit–Wolf covariance and q are the
    95 % quantiles on held-out ID inputs.

    Of the detectors here it has the highest mean AUROC, also on kinds of OOD input that none of this was chosen on (docs/ood.md); on classes
    held out of training, on images upside down or mirrored, and on several networks, others are ahead of it.

    Args:
        field: the latent field.
        steps: N.
        baselines: use the five features that need no trajectory, too. Fitted on latents there are two: no reconstruction errors.
        attractors, protocol, starts: as for `TrajectoryDetector`. Without any attractor the distances are left out.
        k: of the k-th nearest training latent.
        seed: of the split of the data to fit into bank and density.

    Cost: N + 1 map evaluations per input, and one more for the reconstruction. ``fit`` uses two thirds of its part of the
    data as the bank and one third for the density: a latent is nearer to the bank if it is part of it.

    >>> field = LatentField.from_map(lambda z: 0.5 * z, latent_shape=(2,), dtype=torch.float64)
    >>> angle = torch.linspace(0, 6, 200, dtype=torch.float64)
    >>> ring = (1 + 0.1 * (37 * angle).sin())[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
    >>> detector = TypicalityDetector(field, baselines=False).fit_features(ring)
    >>> bool((detector.score_features(torch.tensor([[0.01, 0.0], [9.0, 0.0]])) > detector.calibration.max()).all())
    True
    """

    kind: ClassVar[str] = "typicality"

    @checked
    def __init__(
        self,
        field: LatentField,
        *,
        steps: int = 10,
        baselines: bool = True,
        attractors: LimitSets | None = None,
        protocol: Protocol | None = None,
        starts: int = 256,
        k: int = 10,
        seed: int = 0,
    ) -> None:
        super().__init__(field)
        if steps < 1 or starts < 1:
            raise InputError(f"steps and starts are at least 1, not {steps} and {starts}.")
        self.steps, self.baselines, self.starts, self.k, self.seed = steps, baselines, starts, k, seed
        self.attractors, self.protocol = attractors, protocol
        self.neighbours, self.gauss = KNNDetector(field, k=k), MahalanobisDetector(field)
        self.limits: LimitSets | None = None  # what the distances are measured to, after fit
        self._state: dict[str, Tensor] = {}

    def _fit(self, latents: Tensor, data: Tensor | None) -> None:
        bank, rest = split(len(latents), 1 / 3, self.seed)
        z = latents[bank.to(latents.device)]
        known = self.attractors
        found = (
            landmarks(known)
            if known is not None
            else training_attractors(self.field, z, self.protocol, min(self.starts, len(z)))
        )
        self.limits = found.limits
        self._state = {
            "points": found.points.detach().cpu(),
            "spread": torch.tensor(spread(z), dtype=torch.float64),
            "with_data": torch.tensor(data is not None),
        }
        self.notes = (f"{found.attractors} training attractors; {found.limits.fates.words}.",)
        if self.baselines:
            self.neighbours._fit(z, None)
            self.gauss._fit(z, None)
            if data is not None:
                some = evenly(len(bank))
                errors = torch.cat(
                    [flat_errors(e).cpu() for e in reconstruction_errors(self.field, z[some], data[bank][some])]
                )
                self._state |= fit_residual_pca(errors[errors.isfinite().all(dim=1)])
        features = self._features(latents[rest.to(latents.device)], None if data is None else data[rest])
        features = features[features.isfinite().all(dim=1)]
        if len(features) < 2:
            raise InputError(f"Only {len(features)} inputs are left to learn what is typical; give more ID data.")
        far = (2 + 3 * (data is not None)) * self.baselines
        self._state |= density(features, far)

    def _features(self, latents: Tensor, data: Tensor | None) -> Tensor:
        """``(n, p)`` float64; a row of an unscorable input holds NaN."""
        unit = float(self._state["spread"])
        run = follow(self.field, latents, self._state["points"], steps=self.steps, kept=self.steps + 1, spread=unit)
        columns = [
            c.cpu() for c in course(run.steps / unit, run.distances / unit if len(self._state["points"]) else None)
        ]
        if self.baselines:
            columns += [logarithm(own._score(latents, None)) for own in (self.neighbours, self.gauss)]
            if bool(self._state["with_data"]):
                if data is None:
                    raise InputError(
                        "This detector was fitted on inputs and uses their reconstruction errors; score inputs, or fit_features."
                    )
                columns += self._errors(latents, data)
        features = torch.stack(columns, dim=1)
        return torch.where(run.scorable.cpu()[:, None], features, torch.nan)

    def _errors(self, latents: Tensor, data: Tensor) -> list[Tensor]:
        blocks = []
        for part in reconstruction_errors(self.field, latents, data):
            part = part.cpu()
            blocks.append(torch.stack([part.flatten(1).norm(dim=1), *residual_lengths(flat_errors(part), self._state)]))
        return [logarithm(length) for length in torch.cat(blocks, dim=1)]

    def _score(self, latents: Tensor, data: Tensor | None) -> Tensor:
        return atypicality(self._features(latents, data), self._state)

    def options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("steps", "baselines", "starts", "k", "seed")}

    def state(self) -> dict[str, Tensor]:
        if not self.baselines:
            return dict(self._state)
        others = {f"{own.kind}.{name}": t for own in (self.neighbours, self.gauss) for name, t in own.state().items()}
        return {**self._state, **others}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        own = {name: tensor for name, tensor in state.items() if "." not in name}
        self._state = own
        if self.baselines:
            for part in (self.neighbours, self.gauss):
                prefix = f"{part.kind}."
                part.restore({n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)})


def course(steps: Tensor, distances: Tensor | None) -> list[Tensor]:
    """The features of trajectories, from ``(n, N + 1)`` step lengths and, if there are attractors, distances, in length units."""
    moves = (steps + _REST).log()
    columns = [moves[:, 0], moves[:, -1]]
    if distances is not None:
        away = (distances + _REST).log()
        columns += [away[:, 0], away[:, -1], away.mean(dim=1)]
    return columns


def logarithm(length: Tensor) -> Tensor:
    """The feature of a length that has no unit of its own."""
    return (length + _FLOOR).log()


def density(features: Tensor, far: int = 0) -> dict[str, Tensor]:
    """Return what `atypicality` needs, from ``(n, p)`` features of held-out ID inputs; the upper side of the last ``far`` counts more."""
    count = features.shape[1]
    state = fit_normal_scale(features, _SMALLEST_SCALE)._asdict()
    state["far"] = (torch.arange(count) >= count - far).to(torch.float64)
    state["mean"], state["whiten"] = whitening(_units(features, state), _LEAST_VARIANCE)
    state["quantiles"] = _terms(features, state).quantile(0.95, dim=0).clamp(min=1e-12)
    return state


def _units(features: Tensor, state: Mapping[str, Tensor]) -> Tensor:
    scale = NormalScale(state["knots"], state["levels"], state["reach"])
    return apply_normal_scale(features, scale).clamp(-_MOST_OFF, _MOST_OFF)


def _terms(features: Tensor, state: Mapping[str, Tensor]) -> Tensor:
    """``(n, 3)``: one feature off, a combination off, too far."""
    units = _units(features, state)
    joint, upper = (units - state["mean"]) @ state["whiten"], units.clamp(min=0.0) * state["far"]
    return torch.stack([each.square().sum(dim=1) for each in (units, joint, upper)], dim=1)


def atypicality(features: Tensor, state: Mapping[str, Tensor]) -> Tensor:
    """The score of ``(n, p)`` features."""
    return (_terms(features, state) / state["quantiles"]).sum(dim=1)
