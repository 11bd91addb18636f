"""What kind of field is this, and how should it be searched? A few thousand evaluations before an hour of them.

Nothing here counts attractors. It measures how strongly the map contracts, where a few short orbits go, what
rounding costs and how fast the network is, and :mod:`separatrix.studies._advice` turns that into a protocol.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from separatrix.arguments import checked, not_negative, whole
from separatrix.cost import NO_WORK, Cost
from separatrix.data import ImageSource
from separatrix.field import FieldCheck, LatentField, check, memory_per_orbit
from separatrix.numerics import spread
from separatrix.orbits import Orbits, Status, run_orbits
from separatrix.protocol import Protocol
from separatrix.starts import as_starts, encoded, gaussian
from separatrix.studies._advice import Advice, advise
from separatrix.studies._local_spectra import LocalSpectrum, spectra_at
from separatrix.studies._loop_closure import LoopClosure, as_images, loop_closure
from separatrix.studies._rounding import Rounding, rounding_in
from separatrix.words import Readable, jsonable
from separatrix.work import Progress

NOISE, DATA, ENDS = "N(0, I)", "encoded data", "where the pilot orbits ended"
_FEWEST_STEPS = 20  # of a pilot orbit, however slow the network is
_FEWEST_ORBITS = 4
_PARTS = 5  # of the time: pilot, spectra at the starts, spectra at the ends, and two for all else
_TIMINGS = 3
_LONG = 1.0  # seconds; a batch that takes longer is timed once, for noise is then a small part of it
_FEWEST_SAMPLES = 16
_SHARE = 12  # each measurement over the samples may take this part of the time
_FORMAT_COST = 8  # evaluations in float64 or bfloat16 count as so many on a CPU
_IMAGES = 16  # data on which the way from decoder to encoder is tested


@dataclass(frozen=True)
class LatentScale:
    """It tells what one application of f does to the size of a cloud: σ = √(mean ‖z − mean z‖²/k), per coordinate."""

    where: str
    samples: int
    sigma_in: float
    sigma_out: float

    @property
    def ratio(self) -> float:
        """σ_out/σ_in: below 1 the map draws the cloud together."""
        return self.sigma_out / self.sigma_in if self.sigma_in > 0 else math.nan


@dataclass(frozen=True)
class Pilot:
    """A few short orbits: how many ended how, and the median steps of those that arrived (NaN if none did)."""

    starts: str
    statuses: Mapping[Status, int]
    max_steps: int
    steps_median: float


@dataclass(frozen=True)
class Throughput:
    """The batch size that is used (`LatentField.with_batch_size`), and map evaluations per second with it."""

    batch_size: int
    per_second: float


@dataclass(frozen=True, kw_only=True)
class Diagnosis(Readable):
    """It tells what a short look at a field shows. If ``checked`` is not ok, nothing else was measured.

    Attributes:
        model: identity of the field, as by ``LatentField.describe``.
        checked: is it a deterministic self-map?
        scales: of N(0, I), and of encoded data if data were given.
        spectra: at the first starts, and where the first pilot orbits ended.
        pilot: a few short orbits from encoded data, else from N(0, I).
        rounding: at the starts, against float64; None where no float64 copy can be made.
        bfloat16: what computing in bfloat16 instead would do; None where no such copy can be made.
        loop: do the decoder's output and the encoder's input agree in range and size?
        memory: bytes per orbit at the peak of one evaluation; None where it cannot be seen.
        throughput: speed.
        advice: protocol, predicted steps, reasons.
        cost: work done.
    """

    model: Mapping[str, Any]
    checked: FieldCheck
    scales: tuple[LatentScale, ...] = ()
    spectra: tuple[LocalSpectrum, ...] = ()
    pilot: Pilot | None = None
    rounding: Rounding | None = None
    bfloat16: Rounding | None = None
    loop: LoopClosure | None = None
    memory: int | None = None
    throughput: Throughput | None = None
    advice: Advice | None = None
    cost: Cost = NO_WORK

    def __repr__(self) -> str:
        steps = f"; about {self.advice.steps} steps to rest" if self.advice is not None and self.advice.steps else ""
        return f"Diagnosis({self.model['name']}: {self.checked!r}{steps})"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; numbers that are not finite are None."""
        record = asdict(self)
        record["slopes"] = record.pop("spectra")
        record["checked"]["ok"] = self.checked.ok
        if self.advice is not None:
            record["advice"]["protocol"] = self.advice.protocol.to_dict()
        record["scales"] = [{**asdict(scale), "ratio": scale.ratio} for scale in self.scales]
        if self.pilot is not None:
            record["pilot"]["statuses"] = {status.name: count for status, count in self.pilot.statuses.items()}
        return jsonable(record)


@checked
def diagnose(
    field: LatentField,
    data: ImageSource | None = None,
    *,
    protocol: Protocol | str | None = None,
    samples: int = 256,
    orbits: int = 16,
    max_steps: int = 200,
    seconds: float = 60.0,
    seed: int = 0,
    progress: bool | Progress = False,
) -> Diagnosis:
    """Check a field, measure it at a few points, and suggest how to search it.

    Args:
        field: the field.
        data: where orbits are to start, as `load_images` takes it; without data they start at N(0, I).
        protocol: whose tolerance and budget the predictions are about; the default one if not given.
        samples: points at which the change of scale and the rounding are measured; fewer on a slow network.
        orbits: number of pilot orbits.
        max_steps: budget of each.
        seconds: about how long this may take; on a slow network the pilot gets fewer orbits and steps, and the Jacobian is
            taken at fewer points, or ρ and ‖J‖₂ are estimated roughly.
        seed: of the Gaussian points.
        progress: show a progress bar, or move the one that is there (`separatrix.work._progress`).

    Raises:
        InputError: data that the model does not take, or options out of range.

    Cost: at most about 6·samples + orbits·max_steps evaluations, some timings, and the spectrum at eight points (2k
    evaluations each up to k = 512, above about a thousand each), all limited by ``seconds``.

    >>> field = LatentField.from_map(lambda z: 0.5 * z, latent_shape=(3,), dtype=torch.float64)
    >>> found = diagnose(field)
    >>> round(found.scales[0].ratio, 9), round(found.spectra[0].radius, 9), found.advice.steps
    (0.5, 0.5, 25)
    """
    for name, value in (("samples", samples), ("orbits", orbits), ("max_steps", max_steps)):
        whole(name, value, 2)
    not_negative("seconds", seconds)
    with Progress.of(progress).stage("measuring", 5) as line:
        checked = check(field)
        if not checked.ok:
            return Diagnosis(model=field.describe(), checked=checked)
        rules = Protocol.of(protocol)
        rate = _rate(field)
        samples = min(samples, max(_FEWEST_SAMPLES, int(rate * seconds / _SHARE)))
        clouds = _clouds(field, data, samples, seed)
        where, z = list(clouds.items())[-1]
        unit = spread(z)
        with field.guest():
            throughput, timed = _throughput(field, z)
            scales = tuple(_scale(name, cloud, field) for name, cloud in clouds.items())
        affordable = throughput.per_second * seconds / _PARTS
        orbits = min(orbits, max(_FEWEST_ORBITS, int(affordable / _FEWEST_STEPS)))
        max_steps = min(max_steps, max(_FEWEST_STEPS, int(affordable / orbits)))
        short = Protocol(tolerance=rules.tolerance, max_steps=max_steps, probe_steps=max_steps)
        line.advance()
        with line.stage("following orbits", orbits):
            ended = run_orbits(field, as_starts(z[:orbits]), short, spread=unit, progress=line)
        with line.stage("Jacobians"):
            at_starts, cost_at_starts = spectra_at(field, where, z, affordable)
            at_ends, cost_at_ends = spectra_at(field, ENDS, _end_points(ended), affordable)
        few = z[: max(_FEWEST_SAMPLES // 2, min(samples, int(rate * seconds / _SHARE / _FORMAT_COST)))]
        with line.stage("number formats"):
            rounding = rounding_in(field, torch.float64, few, unit)
            coarse = rounding_in(field, torch.bfloat16, few, unit) if field.dtype != torch.bfloat16 else None
        loop = loop_closure(field, z[:_IMAGES], None if data is None else as_images(data, _IMAGES))
        pilot = Pilot(where, ended.counts, max_steps, _median(ended.steps[ended.reached]))
        advice = advise(
            rules,
            radii=[slope.radius for slope in at_ends if math.isfinite(slope.radius)],
            statuses=ended.counts,
            pilot_steps=max_steps,
            steps_median=pilot.steps_median,
            per_second=throughput.per_second,
            rounding=None if rounding is None else rounding.median,
            latent_dim=field.latent_dim,
            quantised=bool(field.details.get("quantised")),
        )
        return Diagnosis(
            model=field.describe(),
            checked=checked,
            scales=scales,
            spectra=(*at_starts, *at_ends),
            pilot=pilot,
            rounding=rounding,
            bfloat16=coarse,
            loop=loop,
            memory=memory_per_orbit(field, z),
            throughput=throughput,
            advice=advice,
            cost=timed
            + Cost(map=sum(map(len, clouds.values())))
            + ended.cost
            + cost_at_starts
            + cost_at_ends
            + Cost(map=4 * len(few) + _IMAGES),
        )


def _clouds(field: LatentField, data: ImageSource | None, samples: int, seed: int) -> dict[str, Tensor]:
    """Points of the latent space by where they come from; where orbits are to start stands last."""
    clouds = {NOISE: gaussian(samples, seed=seed).block(field, 0, samples)}
    if data is not None:
        source = encoded(data, limit=samples)
        clouds[DATA] = source.block(field, 0, len(source))
    return clouds


def _rate(field: LatentField) -> float:
    """Map evaluations per second of small batches, after one that pays for lazy initialisation."""
    z = gaussian(_FEWEST_SAMPLES, seed=0).block(field, 0, _FEWEST_SAMPLES)
    field(z[:2])
    return len(z) / _best_time(field, z)[0]


def _best_time(field: LatentField, z: Tensor) -> tuple[float, int]:
    """Seconds of the quickest of a few passes, for whatever else the machine does can only slow them down; and how many."""
    seconds: list[float] = []
    while len(seconds) < _TIMINGS and (not seconds or seconds[-1] <= _LONG):
        begin = time.perf_counter()
        field(z)
        if field.device.type == "cuda":
            torch.cuda.synchronize(field.device)
        seconds.append(time.perf_counter() - begin)
    return max(min(seconds), 1e-9), len(seconds)


def _throughput(field: LatentField, z: Tensor) -> tuple[Throughput, Cost]:
    """The pace of the batches that are used, and what it took to measure it."""
    batch = z[: field.batches.size]
    best, times = _best_time(field, batch)
    return Throughput(len(batch), len(batch) / best), Cost(map=times * len(batch))


def _scale(where: str, z: Tensor, field: LatentField) -> LatentScale:
    root = math.sqrt(z[0].numel())
    return LatentScale(where, len(z), _width(z) / root, _width(field.bare(z)) / root)


def _width(z: Tensor) -> float:
    """√(mean ‖z − mean z‖²); unlike :func:`spread` zero for a cloud of one point."""
    flat = z.flatten(1).to(torch.float64)
    return float((flat - flat.mean(dim=0)).square().sum(dim=1).mean().sqrt())


def _end_points(ended: Orbits) -> Tensor:
    """Finite end points, those that arrived first: they are where ρ is a rate, though of those orbits only."""
    order = ended.reached.logical_not().to(torch.int8).argsort(stable=True)
    points = ended.points[order]
    return points[points.flatten(1).isfinite().all(dim=1)]


def _median(steps: Tensor) -> float:
    return float(steps.to(torch.float64).quantile(0.5)) if len(steps) else math.nan
