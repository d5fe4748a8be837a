"""Order events as commands, facts as events."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp
from sampan.orders.v1 import events_pb2 as orders_pb
from sampan.warehouse.v1 import events_pb2 as pb
from sampan.warehouse.v1 import reservation_service_pb2 as hold_pb

from services.chassis import ids
from services.chassis.consumer import Event
from services.chassis.envelope import PAYLOAD_BYTES_MAX
from services.chassis.errors import InvalidArgument
from services.warehouse import events
from services.warehouse.domain.holds import (
    LINES_MAX,
    QUANTITY_MAX,
    Command,
    Fact,
    Intercept,
    Line,
    Post,
    Reserve,
    StockRejected,
    StockReserved,
    Void,
)
from services.warehouse.domain.sourcing import Rejection, Shortage
from services.warehouse.domain.stock import Allocation, SkuStock, StockLevel

ORDER = "01890a5d-ac96-774b-bcce-b302099a8057"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DEADLINE = datetime(2026, 3, 1, 9, 30, 0, 250_000, tzinfo=UTC)


def event(message: Message, **changed: Any) -> Event:
    content: dict[str, Any] = {
        "type": message.DESCRIPTOR.full_name,
        "payload": message.SerializeToString(),
    }
    content |= {"aggregate_id": ORDER, "version": 1, "traceparent": TRACE, "event_id": ids.uuid7()}
    return Event("topic", 0, 0, ORDER, time_ms=0, **(content | changed))


def placed(**changed: Any) -> orders_pb.OrderPlaced:
    deadline = Timestamp()
    deadline.FromDatetime(DEADLINE)
    content: dict[str, Any] = {
        "tenant_id": "t",
        "merchant_id": "m",
        "order_id": ORDER,
        "version": 1,
        "region_code": "ES",
        "lines": [
            orders_pb.PlacedLine(line_number=1, sku="B", quantity=2),
            orders_pb.PlacedLine(line_number=2, sku="A", quantity=1, hazardous=True),
            orders_pb.PlacedLine(line_number=3, sku="B", quantity=3),
        ],
        "hold_expire_time": deadline,
    }
    return orders_pb.OrderPlaced(**(content | changed))


def test_a_placed_order_asks_for_a_reservation() -> None:
    command = events.command_of(event(placed()))
    assert command == Reserve(
        order_id=ORDER,
        tenant_id="t",
        merchant_id="m",
        by_event=True,
        traceparent=TRACE,
        region_code="ES",
        lines=(Line("A", 1, True), Line("B", 5, False)),
        expire_time=DEADLINE,
    )


@pytest.mark.parametrize("changed", [{"lines": []}, {"hold_expire_time": None}])
def test_an_impossible_order_is_still_answered(changed: dict[str, Any]) -> None:
    command = events.command_of(event(placed(**changed)))
    assert isinstance(command, Reserve)
    assert not command.is_valid


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        (orders_pb.OrderConfirmed, Post),
        (orders_pb.OrderCancelled, Void),
        (orders_pb.OrderExpired, Void),
        (orders_pb.OrderCancellationRequested, Intercept),
        (orders_pb.OrderAwaitingPayment, None),
        (orders_pb.OrderProgressed, None),
        (orders_pb.OrderRejected, None),
    ],
)
def test_each_event_asks_for_its_command(kind: Callable[..., Message], command: type[Command] | None) -> None:
    found = events.command_of(event(kind(tenant_id="t", merchant_id="m", order_id=ORDER, version=2)))
    assert found == (
        command(order_id=ORDER, tenant_id="t", merchant_id="m", by_event=True, traceparent=TRACE)
        if command is not None
        else None
    )


def test_unknown_types_are_not_even_read() -> None:
    assert events.command_of(event(placed(), type="sampan.orders.v9.OrderSung", payload=b"\xff")) is None


@pytest.mark.parametrize("order_id", ["", "no uuid", ORDER.upper()])
def test_faulty_ids_raise(order_id: str) -> None:
    with pytest.raises(InvalidArgument):
        events.command_of(event(placed(order_id=order_id)))


def test_what_is_no_message_raises() -> None:
    with pytest.raises(DecodeError):
        events.command_of(event(placed(), payload=b"\xff\xff"))


def test_facts_and_stock_become_messages() -> None:
    head: dict[str, Any] = {"tenant_id": "t", "merchant_id": "m", "order_id": ORDER}
    reserved = StockReserved(
        **head,
        version=1,
        traceparent=TRACE,
        allocations=(Allocation("A", "w1", 2),),
        expire_time=DEADLINE,
        sourcing="in-country, one parcel, 2-4 days",
    )
    rejected = StockRejected(
        **head, version=2, reason=Rejection.STOCK_INSUFFICIENT, shortages=(Shortage("A", 3, 1),)
    )
    stock = SkuStock("t", "A", "m", {"w2": StockLevel("w2", 9, 4, 3), "w1": StockLevel("w1", 1, 0, 2)})
    first, second, third = events.messages_of([reserved, rejected], [stock])
    assert (first.topic, first.key, first.version, first.traceparent) == (
        "sampan.warehouse.fulfilments.v1",
        ORDER,
        1,
        TRACE,
    )
    told = pb.StockReserved.FromString(first.payload)
    assert told.expire_time.ToDatetime(tzinfo=UTC) == DEADLINE
    assert told.allocations[0] == hold_pb.Allocation(sku="A", warehouse_id="w1", quantity=2)
    assert pb.StockRejected.FromString(second.payload).reason == hold_pb.REJECTION_REASON_STOCK_INSUFFICIENT
    assert (third.topic, third.key, third.version) == ("sampan.warehouse.availability.v1", "t/A", 5)
    levels = pb.AvailabilitySnapshot.FromString(third.payload).levels
    assert [(level.warehouse_id, level.available) for level in levels] == [("w1", 1), ("w2", 5)]


def test_the_largest_order_split_over_sites_still_fits_an_event() -> None:
    """An event that Kafka refuses would be parked, and its order never decided."""
    sku, warehouses = "\U0001f6d2" * 60, [f"{'w' * 39}{site}" for site in range(4)]
    allocations = tuple(
        Allocation(f"{sku}{line:04}", warehouse_id, QUANTITY_MAX)
        for line in range(LINES_MAX)
        for warehouse_id in warehouses
    )
    shortages = tuple(Shortage(f"{sku}{line:04}", QUANTITY_MAX, QUANTITY_MAX) for line in range(LINES_MAX))
    head: dict[str, Any] = {"tenant_id": "t" * 40, "merchant_id": "m" * 40, "order_id": ORDER, "version": 1}
    sourcing = "partly in-country, 4 parcels, 2-40 days"
    reserved = StockReserved(**head, allocations=allocations, expire_time=DEADLINE, sourcing=sourcing)
    rejected = StockRejected(**head, reason=Rejection.STOCK_INSUFFICIENT, shortages=shortages)
    for message in events.messages_of([reserved, rejected], []):
        assert len(message.payload) <= PAYLOAD_BYTES_MAX
    told = pb.StockReserved.FromString(events.messages_of([reserved], [])[0].payload)
    assert len(told.allocations) + told.allocations_left_out == len(allocations)


def test_every_fact_has_its_event() -> None:
    # By their names: of a class with slots there are two, until the collector takes the one that was made without.
    assert {fact.__name__ for fact in events._EVENTS} == {fact.__name__ for fact in Fact.__subclasses__()}
