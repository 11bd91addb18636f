"""`compare`: do two models have the same dynamics?"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.data import ImageSource
from separatrix.errors import ConvergenceWarning, InputError
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets, find_attractors, triviality
from separatrix.numerics import Agreement, agreement
from separatrix.protocol import Protocol
from separatrix.starts import Starts, as_starts, encoded
from separatrix.starts._rules import Encoded, NoiseImages
from separatrix.studies._comparison.result import Comparison
from separatrix.studies._comparison.views import views
from separatrix.studies._continuation.matching import match
from separatrix.work import AtOnce, Progress, Stages

_MOST_ANCHORS = 1000
_UNRESOLVED = 0.1  # above this share of starts without an attractor, the reader is told


@checked
def compare(
    a: LatentField,
    b: LatentField,
    starts: Starts | Tensor,
    *,
    anchors: ImageSource | None = None,
    reseeded: Sequence[LatentField] = (),
    rerun: bool = True,
    threshold: float = 0.25,
    protocol: Protocol | str | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    stages: Stages | None = None,
    progress: bool | Progress = False,
) -> Comparison:
    """Basins on shared starts, and attractors in spaces that both models share.

    The agreement of the basins needs no alignment: a start that is an image x goes to an attractor of A from E_A(x) and to one
    of B from E_B(x), and only *which starts go together* is compared. It is adjusted for chance, and stands beside a ceiling:
    the agreement of A with ``reseeded`` runs of itself, or else with itself searched again in another order.

    Attractors are compared where they are in the same coordinates, after orthogonal Procrustes alignment on shared anchors, in
    relative representation (cosines with the anchors), and decoded; each against random anchors of A in their place.

    Args:
        a: a model.
        b: another: a later checkpoint, a quantised copy, a fine-tune, another seed, another architecture.
        starts: the same for both; `starts.encoded(images)` for models whose latents differ. Starts that are latents (noise, a
            grid) compare only models with the same latent coordinates.
        anchors: images to align with; by default the starts themselves, if they are images.
        reseeded: further models of A's recipe, trained from other seeds.
        rerun: search A twice, to see how far it agrees with itself.
        threshold: distance, in spreads of the anchors, up to which two attractors are the same.
        protocol: of all searches.
        batch_size: most latents, or images, in one network pass; by a fixed rule if not given (`LatentField.with_batch_size`).
        seed: of shuffles and draws.
        stages: keeps the searches (limits_a, limits_b, rerun, reseeded_1, …), as a run does (`separatrix.runs`).
        progress: show a progress bar, or move the one that is there (`separatrix.work._progress`).

    Raises:
        InputError: latent starts for models with different latent spaces, or nothing to compare them in.
        FieldError: one of the models is not a deterministic self-map.

    Cost: one search of each model, one more of A with ``rerun``, one for each reseeded model.

    >>> from separatrix import starts
    >>> left, right = (LatentField.from_map(lambda z, g=g: torch.tanh(g * z), (2,)) for g in (2.0, 3.0))
    >>> found = compare(left, right, starts.box(200, -1, 1, seed=0))
    >>> found.ami, found.views["latent"].matched, found.partner.tolist()
    (1.0, 4, [0, 1, 2, 3])
    """
    a, b, protocol = LatentField.of(a), LatentField.of(b), Protocol.of(protocol)
    source = as_starts(starts)
    paired = isinstance(source.rule, (Encoded, NoiseImages))
    if not paired and a.latent_shape != b.latent_shape:
        raise InputError(
            f"Latents {a.latent_shape} and {b.latent_shape} have no starts in common; start both from images with "
            "starts.encoded(images)."
        )
    if not threshold > 0:
        raise InputError(f"threshold must be positive, not {threshold!r}.")
    a, b, *reseeded = (field.with_batch_size(batch_size) for field in (a, b, *reseeded))
    kept = stages or AtOnce()
    with Progress.of(progress).stage("searching both models", 2 + rerun + len(reseeded)) as line:

        def attractors(name: str, field: LatentField, order: Tensor | None = None) -> LimitSets:
            return kept.stage(
                name, partial(_found, field, source, protocol, line, order, kept.unfinished(name))
            ).attractors

        sets_a, sets_b = attractors("limits_a", a), attractors("limits_b", b)
        basins = _agreed(sets_a.labels, sets_b.labels, seed)
        again = math.nan
        if rerun:  # other pilots, other generations, other batches
            order = torch.randperm(len(source), generator=torch.Generator().manual_seed(seed))
            shuffled = attractors("rerun", a, order).labels.cpu()
            again = _agreed(sets_a.labels, shuffled[order.argsort()], seed).ami
        others = tuple(
            _agreed(sets_a.labels, attractors(f"reseeded_{number}", other).labels, seed).ami
            for number, other in enumerate(reseeded, start=1)
        )
    matching = match(sets_a, sets_b, by="basins", threshold=1.0)
    partner = torch.full((len(sets_a),), -1, dtype=torch.int64)
    there = matching.partner >= 0
    partner[matching.partner[there]] = there.nonzero().squeeze(1)
    similarity = torch.full((len(sets_a),), torch.nan, dtype=torch.float64)
    rows = (partner >= 0).nonzero().squeeze(1)
    similarity[rows] = 1 - matching.dissimilarity[rows, partner[rows]]
    pins, aligned = _anchors((a, b), source, anchors, paired)
    return Comparison(
        share=sets_a.fractions.cpu(),
        partner=partner,
        similarity=similarity,
        ami=basins.ami,
        ari=basins.ari,
        null_high=basins.null_high,
        p_value=basins.p_value,
        counted=basins.counted,
        starts=basins.items,
        rerun=again,
        reseeded=others,
        views=views((a, b), (sets_a, sets_b), pins, paired=aligned, threshold=threshold, seed=seed),
        limits_a=sets_a,
        limits_b=sets_b,
        provenance={"a": a.describe(), "b": b.describe(), "starts": dict(source.provenance), "seed": seed},
        notes=_notes(sets_a, sets_b, basins, a, pins[0], aligned),
    )


def _found(
    field: LatentField,
    source: Starts,
    protocol: Protocol | None,
    progress: Progress,
    order: Tensor | None,
    checkpoint: Path | None,
) -> LimitSets:
    """The search from these starts, or from the same in another order."""
    starts = source if order is None else source.block(field, 0, len(source))[order.to(field.device)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the starts that were counted are reported
        return find_attractors(field, starts, protocol, progress=progress, checkpoint=checkpoint)


def _agreed(first: Tensor, second: Tensor, seed: int) -> Agreement:
    return agreement(first.cpu().numpy(), second.cpu().numpy(), seed=seed)


def _anchors(
    fields: tuple[LatentField, LatentField], source: Starts, anchors: ImageSource | None, paired: bool
) -> tuple[tuple[Tensor, Tensor], bool]:
    """Latents of the same inputs in both models, and whether they are encodings of shared data."""
    pins = source if anchors is None else encoded(anchors, limit=_MOST_ANCHORS)
    count = min(len(pins), _MOST_ANCHORS)
    found = tuple(pins.block(field, 0, count).detach() for field in fields)
    return (found[0], found[1]), paired or anchors is not None


def _notes(
    first: LimitSets, second: LimitSets, basins: Agreement, a: LatentField, pins: Tensor, aligned: bool
) -> tuple[str, ...]:
    notes = [
        f"{name}: {found.statement}"
        for name, limits in (("A", first), ("B", second))
        if (found := triviality(limits)).trivial
    ]
    lost = 1 - basins.counted / max(basins.items, 1)
    if lost > _UNRESOLVED:
        notes.append(
            f"{100 * lost:.0f} % of the starts reached no attractor in one of the models or both, and nothing is said about them; "
            "raise max_steps."
        )
    if aligned and len(pins) // 2 < 2 * a.latent_dim:
        notes.append(
            f"The alignment was fitted to {-(-len(pins) // 2)} anchors in {a.latent_dim} dimensions, too few to be trusted; give "
            f"at least {4 * a.latent_dim} images."
        )
    return tuple(notes)
