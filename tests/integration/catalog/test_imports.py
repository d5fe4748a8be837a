"""Imports by a stream of chunks: what is kept, what is refused and why, and two of them at once."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.type.money_pb2 import Money
from sampan.catalog.v1 import product_service_pb2 as pb

from tests.conftest import DatabaseFactory
from tests.integration.catalog.running import (
    MERCHANT,
    TENANT,
    Client,
    chunk_of,
    eventually,
    merchant_request,
    product_of,
    refused,
    running,
    variant_of,
)

pytestmark = pytest.mark.postgres


def counts(answer: Any) -> tuple[int, int, int, int]:
    """Created, updated, unchanged, refused."""
    return answer.created, answer.updated, answer.unchanged, len(answer.errors)


def reasons(answer: Any) -> list[tuple[int, str, str]]:
    """Line, field and reason of each refused row."""
    assert all(error.message for error in answer.errors)
    return [(error.line, error.field, error.reason) for error in answer.errors]


async def variants_per_product(client: Client) -> dict[str, set[str]]:
    """SKUs by product, as stored."""
    async with client.database.connection() as connection:
        rows = await connection.fetch("SELECT product_id, sku FROM variants")
    stored: dict[str, set[str]] = {}
    for row in rows:
        stored.setdefault(row["product_id"], set()).add(row["sku"])
    return stored


async def test_chunks_create_update_and_leave(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        first = [product_of(f"p{number}") for number in range(5)]
        second = [product_of("p0"), product_of("p1", category="toys"), product_of("p9")]
        answers = await client.load(first, second, second)
        assert list(map(counts, answers)) == [(5, 0, 0, 0), (1, 1, 1, 0), (0, 0, 3, 0)]
        assert [(product.product_id, product.version) for product in await client.outbox()] == [
            *((f"p{number}", 1) for number in range(5)),
            ("p1", 2),
            ("p9", 1),
        ]
        assert (await client.get("p1")).category == "toys"


async def test_good_rows_are_kept_and_bad_ones_reported(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        await client.create(product_of("owner", ["taken"]))
        (answer,) = await client.load(
            [
                product_of("good-1"),
                product_of("bad id"),
                product_of("bad-gtin", variants=[variant_of("x", gtin="123")]),
                product_of("bad-merchant", merchant_id="nobody"),
                product_of("bad-sku", ["new", "taken"]),
                product_of("good-2", ["shared"]),
                product_of("late", ["shared"]),
                product_of("bad-price", variants=[variant_of("y", prices=[Money(currency_code="XXX")])]),
                product_of("", ["z"]),
                product_of("bad-hazard", variants=[variant_of("w", hazards=[99])]),
                product_of("bad-text", titles={"en": "\0"}),
                product_of("good-3"),
            ]
        )
        assert counts(answer) == (3, 0, 0, 9)
        assert reasons(answer) == [
            (2, "product_id", "FIELD_INVALID"),
            (3, "variants[0].gtin", "GTIN_INVALID"),
            (4, "merchant_id", "MERCHANT_NOT_FOUND"),
            (5, "variants[1].sku", "SKU_TAKEN"),
            (7, "variants[0].sku", "SKU_TAKEN"),
            (8, "variants[0].prices[0].currency_code", "CURRENCY_UNKNOWN"),
            (9, "product_id", "FIELD_REQUIRED"),
            (10, "variants[0].hazards[0]", "FIELD_INVALID"),
            (11, "titles.en", "FIELD_INVALID"),
        ]
        assert sorted(await variants_per_product(client)) == ["good-1", "good-2", "good-3", "owner"]


async def test_the_last_good_row_of_a_product_holds(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        (answer,) = await client.load(
            [product_of("p", category="a"), product_of("p", category="b"), product_of("p", hs_code="bad")]
        )
        assert counts(answer) == (1, 0, 1, 1)
        stored = await client.get("p")
        assert (stored.category, stored.version) == ("b", 1)


async def test_a_good_row_holds_where_a_later_one_of_its_product_is_refused(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("catalog")) as client:
        await client.create(product_of("owner", ["taken"]))
        await client.create(product_of("stands", ["s"]))
        (answer,) = await client.load(
            [
                product_of("p", ["p-1"], category="a"),
                product_of("p", ["p-2"], category="b"),
                product_of("p", ["taken"], category="c"),
                product_of("q", ["q-1"], category="a"),
                product_of("q", ["q-2"], merchant_id="nobody"),
                product_of("r", ["r-1"]),
                product_of("r", ["taken"]),
                product_of("r", ["r-2"], merchant_id="nobody"),
                product_of("stands", ["s"], category="toys"),
                product_of("stands", ["s"]),
                product_of("stands", ["s", "taken"]),
                product_of("lost", ["taken"]),
                product_of("lost", ["p-2"]),
                product_of("late", ["p-1"]),
            ]
        )
        assert reasons(answer) == [
            (3, "variants[0].sku", "SKU_TAKEN"),
            (5, "merchant_id", "MERCHANT_NOT_FOUND"),
            (7, "variants[0].sku", "SKU_TAKEN"),
            (8, "merchant_id", "MERCHANT_NOT_FOUND"),
            (11, "variants[1].sku", "SKU_TAKEN"),
            (12, "variants[0].sku", "SKU_TAKEN"),
            (13, "variants[0].sku", "SKU_TAKEN"),
        ]
        # Lines 2, 4, 6 and 14 are kept; 1 was replaced, 9 too, and 10 stood so.
        assert counts(answer) == (4, 0, 3, 7)
        assert await variants_per_product(client) == {
            "owner": {"taken"},
            "stands": {"s"},
            "p": {"p-2"},
            "q": {"q-1"},
            "r": {"r-1"},
            "late": {"p-1"},
        }
        assert (await client.get("p")).category == "b"
        stands = await client.get("stands")
        assert (stands.category, stands.version) == ("hair/wigs", 1)


async def test_a_thousand_refused_rows_of_one_product(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        await client.create(product_of("owner", ["taken"]))
        (answer,) = await client.load([product_of("p", ["p"]), *[product_of("p", ["taken"])] * 999])
        assert counts(answer) == (1, 0, 0, 999)
        assert (await client.get("p")).version == 1


async def test_the_chunks_merchant_holds_for_rows_without(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        await client.merchants.CreateMerchant(merchant_request("second"))
        rows = [product_of("p", merchant_id=""), product_of("q", merchant_id=MERCHANT)]
        requests = [chunk_of(rows, merchant_id="second")]
        (answer,) = [answer async for answer in client.products.ImportProducts(iter(requests))]
        assert counts(answer) == (2, 0, 0, 0)
        assert (await client.get("p")).merchant_id == "second"
        (answer,) = await client.load([product_of("r", merchant_id=""), product_of("p")])
        assert reasons(answer) == [
            (1, "merchant_id", "FIELD_REQUIRED"),
            (2, "merchant_id", "MERCHANT_IMMUTABLE"),
        ]


async def test_skus_move_within_a_chunk_in_its_order(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        await client.load([product_of("p", ["a", "b"]), product_of("q", ["c"])])
        moves = [product_of("p", ["b"]), product_of("q", ["a", "c"])]
        answers = await client.load(moves, moves)
        assert list(map(counts, answers)) == [(0, 2, 0, 0), (0, 0, 2, 0)]
        assert await variants_per_product(client) == {"p": {"b"}, "q": {"a", "c"}}


async def test_statuses_left_open(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        await client.load([product_of("p", status=pb.PRODUCT_STATUS_ARCHIVED), product_of("q", status=0)])
        (answer,) = await client.load(
            [product_of("p", status=0), product_of("q", status=pb.PRODUCT_STATUS_DRAFT)]
        )
        assert counts(answer) == (0, 1, 1, 0)
        assert (await client.get("p")).status == pb.PRODUCT_STATUS_ARCHIVED
        assert (await client.get("q")).status == pb.PRODUCT_STATUS_DRAFT


async def test_tenants_do_not_meet(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        await client.merchants.CreateMerchant(merchant_request(tenant_id="other"))
        await client.load([product_of("p", ["s"])])
        (answer,) = await client.load([product_of("p", ["s"], category="toys")], tenant_id="other")
        assert counts(answer) == (1, 0, 0, 0)
        assert (await client.get("p")).category == "hair/wigs"


async def test_a_chunk_has_1_to_1000_rows(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        (answer,) = await client.load([product_of(f"p{number}") for number in range(1_000)])
        assert counts(answer) == (1_000, 0, 0, 0)
        with refused("INVALID_ARGUMENT", "TOO_MANY_ITEMS", "rows"):
            await client.load([product_of("q")] * 1_001)
        with refused("INVALID_ARGUMENT", "FIELD_REQUIRED", "rows"):
            await client.load([])
        with refused("INVALID_ARGUMENT", "FIELD_REQUIRED", "tenant_id"):
            await client.load([product_of("q")], tenant_id="")


async def test_earlier_chunks_stay_when_a_later_one_ends_the_stream(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("catalog")) as client:
        requests = [chunk_of([product_of("p")]), chunk_of([])]
        answers: list[Any] = []
        with refused("INVALID_ARGUMENT", "FIELD_REQUIRED", "rows"):
            async for answer in client.products.ImportProducts(iter(requests)):
                answers.append(answer)
        assert list(map(counts, answers)) == [(1, 0, 0, 0)]
        await client.get("p")


async def test_a_chunk_is_answered_before_the_next_is_sent(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        call = client.products.ImportProducts()
        for number in range(3):
            await call.write(chunk_of([product_of(f"p{number}")]))
            assert counts(await asyncio.wait_for(call.read(), 5)) == (1, 0, 0, 0)
        await call.done_writing()
        assert await call.read() == grpc.aio.EOF


async def test_more_imports_than_allowed_are_refused_until_one_ends(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("catalog"), import_streams_max=1) as client:
        first = client.products.ImportProducts()
        await first.write(chunk_of([product_of("p")]))
        assert counts(await first.read()) == (1, 0, 0, 0)
        with refused("RESOURCE_EXHAUSTED", "OVERLOADED") as seen:
            await client.load([product_of("q")])
        assert seen[0].retry_after_s == 1
        first.cancel()
        answers = await eventually(lambda: client.load([product_of("q")]), reason="OVERLOADED")
        assert counts(answers[0]) == (1, 0, 0, 0)


async def test_two_imports_of_the_same_rows_change_each_product_once(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("catalog")) as client:
        for round_number in range(4):
            rows = [
                product_of(f"p{number}", [f"{number}-a", f"{number}-b"], category=f"round-{round_number}")
                for number in range(300)
            ]
            shuffled = [random.Random(seed).sample(rows, len(rows)) for seed in range(4)]
            answers = await asyncio.gather(*(client.load(some[:150], some[150:]) for some in shuffled))
            assert [error for answer in answers for part in answer for error in part.errors] == []
            total = [
                sum(column) for column in zip(*(counts(part) for a in answers for part in a), strict=True)
            ]
            assert total == [300 if round_number == 0 else 0, 300 if round_number else 0, 900, 0]
        async with client.database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM products WHERE version = 4") == 300
            assert await connection.fetchval("SELECT count(*) FROM outbox") == 1_200


async def test_imports_that_fight_for_skus_leave_each_with_one_product(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("catalog"), import_streams_max=6) as client:

        async def fight(seed: int) -> None:
            dice = random.Random(seed)
            for _ in range(12):
                rows = [
                    product_of(
                        f"p{product}", dice.sample([f"s{number}" for number in range(30)], 3), hs_code=""
                    )
                    for product in dice.sample(range(12), 8)
                ]
                (answer,) = await client.load(rows)
                assert {error.reason for error in answer.errors} <= {"SKU_TAKEN"}

        await asyncio.gather(*(fight(seed) for seed in range(6)))
        stored = await variants_per_product(client)
        newest = {product.product_id: product for product in await client.outbox()}
        assert stored == {
            product_id: {variant.sku for variant in product.variants}
            for product_id, product in newest.items()
        }


async def test_a_client_that_goes_away_leaves_whole_chunks(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:

        async def endless() -> AsyncIterator[pb.ImportProductsRequest]:
            number = 0
            while True:
                yield chunk_of(
                    [
                        product_of(f"p{number}-{row}", variants=[variant_of(f"{number}-{row}")])
                        for row in range(100)
                    ]
                )
                number += 1

        call = client.products.ImportProducts(endless())
        answered = 0
        async for answer in call:
            answered += answer.created
            if answered >= 300:
                call.cancel()
                break
        await asyncio.sleep(0.5)
        async with client.database.connection() as connection:
            stored = await connection.fetchval("SELECT count(*) FROM products WHERE tenant_id = $1", TENANT)
        assert stored >= 300
        assert stored % 100 == 0
