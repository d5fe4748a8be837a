"""Orders as values: what was placed, what changes afterwards, and what a change leaves behind."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from services.orders.domain.payment import PaymentState
from services.orders.domain.placement import Address, PaymentTerms
from services.orders.domain.pricing import PricedLine
from services.orders.domain.states import OrderState


class ParcelState(StrEnum):
    """Where a parcel stands, as the warehouse last said."""

    ALLOCATED = "ALLOCATED"
    PACKED = "PACKED"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"
    CANCELLED = "CANCELLED"


@dataclass(slots=True)
class Parcel:
    """A parcel of an order."""

    parcel_id: UUID
    warehouse_id: str
    state: ParcelState = ParcelState.ALLOCATED
    carrier: str = ""
    tracking_number: str = ""


@dataclass(slots=True)
class Order:
    """The part of an order that changes, and what deciding about it needs. Money in minor units.

    `traceparent` is the trace context of the request that placed it, kept where that is sampled; `region_code` is where
    it goes, for those who count.
    """

    order_id: UUID
    tenant_id: str
    merchant_id: str
    state: OrderState
    version: int
    currency_code: str
    total_minor: int
    payment_terms: PaymentTerms
    payment_expire_time: datetime | None
    payment_state: PaymentState = PaymentState.NONE
    payment_id: UUID | None = None
    reason: str = ""
    sourcing: str = ""
    traceparent: str | None = None
    region_code: str = ""

    @property
    def etag(self) -> str:
        """Changes with the version."""
        return etag_of(self.version)


def etag_of(version: int) -> str:
    """The etag of an order at this version."""
    return str(version)


@dataclass(slots=True)
class OrderView:
    """An order with everything that a reader is shown."""

    order: Order
    buyer_ref: str
    ship_to: Address
    create_time: datetime
    update_time: datetime
    lines: list[PricedLine] = field(default_factory=list)
    parcels: list[Parcel] = field(default_factory=list)


class Transition(NamedTuple):
    """One line of an order's history; `from_state` is None for the first."""

    order_id: UUID
    version: int
    from_state: OrderState | None
    to_state: OrderState
    cause: str
    detail: str


class HistoryEntry(NamedTuple):
    """A transition as read back, with its time."""

    version: int
    from_state: OrderState | None
    to_state: OrderState
    cause: str
    detail: str
    time: datetime
