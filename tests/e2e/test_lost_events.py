"""Events that are really lost, to retention or given up after they were parked: their orders get on all the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from deploy.audit.audit import queue_checks
from deploy.audit.checks import Check, Result, connected, run
from deploy.audit.cross_checks import CrossExamination
from deploy.audit.sql_checks import sql_checks
from deploy.audit.topics import Topics
from services.chassis.consumer import discard_parked, list_parked
from services.chassis.kafka import make_producer
from services.chassis.pg import Database
from tests import servers
from tests.e2e.conftest import KEYS, Shop, key, open_shop, order_body

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

ORDERS_TOPIC = "sampan.orders.orders.v1"
FULFILMENTS_TOPIC = "sampan.warehouse.fulfilments.v1"
FULFILMENTS_GROUP = "orders.fulfilments"
WAIT_S = "2"
PATIENCE_S = 90.0


@pytest.fixture(scope="module")
def impatient(session_folder: Path) -> Iterator[Shop]:
    """A system of its own whose orders ask again after two seconds."""
    folder = session_folder / "lost-events"
    folder.mkdir()
    keys_file = folder / "api-keys.json"
    keys_file.write_text(json.dumps(list(KEYS.values())))
    stack = servers.whole_stack(
        folder,
        GATEWAY_API_KEYS_FILE=str(keys_file),
        ORDERS_ANSWER_WAIT_S=WAIT_S,
        ORDERS_ANSWER_WAIT_S_MAX=WAIT_S,
    )
    try:
        stack.up()
        with open_shop(stack) as shop:
            yield shop
    finally:
        stack.remove()


def start(shop: Shop, service: str) -> None:
    """Starts a service and waits until the gateway has found it again."""
    shop.stack.services[service].start()
    shop.stack.services[service].wait_ready()
    path = "/v1/orders" if service == "orders" else "/v1/warehouses"
    shop.eventually(lambda: shop.operator.get(path).status_code == 200, timeout_s=PATIENCE_S)


def state(shop: Shop, order_id: str) -> str:
    return str(shop.order(order_id)["state"])


def causes(shop: Shop, order_id: str) -> list[str]:
    """What has happened to the order, by its history."""
    history = shop.must(shop.storefront.get(f"/v1/orders/{order_id}/history"))
    return [step["cause"] for step in history["transitions"]]


def outbox_is_empty(shop: Shop, service: str) -> bool:
    """Whether all that the service has to say is in Kafka; raises where its database cannot be asked."""

    async def look() -> bool:
        async with connected(shop.stack.dsns[service]) as connection:
            return bool(await connection.fetchval("SELECT NOT EXISTS (SELECT FROM outbox)"))

    return asyncio.run(look())


def expire_records(shop: Shop, topic: str) -> None:
    """Removes every record of the topic, as retention does."""

    async def remove() -> None:
        async with Topics.opened(shop.stack.bootstrap) as topics:
            ends = await topics.ends(await topics.partitions(topic))
        admin = AIOKafkaAdminClient(bootstrap_servers=shop.stack.bootstrap)
        await admin.start()
        try:
            await admin.delete_records(
                {place: RecordsToDelete(before_offset=end) for place, end in ends.items() if end}
            )
        finally:
            await admin.close()

    asyncio.run(remove())


def has_parcels(shop: Shop, order_id: str) -> bool:
    """Whether the warehouse has opened parcels for the order."""

    async def look() -> bool:
        async with connected(shop.stack.dsns["warehouse"]) as connection:
            return bool(
                await connection.fetchval("SELECT count(*) FROM parcels WHERE order_id = $1", order_id)
            )

    return asyncio.run(look())


def poison(shop: Shop, topic: str, order_id: str) -> None:
    """Sends a record in the order's place that nobody can read."""

    async def send() -> None:
        producer = make_producer(shop.stack.bootstrap)
        await producer.start()
        try:
            await producer.send_and_wait(topic, b"\xff", key=order_id.encode())
        finally:
            await producer.stop()

    asyncio.run(send())


def parked(shop: Shop, order_id: str, *, give_up: bool = False) -> int:
    """How many events of the order are parked by orders; they are discarded if so asked."""

    async def look() -> int:
        db = await Database.open(shop.stack.dsns["orders"], pool_size_max=1)
        try:
            found = await list_parked(db, FULFILMENTS_GROUP, aggregate_id=order_id)
            if found and give_up:
                await discard_parked(
                    db, FULFILMENTS_GROUP, [one.id for one in found], actor="test", note="poison"
                )
            return len(found)
        finally:
            await db.close()

    return asyncio.run(look())


def assert_sound(shop: Shop, *, parked_expected: int = 0) -> None:
    """What the databases show of the invariants; the topics are no whole record any more."""

    def broken() -> list[Result]:
        checks: Sequence[Check] = [
            *sql_checks(shop.stack.dsns, late_s_max=120),
            *CrossExamination(shop.stack.dsns).checks(),
            *queue_checks(shop.stack.dsns, parked_expected=parked_expected),
        ]
        results = [asyncio.run(run(check)) for check in checks]
        return [result for result in results if result.status != "ok"]

    shop.eventually(lambda: not broken(), timeout_s=PATIENCE_S)


def placed_unheard(shop: Shop, sku: str, **changes: Any) -> str:
    """An order that is placed while the warehouse is away, and whose event is in Kafka."""
    order = shop.must(
        shop.storefront.post("/v1/orders", json=order_body((sku, 3), **changes), headers=key()), 201
    )
    assert order["state"] == "pending"
    shop.eventually(lambda: outbox_is_empty(shop, "orders"), timeout_s=PATIENCE_S)
    return str(order["order_id"])


def units(shop: Shop, sku: str) -> int:
    asked = {"skus": sku, "region_code": "ES"}
    [found] = shop.must(shop.storefront.get("/v1/availability", params=asked))["availabilities"]
    return int(found["available"])


def test_an_order_that_the_warehouse_never_heard_of_is_decided(impatient: Shop) -> None:
    shop = impatient
    sku = shop.new_sku(10)
    warehouse, orders = shop.stack.services["warehouse"], shop.stack.services["orders"]
    warehouse.stop()
    order_id = placed_unheard(shop, sku)
    # With orders down nobody can ask before the records are gone.
    orders.stop()
    expire_records(shop, ORDERS_TOPIC)
    start(shop, "warehouse")
    start(shop, "orders")
    shop.eventually(lambda: state(shop, order_id) == "awaiting_payment", timeout_s=PATIENCE_S)
    told = causes(shop, order_id)
    assert "OrderStalled" in told
    assert told.count("StockReserved") == 1
    shop.eventually(lambda: units(shop, sku) == 7)
    assert_sound(shop)


def test_orders_whose_decisions_and_parcels_were_lost_learn_of_them(impatient: Shop) -> None:
    shop = impatient
    new, paid = shop.new_sku(10), shop.new_sku(10)
    warehouse, orders = shop.stack.services["warehouse"], shop.stack.services["orders"]
    order = shop.place(order_body((paid, 3)))
    paid_id = str(order["order_id"])
    assert order["state"] == "awaiting_payment"
    warehouse.stop()
    shop.must(
        shop.storefront.post(
            f"/v1/orders/{paid_id}:pay", json={"payment_token": "card_authorised"}, headers=key()
        )
    )
    new_id = placed_unheard(shop, new, payment_terms="prepaid")
    orders.stop()
    # The warehouse reserves the one and opens parcels for the other, while nobody listens.
    start(shop, "warehouse")
    shop.eventually(lambda: units(shop, new) == 7, timeout_s=PATIENCE_S)
    shop.eventually(lambda: has_parcels(shop, paid_id), timeout_s=PATIENCE_S)
    shop.eventually(lambda: outbox_is_empty(shop, "warehouse"), timeout_s=PATIENCE_S)
    expire_records(shop, FULFILMENTS_TOPIC)
    start(shop, "orders")
    both = new_id, paid_id
    shop.eventually(lambda: all(shop.order(one)["parcels"] for one in both), timeout_s=PATIENCE_S)
    for order_id in both:
        assert state(shop, order_id) == "confirmed"
        told = causes(shop, order_id)
        assert told.count("StockReserved") == told.count("ParcelsAllocated") == 1
    assert_sound(shop)
    assert units(shop, new) == units(shop, paid) == 7


def test_an_order_whose_parked_events_were_given_up_gets_on(impatient: Shop) -> None:
    shop = impatient
    sku = shop.new_sku(10)
    warehouse = shop.stack.services["warehouse"]
    warehouse.stop()
    order_id = placed_unheard(shop, sku)
    poison(shop, FULFILMENTS_TOPIC, order_id)
    start(shop, "warehouse")
    # The poison, the decision behind it, and the answer to a question behind that.
    shop.eventually(lambda: parked(shop, order_id) >= 3, timeout_s=PATIENCE_S)
    assert state(shop, order_id) == "pending"
    # Until none is left: each further answer is parked behind them.
    shop.eventually(lambda: parked(shop, order_id, give_up=True) == 0, timeout_s=PATIENCE_S)
    shop.eventually(lambda: state(shop, order_id) == "awaiting_payment", timeout_s=PATIENCE_S)
    assert causes(shop, order_id).count("StockReserved") == 1
    assert_sound(shop)
    assert units(shop, sku) == 7
