"""The years of business that the bench fills in are such as the services would have left: the audit finds no fault."""

import json
from collections.abc import Mapping
from urllib.parse import urlsplit

import asyncpg
import pytest

from deploy.audit.checks import run
from deploy.audit.cross_checks import CrossExamination
from deploy.audit.sql_checks import sql_checks
from deploy.bench.growth import fill
from deploy.bench.growth.measure import Skus, past_order_id
from tests.conftest import DatabaseFactory
from tests.servers import PostgresServer

pytestmark = pytest.mark.postgres

SKUS, PAST_ORDERS = 200, 240


@pytest.fixture
def dsns(database_factory: DatabaseFactory) -> Mapping[str, str]:
    return {name: database_factory(name) for name in ("catalog", "orders", "warehouse")}


def superuser(server: PostgresServer, dsns: Mapping[str, str]) -> dict[str, str]:
    address = urlsplit(server.server.dsn("postgres"))
    return {name: address._replace(path=urlsplit(dsn).path).geturl() for name, dsn in dsns.items()}


async def indexes(dsn: str) -> set[str]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'")
    finally:
        await connection.close()
    return {row["indexdef"] for row in rows}


async def test_the_past_is_sound_and_complete_and_no_index_is_lost(
    postgres_server: PostgresServer, dsns: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Several pieces per statement, the last one shorter.
    monkeypatch.setattr(fill, "CHUNK", 90)
    before = {name: await indexes(dsn) for name, dsn in dsns.items()}

    await fill.fill(superuser(postgres_server, dsns), SKUS, PAST_ORDERS, lambda _: None)

    assert {name: await indexes(dsn) for name, dsn in dsns.items()} == before
    results = [
        await run(check) for check in [*sql_checks(dsns, late_s_max=60), *CrossExamination(dsns).checks()]
    ]
    assert {result.id: result.offenders for result in results if result.status != "ok"} == {}
    examined = {result.id: result.examined for result in results}
    assert examined["1 ledger"] == SKUS
    assert examined["10 states"] == PAST_ORDERS
    assert examined["12 history"] == PAST_ORDERS


async def test_what_is_filled_in_is_what_the_bench_asks_for(
    postgres_server: PostgresServer, dsns: Mapping[str, str]
) -> None:
    await fill.fill(superuser(postgres_server, dsns), SKUS, PAST_ORDERS, lambda _: None)
    names = list(Skus(SKUS, 1))
    for database, question in (
        ("orders", "SELECT count(*) FROM offers WHERE sku = ANY ($1)"),
        ("warehouse", "SELECT count(*) FROM stock WHERE sku = ANY ($1) AND on_hand > 900000"),
        ("catalog", "SELECT count(*) FROM variants WHERE sku = ANY ($1)"),
    ):
        connection = await asyncpg.connect(dsns[database])
        try:
            assert await connection.fetchval(question, names) == SKUS
        finally:
            await connection.close()
    connection = await asyncpg.connect(dsns["orders"])
    try:
        ids = [past_order_id(number) for number in range(PAST_ORDERS)]
        stored = await connection.fetchval(
            "SELECT count(*) FROM orders WHERE order_id = ANY ($1::uuid[])", ids
        )
        address = await connection.fetchval("SELECT ship_to FROM orders LIMIT 1")
    finally:
        await connection.close()
    assert stored == PAST_ORDERS
    assert json.loads(address)["region_code"] == "US"
