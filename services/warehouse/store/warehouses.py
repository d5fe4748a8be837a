"""Warehouses in the database."""

import json
from typing import Any

from services.chassis.pg import Connection
from services.chassis.queries import load_queries
from services.warehouse.domain.warehouses import ServedCountry, Warehouse, WarehouseContent, WarehouseKind

PACKAGE = "services.warehouse"


async def insert(connection: Connection, tenant_id: str, content: WarehouseContent) -> Warehouse | None:
    """Adds a warehouse; None where the id is taken."""
    row = await connection.fetchrow(
        load_queries(PACKAGE)["insert_warehouse"], tenant_id, content.warehouse_id, *_columns(content)
    )
    return warehouse_of(row) if row is not None else None


async def update(connection: Connection, tenant_id: str, content: WarehouseContent) -> Warehouse:
    """Replaces the content of a warehouse that is locked."""
    row = await connection.fetchrow(
        load_queries(PACKAGE)["update_warehouse"], tenant_id, content.warehouse_id, *_columns(content)
    )
    return warehouse_of(row)


async def find(
    connection: Connection, tenant_id: str, warehouse_id: str, *, lock: bool = False
) -> Warehouse | None:
    """One warehouse, locked if wanted."""
    query = load_queries(PACKAGE)["lock_warehouse" if lock else "find_warehouse"]
    row = await connection.fetchrow(query, tenant_id, warehouse_id)
    return warehouse_of(row) if row is not None else None


async def list_after(
    connection: Connection, tenant_id: str, warehouse_id: str, rows_max: int
) -> list[Warehouse]:
    """A page of warehouses, in the order of their ids."""
    rows = await connection.fetch(load_queries(PACKAGE)["list_warehouses"], tenant_id, warehouse_id, rows_max)
    return [warehouse_of(row) for row in rows]


async def lock_after(
    connection: Connection, tenant_id: str, warehouse_id: str, rows_max: int
) -> list[Warehouse]:
    """A page of the warehouses of all tenants, in the order of tenants and ids; locked."""
    query = load_queries(PACKAGE)["lock_warehouse_page"]
    return [warehouse_of(row) for row in await connection.fetch(query, tenant_id, warehouse_id, rows_max)]


def warehouse_of(row: Any) -> Warehouse:
    """The value of a row."""
    return Warehouse(
        row["tenant_id"], content_of(row), row["version"], row["create_time"], row["update_time"]
    )


def content_of(row: Any) -> WarehouseContent:
    """What an operator stated, of a row."""
    return WarehouseContent(
        row["warehouse_id"],
        row["display_name"],
        row["region_code"],
        row["cell"],
        WarehouseKind(row["kind"]),
        tuple([ServedCountry(*served) for served in json.loads(row["served_countries"])]),
        row["priority"],
        row["ships_hazards"],
        row["disabled"],
    )


def _columns(content: WarehouseContent) -> tuple[object, ...]:
    served = [
        [
            country.region_code,
            country.transit_days_min,
            country.transit_days_max,
            country.cost_minor,
            country.currency_code,
        ]
        for country in content.served_countries
    ]
    return (
        content.display_name,
        content.region_code,
        content.cell,
        content.kind,
        json.dumps(served),
        content.priority,
        content.ships_hazards,
        content.disabled,
    )
