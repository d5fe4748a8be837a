"""Warehouses: created, replaced under their etag, read."""

from services.chassis import outbox
from services.chassis.pg import Connection, Database
from services.warehouse.commands.news import News
from services.warehouse.domain.warehouses import Warehouse, WarehouseContent
from services.warehouse.errors import EtagMismatch, WarehouseExists, WarehouseNotFound
from services.warehouse.store import warehouses as store

ANY_ETAG = "*"


class Warehouses:
    """The use cases of warehouses."""

    def __init__(self, database: Database, news: News) -> None:
        self._database = database
        self._news = news

    async def create(self, tenant_id: str, content: WarehouseContent) -> Warehouse:
        """Creates a warehouse; the same content again returns the stored one, other content is refused."""

        async def work(connection: Connection) -> Warehouse:
            warehouse = await store.insert(connection, tenant_id, content)
            if warehouse is not None:
                await outbox.append(connection, [self._news.warehouse_message(warehouse)])
                return warehouse
            stored = await store.find(connection, tenant_id, content.warehouse_id)
            if stored is None or stored.content != content:
                raise WarehouseExists(content.warehouse_id)
            return stored

        warehouse = await self._database.transact(work)
        self._news.after_commit()
        return warehouse

    async def replace(self, tenant_id: str, content: WarehouseContent, etag: str) -> Warehouse:
        """Replaces a warehouse's content; the same content again changes nothing."""

        async def work(connection: Connection) -> Warehouse:
            stored = await store.find(connection, tenant_id, content.warehouse_id, lock=True)
            if stored is None:
                raise WarehouseNotFound(content.warehouse_id)
            if etag not in (ANY_ETAG, stored.etag):
                raise EtagMismatch(stored.etag)
            if stored.content == content:
                return stored
            warehouse = await store.update(connection, tenant_id, content)
            await outbox.append(connection, [self._news.warehouse_message(warehouse)])
            return warehouse

        warehouse = await self._database.transact(work)
        self._news.after_commit()
        return warehouse

    async def get(self, tenant_id: str, warehouse_id: str) -> Warehouse:
        """One warehouse."""
        async with self._database.connection() as connection:
            warehouse = await store.find(connection, tenant_id, warehouse_id)
        if warehouse is None:
            raise WarehouseNotFound(warehouse_id)
        return warehouse

    async def list_after(self, tenant_id: str, warehouse_id: str, rows_max: int) -> list[Warehouse]:
        """A page of warehouses, in the order of their ids."""
        async with self._database.connection() as connection:
            return await store.list_after(connection, tenant_id, warehouse_id, rows_max)
