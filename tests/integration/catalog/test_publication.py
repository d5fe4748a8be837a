"""Snapshots on their way to Kafka: key, headers, content, and nothing for what did not change."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from sampan.catalog.v1 import events_pb2

from services.catalog import events
from services.chassis import ids, kafka, trace
from services.chassis.envelope import decode_record
from services.chassis.outbox import OutboxRelay
from tests.conftest import DatabaseFactory
from tests.integration.catalog.running import Client, product_of, running

pytestmark = [pytest.mark.postgres, pytest.mark.kafka]


@contextlib.asynccontextmanager
async def relaying(dsn: str, bootstrap: str) -> AsyncIterator[None]:
    """The catalog's relay, at work."""
    relay = OutboxRelay(
        dsn=dsn, bootstrap=bootstrap, source=events.SOURCE, shards=2, snapshot_topics=[events.PRODUCTS_TOPIC]
    )
    task = asyncio.create_task(relay.run())
    try:
        yield
    finally:
        await relay.stop()
        await task


async def published(bootstrap: str, client: Client, tenant_id: str) -> list[Any]:
    """All records of a tenant, once the outbox is empty; in the order of each product's versions."""
    for _ in range(1_500):
        if not await client.outbox():
            break
        await asyncio.sleep(0.02)
    consumer = AIOKafkaConsumer(
        events.PRODUCTS_TOPIC, bootstrap_servers=bootstrap, auto_offset_reset="earliest", group_id=None
    )
    await consumer.start()
    records: list[Any] = []
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        for partition, end in ends.items():
            while await consumer.position(partition) < end:
                for batch in (await consumer.getmany(partition, timeout_ms=500)).values():
                    records += batch
    finally:
        await consumer.stop()
    return [record for record in records if record.key.startswith(f"{tenant_id}/".encode())]


async def test_a_snapshot_reaches_kafka_whole(database_factory: DatabaseFactory, kafka_server: str) -> None:
    dsn = database_factory("catalog")
    tenant_id = f"t-{ids.uuid7().hex}"[:40]
    await kafka.ensure_topics(kafka_server, events.topics(partitions=4, replication=1))
    async with running(dsn, tenant_id=tenant_id) as client:
        traceparent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-00"
        trace.set_current(traceparent)
        created = await client.create(product_of("bob.18", ["b", "a"]), tenant_id=tenant_id)
        await client.load([product_of("bob.18", ["b", "a"])], tenant_id=tenant_id)
        async with relaying(dsn, kafka_server):
            (record,) = await published(kafka_server, client, tenant_id)
            assert record.key == f"{tenant_id}/bob.18".encode()
            snapshot = events_pb2.ProductSnapshot.FromString(record.value)
            assert (snapshot.tenant_id, snapshot.product) == (tenant_id, created)
            headers = dict(record.headers)
            assert headers["ce_specversion"] == b"1.0"
            assert headers["ce_type"] == b"sampan.catalog.v1.ProductSnapshot"
            assert headers["ce_source"] == b"/sampan/catalog"
            assert headers["ce_subject"] == record.key
            assert headers["ce_aggregateversion"] == b"1"
            assert headers["ce_time"].endswith(b"Z")
            assert headers["traceparent"].decode() == traceparent
            event = decode_record(record)
            assert (event.aggregate_id, event.version) == (f"{tenant_id}/bob.18", 1)


async def test_versions_only_grow_on_the_topic(database_factory: DatabaseFactory, kafka_server: str) -> None:
    dsn = database_factory("catalog")
    tenant_id = f"t-{ids.uuid7().hex}"[:40]
    await kafka.ensure_topics(kafka_server, events.topics(partitions=4, replication=1))
    async with running(dsn, tenant_id=tenant_id) as client, relaying(dsn, kafka_server):
        for number in range(5):
            rows = [product_of(f"p{row}", category=f"c{number}") for row in range(200)]
            await client.load(rows[:100], rows[100:], tenant_id=tenant_id)
        newest: dict[str, int] = {}
        for record in await published(kafka_server, client, tenant_id):
            event = decode_record(record)
            assert event.version > newest.get(event.key, 0)
            newest[event.key] = event.version
        assert newest == {f"{tenant_id}/p{row}": 5 for row in range(200)}
