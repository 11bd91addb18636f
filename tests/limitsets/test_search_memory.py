"""What a search holds in memory, counted in bytes of tensors that are alive at once."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import separatrix as sx
from separatrix.protocol import Rounds


class Alive(TorchDispatchMode):
    """Bytes of all tensors made in the block: alive now, and the most at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._note(leaf.untyped_storage())
        return result

    def _note(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def forks(z: Tensor) -> Tensor:
    """Two coordinates have two attractors each, the others fall to 0."""
    return torch.cat([torch.tanh(2 * z[:, :2]), 0.5 * z[:, 2:]], dim=1)


def most_alive(count: int, latent: int, most_under_way: int = 16_384) -> int:
    """Bytes at most alive while ``count`` orbits in so many dimensions are searched."""
    protocol = sx.Protocol(rounds=Rounds(most_under_way=most_under_way))
    field = sx.LatentField.from_map(forks, latent_shape=(latent,))
    with Alive() as alive:
        sx.find_attractors(field, sx.starts.gaussian(count, seed=0), protocol)
    return alive.most


@pytest.mark.slow
def test_a_further_start_takes_its_end_and_a_few_numbers(monkeypatch):
    monkeypatch.setattr("separatrix.limitsets._capture_auditor._NUMBERS_AT_ONCE", 2**12)
    latent, more = 64, 2000
    taken = (most_alive(1000 + more, latent, 512) - most_alive(1000, latent, 512)) / more
    assert taken <= 1.5 * 8 * latent + 400


@pytest.mark.slow
def test_an_active_row_takes_twelve_latents_at_most():
    latent, more = 4096, 64
    taken = (most_alive(32 + more, latent) - most_alive(32, latent)) / more
    assert taken <= 12 * 4 * latent
