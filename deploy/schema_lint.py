"""Examine the migrations: `make schema-lint`. A statement that would hold up the traffic of a running system fails.

The SQL of each migration is what its `upgrade` hands to `migrations.execute` and `execute_alone`; squawk reads it by
its rules (https://squawkhq.com/docs/rules). Tables that a migration makes itself are nobody's yet, so their statements
are free. A rule that does not apply is set aside above its statement, `-- squawk-ignore <rule>`, with the reason above.

Of the migrations that came after the previous release (deploy/previous-release), those for afterwards come last: set-up
of this release must not have to pass one.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

from deploy import previous_release
from deploy.local.settings import DATABASES
from services.chassis import migrations

POSTGRES_VERSION_MIN = "14.0"
FREE = (
    # Both are set for the whole session of a migration: services/chassis/migrations.py.
    "require-lock-timeout",
    "require-statement-timeout",
    # Taste, of tables that are being made: no lock depends on it.
    "ban-char-field",
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
)
AFTERWARDS = "_post_"
TAKING_AWAY = ("ban-drop-column", "ban-drop-table", "ban-drop-constraint")
"""What a step for afterwards is there for; in others it breaks the code of the release before."""
REPEATABLE = "prefer-robust-stmts"
"""Of no use to a statement on its own: an index that is there may be half of one, so it is dropped first."""


class Statements:
    """What a migration runs: in its transaction, and each on its own."""

    def __init__(self) -> None:
        self.together: list[str] = []
        self.alone: list[str] = []

    @classmethod
    def of(cls, module: str) -> Statements:
        """Those of a migration, which is run against nothing."""
        found = cls()
        with (
            patch.object(migrations, "execute", found.together.append),
            patch.object(migrations, "execute_alone", found.alone.append),
        ):
            importlib.import_module(module).upgrade()
        return found


def faults(package: str) -> str:
    """What squawk finds in the migrations of a package, as its text; empty where that is nothing."""
    said = ""
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(migrations.folder(package).glob("[0-9]*.py")):
            name = f"{package.rpartition('.')[2]}-{path.stem}"
            statements = Statements.of(f"{package}.migrations.{path.stem}")
            free = (*FREE, *TAKING_AWAY) if AFTERWARDS in path.name else FREE
            file = Path(folder) / f"{name}.sql"
            said += _squawk(file, statements.together, free, "--assume-in-transaction")
            for statement in statements.alone:
                said += _squawk(file, [statement], (*free, REPEATABLE))
    return said


def misplaced(service: str, before: Sequence[str], now: Sequence[str]) -> list[str]:
    """Steps of this release that set-up would have to pass to reach what the code needs; both lists are file names."""
    new = [name for name in sorted(now) if name not in before]
    needed = [name for name in new if AFTERWARDS not in name]
    return [
        f"{service}: {name} is a step for afterwards and comes before {needed[-1]}: number it after that"
        for name in new
        if AFTERWARDS in name and needed and name < needed[-1]
    ]


def main() -> int:
    """Examine every service; print what is wrong."""
    commit = previous_release.commit()
    found = []
    for service in DATABASES:
        found.append(faults(f"services.{service}"))
        if commit is not None:
            folder = f"services/{service}/migrations"
            now = [path.name for path in migrations.folder(service).glob("[0-9]*.py")]
            found += misplaced(service, previous_release.names(commit, folder), now)
    for text in filter(None, found):
        print(text.rstrip(), file=sys.stderr)
    return 1 if any(found) else 0


def _squawk(file: Path, statements: Sequence[str], free: Sequence[str], *options: str) -> str:
    if not statements:
        return ""
    file.write_text("\n".join(statements), encoding="utf-8")
    command = [
        str(Path(sys.executable).with_name("squawk")),
        *("--reporter", "gcc", "--pg-version", POSTGRES_VERSION_MIN, "--exclude", ",".join(free)),
        *(*options, file.name),
    ]
    done = subprocess.run(command, cwd=file.parent, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


if __name__ == "__main__":
    sys.exit(main())
