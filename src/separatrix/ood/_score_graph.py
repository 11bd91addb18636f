"""The score of a fitted detector as one module of tensor operations, for compilers that cannot follow the library."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from separatrix.errors import InputError
from separatrix.ood._baselines import KNNDetector, MahalanobisDetector, ReconstructionDetector, ResidualDetector
from separatrix.ood._detector import Detector
from separatrix.ood._residual_pca import flat_errors, residual_lengths
from separatrix.ood._trajectory import TrajectoryDetector
from separatrix.ood._typicality import TypicalityDetector, atypicality, course, logarithm
from separatrix.protocol import Protocol


class ScoreGraph(nn.Module):
    """x ``(n, …)`` to (score, p_value), both ``(n,)`` float64: `Detector.score` and `Detector.p_values` with the steps unrolled.

    The network computes in its own format, and everything after it in float64, as in the detector. NaN is unscorable: a latent, a step
    or a score that is not finite, or an orbit that has left every bound before its last step.

    Args:
        detector: fitted; its trajectories have a fixed number of steps.

    Raises:
        InputError: they have not, or this kind of detector has no graph.
    """

    calibration: Tensor

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        known = (TrajectoryDetector, TypicalityDetector, KNNDetector, MahalanobisDetector, ReconstructionDetector)
        if not isinstance(detector, (*known, ResidualDetector)):
            raise InputError(f"A {type(detector).__name__} cannot be exported; choose one of the library's detectors.")
        if isinstance(detector, TrajectoryDetector) and detector.tolerance > 0:
            raise InputError(
                "A trajectory that ends at a small step has no fixed number of steps and cannot be exported; "
                "fit with tolerance=0."
            )
        self.detector = detector
        self.field = detector.field
        self.parts = nn.ModuleList(self.field.modules)  # so that their weights are part of the graph
        self.register_buffer("calibration", detector.calibrated.clone())
        for name, tensor in detector.state().items():
            self.register_buffer(f"state_{name.replace('.', '_')}", tensor.clone())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and p-values of a batch."""
        z = self.field.encoder(x)
        score = self._score(self.detector, z, x)
        score = torch.where(_finite(z), _known(score), torch.nan)
        reached = (self.calibration >= score[:, None]).sum(dim=1).to(torch.float64)
        p_value = torch.where(score.isnan(), torch.nan, (1 + reached) / (len(self.calibration) + 1))
        return score, p_value

    def _score(self, detector: Detector, z: Tensor, x: Tensor) -> Tensor:
        if isinstance(detector, KNNDetector):
            return self._neighbour(detector, z, self._state("bank"))
        if isinstance(detector, MahalanobisDetector):
            return self._gauss(z, self._state("mean"), self._state("whiten"))
        if isinstance(detector, ReconstructionDetector):
            return self._reconstruction(z, x)
        if isinstance(detector, ResidualDetector):
            return (self.field.bare(z) - z).flatten(1).norm(dim=1).to(torch.float64)
        if isinstance(detector, TrajectoryDetector):
            return self._trajectory(detector, z)
        assert isinstance(detector, TypicalityDetector)
        return self._typicality(detector, z, x)

    def _state(self, name: str) -> Tensor:
        return self.get_buffer(f"state_{name.replace('.', '_')}")

    def _follow(self, z: Tensor, points: Tensor, steps: int, cosine: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Distances and step lengths ``(n, N + 1)`` in float64, and whether the orbit can be scored."""
        bound = Protocol().divergence * float(self._state("spread"))
        # Divergence is measured as `separatrix.ood._record.follow` does.
        centre = points.flatten(1).to(torch.float64).mean(dim=0) if len(points) else 0.0
        distances, moves = [], []
        scorable = _finite(z)
        for step in range(steps + 1):
            image = self.field.bare(z)
            moves.append((image - z).flatten(1).norm(dim=1).to(torch.float64))
            if len(points):
                distances.append(_nearest(z, points, cosine))
            scorable = scorable & _finite(image)
            if step < steps:
                away = (image.flatten(1).to(torch.float64) - centre).square().sum(dim=1).sqrt()
                scorable = scorable & (away <= bound)
            z = image
        table = torch.stack(distances, dim=1) if distances else torch.stack(moves, dim=1)[:, :0]
        return table, torch.stack(moves, dim=1), scorable

    def _trajectory(self, detector: TrajectoryDetector, z: Tensor) -> Tensor:
        points = self._state("points")
        distances, moves, scorable = self._follow(z, points, detector.steps, detector.metric == "cosine")
        if detector.statistic in ("path", "speed"):
            path = moves.sum(dim=1)
            score = path / (detector.steps + 1) if detector.statistic == "speed" else path
        elif detector.statistic == "end":
            score = distances[:, -1]
        else:
            score = distances.amax(dim=1) if detector.statistic == "max" else distances.mean(dim=1)
        return torch.where(scorable, score, torch.nan)

    def _typicality(self, detector: TypicalityDetector, z: Tensor, x: Tensor) -> Tensor:
        points, unit = self._state("points"), float(self._state("spread"))
        distances, moves, scorable = self._follow(z, points, detector.steps)
        columns = course(moves / unit, distances / unit if len(points) else None)
        if detector.baselines:
            columns.append(logarithm(self._neighbour(detector.neighbours, z, self._state("knn.bank"))))
            gauss = self._gauss(z, self._state("mahalanobis.mean"), self._state("mahalanobis.whiten"))
            columns.append(logarithm(gauss))
            if bool(self._state("with_data")):
                errors = self.field._decode(z).to(torch.float64) - x.to(torch.float64)
                pca = {name: self._state(name) for name in ("error_mean", "error_basis", "error_variances")}
                lengths = (errors.flatten(1).square().sum(dim=1).sqrt(), *residual_lengths(flat_errors(errors), pca))
                columns += [logarithm(_known(length)) for length in lengths]
        names = ("knots", "levels", "reach", "mean", "whiten", "quantiles", "far")
        score = atypicality(torch.stack(columns, dim=1), {name: self._state(name) for name in names})
        return torch.where(scorable, score, torch.nan)

    def _neighbour(self, detector: KNNDetector, z: Tensor, bank: Tensor) -> Tensor:
        flat = z.flatten(1).to(torch.float64)
        if detector.normalize:
            flat = flat / flat.square().sum(dim=1, keepdim=True).sqrt().clamp(min=1e-300)
        # ‖a − b‖² expanded, about the bank's mean: a table of differences would hold bank × k numbers per input. In float64 it is
        # exact to 1e-8 of the spread, which is far below the distance of any k-th neighbour but a copy.
        centre = bank.mean(dim=0)
        a, b = flat - centre, bank - centre
        squares = a.square().sum(dim=1, keepdim=True) - 2 * a @ b.T + b.square().sum(dim=1)
        k = min(detector.k, len(bank))
        distances = squares.clamp(min=0.0).topk(k, dim=1, largest=False).values.sqrt()
        return _known(distances.amax(dim=1) if detector.reduce == "kth" else distances.mean(dim=1))

    @staticmethod
    def _gauss(z: Tensor, mean: Tensor, whiten: Tensor) -> Tensor:
        return _known(((z.flatten(1).to(torch.float64) - mean) @ whiten).square().sum(dim=1).sqrt())

    def _reconstruction(self, z: Tensor, x: Tensor) -> Tensor:
        difference = self.field.decoder(z).to(torch.float64) - x.to(torch.float64)
        return _known(difference.flatten(1).square().sum(dim=1).sqrt())


def _nearest(z: Tensor, points: Tensor, cosine: bool) -> Tensor:
    """Exact differences: attractors are where orbits come to rest."""
    a, b = z.flatten(1).to(torch.float64), points.flatten(1).to(torch.float64)
    if cosine:
        a, b = _directions(a), _directions(b)
    squares = (a[:, None] - b).square().sum(dim=2).amin(dim=1)
    return squares / 2 if cosine else squares.sqrt()


def _directions(flat: Tensor) -> Tensor:
    length = flat.square().sum(dim=1, keepdim=True).sqrt()
    return flat / torch.where(length > 0, length, 1.0)


def _known(score: Tensor) -> Tensor:
    """Scores, NaN where finite numbers have overflowed: also inside a combination of scores, which would make infinity large but finite."""
    return torch.where(_finite(score[:, None]), score, torch.nan)


def _finite(z: Tensor) -> Tensor:
    flat = z.flatten(1)
    # Not isfinite, for which exporters have no operator: ∞ − ∞ and NaN − NaN are NaN.
    return ((flat - flat) == 0).all(dim=1)
