"""The model-card section of an audit that had no training data."""

from __future__ import annotations

from separatrix.studies.probing.appearance import Appearance


def data_free_card(found: Appearance, name: str, starts: int) -> str:
    """A Markdown section: what was looked at, what was found, and what cannot be concluded from it."""
    like = found.resemblance
    looked_at = f"{len(found):,} {found.what} of {starts:,} noise starts"
    if like is not None:
        looked_at += f", compared with {like.provenance['train']:,} suspected images"
    lines = [
        "## Memorization",
        "",
        f"Audit of {name} by its latent attractors, without training data (separatrix). Looked at: {looked_at}.",
        "",
        f"* {found.sentence}",
        *([] if like is None else [f"* {like.verdict}"]),
        "",
        "What cannot be concluded:",
        "",
        *(f"* {reason}" for reason in found.cannot),
        "",
    ]
    return "\n".join(lines)
