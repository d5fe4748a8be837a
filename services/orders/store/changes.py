"""Locks orders and writes what was decided about them, whole batches in a few statements."""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from services.chassis.errors import Aborted
from services.chassis.pg import Connection
from services.orders.domain.changes import Changes, TimerKind
from services.orders.domain.order import Order, Parcel
from services.orders.store.rows import order_of, parcel_of, queries


class ChangedMeanwhile(Aborted):
    """A row is not what was decided upon, although it should have been locked: a fault of ours."""

    def __init__(self, what: str) -> None:
        super().__init__("CHANGED_MEANWHILE", f"{what} changed while being decided upon")


async def lock_orders(connection: Connection, order_ids: Collection[UUID]) -> dict[UUID, Order]:
    """Locks the orders in the order of their ids; those that do not exist are left out."""
    rows = await connection.fetch(queries()["lock_orders"], list(order_ids))
    return {row["order_id"]: order_of(row) for row in rows}


async def lock_order(connection: Connection, tenant_id: str, order_id: UUID) -> tuple[Order, datetime] | None:
    """Locks one order of a tenant; with the database's time."""
    row = await connection.fetchrow(queries()["lock_order"], tenant_id, order_id)
    return None if row is None else (order_of(row), row["db_time"])


async def load_parcels(connection: Connection, order_ids: Collection[UUID]) -> dict[UUID, list[Parcel]]:
    """The parcels of the orders, by order; the order's lock covers them."""
    parcels: defaultdict[UUID, list[Parcel]] = defaultdict(list)
    for row in await connection.fetch(queries()["select_parcels"], list(order_ids)):
        parcels[row["order_id"]].append(parcel_of(row))
    return parcels


async def lock_due_deadlines(connection: Connection, limit: int) -> list[UUID]:
    """Orders whose payment deadline has passed, locked; those that somebody else holds are left out."""
    return [row["subject_id"] for row in await connection.fetch(queries()["lock_due_deadlines"], limit)]


async def delete_deadlines(connection: Connection, order_ids: Collection[UUID]) -> None:
    """Forgets the payment deadlines of the orders."""
    if order_ids:
        await connection.execute(queries()["delete_timers"], TimerKind.PAYMENT_DEADLINE, list(order_ids))


async def save(connection: Connection, changes: Changes) -> None:
    """Writes everything but the events, which the caller appends to the outbox."""
    await _update_orders(connection, changes)
    if changes.parcels:
        parcels = list(changes.parcels.values())
        await connection.execute(
            queries()["upsert_parcels"],
            [order_id for order_id, _ in parcels],
            [parcel.parcel_id for _, parcel in parcels],
            [parcel.warehouse_id for _, parcel in parcels],
            [parcel.state for _, parcel in parcels],
            [parcel.carrier for _, parcel in parcels],
            [parcel.tracking_number for _, parcel in parcels],
        )
    if changes.new_payments:
        columns = [list(column) for column in zip(*changes.new_payments, strict=True)]
        await connection.execute(queries()["insert_payments"], *columns)
    for move in changes.payment_moves:
        # One statement per step: several steps of one payment may follow each other in a batch.
        status = await connection.execute(queries()["update_payments"], *([value] for value in move))
        if status != "UPDATE 1":
            raise ChangedMeanwhile("a payment")
    await delete_deadlines(connection, changes.deadlines_over)
    timers = {
        (timer.kind, timer.subject_id): timer
        for timer in changes.timers
        if timer.subject_id not in changes.deadlines_over
    }
    if timers:
        columns = [list(column) for column in zip(*timers.values(), strict=True)]
        await connection.execute(queries()["insert_timers"], *columns)


async def _update_orders(connection: Connection, changes: Changes) -> None:
    if not changes.orders:
        return
    orders = list(changes.orders.values())
    status = await connection.execute(
        queries()["update_orders"],
        [order.order_id for order in orders],
        [changes.versions_before[order.order_id] for order in orders],
        [order.version for order in orders],
        [order.state for order in orders],
        [order.payment_state for order in orders],
        [order.payment_id for order in orders],
        [order.reason for order in orders],
        [order.sourcing for order in orders],
    )
    if status != f"UPDATE {len(orders)}":
        raise ChangedMeanwhile("an order")
    columns = [list(column) for column in zip(*changes.transitions, strict=True)]
    await connection.execute(queries()["insert_transitions"], *columns)
