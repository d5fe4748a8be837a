"""What can be promised of SKUs, at a destination or anywhere."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from services.chassis.pg import Database
from services.warehouse.store import stock as stock_store
from services.warehouse.store.stock import StockRow
from services.warehouse.store.working_set import NetworkCache


class Promise(NamedTuple):
    """What one warehouse can promise; the days are 0 where no destination was asked for."""

    warehouse_id: str
    available: int
    transit_days_min: int
    transit_days_max: int


class Availability:
    """Reads stock without locks: a promise is no hold."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cache = NetworkCache()

    async def of(self, tenant_id: str, skus: Sequence[str], region_code: str) -> list[list[Promise]]:
        """Per SKU asked the warehouses that can promise any of it, in the order of their ids."""
        async with self._database.connection() as connection:
            await self._cache.refresh(connection, [tenant_id])
            rows = await stock_store.find(connection, tenant_id, sorted(set(skus)))
        network = self._cache.networks([tenant_id]).get(tenant_id)
        if network is None:
            return [[] for _ in skus]
        days = (
            {
                route.warehouse_id: (route.transit_days_min, route.transit_days_max)
                for route in network.routes_to(region_code)
            }
            if region_code
            else dict.fromkeys(network.enabled_ids(), (0, 0))
        )
        by_sku: dict[str, list[StockRow]] = defaultdict(list)
        for row in rows:
            if row.on_hand > row.reserved and row.warehouse_id in days:
                by_sku[row.sku].append(row)
        return [
            [
                Promise(row.warehouse_id, row.on_hand - row.reserved, *days[row.warehouse_id])
                for row in by_sku.get(sku, ())
            ]
            for sku in skus
        ]
