"""The pages that are made from the code say what the code says."""

from __future__ import annotations

import re

import pytest

from deploy import pages
from deploy.local.settings import ROOT

COMMAND = re.compile(
    r"`(?:[A-Z_]+=\S+ )*make ((?:[a-z][a-z-]*(?: (?=[a-z]))?)+)|^make ([a-z][a-z-]*)", re.MULTILINE
)
TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)


@pytest.mark.parametrize("name", pages.PAGES)
def test_a_page_is_what_make_pages_would_write(name: str) -> None:
    assert (pages.DOCS / name).read_text(encoding="utf-8") == pages.PAGES[name]()


def test_every_make_target_that_a_page_or_a_test_names_exists() -> None:
    targets = set(TARGET.findall((ROOT / "Makefile").read_text("utf-8")))
    pages_ = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    files = [*pages_, *(ROOT / "tests").rglob("*.py")]
    named = [
        (word, path)
        for path in files
        for several, one in COMMAND.findall(path.read_text("utf-8"))
        for word in (several or one).split()
    ]
    assert len({word for word, _ in named}) > 20
    assert [f"{path.relative_to(ROOT)}: make {word}" for word, path in named if word not in targets] == []
