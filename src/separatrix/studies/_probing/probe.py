"""`probe`: code real latents with noise attractors, and with everything that noise attractors must beat."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.cost import Cost
from separatrix.data import ImageSource, encode_range, load_images, shape_words, tensor_of
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets
from separatrix.orbits import Orbits
from separatrix.starts import Starts
from separatrix.studies._probing.coding import coding_errors, decoded, signals_of
from separatrix.studies._probing.data_free import DataFreeDictionaries, data_free_dictionaries
from separatrix.studies._probing.from_data import apart, principal_directions, real_latents
from separatrix.studies._probing.headline import reasons_of
from separatrix.studies._probing.judgement import judgement
from separatrix.studies._probing.result import Probe

SHOWN_SHARES = (0.05, 0.25, 0.5)
"""Numbers of atoms, as shares of the latent dimension, at which reconstructions are shown."""

_EXAMPLES = 6  # coded latents kept for pictures


@checked
def probe(
    field: LatentField,
    atoms: LimitSets | Orbits | Tensor | DataFreeDictionaries,
    images: ImageSource | None = None,
    *,
    latents: Tensor | None = None,
    reference: ImageSource | None = None,
    sparsities: Sequence[int] | None = None,
    starts: Starts | Tensor | None = None,
    untrained: LimitSets | Orbits | Tensor | bool = True,
    name: str | None = None,
    repeats: int = 2000,
    seed: int = 0,
) -> Probe:
    """Do the attractors of noise span real data better than what costs less? (Fumero et al., ICLR 2026.)

    Each latent z = E(x) is coded by orthogonal matching pursuit, ẑ = Σ_{j∈S} γⱼ aⱼ with |S| = k, over the attractors of
    noise and over every control, and decoded again. Errors ‖z − ẑ‖²/d and ‖x − D(ẑ)‖²/p are compared image by image.
    The paper compares with a random orthonormal basis alone; that f contracts noise towards the data at all is enough to
    win there. So the same noise after *one* step, the noise itself, and the same procedure on untrained weights are part
    of every result, and real latents and their principal directions say how good a dictionary could be.

    Args:
        field: the latent field.
        atoms: limit sets or orbits of noise starts, points, or `data_free_dictionaries` to share among data sets.
        images: real images to be coded: a tensor, an `ImageSet`, or what `load_images` takes.
        latents: instead of images: latents ``(s, *latent_shape)``; decoded codes are then compared with D(z).
        reference: other images (or latents) from which PCA and the dictionary of real latents are made. Without it the
            second half of the data is set aside for that. Items that are also coded are left out, and counted.
        sparsities: numbers of atoms; by default powers of 2 below d, and 5, 25 and 50 % of d.
        starts: see `data_free_dictionaries`.
        untrained: see `data_free_dictionaries`.
        name: of the data set.
        repeats: bootstrap resamples.
        seed: of everything random.

    Raises:
        InputError: data that do not fit the model, fewer than two signals, no noise starts, or options out of range.

    Cost: one encoding per image, one decoding per image, dictionary and sparsity, and that of `data_free_dictionaries`.

    >>> from separatrix import find_attractors, starts
    >>> wells = LatentField.from_map(lambda z: torch.tanh(3 * z), latent_shape=(4,), dtype=torch.float64)
    >>> limits = find_attractors(wells, starts.gaussian(64, seed=0))
    >>> corners = torch.randn(40, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).sign()
    >>> found = probe(wells, limits, latents=corners, sparsities=[1])
    >>> found.conclusions["latent"].value
    'iterating adds something'
    """
    given, are_latents = (latents, True) if images is None else (images, False)
    if given is None or (latents is not None and not are_latents):
        raise InputError("Give images or latents to be coded, one of the two.")
    data, pixels, title = _data(field, given, are_latents)
    base = (
        atoms
        if isinstance(atoms, DataFreeDictionaries)
        else data_free_dictionaries(field, atoms, starts=starts, untrained=untrained, seed=seed)
    )
    schedule = _schedule(sparsities, field.latent_dim)
    other, other_pixels = (None, None) if reference is None else _data(field, reference, are_latents)[:2]
    split = apart(data, pixels, other, other_pixels)
    signals = signals_of(field, split.latents, split.images)
    count = len(base.dictionaries[0])
    dictionaries = (
        *base.dictionaries,
        *((principal_directions(split.others, count), real_latents(split.others, count)) if len(split.others) else ()),
    )
    errors = {known.name: coding_errors(field, signals, known, schedule) for known in dictionaries}
    power = signals.latents.square().mean(dim=1)
    empty = (decoded(field, torch.zeros_like(signals.latents[:1])) - signals.targets).square().mean(dim=1)
    judged = judgement(dictionaries, errors, schedule, power=power, empty=empty, repeats=repeats, seed=seed)
    half = (len(data) if pixels is not None else 0) + len(signals) * (2 + len(dictionaries) * len(schedule))
    return Probe(
        name=name or title,
        sparsities=schedule,
        dictionaries=dictionaries,
        errors=errors,
        comparisons=judged.comparisons,
        power=power,
        empty=empty,
        floor=signals.floor,
        peak_latent=signals.peak_latent,
        peak_image=signals.peak_image,
        examples=signals.latents[:_EXAMPLES],
        example_images=signals.targets[:_EXAMPLES].reshape(-1, *_decoded_shape(field)),
        conclusions=judged.conclusions,
        statement=judged.statement,
        reasons=reasons_of(dictionaries, schedule),
        absent=(*base.absent, *split.absent),
        cost=base.cost + Cost(map=-(-half // 2)),
        provenance={
            "field": field.describe(),
            "coded": len(signals),
            "reference": len(split.others),
            "left_out": split.left_out,
            "targets": signals.target_words,
            "repeats": repeats,
            "seed": seed,
        },
    )


def default_sparsities(dimension: int) -> tuple[int, ...]:
    """Powers of 2 below d, and 5, 25 and 50 % of d.

    >>> default_sparsities(10), default_sparsities(2), default_sparsities(1)
    ((1, 2, 4, 5, 8), (1,), (1,))
    """
    powers = {2**power for power in range(dimension.bit_length()) if 2**power < dimension}
    return tuple(sorted(powers | set(shown_sparsities(dimension))))


def shown_sparsities(dimension: int) -> tuple[int, ...]:
    """5, 25 and 50 % of d, at least 1.

    >>> shown_sparsities(512), shown_sparsities(10)
    ((26, 128, 256), (1, 2, 5))
    """
    return tuple(sorted({max(1, round(share * dimension)) for share in SHOWN_SHARES}))


def _schedule(sparsities: Sequence[int] | None, dimension: int) -> tuple[int, ...]:
    if sparsities is None:
        return default_sparsities(dimension)
    wanted = sorted({int(k) for k in sparsities})
    if not wanted or wanted[0] < 1 or wanted[-1] > dimension:
        raise InputError(
            f"Sparsities are numbers of atoms from 1 to the latent dimension {dimension}, not {list(sparsities)}."
        )
    return tuple(wanted)


def _data(field: LatentField, given: ImageSource, are_latents: bool) -> tuple[Tensor, Tensor | None, str]:
    """Latents, their images where there are some, and a name."""
    if are_latents:
        latents = tensor_of(given, "latents")
        if tuple(latents.shape[1:]) != field.latent_shape:
            raise InputError(
                f"Latents of {field.name} have the shape {shape_words(field.latent_shape)}, not "
                f"{shape_words(latents.shape[1:])}; for images leave latents= out."
            )
        return latents, None, "latents"
    found = load_images(given)
    encoded = encode_range(field, lambda a, b: found.pixels[a:b], 0, len(found))
    return encoded, found.pixels, str(found.provenance.get("source", "images"))


def _decoded_shape(field: LatentField) -> tuple[int, ...]:
    zero = torch.zeros((1, *field.latent_shape), dtype=field.dtype, device=field.device)
    return tuple(field.decode(zero).shape[1:])
