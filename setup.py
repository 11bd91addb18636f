"""What an index page shows: with SEPARATRIX_URL, the address of the project, links of README.md become absolute ones."""

import os
import re
from pathlib import Path

from setuptools import setup

URL = os.environ.get("SEPARATRIX_URL", "").rstrip("/")
README = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")


def absolute(found: "re.Match[str]") -> str:
    """A link into the checkout as one to the project; pictures need the file itself."""
    kind = "raw" if found["target"].endswith((".png", ".svg")) else "blob"
    return f"{found['before']}{URL}/{kind}/main/{found['target']}"


if URL:
    README = re.sub(r'(?P<before>\]\(|src(?:set)?=")(?P<target>(?!https?:|#)[^)"]+)', absolute, README)

setup(
    long_description=README,
    long_description_content_type="text/markdown",
    project_urls={
        "Source": URL, "Documentation": f"{URL}/tree/main/docs", "Changelog": f"{URL}/blob/main/CHANGELOG.md",
        "Issues": f"{URL}/issues",
    } if URL else {},
)  # fmt: skip
