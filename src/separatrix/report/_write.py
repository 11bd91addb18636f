"""One self-contained HTML file from a page: no request, nothing that is not in the file, and a script only where something moves."""

from __future__ import annotations

import base64
import os
import re
from functools import cache
from importlib import resources
from pathlib import Path
from uuid import uuid4

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from separatrix.errors import FileError
from separatrix.plots._style import small_letters_on
from separatrix.report._page import Page


def write_report(path: str | Path, page: Page) -> Path:
    """Write ``page`` as one HTML file that works offline, in print, on phones, in light and dark.

    Everything a page says comes from data (model names, file names, messages), so every character of it is
    escaped. The file appears whole or not at all.

    Args:
        path: of the file; its folder must exist.
        page: what it says.

    Returns:
        The path.

    Raises:
        FileError: the file cannot be written.

    >>> import tempfile
    >>> from separatrix.limitsets._triviality import Dominance
    >>> from separatrix.report._page import Page
    >>> from separatrix.words import Statement
    >>> page = Page("A <b>hostile</b> name", Statement("nothing", "nothing was found.", Dominance.NO_ATTRACTOR), ())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     text = write_report(f"{folder}/report.html", page).read_text(encoding="utf-8")
    >>> "&lt;b&gt;hostile" in text, "<b>hostile" in text
    (True, False)
    """
    target = Path(path)
    text = rendered(page)
    sibling = target.with_name(f".{target.name}.{uuid4().hex[:8]}")
    try:
        sibling.write_text(text, encoding="utf-8")
        os.replace(sibling, target)
    except OSError as error:
        sibling.unlink(missing_ok=True)
        reason = error.strerror or type(error).__name__
        raise FileError(
            f"The report cannot be written to {target} ({reason}); choose a folder that exists and has room."
        ) from error
    return target


def rendered(page: Page) -> str:
    """The HTML text of a page."""
    return environment().get_template("page.html.j2").render(page=page, style=page_style())


@cache
def environment(room: str = "separatrix.report") -> Environment:
    """Templates of this folder, or of another room's; every character of what they are given is escaped."""
    made = Environment(
        loader=PackageLoader(room, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["data_uri"] = _data_uri
    made.filters["base64"] = lambda content: base64.b64encode(content).decode("ascii")
    made.filters["anchor"] = _anchor
    made.filters["letters"] = small_letters_on
    return made


def page_style() -> Markup:
    """The style sheet that all pages share."""
    return Markup(resources.files("separatrix.report").joinpath("page.css").read_text(encoding="utf-8"))


def _data_uri(image: bytes) -> str:
    kind = "webp" if image[:4] == b"RIFF" else "png"
    return f"data:image/{kind};base64," + base64.b64encode(image).decode("ascii")


def _anchor(title: str) -> str:
    """A fragment identifier from a title."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "part"
