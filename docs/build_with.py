"""What the site has beside its Markdown: a page of reference per room, and a living page, made while it is built."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

FLOW = [
    ("From a model to its attractors", ("models", "field", "data", "starts", "protocol", "orbits", "limitsets")),
    ("What they tell", ("studies", "ood", "monitoring")),
    ("What is shown and kept", ("plots", "report", "explorer", "runs", "storage", "engines")),
    ("What every room uses", ("testing", "numerics", "words", "work", "cost", "errors")),
]
"""The rooms in the order of the data flow; tests/docs/test_site.py compares them with those there are."""


_TO_THE_FRONT = '<!doctype html><title>separatrix</title><meta http-equiv="refresh" content="0; url=docs/index.html"><a href="docs/index.html">separatrix</a>\n'


def write_reference(folder: Path) -> None:
    """One page per room, from its ``__all__`` and its docstrings, and a page that lists them."""
    folder.mkdir(exist_ok=True)
    index = ["# Reference\n", "Generated from the docstrings, in the order in which data flow. `import separatrix as sx` gives "
             "the rooms (`sx.starts`) and the names of the main line (`sx.find_attractors`).\n"]  # fmt: skip
    for title, rooms in FLOW:
        index.append(f"## {title}\n")
        for room in rooms:
            module = importlib.import_module(f"separatrix.{room}")
            first = (module.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
            index.append(f"* [{room}]({room}.md): {first}")
            names = "   :members:" if hasattr(module, "__all__") else "   :members:\n   :undoc-members:"
            _write(
                folder / f"{room}.md", f"# {room}\n\n```{{eval-rst}}\n.. automodule:: separatrix.{room}\n{names}\n```\n"
            )
        index.append(f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n" + "\n".join(rooms) + "\n```\n")
    _write(folder / "index.md", "\n".join(index))


def _write(path: Path, text: str) -> None:
    """Only what changed: the builder reads files again by their time."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def write_living_page(path: Path) -> None:
    """Digits of 8×8 pixels through two numbers and back, to be clicked into; ``docs/pictures.py`` has trained the model."""
    from sklearn.datasets import load_digits

    import separatrix as sx

    images = load_digits().images[:200, None] / 16
    field = sx.load(Path(__file__).parent / "static" / "digits.safetensors")
    path.parent.mkdir(parents=True, exist_ok=True)
    sx.runs.explore(field, sx.starts.encoded(images), images=images[:12], origin="digits.safetensors", out=path)


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", lambda app: write_reference(Path(app.srcdir) / "docs" / "reference"))
    app.connect("source-read", _titled)
    app.connect("autodoc-process-docstring", _bars)
    app.connect("autodoc-skip-member", _not_ours)
    app.connect("html-page-context", _as_notebook)
    app.connect("build-finished", _living)
    return {"parallel_read_safe": True}


def _titled(_app: Any, name: str, source: list[str]) -> None:
    """Pages of results that begin with a table get the name of their script as a title."""
    if "/results/" in name and not source[0].startswith("# "):
        source[0] = f"# {name.rpartition('/')[2].replace('_', ' ').capitalize()}\n\n{source[0]}"


def _bars(_app: Any, _what: str, _name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
    """The bars of an absolute value are no substitution; what stands in backticks is left."""
    for number, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            lines[number] = re.sub(r"(`+[^`]*`+)|\|", lambda found: found[1] or r"\|", line)


def _not_ours(_app: Any, _what: str, name: str, _obj: Any, _skip: bool, _options: Any) -> bool | None:
    """What scikit-learn gives to every estimator is described there."""
    return True if re.fullmatch(r"set_\w+_request", name) else None


def _living(app: Any, error: Exception | None) -> None:
    page = Path(app.outdir) / "docs" / "living" / "digits.html"
    if error is None and app.builder.format == "html":
        (Path(app.outdir) / "index.html").write_text(_TO_THE_FRONT, encoding="utf-8")
        if not page.is_file():
            write_living_page(page)
        import notebooks

        notebooks.write(Path(app.outdir) / "docs" / "notebooks")


def _as_notebook(_app: Any, name: str, _template: str, context: dict[str, Any], _tree: Any) -> None:
    """A page on a use can be had as a notebook, by a link below its title."""
    if name.startswith("docs/uses/"):
        link = f'<p class="as-notebook"><a download href="../notebooks/{Path(name).name}.ipynb">This page as a notebook</a></p>'
        context["body"] = context["body"].replace("</h1>", f"</h1>{link}", 1)
