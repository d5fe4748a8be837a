"""Products by their words, over a real PostgreSQL: who is found, page by page, and at what cost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from sampan.catalog.v1 import product_service_pb2 as pb

from services.catalog import store
from services.catalog.commands import ProductFilter
from services.chassis.queries import load_queries
from tests.conftest import DatabaseFactory
from tests.integration.catalog.running import (
    TENANT,
    Client,
    merchant_request,
    product_of,
    refused,
    running,
    variant_of,
)

pytestmark = pytest.mark.postgres

TITLES = {
    "en": "Human hair bob wig",
    "es": "Peluca bob de cabello humano, edición española",
    "th": "วิกผมบ๊อบผมจริง",
    "zh": "真人发波波头假发",
}
# As the release before stored products: it knew of no words.
STORED_BEFORE = """
    INSERT INTO products (tenant_id, product_id, merchant_id, titles, descriptions, category, hs_code,
                          origin_region_code, status, version, content_hash, create_time, update_time)
    VALUES ($1, $2, 'xuchang-hair', '{"en": "Old wig"}', '{}', '', '', '', 2, 1, '\\x01', now(), now())
"""
VARIANT_STORED_BEFORE = """
    INSERT INTO variants (tenant_id, sku, product_id, position, gtin, options, prices, weight_grams, length_mm,
                          width_mm, height_mm, hazards)
    VALUES ($1, $2, $2, 0, '', '{}', '{"EUR": 1}', 0, 0, 0, 0, '{}')
"""
MANY = """
    INSERT INTO products (tenant_id, product_id, merchant_id, titles, descriptions, category, hs_code,
                          origin_region_code, status, version, content_hash, create_time, update_time, words,
                          words_hash)
    SELECT 'fair', 'p' || lpad(n::text, 6, '0'), 'xuchang-hair', '{"en": "x"}', '{}', '', '', '', 2, 1, '\\x01',
           now(), now(), ('fair/wig fair/n' || n % 7000)::tsvector, '\\x01'
    FROM generate_series(1, 21000) AS n
"""


async def found(client: Client, query: str, *, tenant_id: str = TENANT, **asked: Any) -> list[str]:
    """The ids that a search finds, page by page."""
    seen: list[str] = []
    token = ""
    while True:
        request = pb.ListProductsRequest(tenant_id=tenant_id, query=query, page_token=token, **asked)
        page = await client.products.ListProducts(request)
        seen += [product.product_id for product in page.products]
        token = page.next_page_token
        if not token:
            return seen


def plain(product_id: str, title: str, **changed: Any) -> pb.Product:
    """A product with no words but its title's and its SKU's."""
    content = {"titles": {"en": title}, "category": "", "variants": [variant_of(product_id, options={})]}
    return product_of(product_id, **(content | changed))


async def test_a_product_is_found_in_every_language_and_by_what_it_is_called_besides(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("catalog")) as client:
        await client.create(product_of("bob", ["WIG-BOB-14"], titles=TITLES))
        await client.create(plain("panda", "Plush panda"))
        for query in (
            "wig",
            "PELUCA",
            "espanola edicion",
            "ผมจริง",
            "บ๊อบ",
            "假发",
            "发",
            "wig-bob",
            "black",
            "hair/wigs",
        ):
            assert await found(client, query) == ["bob"], query
        for query in ("peluche", "bob panda", "猫", "แมว", "ig"):
            assert await found(client, query) == [], query
        assert await found(client, "p") == ["bob", "panda"]


async def test_no_tenant_finds_anothers_products(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        await client.merchants.CreateMerchant(merchant_request(tenant_id="fai"))
        await client.create(plain("theirs", "Silk wig"))
        await client.create(plain("ours", "Silk hat"), tenant_id="fai")
        assert await found(client, "silk", tenant_id="fai") == ["ours"]
        assert await found(client, "wig", tenant_id="fai") == []
        assert await found(client, "r", tenant_id="fai") == []


async def test_pages_go_through_all_that_is_found_and_keep_the_filter(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("catalog")) as client:
        kinds = {0: "Silk wig", 1: "Silk hat", 2: "Wool hat"}
        await client.load(plain(f"p{number:02}", kinds[number % 3]) for number in range(30))
        await client.update(plain("p03", "Silk wig", status=pb.PRODUCT_STATUS_ARCHIVED), etag="1")
        silk = [f"p{number:02}" for number in range(30) if number % 3 != 2]
        for page_size in (1, 7, 20, 200):
            assert await found(client, "silk", page_size=page_size) == silk
        active = await found(client, "silk wig", page_size=4, status=pb.PRODUCT_STATUS_ACTIVE)
        assert active == [f"p{number:02}" for number in range(0, 30, 3) if number != 3]
        first = await client.products.ListProducts(
            pb.ListProductsRequest(tenant_id=TENANT, query="silk", page_size=5)
        )
        again = pb.ListProductsRequest(tenant_id=TENANT, query="SÍLK!", page_token=first.next_page_token)
        assert (await client.products.ListProducts(again)).products[0].product_id == silk[5]
        for other in ("wool", ""):
            with refused("INVALID_ARGUMENT", "PAGE_TOKEN_MISMATCH", "page_token"):
                await found_from(client, other, first.next_page_token)


async def found_from(client: Client, query: str, token: str) -> None:
    """Pages on."""
    await client.products.ListProducts(
        pb.ListProductsRequest(tenant_id=TENANT, query=query, page_token=token)
    )


async def test_a_changed_product_is_found_by_its_new_words_only(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        await client.create(plain("p", "Silk wig"))
        await client.update(plain("p", "Wool hat"), etag="1")
        assert (await found(client, "wool"), await found(client, "silk")) == (["p"], [])
        await client.load([plain("p", "Plush panda"), plain("q", "Panda")])
        assert (await found(client, "panda"), await found(client, "wool")) == (["p", "q"], [])
        await client.update(plain("p", "Plush panda", status=pb.PRODUCT_STATUS_ARCHIVED), etag="3")
        assert await found(client, "plush") == ["p"]


@pytest.mark.parametrize("query", ["?!", " ", "x" * 101])
async def test_a_query_that_asks_for_nothing_is_refused(
    database_factory: DatabaseFactory, query: str
) -> None:
    async with running(database_factory("catalog")) as client:
        with refused("INVALID_ARGUMENT", "FIELD_INVALID", "query"):
            await found(client, query)


async def test_what_the_release_before_stores_is_found_after_a_while(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("catalog")) as client:
        await client.merchants.CreateMerchant(merchant_request(tenant_id="other"))
        await client.create(plain("p", "Silk wig"))
        async with client.database.connection() as connection:
            for tenant_id in (TENANT, "other"):
                for number in range(5):
                    await connection.execute(STORED_BEFORE, tenant_id, f"old-{number}")
                    await connection.execute(VARIANT_STORED_BEFORE, tenant_id, f"old-{number}")
            await connection.execute(
                """UPDATE products SET titles = '{"en": "Wool hat"}', content_hash = '\\x02' WHERE product_id = 'p'"""
            )
        before = await client.outbox()
        assert await found(client, "wool") == []
        # Several processes do so at the same time.
        filled = await asyncio.gather(*(fill(client) for _ in range(3)))
        assert sorted(one for some in filled for one in some) == sorted(
            [*((tenant_id, f"old-{n}") for tenant_id in (TENANT, "other") for n in range(5)), (TENANT, "p")]
        )
        assert await found(client, "old wig") == [f"old-{number}" for number in range(5)]
        assert (await found(client, "wool"), await found(client, "silk")) == (["p"], [])
        assert await fill(client) == []
        assert (await client.outbox(), (await client.get("p")).version) == (before, 1)


async def fill(client: Client) -> list[tuple[str, str]]:
    """Makes everything findable, a few at a time; what was not."""
    after, filled = ("", ""), []
    while batch := await client.catalog.fill_words(after, limit=2):
        after = batch[-1]
        filled += batch
    return filled


async def test_a_page_costs_no_more_where_there_are_many_products(database_factory: DatabaseFactory) -> None:
    """By the planner's own choice: rare words are fetched by their index, frequent ones found among the next ids."""
    async with running(database_factory("catalog")) as client, client.database.connection() as connection:
        await connection.execute(MANY)
        await connection.execute("ANALYZE products")
        rare = await plan(connection, "'fair/n5':* & 'fair/n50':* & 'fair/wig':*")
        by_words = [node for node in rare if node.get("Index Name") == "products_by_words"]
        assert [node["Actual Loops"] for node in by_words] == [1]
        assert all(node["Node Type"] != "Seq Scan" for node in rare)
        frequent = await plan(connection, "'fair/wig':*")
        assert all(
            node["Actual Loops"] == 0 for node in frequent if node.get("Index Name") == "products_by_words"
        )
        read = [node for node in frequent if node.get("Relation Name") == "products"]
        assert sum(node["Actual Rows"] * node["Actual Loops"] for node in read) <= 5_000
        ids = await store.product_ids_after(
            connection, TENANT, "p006999", **ProductFilter()._asdict(), limit=51, asked=["n6999", "wi"]
        )
        assert ids == ["p013999", "p020999"]


async def test_a_search_that_takes_too_long_is_ended(
    database_factory: DatabaseFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "SEARCH_S_MAX", 0.2)
    async with running(database_factory("catalog")) as client:
        await client.create(plain("p", "Silk wig"))
        async with client.database.connection() as connection, connection.transaction():
            await connection.execute("LOCK TABLE products IN ACCESS EXCLUSIVE MODE")
            with refused("UNAVAILABLE", "DEPENDENCY_UNAVAILABLE"):
                await found(client, "silk")
            running_on = "SELECT count(*) FROM pg_locks WHERE relation = 'products'::regclass AND NOT granted"
            assert await connection.fetchval(running_on) == 0
        assert await found(client, "silk") == ["p"]


async def plan(connection: Any, query: str) -> list[dict[str, Any]]:
    """The nodes of a search's plan, with what came of each."""
    sql = load_queries("services.catalog")["search_product_page"]
    told = await connection.fetchval(
        f"EXPLAIN (ANALYZE, FORMAT JSON) {sql.rstrip().removesuffix(';')}", TENANT, "", "", "", 0, 51, query
    )
    return list(nodes(json.loads(told)[0]["Plan"]))


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's node and those below it."""
    yield node
    for below in node.get("Plans", ()):
        yield from nodes(below)
