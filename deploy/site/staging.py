"""The pages as the site has them: copied beside each other, with links that hold there.

In the tree a page may link to any file. On the site there are only pages: a link to another file becomes its path in
words, or leads to where the sources are published.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from deploy.local.settings import ROOT

# Pages outside docs/, by what they are called on the site.
OUTER = {"README.md": "start.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}

_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[([^\]\n]*)\]\(([^)\s]+)\)")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//|#")
_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)


def places(root: Path = ROOT) -> dict[PurePosixPath, PurePosixPath]:
    """Where each page of the tree is on the site; a folder's README is its index."""
    found = {PurePosixPath(name): PurePosixPath(place) for name, place in OUTER.items()}
    for path in sorted((root / "docs").rglob("*.md")):
        inside = PurePosixPath(path.relative_to(root / "docs").as_posix())
        found["docs" / inside] = inside.with_name("index.md") if inside.name == "README.md" else inside
    return found


def rewritten(
    text: str,
    page: PurePosixPath,
    known: Mapping[PurePosixPath, PurePosixPath],
    *,
    root: Path = ROOT,
    source_url: str = "",
) -> str:
    """The text of a page with links for the site; raises `FileNotFoundError` for one that leads nowhere."""
    here = known[page].parent

    def link(found: re.Match[str]) -> str:
        words, target = found.groups()
        if _ELSEWHERE.match(target):
            return found.group()
        path, mark, anchor = target.partition("#")
        wanted = PurePosixPath(os.path.normpath(page.parent / path))
        place = known.get(wanted) or known.get(wanted / "README.md")
        if place is not None:
            return f"[{words}]({os.path.relpath(place, here)}{mark}{anchor})"
        if not (root / wanted).exists():
            raise FileNotFoundError(f"{page} links to {target}, which is not there")
        if source_url:
            return f"[{words}]({source_url.rstrip('/')}/{wanted})"
        return words if str(wanted) in words else f"{words} (`{wanted}`)"

    parts = _FENCE.split(text)
    return "".join(part if part.startswith("```") else _LINK.sub(link, part) for part in parts)


def stage(target: Path, *, root: Path = ROOT, source_url: str = "") -> None:
    """Copy every page below `target`."""
    shutil.rmtree(target, ignore_errors=True)
    known = places(root)
    for page, place in known.items():
        text = (root / page).read_text(encoding="utf-8")
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        (target / place).write_text(
            rewritten(text, page, known, root=root, source_url=source_url), encoding="utf-8"
        )


def title(page: Path) -> str:
    """A page's first heading, its name where it has none."""
    found = _TITLE.search(page.read_text(encoding="utf-8"))
    return found.group(1).replace("`", "") if found else page.stem
