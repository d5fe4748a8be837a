"""Pages keep their links on the site, and files that are no pages are named instead."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from deploy.site import navigation, staging


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree with pages and sources."""
    pages = {
        "README.md": "# Start\n\n[how](docs/how.md#part) and [why](docs/decisions/)",
        "CONTRIBUTING.md": "# Contributing",
        "CHANGELOG.md": "# Changes",
        "docs/README.md": "# Home",
        "docs/how.md": "# How `it` works\n\n## Part",
        "docs/decisions/README.md": "# Decisions",
        "docs/decisions/0001-one.md": "# One",
        "docs/new.md": "# New",
        "services/part.py": "",
    }
    for name, text in pages.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def rewritten(tree: Path, page: str, text: str, source_url: str = "") -> str:
    known = staging.places(tree)
    return staging.rewritten(text, PurePosixPath(page), known, root=tree, source_url=source_url)


@pytest.mark.parametrize(
    ("page", "text", "expected"),
    [
        ("README.md", "[a](docs/how.md#part)", "[a](how.md#part)"),
        ("README.md", "[a](docs/decisions/)", "[a](decisions/index.md)"),
        ("docs/how.md", "[a](../README.md)", "[a](start.md)"),
        ("docs/how.md", "[a](README.md)", "[a](index.md)"),
        ("docs/decisions/0001-one.md", "[a](../how.md)", "[a](../how.md)"),
        ("docs/how.md", "[a](#part) [b](https://example.org/)", "[a](#part) [b](https://example.org/)"),
        ("docs/how.md", "[part](../services/part.py)", "part (`services/part.py`)"),
        ("docs/how.md", "[services/part.py](../services/part.py)", "services/part.py"),
        ("docs/how.md", "```\n[a](nowhere.md)\n```", "```\n[a](nowhere.md)\n```"),
    ],
)
def test_a_link_leads_where_it_led(tree: Path, page: str, text: str, expected: str) -> None:
    assert rewritten(tree, page, text) == expected


def test_a_link_to_a_source_leads_to_where_sources_are_published(tree: Path) -> None:
    text = rewritten(tree, "docs/how.md", "[part](../services/part.py)", "https://code.example/main/")
    assert text == "[part](https://code.example/main/services/part.py)"


def test_a_link_that_leads_nowhere_is_refused(tree: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"docs/how\.md links to gone\.md"):
        rewritten(tree, "docs/how.md", "[a](gone.md)")


def test_every_page_has_one_place_in_the_navigation(tree: Path, tmp_path: Path) -> None:
    pages = tmp_path / "site"
    staging.stage(pages, root=tree)
    found = navigation.sections(pages)
    assert found["Start"] == ["index.md", "start.md"]
    assert found["Decisions"] == ["decisions/index.md", "decisions/0001-one.md"]
    assert found[navigation.REST] == ["how.md", "new.md"]
    listed = [page for names in found.values() for page in names]
    assert len(listed) == len(set(listed)) == len(list(pages.rglob("*.md")))
    assert '{"How it works" = "how.md"}' in navigation.toml(pages)
    assert '{"A first order" = "start.md"}' in navigation.toml(pages)
