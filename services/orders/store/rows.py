"""Rows -> values, and the statements of this package."""

from collections.abc import Mapping
from typing import Any

import msgspec

from services.chassis.queries import load_queries
from services.orders.domain.order import Order, OrderView, Parcel, ParcelState
from services.orders.domain.payment import Payment, PaymentState
from services.orders.domain.placement import Address, PaymentTerms
from services.orders.domain.pricing import PricedLine
from services.orders.domain.states import OrderState

Row = Any
"""An asyncpg record: read by column name."""

_address_decoder = msgspec.json.Decoder(Address)
_encoder = msgspec.json.Encoder()


def queries() -> Mapping[str, str]:
    """The statements of queries.sql by name."""
    return load_queries("services.orders.store")


def order_of(row: Row) -> Order:
    """The changing part of an order."""
    return Order(
        row["order_id"],
        row["tenant_id"],
        row["merchant_id"],
        OrderState(row["state"]),
        row["version"],
        row["currency_code"],
        row["total_minor"],
        PaymentTerms(row["payment_terms"]),
        row["payment_expire_time"],
        PaymentState(row["payment_state"]),
        row["payment_id"],
        row["reason"],
        row["sourcing"],
        row["traceparent"],
        row["region_code"],
    )


def view_of(row: Row) -> OrderView:
    """An order as readers see it, still without lines and parcels."""
    return OrderView(
        order_of(row),
        row["buyer_ref"],
        _address_decoder.decode(row["ship_to"]),
        row["create_time"],
        row["update_time"],
    )


def line_of(row: Row) -> PricedLine:
    """A line; the columns after order_id are in the order of the fields."""
    return PricedLine(*tuple(row)[1:])


def parcel_of(row: Row) -> Parcel:
    """A parcel."""
    return Parcel(
        row["parcel_id"],
        row["warehouse_id"],
        ParcelState(row["state"]),
        row["carrier"],
        row["tracking_number"],
    )


def payment_of(row: Row) -> Payment:
    """A payment."""
    return Payment(
        row["payment_id"],
        row["order_id"],
        row["tenant_id"],
        row["provider"],
        PaymentState(row["state"]),
        row["amount_minor"],
        row["currency_code"],
        row["decline_code"],
    )


def address_json(address: Address) -> str:
    """An address as it is stored."""
    return _encoder.encode(address).decode()
