"""Order events through a real broker: what they do, once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC
from itertools import count

import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from sampan.orders.v1 import events_pb2 as orders_pb

from services.chassis import ids, kafka
from services.chassis.clock import now_utc
from services.chassis.consumer import Consumer, list_parked
from services.chassis.envelope import encode_headers
from services.warehouse import events
from tests.integration.chassis.topics import eventually, producer
from tests.integration.warehouse.scene import MERCHANT, TENANT, Scene, in_future, order_id

pytestmark = [pytest.mark.postgres, pytest.mark.kafka]

_numbers = count(1)


@pytest.fixture
async def topic(kafka_server: str) -> str:
    """A topic in the place of the orders' one."""
    name = f"warehouse.test.{next(_numbers)}.v1"
    await kafka.ensure_topics(kafka_server, [kafka.TopicSpec.events(name, 2)])
    return name


@contextlib.asynccontextmanager
async def consuming(scene: Scene, bootstrap: str, topic: str) -> AsyncIterator[None]:
    """The warehouse's consumer on that topic."""
    consumer = Consumer(
        group=f"warehouse.{topic}",
        topics=[topic],
        handler=events.handler(scene.holds.apply),
        db=scene.database,
        bootstrap=bootstrap,
        batch_records_max=64,
    )
    task = asyncio.create_task(consumer.run())
    try:
        yield
    finally:
        await consumer.stop()
        await asyncio.wait_for(task, 20)


async def send(bootstrap: str, topic: str, messages: Sequence[Message]) -> None:
    """Sends order events with the envelope that the orders' relay would give them."""
    async with producer(bootstrap) as sender:
        for message in messages:
            head = orders_pb.OrderEventHead.FromString(message.SerializeToString())
            headers = encode_headers(
                b"/sampan/orders",
                event_id=ids.uuid7(),
                type=message.DESCRIPTOR.full_name,
                aggregate_id=head.order_id,
                version=head.version,
                time=now_utc().astimezone(UTC),
                traceparent=None,
            )
            await sender.send(topic, message.SerializeToString(), key=head.order_id.encode(), headers=headers)
        await sender.flush()


def told(kind: Callable[..., Message], order: str, version: int) -> Message:
    """An order event that says nothing but what happened."""
    return kind(tenant_id=TENANT, merchant_id=MERCHANT, order_id=order, version=version)


def placed(order: str, sku: str, quantity: int) -> orders_pb.OrderPlaced:
    deadline = Timestamp()
    deadline.FromDatetime(in_future(60))
    return orders_pb.OrderPlaced(
        tenant_id=TENANT,
        merchant_id=MERCHANT,
        order_id=order,
        version=1,
        region_code="ES",
        lines=[orders_pb.PlacedLine(line_number=1, sku=sku, quantity=quantity)],
        hold_expire_time=deadline,
    )


async def test_orders_are_reserved_confirmed_cancelled(scene: Scene, kafka_server: str, topic: str) -> None:
    await scene.receive({"A": 100})
    confirmed, cancelled, intercepted, hopeless = (order_id() for _ in range(4))
    messages: list[Message] = [
        placed(confirmed, "A", 5),
        placed(cancelled, "A", 7),
        placed(intercepted, "A", 9),
        placed(hopeless, "A", 101),
        told(orders_pb.OrderAwaitingPayment, confirmed, 2),
        told(orders_pb.OrderCancelled, cancelled, 2),
        told(orders_pb.OrderConfirmed, confirmed, 3),
        told(orders_pb.OrderConfirmed, intercepted, 2),
        told(orders_pb.OrderCancellationRequested, intercepted, 3),
        told(orders_pb.OrderRejected, hopeless, 2),
        told(orders_pb.OrderCancelled, intercepted, 4),
        told(orders_pb.OrderProgressed, confirmed, 4),
    ]
    await send(kafka_server, topic, messages)
    # What a relay that was killed before its DELETE sends once more.
    await send(kafka_server, topic, messages)
    async with consuming(scene, kafka_server, topic):
        done = "SELECT count(*) FROM outbox WHERE topic = $1"

        async def settled() -> bool:
            return bool((await scene.fetchrow(done, events.FULFILMENTS_TOPIC))[0] == 8)

        await eventually(settled)
        await asyncio.sleep(0.5)
        assert await settled(), "duplicates have no effect"
    assert await scene.outbox(confirmed) == ["StockReserved", "ParcelsAllocated"]
    assert await scene.outbox(cancelled) == ["StockReserved", "HoldVoided"]
    assert await scene.outbox(intercepted) == ["StockReserved", "ParcelsAllocated", "FulfilmentCancelled"]
    assert await scene.outbox(hopeless) == ["StockRejected"]
    assert await scene.level("A") == (95, 0)
    assert await list_parked(scene.database, f"warehouse.{topic}") == []
    await scene.assert_sound()


async def test_an_event_that_cannot_be_applied_is_parked_alone(
    scene: Scene, kafka_server: str, topic: str
) -> None:
    await scene.receive({"A": 100})
    orphan, orders = order_id(), [order_id() for _ in range(20)]
    await send(
        kafka_server,
        topic,
        [
            *[placed(order, "A", 1) for order in orders[:10]],
            told(orders_pb.OrderConfirmed, orphan, 2),
            *[placed(order, "A", 1) for order in orders[10:]],
        ],
    )
    async with consuming(scene, kafka_server, topic):

        async def settled() -> bool:
            parked = await list_parked(scene.database, f"warehouse.{topic}")
            return [event.aggregate_id for event in parked] == [orphan] and await scene.level("A") == (
                100,
                20,
            )

        await eventually(settled)
    await scene.assert_sound()
