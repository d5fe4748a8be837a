"""Parked events over the public API, by the platform's key: seen, replayed once their cause is gone, given up."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from services.chassis.kafka import make_producer
from tests.e2e.conftest import Document, Shop, key, order_body
from tests.refusing import refusing_orders

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

GROUP = "orders.fulfilments"
TOPIC = "sampan.warehouse.fulfilments.v1"


def parked(shop: Shop, aggregate_id: str) -> list[Document]:
    """What is parked of one aggregate."""
    asked = {"group": GROUP, "aggregate_id": aggregate_id}
    events: list[Document] = shop.must(shop.platform.get("/v1/parked-events", params=asked))["parked_events"]
    return events


def replay(shop: Shop, aggregate_id: str) -> Document:
    """A replay of one aggregate."""
    asked = {"group": GROUP, "aggregate_id": aggregate_id}
    return shop.must(shop.platform.post("/v1/parked-events:replay", json=asked))


def test_an_event_is_parked_listed_and_replayed_once_its_cause_is_gone(shop: Shop) -> None:
    sku, buyer = shop.new_sku(10), f"buyer-{uuid4().hex[:8]}"
    with refusing_orders(shop.stack.dsns["orders"], buyer):
        body = order_body((sku, 3), buyer_ref=buyer)
        placed = shop.must(shop.storefront.post("/v1/orders", json=body, headers=key()), 201)
        order_id = placed["order_id"]
        shop.eventually(lambda: parked(shop, order_id))
        # Others go on.
        assert shop.place(order_body((sku, 1)))["state"] == "awaiting_payment"
        event = parked(shop, order_id)[0]
        assert (event["event_type"], event["cause"]) == ("sampan.warehouse.v1.StockReserved", "failed")
        assert (event["topic"], event["attempts"], "a bug" in event["detail"]) == (TOPIC, 0, True)
        [group] = [one for one in groups(shop) if one["group"] == GROUP]
        assert group["events"] >= 1
        assert group["oldest_park_time"] <= event["park_time"]
        report = replay(shop, order_id)
        assert report["replayed"] == 0
        assert [(one["topic"], one["aggregate_id"]) for one in report["failures"]] == [(TOPIC, order_id)]
        assert parked(shop, order_id)[0]["attempts"] == 1
        assert shop.order(order_id)["state"] == "pending"
    report = replay(shop, order_id)
    assert report["replayed"] >= 1
    assert (report["failures"], report["next_page_token"]) == ([], "")
    assert parked(shop, order_id) == []
    shop.eventually(lambda: shop.order(order_id)["state"] == "awaiting_payment")
    history = shop.must(shop.storefront.get(f"/v1/orders/{order_id}/history"))
    assert [step["cause"] for step in history["transitions"]].count("StockReserved") == 1
    # A second one finds nothing, and reserves nothing.
    assert replay(shop, order_id)["replayed"] == 0
    asked = {"skus": sku, "region_code": "ES"}

    def left() -> int:
        [found] = shop.must(shop.storefront.get("/v1/availability", params=asked))["availabilities"]
        return int(found["available"])

    shop.eventually(lambda: left() == 6)


def groups(shop: Shop) -> list[Document]:
    """All groups of all services."""
    found: list[Document] = shop.must(shop.platform.get("/v1/parked-groups"))["parked_groups"]
    return found


def test_a_record_that_is_no_event_is_given_up_with_a_reason(shop: Shop) -> None:
    aggregate_id = str(uuid4())

    async def send() -> None:
        producer = make_producer(shop.stack.bootstrap)
        await producer.start()
        try:
            await producer.send_and_wait(TOPIC, b"Ana Garcia", key=aggregate_id.encode())
        finally:
            await producer.stop()

    asyncio.run(send())
    shop.eventually(lambda: parked(shop, aggregate_id))
    [event] = parked(shop, aggregate_id)
    assert (event["cause"], event["version"], event["event_type"]) == ("unreadable", None, None)
    assert "Ana" not in str(event)
    number = event["parked_event_id"]
    discard = "/v1/parked-events:discard"
    asked: Document = {"group": GROUP, "parked_event_ids": [number, number + 10_000], "note": " "}
    refused = shop.must(shop.platform.post(discard, json=asked), 400)
    assert (refused["reason"], refused["errors"][0]["pointer"]) == ("FIELD_REQUIRED", "/note")
    report = shop.must(shop.platform.post(discard, json=asked | {"note": "no event"}))
    assert report == {"discarded_ids": [number], "not_parked_ids": [number + 10_000]}
    assert parked(shop, aggregate_id) == []


def test_every_group_is_told_and_a_service_that_is_away_is_named(shop: Shop) -> None:
    names = ["orders.catalog", "orders.fulfilments", "warehouse.orders", "webhooks.events"]
    assert [one["group"] for one in groups(shop)] == names
    webhooks = shop.stack.services["webhooks"]
    webhooks.stop()
    try:
        told = shop.must(shop.platform.get("/v1/parked-groups"))
        assert [one["group"] for one in told["parked_groups"]] == names[:-1]
        assert told["unreachable_services"] == ["webhooks"]
    finally:
        webhooks.start()
        webhooks.wait_ready()
    shop.eventually(lambda: [one["group"] for one in groups(shop)] == names)


@pytest.mark.parametrize("group", ["", "nobody", "catalog.products", "orders.nothing"])
def test_an_unknown_group_is_told(shop: Shop, group: str) -> None:
    reason = "GROUP_UNKNOWN" if group else "FIELD_REQUIRED"
    listed = shop.must(shop.platform.get("/v1/parked-events", params={"group": group}), 400)
    assert (listed["reason"], listed["errors"][0]["parameter"]) == (reason, "group")
    replayed = shop.must(shop.platform.post("/v1/parked-events:replay", json={"group": group}), 400)
    assert (replayed["reason"], replayed["errors"][0]["pointer"]) == ("GROUP_UNKNOWN", "/group")


def test_no_key_of_a_tenant_sees_replays_or_discards(shop: Shop) -> None:
    """They are those of all tenants."""
    asked: Document = {"group": GROUP}
    for client in (shop.operator, shop.storefront):
        for answer in (
            client.get("/v1/parked-groups"),
            client.get("/v1/parked-events", params=asked),
            client.post("/v1/parked-events:replay", json=asked),
            client.post("/v1/parked-events:discard", json=asked | {"parked_event_ids": [1], "note": "n"}),
        ):
            assert shop.must(answer, 403)["reason"] == "ROLE_MISSING"
