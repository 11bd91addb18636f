"""This file tells what the controls allow one to say, in words. No sentence here is written before its numbers are known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import groupby

from separatrix.storage import storable
from separatrix.studies._probing.compare import SPACES, DictionaryComparison, Space, Standing
from separatrix.studies._probing.dictionary import Dictionary, Role
from separatrix.words import Statement


@storable
class Conclusion(StrEnum):
    """The strongest conclusion about one space that survives its controls; later members are stronger."""

    NO_EFFECT = "no effect"
    ONE_STEP = "one step is as good"
    ARCHITECTURE = "an untrained copy is as good"
    ITERATING = "iterating adds something"


_LEADS = {
    Conclusion.NO_EFFECT: "No effect: iterated noise is no better dictionary than a random basis or the noise itself.",
    Conclusion.ONE_STEP: "Iterating adds nothing over one application of f.",
    Conclusion.ARCHITECTURE: "Iterating helps, but an untrained copy of the network does as well: it is not what was learnt.",
}
_WHERE = {"latent": "in latent space", "image": "after decoding"}
_CALLED = {
    Role.ORTHONORMAL: "a random orthonormal basis",
    Role.ONCE: "f applied once",
    Role.UNTRAINED: "an untrained copy",
}


def conclusion_of(standings: Mapping[str, Standing]) -> Conclusion:
    """Conclude from the standings of iterated noise against the data-free controls, by role.

    * no effect: not better than a random orthonormal basis, or not better than the noise itself;
    * one step is as good: better than both, but not than f applied once to the same noise;
    * an untrained copy is as good: better than those, but not than the same procedure on fresh weights;
    * iterating adds something: better than all of them.

    >>> conclusion_of({Role.ORTHONORMAL: Standing.BETTER, Role.NOISE: Standing.BETTER, Role.ONCE: Standing.WORSE}).value
    'one step is as good'
    """
    if standings[Role.ORTHONORMAL] is not Standing.BETTER or standings[Role.NOISE] is not Standing.BETTER:
        return Conclusion.NO_EFFECT
    if standings[Role.ONCE] is not Standing.BETTER:
        return Conclusion.ONE_STEP
    if standings.get(Role.UNTRAINED, Standing.BETTER) is not Standing.BETTER:
        return Conclusion.ARCHITECTURE
    return Conclusion.ITERATING


def probe_statement(
    conclusions: Mapping[Space, Conclusion],
    comparisons: Sequence[DictionaryComparison],
    untrained: bool,
    draws: int = 1,
) -> Statement:
    """Conclude over both spaces, then give the numbers of each. The code is the stronger of the two conclusions.

    Args:
        conclusions: per space.
        comparisons: of iterated noise with its controls, and of one step with the random basis.
        untrained: the untrained copy is among the controls.
        draws: of the noise, that the comparisons are over.
    """
    details = [_details(space, conclusions[space], comparisons) for space in SPACES]
    missing = (
        "" if untrained else "Without the untrained copy nobody knows how much of this the architecture does alone."
    )
    strongest = max(conclusions.values(), key=list(Conclusion).index)
    return Statement(_lead(conclusions, strongest), "", strongest).followed_by(
        *details, missing, *_draws(conclusions, draws)
    )


def reasons_of(dictionaries: Sequence[Dictionary], sparsities: Sequence[int]) -> tuple[str, ...]:
    """Count how many directions iterating leaves of the noise, from the geometry of the dictionaries."""
    by_role = {dictionary.role: dictionary for dictionary in dictionaries}
    iterated, once, noise = (by_role[role].geometry for role in (Role.ITERATED, Role.ONCE, Role.NOISE))
    sentences = [
        f"The atoms are {by_role[Role.ITERATED].words}: one atom per start, {iterated.atoms:,} in all, of which "
        f"{iterated.distinct:,} differ. On one cycle or curve starts may end at different points.",
        f"Directions that the atoms fill (effective rank), of {iterated.dimension:,}: raw noise {noise.effective_rank:.1f}, after one step "
        f"{once.effective_rank:.1f}, iterated {iterated.effective_rank:.1f}.",
    ]
    if iterated.distinct < sparsities[-1]:
        sentences.append(
            f"No more than {iterated.distinct:,} different atoms can be chosen, so the error stands still from there on."
        )
    return (*sentences, *_no_bounds(dictionaries, sparsities[-1]))


def by_sparsity(comparison: DictionaryComparison, sparsities: Sequence[int]) -> str:
    """Return where along the axis the sign is certain: ``"better at 1–2, level at 4, worse from 8 atoms"``."""
    runs = [
        (standing, [k for k, _ in group])
        for standing, group in groupby(
            ((k, comparison.at(j)) for j, k in enumerate(sparsities)), key=lambda item: item[1]
        )
    ]
    if len(runs) == 1:
        return f"{runs[0][0]} at every sparsity"
    parts = [f"{standing} at {ks[0]}{'' if len(ks) == 1 else f'–{ks[-1]}'}" for standing, ks in runs]
    return f"{', '.join(parts)} atoms"


def percent_words(comparison: DictionaryComparison, control: str) -> str:
    """``"12 % less error than a random basis (95 %: 9 to 15 %)"``, or more error, or as much.

    Args:
        comparison: of errors, so that less is better.
        control: what the other dictionary is called in a sentence.
    """
    if math.isinf(comparison.share):
        return f"some error where {control} leaves none"
    if comparison.standing is Standing.LEVEL:
        low, high = -100 * comparison.share_high, -100 * comparison.share_low
        return f"as much error as {control} (95 %: {_number(low, '+')} to {_number(high, '+')} %)"
    word = "less" if comparison.standing is Standing.BETTER else "more"
    low, high = sorted((100 * abs(comparison.share_low), 100 * abs(comparison.share_high)))
    between = f"(95 %: {_number(low)} to {_number(high)} %)"
    return f"{_number(100 * abs(comparison.share))} % {word} error than {control} {between}"


def _number(value: float, sign: str = "") -> str:
    return (f"{value:{sign}.1f}" if abs(value) < 9.95 else f"{value:{sign}.0f}").replace("-", "−")


def _no_bounds(dictionaries: Sequence[Dictionary], most: int) -> list[str]:
    """A sentence where dictionaries from data are too small to say how good a dictionary could be."""
    from_data = [known for known in dictionaries if known.role.needs_data]
    wanted = max(most, *(known.geometry.distinct for known in dictionaries if not known.role.needs_data))
    # Fewer principal directions than real latents: these fill no more dimensions, and nothing is missing.
    all_there_is = max((known.geometry.distinct for known in from_data), default=0)
    short = [known for known in from_data if all_there_is <= known.geometry.distinct < wanted]
    if not short:
        return []
    remedy = "starts" if all_there_is >= len(dictionaries[0]) else "reference images"
    have = " and ".join(f"{known.name} ({known.geometry.distinct:,})" for known in short)
    return [
        f"Fewer different atoms than the {wanted:,} that another dictionary has or that a code may use: {have}. So "
        f"{'this is' if len(short) == 1 else 'these are'} no upper bound of what a dictionary can do; give more {remedy}."
    ]


def _draws(conclusions: Mapping[Space, Conclusion], draws: int) -> list[str]:
    """Intervals over images alone say nothing of another draw, and this conclusion is the one that has been seen to flip."""
    if Conclusion.ITERATING not in conclusions.values():
        return []
    if draws == 1:
        return ["This is one draw of the noise: another may say otherwise, so pool several (--draws, pooled)."]
    return [f"Intervals are over images and {draws} draws of the noise."]


def _lead(conclusions: Mapping[Space, Conclusion], strongest: Conclusion) -> str:
    if strongest is not Conclusion.ITERATING:
        return _LEADS[strongest]
    adding = [space for space in SPACES if conclusions[space] is Conclusion.ITERATING]
    if len(adding) == len(SPACES):
        return "Iterating adds something over one application of f, and beats every data-free control."
    other = next(space for space in SPACES if space not in adding)
    return f"Iterating adds something {_WHERE[adding[0]]}, but not {_WHERE[other]}."


def _details(space: Space, conclusion: Conclusion, comparisons: Sequence[DictionaryComparison]) -> str:
    here = {(c.name, c.control): c for c in comparisons if c.space == space}
    basis, once = here[Role.ITERATED, Role.ORTHONORMAL], here[Role.ITERATED, Role.ONCE]
    where = _WHERE[space]
    sentence = (
        f"{where[0].upper()}{where[1:]} iterated noise leaves {percent_words(basis, _CALLED[Role.ORTHONORMAL])} and "
        f"{percent_words(once, _CALLED[Role.ONCE])}"
    )
    if conclusion is Conclusion.NO_EFFECT:
        step = here[Role.ONCE, Role.ORTHONORMAL]
        sentence += f"; one step alone leaves {percent_words(step, 'that basis')}"
    if (Role.ITERATED, Role.UNTRAINED) in here and conclusion in (Conclusion.ARCHITECTURE, Conclusion.ITERATING):
        sentence += f", and {percent_words(here[Role.ITERATED, Role.UNTRAINED], _CALLED[Role.UNTRAINED])}"
    return f"{sentence}."
