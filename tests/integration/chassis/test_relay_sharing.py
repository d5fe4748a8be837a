"""Several relays of one outbox: fair shares, hand-over under load, take-over from the dead and the frozen."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from services.chassis import pg
from services.chassis.outbox import BUCKETS, OutboxRelay, append
from services.chassis.outbox.buckets import BucketShare
from services.chassis.pg import Connection, Database
from tests.integration.chassis.topics import (
    append_all,
    eventually,
    first_occurrences,
    message,
    read_all,
    versions,
)

pytestmark = [pytest.mark.postgres, pytest.mark.kafka]

EVERYTHING = list(range(BUCKETS))
AGGREGATES = 40


@contextlib.asynccontextmanager
async def running(dsn: str, bootstrap: str, **options: Any) -> AsyncIterator[OutboxRelay]:
    """A relay of this process that is stopped in the end."""
    made = OutboxRelay(dsn=dsn, bootstrap=bootstrap, source="/sampan/test", **options)
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        await made.stop()
        await task


@contextlib.asynccontextmanager
async def running_elsewhere(
    dsn: str, bootstrap: str, *, name: str, idle: str = "15s"
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A relay in a process of its own, killed in the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.chassis.relay_process", dsn, bootstrap, name, idle)
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def writing(database: Database, topic: str, wake: Sequence[Callable[[], None]]) -> AsyncIterator[None]:
    """Writers that go on all the time; each version of an aggregate is drawn under its row's lock."""
    names = [f"agg{number}" for number in range(AGGREGATES)]
    async with database.connection() as connection:
        await connection.execute("INSERT INTO counter SELECT unnest($1::text[]), 0", names)
    ending = asyncio.Event()

    async def write(first: int) -> None:
        mine = sorted(names[(first * 10 + step) % AGGREGATES] for step in range(15))

        async def work(connection: Connection) -> None:
            rows = await connection.fetch(
                "SELECT name FROM counter WHERE name = ANY ($1) ORDER BY name FOR UPDATE", mine
            )
            drawn = [
                (row["name"], await connection.fetchval("SELECT add_to($1, 1)", row["name"])) for row in rows
            ]
            await append(connection, [message(topic, name, version) for name, version in drawn])

        while not ending.is_set():
            await database.transact(work)
            for one in wake:
                one()

    writers = [asyncio.create_task(write(number)) for number in range(4)]
    try:
        yield
    finally:
        ending.set()
        await asyncio.gather(*writers)


async def _empty(database: Database) -> bool:
    async with database.connection() as connection:
        return bool(await connection.fetchval("SELECT NOT EXISTS (SELECT 1 FROM outbox)"))


def _locked_by(database: Database, name: str) -> Callable[[], Awaitable[int]]:
    """How many buckets the sessions of that name hold, as PostgreSQL sees it."""

    async def count() -> int:
        async with database.connection() as connection:
            return int(
                await connection.fetchval(
                    "SELECT count(*) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) "
                    "WHERE l.locktype = 'advisory' AND l.classid = 1396788560 AND a.application_name LIKE $1",
                    f"{name}-%",
                )
            )

    return count


async def _assert_in_order(bootstrap: str, topic: str, database: Database) -> None:
    """Every version of every aggregate is there, the first occurrences in order."""
    async with database.connection() as connection:
        last = dict(await connection.fetch("SELECT name, value FROM counter WHERE value > 0"))
    found = versions(await read_all(bootstrap, topic))
    assert {name: first_occurrences(numbers) for name, numbers in found.items()} == {
        name: list(range(1, value + 1)) for name, value in last.items()
    }


async def test_relays_share_fairly_and_hand_over_while_events_flow(
    ledger: Database, ledger_dsn: str, kafka_server: str, topic: str
) -> None:
    """Each joins and leaves under load; no bucket is served by two, and nothing overtakes."""
    async with running(ledger_dsn, kafka_server, name="first") as first:
        await eventually(lambda: first.held == EVERYTHING)
        async with writing(ledger, topic, [first.wake]):
            async with running(ledger_dsn, kafka_server, name="second") as second:
                await eventually(lambda: len(first.held) == len(second.held) == BUCKETS // 2)
                assert sorted(first.held + second.held) == EVERYTHING
                async with running(ledger_dsn, kafka_server, name="third", shards=2) as third:
                    # Four relays live, two of them in the third process.
                    await eventually(
                        lambda: (len(first.held), len(second.held), len(third.held)) == (4, 4, 8)
                    )
                    assert sorted(first.held + second.held + third.held) == EVERYTHING
            await eventually(lambda: first.held == EVERYTHING)
        await eventually(lambda: _empty(ledger))
    await _assert_in_order(kafka_server, topic, ledger)


async def test_a_killed_relay_is_replaced(
    ledger: Database, ledger_dsn: str, kafka_server: str, topic: str
) -> None:
    """kill -9 of one of two processes: the other serves everything within seconds; order holds, nothing is lost."""
    async with (
        running(ledger_dsn, kafka_server, name="survivor") as survivor,
        running_elsewhere(ledger_dsn, kafka_server, name="victim") as victim,
        writing(ledger, topic, [survivor.wake]),
    ):
        victims = _locked_by(ledger, "victim")
        await eventually(lambda: _is(victims, BUCKETS // 2))
        victim.kill()
        await victim.wait()
        await eventually(lambda: survivor.held == EVERYTHING, s_max=10)
        assert await victims() == 0
    async with running(ledger_dsn, kafka_server, name="rest"):
        await eventually(lambda: _empty(ledger))
    await _assert_in_order(kafka_server, topic, ledger)


async def test_a_frozen_relay_loses_its_buckets(
    ledger: Database, ledger_dsn: str, kafka_server: str, topic: str
) -> None:
    """SIGSTOP leaves its connections open: PostgreSQL ends the session that has nothing to say for too long."""
    async with (
        running(ledger_dsn, kafka_server, name="survivor") as survivor,
        running_elsewhere(ledger_dsn, kafka_server, name="frozen", idle="3s") as frozen,
    ):
        sleepers = _locked_by(ledger, "frozen")
        await eventually(lambda: _is(sleepers, BUCKETS // 2))
        os.kill(frozen.pid, signal.SIGSTOP)
        await eventually(lambda: survivor.held == EVERYTHING, s_max=20)
        await append_all(ledger, [message(topic, f"a{number}", 1) for number in range(AGGREGATES)])
        survivor.wake()
        await eventually(lambda: _empty(ledger))
        os.kill(frozen.pid, signal.SIGCONT)
        await eventually(lambda: _is(sleepers, BUCKETS // 2))
    assert len(await read_all(kafka_server, topic)) == AGGREGATES


async def test_no_statement_is_prepared_while_buckets_are_held(ledger_dsn: str) -> None:
    """A session whose client was frozen between preparing and running a statement is not idle, and is never ended."""
    prepared = "SELECT count(*) FROM pg_prepared_statements"
    mine, other = [await pg.connect(ledger_dsn, name=name) for name in ("mine", "other")]
    try:
        await mine.fetchval(prepared)
        share = BucketShare(mine, name="mine")
        await share.prepare()
        await share.balance()
        assert len(share.held) == BUCKETS
        before = await mine.fetchval(prepared)
        await BucketShare(other, name="other").balance()
        share._balance_at = 0.0
        await share.balance()
        assert len(share.held) == BUCKETS // 2
        assert await mine.fetchval(prepared) == before
    finally:
        await mine.close()
        await other.close()


async def test_deleted_rows_do_not_pile_up(
    ledger: Database, ledger_dsn: str, kafka_server: str, topic: str
) -> None:
    """The relay clears away behind itself: else each read passes over all rows since the last autovacuum."""
    async with ledger.connection() as connection:
        await connection.execute("ALTER TABLE outbox SET (autovacuum_enabled = off)")
    async with running(ledger_dsn, kafka_server, name="tidy") as tidy:
        for number in range(20):
            await append_all(
                ledger, [message(topic, f"a{one}", number + 1, bytes(200)) for one in range(1_000)]
            )
            tidy.wake()
            await eventually(lambda: _empty(ledger))
    async with ledger.connection() as connection:
        size = await connection.fetchval("SELECT pg_relation_size('outbox')")
    # All of them take some six million.
    assert size < 4_000_000


async def _is(count: Callable[[], Awaitable[int]], expected: int) -> bool:
    return await count() == expected
