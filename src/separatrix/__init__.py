"""separatrix: a trained autoencoder read as a dynamical system on its latent space.

These are the names of the main line. Everything else, types of results among it, is in the room that makes it: ``sx.limitsets``,
``sx.ood``, ``sx.plots`` and so on. All of them are imported when they are first used.

>>> import separatrix as sx
>>> field = sx.LatentField.from_map(lambda z: z.mul(2).tanh(), latent_shape=(1,))
>>> sx.find_attractors(field, sx.starts.box(100, -1.0, 1.0, seed=0))
LimitSets(2 fixed points; 2 attract; all 100 starts reached an attractor)
"""

from typing import TYPE_CHECKING

from separatrix.work import on_demand

if TYPE_CHECKING:
    from separatrix import (  # noqa: I001  (one list of rooms, not a statement for each)
        data as data,
        engines as engines,
        errors as errors,
        explorer as explorer,
        field as field,
        limitsets as limitsets,
        models as models,
        monitoring as monitoring,
        numerics as numerics,
        ood as ood,
        orbits as orbits,
        plots as plots,
        runs as runs,
        starts as starts,
        studies as studies,
        testing as testing,
    )
    from separatrix.data import load_images
    from separatrix.field import LatentField, check
    from separatrix.limitsets import LimitSets, basins, find_attractors, find_fixed_points, motion, sensitivity
    from separatrix.models import load
    from separatrix.monitoring import DynamicsMonitor
    from separatrix.ood import TrajectoryDetector, TypicalityDetector, self_check
    from separatrix.orbits import Orbits, Status, iterate
    from separatrix.protocol import Protocol
    from separatrix.studies import (
        audit_memorization,
        compare,
        continuation,
        contraction,
        drift,
        load_result,
        memorization,
        probe,
        rate_law,
        resemblance,
        save_result,
        score_check,
        training_film,
    )
else:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "data": ("load_images",),
            "field": ("LatentField", "check"),
            "limitsets": ("LimitSets", "basins", "find_attractors", "find_fixed_points", "motion", "sensitivity"),
            "models": ("load",),
            "monitoring": ("DynamicsMonitor",),
            "ood": ("TrajectoryDetector", "TypicalityDetector", "self_check"),
            "orbits": ("Orbits", "Status", "iterate"),
            "protocol": ("Protocol",),
            "studies": (
                "audit_memorization",
                "compare",
                "continuation",
                "contraction",
                "drift",
                "load_result",
                "memorization",
                "probe",
                "rate_law",
                "resemblance",
                "save_result",
                "score_check",
                "training_film",
            ),
        },
        modules=(
            "data",
            "engines",
            "errors",
            "explorer",
            "field",
            "limitsets",
            "models",
            "monitoring",
            "numerics",
            "ood",
            "orbits",
            "plots",
            "runs",
            "starts",
            "studies",
            "testing",
        ),
    )

__version__ = "0.1.0"

__all__ = [
    "DynamicsMonitor",
    "LatentField",
    "LimitSets",
    "Orbits",
    "Protocol",
    "Status",
    "TrajectoryDetector",
    "TypicalityDetector",
    "audit_memorization",
    "basins",
    "check",
    "compare",
    "continuation",
    "contraction",
    "drift",
    "find_attractors",
    "find_fixed_points",
    "iterate",
    "load",
    "load_images",
    "load_result",
    "memorization",
    "motion",
    "probe",
    "rate_law",
    "resemblance",
    "save_result",
    "score_check",
    "self_check",
    "sensitivity",
    "starts",
    "training_film",
]
