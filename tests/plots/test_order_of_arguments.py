"""Figures take what they draw in any order, and say in one sentence what they lack."""

from __future__ import annotations

import inspect

import pytest
import torch

from separatrix import plots
from separatrix.errors import InputError


def test_one_search_alone_has_basin_shares(product_limits, marked):
    alone = plots.basin_shares(product_limits)
    assert marked(alone, "share:") == marked(plots.basin_shares({"starts": product_limits}), "share:")
    with pytest.raises(InputError, match=r"basin_shares takes results \(a Mapping\), not a Tensor"):
        plots.basin_shares(product_limits.points)


@pytest.mark.parametrize("name", plots.__all__)
def test_the_result_comes_first(name):
    figure = getattr(plots, name)
    if not inspect.isfunction(figure):
        return
    first = next(iter(inspect.signature(figure).parameters.values()))
    assert "LatentField" not in str(first.annotation)


def test_the_model_may_come_first_too(product_field, product_limits, marked):
    figure = plots.field_portrait(product_limits, product_field)
    assert marked(figure, "") == marked(plots.field_portrait(product_field, product_limits), "")


def test_what_is_missing_or_of_another_kind_is_said(product_field, product_limits):
    with pytest.raises(InputError, match=r"attractor_gallery draws limits, field, train \(missing a required argument"):
        plots.attractor_gallery(product_limits)
    with pytest.raises(
        InputError, match=r"field_portrait takes limits \(a LimitSets\), field \(a LatentField\), not a Linear"
    ):
        plots.field_portrait(torch.nn.Linear(1, 1), product_limits)
    with pytest.raises(InputError, match=r"spectrum takes limits \(a LimitSets\), not a LatentField"):
        plots.spectrum(product_field)
