"""A probe as plain values: every number that figures and tables show, ready for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import Tensor

from separatrix.numerics import bootstrap_means, interval_of
from separatrix.studies._probing.compare import SPACES, DictionaryComparison
from separatrix.studies._probing.dictionary import Dictionary
from separatrix.studies._probing.headline import by_sparsity
from separatrix.studies._probing.result import Probe

_REPEATS = 1000


def probe_summary(found: Probe) -> dict[str, Any]:
    """Curves, comparisons, geometry and sentences. Infinite and undefined numbers are still floats in it."""
    return {
        "name": found.name,
        "headline": str(found.statement),
        "code": found.statement.slug,
        "findings": {space: str(found.conclusions[space]) for space in SPACES},
        "reasons": list(found.reasons),
        "absent": list(found.absent),
        "sparsities": list(found.sparsities),
        "signals": len(found),
        "floor": float(found.floor.mean()),
        "power": float(found.power.mean()),
        "empty": float(found.empty.mean()),
        "peak": {"latent": found.peak_latent, "image": found.peak_image},
        "dictionaries": [_dictionary(found, known) for known in found.dictionaries],
        "comparisons": [_comparison(found, one) for one in found.comparisons],
        "cost": {**asdict(found.cost), "total": found.cost.total},
        "provenance": dict(found.provenance),
    }


def _dictionary(found: Probe, known: Dictionary) -> Mapping[str, Any]:
    errors = found.errors[known.name]
    return {
        "name": known.name,
        "role": known.role.name.lower(),
        "words": known.words,
        "geometry": asdict(known.geometry),
        "relative_latent_error": found.relative(known.name).tolist(),
        **{f"{space}_mse": _curve(errors.of(space)) for space in SPACES},
        **{f"{space}_psnr": found.psnr(known.name, space).tolist() for space in SPACES},
        "ended_early": errors.ended_early.tolist(),
    }


def _curve(errors: Tensor) -> Mapping[str, Any]:
    """Mean over the signals at each sparsity, with its 95 % bootstrap interval."""
    low, high = interval_of(bootstrap_means(errors, repeats=_REPEATS))
    return {"mean": errors.mean(dim=0).tolist(), "low": low.tolist(), "high": high.tolist()}


def _comparison(found: Probe, one: DictionaryComparison) -> Mapping[str, Any]:
    return {
        "dictionary": one.name,
        "control": one.control,
        "space": one.space,
        "verdict": str(one.standing),
        "share": [one.share, one.share_low, one.share_high],
        "area": [one.area, one.area_low, one.area_high],
        "gain": one.gain.tolist(),
        "gain_low": one.low.tolist(),
        "gain_high": one.high.tolist(),
        "by_sparsity": by_sparsity(one, found.sparsities),
    }
