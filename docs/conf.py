"""The documentation site. ``make docs`` builds it; why Sphinx, and why this theme: design.md, "Documentation"."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))

project = "separatrix"
author = "The separatrix authors"
copyright = author
release = version_of("separatrix")

# Pages link to results beside them, so the source is the whole checkout, of which only Markdown for readers is taken.
root_doc = "docs/index"
include_patterns = ["docs/**", "reproduce/**.md", "benchmarks/results/**.md", "*.md"]
exclude_patterns = ["README.md", "**/node_modules", "**/.venv", "docs/conf.py"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "build_with"]
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "attrs_inline"]
default_role = "py:obj"  # a single backtick in a docstring is a name: a link where it is documented, code elsewhere
copybutton_exclude = ".linenos, .gp, .go"

autodoc_default_options: dict[str, Any] = {"members": True}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# Pages of results are what their scripts write; a name that several results have is left without a link; and where links lead is looked at in the
# built pages (check_site.py), which know the anchors of plain HTML too.
suppress_warnings = ["myst.header", "myst.xref_missing", "ref.python"]
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "separatrix"
html_show_sphinx = False
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["site.css"]
