"""docs/configuration.md says what the code says."""

from __future__ import annotations

from deploy import docs


def test_the_page_is_what_make_docs_would_write() -> None:
    assert docs.PAGE.read_text() == docs.page()
