"""Every check of the audit has been seen to catch something, and docs/reliability.md tells where."""

import importlib
import re
from pathlib import Path

from deploy.audit.audit import all_checks
from deploy.audit.settings import AuditSettings
from tests.integration.audit import test_corruptions, world

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
CHAOS = Path(__file__).resolve().parents[1] / "chaos"
INVARIANTS = 17

_own_check = re.compile(r"\bCheck\(\s*\"(\d+ [^\"]+)\"")
_row = re.compile(r"^\| (\d+) \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def checks() -> set[str]:
    """The ids of all checks, those of a recorded history included."""
    nowhere = {"access": "", "catalog": "", "orders": "", "warehouse": ""}
    settings = AuditSettings(nowhere, "", 0, 0, Path("history.jsonl"), "t", None, 0)
    return {check.id for check in all_checks(settings)}


def checks_under_faults() -> set[str]:
    """The ids of those that only a run of chaos can make."""
    found = {one for path in CHAOS.glob("*.py") for one in _own_check.findall(path.read_text("utf-8"))}
    assert found
    return found


def test_every_check_is_seen_to_catch_a_corruption() -> None:
    caught = {check for check, *_ in test_corruptions.CORRUPTIONS}
    for module in ("test_topic_corruptions", "test_access_corruptions", "test_history_corruptions"):
        importlib.import_module(f"tests.integration.audit.{module}")
    assert caught | world.CATCHERS.keys() == checks()


def test_the_page_names_each_invariant_with_its_checks() -> None:
    rows = {
        int(number): set(re.findall(r"`(\d+ [^`]+)`", told))
        for number, told, _ in _row.findall(PAGE.read_text("utf-8"))
    }
    assert sorted(rows) == list(range(1, INVARIANTS + 1))
    assert set().union(*rows.values()) == checks() | checks_under_faults()
    for number, told in rows.items():
        assert {int(check.split()[0]) for check in told} == {number}
