"""Events that nobody can or should apply, of every kind, and who has to park each of them.

Passed over by design, without a trace but a counter: types that are newer than the code, and facts of the
warehouse about what is no order (holds can be made by other callers). Everything else that cannot be applied is
parked by each group that reads the topic. Topics without a group (availability, warehouses) are read by the
gateway only, which passes over what it cannot use.
"""

import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from google.protobuf.message import Message
from google.type.money_pb2 import Money
from sampan.catalog.v1 import events_pb2 as catalog_events
from sampan.catalog.v1 import product_service_pb2 as catalog_pb
from sampan.orders.v1 import events_pb2 as orders_events
from sampan.warehouse.v1 import events_pb2 as warehouse_events
from sampan.warehouse.v1 import parcel_service_pb2 as parcel_pb

from deploy.audit.topic_checks import FULFILMENTS_TOPIC, ORDERS_TOPIC, PRODUCTS_TOPIC, WAREHOUSES_TOPIC
from services.chassis import clock
from services.chassis.envelope import encode_headers

ORDERS = ORDERS_TOPIC
FULFILMENTS = FULFILMENTS_TOPIC
PRODUCTS = PRODUCTS_TOPIC
WAREHOUSES = WAREHOUSES_TOPIC
AVAILABILITY = "sampan.warehouse.availability.v1"

GROUPS: Mapping[str, tuple[str, ...]] = {
    ORDERS: ("warehouse.orders",),
    FULFILMENTS: ("orders.fulfilments",),
    PRODUCTS: ("orders.catalog",),
    AVAILABILITY: (),
    WAREHOUSES: (),
}
"""Who reads each topic with positions, and so has to park what it cannot apply."""

TYPES: Mapping[str, str] = {
    ORDERS: orders_events.OrderConfirmed.DESCRIPTOR.full_name,
    FULFILMENTS: warehouse_events.HoldExpired.DESCRIPTOR.full_name,
    PRODUCTS: catalog_events.ProductSnapshot.DESCRIPTOR.full_name,
    AVAILABILITY: warehouse_events.AvailabilitySnapshot.DESCRIPTOR.full_name,
    WAREHOUSES: warehouse_events.WarehouseSnapshot.DESCRIPTOR.full_name,
}
TRUNCATED = b"\x0a\x7fbroken off"
"""A field of 127 bytes of which ten are there."""

OVERSIZED_BYTES = 980_000
"""Just below what a broker takes by default: 1 MiB for a batch of records with its overhead."""

REFUSED_BYTES = 1_100_000
UNKNOWN_ENUM = 99
TENANT = "poison"
MARK = ("chaos-poison", b"1")
"""In the headers of each, so that nobody who copies records takes it for an event."""


@dataclass(slots=True)
class Poison:
    """One record, and the groups that have to park it."""

    kind: str
    aggregate_id: str
    groups: tuple[str, ...]
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]


@dataclass(slots=True)
class _Draft:
    """A record that is sound but for what it is about: nothing that exists."""

    topic: str
    aggregate_id: str
    type: str
    value: bytes | None = TRUNCATED
    key: bytes = b""
    replaced: dict[str, bytes | None] = field(default_factory=dict)
    """Headers that are other than they should be; None leaves one out."""
    is_parked: bool = True

    def finish(self, kind: str, version: int) -> Poison:
        """The record."""
        headers = encode_headers(
            b"/sampan/poison",
            event_id=uuid.uuid4(),
            type=self.type,
            aggregate_id=self.aggregate_id,
            version=version,
            time=clock.now_utc(),
            traceparent=None,
        )
        kept = [(name, self.replaced.get(name, value)) for name, value in headers]
        groups = GROUPS[self.topic] if self.is_parked else ()
        return Poison(
            kind,
            self.aggregate_id,
            groups,
            self.key or self.aggregate_id.encode(),
            self.value,
            [MARK, *((name, value) for name, value in kept if value is not None)],
        )


Spoil = Callable[[_Draft, random.Random], None]


def _nothing(draft: _Draft, rng: random.Random) -> None:
    """Truncated already."""


def _unknown_type(draft: _Draft, rng: random.Random) -> None:
    draft.type = "sampan.chaos.v1.NeverHeardOf"
    draft.is_parked = False


def _unknown_enum(draft: _Draft, rng: random.Random) -> None:
    message: Message
    if draft.topic == FULFILMENTS:
        message = warehouse_events.ParcelAdvanced(
            order_id=draft.aggregate_id,
            parcel_id=str(_uuid(rng)),
            state=cast(parcel_pb.ParcelState.ValueType, UNKNOWN_ENUM),
        )
    else:
        message = _product(draft)
        message.product.status = cast(catalog_pb.ProductStatus.ValueType, UNKNOWN_ENUM)
    draft.type = message.DESCRIPTOR.full_name
    draft.value = message.SerializeToString()


def _impossible_time(draft: _Draft, rng: random.Random) -> None:
    message = _product(draft)
    message.product.update_time.seconds = 2**62
    draft.value = message.SerializeToString()


def _oversized(draft: _Draft, rng: random.Random) -> None:
    draft.value = TRUNCATED + bytes(OVERSIZED_BYTES)


def _null_value(draft: _Draft, rng: random.Random) -> None:
    draft.value = None
    # In a compacted topic it is a tombstone of something that never was, for the gateway's read models.


def _wrong_key(draft: _Draft, rng: random.Random) -> None:
    draft.key = str(_uuid(rng)).encode()


def _key_not_utf8(draft: _Draft, rng: random.Random) -> None:
    draft.key = b"\xff\xfe" + rng.randbytes(8)


def _foreign_tenant(draft: _Draft, rng: random.Random) -> None:
    """A tenant that does not exist confirms an order that nobody placed."""
    message = orders_events.OrderConfirmed(tenant_id=TENANT, merchant_id=TENANT, order_id=draft.aggregate_id)
    draft.value = message.SerializeToString()


def _unknown_aggregate(draft: _Draft, rng: random.Random) -> None:
    """The warehouse tells of a hold that is no order's: others may make holds too."""
    message = warehouse_events.HoldExpired(tenant_id=TENANT, merchant_id=TENANT, order_id=draft.aggregate_id)
    draft.value = message.SerializeToString()
    draft.is_parked = False


def _without(name: str) -> Spoil:
    def spoil(draft: _Draft, rng: random.Random) -> None:
        draft.replaced[name] = None

    return spoil


def _with(name: str, value: bytes) -> Spoil:
    def spoil(draft: _Draft, rng: random.Random) -> None:
        draft.replaced[name] = value

    return spoil


def _no_headers(draft: _Draft, rng: random.Random) -> None:
    for name in ("specversion", "id", "type", "source", "time", "subject", "aggregateversion"):
        draft.replaced[f"ce_{name}"] = None


_VERSION = "ce_aggregateversion"
KINDS: Mapping[str, tuple[Spoil, tuple[str, ...]]] = {
    "truncated": (_nothing, tuple(GROUPS)),
    "oversized": (_oversized, tuple(GROUPS)),
    "null value": (_null_value, (ORDERS, FULFILMENTS, PRODUCTS)),
    "unknown type": (_unknown_type, tuple(GROUPS)),
    "unknown enum": (_unknown_enum, (FULFILMENTS, PRODUCTS)),
    "impossible time": (_impossible_time, (PRODUCTS,)),
    "foreign tenant": (_foreign_tenant, (ORDERS,)),
    "unknown aggregate": (_unknown_aggregate, (FULFILMENTS,)),
    "wrong key": (_wrong_key, tuple(GROUPS)),
    "key not UTF-8": (_key_not_utf8, tuple(GROUPS)),
    "no headers": (_no_headers, tuple(GROUPS)),
    "no version": (_without(_VERSION), tuple(GROUPS)),
    "no type": (_without("ce_type"), tuple(GROUPS)),
    "no subject": (_without("ce_subject"), tuple(GROUPS)),
    "version zero": (_with(_VERSION, b"0"), tuple(GROUPS)),
    "version negative": (_with(_VERSION, b"-7"), tuple(GROUPS)),
    "version no number": (_with(_VERSION, b"seven"), tuple(GROUPS)),
    "version too large": (_with(_VERSION, b"9" * 30), tuple(GROUPS)),
    "specversion": (_with("ce_specversion", b"9.9"), tuple(GROUPS)),
    "id no UUID": (_with("ce_id", b"seven"), tuple(GROUPS)),
}
"""Every kind, and the topics that it makes sense in."""


def kinds_of(topic: str) -> list[str]:
    """The kinds for a topic."""
    return [kind for kind, (_, topics) in KINDS.items() if topic in topics]


def poison(kind: str, topic: str, rng: random.Random) -> Poison:
    """One record of a kind, about something that does not exist."""
    number = _uuid(rng)
    aggregate_id = str(number) if topic in (ORDERS, FULFILMENTS) else f"{TENANT}/{number}"
    draft = _Draft(topic, aggregate_id, TYPES[topic])
    KINDS[kind][0](draft, rng)
    return draft.finish(kind, version=1)


def truncated_confirmation(order_id: str, version: int) -> Poison:
    """Stands in the place of a real order's next event."""
    return _Draft(ORDERS, order_id, TYPES[ORDERS]).finish("truncated, of an order", version)


def from_far_ahead(order_id: str, version: int) -> Poison:
    """Of an unknown type, which would be passed over, but with a version that the order never had."""
    return _Draft(ORDERS, order_id, "sampan.chaos.v1.NeverHeardOf").finish("far ahead, of an order", version)


def _product(draft: _Draft) -> catalog_events.ProductSnapshot:
    tenant_id, _, product_id = draft.aggregate_id.partition("/")
    variant = catalog_pb.Variant(sku=product_id, prices=[Money(currency_code="EUR", units=1)])
    product = catalog_pb.Product(
        product_id=product_id, merchant_id=TENANT, titles={"en": "Poison"}, variants=[variant], version=1
    )
    product.update_time.GetCurrentTime()
    return catalog_events.ProductSnapshot(tenant_id=tenant_id, product=product)


def _uuid(rng: random.Random) -> uuid.UUID:
    return uuid.UUID(int=rng.getrandbits(128), version=4)
