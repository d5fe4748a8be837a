"""The pages that are made from the code say what the code says."""

from __future__ import annotations

import pytest

from deploy import pages


@pytest.mark.parametrize("name", pages.PAGES)
def test_a_page_is_what_make_pages_would_write(name: str) -> None:
    assert (pages.DOCS / name).read_text(encoding="utf-8") == pages.PAGES[name]()
