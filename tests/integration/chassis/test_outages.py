"""Kafka and PostgreSQL are killed under the outbox and the consumer; afterwards nothing is lost or doubled."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from deploy.local.kafka import Kafka
from services.chassis import kafka
from services.chassis.consumer import Consumer, Event
from services.chassis.outbox import OutboxRelay
from services.chassis.pg import Connection, Database
from services.chassis.snapshot_reader import SnapshotReader
from tests import servers
from tests.integration.chassis.conftest import LEDGER
from tests.integration.chassis.topics import append_all, eventually, message, versions

pytestmark = [pytest.mark.postgres, pytest.mark.kafka, pytest.mark.slow]

TOPIC = "chassis.outage.v1"


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[Kafka]:
    """A broker that may be killed."""
    broker = servers.kafka_server(tmp_path)
    try:
        broker.start()
        yield broker
    finally:
        broker.remove()


async def _record(connection: Connection, events: Sequence[Event]) -> None:
    await connection.execute(
        "INSERT INTO effect (aggregate_id, version) SELECT * FROM unnest($1::text[], $2::bigint[])",
        [event.aggregate_id for event in events],
        [event.version for event in events],
    )


async def _effects(database: Database) -> dict[str, list[int]]:
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT aggregate_id, version FROM effect ORDER BY id")
    found: dict[str, list[int]] = {}
    for aggregate_id, version in rows:
        found.setdefault(aggregate_id, []).append(version)
    return found


@pytest.mark.timeout(240)
async def test_nothing_is_lost_or_doubled(
    own_kafka: Kafka, database_factory: Callable[[str | None], str]
) -> None:
    """The broker dies twice and every backend of the database once, in the middle of a stream of events."""
    dsn = database_factory(LEDGER)
    await kafka.ensure_topics(own_kafka.bootstrap, [kafka.TopicSpec.events(TOPIC, 4)])
    database = await Database.open(dsn, pool_size_max=6, name="outage")
    relay = OutboxRelay(dsn=dsn, bootstrap=own_kafka.bootstrap, source="/sampan/test")
    consumer = Consumer(
        group="outage",
        topics=[TOPIC],
        handler=_record,
        db=database,
        bootstrap=own_kafka.bootstrap,
        session_timeout_ms=6_000,
    )
    read: list[Event] = []
    reader = SnapshotReader(topics=[TOPIC], on_batch=read.extend, bootstrap=own_kafka.bootstrap)
    tasks = [asyncio.create_task(work) for work in (relay.run(), consumer.run(), reader.run())]
    aggregates = [f"a{n}" for n in range(40)]

    async def send(version: int) -> None:
        await append_all(database, [message(TOPIC, aggregate, version) for aggregate in aggregates])
        relay.wake()

    wanted = 0
    for version in range(1, 13):
        wanted = version
        await send(version)
        if version in (4, 9):
            await asyncio.to_thread(own_kafka.kill)
        if version in (6, 11):
            await asyncio.to_thread(own_kafka.start)
        if version == 8:
            async with database.connection() as connection:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        await asyncio.sleep(0.3)

    async def all_applied() -> bool:
        return await _effects(database) == {a: list(range(1, wanted + 1)) for a in aggregates}

    await eventually(all_applied, s_max=90)
    await eventually(
        lambda: all(list(dict.fromkeys(v))[-1] == wanted for v in versions(read).values()), s_max=30
    )
    assert {a: list(dict.fromkeys(v)) for a, v in versions(read).items()} == await _effects(database)
    for stopping in (reader.stop(), consumer.stop(), relay.stop()):
        await stopping
    await asyncio.gather(*tasks)
    await database.close()
