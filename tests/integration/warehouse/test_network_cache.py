"""The cache of the tenants' warehouses: forgetting for one batch's sake must not blind another that is under way."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from services.chassis.pg import Database
from services.warehouse.store.working_set import TENANTS_MAX, NetworkCache
from tests.conftest import DatabaseFactory

pytestmark = pytest.mark.postgres


class SlowConnection:
    """A connection whose answer takes until `release` is set; `answered` tells that the database has given it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.answered = asyncio.Event()
        self.release = asyncio.Event()

    async def fetch(self, query: str, *values: object) -> Sequence[Any]:
        """The rows, late."""
        rows: Sequence[Any] = await self._connection.fetch(query, *values)
        self.answered.set()
        await self.release.wait()
        return rows


async def test_what_is_forgotten_while_a_batch_waits_for_the_database_is_read_again(
    database_factory: DatabaseFactory,
) -> None:
    """A batch asks only for what has changed since it was known; its answer is worth nothing once that is forgotten."""
    tenants = [f"tenant-{number}" for number in range(TENANTS_MAX + 1)]
    database = await Database.open(database_factory("warehouse"), pool_size_max=4)
    cache = NetworkCache()
    try:
        async with database.connection() as connection, database.connection() as other:
            await connection.execute(
                "INSERT INTO warehouses SELECT tenant_id, 'w', 'W', 'ES', 'EU', 'OVERSEAS', '[]', 0, true, false, 1, "
                "now(), now() FROM unnest($1::text[]) AS tenant_id",
                tenants,
            )
            await cache.refresh(connection, tenants[:TENANTS_MAX])
            slow: Any = SlowConnection(connection)
            under_way = asyncio.create_task(cache.refresh(slow, tenants[:1]))
            await slow.answered.wait()
            await cache.refresh(other, tenants[-1:])
            await cache.refresh(other, tenants[1:2])
            assert set(cache.networks(tenants)) == {tenants[1]}, "all was forgotten to make room"
            slow.release.set()
            await under_way
            assert set(cache.networks(tenants)) == {tenants[0], tenants[1]}
    finally:
        await database.close()
