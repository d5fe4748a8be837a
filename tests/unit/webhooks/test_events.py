"""Every event that the services publish is told to endpoints, or is left out on purpose."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sampan.catalog.v1 import events_pb2 as catalog_pb
from sampan.catalog.v1 import product_service_pb2 as product_pb
from sampan.orders.v1 import events_pb2 as orders_pb
from sampan.orders.v1 import order_service_pb2 as order_pb
from sampan.warehouse.v1 import events_pb2 as warehouse_pb
from sampan.warehouse.v1 import parcel_service_pb2 as parcel_pb

from deploy.asyncapi.topics import all_topics
from services.chassis.consumer import Event
from services.chassis.errors import EventMalformed
from services.webhooks import events
from services.webhooks.domain.messages import EVENT_TYPES, Message

ID = UUID("019ab3c0-5e1f-7c3e-8f65-0d6c2f3f5b11")
LEFT_OUT = {
    "sampan.orders.v1.OrderStalled": "between the services alone: nothing has happened",
    "sampan.warehouse.v1.FulfilmentReported": "the answer to it",
    "sampan.warehouse.v1.StockRejected": "order.rejected or order.cancelled follows",
    "sampan.warehouse.v1.HoldExpired": "order.expired follows",
    "sampan.warehouse.v1.HoldVoided": "follows from order.expired or order.cancelled",
    "sampan.warehouse.v1.FulfilmentCancelled": "order.cancelled follows",
    "sampan.warehouse.v1.CancellationRefused": "order.progressed follows",
}
HEAD: dict[str, Any] = {"tenant_id": "acme", "merchant_id": "m", "order_id": "o", "version": 7}
ORDERS = {
    orders_pb.OrderAwaitingPayment: "order.awaiting_payment",
    orders_pb.OrderConfirmed: "order.confirmed",
    orders_pb.OrderRejected: "order.rejected",
    orders_pb.OrderExpired: "order.expired",
    orders_pb.OrderCancellationRequested: "order.cancelling",
    orders_pb.OrderCancelled: "order.cancelled",
    orders_pb.OrderProgressed: "order.progressed",
}


def event(message: Any, payload: bytes | None = None) -> Event:
    """The event that carries a message."""
    return Event(
        topic="t",
        partition=0,
        offset=0,
        key="o",
        type=message.DESCRIPTOR.full_name,
        aggregate_id="o",
        version=7,
        payload=message.SerializeToString() if payload is None else payload,
        traceparent=None,
        event_id=ID,
        time_ms=1_772_357_400_123,
    )


def told(message: Any) -> list[Message]:
    """What becomes of it."""
    return list(events._TELLERS[message.DESCRIPTOR.full_name].tell(event(message), message))


def data(messages: Iterable[Message]) -> dict[str, Any]:
    """What the only one says."""
    [one] = messages
    body = json.loads(one.body)
    assert (body["type"], body["timestamp"]) == (one.event_type, "2026-03-01T09:30:00.123000Z")
    found: dict[str, Any] = body["data"]
    return found


def test_every_event_of_the_topics_is_told_or_left_out_on_purpose() -> None:
    published = {name for topic in all_topics() if topic.name in events.TOPICS for name in topic.types}
    assert events._TELLERS.keys() | LEFT_OUT.keys() == published
    assert not events._TELLERS.keys() & LEFT_OUT.keys()


@pytest.mark.parametrize(("kind", "event_type"), ORDERS.items(), ids=ORDERS.values())
def test_an_order_event_says_which_order_and_where_it_stands(kind: Any, event_type: str) -> None:
    [message] = told(kind(**HEAD, state=order_pb.ORDER_STATE_AWAITING_PAYMENT))
    assert (message.tenant_id, message.event_type) == ("acme", event_type)
    assert message.message_id == f"msg_{ID.hex}"
    assert message.event_time == datetime(2026, 3, 1, 9, 30, 0, 123_000, UTC)
    said = data([message])
    assert {
        "order_id": "o",
        "merchant_id": "m",
        "version": 7,
        "state": "awaiting_payment",
    }.items() <= said.items()
    assert said.keys() - {"order_id", "merchant_id", "version", "state"} <= {"reason", "cause"}


def test_a_placed_order_says_what_was_ordered_and_not_by_whom() -> None:
    line = orders_pb.PlacedLine(line_number=1, sku="WIG-18", quantity=2, weight_grams=350)
    placed = orders_pb.OrderPlaced(**HEAD, state=order_pb.ORDER_STATE_PENDING, region_code="ES", lines=[line])
    assert data(told(placed)) == {
        "order_id": "o",
        "merchant_id": "m",
        "version": 7,
        "state": "pending",
        "region_code": "ES",
        "lines": [{"line_number": 1, "sku": "WIG-18", "quantity": 2}],
        "lines_left_out": 0,
    }
    many = orders_pb.OrderPlaced(**HEAD, state=order_pb.ORDER_STATE_PENDING, lines=[line] * 2_000)
    said = data(told(many))
    assert (len(said["lines"]), said["lines_left_out"]) == (100, 1_900)


def test_each_parcel_is_told_by_itself_with_an_id_that_stays() -> None:
    parcels = [warehouse_pb.AllocatedParcel(parcel_id=f"p{n}", warehouse_id="madrid") for n in range(3)]
    allocated = warehouse_pb.ParcelsAllocated(**HEAD, parcels=parcels)
    first, second = told(allocated), told(allocated)
    assert first == second
    assert len({message.message_id for message in first}) == 3
    assert {message.event_type for message in first} == {"parcel.allocated"}
    assert [json.loads(message.body)["data"]["parcel_id"] for message in first] == ["p0", "p1", "p2"]


@pytest.mark.parametrize("state", ["packed", "shipped", "delivered"])
def test_a_parcel_that_moved_on_is_told_by_its_state(state: str) -> None:
    advanced = warehouse_pb.ParcelAdvanced(
        **HEAD,
        parcel_id="p",
        state=parcel_pb.ParcelState.Value(f"PARCEL_STATE_{state.upper()}"),
        carrier="correos",
        tracking_number="T1",
    )
    [message] = told(advanced)
    assert message.event_type == f"parcel.{state}"
    assert data([message]) == {
        "parcel_id": "p",
        "order_id": "o",
        "merchant_id": "m",
        "state": state,
        "carrier": "correos",
        "tracking_number": "T1",
    }


def test_what_can_be_asked_for_is_what_can_come() -> None:
    product = catalog_pb.ProductSnapshot(tenant_id="acme")
    product.product.product_id = "p"
    product.product.status = product_pb.PRODUCT_STATUS_ACTIVE
    reserved = warehouse_pb.StockReserved(**HEAD)
    come = {message.event_type for whole in (product, reserved) for message in told(whole)}
    come |= {*ORDERS.values(), "order.placed", "parcel.allocated", *events._ADVANCED.values()}
    assert come == EVENT_TYPES.keys()


async def test_what_cannot_be_read_is_poison_and_what_is_not_known_is_passed_over() -> None:
    nothing: Any = None
    with pytest.raises(EventMalformed):
        await events.Telling().handle(nothing, [event(orders_pb.OrderExpired(), b"\xff\xff")])
    of_newer_state = orders_pb.OrderExpired(state=99)  # type: ignore[arg-type]
    with pytest.raises(EventMalformed):
        events._told(event(of_newer_state), of_newer_state)
    await events.Telling().handle(nothing, [event(orders_pb.OrderStalled())])
