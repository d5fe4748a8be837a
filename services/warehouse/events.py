"""What the warehouse hears and says.

hears  sampan.orders.orders.v1             group warehouse.orders: what to do for an order
says   sampan.warehouse.fulfilments.v1     key order_id, kept 7 days: what became of an order's goods
       sampan.warehouse.availability.v1    key tenant_id/sku, compacted: what can be promised
       sampan.warehouse.warehouses.v1      key tenant_id/warehouse_id, compacted: the warehouses
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from google.protobuf.message import Message
from sampan.orders.v1 import events_pb2 as orders_pb
from sampan.orders.v1 import order_service_pb2 as order_pb
from sampan.warehouse.v1 import events_pb2 as pb

from services.chassis import trace
from services.chassis.consumer import Event
from services.chassis.envelope import OutboxMessage
from services.chassis.errors import FieldInvalid, FieldRequired
from services.chassis.kafka import TopicSpec
from services.chassis.pg import Connection
from services.chassis.rpc import times
from services.chassis.snapshots import Page
from services.warehouse import wire
from services.warehouse.domain.decision import Changes
from services.warehouse.domain.holds import (
    CancellationRefused,
    Command,
    Fact,
    FulfilmentCancelled,
    FulfilmentReported,
    HoldExpired,
    HoldVoided,
    Intercept,
    ParcelAdvanced,
    ParcelsAllocated,
    Post,
    Remind,
    Reserve,
    StockRejected,
    StockReserved,
    Void,
    Wanted,
    merge_lines,
)
from services.warehouse.domain.stock import SkuStock
from services.warehouse.domain.warehouses import Warehouse
from services.warehouse.store import warehouses as warehouse_store
from services.warehouse.store import working_set

SOURCE = "/sampan/warehouse"
GROUP = "warehouse.orders"
ORDERS_TOPIC = "sampan.orders.orders.v1"
FULFILMENTS_TOPIC = "sampan.warehouse.fulfilments.v1"
AVAILABILITY_TOPIC = "sampan.warehouse.availability.v1"
WAREHOUSES_TOPIC = "sampan.warehouse.warehouses.v1"
SNAPSHOT_TOPICS = (AVAILABILITY_TOPIC, WAREHOUSES_TOPIC)
ALLOCATIONS_TOLD_MAX = 2_000
"""Of the longest names some 620 KB: more could make an event that Kafka refuses, and an order that is never decided."""

_AVAILABILITY_SNAPSHOT = pb.AvailabilitySnapshot.DESCRIPTOR.full_name
_WAREHOUSE_SNAPSHOT = pb.WarehouseSnapshot.DESCRIPTOR.full_name

CATCH_UP_TYPES = frozenset({orders_pb.OrderStalled.DESCRIPTOR.full_name})
"""Events that ask for all that those before them asked for: they may follow a gap."""

_CANONICAL_UUID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Apply = Callable[[Connection, Sequence[Command]], Awaitable[Changes]]
"""`commands.holds.Holds.apply`."""


def topics(*, partitions: int, replication: int) -> list[TopicSpec]:
    """The topics that the warehouse owns."""
    return [
        TopicSpec.events(FULFILMENTS_TOPIC, partitions, replication),
        *(TopicSpec.snapshots(topic, partitions, replication) for topic in SNAPSHOT_TOPICS),
    ]


def handler(apply: Apply) -> Callable[[Connection, Sequence[Event]], Awaitable[None]]:
    """Applies order events as commands. An event that cannot be applied raises, and is parked by the consumer."""

    async def handle(connection: Connection, events: Sequence[Event]) -> None:
        commands = [command for event in events if (command := command_of(event)) is not None]
        if not commands:
            return
        changes = await apply(connection, commands)
        for outcome in changes.outcomes:
            if outcome.error is not None:
                raise outcome.error

    return handle


def command_of(event: Event) -> Command | None:
    """What an order event asks for; None for one that asks nothing of the warehouse. A faulty one raises."""
    read = _COMMANDS.get(event.type)
    if read is None:
        return None
    command = read(event)
    if not _CANONICAL_UUID.fullmatch(command.order_id):
        # Another spelling of an id would be a new order here and a known one in the database.
        raise FieldInvalid("order_id", "a UUID in lower case")
    if not command.tenant_id:
        raise FieldRequired("tenant_id")
    return command


def _reserve(event: Event) -> Reserve:
    placed = orders_pb.OrderPlaced.FromString(event.payload)
    lines, is_valid = merge_lines([(line.sku, line.quantity, line.hazardous) for line in placed.lines])
    deadline = placed.hold_expire_time
    return Reserve(
        order_id=placed.order_id,
        tenant_id=placed.tenant_id,
        merchant_id=placed.merchant_id,
        by_event=True,
        traceparent=event.traceparent,
        region_code=placed.region_code,
        lines=lines,
        expire_time=times.from_proto(deadline),
        is_valid=is_valid and deadline.seconds > 0,
    )


def _remind(event: Event) -> Remind:
    """OrderStalled has the fields of OrderPlaced; the order's state tells what it waits for."""
    stalled = orders_pb.OrderStalled.FromString(event.payload)
    wanted = _WANTED.get(stalled.state)
    if wanted is None:
        raise FieldInvalid("state", "one in which an order waits for the warehouse")
    lines, is_valid = merge_lines([(line.sku, line.quantity, line.hazardous) for line in stalled.lines])
    return Remind(
        order_id=stalled.order_id,
        tenant_id=stalled.tenant_id,
        merchant_id=stalled.merchant_id,
        by_event=True,
        traceparent=event.traceparent,
        region_code=stalled.region_code,
        lines=lines,
        expire_time=times.from_proto(stalled.hold_expire_time),
        is_valid=is_valid and stalled.hold_expire_time.seconds > 0,
        wanted=wanted,
    )


def _reader(kind: type[Command]) -> Callable[[Event], Command]:
    def read(event: Event) -> Command:
        head = orders_pb.OrderEventHead.FromString(event.payload)
        return kind(
            order_id=head.order_id,
            tenant_id=head.tenant_id,
            merchant_id=head.merchant_id,
            by_event=True,
            traceparent=event.traceparent,
        )

    return read


_WANTED = {
    order_pb.ORDER_STATE_PENDING: Wanted.DECISION,
    order_pb.ORDER_STATE_CONFIRMED: Wanted.PARCELS,
    order_pb.ORDER_STATE_CANCELLING: Wanted.INTERCEPTION,
}
_COMMANDS: dict[str, Callable[[Event], Command]] = {
    "sampan.orders.v1.OrderPlaced": _reserve,
    "sampan.orders.v1.OrderConfirmed": _reader(Post),
    "sampan.orders.v1.OrderCancelled": _reader(Void),
    "sampan.orders.v1.OrderExpired": _reader(Void),
    "sampan.orders.v1.OrderCancellationRequested": _reader(Intercept),
    "sampan.orders.v1.OrderStalled": _remind,
}


def messages_of(facts: Iterable[Fact], changed_stock: Iterable[SkuStock]) -> list[OutboxMessage]:
    """The events that tell facts, and one snapshot per SKU whose stock changed."""
    messages = [_message_of(fact) for fact in facts]
    messages += [_availability(stock) for stock in changed_stock]
    return messages


def warehouse_message(warehouse: Warehouse) -> OutboxMessage:
    """The snapshot of a warehouse."""
    key = f"{warehouse.tenant_id}/{warehouse.content.warehouse_id}"
    snapshot = pb.WarehouseSnapshot(
        tenant_id=warehouse.tenant_id, warehouse=wire.warehouse_message(warehouse)
    )
    return OutboxMessage(
        WAREHOUSES_TOPIC,
        key,
        key,
        warehouse.version,
        _WAREHOUSE_SNAPSHOT,
        snapshot.SerializeToString(),
        trace.current_traceparent(),
    )


def _availability(stock: SkuStock) -> OutboxMessage:
    key = f"{stock.tenant_id}/{stock.sku}"
    version = stock.version
    snapshot = pb.AvailabilitySnapshot(tenant_id=stock.tenant_id, sku=stock.sku, version=version)
    for warehouse_id in sorted(stock.levels):
        snapshot.levels.add(warehouse_id=warehouse_id, available=stock.levels[warehouse_id].available)
    return OutboxMessage(
        AVAILABILITY_TOPIC, key, key, version, _AVAILABILITY_SNAPSHOT, snapshot.SerializeToString()
    )


def _message_of(fact: Fact) -> OutboxMessage:
    message_type, type_name, fill = _EVENTS[type(fact)]
    message = message_type(
        tenant_id=fact.tenant_id, merchant_id=fact.merchant_id, order_id=fact.order_id, version=fact.version
    )
    if fill is not None:
        fill(fact, message)
    return OutboxMessage(
        FULFILMENTS_TOPIC,
        fact.order_id,
        fact.order_id,
        fact.version,
        type_name,
        message.SerializeToString(),
        fact.traceparent,
    )


def _fill_reserved(fact: StockReserved, message: pb.StockReserved) -> None:
    for sku, warehouse_id, quantity in fact.allocations[:ALLOCATIONS_TOLD_MAX]:
        message.allocations.add(sku=sku, warehouse_id=warehouse_id, quantity=quantity)
    message.allocations_left_out = max(0, len(fact.allocations) - ALLOCATIONS_TOLD_MAX)
    times.write(message.expire_time, fact.expire_time)
    message.sourcing = fact.sourcing


def _fill_rejected(fact: StockRejected, message: pb.StockRejected) -> None:
    message.reason = wire.REJECTIONS[fact.reason]
    for sku, requested, available in fact.shortages:
        message.shortages.add(sku=sku, requested=requested, available=available)


def _fill_allocated(fact: ParcelsAllocated, message: pb.ParcelsAllocated) -> None:
    for parcel in fact.parcels:
        message.parcels.add(parcel_id=parcel.parcel_id, warehouse_id=parcel.warehouse_id)
    message.sourcing = fact.sourcing


def _fill_advanced(fact: ParcelAdvanced, message: pb.ParcelAdvanced) -> None:
    message.parcel_id = fact.parcel_id
    message.state = wire.PARCEL_STATES[fact.state]
    message.carrier = fact.carrier
    message.tracking_number = fact.tracking_number


def _fill_reported(fact: FulfilmentReported, message: pb.FulfilmentReported) -> None:
    message.state = wire.HOLD_STATES[fact.state]
    message.sourcing = fact.sourcing
    if fact.reason is not None:
        message.reason = wire.REJECTIONS[fact.reason]
    for sku, requested, available in fact.shortages:
        message.shortages.add(sku=sku, requested=requested, available=available)
    for parcel in fact.parcels:
        message.parcels.add(
            parcel_id=parcel.parcel_id,
            warehouse_id=parcel.warehouse_id,
            state=wire.PARCEL_STATES[parcel.state],
            carrier=parcel.carrier,
            tracking_number=parcel.tracking_number,
        )


_EVENTS: dict[type[Fact], tuple[Callable[..., Message], str, Callable[..., None] | None]] = {
    StockReserved: (pb.StockReserved, pb.StockReserved.DESCRIPTOR.full_name, _fill_reserved),
    StockRejected: (pb.StockRejected, pb.StockRejected.DESCRIPTOR.full_name, _fill_rejected),
    HoldExpired: (pb.HoldExpired, pb.HoldExpired.DESCRIPTOR.full_name, None),
    HoldVoided: (pb.HoldVoided, pb.HoldVoided.DESCRIPTOR.full_name, None),
    ParcelsAllocated: (pb.ParcelsAllocated, pb.ParcelsAllocated.DESCRIPTOR.full_name, _fill_allocated),
    ParcelAdvanced: (pb.ParcelAdvanced, pb.ParcelAdvanced.DESCRIPTOR.full_name, _fill_advanced),
    FulfilmentCancelled: (pb.FulfilmentCancelled, pb.FulfilmentCancelled.DESCRIPTOR.full_name, None),
    CancellationRefused: (pb.CancellationRefused, pb.CancellationRefused.DESCRIPTOR.full_name, None),
    FulfilmentReported: (pb.FulfilmentReported, pb.FulfilmentReported.DESCRIPTOR.full_name, _fill_reported),
}

EVENT_TYPES: dict[str, tuple[str, ...]] = {
    FULFILMENTS_TOPIC: tuple(type_name for _, type_name, _ in _EVENTS.values()),
    AVAILABILITY_TOPIC: (_AVAILABILITY_SNAPSHOT,),
    WAREHOUSES_TOPIC: (_WAREHOUSE_SNAPSHOT,),
}
"""Every type that is sent, by topic."""


async def _stock_page(connection: Connection, after: str, limit: int) -> list[OutboxMessage]:
    tenant_id, _, sku = after.partition("/")
    return [
        _availability(stock)
        for stock in await working_set.lock_stock_after(connection, tenant_id, sku, limit)
    ]


async def _warehouse_page(connection: Connection, after: str, limit: int) -> list[OutboxMessage]:
    tenant_id, _, warehouse_id = after.partition("/")
    found = await warehouse_store.lock_after(connection, tenant_id, warehouse_id, limit)
    return [warehouse_message(warehouse) for warehouse in found]


SNAPSHOTS: Mapping[str, Page] = {AVAILABILITY_TOPIC: _stock_page, WAREHOUSES_TOPIC: _warehouse_page}
"""What can be told anew."""
