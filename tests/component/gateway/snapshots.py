"""Snapshots as their owners publish them, to feed the gateway's read models with."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from google.type.money_pb2 import Money
from sampan.catalog.v1 import events_pb2
from sampan.catalog.v1 import product_service_pb2 as pb
from sampan.warehouse.v1 import events_pb2 as stock_events
from sampan.warehouse.v1 import warehouse_service_pb2

from services.chassis.envelope import Event
from services.gateway.wiring import AVAILABILITY_TOPIC, PRODUCTS_TOPIC, WAREHOUSES_TOPIC


def snapshot(topic: str, key: str, message: Any) -> Event:
    """A snapshot as its owner publishes it; None is a tombstone."""
    payload = message.SerializeToString() if message is not None else b""
    type_ = message.DESCRIPTOR.full_name if message is not None else "t"
    return Event(topic, 0, 0, key, type_, key, 1, payload, None, UUID(int=1), 0)


def product_event(tenant_id: str, product: pb.Product) -> Event:
    """A product's snapshot."""
    message = events_pb2.ProductSnapshot(tenant_id=tenant_id, product=product)
    return snapshot(PRODUCTS_TOPIC, f"{tenant_id}/{product.product_id}", message)


def stock_event(sku: str, version: int, **levels: int) -> Event:
    """A SKU's availability by warehouse."""
    message = stock_events.AvailabilitySnapshot(tenant_id="demo", sku=sku, version=version)
    for warehouse_id, available in levels.items():
        message.levels.add(warehouse_id=warehouse_id, available=available)
    return snapshot(AVAILABILITY_TOPIC, f"demo/{sku}", message)


def warehouse_event(warehouse_id: str, *countries: str, disabled: bool = False, version: int = 1) -> Event:
    """A warehouse that serves some countries."""
    warehouse = warehouse_service_pb2.Warehouse(warehouse_id=warehouse_id, disabled=disabled, version=version)
    for country in countries:
        warehouse.served_countries.add(
            region_code=country,
            transit_days_min=1,
            transit_days_max=4,
            cost=Money(currency_code="EUR", units=4),
        )
    message = stock_events.WarehouseSnapshot(tenant_id="demo", warehouse=warehouse)
    return snapshot(WAREHOUSES_TOPIC, f"demo/{warehouse_id}", message)
