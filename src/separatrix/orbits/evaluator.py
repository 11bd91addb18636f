"""The latent map in chunks: counted, of the fastest size on this machine, halved when memory runs out."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from separatrix.cost import Cost
from separatrix.field import LatentField

_SMALLEST_TRIAL = 64
_LARGEST_TRIAL = 65_536
_SECONDS_PER_TRIAL = 0.25  # a chunk that takes longer than this is large enough to hide all overhead


class Evaluator:
    """Callable ``f(z)`` for any number of latents, at most ``chunk`` of them in one pass of the network.

    Must be called inside ``field.guest()``. ``cost`` counts every map evaluation, trials of the chunk size included.
    """

    def __init__(self, field: LatentField, chunk: int | None = None) -> None:
        self.field = field
        self.chunk = chunk
        self.evaluations = 0

    @property
    def cost(self) -> Cost:
        """Work done so far."""
        return Cost(map=self.evaluations)

    def __call__(self, z: Tensor) -> Tensor:
        """f(z), shape kept. Raises the out-of-memory error only if a single latent does not fit."""
        while True:
            try:
                parts = [self.field.bare(part) for part in z.split(self._even_chunk(len(z)))]
                break
            except (RuntimeError, MemoryError) as error:
                size = min(self.chunk or len(z), len(z))
                if not _out_of_memory(error) or size <= 1:
                    raise
            if z.device.type == "cuda":
                torch.cuda.empty_cache()
            self.chunk = size // 2
        self.evaluations += len(z)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _even_chunk(self, count: int) -> int:
        """Chunks of one size: 130 latents in chunks of at most 128 are 65 + 65, not 128 and a pass for 2."""
        passes = -(-count // (self.chunk or max(count, 1)))
        return max(1, -(-count // max(passes, 1)))

    def choose_chunk(self, sample: Tensor, wanted: int) -> int:
        """Set ``chunk`` to the size with the best throughput among 64, 128, 256, … up to ``wanted``.

        One big batch is the worst choice on a CPU (page faults: 1.7–3.8 times slower than chunks of 64–256), and the
        best size differs from network to network, so it is measured. Cost: one evaluation per latent of each trial.
        """
        best, best_rate, size = _SMALLEST_TRIAL, 0.0, _SMALLEST_TRIAL
        self(sample[:1])  # the first pass pays for lazy initialisation
        while size <= min(wanted, _LARGEST_TRIAL):
            batch = sample[torch.arange(size, device=sample.device) % len(sample)]
            self.chunk = None
            seconds = self._seconds(batch)
            size_used = self.chunk or size  # smaller than asked for if memory ran out
            if size / seconds > 1.05 * best_rate:
                best, best_rate = size_used, size / seconds
            if size / seconds < 0.9 * best_rate or seconds > _SECONDS_PER_TRIAL or size_used < size:
                break
            size *= 2
        self.chunk = max(1, min(best, wanted))
        return self.chunk

    def _seconds(self, batch: Tensor) -> float:
        start = time.perf_counter()
        self(batch)
        if batch.device.type == "cuda":
            torch.cuda.synchronize(batch.device)
        return max(time.perf_counter() - start, 1e-9)


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return "DefaultCPUAllocator" in str(error) or "out of memory" in str(error).lower()
