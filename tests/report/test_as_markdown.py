"""A report as Markdown says what the page says, and nothing in a name becomes markup."""

from __future__ import annotations

import torch

import separatrix as sx
from separatrix.report import ModelResults, page_of
from separatrix.report._as_markdown import page_as_markdown


def test_verdict_numbers_and_protocol_are_in_it():
    field = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(1,))
    limits = sx.find_attractors(field, sx.starts.gaussian(32, seed=0))
    results = ModelResults(
        title="<b>two</b> *wells* | [x](y)", subtitle="", latent_field=field, searches={"noise": limits}
    )
    page = page_of(results, {})
    text = page_as_markdown(page)
    assert text.startswith("# The latent dynamics of &lt;b&gt;two&lt;/b&gt; &#42;wells&#42;")
    assert text.index("**2 attractors.**") < text.index("## Every limit set")
    assert "| A | fixed point | attracts |" in text
    assert "## What would change this verdict" in text
    assert "* stop: error" in text
    assert "<" not in text
