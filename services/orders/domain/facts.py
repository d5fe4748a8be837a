"""What the warehouse tells about an order's stock and parcels, as values."""

from enum import StrEnum
from typing import NamedTuple, TypeAlias
from uuid import UUID

from services.orders.domain.order import Parcel, ParcelState


class Reserved(NamedTuple):
    """Every line is held."""

    order_id: UUID
    traceparent: str | None
    sourcing: str


class Refused(NamedTuple):
    """Nothing is held; `reason` is a stable word, `detail` says what was short."""

    order_id: UUID
    traceparent: str | None
    reason: str
    detail: str


class HoldEnded(NamedTuple):
    """The hold is over without having been posted; `expired` by its deadline, else voided."""

    order_id: UUID
    traceparent: str | None
    expired: bool


class ParcelsOpened(NamedTuple):
    """The hold is posted; (parcel_id, warehouse_id) of each parcel."""

    order_id: UUID
    traceparent: str | None
    parcels: tuple[tuple[UUID, str], ...]
    sourcing: str


class ParcelMoved(NamedTuple):
    """A parcel was packed, shipped or delivered."""

    order_id: UUID
    traceparent: str | None
    parcel_id: UUID
    state: ParcelState
    carrier: str
    tracking_number: str


class Intercepted(NamedTuple):
    """The order was intercepted; its goods are back in stock."""

    order_id: UUID
    traceparent: str | None


class NotIntercepted(NamedTuple):
    """It was too late to intercept the order."""

    order_id: UUID
    traceparent: str | None


class HoldStanding(StrEnum):
    """How a hold stands; the names are those of sampan.warehouse.v1.HoldState."""

    PENDING = "PENDING"
    POSTED = "POSTED"
    VOIDED = "VOIDED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"


class Reported(NamedTuple):
    """How the fulfilment stands, told to an order that has waited too long; `reason` and `detail` as in `Refused`."""

    order_id: UUID
    traceparent: str | None
    hold: HoldStanding
    sourcing: str
    reason: str
    detail: str
    parcels: tuple[Parcel, ...]


Fact: TypeAlias = (
    Reserved | Refused | HoldEnded | ParcelsOpened | ParcelMoved | Intercepted | NotIntercepted | Reported
)
