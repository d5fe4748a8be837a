"""The topic checks on a real broker: a sound pair of topics passes, every corruption is named."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.audit.checks import Result, run
from deploy.audit.topic_checks import EVENT_TOPICS, EventTopic, TopicExamination
from services.chassis.envelope import encode_headers
from services.chassis.kafka import TopicSpec, ensure_topics, make_producer
from tests.conftest import DatabaseFactory
from tests.integration.audit.world import CANCELLED, CONFIRMED, REJECTED, WAITING, build, catches, run_sql

pytestmark = [pytest.mark.postgres, pytest.mark.kafka]

Sent = tuple[str, int, str]
"""(aggregate, version, kind of event)"""

ORDER_EVENTS: Sequence[Sent] = [
    (CONFIRMED, 1, "OrderPlaced"),
    (WAITING, 1, "OrderPlaced"),
    (CONFIRMED, 2, "OrderConfirmed"),
    (CONFIRMED, 1, "OrderPlaced"),  # sent again by a relay after a crash: allowed
    (CONFIRMED, 3, "OrderProgressed"),
    (WAITING, 2, "OrderAwaitingPayment"),
    (REJECTED, 1, "OrderPlaced"),
    (REJECTED, 2, "OrderRejected"),
    (CANCELLED, 1, "OrderPlaced"),
    (CANCELLED, 2, "OrderCancelled"),
]
FULFILMENT_EVENTS: Sequence[Sent] = [
    (CONFIRMED, 1, "StockReserved"),
    (CONFIRMED, 2, "ParcelsAllocated"),
    (WAITING, 1, "StockReserved"),
    (REJECTED, 1, "StockRejected"),
    (CANCELLED, 1, "StockReserved"),
    (CANCELLED, 2, "HoldVoided"),
]


class System:
    """Databases and topics of one test."""

    def __init__(self, bootstrap: str, dsns: Mapping[str, str], topics: Sequence[EventTopic]) -> None:
        self.bootstrap = bootstrap
        self.dsns = dsns
        self.orders, self.fulfilments = topics

    async def fill(self, orders: Sequence[Sent], fulfilments: Sequence[Sent]) -> None:
        """Sends events and notes them as applied by the other side."""
        for topic, events, reader in (
            (self.orders, orders, "warehouse"),
            (self.fulfilments, fulfilments, "orders"),
        ):
            await self._send(topic.name, events)
            newest = {
                aggregate_id: version for aggregate_id, version, _ in sorted(events, key=lambda one: one[1])
            }
            applied = ", ".join(
                f"('{one}', '{topic.name}', 'g', {version})" for one, version in newest.items()
            )
            await run_sql(
                self.dsns[reader],
                f"INSERT INTO consumer_applied (aggregate_id, topic, grp, version) VALUES {applied};"
                f"INSERT INTO consumer_offset (grp, topic, part, next) VALUES ('g', '{topic.name}', 0, {len(events)})",
            )

    async def _send(self, topic: str, events: Sequence[Sent]) -> None:
        await ensure_topics(self.bootstrap, [TopicSpec.events(topic, 1)])
        producer = make_producer(self.bootstrap)
        await producer.start()
        try:
            for aggregate_id, version, kind in events:
                headers = encode_headers(
                    b"/test",
                    event_id=uuid4(),
                    type=f"sampan.test.v1.{kind}",
                    aggregate_id=aggregate_id,
                    version=version,
                    time=datetime.now(UTC),
                    traceparent=None,
                )
                await producer.send_and_wait(
                    topic, b"", key=aggregate_id.encode(), headers=headers, partition=0
                )
        finally:
            await producer.stop()

    async def park(self, order_id: str, version: int) -> None:
        """Parks an event of an order in the warehouse."""
        await run_sql(
            self.dsns["warehouse"],
            'INSERT INTO parked_event (grp, topic, part, "offset", record_time, record_key, header_names, '
            "header_values, payload, aggregate_id, version, type, cause, detail) VALUES "
            f"('g', '{self.orders.name}', 0, {version}, now(), '', '{{}}', '{{}}', '', '{order_id}', {version}, 't', "
            "'FAILED', 'x')",
        )

    async def failed(self, *, injected: Collection[tuple[str, int, int]] = frozenset()) -> dict[str, Result]:
        """Which checks fail."""
        examination = TopicExamination(
            self.bootstrap,
            self.dsns,
            event_topics=[self.orders, self.fulfilments],
            snapshot_topics=[],
            injected=injected,
        )
        results = [await run(check) for check in examination.checks()]
        assert all(result.status != "could not run" for result in results), results
        return {result.id: result for result in results if result.status == "failed"}


@pytest.fixture
async def system(database_factory: DatabaseFactory, kafka_server: str) -> System:
    dsns = {name: database_factory(name) for name in ("orders", "warehouse")}
    await build(dsns["orders"], dsns["warehouse"])
    name = uuid4().hex[:8]
    topics = [replace(topic, name=f"audit-{name}-{topic.database}") for topic in EVENT_TOPICS]
    return System(kafka_server, dsns, topics)


async def test_sound_topics_pass(system: System) -> None:
    await system.fill(ORDER_EVENTS, FULFILMENT_EVENTS)
    assert await system.failed() == {}


@catches("12 order")
async def test_a_version_that_was_never_sent_is_a_gap(system: System) -> None:
    await system.fill([one for one in ORDER_EVENTS if one[:2] != (CONFIRMED, 2)], FULFILMENT_EVENTS)
    found = await system.failed()
    assert set(found) == {"12 order"}
    assert f"{CONFIRMED} has version 3 where 2 was due" in found["12 order"].offenders[0]


@catches("12 sent")
async def test_a_last_version_that_was_never_sent_is_named(system: System) -> None:
    await system.fill(ORDER_EVENTS[:-1], FULFILMENT_EVENTS)
    found = await system.failed()
    assert set(found) == {"12 sent"}
    assert f"{CANCELLED} ends with version 1, the database sent 2" in found["12 sent"].offenders[0]


@catches("12 sent")
async def test_a_topic_ahead_of_its_database_is_named(system: System) -> None:
    await system.fill(ORDER_EVENTS, FULFILMENT_EVENTS)
    await run_sql(
        system.dsns["orders"], f"UPDATE orders SET version = version - 1 WHERE order_id = '{CANCELLED}'"
    )
    found = await system.failed()
    assert set(found) == {"12 sent"}
    assert f"{CANCELLED} ends with version 2, the database has 1" in found["12 sent"].offenders[0]


async def test_what_still_waits_in_the_outbox_is_no_loss(system: System) -> None:
    await system.fill(ORDER_EVENTS[:-1], FULFILMENT_EVENTS)
    await run_sql(
        system.dsns["orders"],
        "INSERT INTO outbox (bucket, topic, key, aggregate_id, version, type, payload, event_id, event_time) "
        f"VALUES (0, '{system.orders.name}', 'k', '{CANCELLED}', 2, 't', '', gen_random_uuid(), now())",
    )
    assert await system.failed() == {}


async def test_an_aggregate_that_never_appeared_is_counted(system: System) -> None:
    await system.fill(ORDER_EVENTS, [one for one in FULFILMENT_EVENTS if one[0] != WAITING])
    found = await system.failed()
    assert set(found) == {"12 sent"}
    assert "1 aggregates of the database never appeared" in found["12 sent"].offenders[0]


async def test_an_event_of_an_order_that_does_not_exist_is_named(system: System) -> None:
    stranger = str(uuid4())
    await system.fill([*ORDER_EVENTS, (stranger, 1, "OrderPlaced")], FULFILMENT_EVENTS)
    found = await system.failed()
    assert set(found) == {"12 sent"}
    assert f"{stranger} is not in the database" in found["12 sent"].offenders[0]


async def test_what_a_test_has_put_into_a_topic_is_left_out_and_nothing_else(system: System) -> None:
    stranger = str(uuid4())
    await system.fill(
        [*ORDER_EVENTS, (stranger, 1, "OrderPlaced"), (stranger, 7, "OrderPlaced")], FULFILMENT_EVENTS
    )
    first, second = ((system.orders.name, 0, len(ORDER_EVENTS) + number) for number in (0, 1))
    assert await system.failed(injected={first, second}) == {}
    assert set(await system.failed(injected={second})) == {"12 sent"}


@catches("13 effect")
async def test_an_event_without_effect_is_named_unless_it_is_parked(system: System) -> None:
    await system.fill(ORDER_EVENTS, FULFILMENT_EVENTS)
    await run_sql(
        system.dsns["warehouse"],
        f"UPDATE consumer_applied SET version = 2 WHERE aggregate_id = '{CONFIRMED}'",
    )
    found = await system.failed()
    assert set(found) == {"13 effect"}
    assert f"{CONFIRMED} has version 3, applied 2" in found["13 effect"].offenders[0]
    await system.park(CONFIRMED, 3)
    assert await system.failed() == {}


@catches("13 effect")
async def test_a_parked_event_excuses_no_loss_before_it(system: System) -> None:
    await system.fill(ORDER_EVENTS, FULFILMENT_EVENTS)
    await run_sql(
        system.dsns["warehouse"],
        f"UPDATE consumer_applied SET version = 1 WHERE aggregate_id = '{CONFIRMED}'",
    )
    await system.park(CONFIRMED, 3)
    found = await system.failed()
    assert set(found) == {"13 effect"}
    assert f"{CONFIRMED} has version 3, applied 1, parked from 3" in found["13 effect"].offenders[0]
    await system.park(CONFIRMED, 2)
    await run_sql(
        system.dsns["warehouse"],
        "UPDATE parked_event SET state = 'DISCARDED', resolve_time = now(), resolved_by = 'x' WHERE version = 2",
    )
    assert await system.failed() == {}


@catches("5 one end, told")
async def test_a_hold_with_two_ends_is_named(system: System) -> None:
    await run_sql(
        system.dsns["warehouse"], f"UPDATE fulfilments SET version = 3 WHERE order_id = '{CONFIRMED}'"
    )
    await system.fill(ORDER_EVENTS, [*FULFILMENT_EVENTS, (CONFIRMED, 3, "HoldVoided")])
    found = await system.failed()
    assert set(found) == {"5 one end, told"}
    assert f"{CONFIRMED}: posted 1 times, voided 1 times" in found["5 one end, told"].offenders[0]


@catches("14 offsets", "15 lag")
async def test_lag_and_a_position_beyond_the_end_are_named(system: System) -> None:
    await system.fill(ORDER_EVENTS, FULFILMENT_EVENTS)
    await run_sql(system.dsns["warehouse"], "UPDATE consumer_offset SET next = next - 1")
    await run_sql(system.dsns["orders"], "UPDATE consumer_offset SET next = next + 1")
    found = await system.failed()
    assert set(found) == {"14 offsets", "15 lag"}
    assert "1 records behind" in found["15 lag"].offenders[0]
    assert "at 7" in found["14 offsets"].offenders[0]


@catches("14 offsets")
async def test_a_position_that_went_back_behind_what_kafka_was_told_is_named(system: System) -> None:
    await system.fill(ORDER_EVENTS, FULFILMENT_EVENTS)
    consumer = AIOKafkaConsumer(bootstrap_servers=system.bootstrap, group_id="g", enable_auto_commit=False)
    await consumer.start()
    try:
        place = TopicPartition(system.fulfilments.name, 0)
        consumer.assign([place])
        await consumer.commit({place: len(FULFILMENT_EVENTS)})
    finally:
        await consumer.stop()
    assert await system.failed() == {}
    await run_sql(system.dsns["orders"], "UPDATE consumer_offset SET next = 2")
    found = await system.failed()
    assert "at 2, told Kafka 6" in found["14 offsets"].offenders[0]
