"""Coming back to the stream of all orders: nothing is missed and nothing is another's, on a real topic."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count

import pytest
from aiokafka import AIOKafkaProducer
from sampan.orders.v1 import events_pb2
from sampan.orders.v1 import order_service_pb2 as pb

from services.chassis import clock, kafka
from services.chassis import ids as chassis_ids
from services.chassis.envelope import encode_headers
from services.gateway import positions, wiring
from services.gateway.routes import order_stream
from tests.component.gateway.conftest import Start, System
from tests.component.gateway.following import TYPE, following, head, ids

pytestmark = pytest.mark.kafka

PARTITIONS = 4
_numbers = count()


@pytest.fixture
async def topic(kafka_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A topic of orders of its own."""
    name = f"gateway.test.orders.{next(_numbers)}.v1"
    monkeypatch.setattr(wiring, "ORDERS_TOPIC", name)
    await kafka.ensure_topics(kafka_server, [kafka.TopicSpec.events(name, PARTITIONS)])
    return name


@pytest.fixture
async def replica(start: Start, kafka_server: str, topic: str) -> AsyncIterator[Start]:
    """Starts gateways that read the topic."""
    async with AsyncExitStack() as stack:

        async def begin(**changes: object) -> System:
            system = await start(kafka_bootstrap=kafka_server, **changes)
            system.gateway.feed.source = system.gateway.tail
            reading = asyncio.create_task(system.gateway.tail.run())

            async def end() -> None:
                await system.gateway.tail.stop()
                await reading

            stack.push_async_callback(end)
            return system

        yield begin


@asynccontextmanager
async def sending(kafka_server: str, topic: str) -> AsyncIterator[Sender]:
    """Sends order events as a relay does."""
    producer = kafka.make_producer(kafka_server)
    await producer.start()
    try:
        yield Sender(producer, topic)
    finally:
        await producer.stop()


class Sender:
    """Keeps what was sent of the tenant `demo`."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    async def send(self, heads: Iterable[events_pb2.OrderEventHead]) -> None:
        """Returns when all are in the topic."""
        futures = []
        for one in heads:
            headers = encode_headers(
                b"/sampan/orders",
                event_id=chassis_ids.uuid7(),
                type=TYPE,
                aggregate_id=one.order_id,
                version=one.version,
                time=clock.now_utc(),
                traceparent=None,
            )
            futures.append(
                await self._producer.send(
                    self._topic, one.SerializeToString(), key=one.order_id.encode(), headers=headers
                )
            )
        await asyncio.gather(*futures)


async def test_what_was_missed_is_told_by_another_gateway(
    replica: Start, kafka_server: str, topic: str
) -> None:
    first = await replica()
    seen, missed, later = [head() for _ in range(5)], [head() for _ in range(40)], head()
    async with sending(kafka_server, topic) as sender:
        async with following(first.storefront) as stream:
            await sender.send(seen)
            assert set(ids(await stream.orders(5))) == set(ids_of(seen))
        # Of one order, so that there is an order to be kept.
        missed += [head(order_id=missed[0].order_id, version=version) for version in (2, 3)]
        await sender.send([head(tenant_id="other") for _ in range(30)] + missed)
        second = await replica()
        async with following(second.storefront, last_id=stream.last_id) as resumed:
            told = await resumed.orders(len(missed))
            assert sorted(ids(told)) == sorted(ids_of(missed))
            versions = [one["version"] for one in told if one["order_id"] == missed[0].order_id]
            assert versions == [1, 2, 3]
            await sender.send([head(tenant_id="other"), later])
            assert ids(await resumed.orders(1)) == [later.order_id]
        # From the middle of what was missed, and from its end.
        async with following(second.other, last_id=stream.last_id) as theirs:
            assert len(await theirs.orders(31)) == 31
        async with following(first.storefront, last_id=resumed.last_id) as again:
            await sender.send([after := head()])
            assert ids(await again.orders(1)) == [after.order_id]


async def test_nothing_falls_between_what_was_missed_and_what_comes(
    replica: Start, kafka_server: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_stream, "JOIN_RECORDS_MAX", 20)
    system = await replica()
    sent: list[str] = []
    enough = asyncio.Event()

    async def go_on() -> None:
        while not enough.is_set():
            heads = [head() for _ in range(50)]
            await sender.send(heads)
            sent.extend(ids_of(heads))

    async with sending(kafka_server, topic) as sender:
        async with following(system.storefront) as stream:
            last_id = stream.last_id
        heads = [head() for _ in range(3_000)]
        await sender.send(heads)
        sent.extend(ids_of(heads))
        going_on = asyncio.create_task(go_on())
        async with following(system.storefront, last_id=last_id) as resumed:
            told = ids(await resumed.orders(5_000))
            enough.set()
            await going_on
            told += ids(await resumed.orders(len(sent) - len(told)))
    assert len(told) == len(set(told))
    assert set(told) == set(sent)


async def test_a_place_that_the_topic_does_not_have_is_told_and_the_stream_goes_on(
    replica: Start, kafka_server: str, topic: str
) -> None:
    system = await replica()
    async with sending(kafka_server, topic) as sender:
        for place in ([10**6] * PARTITIONS, [0] * (PARTITIONS + 1)):
            last_id = positions.encode(place).decode()
            async with following(system.storefront, last_id=last_id) as stream:
                assert await stream.event() == ("reset", {"reason": "gone"})
                await sender.send([one := head(state=pb.ORDER_STATE_SHIPPED)])
                assert ids(await stream.orders(1)) == [one.order_id]
            # And from there on it can be taken up again.
            await sender.send([one := head()])
            async with following(system.storefront, last_id=stream.last_id) as resumed:
                assert ids(await resumed.orders(1)) == [one.order_id]


async def test_more_than_may_be_caught_up_with_is_told_as_such(
    replica: Start, kafka_server: str, topic: str
) -> None:
    system = await replica(stream_resume_events_max=10)
    async with sending(kafka_server, topic) as sender:
        async with following(system.storefront) as stream:
            pass
        await sender.send([head() for _ in range(11)])
        async with following(system.storefront) as fresh:
            # The feed has read them all, or begun behind them.
            await sender.send([one := head()])
            while ids(await fresh.orders(1)) != [one.order_id]:
                pass
            async with following(system.storefront, last_id=stream.last_id) as resumed:
                assert await resumed.event() == ("reset", {"reason": "too_old"})


def ids_of(heads: Iterable[events_pb2.OrderEventHead]) -> list[str]:
    """The orders of some events."""
    return [one.order_id for one in heads]
