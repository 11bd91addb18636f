"""Text that comes from data, in Markdown: it is shown as it is, whatever it holds."""

from __future__ import annotations

import html
import re

# What begins emphasis, code, links, tables, mentions or a line of its own; a dot after "www" and a colon before "//" would
# become a link where addresses are recognised. An underscore or a dot inside a word means nothing and stays readable.
_ACTIVE = re.compile(r"[\\`*\[\]{}|~#!@]|(?<!\w)_|_(?!\w)|:(?=//)|(?<=www)\.", re.IGNORECASE)


def escaped(text: str) -> str:
    """One line of Markdown that reads as ``text``, with no markup, HTML or link of its own.

    >>> escaped("<b>my_vae</b> *new*")
    '&lt;b&gt;my_vae&lt;/b&gt; &#42;new&#42;'
    """
    line = _ACTIVE.sub(lambda found: f"\0{ord(found[0])};", " ".join(text.replace("\0", " ").split()))
    return html.escape(line, quote=False).replace("\0", "&#")
