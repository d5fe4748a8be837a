"""A consumer in tests: handlers with effects in a ledger, and ways to see how far it has come."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from services.chassis.consumer import Consumer, Event, Handler
from services.chassis.errors import FailedPrecondition
from services.chassis.pg import Connection, Database


async def record(connection: Connection, events: Sequence[Event]) -> None:
    """A handler: one row per event."""
    await connection.execute(
        "INSERT INTO effect (aggregate_id, version) SELECT * FROM unnest($1::text[], $2::bigint[])",
        [event.aggregate_id for event in events],
        [event.version for event in events],
    )


def poisoned_by(*poison: tuple[str, int]) -> Handler:
    """A handler that refuses these events, after having had effects."""

    async def handle(connection: Connection, events: Sequence[Event]) -> None:
        await record(connection, events)
        for event in events:
            if (event.aggregate_id, event.version) in poison:
                raise FailedPrecondition("POISON", f"{event.aggregate_id} {event.version}")

    return handle


@contextlib.asynccontextmanager
async def consuming(
    db: Database, bootstrap: str, topic: str, handler: Handler = record, **options: Any
) -> AsyncIterator[Consumer]:
    """A consumer that is stopped in the end."""
    consumer = Consumer(
        group=f"group.{topic}", topics=[topic], handler=handler, db=db, bootstrap=bootstrap, **options
    )
    task = asyncio.create_task(consumer.run())
    try:
        yield consumer
    finally:
        await consumer.stop()
        await task


async def effects(database: Database) -> dict[str, list[int]]:
    """The versions per aggregate in the order of their effects."""
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT aggregate_id, version FROM effect ORDER BY id")
    found: dict[str, list[int]] = {}
    for aggregate_id, version in rows:
        found.setdefault(aggregate_id, []).append(version)
    return found


def effects_are(database: Database, wanted: dict[str, list[int]]) -> Callable[[], Any]:
    """A condition for `eventually`."""

    async def hold() -> bool:
        return await effects(database) == wanted

    return hold


def a_few(aggregates: int, versions_each: int) -> list[tuple[str, int]]:
    """Events of some aggregates, interleaved."""
    return [(f"a{n}", version) for version in range(1, versions_each + 1) for n in range(aggregates)]


async def positions(database: Database) -> dict[int, int]:
    """The group's next offsets by partition."""
    async with database.connection() as connection:
        return dict(await connection.fetch("SELECT part, next FROM consumer_offset"))


async def passed(database: Database, total: int) -> bool:
    """Whether the group has passed so many records of all partitions."""
    return sum((await positions(database)).values()) == total
