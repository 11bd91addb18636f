"""When are two unpolished end points the same limit set? Leader clustering under a distance or a cosine rule.

The cosine rule is the paper's; it ignores the norm (on one k = 128 model it counts 1 set where Euclid counts 300).
"""

from __future__ import annotations

import torch
from torch import Tensor

from separatrix.protocol import MergeRule


def leader_clusters(points: Tensor, rule: MergeRule, tolerance: float) -> tuple[Tensor, Tensor]:
    """Cluster numbers ``(n,)`` and the index of each cluster's leader ``(m,)``.

    The first point without a cluster becomes a leader and takes everything within ``tolerance`` of it: a distance in
    latent units for ``"distance"``, a cosine similarity above it for ``"cosine"``.

    >>> ends = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    >>> leader_clusters(ends, "cosine", 0.99)[0].tolist(), leader_clusters(ends, "distance", 0.5)[0].tolist()
    ([0, 0, 1], [0, 1, 2])
    """
    flat = points.flatten(1).to(torch.float64)
    if rule == "cosine":
        flat = flat / flat.norm(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
    labels = torch.full((len(flat),), -1, dtype=torch.int64, device=flat.device)
    leaders: list[int] = []
    rest = torch.arange(len(flat), device=flat.device)
    while len(rest):
        leader = flat[rest[0]]
        same = flat[rest] @ leader > tolerance if rule == "cosine" else (flat[rest] - leader).norm(dim=1) <= tolerance
        same[0] = True  # a zero vector is similar to nothing, not even to itself
        labels[rest[same]] = len(leaders)
        leaders.append(int(rest[0]))
        rest = rest[~same]
    return labels, torch.tensor(leaders, dtype=torch.int64, device=flat.device)
