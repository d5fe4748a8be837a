"""Stock rows, ledger pages and request keys in the database. Holds change stock by `store.changes`."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from services.chassis.pg import Connection
from services.chassis.queries import load_queries
from services.warehouse.domain.stock import LedgerReason

PACKAGE = "services.warehouse"
ENTRY_ID_MAX = 2**63 - 1


class StockRow(NamedTuple):
    """A row of stock as it is told to operators."""

    sku: str
    warehouse_id: str
    merchant_id: str
    on_hand: int
    reserved: int
    update_time: datetime


class LedgerRow(NamedTuple):
    """An entry of the ledger as it is told to operators."""

    entry_id: int
    sku: str
    warehouse_id: str
    delta: int
    reason: LedgerReason
    document: str
    actor: str
    create_time: datetime


async def add_owners(connection: Connection, tenant_id: str, skus: Sequence[str], merchant_id: str) -> None:
    """Gives SKUs that have no owner yet to the merchant; leaves the others as they are."""
    await connection.execute(load_queries(PACKAGE)["add_stock_owners"], tenant_id, skus, merchant_id)


async def find_sold(connection: Connection, tenant_id: str, skus: Sequence[str]) -> set[str]:
    """Those SKUs of which units ever left for an order."""
    rows = await connection.fetch(load_queries(PACKAGE)["find_sold_skus"], tenant_id, skus)
    return {row["sku"] for row in rows}


async def change_owner(connection: Connection, tenant_id: str, skus: Sequence[str], merchant_id: str) -> None:
    """Gives locked SKUs of which nothing is left to another merchant."""
    await connection.execute(load_queries(PACKAGE)["change_stock_owner"], tenant_id, skus, merchant_id)


async def insert(
    connection: Connection,
    tenant_id: str,
    warehouse_id: str,
    merchant_id: str,
    units: Sequence[tuple[str, int]],
) -> None:
    """Adds the first rows of SKUs in a warehouse."""
    await connection.execute(
        load_queries(PACKAGE)["insert_stock"],
        tenant_id,
        warehouse_id,
        merchant_id,
        [sku for sku, _ in units],
        [on_hand for _, on_hand in units],
    )


async def find(connection: Connection, tenant_id: str, skus: Sequence[str]) -> list[StockRow]:
    """All stock of some SKUs, in the order of SKU and warehouse."""
    return _rows(await connection.fetch(load_queries(PACKAGE)["list_stock_of_skus"], tenant_id, skus))


async def list_after(
    connection: Connection, tenant_id: str, sku: str, warehouse_id: str, after: tuple[str, str], rows_max: int
) -> list[StockRow]:
    """A page of stock after (sku, warehouse_id), of one SKU or warehouse where they are not empty."""
    queries = load_queries(PACKAGE)
    if sku:
        rows = await connection.fetch(
            queries["list_stock_of_sku"], tenant_id, sku, warehouse_id, after[1], rows_max
        )
    elif warehouse_id:
        rows = await connection.fetch(
            queries["list_stock_of_warehouse"], tenant_id, warehouse_id, after[0], rows_max
        )
    else:
        rows = await connection.fetch(queries["list_stock"], tenant_id, *after, rows_max)
    return _rows(rows)


async def list_ledger(
    connection: Connection, tenant_id: str, sku: str, warehouse_id: str, before: int, rows_max: int
) -> list[LedgerRow]:
    """A page of a SKU's ledger, newest first."""
    rows = await connection.fetch(
        load_queries(PACKAGE)["list_ledger"], tenant_id, sku, warehouse_id, before, rows_max
    )
    return [
        LedgerRow(
            row["entry_id"],
            row["sku"],
            row["warehouse_id"],
            row["delta"],
            LedgerReason(row["reason"]),
            row["document"],
            row["actor"],
            row["create_time"],
        )
        for row in rows
    ]


async def claim_request(
    connection: Connection, tenant_id: str, route: str, request_id: str, digest: bytes
) -> bool:
    """Takes a request id for this transaction; False where it was taken by one that has committed."""
    claimed = await connection.fetchval(
        load_queries(PACKAGE)["claim_request"], tenant_id, route, request_id, digest
    )
    return claimed is not None


async def find_answer(
    connection: Connection, tenant_id: str, route: str, request_id: str
) -> tuple[bytes, list[StockRow]] | None:
    """The digest of what was asked under a request id, and the stock rows that were answered."""
    row = await connection.fetchrow(load_queries(PACKAGE)["find_request"], tenant_id, route, request_id)
    if row is None:
        return None
    answer = [
        StockRow(sku, warehouse_id, merchant_id, on_hand, reserved, datetime.fromisoformat(time))
        for sku, warehouse_id, merchant_id, on_hand, reserved, time in json.loads(row["answer"])
    ]
    return row["digest"], answer


async def store_answer(
    connection: Connection, tenant_id: str, route: str, request_id: str, answer: Sequence[StockRow]
) -> None:
    """Keeps the answer to a request id that this transaction has claimed."""
    packed = json.dumps([[*row[:5], row.update_time.isoformat()] for row in answer], ensure_ascii=False)
    await connection.execute(load_queries(PACKAGE)["answer_request"], tenant_id, route, request_id, packed)


def _rows(rows: Sequence[Any]) -> list[StockRow]:
    return [
        StockRow(
            row["sku"],
            row["warehouse_id"],
            row["merchant_id"],
            row["on_hand"],
            row["reserved"],
            row["update_time"],
        )
        for row in rows
    ]
