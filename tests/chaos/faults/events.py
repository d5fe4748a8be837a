"""Duplicated, reordered and poisoned events in every topic that somebody reads."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from zlib import crc32

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from tests.chaos import operators
from tests.chaos.client import Request, new_key
from tests.chaos.cluster import Cluster
from tests.chaos.fault import BaseFault, Fault
from tests.chaos.poison import (
    GROUPS,
    MARK,
    ORDERS,
    REFUSED_BYTES,
    Poison,
    from_far_ahead,
    kinds_of,
    poison,
    truncated_confirmation,
)

RECENT_RECORDS = 150
POISON_AT_ONCE = 4
REQUEST_BYTES_MAX = 4_000_000
REACH_S_MAX = 20.0
WAIT_S_MAX = 40.0
CONNECT_S_MAX = 5.0
POLL_S = 0.5
FAR_AHEAD = 1_000_000
BRING_ON_ROUNDS_MAX = 10
MEET_S = 2.0
PARKED_OF = "SELECT count(*) FROM parked_event WHERE aggregate_id = $1 AND state = 'PARKED'"
UNREACHABLE = (KafkaError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
MAY_GET_PARCELS = ("awaiting_payment", "confirmed")


@asynccontextmanager
async def _producer(cluster: Cluster) -> AsyncIterator[AIOKafkaProducer]:
    """Past all links, since it is no part of the system."""
    producer = AIOKafkaProducer(
        bootstrap_servers=cluster.bootstrap,
        # Else a repetition would put a second copy at an offset that nobody has noted.
        enable_idempotence=True,
        max_request_size=REQUEST_BYTES_MAX,
    )
    async with asyncio.timeout(REACH_S_MAX):
        await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


class _OfTopic(BaseFault):
    """Does something to a topic at once; where the broker is away, nothing, which is no proof and no fault."""

    def targets(self, cluster: Cluster) -> Sequence[str]:
        """Every topic."""
        return list(GROUPS)

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Does it once."""
        try:
            await self._do(cluster, target, rng)
        except (KafkaError, OSError, TimeoutError) as error:
            cluster.nothing_came_of(self.name, target, repr(error))
        yield

    async def _do(self, cluster: Cluster, topic: str, rng: random.Random) -> None:
        raise NotImplementedError


class Duplicates(_OfTopic):
    """The newest records of each partition once more, exactly as they were: in order, backwards or shuffled."""

    name = "events.duplicates"

    async def _do(self, cluster: Cluster, topic: str, rng: random.Random) -> None:
        by_partition = await _recent(cluster, topic)
        async with _producer(cluster) as producer:
            for partition, records in by_partition.items():
                order, again = rng.choice(
                    (
                        ("in order", records),
                        ("backwards", records[::-1]),
                        ("shuffled", rng.sample(records, len(records))),
                    )
                )
                for record in again:
                    await producer.send(
                        topic,
                        record.value,
                        key=record.key,
                        partition=partition,
                        timestamp_ms=record.timestamp,
                        headers=list(record.headers),
                    )
                cluster.history.note(
                    "duplicated", topic=topic, partition=partition, records=len(records), order=order
                )
            await producer.flush()


class PoisonEvents(_OfTopic):
    """A few kinds of poison, about what does not exist; each is recorded with the groups that have to park it."""

    name = "events.poison"

    async def _do(self, cluster: Cluster, topic: str, rng: random.Random) -> None:
        await self.put(cluster, topic, rng, count=POISON_AT_ONCE)

    async def put(self, cluster: Cluster, topic: str, rng: random.Random, *, count: int) -> None:
        """Puts so many different ones into the topic."""
        kinds = kinds_of(topic)
        async with _producer(cluster) as producer:
            for kind in rng.sample(kinds, min(count, len(kinds))):
                await _send(cluster, producer, topic, poison(kind, topic, rng))


class TooLarge(_OfTopic):
    """A record beyond the broker's limit: refused there, so that no reader ever meets it."""

    name = "events.too-large"

    async def _do(self, cluster: Cluster, topic: str, rng: random.Random) -> None:
        async with _producer(cluster) as producer:
            try:
                await producer.send_and_wait(topic, rng.randbytes(REFUSED_BYTES), key=b"poison")
            except MessageSizeTooLargeError:
                cluster.history.note("refused by the broker", topic=topic, size_bytes=REFUSED_BYTES)
            else:
                cluster.client.violations.append(f"{topic} took a record of {REFUSED_BYTES} bytes")


class PoisonedOrder(BaseFault):
    """Poison in the place of a real order's next event: what follows waits behind it, until an operator lists,
    discards and replays; then the order goes on to its parcels.
    """

    name = "events.poisoned-order"

    def targets(self, cluster: Cluster) -> Sequence[str]:
        """What stands in the way."""
        return ["truncated", "far ahead"]

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """The whole story. Other faults may make a step of it impossible, which is noted and proves nothing."""
        try:
            order = await _unpaid_order(cluster, rng)
            if order is None:
                cluster.nothing_came_of(self.name, target, "no order waited for its payment")
            else:
                await self._tell(cluster, target, order)
        except (*UNREACHABLE, operators.CommandFailed) as error:
            cluster.nothing_came_of(self.name, target, repr(error))
        yield

    async def _tell(self, cluster: Cluster, target: str, order: dict[str, Any]) -> None:
        order_id, version = order["order_id"], int(order["version"])
        record = (
            truncated_confirmation(order_id, version + 1)
            if target == "truncated"
            else from_far_ahead(order_id, version + FAR_AHEAD)
        )
        async with _producer(cluster) as producer:
            offset = await _send(cluster, producer, ORDERS, record)
        paid = False
        try:
            await _parked(cluster, order_id, 1)
            body = b'{"payment_token": "card_authorised"}'
            request = Request("pay", "storefront", "POST", f"/v1/orders/{order_id}:pay", body, key=new_key())
            paid = (await cluster.client.send(request)).ok
            if paid:
                await _parked(cluster, order_id, 2)
        except _NotHeldBack as error:
            if paid:
                cluster.client.violations.append(f"the events of order {order_id} behind its poison: {error}")
            else:
                cluster.nothing_came_of(self.name, target, str(error))
        finally:
            # Whatever came in between: else the order would stand still for good.
            await asyncio.shield(_bring_on(cluster, order_id, offset))
        if paid and not await _has_parcels(cluster, order_id):
            cluster.client.violations.append(f"order {order_id} did not go on after its poison was discarded")
        cluster.history.note("order brought on", order_id=order_id, poison=target, paid=paid)


async def _bring_on(cluster: Cluster, order_id: str, offset: int) -> None:
    """An operator's work: list, discard the poison, replay the rest; until nothing of the order is parked."""
    was_met = False
    for _ in range(BRING_ON_ROUNDS_MAX):
        try:
            rows = await operators.parked(cluster, "warehouse", aggregate_id=order_id)
            poison = [row for row in rows if row["offset"] == offset]
            was_met = was_met or bool(poison)
            await operators.discard(cluster, "warehouse", poison, "poison of a test")
            if not rows:
                if was_met:
                    return
                # Its reader has yet to come to it: gone now, one would leave the order to stand still.
                await asyncio.sleep(MEET_S)
                continue
            await operators.replay(cluster, "warehouse", aggregate_id=order_id)
        except operators.CommandFailed as error:
            cluster.history.note("a command failed", error=str(error))
            await asyncio.sleep(POLL_S)
    cluster.client.violations.append(f"order {order_id} could not be brought on by commands")


async def _send(cluster: Cluster, producer: AIOKafkaProducer, topic: str, record: Poison) -> int:
    """Sends and records it; its offset."""
    partitions = sorted(await producer.partitions_for(topic))
    # As the relay does, so that it lies among the events of its aggregate.
    partition = partitions[crc32(record.key) % len(partitions)]
    sent = await producer.send_and_wait(
        topic, record.value, key=record.key, partition=partition, headers=record.headers
    )
    cluster.history.poisoned(topic, partition, sent.offset, record.aggregate_id, groups=record.groups)
    cluster.history.note("poison", kind=record.kind, topic=topic, partition=partition, offset=sent.offset)
    return int(sent.offset)


async def _recent(cluster: Cluster, topic: str) -> dict[int, list[Any]]:
    """The newest records of each partition, in their order; without those that are poison themselves."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=cluster.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    found: dict[int, list[Any]] = {}
    async with asyncio.timeout(REACH_S_MAX):
        await consumer.start()
        try:
            partitions = await consumer._client.fetch_all_metadata()
            places = [TopicPartition(topic, part) for part in partitions.partitions_for_topic(topic) or ()]
            begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
            for place in places:
                consumer.assign([place])
                consumer.seek(place, max(begins[place], ends[place] - RECENT_RECORDS))
                records: list[Any] = []
                while await consumer.position(place) < ends[place]:
                    for batch in (await consumer.getmany(place, timeout_ms=200)).values():
                        records += batch
                found[place.partition] = [record for record in records if MARK not in record.headers]
        finally:
            await consumer.stop()
    return {partition: records for partition, records in found.items() if records}


async def _unpaid_order(cluster: Cluster, rng: random.Random) -> dict[str, Any] | None:
    """A fresh order that waits for its payment, as the gateway shows it."""
    body = cluster.shop.order(rng, buyer_ref="buyer-poisoned") | {"payment_terms": "pay_later"}
    body["payment_window_s"] = 600
    answer = await cluster.client.send(
        Request(
            "place", "storefront", "POST", "/v1/orders", json.dumps(body).encode(), key=new_key(), wait_s=5
        )
    )
    if not answer.ok:
        return None
    path = f"/v1/orders/{answer.document['order_id']}"
    deadline = time.monotonic() + WAIT_S_MAX
    while time.monotonic() < deadline:
        shown = await cluster.client.send(Request("read", "storefront", "GET", path))
        if shown.ok and shown.document["state"] == "awaiting_payment":
            return shown.document
        if shown.ok and shown.document["state"] != "pending":
            return None
        await asyncio.sleep(POLL_S)
    return None


async def _parked(cluster: Cluster, order_id: str, count: int) -> None:
    """Waits until so many events of the order are parked.

    Raises _NotHeldBack when the database could be asked to the end, else what kept it from being asked.
    """
    deadline = time.monotonic() + WAIT_S_MAX
    while True:
        found = 0
        error: Exception | None = None
        try:
            found = await _count_parked(cluster, order_id)
        except UNREACHABLE as unreachable:
            error = unreachable
        if found >= count:
            return
        if time.monotonic() > deadline:
            raise error or _NotHeldBack(f"{found} parked after {WAIT_S_MAX:.0f} s, {count} expected")
        await asyncio.sleep(POLL_S)


async def _count_parked(cluster: Cluster, order_id: str) -> int:
    connection = await asyncpg.connect(cluster.dsn("warehouse"), timeout=CONNECT_S_MAX)
    try:
        return int(await connection.fetchval(PARKED_OF, order_id, timeout=CONNECT_S_MAX))
    finally:
        connection.terminate()


class _NotHeldBack(Exception):
    """Events of an order are not parked although the database could be asked."""


async def _has_parcels(cluster: Cluster, order_id: str) -> bool:
    deadline = time.monotonic() + WAIT_S_MAX
    while time.monotonic() < deadline:
        shown = await cluster.client.send(Request("read", "storefront", "GET", f"/v1/orders/{order_id}"))
        if shown.ok and (shown.document["parcels"] or shown.document["state"] not in MAY_GET_PARCELS):
            return True
        await asyncio.sleep(POLL_S)
    return False


FAULTS: Sequence[Fault] = (Duplicates(), PoisonEvents(), TooLarge(), PoisonedOrder())
