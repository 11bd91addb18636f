"""The model-card section of an audit that had no training data."""

from __future__ import annotations

from collections.abc import Mapping

from separatrix.report._markdown import escaped
from separatrix.report._memorization import copies_listed
from separatrix.studies import Appearance


def data_free_card(found: Appearance, name: str, starts: int, names: Mapping[int, str]) -> str:
    """A Markdown section: what was looked at, what was found, and what cannot be concluded from it.

    ``names``: of the suspected images, if they have some.
    """
    like = found.resemblance
    among = (
        ()
        if like is None
        else copies_listed(
            "Suspected images found", like.nearest[like.significant].unique(), like.nearest[like.exact].unique(), names
        )
    )
    looked_at = f"{len(found):,} {found.what} of {starts:,} noise starts"
    if like is not None:
        looked_at += f", compared with {like.provenance['train']:,} suspected images"
    lines = [
        "## Memorization",
        "",
        f"Audit of {escaped(name)} by its latent attractors, without training data (separatrix). Looked at: {looked_at}.",
        "",
        f"* {escaped(str(found.statement))}",
        *([] if like is None else [f"* {escaped(str(like.statement))}"]),
        *(f"* {escaped(sentence)}" for sentence in among),
        "",
        "What cannot be concluded:",
        "",
        *(f"* {escaped(reason)}" for reason in found.cannot),
        "",
    ]
    return "\n".join(lines)
