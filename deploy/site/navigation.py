"""The site's sections. A page that no section names is still found, in the last one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from deploy.site.staging import title

SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Start", ("index.md", "start.md")),
    (
        "For storefront developers",
        (
            "api.md",
            "api-reference.md",
            "sdks.md",
            "pages.md",
            "events.md",
            "topics.md",
            "webhooks.md",
            "problems.md",
            "payments.md",
        ),
    ),
    ("For operators", ("operations.md", "cli.md", "backup.md", "configuration.md", "capacity.md")),
    ("For the one on call", ("runbooks/index.md", "runbooks/*.md")),
    (
        "How it works",
        (
            "architecture.md",
            "glossary.md",
            "reliability.md",
            "fault-runs.md",
            "performance.md",
            "dependencies.md",
        ),
    ),
    ("Decisions", ("decisions/index.md", "decisions/*.md")),
    ("The project", ("contributing.md", "changelog.md")),
)
REST = "Further pages"
# Where a page's own heading would say too little between the others.
TITLES = {"index.md": "Who begins where", "start.md": "A first order"}


def sections(pages: Path) -> dict[str, list[str]]:
    """The pages of each section that has any, each page once."""
    left = {path.relative_to(pages).as_posix(): path for path in sorted(pages.rglob("*.md"))}
    found: dict[str, list[str]] = {}
    for name, patterns in (*SECTIONS, (REST, ("**/*.md",))):
        for pattern in patterns:
            for path in sorted(pages.glob(pattern)):
                inside = path.relative_to(pages).as_posix()
                if left.pop(inside, None) is not None:
                    found.setdefault(name, []).append(inside)
    return found


def toml(pages: Path) -> str:
    """The value of `nav`, on one line as TOML's inline tables want it."""

    def entry(name: str, value: str) -> str:
        return f"{{{json.dumps(name, ensure_ascii=False)} = {value}}}"

    def listed(names: Sequence[str]) -> str:
        return ", ".join(
            entry(TITLES.get(name) or title(pages / name), json.dumps(name, ensure_ascii=False))
            for name in names
        )

    return "[" + ", ".join(entry(name, f"[{listed(names)}]") for name, names in sections(pages).items()) + "]"
