"""Latent maps with known answers: fixed points, cycles, curves, multipliers and basins to full float64
precision.

Each function returns an :class:`Oracle`: a float64 :class:`~separatrix.field._field.LatentField`, deterministic
starts, and the limit sets as :class:`KnownSet` records. ``CATALOGUE`` maps a name to a function without
arguments, so that a test can be parametrised over all systems.

>>> oracle = tanh_product(gain=2.0, dim=3)
>>> [sum(known.unstable_directions == k for known in oracle.limit_sets) for k in range(4)]
[8, 12, 6, 1]
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from separatrix.testing.oracles._forks import late_fork
from separatrix.testing.oracles._heteroclinic import may_leonard
from separatrix.testing.oracles._linear import (
    affine_contraction,
    mean_distance_to_origin,
    non_normal,
    pca_autoencoder,
    projection,
    rotation,
    rotation_scaling,
    scaling,
    translation,
)
from separatrix.testing.oracles._memories import hopfield, nearest_prototype
from separatrix.testing.oracles._planar import GOLDEN_ANGLE, henon, invariant_curve, newton_cube_roots
from separatrix.testing.oracles._record import KnownSet, Oracle, conjugated
from separatrix.testing.oracles._scalar import (
    logistic,
    negated_tanh_product,
    neutral_tanh,
    tanh_fixed_point,
    tanh_product,
    tilted_well,
)

CATALOGUE: Mapping[str, Callable[[], Oracle]] = MappingProxyType(
    {
        "affine contraction": affine_contraction,
        "non-normal": non_normal,
        "rotation-scaling": rotation_scaling,
        "rotation by 2/5 of a turn": rotation,
        "scaling by 0.9": scaling,
        "doubling": lambda: scaling(rho=2.0),
        "translation": translation,
        "PCA autoencoder": pca_autoencoder,
        "projection": projection,
        "tanh(2z)": tanh_product,
        "product of three tanh(2z)": lambda: tanh_product(dim=3),
        "-tanh(2z)": negated_tanh_product,
        "product of two -tanh(2z)": lambda: negated_tanh_product(dim=2),
        "tanh(z)": neutral_tanh,
        "logistic 2.5": logistic,
        "logistic 3.2": lambda: logistic(3.2),
        "logistic 3.5": lambda: logistic(3.5),
        "logistic 4": lambda: logistic(4.0),
        "level well": tilted_well,
        "tilted well": lambda: tilted_well(tilt=0.2),
        "overturned well": lambda: tilted_well(tilt=0.5),
        "Hénon": henon,
        "Newton for z³ = 1": newton_cube_roots,
        "nearest prototype": nearest_prototype,
        "Hopfield, beta 4": hopfield,
        "Hopfield, beta 1.5": lambda: hopfield(beta=1.5),
        "Hopfield, beta 2": lambda: hopfield(beta=2.0),
        "late fork": lambda: late_fork(minority=0.25, count=64),
        "May–Leonard": may_leonard,
        "invariant curve": invariant_curve,
        "invariant curve in 6 dimensions": lambda: invariant_curve(dim=6),
    }
)

__all__ = [
    "CATALOGUE",
    "GOLDEN_ANGLE",
    "KnownSet",
    "Oracle",
    "affine_contraction",
    "conjugated",
    "henon",
    "hopfield",
    "invariant_curve",
    "late_fork",
    "logistic",
    "may_leonard",
    "mean_distance_to_origin",
    "nearest_prototype",
    "negated_tanh_product",
    "neutral_tanh",
    "newton_cube_roots",
    "non_normal",
    "pca_autoencoder",
    "projection",
    "rotation",
    "rotation_scaling",
    "scaling",
    "tanh_fixed_point",
    "tanh_product",
    "tilted_well",
    "translation",
]
