"""Loads and locks what a batch of commands is decided on.

Locks are taken in one order by everybody, so that no two transactions wait for each other: fulfilments by
order_id, then stock owners by (tenant_id, sku). Stock, allocations and parcels are guarded by those and read
in statements of their own afterwards, which see all that the locks' earlier holders have committed.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from services.chassis.pg import Connection
from services.chassis.queries import load_queries
from services.warehouse.domain.decision import WorkingSet
from services.warehouse.domain.holds import Command, Fulfilment, HoldState, Intercept, Remind, Reserve
from services.warehouse.domain.parcels import OpenedParcel, ParcelState
from services.warehouse.domain.stock import SkuStock, StockBook, StockLevel
from services.warehouse.domain.warehouses import Network
from services.warehouse.store.holds import find_allocations, fulfilment_of
from services.warehouse.store.warehouses import content_of

PACKAGE = "services.warehouse"
TENANTS_MAX = 1_000

_STATES_WITHOUT_STOCK = frozenset({HoldState.VOIDED, HoldState.REJECTED})


class NetworkCache:
    """The warehouses of the tenants seen lately, kept with their versions; a batch reads only what changed."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, tuple[int, Any]]] = {}
        self._networks: dict[str, Network] = {}

    async def refresh(self, connection: Connection, tenants: Iterable[str]) -> datetime:
        """Brings the tenants' networks up to date and returns the database's clock."""
        wanted = list(tenants)
        if len(self._known) > TENANTS_MAX:
            self._known.clear()
            self._networks.clear()
        rows = await self._find_changed(connection, wanted)
        while rows is None:
            rows = await self._find_changed(connection, wanted)
        changed = [row for row in rows if row["tenant_id"] is not None]
        for row in changed:
            warehouses = self._known.setdefault(row["tenant_id"], {})
            warehouses[row["warehouse_id"]] = (row["version"], content_of(row))
        for tenant_id in {row["tenant_id"] for row in changed}:
            # A new object: decisions under way keep the one that they began with.
            self._networks[tenant_id] = Network(content for _, content in self._known[tenant_id].values())
        now: datetime = rows[0]["now"]
        return now

    async def _find_changed(self, connection: Connection, wanted: list[str]) -> Sequence[Any] | None:
        """What differs from what is known; None where that was forgotten meanwhile for another batch's sake."""
        known = [
            (tenant_id, warehouse_id, version)
            for tenant_id in wanted
            for warehouse_id, (version, _) in self._known.get(tenant_id, {}).items()
        ]
        rows = await connection.fetch(
            load_queries(PACKAGE)["find_changed_warehouses"],
            wanted,
            [tenant_id for tenant_id, _, _ in known],
            [warehouse_id for _, warehouse_id, _ in known],
            [version for _, _, version in known],
        )
        forgotten = any(tenant_id not in self._known for tenant_id, _, _ in known)
        return None if forgotten else rows

    def networks(self, tenants: Iterable[str]) -> dict[str, Network]:
        """The networks of those tenants that have any warehouse."""
        return {tenant_id: self._networks[tenant_id] for tenant_id in tenants if tenant_id in self._networks}


async def load(connection: Connection, commands: Sequence[Command], cache: NetworkCache) -> WorkingSet:
    """Locks and reads all that the commands can see and change."""
    fulfilments = await _load_fulfilments(connection, commands)
    skus = {
        (command.tenant_id, line.sku)
        for command in commands
        if isinstance(command, Reserve) and command.order_id not in fulfilments
        for line in command.lines
    }
    for fulfilment in fulfilments.values():
        if fulfilment.state not in _STATES_WITHOUT_STOCK:
            skus.update((fulfilment.tenant_id, line.sku) for line in fulfilment.lines)
    stock = await lock_stock(connection, skus)
    tenants = {command.tenant_id for command in commands}
    now = await cache.refresh(connection, tenants)
    return WorkingSet(now, fulfilments, StockBook(stock), cache.networks(tenants))


async def lock_stock(connection: Connection, skus: Iterable[tuple[str, str]]) -> list[SkuStock]:
    """Locks the SKUs that have an owner and reads all their stock."""
    wanted = sorted(skus)
    if not wanted:
        return []
    # A SKU whose very first stock comes in now is not locked: it is left for the next batch.
    owned = await connection.fetch(
        load_queries(PACKAGE)["lock_stock_owners"],
        [tenant_id for tenant_id, _ in wanted],
        [sku for _, sku in wanted],
    )
    return await _stock_of(connection, owned)


async def lock_stock_after(connection: Connection, tenant_id: str, sku: str, rows_max: int) -> list[SkuStock]:
    """A page of the SKUs of all tenants that have stock, in the order of tenants and SKUs; locked."""
    owned = await connection.fetch(load_queries(PACKAGE)["lock_stock_owner_page"], tenant_id, sku, rows_max)
    return await _stock_of(connection, owned)


async def _stock_of(connection: Connection, owned: Sequence[Any]) -> list[SkuStock]:
    """All stock of SKUs whose owners are locked."""
    stocks = {
        (tenant_id, sku): SkuStock(tenant_id, sku, merchant_id) for tenant_id, sku, merchant_id in owned
    }
    if stocks:
        for tenant_id, sku, warehouse_id, on_hand, reserved, version in await connection.fetch(
            load_queries(PACKAGE)["find_stock"],
            [tenant_id for tenant_id, _ in stocks],
            [sku for _, sku in stocks],
        ):
            level = StockLevel(warehouse_id, on_hand, reserved, version)
            stocks[tenant_id, sku].levels[warehouse_id] = level
    return list(stocks.values())


async def _load_fulfilments(connection: Connection, commands: Sequence[Command]) -> dict[str, Fulfilment]:
    queries = load_queries(PACKAGE)
    order_ids = sorted({command.order_id for command in commands})
    rows = await connection.fetch(queries["lock_fulfilments"], order_ids)
    if not rows:
        return {}
    found = {str(row["order_id"]): fulfilment_of(row) for row in rows}
    for order_id, allocations in (await find_allocations(connection, list(found))).items():
        found[order_id].allocations = allocations
    with_parcels = [
        command.order_id
        for command in commands
        if isinstance(command, Intercept | Remind) and command.order_id in found
    ]
    if with_parcels:
        parcels: dict[str, list[OpenedParcel]] = defaultdict(list)
        for order_id, parcel_id, warehouse_id, state, carrier, tracking_number in await connection.fetch(
            queries["find_parcels_of_orders"], with_parcels
        ):
            parcels[str(order_id)].append(
                OpenedParcel(str(parcel_id), warehouse_id, ParcelState(state), carrier, tracking_number)
            )
        for order_id, opened in parcels.items():
            found[order_id].parcels = tuple(opened)
    return found
