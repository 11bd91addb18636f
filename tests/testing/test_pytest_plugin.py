"""The fixture, as somebody else's tests would use it."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]
TESTS = """
import torch
from separatrix.field import LatentField


def test_good(assert_is_latent_field):
    assert_is_latent_field(LatentField.from_map(torch.tanh, latent_shape=(3,)))


def test_module(assert_is_latent_field):
    from separatrix.models import DenseAutoencoder
    assert_is_latent_field(DenseAutoencoder((1, 4, 4), 3, hidden=(8,)))


def test_arrays(assert_is_latent_field):
    import numpy as np
    field = LatentField.from_map(torch.tanh, latent_shape=(3,))
    assert_is_latent_field(field, np.eye(3))
    try:
        assert_is_latent_field(field, torch.full((2, 3), torch.nan))
    except AssertionError as error:
        assert "needs finite latents" in str(error)
    else:
        raise ValueError


def test_bad(assert_is_latent_field):
    assert_is_latent_field(LatentField.from_map(lambda z: z - z.mean(dim=0), latent_shape=(3,)))
"""


def test_the_fixture_knows_good_fields_from_bad_ones(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    # No "-p separatrix…": pytest finds the plugin by its entry point, as it does where separatrix was installed by pip.
    found = pytester.runpytest_inprocess("-p", "no:xdist")
    found.assert_outcomes(passed=3, failed=1)
    found.stdout.fnmatch_lines(["*the image of a latent depends on the other latents in its batch*"])
