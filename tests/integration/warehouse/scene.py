"""What the warehouse's integration tests share: a database with warehouses and stock, and ways to act on it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from services.chassis import ids
from services.chassis.pg import Database
from services.warehouse import events
from services.warehouse.commands.holds import Holds
from services.warehouse.commands.news import News
from services.warehouse.commands.parcels import Parcels
from services.warehouse.commands.stock import RECEIVE, Moved, Movement, Stock
from services.warehouse.commands.warehouses import Warehouses
from services.warehouse.domain.decision import Changes
from services.warehouse.domain.holds import (
    Command,
    Intercept,
    Post,
    Remind,
    Reserve,
    Void,
    Wanted,
    merge_lines,
)
from services.warehouse.domain.stock import LedgerReason
from services.warehouse.domain.warehouses import ServedCountry, WarehouseContent, WarehouseKind

TENANT = "acme"
MERCHANT = "wigs"

INVARIANTS = {
    "on_hand is the sum of the ledger": """
        SELECT count(*) FROM stock s
        FULL JOIN (SELECT tenant_id, sku, warehouse_id, sum(delta) AS units FROM ledger GROUP BY 1, 2, 3) l
            USING (tenant_id, sku, warehouse_id)
        WHERE s.on_hand IS DISTINCT FROM l.units""",
    "reserved is the sum of pending allocations": """
        SELECT count(*) FROM stock s
        FULL JOIN (SELECT f.tenant_id, a.sku, a.warehouse_id, sum(a.quantity) AS units
                   FROM allocations a JOIN fulfilments f USING (order_id)
                   WHERE f.hold_state = 'PENDING' GROUP BY 1, 2, 3) h
            USING (tenant_id, sku, warehouse_id)
        WHERE s.reserved IS DISTINCT FROM coalesce(h.units, 0)""",
    "reserved stays within on_hand": "SELECT count(*) FROM stock WHERE NOT (0 <= reserved AND reserved <= on_hand)",
    "posted holds have parcels and picks": """
        SELECT count(*) FROM fulfilments f
        WHERE f.hold_state = 'POSTED' AND NOT EXISTS (SELECT FROM parcels p WHERE p.order_id = f.order_id)""",
    "versions of an order's events have no gaps": """
        SELECT count(*) FROM (
            SELECT aggregate_id, max(version) AS newest, count(DISTINCT version) AS versions, count(*) AS rows
            FROM outbox WHERE topic = 'sampan.warehouse.fulfilments.v1' GROUP BY 1) o
        WHERE newest <> versions OR rows <> versions""",
}


@dataclass(slots=True)
class Scene:
    """The use cases on one database."""

    database: Database
    holds: Holds
    stock: Stock
    parcels: Parcels
    warehouses: Warehouses

    async def run(self, *commands: Command) -> Changes:
        """Decides commands in one transaction."""
        return await self.database.transact(lambda connection: self.holds.apply(connection, commands))

    async def receive(self, units: dict[str, int], warehouse_id: str = "madrid", **changes: str) -> Moved:
        """Books goods in."""
        movement = Movement(
            TENANT,
            RECEIVE,
            changes.get("request_id", str(uuid.uuid4())),
            warehouse_id,
            changes.get("merchant_id", MERCHANT),
            changes.get("document", "GR-1"),
            LedgerReason.INBOUND_RECEIVE,
            "operator",
            tuple(units.items()),
            tuple(range(len(units))),
        )
        return await self.stock.move(movement)

    async def add_warehouse(
        self,
        warehouse_id: str,
        region_code: str,
        serves: Sequence[str],
        *,
        ships_hazards: bool = True,
        disabled: bool = False,
    ) -> None:
        """Creates a warehouse that serves the countries within 2 to 4 days."""
        content = warehouse(warehouse_id, region_code, serves, ships_hazards=ships_hazards, disabled=disabled)
        await self.warehouses.create(TENANT, content)

    async def level(self, sku: str, warehouse_id: str = "madrid") -> tuple[int, int]:
        """on_hand and reserved."""
        row = await self.fetchrow(
            "SELECT on_hand, reserved FROM stock WHERE tenant_id = $1 AND sku = $2 AND warehouse_id = $3",
            TENANT,
            sku,
            warehouse_id,
        )
        return row["on_hand"], row["reserved"]

    async def fetchrow(self, query: str, *values: object) -> Any:
        """One row of a query."""
        async with self.database.connection() as connection:
            return await connection.fetchrow(query, *values)

    async def fetch(self, query: str, *values: object) -> list[Any]:
        """The rows of a query."""
        async with self.database.connection() as connection:
            return list(await connection.fetch(query, *values))

    async def outbox(self, aggregate_id: str) -> list[str]:
        """The names of the events about an aggregate, in the order of their sending."""
        rows = await self.fetch("SELECT type FROM outbox WHERE aggregate_id = $1 ORDER BY id", aggregate_id)
        return [row["type"].rpartition(".")[2] for row in rows]

    async def assert_sound(self) -> None:
        """All invariants that the tables can show."""
        for name, query in INVARIANTS.items():
            assert (await self.fetchrow(query))[0] == 0, name


def warehouse(
    warehouse_id: str,
    region_code: str,
    serves: Sequence[str],
    *,
    ships_hazards: bool = True,
    disabled: bool = False,
) -> WarehouseContent:
    """A warehouse that serves the countries within 2 to 4 days."""
    return WarehouseContent(
        warehouse_id,
        warehouse_id.title(),
        region_code,
        "EU",
        WarehouseKind.OVERSEAS,
        tuple([ServedCountry(country, 2, 4, 500, "EUR") for country in serves]),
        0,
        ships_hazards,
        disabled,
    )


def silent_news() -> News:
    """Builders of events with nobody to wake."""
    return News(events.messages_of, events.warehouse_message, lambda: None)


async def open_scene(dsn: str, pool_size_max: int = 8) -> Scene:
    """A scene on a migrated database."""
    database = await Database.open(dsn, pool_size_max=pool_size_max)
    news = silent_news()
    return Scene(
        database,
        Holds(database, news),
        Stock(database, news),
        Parcels(database, news),
        Warehouses(database, news),
    )


def order_id() -> str:
    """A new order's id."""
    return str(ids.uuid7())


def in_future(minutes: float = 60) -> datetime:
    """A deadline."""
    return datetime.now(UTC) + timedelta(minutes=minutes)


def reserve(
    order: str,
    units: dict[str, int],
    region_code: str = "ES",
    *,
    minutes: float = 60,
    hazardous: bool = False,
    merchant_id: str = MERCHANT,
    by_event: bool = False,
) -> Reserve:
    """The command for an order of some units."""
    lines, is_valid = merge_lines([(sku, quantity, hazardous) for sku, quantity in units.items()])
    return Reserve(
        order_id=order,
        tenant_id=TENANT,
        merchant_id=merchant_id,
        region_code=region_code,
        lines=lines,
        expire_time=in_future(minutes),
        is_valid=is_valid,
        by_event=by_event,
    )


def post(order: str, *, by_event: bool = False) -> Post:
    """The command that confirms an order."""
    return Post(order_id=order, tenant_id=TENANT, merchant_id=MERCHANT, by_event=by_event)


def void(order: str, *, by_event: bool = False) -> Void:
    """The command that gives an order's goods back."""
    return Void(order_id=order, tenant_id=TENANT, merchant_id=MERCHANT, by_event=by_event)


def intercept(order: str) -> Intercept:
    """The command that cancels a confirmed order."""
    return Intercept(order_id=order, tenant_id=TENANT, by_event=True)


def remind(
    order: str,
    units: dict[str, int],
    wanted: Wanted,
    region_code: str = "ES",
    *,
    merchant_id: str = MERCHANT,
) -> Remind:
    """The command of an order that has waited too long for what it wants."""
    lines, is_valid = merge_lines([(sku, quantity, False) for sku, quantity in units.items()])
    return Remind(
        order_id=order,
        tenant_id=TENANT,
        merchant_id=merchant_id,
        region_code=region_code,
        lines=lines,
        expire_time=in_future(),
        is_valid=is_valid,
        by_event=True,
        wanted=wanted,
    )
