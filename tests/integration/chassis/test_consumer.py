"""The consumer: exactly-once effects, whatever is re-delivered, shared or fenced."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.chassis import kafka
from services.chassis.consumer import Consumer, Event
from services.chassis.consumer.batch import BatchProcessor, decode
from services.chassis.consumer.sweep import AppliedSweep
from services.chassis.pg import Connection, Database
from tests.integration.chassis.consuming import (
    a_few,
    consuming,
    effects,
    effects_are,
    passed,
    positions,
    record,
)
from tests.integration.chassis.topics import eventually, headers, produce, producer, versions

pytestmark = [pytest.mark.postgres, pytest.mark.kafka]


async def test_every_event_has_one_effect(ledger: Database, kafka_server: str, topic: str) -> None:
    """Duplicates in the topic (a relay's second sending) are dropped; order per aggregate is kept."""
    events = a_few(20, 5)
    await produce(kafka_server, topic, events)
    await produce(kafka_server, topic, events[:50])
    woken = 0

    def wake() -> None:
        nonlocal woken
        woken += 1

    wanted = {f"a{n}": [1, 2, 3, 4, 5] for n in range(20)}
    async with consuming(ledger, kafka_server, topic, batch_records_max=17, after_commit=wake):
        await eventually(effects_are(ledger, wanted))
        await eventually(lambda: woken >= 150 / 17)
        await produce(kafka_server, topic, [*events[50:], ("a0", 6)])
        await eventually(effects_are(ledger, wanted | {"a0": [1, 2, 3, 4, 5, 6]}))

        async def all_passed() -> bool:
            return sum((await positions(ledger)).values()) == 201

        await eventually(all_passed)


async def test_redelivery_starts_where_the_database_says(
    ledger: Database, kafka_server: str, topic: str
) -> None:
    """A second life neither repeats nor skips; with its offsets lost it repeats, without a second effect."""
    await produce(kafka_server, topic, a_few(10, 2))
    wanted = {f"a{n}": [1, 2] for n in range(10)}
    async with consuming(ledger, kafka_server, topic):
        await eventually(effects_are(ledger, wanted))
    await produce(kafka_server, topic, [("a1", 3)])
    async with ledger.connection() as connection:
        await connection.execute("UPDATE consumer_offset SET next = 0")
    async with consuming(ledger, kafka_server, topic):
        await eventually(effects_are(ledger, wanted | {"a1": [1, 2, 3]}))
        await eventually(lambda: passed(ledger, 21))
    assert await effects(ledger) == wanted | {"a1": [1, 2, 3]}


async def test_offsets_moved_by_another_are_respected(
    ledger: Database, kafka_server: str, topic: str
) -> None:
    """Somebody moves the offsets while a batch is under way: its effects are rolled back, the rest goes on."""
    release = asyncio.Event()
    partition: int | None = None

    async def slow(connection: Connection, events: Sequence[Event]) -> None:
        nonlocal partition
        await record(connection, events)
        if partition is None:
            partition = events[0].partition
            await release.wait()
            raise asyncpg.ConnectionDoesNotExistError("connection lost")

    await produce(kafka_server, topic, [("a", 1), ("a", 2)])
    async with consuming(ledger, kafka_server, topic, slow):
        await eventually(lambda: partition is not None)
        async with ledger.connection() as connection:
            moving = asyncio.create_task(
                connection.execute("UPDATE consumer_offset SET next = 1 WHERE part = $1", partition)
            )
            await asyncio.sleep(0.1)
            release.set()
            await moving
        await produce(kafka_server, topic, [("a", 3)])
        await eventually(effects_are(ledger, {"a": [2, 3]}))


async def test_a_zombie_is_fenced(ledger: Database) -> None:
    """Two members believe to own a partition and apply the same batch at once: one of them succeeds."""
    place = TopicPartition("t", 0)
    async with ledger.connection() as connection:
        await connection.execute(
            "INSERT INTO consumer_offset (grp, topic, part, next) VALUES ('g', 't', 0, 0)"
        )
    records = [
        SimpleNamespace(
            topic="t", partition=0, offset=n, timestamp=0, key=b"a", value=b"", headers=headers("a", n + 1)
        )
        for n in range(10)
    ]
    processors = [
        BatchProcessor(group="g", handler=record, db=ledger, after_commit=None, snapshot_topics=())
        for _ in range(4)
    ]
    for processor in processors:
        processor.positions = {place: 0}
    results = await asyncio.gather(
        *(processor.process(decode(place, records)) for processor in processors), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["Fenced"] * 3 + ["NoneType"]
    assert sorted(processor.positions[place] for processor in processors) == [0, 0, 0, 10]
    assert await effects(ledger) == {"a": list(range(1, 11))}


async def test_two_consumers_share_and_hand_over(ledger: Database, kafka_server: str, topic: str) -> None:
    """Members come and go under load; every event still has exactly one effect, in order."""
    aggregates, rounds = 40, 12
    stop_producing = asyncio.Event()

    async def keep_producing() -> None:
        async with producer(kafka_server) as sender:
            for version in range(1, rounds + 1):
                for n in range(aggregates):
                    name = f"a{n}"
                    await sender.send(topic, b"x", key=name.encode(), headers=headers(name, version))
                await asyncio.sleep(0.5)
            await sender.flush()
        stop_producing.set()

    sending = asyncio.create_task(keep_producing())
    async with consuming(ledger, kafka_server, topic, batch_records_max=25) as first:
        await eventually(lambda: len(first.assigned) == 4)
        async with consuming(ledger, kafka_server, topic, batch_records_max=25) as second:
            await eventually(lambda: len(first.assigned) == 2 and len(second.assigned) == 2)
        await eventually(lambda: len(first.assigned) == 4)
        await sending
        await eventually(
            effects_are(ledger, {f"a{n}": list(range(1, rounds + 1)) for n in range(aggregates)})
        )


async def test_snapshots_of_one_batch_are_coalesced(ledger: Database, kafka_server: str, topic: str) -> None:
    """The handler gets the newest of a compacted topic; the offsets pass over the rest."""
    await produce(kafka_server, topic, [("a", version) for version in range(1, 101)])
    async with consuming(ledger, kafka_server, topic, snapshot_topics=[topic]):
        await eventually(lambda: passed(ledger, 100))
    assert (await effects(ledger))["a"][-1] == 100
    assert len((await effects(ledger))["a"]) < 20


async def test_applied_versions_are_forgotten_in_time(ledger: Database) -> None:
    """The sweep walks in pages, spares what is new and what a parked event may still need."""
    async with ledger.connection() as connection:
        await connection.execute(
            "INSERT INTO consumer_applied (grp, topic, aggregate_id, version, update_time) "
            "SELECT 'g', 't', 'a' || n, 1, now() - CASE WHEN n % 2 = 0 THEN interval '30 days' ELSE '0' END "
            "FROM generate_series(1, 100) AS n"
        )
    sweep = AppliedSweep(ledger, retention_days=14)
    deleted = [await sweep.step(page_rows=30) for _ in range(5)]
    assert sum(deleted) == 50
    async with ledger.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM consumer_applied") == 50


async def test_offsets_are_told_to_kafka(ledger: Database, kafka_server: str, topic: str) -> None:
    """Lag tools see the group's progress."""
    await produce(kafka_server, topic, a_few(20, 1))
    async with consuming(ledger, kafka_server, topic):
        await eventually(lambda: passed(ledger, 20))
    client = AIOKafkaConsumer(
        bootstrap_servers=kafka_server, group_id=f"group.{topic}", enable_auto_commit=False
    )
    await client.start()
    try:
        places = [TopicPartition(topic, part) for part in range(4)]
        client.assign(places)
        committed = {place.partition: await client.committed(place) for place in places}
    finally:
        await client.stop()
    assert {part: offset or 0 for part, offset in committed.items()} == await positions(ledger)


async def test_two_topics_share_one_transaction(ledger: Database, kafka_server: str, topic: str) -> None:
    """The same aggregate id in two topics is two aggregates; a group may follow both."""
    other = f"{topic}.other"
    await kafka.ensure_topics(kafka_server, [kafka.TopicSpec.events(other, 2)])
    seen: list[Event] = []

    async def remember(connection: Connection, events: Sequence[Event]) -> None:
        seen.extend(events)

    await produce(kafka_server, topic, [("a", 1), ("a", 2)])
    await produce(kafka_server, other, [("a", 1), ("b", 1)])
    consumer = Consumer(
        group=f"group.{topic}", topics=[topic, other], handler=remember, db=ledger, bootstrap=kafka_server
    )
    task = asyncio.create_task(consumer.run())
    await eventually(lambda: len(seen) >= 4)
    await consumer.stop()
    await task
    assert versions(event for event in seen if event.topic == topic) == {"a": [1, 2]}
    assert versions(event for event in seen if event.topic == other) == {"a": [1], "b": [1]}


async def test_what_comes_while_a_batch_is_applied_is_the_next_batch(
    ledger: Database, kafka_server: str, topic: str
) -> None:
    """Whole: fetched ahead, only the first record of it would be, and the others a batch of their own."""
    batches: list[int] = []
    began, goes_on = asyncio.Event(), asyncio.Event()

    async def handle(connection: Connection, events: Sequence[Event]) -> None:
        batches.append(len(events))
        began.set()
        await goes_on.wait()
        await record(connection, events)

    async with consuming(ledger, kafka_server, topic, handle):
        await produce(kafka_server, topic, [("a0", 1)])
        await began.wait()
        async with producer(kafka_server) as sender:
            for number in range(1, 21):
                name = f"a{number}"
                await sender.send_and_wait(topic, b"x", key=name.encode(), headers=headers(name, 1))
        goes_on.set()
        await eventually(lambda: sum(batches) == 21)
    assert batches == [1, 20]
