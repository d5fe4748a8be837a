"""Parcels in the database. Their items are the allocations of their order and warehouse."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.chassis.pg import Connection
from services.chassis.queries import load_queries
from services.warehouse.domain.parcels import Advance, Parcel, ParcelItem, ParcelState
from services.warehouse.store.changes import lost_race
from services.warehouse.store.holds import find_allocations

PACKAGE = "services.warehouse"
NIL = str(UUID(int=0))

ParcelKey = tuple[str, str]


async def lock(
    connection: Connection, wishes: Sequence[Advance]
) -> tuple[dict[ParcelKey, Parcel], dict[str, int], datetime | None]:
    """Locks the orders of some parcels and reads both: parcels by (tenant_id, parcel_id), versions by order."""
    queries = load_queries(PACKAGE)
    keys = sorted({(wish.tenant_id, wish.parcel_id) for wish in wishes})
    columns = [tenant_id for tenant_id, _ in keys], [parcel_id for _, parcel_id in keys]
    owners = await connection.fetch(queries["find_orders_of_parcels"], *columns)
    order_ids = sorted({str(row["order_id"]) for row in owners})
    if not order_ids:
        return {}, {}, None
    versions = {
        str(order_id): version
        for order_id, version in await connection.fetch(queries["lock_versions"], order_ids)
    }
    rows = await connection.fetch(queries["find_parcels"], *columns)
    parcels = await _with_items(connection, rows)
    found = {(parcel.tenant_id, parcel.parcel_id): parcel for parcel in parcels}
    return found, versions, rows[0]["now"]


async def write(connection: Connection, parcels: Sequence[Parcel], versions: dict[str, int]) -> None:
    """Writes parcels that have moved, and the new versions of their fulfilments."""
    queries = load_queries(PACKAGE)
    status = await connection.execute(
        queries["update_parcels"],
        [parcel.tenant_id for parcel in parcels],
        [parcel.parcel_id for parcel in parcels],
        [parcel.state for parcel in parcels],
        [parcel.carrier for parcel in parcels],
        [parcel.tracking_number for parcel in parcels],
        [parcel.pack_time for parcel in parcels],
        [parcel.ship_time for parcel in parcels],
        [parcel.deliver_time for parcel in parcels],
    )
    if int(status.rpartition(" ")[2]) != len(parcels):
        raise lost_race("a parcel is gone")
    await connection.execute(queries["set_versions"], list(versions), list(versions.values()))


async def find(connection: Connection, tenant_id: str, parcel_id: str) -> Parcel | None:
    """One parcel."""
    rows = await connection.fetch(load_queries(PACKAGE)["find_parcels"], [tenant_id], [parcel_id])
    return (await _with_items(connection, rows))[0] if rows else None


async def list_after(
    connection: Connection,
    tenant_id: str,
    parcel_id: str,
    *,
    order_id: str,
    warehouse_id: str,
    state: str,
    rows_max: int,
) -> list[Parcel]:
    """A page of parcels in the order of their ids; an empty order, warehouse or state stands for all."""
    queries = load_queries(PACKAGE)
    after = parcel_id or NIL
    if order_id:
        rows = await connection.fetch(
            queries["list_parcels_of_order"], tenant_id, after, state, order_id, warehouse_id, rows_max
        )
    elif warehouse_id and state:
        rows = await connection.fetch(
            queries["list_parcels_of_warehouse_in_state"], tenant_id, warehouse_id, state, after, rows_max
        )
    elif warehouse_id:
        rows = await connection.fetch(
            queries["list_parcels_of_warehouse"], tenant_id, warehouse_id, after, rows_max
        )
    else:
        rows = await connection.fetch(queries["list_parcels"], tenant_id, after, state, rows_max)
    return await _with_items(connection, rows)


async def _with_items(connection: Connection, rows: Sequence[Any]) -> list[Parcel]:
    order_ids = sorted({str(row["order_id"]) for row in rows})
    allocations = await find_allocations(connection, order_ids) if order_ids else {}
    return [
        Parcel(
            parcel_id=str(row["parcel_id"]),
            tenant_id=row["tenant_id"],
            order_id=str(row["order_id"]),
            merchant_id=row["merchant_id"],
            warehouse_id=row["warehouse_id"],
            region_code=row["region_code"],
            state=ParcelState(row["state"]),
            items=tuple(
                [
                    ParcelItem(sku, quantity)
                    for sku, warehouse_id, quantity in allocations.get(str(row["order_id"]), ())
                    if warehouse_id == row["warehouse_id"]
                ]
            ),
            carrier=row["carrier"],
            tracking_number=row["tracking_number"],
            create_time=row["create_time"],
            pack_time=row["pack_time"],
            ship_time=row["ship_time"],
            deliver_time=row["deliver_time"],
        )
        for row in rows
    ]
