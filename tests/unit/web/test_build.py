"""`make web`, and `make up` before it: what is built is built once, and where it cannot be that is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy import web


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where pages would be built, in a tree in which none were yet, on a machine without Node.js."""
    monkeypatch.setattr(web, "WEB_PAGES", tmp_path / "dist")
    monkeypatch.setattr(web, "STAMP", tmp_path / "stamp")
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "dist"


@pytest.mark.usefixtures("pages")
@pytest.mark.parametrize(("arguments", "code"), [(["--if-stale"], 0), ([], 1)])
def test_without_node_it_is_said_and_the_stack_goes_on(
    arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert web.main(arguments) == code
    assert "Node.js 18 or newer" in capsys.readouterr().err


def test_what_was_built_of_the_present_sources_is_not_built_again(
    pages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pages.mkdir()
    (pages / "build.json").write_text("{}")
    web.STAMP.write_text("of other sources")
    assert not web.is_current()
    web.stamp()
    assert web.main(["--if-stale"]) == 0
    assert "up to date" in capsys.readouterr().out
