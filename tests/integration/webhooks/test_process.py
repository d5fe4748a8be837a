"""The service as a process, over real PostgreSQL and real Kafka: events in, requests out, a death, the drain."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import grpc
import pytest
from aiokafka import AIOKafkaProducer
from sampan.orders.v1 import events_pb2
from sampan.orders.v1 import order_service_pb2 as order_pb
from sampan.webhooks.v1 import delivery_service_pb2 as delivery_pb
from sampan.webhooks.v1 import delivery_service_pb2_grpc as delivery_grpc
from sampan.webhooks.v1 import endpoint_service_pb2 as endpoint_pb
from sampan.webhooks.v1 import endpoint_service_pb2_grpc as endpoint_grpc

from deploy.local.settings import ROOT, free_ports
from services.catalog import events as catalog_events
from services.chassis import clock, kafka
from services.chassis.envelope import encode_headers
from services.chassis.ids import uuid7
from services.chassis.pg import connect
from services.chassis.rpc.channel import make_channel
from services.orders import published
from services.warehouse import events as warehouse_events
from tests import child
from tests.conftest import DatabaseFactory
from tests.integration.webhooks.receiver import Receiver, receiving
from tests.integration.webhooks.running import KEY

pytestmark = [pytest.mark.postgres, pytest.mark.kafka]

WAIT_S_MAX = 40.0


class Process(NamedTuple):
    """A running service."""

    endpoints: Any
    deliveries: Any
    process: child.Child


def environment(dsn: str, bootstrap: str) -> dict[str, str]:
    """The variables of a process."""
    return {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{ROOT}/gen",
        "WEBHOOKS_DSN": dsn,
        "KAFKA_BOOTSTRAP": bootstrap,
        "WEBHOOKS_GRPC_PORT": str(free_ports(1)[0]),
        "WEBHOOKS_ADMIN_PORT": "0",
        "WEBHOOKS_SECRET_KEYS": KEY,
        "WEBHOOKS_INSECURE_TARGETS": "true",
        "WEBHOOKS_POLL_S": "0.05",
    }


@contextlib.asynccontextmanager
async def serving(variables: dict[str, str], tenant_id: str) -> AsyncIterator[Process]:
    """A process that answers; killed at the end if it still runs."""
    process = await child.start(
        [sys.executable, "-m", "services.webhooks"],
        cwd=ROOT,
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=None,
    )
    try:
        async with make_channel(
            f"127.0.0.1:{variables['WEBHOOKS_GRPC_PORT']}", retryable_methods=()
        ) as channel:
            endpoints: Any = endpoint_grpc.EndpointServiceStub(channel)
            request = endpoint_pb.ListEndpointsRequest(tenant_id=tenant_id)
            await endpoints.ListEndpoints(request, timeout=WAIT_S_MAX, wait_for_ready=True)
            yield Process(endpoints, delivery_grpc.DeliveryServiceStub(channel), process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def create(process: Process, tenant_id: str, receiver: Receiver) -> endpoint_pb.IssuedEndpoint:
    """An endpoint at the receiver."""
    issued: endpoint_pb.IssuedEndpoint = await process.endpoints.CreateEndpoint(
        endpoint_pb.CreateEndpointRequest(tenant_id=tenant_id, request_id="r1", url=receiver.url)
    )
    return issued


async def deliveries(process: Process, tenant_id: str, endpoint_id: str) -> list[delivery_pb.Delivery]:
    """The endpoint's log."""
    request = delivery_pb.ListDeliveriesRequest(tenant_id=tenant_id, endpoint_id=endpoint_id)
    return list((await process.deliveries.ListDeliveries(request)).deliveries)


async def delivered(process: Process, tenant_id: str, endpoint_id: str) -> list[delivery_pb.Delivery]:
    """The same, once none of it waits."""
    async with asyncio.timeout(WAIT_S_MAX):
        while True:
            found = await deliveries(process, tenant_id, endpoint_id)
            if found and all(one.state == delivery_pb.DELIVERY_STATE_DELIVERED for one in found):
                return found
            await asyncio.sleep(0.05)


async def ensure_topics(bootstrap: str) -> None:
    """Those that the service reads; the services that own them are not here."""
    size = {"partitions": 4, "replication": 1}
    owners = (published, warehouse_events, catalog_events)
    await kafka.ensure_topics(bootstrap, [spec for owner in owners for spec in owner.topics(**size)])


async def place(bootstrap: str, tenant_id: str) -> str:
    """Publishes the event of an order, twice, as a relay does whose answer was lost; the order's id."""
    order_id = str(uuid.uuid4())
    message = events_pb2.OrderPlaced(
        tenant_id=tenant_id,
        merchant_id="m",
        order_id=order_id,
        version=1,
        state=order_pb.ORDER_STATE_PENDING,
    )
    headers = encode_headers(
        b"/sampan/test",
        event_id=uuid7(),
        type=message.DESCRIPTOR.full_name,
        aggregate_id=order_id,
        version=1,
        time=clock.now_utc(),
        traceparent=None,
    )
    producer: AIOKafkaProducer = kafka.make_producer(bootstrap)
    await producer.start()
    try:
        for _ in range(2):
            await producer.send_and_wait(
                published.ORDERS_TOPIC, message.SerializeToString(), order_id.encode(), headers=headers
            )
    finally:
        await producer.stop()
    return order_id


async def test_an_event_that_is_in_kafka_twice_reaches_its_endpoint_once(
    database_factory: DatabaseFactory, kafka_server: str
) -> None:
    tenant_id = f"t-{uuid.uuid4().hex[:8]}"
    await ensure_topics(kafka_server)
    variables = environment(database_factory("webhooks"), kafka_server)
    async with serving(variables, tenant_id) as process, receiving() as receiver:
        issued = await create(process, tenant_id, receiver)
        first = await place(kafka_server, tenant_id)
        await receiver.take(1)
        # One more, so that a second copy of the first would have come before it.
        second = await place(kafka_server, tenant_id)
        await receiver.take(2)
        assert len(await delivered(process, tenant_id, issued.endpoint.endpoint_id)) == 2
        bodies = [one.verified(issued.secret) for one in receiver.received]
        assert [body["data"]["order_id"] for body in bodies] == [first, second]
        assert len({one.id for one in receiver.received}) == 2


async def test_a_sender_killed_between_sending_and_recording_sends_again_with_the_same_id(
    database_factory: DatabaseFactory, kafka_server: str
) -> None:
    tenant_id = f"t-{uuid.uuid4().hex[:8]}"
    await ensure_topics(kafka_server)
    dsn = database_factory("webhooks")
    async with receiving() as receiver:
        receiver.held = True
        async with serving(environment(dsn, kafka_server), tenant_id) as process:
            issued = await create(process, tenant_id, receiver)
            endpoint_id = issued.endpoint.endpoint_id
            await place(kafka_server, tenant_id)
            # It is there and unanswered: nothing is recorded of it.
            await receiver.take(1)
            [waits] = await deliveries(process, tenant_id, endpoint_id)
            assert (waits.state, waits.attempts) == (delivery_pb.DELIVERY_STATE_PENDING, 0)
            process.process.kill()
            assert await process.process.wait() == -signal.SIGKILL
        await receiver.let_go()
        # What the dead one's lease would do by itself after some seconds.
        connection = await connect(dsn, name="test")
        assert await connection.execute("UPDATE endpoints SET lease_until = now()") == "UPDATE 1"
        await connection.close()
        async with serving(environment(dsn, kafka_server), tenant_id) as process:
            [ended] = await delivered(process, tenant_id, endpoint_id)
            assert (ended.message_id, ended.attempts) == (waits.message_id, 1)
    assert [one.id for one in receiver.received] == [waits.message_id] * 2
    assert len({one.body for one in receiver.received}) == 1


async def test_a_stop_waits_for_what_was_sent_and_records_it(
    database_factory: DatabaseFactory, kafka_server: str
) -> None:
    tenant_id = f"t-{uuid.uuid4().hex[:8]}"
    await ensure_topics(kafka_server)
    dsn = database_factory("webhooks")
    async with receiving() as receiver:
        receiver.held = True
        async with serving(environment(dsn, kafka_server), tenant_id) as process:
            issued = await create(process, tenant_id, receiver)
            await place(kafka_server, tenant_id)
            await receiver.take(1)
            process.process.terminate()
            # Its door is closed, and it still waits for the answer.
            with contextlib.suppress(grpc.aio.AioRpcError):
                while await deliveries(process, tenant_id, issued.endpoint.endpoint_id):
                    pass
            assert (receiver.open, process.process.returncode) == (1, None)
            await receiver.let_go()
            assert await asyncio.wait_for(process.process.wait(), WAIT_S_MAX) == 0
        connection = await connect(dsn, name="test")
        [row] = await connection.fetch("SELECT state, attempts FROM deliveries")
        [endpoint] = await connection.fetch("SELECT lease_id, due_time FROM endpoints")
        await connection.close()
    assert (row["state"], row["attempts"]) == (2, 1)
    assert (endpoint["lease_id"], endpoint["due_time"]) == (None, None)
