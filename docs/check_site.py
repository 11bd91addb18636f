"""Check the built site: every link leads somewhere, and no page asks another host for anything.

python docs/check_site.py site
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADED = {("img", "src"), ("script", "src"), ("iframe", "src"), ("source", "src"), ("video", "src"), ("link", "href")}
_FETCHED = re.compile(r"""@import\s+["'(]|url\(\s*["']?(https?:)?//|\bfetch\(["'](https?:)?//""")


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = {"", "top"}
        self.links: list[tuple[str, bool]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note where it can be led to, and where it leads: a link, or what the page loads."""
        for name, value in attrs:
            if value and name in ("id", "name"):
                self.anchors.add(value)
            elif value and name in ("href", "src"):
                self.links.append((value, (tag, name) in _LOADED and ("rel", "canonical") not in attrs))


@cache
def _read(path: Path) -> _Page:
    return _Page(path.read_text(encoding="utf-8"))


def faults(site: Path) -> Iterator[str]:
    """One sentence on each link that leads nowhere and each request that would leave the site."""
    for path in sorted(site.rglob("*.html")):
        where = path.relative_to(site)
        for target, loaded in _read(path).links:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                if loaded and parts.scheme != "data":
                    yield f"{where} loads {target}"
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            there = there / "index.html" if there.is_dir() else there
            if not there.is_file():
                yield f"{where} links to {target}, which is not there"
            elif there.suffix == ".html" and unquote(parts.fragment) not in _read(there).anchors:
                yield f"{where} links to {target}, which has no such place"
    for path in sorted(site.rglob("*.css")):
        if _FETCHED.search(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(site)} loads something from elsewhere"


if __name__ == "__main__":
    found = list(faults(Path(sys.argv[1])))
    print("\n".join(found) or "Every link leads somewhere, and nothing is asked of another host.")
    raise SystemExit(bool(found))
