"""Relays that cannot do their part: without Kafka, without their locks, with a table too large to be vacuumed."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from deploy.local.settings import free_ports
from services.chassis import pg
from services.chassis.outbox import BUCKETS, OutboxRelay, relay, right, vacuum
from services.chassis.outbox.right import Right, RightLost
from services.chassis.outbox.sender import Sender
from services.chassis.pg import Database
from services.chassis.queries import load_queries
from tests.integration.chassis.topics import append_all, eventually, message, read_all, versions

pytestmark = [pytest.mark.postgres, pytest.mark.kafka]

EVERYTHING = list(range(BUCKETS))
AGGREGATES = 60


@contextlib.asynccontextmanager
async def running(dsn: str, bootstrap: str, **options: Any) -> AsyncIterator[OutboxRelay]:
    """A relay that is stopped in the end."""
    made = OutboxRelay(dsn=dsn, bootstrap=bootstrap, source="/sampan/test", **options)
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        await made.stop()
        await task


@contextlib.asynccontextmanager
async def forwarding(port: int, bootstrap: str) -> AsyncIterator[None]:
    """Leads a port to Kafka, which then names its own address."""
    host, _, kafka_port = bootstrap.rpartition(":")

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(host, int(kafka_port))
        await asyncio.gather(copy(reader, there_writer), copy(there_reader, writer))

    server = await asyncio.start_server(forward, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


def empty(database: Database) -> Callable[[], Any]:
    async def is_empty() -> bool:
        async with database.connection() as connection:
            return bool(await connection.fetchval("SELECT NOT EXISTS (SELECT 1 FROM outbox)"))

    return is_empty


def stand_still(seconds: float) -> None:
    """The whole process does, and hears of nothing."""
    time.sleep(seconds)


async def backends(database: Database, name: str) -> list[int]:
    """The sessions of a relay that hold its buckets."""
    async with database.connection() as connection:
        rows = await connection.fetch(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1",
            f"{name}-0",
        )
    return [row["pid"] for row in rows]


async def test_a_relay_that_does_not_reach_kafka_leaves_its_buckets_to_those_that_do(
    ledger: Database, ledger_dsn: str, kafka_server: str, topic: str
) -> None:
    """And it takes its share again once it reaches it."""
    (port,) = free_ports(1)
    async with (
        running(ledger_dsn, kafka_server, name="seeing") as seeing,
        running(ledger_dsn, f"127.0.0.1:{port}", name="blind") as blind,
    ):
        await eventually(lambda: len(seeing.held) == len(blind.held) == BUCKETS // 2)
        await append_all(ledger, [message(topic, f"a{number}", 1) for number in range(AGGREGATES)])
        await eventually(empty(ledger), s_max=30)
        assert (seeing.held, blind.held) == (EVERYTHING, [])
        async with forwarding(port, kafka_server):
            await eventually(lambda: len(seeing.held) == len(blind.held) == BUCKETS // 2, s_max=30)
            await append_all(ledger, [message(topic, f"a{number}", 2) for number in range(AGGREGATES)])
            await eventually(empty(ledger))
    found = versions(await read_all(kafka_server, topic))
    assert found == {f"a{number}": [1, 2] for number in range(AGGREGATES)}


async def test_a_relay_that_was_away_asks_for_its_right_before_it_sends(
    ledger: Database, ledger_dsn: str, kafka_server: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session ended between its read and its sending: another relay may have sent those rows, and newer ones."""
    monkeypatch.setattr(right, "PROOF_S_MAX", 0.2)
    connection = await pg.connect(ledger_dsn, name="away")
    ours = Right(connection)
    await ours.confirm()
    await append_all(ledger, [message(topic, "a", 1)])
    rows = await connection.fetch(load_queries("services.chassis")["read_outbox"], EVERYTHING, 10)
    sender = Sender(
        bootstrap=kafka_server,
        source=b"/sampan/test",
        snapshot_topics=(),
        stopping=asyncio.Event(),
        alarm_s=10,
        s_max=10,
        name="away",
    )
    assert await sender.probe() is None
    async with ledger.connection() as other:
        await other.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
        stand_still(0.3)
    acknowledged, failure = await sender.send(rows, ours.confirm)
    assert acknowledged == []
    assert isinstance(failure, RightLost)
    await asyncio.wait_for(ours.lost.wait(), 10)
    await sender.drop_producer()
    assert await read_all(kafka_server, topic) == []


async def test_a_proof_that_is_too_old_is_renewed_without_losing_the_buckets(
    ledger: Database, ledger_dsn: str, kafka_server: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(right, "PROOF_S_MAX", 0.2)
    away_s = [0.3, 0.3]

    def crash_point(name: str) -> None:
        if name == "relay.before_send" and away_s:
            stand_still(away_s.pop())

    monkeypatch.setattr(relay, "crash_point", crash_point)
    async with running(ledger_dsn, kafka_server, name="slow") as slow:
        await eventually(lambda: slow.held == EVERYTHING)
        before = await backends(ledger, "slow")
        for version in (1, 2):
            await append_all(ledger, [message(topic, "a", version)])
            slow.wake()
            await eventually(empty(ledger))
        assert await backends(ledger, "slow") == before
    assert away_s == []
    assert versions(await read_all(kafka_server, topic)) == {"a": [1, 2]}


def vacuum_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets each page that a VACUUM looks at take a tenth of a second, as if there were very many of them."""
    monkeypatch.setattr(vacuum, "AFTER_ROWS", 1)
    monkeypatch.setitem(relay.SESSION_SETTINGS, "vacuum_cost_delay", "100ms")
    monkeypatch.setitem(relay.SESSION_SETTINGS, "vacuum_cost_limit", "1")


async def test_a_vacuum_that_cannot_end_in_time_does_not_cost_the_buckets(
    ledger: Database, ledger_dsn: str, kafka_server: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a long outage the table is too large for one statement."""
    vacuum_slowly(monkeypatch)
    monkeypatch.setitem(relay.SESSION_SETTINGS, "statement_timeout", "1s")
    async with running(ledger_dsn, kafka_server, name="large") as large:
        await eventually(lambda: large.held == EVERYTHING)
        before = await backends(ledger, "large")
        for version in (1, 2):
            await append_all(ledger, [message(topic, f"a{one}", version, bytes(500)) for one in range(900)])
            large.wake()
            await eventually(empty(ledger))
        assert await backends(ledger, "large") == before
    assert await vacuums(ledger) == 0
    assert set(map(tuple, versions(await read_all(kafka_server, topic)).values())) == {(1, 2)}


async def test_a_slow_vacuum_gets_a_small_share_of_the_time(
    ledger: Database, ledger_dsn: str, kafka_server: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vacuum_slowly(monkeypatch)
    monkeypatch.setattr(vacuum, "PAUSE_PER_DURATION", 1_000.0)
    async with running(ledger_dsn, kafka_server, name="large") as large:
        for version in range(1, 6):
            await append_all(ledger, [message(topic, "a", version)])
            large.wake()
            await eventually(empty(ledger))
        await eventually(lambda: _is(ledger, 1))
    assert await vacuums(ledger) == 1
    assert versions(await read_all(kafka_server, topic)) == {"a": [1, 2, 3, 4, 5]}


async def vacuums(database: Database) -> int:
    """How often the outbox was vacuumed by command."""
    async with database.connection() as connection:
        return int(
            await connection.fetchval("SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 'outbox'")
        )


async def _is(database: Database, count: int) -> bool:
    return await vacuums(database) == count
