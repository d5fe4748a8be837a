"""Booking goods in and correcting stock: all lines or none, once per request id."""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from services.chassis import outbox
from services.chassis.crash import crash_point
from services.chassis.errors import RequestIdReused
from services.chassis.pg import Connection, Database
from services.warehouse.commands.news import News
from services.warehouse.domain.stock import LedgerEntry, LedgerReason, SkuStock, StockLevel
from services.warehouse.errors import StockInsufficient, StockOwnerMismatch, WarehouseNotFound
from services.warehouse.store import changes as changes_store
from services.warehouse.store import stock as stock_store
from services.warehouse.store import warehouses as warehouse_store
from services.warehouse.store import working_set
from services.warehouse.store.stock import LedgerRow, StockRow

RECEIVE = "stock.receive"
ADJUST = "stock.adjust"


class Movement(NamedTuple):
    """Goods that came in or a correction: signed units, each SKU once.

    `first_lines` says for each of them which of the request's lines named it first, for errors.
    """

    tenant_id: str
    route: str
    request_id: str
    warehouse_id: str
    merchant_id: str
    document: str
    reason: LedgerReason
    actor: str
    units: tuple[tuple[str, int], ...]
    first_lines: tuple[int, ...]

    def digest(self) -> bytes:
        """Stands for the content: everything but who and by which id."""
        content = (self.warehouse_id, self.merchant_id, self.document, self.reason, self.units)
        return sha256(json.dumps(content, ensure_ascii=False).encode()).digest()


class Moved(NamedTuple):
    """The stock rows after a movement, and whether this is the stored answer of an earlier one."""

    stock: list[StockRow]
    replayed: bool


class Stock:
    """Movements and reading of stock."""

    def __init__(self, database: Database, news: News) -> None:
        self._database = database
        self._news = news

    async def move(self, movement: Movement) -> Moved:
        """Books a movement. Raises WarehouseNotFound, StockOwnerMismatch, StockInsufficient, RequestIdReused."""

        async def work(connection: Connection) -> Moved:
            names = movement.tenant_id, movement.route, movement.request_id
            if not await stock_store.claim_request(connection, *names, movement.digest()):
                return await _stored_answer(connection, movement)
            stocks = await _lock(connection, movement)
            await _write(connection, movement, stocks)
            await outbox.append(connection, self._news.messages_of((), stocks.values()))
            rows = await stock_store.find(connection, movement.tenant_id, sorted(stocks))
            answer = [row for row in rows if row.warehouse_id == movement.warehouse_id]
            await stock_store.store_answer(connection, *names, answer)
            crash_point("warehouse.stock.before_commit")
            return Moved(answer, replayed=False)

        moved = await self._database.transact(work)
        crash_point("warehouse.stock.after_commit")
        self._news.after_commit()
        return moved

    async def list(
        self, tenant_id: str, sku: str, warehouse_id: str, after: tuple[str, str], rows_max: int
    ) -> list[StockRow]:
        """A page of stock."""
        async with self._database.connection() as connection:
            return await stock_store.list_after(connection, tenant_id, sku, warehouse_id, after, rows_max)

    async def list_ledger(
        self, tenant_id: str, sku: str, warehouse_id: str, before: int, rows_max: int
    ) -> Sequence[LedgerRow]:
        """A page of a SKU's ledger."""
        async with self._database.connection() as connection:
            return await stock_store.list_ledger(connection, tenant_id, sku, warehouse_id, before, rows_max)


async def _stored_answer(connection: Connection, movement: Movement) -> Moved:
    found = await stock_store.find_answer(connection, movement.tenant_id, movement.route, movement.request_id)
    if found is None or found[0] != movement.digest():
        raise RequestIdReused
    return Moved(found[1], replayed=True)


async def _lock(connection: Connection, movement: Movement) -> dict[str, SkuStock]:
    """Locks the SKUs, after giving those that nobody owns to the merchant; refuses those of another."""
    if await warehouse_store.find(connection, movement.tenant_id, movement.warehouse_id) is None:
        raise WarehouseNotFound(movement.warehouse_id)
    skus = sorted({sku for sku, _ in movement.units})
    if movement.route == RECEIVE or movement.reason is LedgerReason.COUNT_GAIN:
        await stock_store.add_owners(connection, movement.tenant_id, skus, movement.merchant_id)
    locked = await working_set.lock_stock(connection, [(movement.tenant_id, sku) for sku in skus])
    stocks = {stock.sku: stock for stock in locked}
    taken_over: dict[str, int] = {}
    for line, (sku, _) in zip(movement.first_lines, movement.units, strict=True):
        stock = stocks.get(sku)
        if stock is None:
            raise StockInsufficient(sku, 0, f"lines[{line}].quantity")
        if stock.merchant_id != movement.merchant_id:
            if movement.route != RECEIVE or not stock.is_empty:
                raise StockOwnerMismatch(sku, f"lines[{line}].sku")
            taken_over[sku] = line
    if taken_over:
        await _take_over(connection, movement, stocks, taken_over)
    return stocks


async def _take_over(
    connection: Connection, movement: Movement, stocks: dict[str, SkuStock], lines: dict[str, int]
) -> None:
    """Gives SKUs of which nothing lies anywhere to the merchant; a wrong first receipt is mended so.

    Not one that was ever sold: an order that is intercepted brings its units back to whom they belong.
    """
    for sku in sorted(await stock_store.find_sold(connection, movement.tenant_id, list(lines))):
        raise StockOwnerMismatch(sku, f"lines[{lines[sku]}].sku")
    for sku in lines:
        stocks[sku].merchant_id = movement.merchant_id
    await stock_store.change_owner(connection, movement.tenant_id, list(lines), movement.merchant_id)


async def _write(connection: Connection, movement: Movement, stocks: dict[str, SkuStock]) -> None:
    """Adds the units to the levels, refusing what would leave less than is reserved, and writes them."""
    warehouse_id = movement.warehouse_id
    new: dict[str, StockLevel] = {}
    for line, (sku, units) in zip(movement.first_lines, movement.units, strict=True):
        levels = stocks[sku].levels
        level = levels.get(warehouse_id)
        if level is None:
            level = levels[warehouse_id] = new[sku] = StockLevel(warehouse_id, 0, 0, 0)
        if level.available + units < 0:
            raise StockInsufficient(sku, level.available, f"lines[{line}].quantity")
        level.on_hand += units
        if not level.changed:
            level.changed, level.version = True, level.version + 1
    units_of_new = [(sku, level.on_hand) for sku, level in new.items()]
    if new:
        await stock_store.insert(
            connection, movement.tenant_id, warehouse_id, movement.merchant_id, units_of_new
        )
    existing = [
        (stock, level)
        for stock in stocks.values()
        for level in stock.levels.values()
        if level.changed and stock.sku not in new
    ]
    ledger = [
        LedgerEntry(
            movement.tenant_id,
            sku,
            warehouse_id,
            units,
            movement.reason,
            movement.document,
            movement.actor,
        )
        for sku, units in movement.units
    ]
    await changes_store.write_stock(connection, existing, ledger)
