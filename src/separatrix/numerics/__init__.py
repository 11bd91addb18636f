"""Pure functions on tensors and arrays, no model in sight: distances, intervals, ranks, sparse codes, closed curves, random numbers by index."""

from separatrix.numerics import counter_random
from separatrix.numerics._agreement import Agreement, agreement
from separatrix.numerics._bootstrap import bootstrap_means, interval_of
from separatrix.numerics._closed_curve import ClosedCurve, closed_curve, distance_to_curve
from separatrix.numerics._conformal import (
    calibration_for_precision,
    calls,
    conformal_p_values,
    discoveries,
    false_alarm_interval,
    smallest_calibration,
)
from separatrix.numerics._delong import PairedTest, delong_test
from separatrix.numerics._distances import Neighbours, first_apart, nearest, nearest_other, pairwise, spread
from separatrix.numerics._intervals import clopper_pearson, trials_without_success
from separatrix.numerics._metrics import (
    Interval,
    aupr_id_positive,
    aupr_ood_positive,
    auroc,
    auroc_interval,
    bootstrap_interval,
    fpr95_id_kept,
    fpr95_ood_caught,
)
from separatrix.numerics._neighbours import Distance, Engine, NearestItems, joined, most_similar, nearest_items
from separatrix.numerics._normal_scores import NormalScale, apply_normal_scale, fit_normal_scale
from separatrix.numerics._omp import CodeStatus, SparseCodes, omp, omp_gram
from separatrix.numerics._procrustes import Similarity, procrustes, relative
from separatrix.numerics._ranks import benjamini_hochberg, rank_p_values
from separatrix.numerics._spatial import morans_i, shuffled_p_values

__all__ = [
    "Agreement",
    "ClosedCurve",
    "CodeStatus",
    "Distance",
    "Engine",
    "Interval",
    "NearestItems",
    "Neighbours",
    "NormalScale",
    "PairedTest",
    "Similarity",
    "SparseCodes",
    "agreement",
    "apply_normal_scale",
    "aupr_id_positive",
    "aupr_ood_positive",
    "auroc",
    "auroc_interval",
    "benjamini_hochberg",
    "bootstrap_interval",
    "bootstrap_means",
    "calibration_for_precision",
    "calls",
    "clopper_pearson",
    "closed_curve",
    "conformal_p_values",
    "counter_random",
    "delong_test",
    "discoveries",
    "distance_to_curve",
    "false_alarm_interval",
    "first_apart",
    "fit_normal_scale",
    "fpr95_id_kept",
    "fpr95_ood_caught",
    "interval_of",
    "joined",
    "morans_i",
    "most_similar",
    "nearest",
    "nearest_items",
    "nearest_other",
    "omp",
    "omp_gram",
    "pairwise",
    "procrustes",
    "rank_p_values",
    "relative",
    "shuffled_p_values",
    "smallest_calibration",
    "spread",
    "trials_without_success",
]
