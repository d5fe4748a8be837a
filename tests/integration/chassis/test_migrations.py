"""Migrations: several at once, the guard at start, the folder's rules."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from services.chassis import migrations, pg
from tests.integration.chassis.conftest import LEDGER

pytestmark = pytest.mark.postgres

DatabaseFactory = Callable[[str | None], str]


async def test_two_replicas_migrate_at_once(database_factory: DatabaseFactory) -> None:
    """Both return with the schema at head; it was made once."""
    dsn = database_factory(None)
    heads = await asyncio.gather(*(migrations.upgrade(dsn, LEDGER) for _ in range(3)))
    assert heads == ["0002"] * 3
    connection = await pg.connect(dsn, name="test")
    await migrations.check_at_head(connection, LEDGER)
    text = await connection.fetchval(
        "INSERT INTO effect (aggregate_id, version) VALUES ('a', 1) RETURNING text"
    )
    assert text == ":not_a_parameter 100 %s %(also_not)s; "
    assert await connection.fetchval("SELECT add_to('a', 2)") == 2
    await connection.close()


async def test_serving_is_refused_unless_at_head(database_factory: DatabaseFactory) -> None:
    """An empty, an older and a newer database are all wrong."""
    dsn = database_factory(None)
    connection = await pg.connect(dsn, name="test")
    with pytest.raises(migrations.SchemaNotAtHead, match="is at revision none"):
        await migrations.check_at_head(connection, LEDGER)
    await migrations.upgrade(dsn, LEDGER)
    for revision in ("0001", "0003"):
        await connection.execute("UPDATE alembic_version SET version_num = $1", revision)
        with pytest.raises(migrations.SchemaNotAtHead, match=revision):
            await migrations.check_at_head(connection, LEDGER)
    with pytest.raises(migrations.MigrationFault, match="newer than the code"):
        await migrations.upgrade(dsn, LEDGER)
    await connection.close()


async def test_a_failed_migration_leaves_nothing(
    database_factory: DatabaseFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration and its version are one transaction; the ones before it stay."""
    folder = tmp_path / "halfway" / "service" / "migrations"
    folder.mkdir(parents=True)
    (tmp_path / "halfway" / "service" / "__init__.py").write_text("")
    for revision, before, sql in (
        ("0001", None, "CREATE TABLE one (); CREATE TABLE two ();"),
        ("0002", "0001", "CREATE TABLE three (); SELECT 1 / 0;"),
    ):
        (folder / f"{revision}_step.py").write_text(
            "from services.chassis import migrations\n"
            f"revision = {revision!r}\ndown_revision = {before!r}\n"
            f"def upgrade():\n    migrations.execute({sql!r})\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    dsn = database_factory(None)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrations.upgrade(dsn, "halfway.service")
    connection = await pg.connect(dsn, name="test")
    assert await connection.fetchval("SELECT version_num FROM alembic_version") == "0001"
    tables = {row[0] for row in await connection.fetch("SELECT relname FROM pg_class WHERE relkind = 'r'")}
    assert {"one", "two"} <= tables
    assert "three" not in tables
    await connection.close()
    sys.modules.pop("halfway", None)


async def test_the_migrations_keep_their_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gap in the numbers is found before anything runs."""
    folder = tmp_path / "gapped" / "service" / "migrations"
    folder.mkdir(parents=True)
    (tmp_path / "gapped" / "service" / "__init__.py").write_text("")
    (folder / "0001_one.py").write_text("")
    (folder / "0003_three.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(migrations.MigrationFault, match="without a gap"):
        migrations.revisions("gapped.service")
    assert migrations.revisions(LEDGER) == ["0001", "0002"]


async def test_a_table_in_use_delays_a_migration_but_is_not_blocked_by_it(
    database_factory: DatabaseFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock time-out is tried again until the reader is gone."""
    folder = tmp_path / "patient" / "service" / "migrations"
    folder.mkdir(parents=True)
    (tmp_path / "patient" / "service" / "__init__.py").write_text("")
    (folder / "0001_step.py").write_text(
        "from services.chassis import migrations\n"
        "revision = '0001'\ndown_revision = None\n"
        "def upgrade():\n    migrations.execute('ALTER TABLE busy ADD COLUMN more int')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    dsn = database_factory(None)
    connection = await pg.connect(dsn, name="test")
    await connection.execute("CREATE TABLE busy ()")
    reading = connection.transaction()
    await reading.start()
    await connection.execute("SELECT * FROM busy")
    upgrading = asyncio.create_task(migrations.upgrade(dsn, "patient.service", lock_timeout_ms=100))
    await asyncio.sleep(0.5)
    assert not upgrading.done()
    await reading.commit()
    assert await upgrading == "0001"
    await connection.close()
