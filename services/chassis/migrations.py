"""Schema migrations: Alembic keeps the order and the version, the statements are plain SQL.

A service's `migrations/` holds `0001_initial.py`, `0002_....py`, ... without gaps, each:

    revision = "0001"
    down_revision = None          # the revision before it

    def upgrade() -> None:
        migrations.execute('''CREATE TABLE ...; CREATE INDEX ...;''')

There is no way down: a fault is mended by the next migration. While a release is rolled out, code of the one before it
runs, and starts, over the newer schema: so a migration only adds or loosens. What takes away or tightens is a step of
its own for afterwards, named `0007_post_...`: it runs when no process of the release before is left (`upgrade` with
`post`), at the latest before the next release's own steps; the code works with and without it. A database without any
schema gets all at once.

Locks of several tables belong in several migrations, each a transaction of its own; an index on a table in use is made
by `execute_alone`. `make lint` looks at the locks (deploy/schema_lint.py). Only set-up imports Alembic; a serving
process calls `require_head`.
"""

import asyncio
import functools
import importlib.resources
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from zlib import crc32

import asyncpg

from services.chassis import log, pg
from services.chassis.lifecycle import CannotStart
from services.chassis.pg import Connection, Database

if TYPE_CHECKING:
    from sqlalchemy import Connection as AlchemyConnection

LOCK_CLASS = 0x4D494752
LOCK_TIMEOUT_MS = 5_000
STATEMENT_TIMEOUT_MS = 600_000
LOCK_ATTEMPTS_MAX = 5
REPLICA_WAIT_S_MAX = 900.0
REPLICA_POLL_S = 0.2
LOCK_CONFLICTS = (asyncpg.LockNotAvailableError.sqlstate, asyncpg.DeadlockDetectedError.sqlstate)
_REVISION = re.compile(r"^\d{4}$")
_FILE = re.compile(r"^(?P<revision>\d{4})_(?P<post>post_)?[a-z0-9_]+\.py$")

_log = log.get(__name__)


class MigrationFault(RuntimeError):
    """The migrations folder breaks its rules; the text says which."""


class SchemaNotAtHead(RuntimeError):
    """The database's schema lacks what this code needs."""


class Status(NamedTuple):
    """Where a schema stands, the oldest revision that this code works with, and the newest that it brings."""

    revision: str | None
    needed: str
    newest: str

    @property
    def state(self) -> Literal["behind", "current", "post steps open", "ahead"]:
        """In a word: "behind" is what this code refuses to run on."""
        if self.revision is None or not _REVISION.match(self.revision) or self.revision < self.needed:
            return "behind"
        if self.revision == self.newest:
            return "current"
        return "post steps open" if self.revision < self.newest else "ahead"


def folder(service: str) -> Path:
    """Where a service's migrations are; `service` is "orders", or a dotted package that holds `migrations/`."""
    package = service if "." in service else f"services.{service}"
    return Path(str(importlib.resources.files(package).joinpath("migrations")))


def revisions(service: str) -> list[str]:
    """The revisions in their order, read from the file names; raises `MigrationFault` for a gap or a duplicate."""
    found = [name[:4] for name in _files(service)]
    expected = [f"{number:04d}" for number in range(1, len(found) + 1)]
    if not found or found != expected:
        raise MigrationFault(f"{service}: migrations must be 0001 to the last without a gap, found {found}")
    return found


def needed(service: str) -> str:
    """The newest revision that is no step for afterwards: what this code cannot do without."""
    before = [name for name in _files(service) if not _FILE.fullmatch(name)["post"]]  # type: ignore[index]
    if not before or not before[0].startswith("0001"):
        raise MigrationFault(f"{service}: the first migration cannot be one for afterwards")
    return before[-1][:4]


async def status(connection: Connection, service: str) -> Status:
    """Where the schema of the connection's database stands."""
    return Status(await _revision_of(connection), needed(service), revisions(service)[-1])


async def check_at_head(connection: Connection, service: str) -> None:
    """Raises `SchemaNotAtHead` unless the database has every migration that this code needs; it may have newer ones."""
    found = await status(connection, service)
    if found.state == "behind":
        raise SchemaNotAtHead(
            f"the {service} database is at revision {found.revision or 'none'}, this code needs {found.needed}: "
            f"run `python -m services.{service} setup`"
        )
    if found.state == "ahead":
        _log.warning(
            "the schema is newer than this code",
            service=service,
            revision=found.revision,
            known=found.newest,
        )


async def require_head(database: Database, service: str) -> None:
    """Raises `CannotStart` unless the database is at the schema of this code."""
    async with database.connection() as connection:
        try:
            await check_at_head(connection, service)
        except SchemaNotAtHead as error:
            raise CannotStart(str(error)) from None


async def upgrade(
    dsn: str,
    service: str,
    *,
    lock_timeout_ms: int = LOCK_TIMEOUT_MS,
    statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
    replica_wait_s_max: float = REPLICA_WAIT_S_MAX,
    post: bool = False,
) -> str:
    """Brings the schema to what this code needs and returns its revision; several may call this at once.

    With `post`, or where there is no schema yet, to the newest. A schema that is further is left as it is.

    One of them works while the others wait for its session lock (a direct connection, no PgBouncer in
    transaction mode). A table lock that cannot be had within `lock_timeout_ms` is tried again a few times,
    so that a migration never queues the service's traffic behind it for long.
    """
    guard = await pg.connect(dsn, name=f"migrate-{service}")
    try:
        async with asyncio.timeout(replica_wait_s_max):
            await _take_turn(guard, service)
        found = await status(guard, service)
        target = found.newest if post or found.revision is None else found.needed
        if found.revision is not None and _REVISION.match(found.revision) and found.revision >= target:
            await check_at_head(guard, service)
            return found.revision
        for attempt in range(1, LOCK_ATTEMPTS_MAX + 1):
            try:
                await _run(dsn, service, target, lock_timeout_ms, statement_timeout_ms)
                break
            except Exception as error:
                if attempt == LOCK_ATTEMPTS_MAX or not _is_lock_conflict(error):
                    raise
                _log.warning("migration waits for a lock", service=service, attempt=attempt)
                await asyncio.sleep(attempt)
        await check_at_head(guard, service)
    finally:
        await guard.close(timeout=5)
    _log.info("schema at head", service=service, revision=target)
    return target


def execute(sql: str) -> None:
    """Runs SQL, one or many statements as they stand, in the migration's transaction. For migrations only."""
    from alembic import op

    bind = op.get_bind()
    # SQLAlchemy begins the transaction with the first statement of its own.
    bind.exec_driver_sql("SELECT 1")
    bind.connection.dbapi_connection.run_async(lambda connection: connection.execute(sql))  # type: ignore[union-attr]


def execute_alone(sql: str) -> None:
    """Runs one statement outside any transaction, however long others hold it up. For migrations only.

    That is for `CREATE INDEX CONCURRENTLY` and `VALIDATE CONSTRAINT`, which let traffic through while they work. Broken
    off, the migration begins anew: before an index is made, `DROP INDEX CONCURRENTLY IF EXISTS` takes half of one away.
    """
    from alembic import op

    with op.get_context().autocommit_block():
        driver: Any = op.get_bind().connection.dbapi_connection
        # Waiting in a queue that holds up nobody is no reason to give up.
        driver.run_async(lambda connection: connection.execute("SET lock_timeout = 0"))
        try:
            driver.run_async(lambda connection: connection.execute(sql))
        finally:
            driver.run_async(lambda connection: connection.execute("RESET lock_timeout"))


def _files(service: str) -> list[str]:
    return sorted(path.name for path in folder(service).iterdir() if _FILE.match(path.name) is not None)


async def _take_turn(guard: Connection, service: str) -> None:
    """Waits for the lock by asking again: a statement that waits for it would hold up an index made concurrently."""
    number = crc32(service.encode()) & 0x7FFFFFFF
    while True:
        if await guard.fetchval("SELECT pg_try_advisory_lock($1, $2)", LOCK_CLASS, number):
            return
        await asyncio.sleep(REPLICA_POLL_S)


async def _revision_of(connection: Connection) -> str | None:
    try:
        revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        return None
    return revision


def _is_lock_conflict(error: BaseException | None) -> bool:
    """A lock was not to be had in time, or only by ending a circle of waits."""
    while error is not None:
        if getattr(error, "sqlstate", None) in LOCK_CONFLICTS:
            return True
        error = error.__cause__
    return False


async def _run(dsn: str, service: str, target: str, lock_timeout_ms: int, statement_timeout_ms: int) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    connect = functools.partial(
        asyncpg.connect,
        dsn,
        timeout=10,
        server_settings=pg.server_settings(
            name=f"migrate-{service}",
            statement_timeout_ms=statement_timeout_ms,
            lock_timeout_ms=lock_timeout_ms,
            idle_in_transaction_timeout_ms=60_000,
        ),
    )
    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_upgrade, service, target)
    finally:
        await engine.dispose()


def _upgrade(connection: "AlchemyConnection", service: str, target: str) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("path_separator", "os")
    location = str(folder(service))
    script = ScriptDirectory(location, version_locations=[location])
    known = [revision.revision for revision in reversed(list(script.walk_revisions()))]
    if known != revisions(service):
        raise MigrationFault(f"{service}: files are {revisions(service)}, their revision variables {known}")

    def steps(current: Any, _context: Any) -> Sequence[Any]:
        for revision in current:
            if revision not in known:
                raise MigrationFault(
                    f"the {service} database is at {revision}, which this code does not know: it is newer than the code"
                )
        return script._upgrade_revs(target, current)

    with EnvironmentContext(config, script, fn=steps) as environment:
        environment.configure(connection=connection, target_metadata=None, transaction_per_migration=True)
        with environment.begin_transaction():
            environment.run_migrations()
    connection.commit()
