"""The look through a built site finds what leads nowhere and what is loaded from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.site import links


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ('<a href="b.html#there">b</a><a href="folder/">f</a><a href="#here">h</a><p id="here">', 0),
        ('<a href="https://example.org/">out</a><link rel="canonical" href="https://example.org/">', 0),
        ('<a href="gone.html">b</a>', 1),
        ('<a href="b.html#gone">b</a>', 1),
        ('<a href="#gone">b</a>', 1),
        ('<script src="https://example.org/x.js"></script>', 1),
        ('<link rel="stylesheet" href="//fonts.example.org/x.css">', 1),
        ('<img src="https://example.org/x.png">', 1),
        ('<script src="gone.js"></script>', 1),
    ],
)
def test_a_fault_is_found_and_nothing_else(tmp_path: Path, body: str, faults: int) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "index.html").write_text('<a href="../a.html">a</a>')
    (tmp_path / "b.html").write_text('<h2 id="there">b</h2>')
    (tmp_path / "a.html").write_text(body)
    found = links.faults(tmp_path)
    assert len(found) == faults
    assert all(fault.startswith("a.html: ") for fault in found)
