"""A plugin of pytest, which finds it where separatrix is installed: the contract of a latent field as a fixture.

It stands outside the rooms because pytest imports it at the start of every session, and nothing of torch may come with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def assert_is_latent_field() -> Callable[..., None]:
    """`separatrix.testing.assert_is_latent_field`, which also takes a model with ``encode`` and ``decode``."""
    from separatrix.field import LatentField
    from separatrix.testing import assert_is_latent_field as assert_contract

    def assert_given(field: Any, latents: Any = None) -> None:
        assert_contract(field if isinstance(field, LatentField) else LatentField.of(field), latents)

    return assert_given
