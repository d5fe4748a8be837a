"""Fulfilments in the database, one or a few at a time; batches are decided on `store.working_set`."""

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.chassis.pg import Connection
from services.chassis.queries import load_queries
from services.warehouse.domain.holds import Fulfilment, HoldState, Line
from services.warehouse.domain.sourcing import Rejection, Shortage
from services.warehouse.domain.stock import Allocation

PACKAGE = "services.warehouse"


async def lock_overdue(connection: Connection, holds_max: int) -> list[tuple[str, str]]:
    """Order and tenant of pending holds whose deadline has passed, locked; those locked elsewhere are left out."""
    rows = await connection.fetch(load_queries(PACKAGE)["lock_overdue_holds"], holds_max)
    return [(str(row["order_id"]), row["tenant_id"]) for row in rows]


async def measure_overdue(connection: Connection, holds_max: int) -> tuple[int, float]:
    """How many there are, counted up to a bound, and by how many seconds the oldest is late."""
    row = await connection.fetchrow(load_queries(PACKAGE)["measure_overdue_holds"], holds_max)
    return row["holds"], row["oldest_s"]


async def read_clock(connection: Connection) -> datetime:
    """The database's clock."""
    now: datetime = await connection.fetchval(load_queries(PACKAGE)["read_clock"])
    return now


async def extend(connection: Connection, tenant_id: str, order_id: str, expire_time: datetime) -> bool:
    """Moves a pending hold's deadline later; False where there is no such hold, or none that it can be moved of."""
    extended = await connection.fetchval(
        load_queries(PACKAGE)["extend_hold"], order_id, tenant_id, expire_time
    )
    return extended is not None


async def find(connection: Connection, tenant_id: str, order_id: str) -> Fulfilment | None:
    """One fulfilment with its allocations, unlocked."""
    row = await connection.fetchrow(load_queries(PACKAGE)["find_fulfilment"], order_id, tenant_id)
    if row is None:
        return None
    fulfilment = fulfilment_of(row)
    allocations = await find_allocations(connection, [order_id])
    fulfilment.allocations = allocations.get(order_id, ())
    return fulfilment


async def find_allocations(
    connection: Connection, order_ids: Sequence[str]
) -> dict[str, tuple[Allocation, ...]]:
    """Where the units of each order come from, in the order of SKU and warehouse."""
    found: dict[str, list[Allocation]] = defaultdict(list)
    for order_id, sku, warehouse_id, quantity in await connection.fetch(
        load_queries(PACKAGE)["find_allocations"], order_ids
    ):
        found[str(order_id)].append(Allocation(sku, warehouse_id, quantity))
    return {order_id: tuple(allocations) for order_id, allocations in found.items()}


def fulfilment_of(row: Any) -> Fulfilment:
    """The value of a row, without allocations and parcels."""
    return Fulfilment(
        order_id=str(row["order_id"]),
        tenant_id=row["tenant_id"],
        merchant_id=row["merchant_id"],
        state=HoldState(row["hold_state"]),
        version=row["version"],
        region_code=row["region_code"],
        expire_time=row["expire_time"],
        lines=tuple([Line(*line) for line in json.loads(row["lines"])]),
        sourcing=row["sourcing"],
        rejection=Rejection(row["rejection"]) if row["rejection"] else None,
        shortages=tuple([Shortage(*short) for short in json.loads(row["shortages"] or "[]")]),
    )
