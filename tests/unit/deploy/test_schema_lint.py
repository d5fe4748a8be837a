"""The lint of migrations: what holds up a running system, or breaks the release before, is named."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from deploy import schema_lint

Lint = Callable[..., str]
_numbers = count(1)


@pytest.fixture
def lint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lint]:
    """Takes the call that a migration makes, and its name; returns what is found."""
    monkeypatch.syspath_prepend(tmp_path)

    def examine(call: str, name: str = "0002_step") -> str:
        package = f"linted_{next(_numbers)}.service"
        folder = tmp_path / package.replace(".", "/") / "migrations"
        folder.mkdir(parents=True)
        text = f"from services.chassis import migrations\ndef upgrade():\n    migrations.{call}\n"
        (folder / f"{name}.py").write_text(text)
        return schema_lint.faults(package)

    yield examine
    for module in [name for name in sys.modules if name.startswith("linted_")]:
        del sys.modules[module]


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("CREATE INDEX i ON t (a)", "require-concurrent-index-creation"),
        ("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)", "constraint-missing-not-valid"),
        ("ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES u (a)", "adding-foreign-key-constraint"),
        ("ALTER TABLE t ALTER COLUMN a TYPE bigint", "changing-column-type"),
        ("ALTER TABLE t ALTER COLUMN a SET NOT NULL", "adding-not-nullable-field"),
        ("ALTER TABLE t ADD COLUMN b uuid DEFAULT gen_random_uuid()", "adding-field-with-default"),
        ("ALTER TABLE t RENAME COLUMN a TO b", "renaming-column"),
        ("ALTER TABLE t DROP COLUMN a", "ban-drop-column"),
        ("DROP TABLE t", "ban-drop-table"),
    ],
)
def test_what_locks_a_table_in_use_or_takes_away_from_the_code_before_is_named(
    lint: Lint, statement: str, rule: str
) -> None:
    assert rule in lint(f"execute({statement!r})")


@pytest.mark.parametrize(
    "call",
    [
        "execute('CREATE TABLE n (a bigint PRIMARY KEY, b text NOT NULL); CREATE INDEX i ON n (b)')",
        "execute('ALTER TABLE t ADD COLUMN b text')",
        "execute('ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID')",
        "execute_alone('CREATE INDEX CONCURRENTLY i ON t (a)')",
        "execute_alone('ALTER TABLE t VALIDATE CONSTRAINT c')",
    ],
)
def test_what_lets_traffic_through_passes(lint: Lint, call: str) -> None:
    assert lint(call) == ""


def test_a_step_for_afterwards_may_take_away_but_not_lock(lint: Lint) -> None:
    assert lint("execute('ALTER TABLE t DROP COLUMN a')", "0002_post_a_is_unused") == ""
    found = lint("execute('CREATE INDEX i ON t (a)')", "0002_post_index")
    assert "require-concurrent-index-creation" in found


def test_of_one_release_the_steps_for_afterwards_come_last() -> None:
    before = ["0001_initial.py", "0002_post_old.py"]
    assert schema_lint.misplaced("orders", before, [*before, "0003_more.py", "0004_post_less.py"]) == []
    found = schema_lint.misplaced("orders", before, [*before, "0003_post_less.py", "0004_more.py"])
    assert len(found) == 1
    assert "0003_post_less.py" in found[0]
