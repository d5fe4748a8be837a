"""Endpoints and their log by gRPC over a real PostgreSQL: what is kept, what is told, and to whom."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from google.protobuf.duration_pb2 import Duration
from sampan.webhooks.v1 import delivery_service_pb2 as delivery_pb
from sampan.webhooks.v1 import endpoint_service_pb2 as endpoint_pb

from services.webhooks.commands.deliveries import Deliveries
from services.webhooks.commands.endpoints import Endpoints
from services.webhooks.domain.endpoints import ENDPOINTS_MAX
from services.webhooks.sealing import Vault
from tests.conftest import DatabaseFactory
from tests.integration.webhooks.running import KEY, TENANT, refused, running, told

pytestmark = pytest.mark.postgres

URL = "https://hooks.example.com/sampan"
NOBODY = "00000000-0000-7000-8000-000000000000"


async def test_a_secret_is_told_once_and_kept_sealed(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("webhooks")) as client:
        issued = await client.create(URL)
        random_part = issued.secret.removeprefix("whsec_")
        assert len(random_part) == 44
        [row] = await client.rows("SELECT sealed FROM secrets")
        assert client.vault.open(row["sealed"]) == issued.secret
        tables = await client.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        assert {"endpoints", "secrets", "deliveries"} <= {row["tablename"] for row in tables}
        for table in tables:
            for row in await client.rows(f"SELECT * FROM {table['tablename']}"):
                for value in row.values():
                    assert random_part not in str(value)
                    assert not isinstance(value, bytes) or random_part.encode() not in value
        listed = await client.endpoints.ListEndpoints(endpoint_pb.ListEndpointsRequest(tenant_id=TENANT))
        assert list(listed.endpoints) == [issued.endpoint] == [await client.get(issued.endpoint.endpoint_id)]
        assert random_part not in str(listed)


async def test_a_repeated_creation_makes_one_endpoint_and_tells_its_secret_once(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("webhooks")) as client:
        answers = await asyncio.gather(*(client.create(URL, request_id="same") for _ in range(8)))
        [first] = [one for one in answers if not one.replayed]
        assert first.secret
        assert {one.secret for one in answers if one.replayed} == {""}
        assert {one.endpoint.endpoint_id for one in answers} == {first.endpoint.endpoint_id}
        with refused("FAILED_PRECONDITION", "REQUEST_ID_REUSED", "request_id"):
            await client.create(URL, "order.placed", request_id="same")
        assert (await client.create(URL, tenant_id="other", request_id="same")).secret


async def test_another_tenants_endpoint_is_not_there(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("webhooks")) as client:
        endpoint_id = (await client.create(URL)).endpoint.endpoint_id
        await client.tell(told())
        [delivery] = await client.log(endpoint_id)
        for found in (endpoint_id, NOBODY, "no-uuid", endpoint_id.upper()):
            named: dict[str, Any] = {"tenant_id": "other", "endpoint_id": found}
            for call, request in (
                (client.endpoints.GetEndpoint, endpoint_pb.GetEndpointRequest(**named)),
                (client.endpoints.UpdateEndpoint, endpoint_pb.UpdateEndpointRequest(**named, url=URL)),
                (client.endpoints.DeleteEndpoint, endpoint_pb.DeleteEndpointRequest(**named)),
                (client.endpoints.EnableEndpoint, endpoint_pb.EnableEndpointRequest(**named)),
                (client.endpoints.DisableEndpoint, endpoint_pb.DisableEndpointRequest(**named)),
                (
                    client.endpoints.RotateSecret,
                    endpoint_pb.RotateSecretRequest(**named, request_id="r"),
                ),
                (client.deliveries.SendTestEvent, delivery_pb.SendTestEventRequest(**named)),
                (client.deliveries.ListDeliveries, delivery_pb.ListDeliveriesRequest(**named)),
            ):
                with refused("NOT_FOUND", "WEBHOOK_ENDPOINT_NOT_FOUND"):
                    await call(request)
        for delivery_id in (delivery.delivery_id, NOBODY, "no-uuid"):
            named = {"tenant_id": "other", "delivery_id": delivery_id}
            with refused("NOT_FOUND", "DELIVERY_NOT_FOUND"):
                await client.deliveries.GetDelivery(delivery_pb.GetDeliveryRequest(**named))
            with refused("NOT_FOUND", "DELIVERY_NOT_FOUND"):
                await client.deliveries.Redeliver(delivery_pb.RedeliverRequest(**named))
        assert (await client.get(endpoint_id)).version == 1


async def test_wrong_content_is_refused_at_its_field_and_stores_nothing(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("webhooks"), insecure=False) as client:
        for changes, reason, field in (
            ({"url": ""}, "FIELD_REQUIRED", "url"),
            ({"url": "http://hooks.example.com/"}, "URL_REFUSED", "url"),
            ({"url": "https://169.254.169.254/latest"}, "URL_REFUSED", "url"),
            ({"event_types": ["order.placed", "order.eaten"]}, "EVENT_TYPE_UNKNOWN", "event_types[1]"),
            ({"event_types": ["webhook.test"]}, "EVENT_TYPE_UNKNOWN", "event_types[0]"),
            ({"event_types": ["order.placed"] * 2}, "FIELD_INVALID", "event_types"),
            ({"event_types": ["order.placed"] * 51}, "TOO_MANY_ITEMS", "event_types"),
            ({"description": "x" * 201}, "FIELD_INVALID", "description"),
            ({"description": "a\nb"}, "FIELD_INVALID", "description"),
            ({"request_id": ""}, "FIELD_REQUIRED", "request_id"),
            ({"tenant_id": "A B"}, "FIELD_INVALID", "tenant_id"),
        ):
            stated = {"tenant_id": TENANT, "request_id": "r", "url": URL} | changes
            with refused("INVALID_ARGUMENT", reason, field):
                await client.endpoints.CreateEndpoint(endpoint_pb.CreateEndpointRequest(**stated))
        endpoint_id = (await client.create(URL)).endpoint.endpoint_id
        for period in (Duration(seconds=-1), Duration(seconds=31 * 86_400), Duration(seconds=10**12)):
            with refused("INVALID_ARGUMENT", "FIELD_INVALID", "grace_period"):
                await client.endpoints.RotateSecret(
                    endpoint_pb.RotateSecretRequest(
                        tenant_id=TENANT, endpoint_id=endpoint_id, request_id="r", grace_period=period
                    )
                )
        assert len(await client.rows("SELECT 1 FROM endpoints")) == 1
        assert len(await client.rows("SELECT 1 FROM secrets")) == 1


async def test_a_tenant_has_at_most_so_many_endpoints_however_fast_it_asks(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("webhooks")) as client:
        asked = (client.create(f"{URL}/{number}") for number in range(ENDPOINTS_MAX + 5))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(one, endpoint_pb.IssuedEndpoint) for one in answers) == ENDPOINTS_MAX
        with refused("FAILED_PRECONDITION", "ENDPOINTS_AT_MAX"):
            await client.create(URL)
        assert (await client.create(URL, tenant_id="other")).secret


async def test_lists_come_in_pages_and_a_token_is_of_its_filter(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("webhooks")) as client:
        made = [(await client.create(f"{URL}/{n}")).endpoint.endpoint_id for n in range(3)]
        found, token = [], ""
        while True:
            page = await client.endpoints.ListEndpoints(
                endpoint_pb.ListEndpointsRequest(tenant_id=TENANT, page_size=2, page_token=token)
            )
            found += [one.endpoint_id for one in page.endpoints]
            token = page.next_page_token
            if not token:
                break
        assert found == made
        messages = [told(number=number) for number in range(5)]
        await client.tell(*messages)
        request = delivery_pb.ListDeliveriesRequest(tenant_id=TENANT, endpoint_id=made[0], page_size=3)
        first = await client.deliveries.ListDeliveries(request)
        request.page_token = first.next_page_token
        rest = await client.deliveries.ListDeliveries(request)
        listed = [one.message_id for one in (*first.deliveries, *rest.deliveries)]
        assert (listed, rest.next_page_token) == ([one.message_id for one in reversed(messages)], "")
        request.state = delivery_pb.DELIVERY_STATE_FAILED
        with refused("INVALID_ARGUMENT", "PAGE_TOKEN_MISMATCH", "page_token"):
            await client.deliveries.ListDeliveries(request)
        request.page_token = ""
        assert list((await client.deliveries.ListDeliveries(request)).deliveries) == []
        whole = await client.deliveries.GetDelivery(
            delivery_pb.GetDeliveryRequest(tenant_id=TENANT, delivery_id=first.deliveries[0].delivery_id)
        )
        assert (whole.body, whole.endpoint_id) == (messages[-1].body, made[0])


async def test_a_deleted_endpoint_is_gone_with_its_secrets_and_what_waits_for_it(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("webhooks")) as client:
        endpoint = (await client.create(URL)).endpoint
        await client.tell(told())
        [delivery] = await client.log(endpoint.endpoint_id)
        request = endpoint_pb.DeleteEndpointRequest(tenant_id=TENANT, endpoint_id=endpoint.endpoint_id)
        assert (await client.endpoints.DeleteEndpoint(request)).url == URL
        assert await client.rows("SELECT 1 FROM secrets") == []
        with refused("NOT_FOUND", "WEBHOOK_ENDPOINT_NOT_FOUND"):
            await client.log(endpoint.endpoint_id)
        with refused("NOT_FOUND", "DELIVERY_NOT_FOUND"):
            await client.redeliver(delivery.delivery_id)
        await client.tell(told())
        assert len(await client.rows("SELECT 1 FROM deliveries")) == 1


async def test_what_is_old_is_forgotten_and_what_is_not_stays(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("webhooks")) as client:
        endpoint_id = (await client.create(URL)).endpoint.endpoint_id
        await client.tell(told(), told())
        [newer, older] = await client.log(endpoint_id)
        await client.rows(
            "UPDATE deliveries SET create_time = $1 WHERE delivery_id = $2",
            datetime.now(UTC) - timedelta(days=15),
            older.delivery_id,
        )
        forgotten = await Deliveries(client.database).forget(older_than_s=14 * 86_400, limit=10)
        assert forgotten == 1
        assert [one.delivery_id for one in await client.log(endpoint_id)] == [newer.delivery_id]


async def test_a_sealing_key_is_replaced_without_a_secret_being_lost(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("webhooks")) as client:
        secrets = {(await client.create(f"{URL}/{number}")).secret for number in range(3)}
        new = Fernet.generate_key().decode()
        endpoints = Endpoints(client.database, Vault([new, KEY]))
        assert [await endpoints.seal_anew(limit=2) for _ in range(3)] == [2, 1, 0]
        rows = await client.rows("SELECT sealed FROM secrets")
        assert {Vault([new]).open(row["sealed"]) for row in rows} == secrets
