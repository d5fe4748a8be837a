"""Products told anew, over a real PostgreSQL."""

from __future__ import annotations

import pytest

from services.catalog import events
from tests.conftest import DatabaseFactory
from tests.integration.catalog.running import merchant_request, product_of, running
from tests.integration.chassis.anew import a_change_comes_after, told_anew

pytestmark = pytest.mark.postgres

TOPIC = events.PRODUCTS_TOPIC


async def test_products_are_told_anew_as_they_stand(
    database_factory: DatabaseFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(database_factory("catalog")) as client:
        await client.merchants.CreateMerchant(merchant_request(tenant_id="other"))
        await client.load([product_of(f"p{number}", [f"s{number}"]) for number in range(5)])
        await client.create(product_of("p1", ["s1"]), tenant_id="other")
        await client.update(product_of("p3", ["s3", "s3-red"]), etag="*")
        assert await told_anew(client.database, events.SNAPSHOTS, monkeypatch) == {TOPIC: set()}


async def test_a_change_meanwhile_is_told_last(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        await client.create(product_of("p1", ["s1"]))

        async def change() -> None:
            await client.update(product_of("p1", ["s1", "s2"]), etag="*")

        await a_change_comes_after(client.database, TOPIC, events.SNAPSHOTS[TOPIC], change)
        assert [product.version for product in await client.outbox()] == [1, 1, 2]
