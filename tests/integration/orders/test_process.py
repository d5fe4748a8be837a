"""The service as a process, over real PostgreSQL and real Kafka: events in, events out, crashes, the drain."""

import asyncio
import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import grpc
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from google.protobuf.message import Message
from sampan.catalog.v1 import events_pb2 as catalog_events
from sampan.orders.v1 import events_pb2
from sampan.orders.v1 import order_service_pb2 as pb
from sampan.orders.v1 import order_service_pb2_grpc as pb_grpc
from sampan.warehouse.v1 import events_pb2 as warehouse_events

from deploy.local.settings import ROOT, free_ports
from services.chassis import clock, kafka
from services.chassis.envelope import encode_headers
from services.chassis.ids import uuid7
from services.chassis.pg import Database
from services.chassis.rpc.channel import make_channel
from services.orders import events, published
from tests import child
from tests.integration.orders.messages import TENANT, demonstration, product_of, request_of, snapshot_event
from tests.integration.orders.running import refusal

pytestmark = [pytest.mark.postgres, pytest.mark.kafka]

WAIT_S_MAX = 40.0


class Process(NamedTuple):
    """A running service."""

    stub: Any
    process: child.Child


def environment(dsn: str, bootstrap: str, port: int, **more: str) -> dict[str, str]:
    """The variables of a service process."""
    return {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{ROOT}/gen",
        "ORDERS_DSN": dsn,
        "KAFKA_BOOTSTRAP": bootstrap,
        "ORDERS_GRPC_PORT": str(port),
        "ORDERS_ADMIN_PORT": "0",
        "ORDERS_WORKER_PAUSE_S": "0.1",
        **more,
    }


async def run(*arguments: str, variables: dict[str, str]) -> tuple[int, str]:
    """Runs a command of the service to its end; exit code and output."""
    process = await child.start(
        [sys.executable, "-m", "services.orders", *arguments],
        cwd=ROOT,
        env=variables,
        stderr=subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), WAIT_S_MAX)
    return process.returncode or 0, output.decode()


@contextlib.asynccontextmanager
async def serving(variables: dict[str, str]) -> AsyncIterator[Process]:
    """A service process that answers; killed at the end if it still runs."""
    process = await child.start(
        [sys.executable, "-m", "services.orders"],
        cwd=ROOT,
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=None,
    )
    try:
        async with make_channel(
            f"127.0.0.1:{variables['ORDERS_GRPC_PORT']}", retryable_methods=()
        ) as channel:
            stub = pb_grpc.OrderServiceStub(channel)
            request = pb.ListOrdersRequest(tenant_id=TENANT, page_size=1)
            await stub.ListOrders(request, timeout=WAIT_S_MAX, wait_for_ready=True)
            yield Process(stub, process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def send(bootstrap: str, topic: str, key: str, message: Message, version: int) -> None:
    """Publishes as another service would."""
    producer: AIOKafkaProducer = kafka.make_producer(bootstrap)
    await producer.start()
    try:
        headers = encode_headers(
            b"/sampan/test", event_id=uuid7(), type=message.DESCRIPTOR.full_name, aggregate_id=key,
            version=version, time=clock.now_utc(), traceparent=None,
        )  # fmt: skip
        await producer.send_and_wait(topic, message.SerializeToString(), key.encode(), headers=headers)
    finally:
        await producer.stop()


async def told_of(bootstrap: str, order_id: str, last: str) -> list[str]:
    """The types of the order's events in Kafka, up to the first of type `last`; checked to be without gaps."""
    consumer = AIOKafkaConsumer(
        published.ORDERS_TOPIC, bootstrap_servers=bootstrap, auto_offset_reset="earliest"
    )
    await consumer.start()
    names: list[str] = []
    try:
        async with asyncio.timeout(WAIT_S_MAX):
            async for record in consumer:
                headers = dict(record.headers)
                if headers["ce_subject"].decode() != order_id:
                    continue
                head = events_pb2.OrderEventHead.FromString(record.value)
                assert record.key.decode() == order_id
                assert head.version == int(headers["ce_aggregateversion"])
                if head.version <= len(names):
                    continue  # sent again
                assert head.version == len(names) + 1
                assert headers["ce_source"] == b"/sampan/orders"
                names.append(headers["ce_type"].decode().removeprefix("sampan.orders.v1."))
                if names[-1] == last:
                    break
    finally:
        await consumer.stop()
    return names


async def placed(stub: Any, request: pb.PlaceOrderRequest) -> pb.PlaceOrderResult:
    """Places once the offers have arrived."""
    for attempt in range(200):
        request.request_id = f"{uuid.uuid4()}-{attempt}"
        reply = await stub.BatchPlaceOrders(pb.BatchPlaceOrdersRequest(requests=[request]))
        result: pb.PlaceOrderResult = reply.results[0]
        if result.HasField("order") or refusal(result).reason != "SKU_UNKNOWN":
            return result
        await asyncio.sleep(0.1)
    raise AssertionError("the offers have not arrived")


async def state_of(stub: Any, order_id: str, state: int) -> pb.Order:
    """The order once it is in this state."""
    for _ in range(int(WAIT_S_MAX / 0.1)):
        order: pb.Order = await stub.GetOrder(pb.GetOrderRequest(tenant_id=TENANT, order_id=order_id))
        if order.state == state:
            return order
        await asyncio.sleep(0.1)
    raise AssertionError(f"the order is not in state {state}")


async def parked_with(order_id: str, variables: dict[str, str]) -> str:
    """What is parked, once something of the order is."""
    for _ in range(100):
        code, listed = await run("list-parked", variables=variables)
        assert code == 0
        if order_id in listed:
            return listed
    raise AssertionError("nothing was parked")


async def make_topics(bootstrap: str) -> None:
    """The topics of the others."""
    await kafka.ensure_topics(
        bootstrap,
        [
            kafka.TopicSpec.events(events.FULFILMENTS_TOPIC, 4),
            kafka.TopicSpec.snapshots(events.PRODUCTS_TOPIC, 4),
        ],
    )


async def test_a_journey_through_kafka_and_the_drain(dsn: str, kafka_server: str) -> None:
    (port,) = free_ports(1)
    variables = environment(dsn, kafka_server, port)
    await make_topics(kafka_server)
    assert (await run("setup", variables=variables))[0] == 0
    assert (await run("setup", variables=variables))[0] == 0
    sku = f"WIG-{uuid.uuid4().hex[:8]}"
    product = product_of(f"wig-{sku.lower()}", {sku: "10"})
    snapshot = catalog_events.ProductSnapshot(tenant_id=TENANT, product=product)
    async with serving(variables) as service:
        await send(kafka_server, events.PRODUCTS_TOPIC, f"{TENANT}/{product.product_id}", snapshot, 1)
        result = await placed(
            service.stub, request_of(lines={sku: 2}, payment_terms=pb.PAYMENT_TERMS_PAY_LATER)
        )
        order_id = result.order.order_id
        reserved = warehouse_events.StockReserved(tenant_id=TENANT, order_id=order_id, sourcing="near")
        await send(kafka_server, events.FULFILMENTS_TOPIC, order_id, reserved, 1)
        await send(kafka_server, events.FULFILMENTS_TOPIC, order_id, reserved, 1)  # once more, as relays do
        await state_of(service.stub, order_id, pb.ORDER_STATE_AWAITING_PAYMENT)
        await service.stub.PayOrder(
            pb.PayOrderRequest(
                tenant_id=TENANT, order_id=order_id, request_id=order_id, payment_token="card_late_1"
            )
        )
        await state_of(service.stub, order_id, pb.ORDER_STATE_CONFIRMED)
        names = await told_of(kafka_server, order_id, "OrderConfirmed")
        assert names == ["OrderPlaced", "OrderAwaitingPayment", "OrderProgressed", "OrderConfirmed"]

        # Poison is set aside and listed, and the service goes on.
        impossible = warehouse_events.HoldExpired(tenant_id=TENANT, order_id=order_id)
        parcels = warehouse_events.FulfilmentCancelled(tenant_id=TENANT, order_id=order_id)
        await send(kafka_server, events.FULFILMENTS_TOPIC, order_id, impossible, 2)
        await send(kafka_server, events.FULFILMENTS_TOPIC, order_id, parcels, 3)
        assert "FulfilmentCancelled" in await parked_with(order_id, variables)

        service.process.terminate()
        assert await asyncio.wait_for(service.process.wait(), WAIT_S_MAX) == 0


@pytest.mark.parametrize("point", ["orders.place.before_commit", "orders.place.after_commit"])
async def test_a_crash_while_placing_leaves_nothing_or_the_whole_order(
    dsn: str, kafka_server: str, point: str
) -> None:
    (port,) = free_ports(1)
    variables = environment(dsn, kafka_server, port)
    await make_topics(kafka_server)
    assert (await run("setup", variables=variables))[0] == 0
    db = await Database.open(dsn, name="test")
    try:
        async with serving({**variables, "CRASH_POINTS": point, "TEST_CONFIGURATION": "true"}) as service:
            await _offer(db)
            request = request_of(request_id=f"crash {point}")
            with pytest.raises(grpc.aio.AioRpcError):
                await service.stub.BatchPlaceOrders(pb.BatchPlaceOrdersRequest(requests=[request]))
            await service.process.wait()
        async with db.connection() as connection:
            left = [await connection.fetchval(f"SELECT count(*) FROM {t}") for t in ("orders", "request_key")]
        assert left == ([0, 0] if "before" in point else [1, 1])
        async with serving(variables) as service:
            (result,) = (
                await service.stub.BatchPlaceOrders(pb.BatchPlaceOrdersRequest(requests=[request]))
            ).results
            assert result.replayed == ("after" in point)
            assert await told_of(kafka_server, result.order.order_id, "OrderPlaced") == ["OrderPlaced"]
    finally:
        await db.close()


async def _offer(db: Database) -> None:
    batch = [snapshot_event(product) for product in demonstration()]
    await db.transact(lambda connection: events.handle_products(connection, batch))


async def test_it_does_not_start_on_another_schema(database_factory: Any, kafka_server: str) -> None:
    (port,) = free_ports(1)
    code, output = await run(variables=environment(database_factory(None), kafka_server, port))
    assert code == 1
    assert "python -m services.orders setup" in output


async def test_wrong_settings_are_listed_at_once() -> None:
    variables = environment("", "x", 1) | {"ORDERS_HOLD_GRACE_S": "-1", "ORDERS_PAYMENT_CHECK_DELAY_S": "1"}
    code, output = await run(variables=variables)
    assert code == 2
    for name in ("ORDERS_DSN", "ORDERS_HOLD_GRACE_S"):
        assert name in output
