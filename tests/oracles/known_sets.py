"""Shared by the oracle tests: searches, done once each, and how a found set is compared with a known one."""

from __future__ import annotations

import functools
import warnings

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

import separatrix as sx
from separatrix import Protocol
from separatrix.errors import ConvergenceWarning
from separatrix.limitsets import Kind
from separatrix.testing import oracles
from separatrix.testing.oracles import CATALOGUE, KnownSet, Oracle

POSITION = 1e-9
MULTIPLIER = 1e-6

SYSTEMS = {
    **CATALOGUE,
    "affine contraction, slow": lambda: oracles.affine_contraction(radius=0.995, dim=4, seed=3, count=24),
    "affine contraction, 40 dimensions": lambda: oracles.affine_contraction(radius=0.8, dim=40, seed=1),
    "affine contraction, 1 dimension": lambda: oracles.affine_contraction(radius=0.5, dim=1, seed=2),
    "superattracting": lambda: oracles.affine_contraction(radius=0.0, dim=2, seed=4),
    "spiral, one turn in 50": lambda: oracles.rotation_scaling(factor=0.98, angle=0.1257),
    "flip": lambda: oracles.scaling(rho=-0.9),
    "tanh(1.05z)": lambda: oracles.tanh_product(gain=1.05, dim=2),
    "ghost of a fold": lambda: oracles.tilted_well(tilt=0.3850, count=64),
    "on the edge of a fold": lambda: oracles.tilted_well(tilt=-0.38),
    "collinear prototypes": lambda: oracles.nearest_prototype(
        ((1.0, 0.0), (3.0, 0.0), (0.0, 2.0), (0.0, 0.5)), -1.0, 4.0
    ),
    "Hopfield in the plane": lambda: oracles.hopfield(beta=4.0, dim=2),
    "invariant curve, one radian": lambda: oracles.invariant_curve(angle=1.0),
}

ATTRACTING = [name for name, make in SYSTEMS.items() if make().attractors and "curve" not in name]
CURVES = [name for name in SYSTEMS if "curve" in name]
NOT_ATTRACTING = [name for name, make in SYSTEMS.items() if not make().attractors]


@functools.cache
def oracle_of(name: str) -> Oracle:
    return SYSTEMS[name]()


def protocol_of(name: str) -> Protocol:
    """The default, with a smaller budget where orbits are known to use up any."""
    return Protocol(max_steps=1500) if name in NOT_ATTRACTING or name in CURVES else Protocol()


@functools.cache
def searched(name: str) -> sx.LimitSets:
    """`find_attractors` from the oracle's starts, once per test session."""
    oracle = oracle_of(name)
    with warnings.catch_warnings():
        if not oracle.attractors:
            warnings.simplefilter("ignore", ConvergenceWarning)
        return sx.find_attractors(oracle.field, oracle.starts, protocol_of(name))


@functools.cache
def iterated(name: str) -> sx.Orbits:
    """`iterate` from the oracle's starts, once per test session."""
    oracle = oracle_of(name)
    with warnings.catch_warnings():
        if not oracle.attractors or name in CURVES:
            warnings.simplefilter("ignore", ConvergenceWarning)
        return sx.iterate(oracle.field, oracle.starts, protocol_of(name))


def quiet_search(oracle: Oracle, starts: Tensor | None = None, protocol: Protocol | None = None) -> sx.LimitSets:
    """A search in which orbits that reach nothing are expected, and are data."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return sx.find_attractors(oracle.field, oracle.starts if starts is None else starts, protocol or Protocol())


def index_of(limits: sx.LimitSets, known: KnownSet, tolerance: float = POSITION) -> int:
    """Which found set is the known one; fails if none or more than one is."""
    near = [i for i in range(len(limits)) if known.defect(limits.points[i : i + 1]).max() <= tolerance]
    assert len(near) == 1, f"{len(near)} found sets within {tolerance} of {known.points[0].tolist()}: {limits}"
    return near[0]


def multiset_distance(a: Tensor, b: Tensor) -> float:
    """Largest distance of partners when two lists of complex numbers are paired in the best way."""
    assert a.shape == b.shape
    cost = (a[:, None] - b[None]).abs().numpy()
    return float(cost[linear_sum_assignment(cost)].max())


def largest(eigenvalues: Tensor, count: int) -> Tensor:
    return eigenvalues[eigenvalues.abs().argsort(descending=True)][:count]


def assert_found(
    limits: sx.LimitSets,
    known: KnownSet,
    field: sx.LatentField,
    scale: float = 1.0,
    multiplier: float = MULTIPLIER,
) -> int:
    """The known fixed point or cycle is among the found sets, once, with every column right; its index."""
    index = index_of(limits, known, POSITION * scale)
    row = limits[index]
    assert Kind(int(row.kind)) == known.kind
    assert int(row.period) == known.period
    assert row.points.dtype == torch.float64
    assert float(row.residual) <= 1e-12 * scale * (1 + float(known.points.abs().max()) / scale)
    eigenvalues = row.eigenvalues[0]
    assert multiset_distance(eigenvalues, largest(known.eigenvalues, len(eigenvalues))) <= multiplier
    assert abs(float(row.spectral_radius) - known.spectral_radius) <= multiplier
    jacobian = torch.eye(field.latent_dim, dtype=torch.float64)
    for point in limits.trace(index):
        jacobian = field.jacobian(point[None])[0] @ jacobian
    norm = float(torch.linalg.matrix_norm(jacobian, 2))
    assert abs(float(row.spectral_norm) - norm) <= multiplier * (1 + norm)
    assert float(row.spectral_norm) >= float(row.spectral_radius) - multiplier
    if abs(known.spectral_radius - 1) < multiplier:
        assert int(row.stable) in (0, -1), "a neutral spectrum does not decide, and never says that it attracts"
    else:
        assert int(row.stable) == int(known.stable)
    assert int(row.unstable_directions) == known.unstable_directions
    trace = limits.trace(index)
    assert trace.shape == known.points.shape
    phase = int((known.points - trace[0]).flatten(1).norm(dim=1).argmin())
    assert (known.points.roll(-phase, 0) - trace).flatten(1).norm(dim=1).max() <= POSITION * scale
    assert torch.equal(trace[0], limits.points[index])
    return index


def plain_labels(oracle: Oracle, starts: Tensor, steps: int = 5000) -> Tensor:
    """``(n,)`` index into ``oracle.attractors`` of where plain iteration takes each start."""
    z = starts
    for _ in range(steps):
        z = oracle.field(z)
    distance, label = torch.stack([known.defect(z) for known in oracle.attractors]).min(dim=0)
    assert distance.max() < 1e-6, "the plain loop was too short"
    return label
