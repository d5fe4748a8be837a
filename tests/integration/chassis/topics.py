"""Reading and writing topics in tests, beside the code under test."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from services.chassis import ids, kafka
from services.chassis.clock import now_utc
from services.chassis.envelope import Event, OutboxMessage, decode_record, encode_headers
from services.chassis.outbox import append
from services.chassis.pg import Connection, Database

TYPE = "sampan.test.v1.Happened"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def message(topic: str, aggregate_id: str, version: int, payload: bytes = b"x") -> OutboxMessage:
    """An event as a service would make it."""
    return OutboxMessage(topic, aggregate_id, aggregate_id, version, TYPE, payload, TRACE)


async def append_all(database: Database, messages: Sequence[OutboxMessage]) -> None:
    """Commits events to the outbox."""

    async def work(connection: Connection) -> None:
        await append(connection, messages)

    await database.transact(work)


def headers(aggregate_id: str, version: int) -> list[tuple[str, bytes]]:
    """The headers of an event."""
    return encode_headers(
        b"/sampan/test",
        event_id=ids.uuid7(),
        type=TYPE,
        aggregate_id=aggregate_id,
        version=version,
        time=now_utc(),
        traceparent=None,
    )


@contextlib.asynccontextmanager
async def producer(bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that is closed in the end."""
    made = kafka.make_producer(bootstrap)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def produce(
    bootstrap: str, topic: str, events: Iterable[tuple[str, int]], payload: bytes = b"x"
) -> None:
    """Sends events (aggregate, version) straight to Kafka."""
    async with producer(bootstrap) as sender:
        futures = [
            await sender.send(
                topic, payload, key=aggregate_id.encode(), headers=headers(aggregate_id, version)
            )
            for aggregate_id, version in events
        ]
        await asyncio.gather(*futures)


async def read_all(bootstrap: str, topic: str) -> list[Event]:
    """Everything in the topic, in order per partition."""
    client: Any = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await client.start()
    try:
        client._client.set_topics([topic])
        await client._client.force_metadata_update()
        places = kafka.partitions_of(client, [topic])
        client.assign(places)
        ends = await client.end_offsets(places)
        left = {place for place in places if ends[place] > 0}
        events: list[Event] = []
        while left:
            for place, records in (await client.getmany(timeout_ms=500)).items():
                events += [decode_record(record) for record in records]
                if records[-1].offset + 1 >= ends[place]:
                    left.discard(place)
        return events
    finally:
        await client.stop()


def versions(events: Iterable[Event]) -> dict[str, list[int]]:
    """The versions per aggregate, as they came."""
    found: dict[str, list[int]] = {}
    for event in events:
        found.setdefault(event.aggregate_id, []).append(event.version)
    return found


def first_occurrences(numbers: Sequence[int]) -> list[int]:
    """Without repetitions."""
    return list(dict.fromkeys(numbers))


async def eventually(condition: Callable[[], Any], *, s_max: float = 30.0) -> None:
    """Waits until the (possibly asynchronous) condition holds."""
    deadline = time.monotonic() + s_max
    while True:
        holds = condition()
        if asyncio.iscoroutine(holds):
            holds = await holds
        if holds:
            return
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.02)
