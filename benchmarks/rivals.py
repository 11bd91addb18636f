"""What a user would pick instead of separatrix: loops, torchdeq's solvers, Adam on the residual, scipy's root finders.

Every rival returns its end points and the map evaluations they took. None of them looks at anything but f.
"""

from __future__ import annotations

import importlib.util
import time
from dataclasses import dataclass, field

import numpy as np
import torch
from meters import Spent, spent
from scipy.optimize import NoConvergence, root
from torch import Tensor

import separatrix as sx
from separatrix.cost import Cost

STRETCH = 3  # steps of the whole-batch loop that are timed


@dataclass
class Outcome:
    """One rival on n starts."""

    ends: Tensor  # (n, *latent)
    evaluations: float  # map evaluations in all
    claimed: Tensor  # (n,) bool: the method says that it has converged
    spent: Spent
    note: str = ""


@dataclass
class Loop:
    """z ← f(z) for every start with finished orbits dropped, and when each orbit first took a step below each length.

    ``steps`` ``(n, len(lengths))`` counts evaluations until then, −1 for never; ``ends`` are the points there, or the last
    points seen. ``run`` evaluations were made in ``spent``.
    """

    lengths: list[float]
    steps: Tensor
    ends: Tensor
    run: int
    spent: Spent
    chunk: int
    dropped: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))

    def per_orbit(self, place: int, cap: int) -> Tensor:
        """``(n,)`` evaluations that each orbit needs to the length at ``place``; the cap where it never gets there."""
        steps = self.steps[:, place]
        return torch.where(steps < 0, cap, steps.clamp(max=cap))

    def active(self, place: int, cap: int) -> Outcome:
        """The loop with compaction. Orbits dropped as hopeless are charged up to the cap, at the measured pace."""
        charged = float(self.per_orbit(place, cap).sum())
        claimed = self._ended(place, cap)
        return Outcome(_unless(claimed, self.ends[:, place]), charged, claimed, self.spent.scaled(charged / self.run))

    def whole_batch(self, place: int, cap: int, pace: Spent) -> Outcome:
        """The loop as everybody writes it: nobody leaves before the last has arrived. ``pace``: of one step of the batch.

        Every orbit makes the steps it makes in the active set, so the count is exact: n × the largest of them.
        """
        rounds = int(self.per_orbit(place, cap).max())
        claimed = self._ended(place, cap)
        return Outcome(
            _unless(claimed, self.ends[:, -1]), float(len(self.steps) * rounds), claimed, pace.scaled(rounds)
        )

    def _ended(self, place: int, cap: int) -> Tensor:
        return (self.steps[:, place] >= 0) & (self.steps[:, place] <= cap)


def _unless(ended: Tensor, ends: Tensor) -> Tensor:
    """NaN for orbits that had not ended: the run went on beyond the cap, and what it found then does not count."""
    return torch.where(ended.reshape(-1, *[1] * (ends.ndim - 1)), ends, torch.nan)


def loop(
    latent: sx.LatentField,
    starts: Tensor,
    lengths: list[float],
    cap: int,
    hopeless: Tensor | None = None,
    patience: int = 0,
) -> Loop:
    """Iterate until the step is below the last of ``lengths`` (descending), with the fastest chunk, measured.

    ``hopeless`` orbits are dropped after ``patience`` steps and count as never finished.
    """
    z = starts.to(latent.device, latent.dtype).clone()
    n = len(z)
    steps = torch.full((n, len(lengths)), -1, dtype=torch.int64)
    ends = torch.stack([z] * len(lengths), dim=1)
    limits = torch.tensor(lengths, dtype=torch.float64)
    active = torch.arange(n)
    evaluations = 0
    with latent.guest():
        latent = _in_fastest_batches(latent, z)
        with spent() as usage:
            for count in range(1, cap + 1):
                if not len(active):
                    break
                image = latent.bare(z)
                evaluations += len(z)
                length = (image - z).flatten(1).norm(dim=1).to(torch.float64)
                fresh = (length[:, None] < limits) & (steps[active] < 0)
                if bool(fresh.any()):
                    row, place = fresh.nonzero(as_tuple=True)
                    steps[active[row], place] = count
                    ends[active[row], place] = image[row]
                z = image
                over = ~(length >= limits[-1])  # NaN ends as well
                if hopeless is not None and count == patience:
                    over |= hopeless[active]
                if bool(over.any()) or count == cap:
                    leaving = active[over] if count < cap else active
                    unfinished = steps[leaving] < 0
                    last = z[over] if count < cap else z
                    row, place = unfinished.nonzero(as_tuple=True)
                    ends[leaving[row], place] = last[row]
                    active, z = active[~over], z[~over]
    return Loop(lengths, steps, ends, evaluations, usage, latent.batches.size)


def _in_fastest_batches(latent: sx.LatentField, z: Tensor) -> sx.LatentField:
    """The field with the batch size, among 64, 128, 256, …, that a careful user would have measured to be the best."""
    best, best_rate, size = latent.with_batch_size(64), 0.0, 64
    latent.bare(z[:1])  # the first pass pays for lazy initialisation
    while size <= len(z):
        tried = latent.with_batch_size(size)
        begin = time.perf_counter()
        tried.bare(z[:size])
        rate = size / max(time.perf_counter() - begin, 1e-9)
        if rate > 1.05 * best_rate:
            best, best_rate = tried, rate
        size *= 2
    return best


def whole_batch_pace(latent: sx.LatentField, starts: Tensor, n: int) -> Spent:
    """One step of one big batch of ``n`` latents, timed over a short stretch."""
    z, latent = starts[torch.arange(n) % len(starts)].to(latent.device, latent.dtype), latent.with_batch_size(n)
    with latent.guest():
        z = latent.bare(z)
        with spent() as usage:
            for _ in range(STRETCH):
                image = latent.bare(z)
                bool((image - z).flatten(1).norm(dim=1).max() < 0)
                z = image
    return usage.scaled(1 / STRETCH)


def missing() -> str:
    """Why the rivals cannot all be measured, and what to do about it; nothing if they can."""
    if importlib.util.find_spec("torchdeq") is None:
        return "torchdeq, two of the rivals, is not installed, and a table without them compares with less: pip install 'separatrix[benchmarks]'"
    return ""


def torchdeq_solver(latent: sx.LatentField, starts: Tensor, name: str, tolerance: float, max_iter: int) -> Outcome:
    """torchdeq's ``anderson`` or ``broyden`` as it ships, on the whole batch."""
    from torchdeq.solver import get_solver  # `missing` says so in one sentence where it is not installed

    count, latent = 0, latent.with_batch_size(len(starts))

    def counted(z: Tensor) -> Tensor:
        nonlocal count
        count += len(z)
        return latent.bare(z)

    z = starts.to(latent.device, latent.dtype)
    with latent.guest(), spent() as usage:
        ends, _, _ = get_solver(name)(counted, z, max_iter=max_iter, tol=tolerance, stop_mode="abs")
    return Outcome(ends, count, _residual(latent, ends) < 10 * tolerance, usage)


def adam(latent: sx.LatentField, starts: Tensor, spread: float, tolerance: float, iterations: int) -> Outcome:
    """Minimise ‖f(z) − z‖² over z by Adam, all starts at once, as fixed-point finders for recurrent networks do
    (Sussillo & Barak 2013). The learning rate starts at 1 % of the spread per coordinate and is halved on plateaus."""
    z = starts.to(latent.device, latent.dtype).clone()
    with latent.guest(), torch.enable_grad(), spent() as usage:
        z.requires_grad_()
        optimiser = torch.optim.Adam([z], lr=1e-2 * spread / latent.latent_dim**0.5)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.5, patience=10)
        rounds = 0
        for _ in range(iterations):
            rounds += 1
            optimiser.zero_grad()
            squared = (latent.bare(z) - z).flatten(1).square().sum(dim=1)
            if float(squared.detach().max()) < tolerance**2:
                break
            loss = squared.sum()
            (z.grad,) = torch.autograd.grad(loss, z)
            optimiser.step()
            schedule.step(float(squared.detach().clamp(min=tolerance**2).log().mean()))
    ends = z.detach()
    cost = Cost(map=rounds * len(z), vjp=rounds * len(z)).total
    return Outcome(ends, cost, _residual(latent, ends) < tolerance, usage)


def scipy_root(latent: sx.LatentField, starts: Tensor, method: str, tolerance: float, limit: int) -> Outcome:
    """scipy.optimize.root(f(z) − z), one start after another; hybr forms its Jacobian by differences."""
    count = 0

    def velocity(flat: np.ndarray) -> np.ndarray:
        nonlocal count
        count += 1
        z = torch.from_numpy(flat).reshape(1, *latent.latent_shape)
        return (latent.bare(z) - z).flatten().numpy()

    ends = []
    options = (
        {"maxfev": limit, "xtol": 1e-12} if method == "hybr" else {"fatol": tolerance, "maxiter": max(limit // 20, 1)}
    )
    with latent.guest(), spent() as usage:
        for start in starts.to(torch.float64):
            try:
                found = root(velocity, start.flatten().numpy(), method=method, options=options).x
            except (NoConvergence, ValueError, FloatingPointError):  # scipy's words for a failed line search
                found = start.flatten().numpy()
            ends.append(torch.from_numpy(np.asarray(found)).reshape(latent.latent_shape))
    points = torch.stack(ends)
    return Outcome(points, count, _residual(latent, points) < 10 * tolerance, usage)


def _residual(latent: sx.LatentField, z: Tensor) -> Tensor:
    with latent.guest():
        return (torch.cat([latent.bare(part) for part in z.split(128)]) - z).flatten(1).norm(dim=1).to(torch.float64)
