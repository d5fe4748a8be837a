"""Merchants by gRPC over a real PostgreSQL."""

import asyncio

import pytest
from sampan.catalog.v1 import merchant_service_pb2 as merchant_pb

from tests.conftest import DatabaseFactory
from tests.integration.catalog.running import MERCHANT, TENANT, merchant_request, refused, running

pytestmark = pytest.mark.postgres


async def test_create_get_and_repeat(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        request = merchant_request("fridge-co", display_name="Fridge & Co", region_code="TH")
        created = await client.merchants.CreateMerchant(request)
        assert created.create_time.seconds > 0
        assert await client.merchants.CreateMerchant(request) == created
        asked = merchant_pb.GetMerchantRequest(tenant_id=TENANT, merchant_id="fridge-co")
        assert await client.merchants.GetMerchant(asked) == created
        with refused("ALREADY_EXISTS", "MERCHANT_EXISTS", "merchant_id"):
            await client.merchants.CreateMerchant(merchant_request("fridge-co", display_name="Other"))


async def test_concurrent_creations_agree(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        request = merchant_request("twins")
        answers = await asyncio.gather(*(client.merchants.CreateMerchant(request) for _ in range(10)))
        assert all(answer == answers[0] for answer in answers)


async def test_bad_merchants_are_refused(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        for changed, reason, field in (
            ({"merchant_id": ""}, "FIELD_REQUIRED", "merchant_id"),
            ({"merchant_id": "UPPER"}, "FIELD_INVALID", "merchant_id"),
            ({"display_name": ""}, "FIELD_REQUIRED", "display_name"),
            ({"display_name": "\0"}, "FIELD_INVALID", "display_name"),
            ({"display_name": "x" * 201}, "FIELD_INVALID", "display_name"),
            ({"region_code": ""}, "FIELD_REQUIRED", "region_code"),
            ({"region_code": "XX"}, "REGION_UNKNOWN", "region_code"),
            ({"tenant_id": ""}, "FIELD_REQUIRED", "tenant_id"),
        ):
            with refused("INVALID_ARGUMENT", reason, field):
                await client.merchants.CreateMerchant(merchant_request(**changed))
        with refused("INVALID_ARGUMENT", "FIELD_REQUIRED", "merchant"):
            await client.merchants.CreateMerchant(merchant_pb.CreateMerchantRequest(tenant_id=TENANT))


async def test_another_tenant_sees_nothing(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        with refused("NOT_FOUND", "MERCHANT_NOT_FOUND"):
            await client.merchants.GetMerchant(
                merchant_pb.GetMerchantRequest(tenant_id="other", merchant_id=MERCHANT)
            )
        with refused("NOT_FOUND", "MERCHANT_NOT_FOUND"):
            await client.merchants.GetMerchant(
                merchant_pb.GetMerchantRequest(tenant_id=TENANT, merchant_id="NUL \0")
            )
        listed = await client.merchants.ListMerchants(merchant_pb.ListMerchantsRequest(tenant_id="other"))
        assert list(listed.merchants) == []


async def test_pages_hold_every_merchant_once(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("catalog")) as client:
        for number in range(7):
            await client.merchants.CreateMerchant(merchant_request(f"m-{number}"))
        seen: list[str] = []
        token = ""
        while True:
            page = await client.merchants.ListMerchants(
                merchant_pb.ListMerchantsRequest(tenant_id=TENANT, page_size=3, page_token=token)
            )
            seen += [merchant.merchant_id for merchant in page.merchants]
            token = page.next_page_token
            if not token:
                break
        assert seen == [*(f"m-{number}" for number in range(7)), MERCHANT]
        first = await client.merchants.ListMerchants(
            merchant_pb.ListMerchantsRequest(tenant_id=TENANT, page_size=3)
        )
        with refused("INVALID_ARGUMENT", "PAGE_TOKEN_MISMATCH", "page_token"):
            await client.merchants.ListMerchants(
                merchant_pb.ListMerchantsRequest(tenant_id="other", page_token=first.next_page_token)
            )
