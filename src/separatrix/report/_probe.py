"""The page of a probe: what noise ends on, what that is worth as a dictionary, and what neither shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from separatrix.field import LatentField
from separatrix.limitsets import LimitSets, triviality
from separatrix.orbits import Orbits
from separatrix.plots import contact_sheet, probe_atoms, probe_curves, probe_reconstructions
from separatrix.report._chapter import counts_in_words, versions_section
from separatrix.report._figures import FigurePlan
from separatrix.report._page import Block, Bullets, Cell, Page, Picture, Prose, Section, Table
from separatrix.report._tables import facts
from separatrix.studies import Appearance, Probe
from separatrix.studies._probing.appearance import Seen
from separatrix.studies._probing.headline import by_sparsity, percent_words
from separatrix.studies._resemblance_words import Outcome
from separatrix.words import Statement

INTRODUCTION = (
    "A model of this kind squeezes an image into a few numbers, its latent, and rebuilds the image from them. Here random numbers "
    "are put in the place of a latent, rebuilt and squeezed again, over and over. Where that ends depends on the weights alone: "
    "no image is needed to see what they have stored.",
)
_CODING = (
    "The points where noise ends may also serve as a dictionary: as with words, a few of its entries, its atoms, are added up to "
    "spell the latent of a real image. How few it takes is compared, image by image, with dictionaries that cost less or know more."
)
_NO_IMAGES = "The decoder makes no images, so there is nothing to look at."
_ONE_DICTIONARY = (
    "Other images, other noise and other numbers of atoms may say otherwise. Squared errors are compared, and nothing is said about "
    "how the model came by what it knows."
)


def probe_page(
    title: str,
    found: LimitSets | Orbits,
    seen: Appearance | None,
    probed: Probe | None,
    provenance: Mapping[str, Any],
    drawn: Mapping[str, Picture],
) -> Page:
    """The headline first, then what there is to see, the comparison with every control, and where it comes from.

    Args:
        title: what the model is called.
        found: the limit sets of the noise, or its orbits.
        seen: None where the decoder makes no images.
        probed: None where no images were coded.
        provenance: model, data, protocol and cost.
        drawn: the figures of `probe_figures`.
    """
    sections = [
        Section("What noise ends on", [*_seen(seen), *_chosen(drawn, "contact_sheet")]),
        Section("The field", _chosen(drawn, "field")),
        Section("What became of the starts", [Prose(_fates(found))]),
    ]
    cannot = () if seen is None else seen.cannot
    if probed is not None:
        sections += [
            Section("Error against the number of atoms", [Prose((_CODING,)), *_chosen(drawn, "curves")]),
            Section("Every dictionary", [dictionary_table(probed)]),
            Section("Iterated noise against each control", [_against(probed)]),
            Section("What the atoms look like", _chosen(drawn, "atoms")),
            Section("Images coded with few atoms", _chosen(drawn, "reconstructions")),
            Section("Why", [Bullets((*probed.reasons, *probed.absent))]),
        ]
        cannot = (*cannot, _ONE_DICTIONARY)
    sections += [
        Section("What cannot be concluded", [Bullets(cannot)] if cannot else []),
        Section("Protocol and provenance", [facts(provenance)]),
        versions_section(),
    ]
    return Page(
        f"What noise reveals of {title}",
        _statement(found, seen, probed),
        INTRODUCTION,
        [part for part in sections if part.blocks],
    )


def probe_figures(field: LatentField, starts: int, seen: Appearance | None, probed: Probe | None) -> FigurePlan:
    """Say what to call for every figure, by the name of its file. Cost: one decoding per atom and reconstruction that is shown."""
    plan: FigurePlan = {}
    if seen is not None:
        alt = (
            f"{len(seen):,} decoded {seen.what}, {int(seen.looks_like_an_image.sum()):,} of them framed as image-like."
        )
        plan["contact_sheet"] = lambda _: Picture.of(contact_sheet(seen, starts=starts), alt=alt)
    if probed is not None:
        plan["curves"] = lambda _: Picture.of(
            probe_curves(probed),
            alt="Error against the number of atoms for every dictionary, and the gain of iterating.",
        )
        if seen is not None:
            plan["atoms"] = lambda _: Picture.of(probe_atoms(probed, field), alt="Atoms of every dictionary, decoded.")
            plan["reconstructions"] = lambda _: Picture.of(
                probe_reconstructions(probed, field),
                alt="The same images, coded with a few atoms of several dictionaries.",
            )
    return plan


def dictionary_table(probed: Probe) -> Table:
    """One row per dictionary: how many different atoms, how many directions they fill, and what they leave at three sparsities."""
    levels = sorted({0, len(probed.sparsities) // 2, len(probed.sparsities) - 1})
    heads = [f"{space}, {probed.sparsities[level]}" for space in ("latent", "image") for level in levels]
    rows = [
        (
            known.name,
            f"{known.geometry.distinct:,}",
            f"{known.geometry.effective_rank:.1f}",
            *(f"{float(probed.relative(known.name)[level]):.3f}" for level in levels),
            *(f"{float(probed.mse(known.name, 'image')[level]):.4f}" for level in levels),
        )
        for known in probed.dictionaries
    ]
    return Table(
        ("dictionary", "distinct", "directions", *heads),
        tuple(tuple(map(Cell, row)) for row in rows),
        f"{len(probed):,} images, each coded with few atoms. Distinct: atoms that differ. Directions: how many they fill, the effective rank. "
        "Latent: the share of the latent that is not coded with that many atoms. Image: mean squared error per pixel of what the "
        "code decodes to. PCA and real latents are made of other images: they say how good a dictionary can be.",
    )


def _against(probed: Probe) -> Table:
    first = probed.dictionaries[0].name
    rows = [
        (Cell(one.control), Cell(one.space), Cell(percent_words(one, "it")), Cell(by_sparsity(one, probed.sparsities)))
        for one in probed.comparisons
        if one.name == first
    ]
    return Table(
        ("control", "space", "iterated noise leaves", "by number of atoms"),
        tuple(rows),
        "Over all numbers of atoms, on a logarithmic axis; intervals of 95 % over images. A difference below 1 % counts as none.",
        words=frozenset({0, 1, 2, 3}),
    )


def _statement(found: LimitSets | Orbits, seen: Appearance | None, probed: Probe | None) -> Statement:
    if probed is not None:
        return probed.statement
    if seen is None:
        headline = counts_in_words(found) if isinstance(found, LimitSets) else found.fates.words
        return Statement(headline, _NO_IMAGES, Seen.NOTHING)
    like = seen.resemblance
    return seen.statement if like is None or like.outcome is not Outcome.EVIDENCE else like.statement


def _seen(seen: Appearance | None) -> list[Block]:
    if seen is None:
        return [Prose((_NO_IMAGES,))]
    like = () if seen.resemblance is None else (str(seen.resemblance.statement),)
    return [Prose((str(seen.statement), *like))]


def _fates(found: LimitSets | Orbits) -> tuple[str, ...]:
    return (
        (found.fates.sentence, str(triviality(found).statement))
        if isinstance(found, LimitSets)
        else (found.fates.sentence,)
    )


def _chosen(drawn: Mapping[str, Picture], name: str) -> list[Block]:
    return [drawn[name]] if name in drawn else []
