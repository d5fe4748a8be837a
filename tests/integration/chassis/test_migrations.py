"""Migrations: several at once, the guard at start, the folder's rules."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from services.chassis import migrations, pg
from tests.integration.chassis.conftest import LEDGER
from tests.integration.chassis.topics import eventually

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
    """An empty and an older database are wrong."""
    dsn = database_factory(None)
    connection = await pg.connect(dsn, name="test")
    with pytest.raises(migrations.SchemaNotAtHead, match="is at revision none"):
        await migrations.check_at_head(connection, LEDGER)
    await migrations.upgrade(dsn, LEDGER)
    await connection.execute("UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(migrations.SchemaNotAtHead, match="0001"):
        await migrations.check_at_head(connection, LEDGER)
    await connection.execute("UPDATE alembic_version SET version_num = 'elsewhere'")
    with pytest.raises(migrations.SchemaNotAtHead, match="elsewhere"):
        await migrations.check_at_head(connection, LEDGER)
    with pytest.raises(migrations.MigrationFault, match="does not know"):
        await migrations.upgrade(dsn, LEDGER)
    await connection.close()


async def test_code_of_the_release_before_starts_over_a_newer_schema(
    database_factory: DatabaseFactory,
) -> None:
    """In a roll-out a process of the old release may restart: it serves, and its set-up changes nothing."""
    dsn = database_factory(None)
    await migrations.upgrade(dsn, LEDGER)
    connection = await pg.connect(dsn, name="test")
    await connection.execute("UPDATE alembic_version SET version_num = '0003'")
    await migrations.check_at_head(connection, LEDGER)
    await migrations.upgrade(dsn, LEDGER)
    assert await connection.fetchval("SELECT version_num FROM alembic_version") == "0003"
    await connection.close()


async def test_a_deadlock_with_the_service_is_tried_again(
    database_factory: DatabaseFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL ends the migration to let a transaction through that holds what it waits for."""
    folder = tmp_path / "circle" / "service" / "migrations"
    folder.mkdir(parents=True)
    (tmp_path / "circle" / "service" / "__init__.py").write_text("")
    (folder / "0001_step.py").write_text(
        "from services.chassis import migrations\n"
        "revision = '0001'\ndown_revision = None\n"
        "def upgrade():\n"
        "    migrations.execute('ALTER TABLE one ADD COLUMN more int')\n"
        "    migrations.execute('ALTER TABLE two ADD COLUMN more int')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    dsn = database_factory(None)
    connection = await pg.connect(dsn, name="test")
    # The migration's own wait is the one that finds the circle, and so the one that is ended.
    await connection.execute("CREATE TABLE one (); CREATE TABLE two (); SET deadlock_timeout = '1min'")
    working = connection.transaction()
    await working.start()
    await connection.execute("SELECT * FROM two")
    upgrading = asyncio.create_task(migrations.upgrade(dsn, "circle.service", lock_timeout_ms=60_000))
    watching = await pg.connect(dsn, name="watch")

    async def waits() -> bool:
        return bool(
            await watching.fetchval(
                "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'two'::regclass)"
            )
        )

    await eventually(waits)
    await connection.execute("SELECT * FROM one")
    await working.commit()
    assert await upgrading == "0001"
    await watching.close()
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


def write_steps(folder: Path, **steps: str) -> None:
    """Lays a migrations folder down: by file name what each `upgrade` does; more steps may come later."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in steps.items():
        revision = name[1:5]
        before = repr(f"{int(revision) - 1:04d}") if revision != "0001" else "None"
        (folder / f"{name[1:]}.py").write_text(
            "from services.chassis import migrations\n"
            f"revision = {revision!r}\ndown_revision = {before}\n"
            f"def upgrade():\n    {body}\n"
        )


async def test_a_step_for_afterwards_waits_for_its_command_or_for_the_next_release(
    database_factory: DatabaseFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code serves before and after it; set-up leaves it, and the next release's own steps come behind it."""
    monkeypatch.syspath_prepend(tmp_path)
    service, folder = "rolled.service", tmp_path / "rolled" / "service" / "migrations"
    write_steps(folder, _0001_initial="migrations.execute('CREATE TABLE t (a int, b int)')")
    dsn, other = database_factory(None), database_factory(None)
    assert await migrations.upgrade(dsn, service) == "0001"
    write_steps(
        folder,
        _0002_more="migrations.execute('ALTER TABLE t ADD COLUMN c int')",
        _0003_post_less="migrations.execute('ALTER TABLE t DROP COLUMN b')",
    )
    connection = await pg.connect(dsn, name="test")
    assert (await migrations.status(connection, service)).state == "behind"
    assert await migrations.upgrade(dsn, service) == "0002"
    await migrations.check_at_head(connection, service)
    assert (await migrations.status(connection, service)).state == "post steps open"
    assert await migrations.upgrade(dsn, service, post=True) == "0003"
    await migrations.check_at_head(connection, service)
    assert await migrations.upgrade(dsn, service) == "0003"
    assert (await migrations.status(connection, service)).state == "current"
    await connection.close()

    # A database that is made now has nobody working on it; one that was left waiting is caught up.
    assert await migrations.upgrade(other, service) == "0003"
    late = database_factory(None)
    write_steps(folder, _0004_next="migrations.execute('ALTER TABLE t ADD COLUMN d int')")
    assert await migrations.upgrade(late, service) == "0004"
    assert await migrations.upgrade(dsn, service) == "0004"


async def test_an_index_is_made_beside_a_transaction_and_replicas_that_wait(
    database_factory: DatabaseFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the lock's time-out nor the replicas' turn ends it; writing goes on meanwhile."""
    monkeypatch.syspath_prepend(tmp_path)
    service, folder = "indexed.service", tmp_path / "indexed" / "service" / "migrations"
    dsn = database_factory(None)
    write_steps(folder, _0001_initial="migrations.execute('CREATE TABLE t (a int)')")
    await migrations.upgrade(dsn, service)
    write_steps(folder, _0002_index="migrations.execute_alone('CREATE INDEX CONCURRENTLY t_a ON t (a)')")
    connection, watching = await pg.connect(dsn, name="test"), await pg.connect(dsn, name="watch")
    working = connection.transaction()
    await working.start()
    await connection.execute("INSERT INTO t VALUES (1)")
    upgrading = [asyncio.create_task(migrations.upgrade(dsn, service, lock_timeout_ms=100)) for _ in range(2)]

    async def waits() -> bool:
        return bool(
            await watching.fetchval(
                "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%' "
                "AND wait_event_type = 'Lock' AND clock_timestamp() - query_start > '0.3 s')"
            )
        )

    await eventually(waits)
    await watching.execute("INSERT INTO t VALUES (2)")
    await working.commit()
    assert await asyncio.gather(*upgrading) == ["0002", "0002"]
    assert await watching.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = 't_a'::regclass")
    await watching.close()
    await connection.close()
