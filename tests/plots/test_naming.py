"""Names and colours: the same set has the same letter everywhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from separatrix.errors import InputError
from separatrix.limitsets._same_sets import same_sets
from separatrix.limitsets._sets import Kind
from separatrix.plots._naming import names_across, names_of


def test_attractors_get_letters_and_unstable_sets_do_not(product_limits):
    assert [name.label for name in names_of(product_limits)] == [
        "A",
        "B",
        "C",
        "D",
        "s1",
        "s2",
        "s3",
        "s4",
        "s5",
    ]
    assert [name.rank for name in names_of(product_limits)] == [0, 1, 2, 3, -1, -1, -1, -1, -1]


def test_names_do_not_depend_on_whether_saddles_are_in_the_result(product_limits, reordered):
    mixed = reordered(product_limits, [4, 0, 5, 1])
    assert [name.label for name in names_of(mixed)] == ["s1", "A", "s2", "B"]
    assert [name.label for name in names_of(mixed.attractors)] == ["A", "B"]


def test_sets_found_again_keep_their_names(product_limits, reordered):
    other = reordered(product_limits, [2, 0, 8, 3])
    assert [name.label for name in names_of(other, product_limits)] == ["C", "A", "s5", "D"]


def test_sets_found_only_elsewhere_get_the_next_free_letters(product_limits, reordered):
    known = reordered(product_limits, [0, 1])
    other = reordered(product_limits, [3, 1, 4])
    assert [name.label for name in names_of(other, known)] == ["C", "B", "s1"]


def test_one_name_means_one_set_in_all_searches(product_limits, reordered):
    """What only the second search found keeps its letter from what only the third found."""
    searches = [reordered(product_limits, rows) for rows in ([0, 1], [3, 1, 4], [2, 3, 5, 4])]
    assert [[name.label for name in names] for names in names_across(searches)] == [
        ["A", "B"],
        ["C", "B", "s1"],
        ["D", "C", "s2", "s1"],
    ]
    assert names_across(searches[:2])[1] == names_of(searches[1], searches[0])


def test_matching_tolerance_is_a_share_of_the_spread(product_limits):
    def shifted(distance: float):
        return replace(product_limits, points=product_limits.points + torch.tensor([distance, 0.0]))

    assert same_sets(shifted(0.9e-3), product_limits).tolist() == list(range(9))
    assert same_sets(shifted(1.1e-3), product_limits).tolist() == [-1] * 9


def test_sets_of_another_kind_or_stability_are_other_sets(product_limits):
    curves = replace(product_limits, kind=torch.full((9,), int(Kind.CLOSED_CURVE), dtype=torch.uint8))
    assert same_sets(curves, product_limits).tolist() == [-1] * 9
    unknown = replace(product_limits, stable=torch.full((9,), -1, dtype=torch.int8))
    assert same_sets(unknown, product_limits).tolist() == [-1] * 9


def test_results_of_different_latent_spaces_are_refused(product_limits):
    other = replace(product_limits, points=torch.zeros(9, 3))
    with pytest.raises(InputError, match="same field"):
        names_of(other, product_limits)
