"""Warehouses, stock and parcels."""

from typing import Any

from sampan.warehouse.v1 import parcel_service_pb2 as parcel_pb
from sampan.warehouse.v1 import stock_service_pb2 as stock_pb
from sampan.warehouse.v1 import warehouse_service_pb2 as pb

from services.gateway.schemas.warehouse import (
    AdvanceParcel,
    LedgerEntry,
    Parcel,
    ParcelItem,
    ServedCountry,
    Stock,
    Warehouse,
)
from services.gateway.translate.values import Words, money_of, money_proto, time_of

KIND = Words(pb.WarehouseKind, "WAREHOUSE_KIND_")
LEDGER_REASON = Words(stock_pb.LedgerReason, "LEDGER_REASON_")
PARCEL_STATE = Words(parcel_pb.ParcelState, "PARCEL_STATE_")


def warehouse_of(message: pb.Warehouse) -> Warehouse:
    """A warehouse for the public."""
    return Warehouse(
        warehouse_id=message.warehouse_id,
        display_name=message.display_name,
        region_code=message.region_code,
        cell=message.cell,
        kind=KIND.word(message.kind),
        served_countries=[
            ServedCountry(
                region_code=country.region_code,
                transit_days_min=country.transit_days_min,
                transit_days_max=country.transit_days_max,
                cost=money_of(country.cost) if country.HasField("cost") else None,
            )
            for country in message.served_countries
        ],
        priority=message.priority,
        ships_hazards=message.ships_hazards,
        disabled=message.disabled,
        version=message.version,
        etag=message.etag,
        create_time=time_of(message, "create_time"),
        update_time=time_of(message, "update_time"),
    )


def warehouse_proto(warehouse: Warehouse) -> pb.Warehouse:
    """A warehouse for the service; what the service sets is left out."""
    return pb.Warehouse(
        warehouse_id=warehouse.warehouse_id,
        display_name=warehouse.display_name,
        region_code=warehouse.region_code,
        cell=warehouse.cell,
        kind=KIND.number(warehouse.kind),
        served_countries=[
            _country_proto(country, index) for index, country in enumerate(warehouse.served_countries)
        ],
        priority=warehouse.priority,
        ships_hazards=warehouse.ships_hazards,
        disabled=warehouse.disabled,
    )


def _country_proto(country: ServedCountry, index: int) -> pb.ServedCountry:
    optional: dict[str, Any] = {}
    if country.cost is not None:
        optional["cost"] = money_proto(country.cost, f"/served_countries/{index}/cost")
    return pb.ServedCountry(
        region_code=country.region_code,
        transit_days_min=country.transit_days_min,
        transit_days_max=country.transit_days_max,
        **optional,
    )


def stock_of(message: stock_pb.Stock) -> Stock:
    """A stock row for the public."""
    return Stock(
        message.sku,
        message.warehouse_id,
        message.merchant_id,
        message.on_hand,
        message.reserved,
        message.available,
        time_of(message, "update_time"),
    )


def ledger_entry_of(message: stock_pb.LedgerEntry) -> LedgerEntry:
    """A ledger entry for the public."""
    return LedgerEntry(
        message.entry_id,
        message.sku,
        message.warehouse_id,
        message.delta,
        LEDGER_REASON.word(message.reason),
        message.document,
        message.actor,
        time_of(message, "create_time"),
    )


def parcel_of(message: parcel_pb.Parcel) -> Parcel:
    """A parcel for the public."""
    return Parcel(
        message.parcel_id,
        message.order_id,
        message.merchant_id,
        message.warehouse_id,
        message.region_code,
        PARCEL_STATE.word(message.state),
        [ParcelItem(item.sku, item.quantity) for item in message.items],
        message.carrier,
        message.tracking_number,
        time_of(message, "create_time"),
        time_of(message, "pack_time"),
        time_of(message, "ship_time"),
        time_of(message, "deliver_time"),
    )


def advance_proto(asked: AdvanceParcel, tenant_id: str) -> parcel_pb.AdvanceParcelRequest:
    """One parcel's move for the service."""
    return parcel_pb.AdvanceParcelRequest(
        tenant_id=tenant_id,
        parcel_id=asked.parcel_id,
        state=PARCEL_STATE.number(asked.state),
        carrier=asked.carrier,
        tracking_number=asked.tracking_number,
    )
