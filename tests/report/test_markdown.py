"""Names in a model card are shown, and are no markup."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.report._markdown import escaped

HOSTILE = (
    "<script>alert(1)</script>.png",
    "![x](http://elsewhere/pixel.png)",
    "[click](javascript:alert(1))",
    "a\n# Heading",
    "a\r\n\r\n* item",
    "`code` **bold** _em_ ~~gone~~ | cell |",
    "www.elsewhere.org and @somebody",
    "<http://elsewhere>",
    "&lt;b&gt; \\*",
    "&#0;\0",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_in_a_name_is_markup(name):
    text = escaped(name)
    assert not set("<>`*[]!|~@\n\r\0") & set(text)
    assert not re.search(r"(^|\s)#|://|www\.|\\", text)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(name=st.text(max_size=30))
def test_what_is_read_is_the_name(name):
    assert html.unescape(escaped(name)) == " ".join(name.replace("\0", " ").split())


def test_ordinary_names_stay_readable():
    for name in ("my_vae.py:load", "photos/2024-01-02 (3).png", "sd-vae-ft-mse", "Größe ∞, 95 %"):
        assert escaped(name) == name
