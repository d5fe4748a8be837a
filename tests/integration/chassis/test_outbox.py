"""The outbox: order per aggregate, re-sending, one relay per bucket, outages."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from services.chassis import crash, kafka
from services.chassis.envelope import PAYLOAD_BYTES_MAX
from services.chassis.outbox import MessageTooLarge, OutboxRelay, append, relay
from services.chassis.pg import Connection, Database
from tests.integration.chassis.topics import (
    TRACE,
    TYPE,
    append_all,
    eventually,
    first_occurrences,
    message,
    read_all,
    versions,
)

pytestmark = [pytest.mark.postgres, pytest.mark.kafka]


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


async def _rows(database: Database) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM outbox"))


async def _empty(database: Database) -> bool:
    return await _rows(database) == 0


async def test_events_arrive_whole(ledger: Database, ledger_dsn: str, kafka_server: str, topic: str) -> None:
    """Every attribute of an event survives the way."""
    sent = message(topic, "tenant/a", 7, b"\x00payload")
    await append_all(ledger, [sent])
    async with running(ledger_dsn, kafka_server):
        await eventually(lambda: _empty(ledger))
    (event,) = await read_all(kafka_server, topic)
    assert (event.key, event.aggregate_id, event.version, event.type) == ("tenant/a", "tenant/a", 7, TYPE)
    assert (event.payload, event.traceparent, event.event_id) == (sent.payload, TRACE, sent.event_id)
    assert event.time_ms == int(sent.time.timestamp() * 1000)


async def test_order_per_aggregate_under_concurrent_writers(
    ledger: Database, ledger_dsn: str, kafka_server: str, topic: str
) -> None:
    """Writers of the same aggregates draw versions under a row lock, while two relays with two shards each run."""
    async with ledger.connection() as connection:
        await connection.execute("INSERT INTO counter SELECT 'agg' || n, 0 FROM generate_series(0, 9) AS n")

    async def write(writer: int) -> None:
        async def work(connection: Connection) -> None:
            names = sorted({f"agg{(writer + step) % 10}" for step in range(3)})
            rows = await connection.fetch(
                "SELECT name FROM counter WHERE name = ANY ($1) ORDER BY name FOR UPDATE", names
            )
            messages = []
            for row in rows:
                version = await connection.fetchval("SELECT add_to($1, 1)", row["name"])
                messages.append(message(topic, row["name"], version))
            await append(connection, messages)

        for _ in range(20):
            await ledger.transact(work)
            one.wake()

    async with (
        running(ledger_dsn, kafka_server, batch_rows_max=7) as one,
        running(ledger_dsn, kafka_server, shards=3, batch_rows_max=7),
    ):
        await asyncio.gather(*(write(writer) for writer in range(10)))
        await eventually(lambda: _empty(ledger))
    found = versions(await read_all(kafka_server, topic))
    assert len(found) == 10
    for numbers in found.values():
        assert numbers == list(range(1, 61))


async def test_a_crash_before_the_delete_sends_again(
    ledger: Database, ledger_dsn: str, kafka_server: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was acknowledged but not deleted is sent again by the next relay, and nothing is lost."""
    await append_all(ledger, [message(topic, f"a{n % 5}", n // 5 + 1) for n in range(50)])

    class Crashed(Exception):
        """Stands for the end of the process."""

    def crash_point(name: str) -> None:
        if name == "relay.before_delete":
            raise Crashed

    monkeypatch.setattr(relay, "crash_point", crash_point)
    first = OutboxRelay(dsn=ledger_dsn, bootstrap=kafka_server, source="/sampan/test", shards=1)
    with pytest.raises(Crashed):
        await first.run()
    assert await _rows(ledger) == 50
    monkeypatch.setattr(relay, "crash_point", crash.crash_point)
    async with running(ledger_dsn, kafka_server):
        await eventually(lambda: _empty(ledger))
    found = versions(await read_all(kafka_server, topic))
    for numbers in found.values():
        assert len(numbers) == 20
        assert first_occurrences(numbers) == list(range(1, 11))


async def test_events_of_a_clock_that_was_wrong_do_not_hold_up_the_others(
    ledger: Database, ledger_dsn: str, kafka_server: str, topic: str
) -> None:
    """By default a broker refuses what is dated more than an hour ahead, for as long as it is."""
    ahead, behind = (message(topic, "a", version) for version in (1, 2))
    ahead.time += timedelta(days=2)
    behind.time -= timedelta(days=2)
    await append_all(ledger, [ahead, behind, message(topic, "a", 3)])
    async with running(ledger_dsn, kafka_server):
        await eventually(lambda: _empty(ledger))
    assert versions(await read_all(kafka_server, topic)) == {"a": [1, 2, 3]}


async def test_a_lost_connection_gives_the_buckets_away_and_is_replaced(
    ledger: Database, ledger_dsn: str, kafka_server: str, topic: str
) -> None:
    """The relay's backends are killed while it works."""
    async with running(ledger_dsn, kafka_server, name="victim"):
        for round_number in range(3):
            await append_all(ledger, [message(topic, f"a{n}", round_number + 1) for n in range(30)])
            async with ledger.connection() as connection:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND application_name LIKE 'victim-%'"
                )
        await eventually(lambda: _empty(ledger))
    for numbers in versions(await read_all(kafka_server, topic)).values():
        assert first_occurrences(numbers) == [1, 2, 3]


async def test_a_refusal_keeps_the_rows_and_a_new_producer_sends_them(
    ledger: Database, ledger_dsn: str, kafka_server: str, topic: str
) -> None:
    """The topic of some events does not exist yet; the others are not held up, and order holds for all."""
    late = f"{topic}.late"
    await append_all(
        ledger, [message(target, f"a{n % 3}", n // 3 + 1) for target in (late, topic) for n in range(9)]
    )
    relay_options: dict[str, Any] = {"shards": 1}
    async with running(ledger_dsn, kafka_server, **relay_options):
        await eventually(lambda: _count_is(ledger, 9), s_max=60)
        await kafka.ensure_topics(kafka_server, [kafka.TopicSpec.events(late, 4)])
        await eventually(lambda: _empty(ledger), s_max=60)
    for target in (topic, late):
        for numbers in versions(await read_all(kafka_server, target)).values():
            assert first_occurrences(numbers) == [1, 2, 3]


async def _count_is(database: Database, count: int) -> bool:
    return await _rows(database) == count


async def test_snapshots_of_one_read_are_coalesced(
    ledger: Database, ledger_dsn: str, kafka_server: str, topic: str
) -> None:
    """Of a compacted topic only the newest per key is sent; other topics are sent in full."""
    events = f"{topic}.events"
    await kafka.ensure_topics(kafka_server, [kafka.TopicSpec.events(events, 2)])
    await append_all(
        ledger, [message(target, f"a{n % 3}", n // 3 + 1) for n in range(30) for target in (topic, events)]
    )
    async with running(ledger_dsn, kafka_server, snapshot_topics=[topic], shards=1):
        await eventually(lambda: _empty(ledger))
    assert versions(await read_all(kafka_server, topic)) == {f"a{n}": [10] for n in range(3)}
    assert versions(await read_all(kafka_server, events)) == {f"a{n}": list(range(1, 11)) for n in range(3)}


async def test_large_events_are_split_over_batches_and_too_large_ones_refused(
    ledger: Database, ledger_dsn: str, kafka_server: str, topic: str
) -> None:
    """The bound of one event is enforced where the event is made, not where it would block the outbox."""
    with pytest.raises(MessageTooLarge):
        await append_all(ledger, [message(topic, "a", 1, bytes(PAYLOAD_BYTES_MAX + 1))])
    await append_all(ledger, [message(topic, "a", n + 1, bytes(PAYLOAD_BYTES_MAX)) for n in range(3)])
    await append_all(ledger, [message(topic, "a", n + 4, bytes(200_000)) for n in range(6)])
    async with running(ledger_dsn, kafka_server, shards=1):
        await eventually(lambda: _empty(ledger))
    assert versions(await read_all(kafka_server, topic)) == {"a": list(range(1, 10))}


async def test_stopping_while_kafka_is_down(ledger: Database, ledger_dsn: str) -> None:
    """A relay without a broker keeps its rows and stops in time."""
    await append_all(ledger, [message("nowhere", "a", 1)])
    async with asyncio.timeout(15), running(ledger_dsn, "127.0.0.1:1"):
        await asyncio.sleep(0.5)
    assert await _rows(ledger) == 1
