"""What orders listens to, by topic, and how each message becomes a value.

group orders.fulfilments    sampan.warehouse.fulfilments.v1    what became of an order's stock and parcels
group orders.catalog        sampan.catalog.products.v1         product snapshots, for the offers
"""

from collections.abc import Callable, Sequence
from uuid import UUID

from google.protobuf.message import DecodeError
from google.type.money_pb2 import Money
from sampan.catalog.v1 import events_pb2 as catalog_events
from sampan.catalog.v1 import product_service_pb2 as catalog_pb
from sampan.warehouse.v1 import events_pb2 as warehouse_events
from sampan.warehouse.v1 import parcel_service_pb2 as parcel_pb
from sampan.warehouse.v1 import reservation_service_pb2 as reservation_pb

from services.chassis.consumer import Event
from services.chassis.errors import EventMalformed, InvalidArgument
from services.chassis.pg import Connection
from services.chassis.rpc.money import from_proto
from services.orders import measures
from services.orders.commands import fulfilling
from services.orders.domain.facts import (
    Fact,
    HoldEnded,
    HoldStanding,
    Intercepted,
    NotIntercepted,
    ParcelMoved,
    ParcelsOpened,
    Refused,
    Reported,
    Reserved,
)
from services.orders.domain.order import Parcel, ParcelState
from services.orders.domain.pricing import Offer
from services.orders.store.offers import ProductOffers
from services.orders.wire import datetime_of

FULFILMENTS_GROUP = "orders.fulfilments"
FULFILMENTS_TOPIC = "sampan.warehouse.fulfilments.v1"
CATALOG_GROUP = "orders.catalog"
PRODUCTS_TOPIC = "sampan.catalog.products.v1"
SHORTAGES_SHOWN_MAX = 5

_UNKNOWN_TYPE = "event type unknown"
_PARCEL_STATES = {
    parcel_pb.PARCEL_STATE_PACKED: ParcelState.PACKED,
    parcel_pb.PARCEL_STATE_SHIPPED: ParcelState.SHIPPED,
    parcel_pb.PARCEL_STATE_DELIVERED: ParcelState.DELIVERED,
}


async def handle_fulfilments(connection: Connection, events: Sequence[Event]) -> None:
    """Applies what the warehouse says; a type that is newer than this code is counted and passed over."""
    facts: list[Fact] = []
    for event in events:
        parse = _FACTS.get(event.type)
        if parse is None:
            measures.IGNORED[_UNKNOWN_TYPE].inc()
            continue
        try:
            facts.append(parse(event))
        except (DecodeError, ValueError, KeyError) as error:
            raise EventMalformed(event.type, repr(error)) from error
    if facts:
        await fulfilling.apply_facts(connection, facts)


async def handle_products(connection: Connection, events: Sequence[Event]) -> None:
    """Takes over product snapshots."""
    products = []
    for event in events:
        if event.type != _PRODUCT_SNAPSHOT:
            measures.IGNORED[_UNKNOWN_TYPE].inc()
            continue
        try:
            products.append(_product(event))
        except (DecodeError, ValueError, InvalidArgument) as error:
            raise EventMalformed(event.type, repr(error)) from error
    if products:
        await fulfilling.apply_products(connection, products)


HANDLERS = {FULFILMENTS_GROUP: handle_fulfilments, CATALOG_GROUP: handle_products}


def _reserved(event: Event) -> Fact:
    message = warehouse_events.StockReserved.FromString(event.payload)
    return Reserved(UUID(message.order_id), event.traceparent, message.sourcing)


def _refused(event: Event) -> Fact:
    message = warehouse_events.StockRejected.FromString(event.payload)
    return Refused(UUID(message.order_id), event.traceparent, *_refusal(message))


def _refusal(
    message: warehouse_events.StockRejected | warehouse_events.FulfilmentReported,
) -> tuple[str, str]:
    """The reason as a stable word, and what was short."""
    reason = reservation_pb.RejectionReason.Name(message.reason).removeprefix("REJECTION_REASON_")
    shown = [
        f"{short.sku}: {short.available} of {short.requested}"
        for short in message.shortages[:SHORTAGES_SHOWN_MAX]
    ]
    return reason, "; ".join(shown)


def _hold_expired(event: Event) -> Fact:
    message = warehouse_events.HoldExpired.FromString(event.payload)
    return HoldEnded(UUID(message.order_id), event.traceparent, expired=True)


def _hold_voided(event: Event) -> Fact:
    message = warehouse_events.HoldVoided.FromString(event.payload)
    return HoldEnded(UUID(message.order_id), event.traceparent, expired=False)


def _parcels_opened(event: Event) -> Fact:
    message = warehouse_events.ParcelsAllocated.FromString(event.payload)
    parcels = tuple((UUID(parcel.parcel_id), parcel.warehouse_id) for parcel in message.parcels)
    return ParcelsOpened(UUID(message.order_id), event.traceparent, parcels, message.sourcing)


def _parcel_moved(event: Event) -> Fact:
    message = warehouse_events.ParcelAdvanced.FromString(event.payload)
    return ParcelMoved(
        UUID(message.order_id),
        event.traceparent,
        UUID(message.parcel_id),
        _PARCEL_STATES[message.state],
        message.carrier,
        message.tracking_number,
    )


def _intercepted(event: Event) -> Fact:
    message = warehouse_events.FulfilmentCancelled.FromString(event.payload)
    return Intercepted(UUID(message.order_id), event.traceparent)


def _not_intercepted(event: Event) -> Fact:
    message = warehouse_events.CancellationRefused.FromString(event.payload)
    return NotIntercepted(UUID(message.order_id), event.traceparent)


def _reported(event: Event) -> Fact:
    message = warehouse_events.FulfilmentReported.FromString(event.payload)
    reason, detail = _refusal(message)
    parcels = tuple(
        Parcel(
            UUID(parcel.parcel_id),
            parcel.warehouse_id,
            ParcelState(parcel_pb.ParcelState.Name(parcel.state).removeprefix("PARCEL_STATE_")),
            parcel.carrier,
            parcel.tracking_number,
        )
        for parcel in message.parcels
    )
    return Reported(
        UUID(message.order_id),
        event.traceparent,
        HoldStanding(reservation_pb.HoldState.Name(message.state).removeprefix("HOLD_STATE_")),
        message.sourcing,
        reason,
        detail,
        parcels,
    )


_FACTS: dict[str, Callable[[Event], Fact]] = {
    warehouse_events.StockReserved.DESCRIPTOR.full_name: _reserved,
    warehouse_events.StockRejected.DESCRIPTOR.full_name: _refused,
    warehouse_events.HoldExpired.DESCRIPTOR.full_name: _hold_expired,
    warehouse_events.HoldVoided.DESCRIPTOR.full_name: _hold_voided,
    warehouse_events.ParcelsAllocated.DESCRIPTOR.full_name: _parcels_opened,
    warehouse_events.ParcelAdvanced.DESCRIPTOR.full_name: _parcel_moved,
    warehouse_events.FulfilmentCancelled.DESCRIPTOR.full_name: _intercepted,
    warehouse_events.CancellationRefused.DESCRIPTOR.full_name: _not_intercepted,
    warehouse_events.FulfilmentReported.DESCRIPTOR.full_name: _reported,
}
CATCH_UP_TYPES = frozenset({warehouse_events.FulfilmentReported.DESCRIPTOR.full_name})
"""Events that tell all that those before them did: they may follow a gap."""
_PRODUCT_SNAPSHOT = catalog_events.ProductSnapshot.DESCRIPTOR.full_name


def _product(event: Event) -> ProductOffers:
    message = catalog_events.ProductSnapshot.FromString(event.payload)
    product = message.product
    titles = dict(product.titles)
    on_sale = product.status == catalog_pb.PRODUCT_STATUS_ACTIVE
    return ProductOffers(
        message.tenant_id,
        product.product_id,
        event.version,
        datetime_of(product.update_time, "update_time"),
        catalog_pb.ProductStatus.Name(product.status).removeprefix("PRODUCT_STATUS_"),
        {
            variant.sku: Offer(
                product.product_id,
                product.merchant_id,
                titles,
                _prices(variant.prices),
                product.hs_code,
                product.origin_region_code,
                variant.weight_grams,
                bool(variant.hazards),
                on_sale,
            )
            for variant in product.variants
        },
    )


def _prices(prices: Sequence[Money]) -> dict[str, int]:
    return {currency_code: minor for minor, currency_code in map(from_proto, prices)}
