"""What became of the starts: counts that add up, and words in which every one of them is named once."""

from __future__ import annotations

import re

import torch
from hypothesis import given
from hypothesis import strategies as st

import separatrix as sx
from separatrix.errors import ConvergenceWarning
from separatrix.orbits import Fate, Fates, Status
from separatrix.orbits._fates import fate_of_each
from separatrix.testing.oracles import may_leonard

counts = st.dictionaries(st.sampled_from([fate.name.lower() for fate in Fate]), st.integers(0, 10**6))


@given(counts)
def test_the_words_name_every_count_once(numbers):
    fates = Fates(**numbers)
    assert fates.starts == sum(numbers.values())
    assert sum(fates.counts.values()) == fates.starts
    said = [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", fates.words.replace(", ", "; "))]
    if len(fates.counts) > 1:
        head = [fates.attractor] if fates.attractor else []
        rest = [number for fate, number in fates.counts.items() if fate is not Fate.ATTRACTOR]
        assert said == [*head, fates.starts, *rest]
    assert fates.sentence[0] == fates.sentence[0].upper()
    assert fates.sentence.endswith(".")


def test_one_start_and_no_start():
    assert Fates().words == "no starts"
    assert Fates(moving=1).sentence == "The only start is still moving."
    assert Fates(attractor=1, saddle=1).words == "1 of 2 starts reached an attractor, 1 rests at a saddle"
    assert Fates(nonfinite=2000).words == "all 2,000 starts ended in NaN or infinity"


@given(st.data())
def test_every_start_has_one_fate_and_that_of_its_set(data):
    stable = torch.tensor(data.draw(st.lists(st.sampled_from([-1, 0, 1]), max_size=4)), dtype=torch.int8)
    starts = data.draw(st.integers(0, 20))
    labels = torch.tensor(
        data.draw(st.lists(st.integers(-1, len(stable) - 1), min_size=starts, max_size=starts)), dtype=torch.int64
    )
    statuses = st.sampled_from([int(status) for status in Status])
    status = torch.tensor(data.draw(st.lists(statuses, min_size=starts, max_size=starts)), dtype=torch.uint8)
    fates = Fates.of(fate_of_each(status, labels, stable))
    assert fates.starts == starts
    on = labels[labels >= 0]
    for value, number in ((1, fates.attractor), (0, fates.saddle), (-1, fates.unknown)):
        assert number == (int((stable[on] == value).sum()) if len(stable) else 0)
    rest = status[labels < 0]
    assert fates.diverged == int((rest == int(Status.DIVERGED)).sum())
    assert fates.nonfinite == int((rest == int(Status.NONFINITE)).sum())


def test_a_slow_passage_along_a_heteroclinic_cycle_is_at_a_saddle_and_at_no_attractor(recwarn):
    oracle = may_leonard()
    limits = sx.find_attractors(oracle.field, oracle.starts)
    assert limits.fates == Fates(saddle=64)
    assert "all 64 starts rest at a saddle" in repr(limits)
    assert not [warning for warning in recwarn if issubclass(warning.category, ConvergenceWarning)]
    # Iterating alone cannot tell, and says so.
    orbits = sx.iterate(oracle.field, oracle.starts[:4])
    assert orbits.fates == Fates(unknown=4)


def test_a_selection_counts_the_same_starts_at_attractors():
    field = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(1,), dtype=torch.float64)
    limits = sx.find_attractors(field, torch.tensor([[-1.0], [0.0], [0.0], [0.5]], dtype=torch.float64))
    assert limits.fates == Fates(attractor=2, saddle=2)
    assert limits.attractors.fates == Fates(attractor=2, unlisted=2)
    assert limits.saddles.fates == Fates(saddle=2, unlisted=2)
    assert limits.fates.limit_set == limits.attractors.fates.limit_set == 4
