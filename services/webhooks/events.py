"""What webhooks listens to, by topic, and the message that becomes of each event. It tells Kafka nothing.

group webhooks.events    sampan.orders.orders.v1           order.*
                         sampan.warehouse.fulfilments.v1   order.reserved, parcel.*
                         sampan.catalog.products.v1        product.changed
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid5

from google.protobuf.message import DecodeError
from prometheus_client import Counter
from sampan.catalog.v1 import events_pb2 as catalog_events
from sampan.catalog.v1 import product_service_pb2 as catalog_pb
from sampan.orders.v1 import events_pb2 as order_events
from sampan.orders.v1 import order_service_pb2 as order_pb
from sampan.warehouse.v1 import events_pb2 as warehouse_events
from sampan.warehouse.v1 import parcel_service_pb2 as parcel_pb

from services.chassis import clock
from services.chassis.consumer import Event
from services.chassis.errors import EventMalformed
from services.chassis.pg import Connection
from services.chassis.rpc import times
from services.webhooks.commands import deliveries
from services.webhooks.domain.messages import Message, message

GROUP = "webhooks.events"
ORDERS_TOPIC = "sampan.orders.orders.v1"
FULFILMENTS_TOPIC = "sampan.warehouse.fulfilments.v1"
PRODUCTS_TOPIC = "sampan.catalog.products.v1"
TOPICS = (ORDERS_TOPIC, FULFILMENTS_TOPIC, PRODUCTS_TOPIC)
LINES_TOLD_MAX = 100
"""Of a placed order; there is a body for each endpoint, and receivers bound what they take."""

Data = dict[str, object]
_UNTOLD = Counter(
    "sampan_webhooks_events_untold_total", "Events of types that nobody is told of, or that are not known."
)


class Teller(NamedTuple):
    """How an event is told: the message in its payload, and what is made of that."""

    message_type: Any
    tell: Callable[[Event, Any], Iterable[Message]]


class Telling:
    """Makes the deliveries of events.

    `after_made` is called behind the commit of a batch that made some; once too often where an attempt was rolled back.
    """

    def __init__(self, after_made: Callable[[], None] = lambda: None) -> None:
        self._after_made = after_made
        self._has_made = False

    async def handle(self, connection: Connection, events: Sequence[Event]) -> None:
        """Passes over tenants without endpoints, and types that are for nobody outside or newer than this code."""
        told: list[tuple[Event, Any]] = []
        for event in events:
            teller = _TELLERS.get(event.type)
            if teller is None:
                _UNTOLD.inc()
                continue
            try:
                told.append((event, teller.message_type.FromString(event.payload)))
            except DecodeError as error:
                raise EventMalformed(event.type, repr(error)) from error
        tenant_ids = await deliveries.listening(connection, {whole.tenant_id for _, whole in told})
        messages = [
            message
            for event, whole in told
            if whole.tenant_id in tenant_ids
            for message in _told(event, whole)
        ]
        if messages and await deliveries.enqueue(connection, messages):
            self._has_made = True

    def after_commit(self) -> None:
        """Called after every batch."""
        if self._has_made:
            self._has_made = False
            self._after_made()


def _told(event: Event, whole: Any) -> Iterable[Message]:
    try:
        return list(_TELLERS[event.type].tell(event, whole))
    except (ValueError, KeyError) as error:
        raise EventMalformed(event.type, repr(error)) from error


def _message(event: Event, tenant_id: str, event_type: str, data: Data, part: str = "") -> Message:
    """A message of an event; of one that makes several, `part` tells them apart."""
    event_id = uuid5(event.event_id, part) if part else event.event_id
    return message(tenant_id, event_id, event_type, _time(event), data)


def _time(event: Event) -> datetime:
    return datetime.fromtimestamp(event.time_ms / 1_000, UTC)


def _word(name: str, prefix: str) -> str:
    """An enum's value as the API writes it."""
    return name.removeprefix(prefix).lower()


def _order_data(whole: Any) -> Data:
    """What every order event begins with."""
    return {
        "order_id": whole.order_id,
        "merchant_id": whole.merchant_id,
        "version": whole.version,
        "state": _word(order_pb.OrderState.Name(whole.state), "ORDER_STATE_"),
    }


def _order(message_type: Any, event_type: str, *fields: str) -> Teller:
    """Tells an order event with these fields of it."""

    def tell(event: Event, whole: Any) -> Iterable[Message]:
        data = _order_data(whole) | {field: getattr(whole, field) for field in fields}
        yield _message(event, whole.tenant_id, event_type, data)

    return Teller(message_type, tell)


def _placed(event: Event, placed: order_events.OrderPlaced) -> Iterable[Message]:
    data = _order_data(placed) | {
        "region_code": placed.region_code,
        "lines": [
            {"line_number": line.line_number, "sku": line.sku, "quantity": line.quantity}
            for line in placed.lines[:LINES_TOLD_MAX]
        ],
        "lines_left_out": max(0, len(placed.lines) - LINES_TOLD_MAX),
    }
    yield _message(event, placed.tenant_id, "order.placed", data)


def _reserved(event: Event, reserved: warehouse_events.StockReserved) -> Iterable[Message]:
    data: Data = {
        "order_id": reserved.order_id,
        "merchant_id": reserved.merchant_id,
        "expire_time": clock.rfc3339(times.from_proto(reserved.expire_time)),
    }
    yield _message(event, reserved.tenant_id, "order.reserved", data)


def _allocated(event: Event, allocated: warehouse_events.ParcelsAllocated) -> Iterable[Message]:
    for parcel in allocated.parcels:
        data: Data = {
            "parcel_id": parcel.parcel_id,
            "order_id": allocated.order_id,
            "merchant_id": allocated.merchant_id,
            "warehouse_id": parcel.warehouse_id,
            "state": "allocated",
        }
        yield _message(event, allocated.tenant_id, "parcel.allocated", data, parcel.parcel_id)


def _advanced(event: Event, advanced: warehouse_events.ParcelAdvanced) -> Iterable[Message]:
    state = _word(parcel_pb.ParcelState.Name(advanced.state), "PARCEL_STATE_")
    data: Data = {
        "parcel_id": advanced.parcel_id,
        "order_id": advanced.order_id,
        "merchant_id": advanced.merchant_id,
        "state": state,
        "carrier": advanced.carrier,
        "tracking_number": advanced.tracking_number,
    }
    yield _message(event, advanced.tenant_id, _ADVANCED[advanced.state], data)


def _product(event: Event, snapshot: catalog_events.ProductSnapshot) -> Iterable[Message]:
    product = snapshot.product
    data: Data = {
        "product_id": product.product_id,
        "merchant_id": product.merchant_id,
        "status": _word(catalog_pb.ProductStatus.Name(product.status), "PRODUCT_STATUS_"),
        "version": product.version,
    }
    yield _message(event, snapshot.tenant_id, "product.changed", data)


_ADVANCED = {
    parcel_pb.PARCEL_STATE_PACKED: "parcel.packed",
    parcel_pb.PARCEL_STATE_SHIPPED: "parcel.shipped",
    parcel_pb.PARCEL_STATE_DELIVERED: "parcel.delivered",
}
_TELLERS: dict[str, Teller] = {
    teller.message_type.DESCRIPTOR.full_name: teller
    for teller in (
        Teller(order_events.OrderPlaced, _placed),
        Teller(warehouse_events.StockReserved, _reserved),
        Teller(warehouse_events.ParcelsAllocated, _allocated),
        Teller(warehouse_events.ParcelAdvanced, _advanced),
        Teller(catalog_events.ProductSnapshot, _product),
        _order(order_events.OrderAwaitingPayment, "order.awaiting_payment"),
        _order(order_events.OrderConfirmed, "order.confirmed"),
        _order(order_events.OrderRejected, "order.rejected", "reason"),
        _order(order_events.OrderExpired, "order.expired"),
        _order(order_events.OrderCancellationRequested, "order.cancelling"),
        _order(order_events.OrderCancelled, "order.cancelled", "reason"),
        _order(order_events.OrderProgressed, "order.progressed", "cause"),
    )
}
