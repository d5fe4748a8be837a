"""Writes what a batch has changed, a statement per table."""

from collections.abc import Iterable, Sequence

import asyncpg
import msgspec

from services.chassis.pg import Connection
from services.chassis.queries import load_queries
from services.warehouse.domain.decision import Changes
from services.warehouse.domain.holds import Fulfilment
from services.warehouse.domain.stock import LedgerEntry, SkuStock, StockLevel

PACKAGE = "services.warehouse"

_json = msgspec.json.Encoder()


def lost_race(detail: str) -> Exception:
    """Another transaction was first with a row that this one could not lock: to be raised, and decided anew.

    It is PostgreSQL's own error for that, so that whoever owns the transaction repeats it.
    """
    error: Exception = asyncpg.SerializationError(detail)
    return error


async def flush(connection: Connection, changes: Changes) -> None:
    """Writes everything; raises a serialization failure where a row is not the one that was decided on."""
    queries = load_queries(PACKAGE)
    created = [changes.created[order_id] for order_id in sorted(changes.created)]
    if created:
        await _write(connection, queries["insert_fulfilments"], len(created), *_fulfilment_columns(created))
    await _update_fulfilments(connection, changes)
    await _write_allocations(connection, changes)
    await write_stock(connection, changes.stock.changed_levels(), changes.stock.ledger)
    if changes.opened:
        await connection.execute(
            queries["insert_parcels"],
            [parcel.fulfilment.tenant_id for parcel in changes.opened],
            [parcel.parcel_id for parcel in changes.opened],
            [parcel.fulfilment.order_id for parcel in changes.opened],
            [parcel.fulfilment.merchant_id for parcel in changes.opened],
            [parcel.warehouse_id for parcel in changes.opened],
            [parcel.fulfilment.region_code for parcel in changes.opened],
        )
    if changes.intercepted:
        await connection.execute(queries["cancel_parcels"], changes.intercepted)


async def write_stock(
    connection: Connection,
    changed: Iterable[tuple[SkuStock, StockLevel]],
    ledger: Sequence[LedgerEntry],
) -> None:
    """Writes stock rows that exist, each on top of the version before, and ledger entries."""
    queries = load_queries(PACKAGE)
    rows = list(changed)
    if rows:
        await _write(
            connection,
            queries["update_stock"],
            len(rows),
            [stock.tenant_id for stock, _ in rows],
            [stock.sku for stock, _ in rows],
            [level.warehouse_id for _, level in rows],
            [level.on_hand for _, level in rows],
            [level.reserved for _, level in rows],
            [level.version for _, level in rows],
        )
    if ledger:
        await connection.execute(
            queries["insert_ledger"],
            [entry.tenant_id for entry in ledger],
            [entry.sku for entry in ledger],
            [entry.warehouse_id for entry in ledger],
            [entry.delta for entry in ledger],
            [entry.reason for entry in ledger],
            [entry.document for entry in ledger],
            [entry.actor for entry in ledger],
        )


async def _update_fulfilments(connection: Connection, changes: Changes) -> None:
    """Most changes are one of state and version; only the others write the whole row again."""
    queries = load_queries(PACKAGE)
    moved = [
        fulfilment for fulfilment in changes.updated.values() if fulfilment.order_id not in changes.rewritten
    ]
    if moved:
        await _write(
            connection,
            queries["move_fulfilments"],
            len(moved),
            [fulfilment.order_id for fulfilment in moved],
            [fulfilment.state for fulfilment in moved],
            [fulfilment.version for fulfilment in moved],
        )
    rewritten = [
        fulfilment for fulfilment in changes.updated.values() if fulfilment.order_id in changes.rewritten
    ]
    if rewritten:
        await _write(
            connection, queries["rewrite_fulfilments"], len(rewritten), *_fulfilment_columns(rewritten)
        )


async def _write_allocations(connection: Connection, changes: Changes) -> None:
    queries = load_queries(PACKAGE)
    reserved_anew = [order_id for order_id in changes.reallocated if order_id not in changes.created]
    if reserved_anew:
        await connection.execute(queries["delete_allocations"], reserved_anew)
    rows = [
        (order_id, *allocation)
        for order_id, fulfilment in changes.reallocated.items()
        for allocation in fulfilment.allocations
    ]
    if rows:
        order_ids, skus, warehouse_ids, quantities = zip(*rows, strict=True)
        await connection.execute(queries["insert_allocations"], order_ids, skus, warehouse_ids, quantities)


async def _write(
    connection: Connection, statement: str, rows_expected: int, *columns: Sequence[object]
) -> None:
    status = await connection.execute(statement, *columns)
    rows = int(status.rpartition(" ")[2])
    if rows != rows_expected:
        raise lost_race(f"{rows} of {rows_expected} rows written")


def _fulfilment_columns(fulfilments: Sequence[Fulfilment]) -> tuple[list[object], ...]:
    return (
        [fulfilment.order_id for fulfilment in fulfilments],
        [fulfilment.tenant_id for fulfilment in fulfilments],
        [fulfilment.merchant_id for fulfilment in fulfilments],
        [fulfilment.state for fulfilment in fulfilments],
        [fulfilment.version for fulfilment in fulfilments],
        [fulfilment.region_code for fulfilment in fulfilments],
        [fulfilment.expire_time for fulfilment in fulfilments],
        [_jsonb(fulfilment.lines) for fulfilment in fulfilments],
        [fulfilment.sourcing for fulfilment in fulfilments],
        [fulfilment.rejection for fulfilment in fulfilments],
        [_jsonb(fulfilment.shortages) if fulfilment.shortages else None for fulfilment in fulfilments],
    )


def _jsonb(value: object) -> str:
    return _json.encode(value).decode()
