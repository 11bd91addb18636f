"""One small result of every public type, made by the functions that users call."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

import separatrix as sx
from separatrix import numerics, studies, testing
from separatrix.data import ChosenImages, PictureBlock, load_images
from separatrix.errors import SeparatrixWarning
from separatrix.field import RecordedField, examined
from separatrix.limitsets import grid_search, spectrum_of, triviality
from separatrix.orbits import FirstCrossings, MeanDistance, PathLength, Snapshots
from separatrix.plots import Plane

FEW = sx.Protocol(max_steps=400)


def _noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


TRAIN, HELD_OUT = _noise(8, 1, 4, 4), _noise(30, 1, 4, 4, seed=1)


@cache
def memory() -> sx.LatentField:
    """Images are latents, and each of eight training images attracts."""
    stored = TRAIN.flatten(1)

    def step(z: torch.Tensor) -> torch.Tensor:
        distance = (z.flatten(1)[:, None] - stored.to(z)[None]).square().sum(dim=2)
        return 0.9 * z + 0.1 * (torch.softmax(-200 * distance, dim=1) @ stored.to(z)).reshape(z.shape)

    return sx.LatentField.from_map(step, (1, 4, 4), dtype=torch.float64, name="memory")


def plane(gain: float = 2.0) -> sx.LatentField:
    """Two latent numbers, four attractors."""
    return sx.LatentField.from_map(lambda z: torch.tanh(gain * z), (2,), dtype=torch.float64, name="plane")


def recorded() -> RecordedField:
    """A field that has been asked for two images."""
    field = RecordedField(memory())
    field.decode(TRAIN[:2])
    return field


@cache
def limits() -> sx.LimitSets:
    return sx.find_attractors(memory(), sx.starts.points(TRAIN))


@cache
def from_noise() -> sx.LimitSets:
    return sx.find_attractors(memory(), sx.starts.gaussian(32, seed=0))


@cache
def corners() -> sx.LimitSets:
    return sx.find_attractors(plane(), sx.starts.box(64, -1, 1, seed=0))


@cache
def monitor() -> sx.DynamicsMonitor:
    gain = torch.nn.Parameter(torch.tensor(0.5))
    field = sx.LatentField.from_map(lambda z: torch.tanh(gain * z), latent_shape=(1,))
    watched = sx.DynamicsMonitor(field, sx.starts.box(32, -1, 1, seed=0), every=10, max_share=None, log=None)
    for step in range(21):
        gain.data.fill_(0.5 + step / 10)
        watched.step(step)
    return watched


@cache
def detector() -> sx.ood.Detector:
    return sx.ood.ResidualDetector(memory()).fit(_noise(60, 1, 4, 4, seed=2))


@cache
def story() -> studies.Continuation:
    return sx.continuation([plane(gain) for gain in (0.5, 1.5, 2.0)], sx.starts.box(64, -1, 1, seed=0))


@cache
def audit() -> studies.MemorizationAudit:
    return sx.audit_memorization(memory(), TRAIN, HELD_OUT, noise=16)


@cache
def drifted() -> studies.Drift:
    return sx.drift(memory(), HELD_OUT, trips=3)


@cache
def forecast() -> sx.limitsets.Forecast:
    return sx.limitsets.forecast(plane(), sx.starts.box(400, -1, 1, seed=0))


@cache
def motion() -> sx.limitsets.Motion:
    return sx.motion(plane(), torch.full((2, 2), 0.1, dtype=torch.float64), steps=32)


MADE: dict[str, Callable[[], Any]] = {
    "Agreement": lambda: numerics.agreement(*(torch.tensor([0, 0, 1, 1]).numpy(),) * 2),
    "AlarmBudget": lambda: sx.ood.AlarmBudget(5, 10_000, "day"),
    "Answers": lambda: recorded().answers,
    "Appearance": lambda: studies.appearance(memory(), from_noise()),
    "Basins": lambda: sx.basins(corners()),
    "CaptureAudit": lambda: corners().audit,
    "ChosenImages": lambda: ChosenImages.of(load_images(TRAIN), torch.tensor([0, 3]), memory()),
    "ClosedCurve": lambda: numerics.ClosedCurve(torch.zeros(300, 2).numpy(), 0.1, 1.0, 0.0),
    "Closeness": lambda: studies.closeness(HELD_OUT, TRAIN),
    "Comparison": lambda: sx.compare(memory(), memory(), sx.starts.points(HELD_OUT)),
    "Continuation": story,
    "Contraction": lambda: sx.contraction(memory(), TRAIN, untrained=False),
    "Decisions": lambda: detector().decide(_noise(20, 1, 4, 4, seed=3), fpr=0.1),
    "Decomposition": lambda: audit().memorization.decomposition,
    "Detector": detector,
    "Diagnosis": lambda: studies.diagnose(plane(), seconds=5),
    "DynamicsMonitor": monitor,
    "Drift": drifted,
    "DriftRanking": lambda: studies.drift_ranking([drifted()]),
    "EditBudget": lambda: studies.EditBudget.parsed("30dB:3"),
    "Estimate": lambda: forecast().seconds,
    "Events": lambda: story().events,
    "Examined": lambda: examined(plane()),
    "Fates": lambda: corners().fates,
    "Fidelity": lambda: testing.basin_fidelity(corners(), testing.plain_float64(plane(), corners().orbits.points)),
    "FieldCheck": lambda: sx.check(plane()),
    "Finding": lambda: sx.check(plane()).findings[0],
    "FirstCrossings": lambda: FirstCrossings(torch.ones(3)),
    "Fitted": lambda: sx.ood.fit_detector(memory(), _noise(60, 1, 4, 4), "knn", check=False),
    "Flicker": lambda: studies.flicker(memory(), HELD_OUT),
    "Glance": lambda: sx.monitoring.Glance(0.5, None, 0.1, 136.0, 17, 20.0),
    "Forecast": forecast,
    "GridSearch": lambda: grid_search(plane(), (-1, 1, -1, 1), 5),
    "ImageSet": lambda: sx.load_images(TRAIN),
    "LatentField": plane,
    "Linearisation": lambda: studies.linearised(memory(), HELD_OUT, trips=3),
    "LimitSets": corners,
    "Matching": lambda: studies.match(story().limits[1], story().limits[2]),
    "MeanDistance": lambda: MeanDistance(torch.ones(3, 2)),
    "Memorization": lambda: audit().memorization,
    "MemorizationAudit": audit,
    "MonitorReport": lambda: sx.ood.StreamMonitor(0.05, calibration=99).count(alarms=1, inputs=9),
    "Motion": motion,
    "NearestItems": lambda: numerics.nearest_items(torch.eye(3), torch.eye(3)),
    "Neighbours": lambda: numerics.nearest(torch.zeros(3, 2), torch.ones(2, 2)),
    "NoiseOnly": lambda: (
        sx.memorization(
            memory(), limits()[:3], TRAIN, HELD_OUT, noise=sx.find_attractors(memory(), sx.starts.points(TRAIN.flip(0)))
        ).noise_only
    ),
    "NormalScale": lambda: numerics.fit_normal_scale(_noise(100, 2)),
    "Orbits": lambda: sx.iterate(plane(), sx.starts.box(16, -1, 1, seed=0), sx.Protocol(max_steps=3)),
    "Overlap": lambda: studies.overlap(TRAIN, torch.cat([TRAIN[:2], HELD_OUT])),
    "Patterns": lambda: studies.drift_patterns(memory(), HELD_OUT[:2], count=2),
    "PathLength": PathLength,
    "PictureBlock": lambda: PictureBlock(names=("a.png",), pixels=torch.zeros(1, 1, 4, 4)),
    "PlainEnds": lambda: testing.plain_float64(plane(), torch.ones(3, 2)),
    "Plane": lambda: Plane.through(torch.zeros(3), torch.eye(3)[:2]),
    "Probe": lambda: sx.probe(memory(), from_noise(), latents=HELD_OUT, sparsities=[1, 2], untrained=False),
    "PytorchOODFace": lambda: sx.ood.PytorchOODFace(detector()),
    "RateLaw": lambda: sx.rate_law(plane(), corners(), sx.starts.box(64, -1, 1, seed=0)),
    "Registry": lambda: sx.models.FAMILIES,
    "Remedies": lambda: studies.drift_remedies(memory(), HELD_OUT, drifted()),
    "Resemblance": lambda: sx.resemblance(memory(), limits(), TRAIN, HELD_OUT),
    "SafeTrips": lambda: drifted().safe,
    "ScoreCheck": lambda: sx.score_check(plane(), sx.starts.gaussian(100, seed=0), rotations=19),
    "SelfCheck": lambda: sx.self_check(memory(), HELD_OUT),
    "Sensitivity": lambda: sx.sensitivity(plane(), sx.starts.box(64, -1, 1, seed=0)),
    "Similarity": lambda: numerics.procrustes(_noise(9, 2), _noise(9, 2)),
    "Snapshot": lambda: monitor().history[-1],
    "Snapshots": lambda: Snapshots([0, 1, 5]),
    "SparseCodes": lambda: numerics.omp(_noise(5, 4), torch.eye(4, dtype=torch.float64), [1, 2]),
    "Spectrum": lambda: spectrum_of(_noise(3, 2, 2)),
    "Starts": lambda: sx.starts.box(64, -1, 1, seed=0),
    "StatisticalCaptures": lambda: sx.limitsets.StatisticalCaptures(1000, 1024, 0, 0.003),
    "StreamMonitor": lambda: sx.ood.StreamMonitor(0.05, calibration=99),
    "TrainingFilm": lambda: sx.training_film([plane(0.5), plane(2.0)], _noise(20, 2), resolution=6, protocol=FEW),
    "TrainingHistory": lambda: sx.models.train_autoencoder(
        torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Linear(1, 2)), torch.rand(8, 2), epochs=3
    ),
    "Triviality": lambda: triviality(corners()),
    "Usage": lambda: monitor().usage,
    "View": lambda: next(iter(result("Comparison").views.values())),
}


@cache
def result(name: str) -> Any:
    """The result of that type; the same object whenever it is asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SeparatrixWarning)
        return MADE[name]()
