"""Looks through a built site: every link leads to a page and an anchor that are there, and nothing is loaded from
elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes that make a browser fetch something by itself; a plain link to elsewhere is for the reader to follow.
_LOADING = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("link", "href")}
_NOT_LOADED = frozenset(("canonical", "prev", "next", "alternate", "author", "license"))


class _Page(HTMLParser):
    """The links and anchors of one page."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[tuple[str, bool]] = []
        """(target, whether a browser loads it by itself)"""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes what the tag names."""
        values = {name: value for name, value in attrs if value is not None}
        if "id" in values:
            self.anchors.add(values["id"])
        if tag == "a" and "name" in values:
            self.anchors.add(values["name"])
        for name in ("href", "src"):
            if name in values:
                is_loaded = (tag, name) in _LOADING and not _NOT_LOADED & set(values.get("rel", "").split())
                self.links.append((values[name], is_loaded))


def faults(site: Path) -> list[str]:
    """One line per broken link, missing anchor and file that is loaded from elsewhere."""
    pages: dict[Path, _Page] = {}
    for path in sorted(site.rglob("*.html")):
        pages[path] = page = _Page()
        page.feed(path.read_text(encoding="utf-8"))
    return [
        f"{path.relative_to(site)}: {fault}"
        for path, page in pages.items()
        for target, is_loaded in page.links
        for fault in _faults_of(site, path, target, is_loaded, pages)
    ]


def _faults_of(
    site: Path, path: Path, target: str, is_loaded: bool, pages: dict[Path, _Page]
) -> Iterator[str]:
    parts = urlsplit(target)
    if parts.scheme == "data" or (parts.scheme == "" and parts.netloc == "" and target == ""):
        return
    if parts.scheme or parts.netloc:
        if is_loaded:
            yield f"loads {target}"
        return
    base = site if parts.path.startswith("/") else path.parent
    found = (base / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
    if found.is_dir():
        found = found / "index.html"
    if not found.exists():
        # A theme's page for lost visitors names files by the address of a server's root.
        yield f"{target} is not there"
    elif parts.fragment and found in pages and unquote(parts.fragment) not in pages[found].anchors:
        yield f"{target} has no such anchor"
