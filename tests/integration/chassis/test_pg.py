"""The pool: retries, time-outs, lost connections, cancellation."""

import asyncio

import asyncpg
import pytest

from services.chassis.errors import FailedPrecondition, ResourceExhausted, Unavailable
from services.chassis.pg import Connection, Database

pytestmark = pytest.mark.postgres


async def _value(database: Database, name: str) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval("SELECT value FROM counter WHERE name = $1", name))


async def test_a_serialization_failure_is_repeated(ledger: Database) -> None:
    """Two serializable transactions read and write the same row; both end up applied."""
    both_have_read = asyncio.Barrier(2)
    attempts = 0

    async def add(connection: Connection) -> None:
        nonlocal attempts
        attempts += 1
        await connection.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        value = await connection.fetchval("SELECT value FROM counter WHERE name = 'a'")
        if attempts <= 2:
            await both_have_read.wait()
        await connection.execute("UPDATE counter SET value = $1 WHERE name = 'a'", value + 1)

    await asyncio.gather(ledger.transact(add), ledger.transact(add))
    assert await _value(ledger, "a") == 2
    assert attempts == 3


async def test_a_deadlock_is_repeated(ledger: Database) -> None:
    """Two transactions lock two rows in opposite order."""
    met = asyncio.Barrier(2)
    attempts = 0

    async def add(connection: Connection, first: str, second: str) -> None:
        nonlocal attempts
        attempts += 1
        await connection.execute("SELECT add_to($1, 1)", first)
        if attempts <= 2:
            await met.wait()
        await connection.execute("SELECT add_to($1, 1)", second)

    await asyncio.gather(
        ledger.transact(lambda connection: add(connection, "a", "b")),
        ledger.transact(lambda connection: add(connection, "b", "a")),
    )
    assert (await _value(ledger, "a"), await _value(ledger, "b")) == (2, 2)


async def test_a_connection_cut_while_it_is_given_back_harms_nobody(ledger: Database) -> None:
    """What was done on it is done: the caller must not be told of a failure."""
    pooled = await ledger._acquire()
    asyncio.get_running_loop().call_soon(pooled.terminate)
    await ledger._release(pooled)
    await ledger.transact(lambda connection: connection.execute("SELECT add_to('a', 1)"))
    assert await _value(ledger, "a") == 1


async def test_conflicts_without_end_become_unavailable(ledger: Database) -> None:
    """The number of attempts is bounded."""
    attempts = 0

    async def conflict(_: Connection) -> None:
        nonlocal attempts
        attempts += 1
        raise asyncpg.SerializationError("again")

    with pytest.raises(Unavailable, match="DEPENDENCY_UNAVAILABLE: too many"):
        await ledger.transact(conflict, attempts_max=3)
    assert attempts == 3


async def test_a_domain_error_rolls_back_and_passes_through(ledger: Database) -> None:
    """Nothing of the refused work stays."""

    async def refuse(connection: Connection) -> None:
        await connection.execute("SELECT add_to('a', 1)")
        raise FailedPrecondition("NO", "no")

    with pytest.raises(FailedPrecondition):
        await ledger.transact(refuse)
    assert await _value(ledger, "a") == 0


async def test_a_killed_connection_is_unavailable_and_then_replaced(ledger: Database) -> None:
    """The server's backend dies during the work."""

    async def die(connection: Connection) -> None:
        await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(Unavailable, match="DEPENDENCY_UNAVAILABLE: the database"):
        await ledger.transact(die)
    await ledger.ping()


async def test_a_slow_statement_is_ended(ledger_dsn: str) -> None:
    """The server's statement time-out becomes Unavailable."""
    database = await Database.open(ledger_dsn, statement_timeout_ms=50, name="impatient")
    try:
        with pytest.raises(Unavailable):
            await database.transact(lambda connection: connection.execute("SELECT pg_sleep(5)"))
        await database.ping()
    finally:
        await database.close()


async def test_an_exhausted_pool_sheds_load(ledger_dsn: str) -> None:
    """Waiters are bounded in time and in number."""
    database = await Database.open(
        ledger_dsn, pool_size_max=1, acquire_s_max=0.2, waiters_max=1, name="small"
    )
    try:
        async with database.connection():
            waiting = asyncio.create_task(database.ping())
            await asyncio.sleep(0.05)
            with pytest.raises(ResourceExhausted):
                await database.ping()
            with pytest.raises(Unavailable):
                await waiting
        await database.ping()
    finally:
        await database.close()


async def test_cancellation_during_the_commit_does_not_undo_it(ledger: Database) -> None:
    """Cancelled at any moment, the effect is there entirely or not at all, and the pool stays whole."""
    committed = 0
    for step in range(40):
        done_working = asyncio.Event()

        async def add(connection: Connection, done: asyncio.Event = done_working) -> None:
            await connection.execute("SELECT add_to('a', 1)")
            await connection.execute("SELECT add_to('b', 1)")
            done.set()

        task = asyncio.create_task(ledger.transact(add))
        if step % 2:
            await done_working.wait()
        else:
            await asyncio.sleep(step / 20_000)
        task.cancel()
        await asyncio.wait([task])
        committed += not task.cancelled()
    a, b = await _value(ledger, "a"), await _value(ledger, "b")
    assert a == b
    assert a >= committed


async def test_a_database_that_does_not_exist_is_no_outage(ledger_dsn: str) -> None:
    """A wrong name is reported at once, not waited for."""
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await Database.open(ledger_dsn.replace("/test_", "/none_"), name="nowhere")


async def test_a_server_that_never_comes_is_given_up(ledger_dsn: str) -> None:
    """Opening waits a bounded time."""
    with pytest.raises(OSError, match=r"refused|Connect"):
        await Database.open("postgresql://postgres@127.0.0.1:1/none", open_s_max=0.3, name="nobody")
