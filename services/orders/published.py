"""What orders tells.

topic      sampan.orders.orders.v1
owner      orders
key        order_id, which is the aggregate's id as well
retention  7 days
schema     the messages of sampan.orders.v1 events.proto, named by the header ce_type
version    the order's, from 1 without gaps: each change of an order is exactly one event
"""

from collections.abc import Callable, Iterable
from datetime import datetime

from google.protobuf.message import Message
from sampan.orders.v1 import events_pb2

from services.chassis.envelope import OutboxMessage
from services.chassis.kafka import TopicSpec
from services.chassis.rpc import times
from services.orders.domain.changes import EventName, OrderEvent, Reminder
from services.orders.domain.order import OrderView
from services.orders.domain.pricing import PricedLine
from services.orders.wire import state_number

SOURCE = "/sampan/orders"
ORDERS_TOPIC = "sampan.orders.orders.v1"

_ORDER_PLACED = events_pb2.OrderPlaced.DESCRIPTOR.full_name
_MESSAGES: dict[EventName, Callable[..., Message]] = {name: getattr(events_pb2, name) for name in EventName}
_DETAIL_FIELDS = {
    EventName.REJECTED: "reason",
    EventName.CANCELLED: "reason",
    EventName.PROGRESSED: "cause",
}
EVENT_TYPES: dict[str, tuple[str, ...]] = {
    ORDERS_TOPIC: (
        _ORDER_PLACED,
        *(make_message().DESCRIPTOR.full_name for make_message in _MESSAGES.values()),
    )
}
"""Every type that is sent, by topic."""


def topics(*, partitions: int, replication: int) -> list[TopicSpec]:
    """The topics that orders owns."""
    return [TopicSpec.events(ORDERS_TOPIC, partitions, replication)]


def order_placed(view: OrderView, *, hold_expire_time: datetime, traceparent: str | None) -> OutboxMessage:
    """The event of a placement; the destination's country is all that it says of the buyer."""
    order = view.order
    order_id = str(order.order_id)
    payload = events_pb2.OrderPlaced(
        tenant_id=order.tenant_id,
        merchant_id=order.merchant_id,
        order_id=order_id,
        version=order.version,
        state=state_number(order.state),
        region_code=view.ship_to.region_code,
        lines=_lines(view.lines),
        hold_expire_time=times.to_proto(hold_expire_time),
    ).SerializeToString()
    return OutboxMessage(
        topic=ORDERS_TOPIC,
        key=order_id,
        aggregate_id=order_id,
        version=order.version,
        type=_ORDER_PLACED,
        payload=payload,
        traceparent=traceparent,
        time=view.create_time,
    )


def order_events(events: Iterable[OrderEvent]) -> list[OutboxMessage]:
    """The events of later changes, in their order."""
    return [_message(event) for event in events]


def _lines(lines: Iterable[PricedLine]) -> list[events_pb2.PlacedLine]:
    return [
        events_pb2.PlacedLine(
            line_number=line.line_number,
            sku=line.sku,
            quantity=line.quantity,
            weight_grams=line.weight_grams,
            hazardous=line.hazardous,
        )
        for line in lines
    ]


def _reminding(reminder: Reminder) -> dict[str, object]:
    """The fields of OrderStalled beyond the head."""
    return {
        "region_code": reminder.region_code,
        "lines": _lines(reminder.lines),
        "hold_expire_time": times.to_proto(reminder.hold_expire_time),
    }


def _message(event: OrderEvent) -> OutboxMessage:
    order_id = str(event.order_id)
    detail_field = _DETAIL_FIELDS.get(event.name)
    payload = _MESSAGES[event.name](
        tenant_id=event.tenant_id,
        merchant_id=event.merchant_id,
        order_id=order_id,
        version=event.version,
        state=state_number(event.state),
        **({detail_field: event.detail} if detail_field else {}),
        **(_reminding(event.reminder) if event.reminder is not None else {}),
    )
    return OutboxMessage(
        topic=ORDERS_TOPIC,
        key=order_id,
        aggregate_id=order_id,
        version=event.version,
        type=f"sampan.orders.v1.{event.name}",
        payload=payload.SerializeToString(),
        traceparent=event.traceparent,
    )
