"""Parcels: one per order and warehouse; its items are what was allocated there."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class ParcelState(StrEnum):
    """Where a parcel stands."""

    ALLOCATED = "ALLOCATED"
    PACKED = "PACKED"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"
    CANCELLED = "CANCELLED"


MOVES: Mapping[ParcelState, frozenset[ParcelState]] = {
    ParcelState.ALLOCATED: frozenset({ParcelState.PACKED, ParcelState.CANCELLED}),
    ParcelState.PACKED: frozenset({ParcelState.SHIPPED}),
    ParcelState.SHIPPED: frozenset({ParcelState.DELIVERED}),
    ParcelState.DELIVERED: frozenset(),
    ParcelState.CANCELLED: frozenset(),
}
"""The only moves that there are."""


class OpenedParcel(NamedTuple):
    """A parcel as its order's fulfilment knows it."""

    parcel_id: str
    warehouse_id: str
    state: ParcelState
    carrier: str = ""
    tracking_number: str = ""


class ParcelItem(NamedTuple):
    """Units of a SKU in a parcel."""

    sku: str
    quantity: int


@dataclass(slots=True)
class Parcel:
    """A parcel with everything that is known of it; times are None until they come."""

    parcel_id: str
    tenant_id: str
    order_id: str
    merchant_id: str
    warehouse_id: str
    region_code: str
    state: ParcelState
    items: tuple[ParcelItem, ...]
    carrier: str
    tracking_number: str
    create_time: datetime
    pack_time: datetime | None = None
    ship_time: datetime | None = None
    deliver_time: datetime | None = None


class Advance(NamedTuple):
    """The wish to move a parcel on; carrier and tracking number belong to SHIPPED and are empty else."""

    tenant_id: str
    parcel_id: str
    state: ParcelState
    carrier: str
    tracking_number: str


def advance(parcel: Parcel, wish: Advance, now: datetime) -> bool | None:
    """Moves the parcel: True where it moved, False where it stood there already, None where the move is illegal."""
    if parcel.state == wish.state:
        same = parcel.carrier == wish.carrier and parcel.tracking_number == wish.tracking_number
        return False if same or wish.state is not ParcelState.SHIPPED else None
    if wish.state not in MOVES[parcel.state]:
        return None
    parcel.state = wish.state
    if wish.state is ParcelState.PACKED:
        parcel.pack_time = now
    elif wish.state is ParcelState.SHIPPED:
        parcel.ship_time, parcel.carrier, parcel.tracking_number = now, wish.carrier, wish.tracking_number
    elif wish.state is ParcelState.DELIVERED:
        parcel.deliver_time = now
    return True
