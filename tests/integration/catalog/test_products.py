"""Products by gRPC over a real PostgreSQL: creation, change, reading, lists."""

import asyncio
from typing import Any

import grpc
import pytest
import structlog.testing
from google.type.money_pb2 import Money
from sampan.catalog.v1 import product_service_pb2 as pb

from services.chassis import request_keys, trace
from services.chassis.rpc.status import error_of
from tests.conftest import DatabaseFactory
from tests.integration.catalog.running import (
    MERCHANT,
    TENANT,
    Client,
    merchant_request,
    product_of,
    refused,
    running,
    variant_of,
)

pytestmark = pytest.mark.postgres


def content_of(product: pb.Product) -> pb.Product:
    """A product without what the service sets."""
    content = pb.Product()
    content.CopyFrom(product)
    for field in ("version", "etag", "create_time", "update_time"):
        content.ClearField(field)
    return content


async def listed(client: Client, page_size: int = 50, **chosen: Any) -> list[str]:
    """All ids that a list gives, page by page."""
    seen: list[str] = []
    token = ""
    while True:
        page = await client.products.ListProducts(
            pb.ListProductsRequest(tenant_id=TENANT, page_size=page_size, page_token=token, **chosen)
        )
        assert len(page.products) <= page_size
        seen += [product.product_id for product in page.products]
        token = page.next_page_token
        if not token:
            return seen


async def test_what_is_created_is_read_back(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        stated = product_of("bob.18", ["b", "a", "Ä ß"])
        created = await client.create(stated)
        assert content_of(created) == stated
        assert (created.version, created.etag) == (1, "1")
        assert created.create_time == created.update_time
        assert await client.get("bob.18") == created
        assert await client.outbox() == [created]


async def test_the_least_that_a_product_needs(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        least = pb.Product(
            product_id="p",
            merchant_id=MERCHANT,
            titles={"en": "x"},
            variants=[pb.Variant(sku="s", prices=[Money(currency_code="USD")])],
        )
        created = await client.create(least)
        assert created.status == pb.PRODUCT_STATUS_ACTIVE
        assert not created.variants[0].HasField("dimensions")
        assert await client.get("p") == created


async def test_a_repeated_creation_gets_the_same_answer(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        created = await client.create(product_of("p"), request_id="r")
        await client.update(product_of("p", category="hair"), etag="1")
        assert await client.create(product_of("p"), request_id="r") == created
        with refused("FAILED_PRECONDITION", "REQUEST_ID_REUSED", "request_id"):
            await client.create(product_of("p", category="toys"), request_id="r")
        with refused("ALREADY_EXISTS", "PRODUCT_EXISTS", "product_id"):
            await client.create(product_of("p"), request_id="another")
        assert [product.version for product in await client.outbox()] == [1, 2]


async def test_request_ids_are_each_tenants_own(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        await client.merchants.CreateMerchant(merchant_request(tenant_id="other"))
        await client.create(product_of("p"), request_id="r")
        await client.create(product_of("q", ["p-1"]), request_id="r", tenant_id="other")


async def test_concurrent_creations_make_one_product(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        same = await asyncio.gather(*(client.create(product_of("p"), request_id="r") for _ in range(8)))
        assert all(answer == same[0] for answer in same)
        others = await asyncio.gather(
            *(client.create(product_of("q"), request_id=f"r{number}") for number in range(8)),
            return_exceptions=True,
        )
        failures = [error_of(answer) for answer in others if isinstance(answer, grpc.aio.AioRpcError)]
        assert [failure.reason for failure in failures] == ["PRODUCT_EXISTS"] * 7
        assert [product.product_id for product in await client.outbox()] == ["p", "q"]


async def test_what_a_creation_needs_must_be_there(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        with refused("INVALID_ARGUMENT", "FIELD_REQUIRED", "product"):
            await client.products.CreateProduct(pb.CreateProductRequest(tenant_id=TENANT, request_id="r"))
        with refused("INVALID_ARGUMENT", "FIELD_REQUIRED", "request_id"):
            await client.products.CreateProduct(
                pb.CreateProductRequest(tenant_id=TENANT, product=product_of("p"))
            )
        with refused("INVALID_ARGUMENT", "FIELD_INVALID", "request_id"):
            await client.create(product_of("p"), request_id="NUL \0")
        with refused("INVALID_ARGUMENT", "FIELD_REQUIRED", "tenant_id"):
            await client.create(product_of("p"), tenant_id="")
        with refused("NOT_FOUND", "MERCHANT_NOT_FOUND", "merchant_id"):
            await client.create(product_of("p", merchant_id="nobody"))
        with refused("INVALID_ARGUMENT", "GTIN_INVALID", "variants[1].gtin"):
            await client.create(
                product_of("p", variants=[variant_of("a"), variant_of("b", gtin="4006381333932")])
            )
        assert await client.outbox() == []
        # A refusal keeps no request id: the corrected request may use it.
        await client.create(product_of("p"), request_id="create p")


async def test_a_sku_has_one_product(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        await client.create(product_of("p", ["s", "t"]))
        with refused("ALREADY_EXISTS", "SKU_TAKEN", "variants[1].sku"):
            await client.create(product_of("q", ["new", "t"]))
        await client.create(product_of("q", ["S"]))
        with refused("ALREADY_EXISTS", "SKU_TAKEN", "variants[0].sku"):
            await client.update(product_of("q", ["s"]), etag="1")
        await client.update(product_of("p", ["t"]), etag="1")
        moved = await client.update(product_of("q", ["s"]), etag="1")
        assert [variant.sku for variant in moved.variants] == ["s"]
        assert [variant.sku for variant in (await client.get("p")).variants] == ["t"]


async def test_an_update_needs_the_etag_that_is_stored(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        created = await client.create(product_of("p", ["a", "b"]))
        changed = product_of("p", ["b", "c", "a"], titles={"en": "New"}, status=pb.PRODUCT_STATUS_ARCHIVED)
        updated = await client.update(changed, etag=created.etag)
        assert content_of(updated) == changed
        assert (updated.version, updated.etag, updated.create_time) == (2, "2", created.create_time)
        assert await client.get("p") == updated
        with refused("ABORTED", "ETAG_MISMATCH", "etag"):
            await client.update(product_of("p"), etag=created.etag)
        with refused("INVALID_ARGUMENT", "FIELD_REQUIRED", "etag"):
            await client.update(product_of("p"), etag="")
        overwritten = await client.update(product_of("p"), etag="*")
        assert overwritten.version == 3
        assert await client.update(product_of("p"), etag="3") == overwritten
        assert await client.outbox() == [created, updated, overwritten]


async def test_an_update_without_a_status_leaves_it(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        await client.create(product_of("p", status=pb.PRODUCT_STATUS_DRAFT))
        updated = await client.update(product_of("p", status=0, category="toys"), etag="1")
        assert updated.status == pb.PRODUCT_STATUS_DRAFT


async def test_updates_that_cannot_be(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        await client.create(product_of("p"))
        await client.merchants.CreateMerchant(merchant_request("second"))
        with refused("NOT_FOUND", "PRODUCT_NOT_FOUND"):
            await client.update(product_of("q"), etag="*")
        with refused("NOT_FOUND", "PRODUCT_NOT_FOUND"):
            await client.update(product_of("p"), etag="*", tenant_id="other")
        with refused("FAILED_PRECONDITION", "MERCHANT_IMMUTABLE", "merchant_id"):
            await client.update(product_of("p", merchant_id="second"), etag="1")


async def test_of_concurrent_updates_one_wins(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        await client.create(product_of("p"))
        answers = await asyncio.gather(
            *(client.update(product_of("p", category=f"c{number}"), etag="1") for number in range(6)),
            return_exceptions=True,
        )
        failures = [error_of(answer) for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
        assert [failure.reason for failure in failures] == ["ETAG_MISMATCH"] * 5
        assert (await client.get("p")).version == 2


async def test_ids_that_nobody_has_are_not_found(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        await client.create(product_of("p"))
        for product_id in ("P", "", "q", "NUL \0", "💇", "x" * 10_000):
            with refused("NOT_FOUND", "PRODUCT_NOT_FOUND"):
                await client.get(product_id)
        with refused("NOT_FOUND", "PRODUCT_NOT_FOUND"):
            await client.get("p", tenant_id="other")


async def test_a_batch_answers_each_id_in_its_place(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        created = {name: await client.create(product_of(name)) for name in "abc"}
        asked = ["c", "nobody", "a", "\0", "c"]
        reply = await client.products.BatchGetProducts(
            pb.BatchGetProductsRequest(tenant_id=TENANT, product_ids=asked)
        )
        assert [result.WhichOneof("result") for result in reply.results] == [
            "product",
            "error",
            "product",
            "error",
            "product",
        ]
        for name, result in zip(asked, reply.results, strict=True):
            if result.HasField("product"):
                assert result.product == created[name]
            else:
                assert error_of(result.error).reason == "PRODUCT_NOT_FOUND"
        other = await client.products.BatchGetProducts(
            pb.BatchGetProductsRequest(tenant_id="other", product_ids=["a"])
        )
        assert error_of(other.results[0].error).code == "NOT_FOUND"
        with refused("INVALID_ARGUMENT", "FIELD_REQUIRED", "product_ids"):
            await client.products.BatchGetProducts(pb.BatchGetProductsRequest(tenant_id=TENANT))
        with refused("INVALID_ARGUMENT", "TOO_MANY_ITEMS", "product_ids"):
            await client.products.BatchGetProducts(
                pb.BatchGetProductsRequest(tenant_id=TENANT, product_ids=["a"] * 201)
            )


async def test_a_reply_stays_within_its_size(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        long = {f"en-x-a{number}": "x" * 20_000 for number in range(19)}
        (answer,) = await client.load(
            [product_of(f"p{number:02}", descriptions=long) for number in range(10)]
        )
        assert answer.created == 10
        await client.load(
            *(
                [product_of(f"q{batch}{number}", descriptions=long) for number in range(9)]
                for batch in range(3)
            )
        )
        assert len(await listed_bytewise(client)) == 37
        reply = await client.products.BatchGetProducts(
            pb.BatchGetProductsRequest(tenant_id=TENANT, product_ids=["p00"] * 40)
        )
        assert reply.ByteSize() < 12_100_000
        assert error_of(reply.results[-1].error).reason == "OVERLOADED"


async def listed_bytewise(client: Client) -> list[str]:
    """All ids; asserts that pages are cut by size."""
    seen: list[str] = []
    token = ""
    pages = 0
    while True:
        page = await client.products.ListProducts(
            pb.ListProductsRequest(tenant_id=TENANT, page_size=200, page_token=token)
        )
        pages += 1
        seen += [product.product_id for product in page.products]
        token = page.next_page_token
        if not token:
            assert pages == 2
            assert seen == sorted(set(seen))
            return seen


async def test_lists_by_filter_and_page(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        await client.merchants.CreateMerchant(merchant_request("second"))
        categories = ["", "hair", "hair/wigs", "hair/wigs/bob", "hair-care", "hair0", "toys"]
        for number, category in enumerate(categories):
            await client.create(
                product_of(
                    f"p{number}",
                    category=category,
                    merchant_id="second" if number % 2 else MERCHANT,
                    status=number % 3 + 1,
                )
            )
        everything = [f"p{number}" for number in range(7)]
        for page_size in (1, 2, 3, 7, 8):
            assert await listed(client, page_size) == everything
        assert await listed(client, 2, category="hair") == ["p1", "p2", "p3"]
        assert await listed(client, 1, category="hair/wigs") == ["p2", "p3"]
        assert await listed(client, 1, merchant_id="second") == ["p1", "p3", "p5"]
        assert await listed(client, status=pb.PRODUCT_STATUS_ACTIVE) == ["p1", "p4"]
        assert await listed(client, category="hair", merchant_id="second", status=2) == ["p1"]
        assert await listed(client, merchant_id="nobody") == []
        other = await client.products.ListProducts(pb.ListProductsRequest(tenant_id="other"))
        assert list(other.products) == []


async def test_a_list_refuses_what_makes_no_sense(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        await client.create(product_of("p"))
        await client.create(product_of("q"))
        first = await client.products.ListProducts(
            pb.ListProductsRequest(tenant_id=TENANT, page_size=1, category="hair")
        )
        for changed, reason, field in (
            ({"page_token": first.next_page_token}, "PAGE_TOKEN_MISMATCH", "page_token"),
            ({"page_token": "garbage"}, "PAGE_TOKEN_INVALID", "page_token"),
            ({"page_token": "x" * 5_000}, "PAGE_TOKEN_INVALID", "page_token"),
            ({"page_size": -1}, "FIELD_INVALID", "page_size"),
            ({"merchant_id": "NUL \0"}, "FIELD_INVALID", "merchant_id"),
            ({"category": "NUL \0"}, "FIELD_INVALID", "category"),
            ({"status": 9}, "FIELD_INVALID", "status"),
        ):
            with refused("INVALID_ARGUMENT", reason, field):
                await client.products.ListProducts(pb.ListProductsRequest(tenant_id=TENANT, **changed))


async def test_old_request_ids_are_forgotten_in_time(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        await client.create(product_of("p"), request_id="old")
        await client.create(product_of("q"), request_id="new")
        async with client.database.connection() as connection:
            await connection.execute(
                "UPDATE request_key SET create_time = now() - interval '3 days' WHERE request_id = 'old'"
            )
        assert await request_keys.forget(client.database, older_than_s=2 * 86_400, limit=10) == 1
        with refused("ALREADY_EXISTS", "PRODUCT_EXISTS"):
            await client.create(product_of("p"), request_id="old")
        await client.create(product_of("q"), request_id="new")


async def test_only_sampled_calls_are_logged(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        for sampled in ("00", "01"):
            trace.set_current(f"00-0123456789abcdef0123456789abcdef-0123456789abcdef-{sampled}")
            with structlog.testing.capture_logs() as lines:
                await client.create(product_of(f"p{sampled}"))
                await client.update(product_of(f"p{sampled}", category="toys"), etag="1")
                await client.load([product_of(f"p{sampled}")])
            events = [line["event"] for line in lines]
            expected = ["product created", "product updated", "chunk imported"]
            assert events == (expected if sampled == "01" else [])
