"""The pages say what is there: their links lead somewhere, what they name exists."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEPENDENCIES = ROOT / "docs" / "dependencies.md"

_fence = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_link = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_outside = re.compile(r"[a-z][a-z0-9+.-]*:|//|#")
_metric = re.compile(r"\bsampan_[a-z0-9_]+")
_metric_in_code = re.compile(r"[\"'](sampan_[a-z0-9_]+)[\"']")
_derived = re.compile(r"_(?:bucket|count|sum|info|created)$")
_package = re.compile(r"[A-Za-z0-9._-]+")


def tracked_pages() -> list[Path]:
    """Every Markdown file of the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def broken_links(page: Path) -> list[str]:
    """The relative links of a page that lead nowhere."""
    targets = _link.findall(_fence.sub("", page.read_text(encoding="utf-8")))
    return [
        f"{page.relative_to(ROOT)}: {target}"
        for target in targets
        if not _outside.match(target) and not (page.parent / target.partition("#")[0]).exists()
    ]


def package_of(requirement: str) -> str:
    """The name in a requirement, as "sqlalchemy" in "sqlalchemy[asyncio]>=2.0"."""
    found = _package.match(requirement)
    assert found is not None, requirement
    return found.group().lower()


def runtime_packages() -> set[str]:
    """What the services depend on, without our own distributions."""
    stated = [
        requirement
        for path in [
            *ROOT.glob("services/*/pyproject.toml"),
            ROOT / "deploy" / "cli" / "pyproject.toml",
            ROOT / "proto" / "pyproject.toml",
        ]
        for requirement in tomllib.loads(path.read_text(encoding="utf-8"))["project"]["dependencies"]
    ]
    return {name for name in map(package_of, stated) if not name.startswith("sampan-")}


def development_packages() -> set[str]:
    """What requirements.in adds."""
    lines = (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()
    return {package_of(line) for line in lines if line and not line.startswith("#")}


def npm_packages() -> set[str]:
    """What the clients, the pages and the site take from npm, by name."""
    places = ("sdk/*", "deploy/*", "web")
    return {
        name.lower()
        for path in (path for place in places for path in ROOT.glob(f"{place}/package.json"))
        for kind in ("dependencies", "devDependencies")
        for name in json.loads(path.read_text(encoding="utf-8")).get(kind, ())
    }


def first_columns() -> list[set[str]]:
    """The packages that each table of the page explains."""
    tables = re.findall(r"(?:^\|.*\n)+", DEPENDENCIES.read_text(encoding="utf-8"), re.MULTILINE)
    return [
        {name.strip().lower() for row in table.splitlines()[2:] for name in row.split("|")[1].split(",")}
        for table in tables
    ]


def test_every_relative_link_leads_somewhere() -> None:
    pages = tracked_pages()
    assert pages
    assert [link for page in pages for link in broken_links(page)] == []


def test_every_metric_that_a_page_names_exists() -> None:
    sources = [*ROOT.glob("services/**/*.py"), *ROOT.glob("deploy/**/*.py")]
    existing = {
        name for path in sources for name in _metric_in_code.findall(path.read_text(encoding="utf-8"))
    }
    named = {
        name: page.name
        for page in sorted(ROOT.glob("docs/*.md"))
        for name in _metric.findall(page.read_text(encoding="utf-8"))
    }
    assert named
    missing = {name for name in named if name not in existing and _derived.sub("", name) not in existing}
    assert {name: named[name] for name in missing} == {}


def test_the_page_of_dependencies_explains_each_and_no_other() -> None:
    runtime, development, of_npm = first_columns()
    assert runtime == runtime_packages()
    stubs = {name for name in development_packages() if name.startswith("types-")}
    assert development - {"types-*"} == development_packages() - stubs - runtime
    assert of_npm == npm_packages()
