"""An access server on a free port over a real database, and the calls that a client makes to it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import grpc
import pytest
from sampan.access.v1 import api_key_service_pb2 as key_pb
from sampan.access.v1 import api_key_service_pb2_grpc as key_grpc
from sampan.access.v1 import events_pb2
from sampan.access.v1 import rate_limit_service_pb2_grpc as limit_grpc
from sampan.access.v1 import tenant_service_pb2 as tenant_pb
from sampan.access.v1 import tenant_service_pb2_grpc as tenant_grpc

from services.access import events, rpc
from services.access.commands import Access
from services.access.config import AccessSettings
from services.chassis.pg import Database
from services.chassis.rpc.channel import make_channel
from services.chassis.rpc.server import make_server
from services.chassis.rpc.status import error_of

TENANT = "acme"
ACTOR = "key:0"


class Client(NamedTuple):
    """Stubs, and the database below the server for a look behind it."""

    tenants: Any
    keys: Any
    limits: Any
    access: Access
    database: Database

    async def rows(self, query: str, *arguments: object) -> list[Any]:
        """What a query finds."""
        async with self.database.connection() as connection:
            return list(await connection.fetch(query, *arguments))

    async def snapshots(self) -> list[Any]:
        """What waits to be published of keys, oldest first."""
        query = "SELECT key, version, payload FROM outbox WHERE topic = $1 ORDER BY id"
        rows = await self.rows(query, events.KEYS_TOPIC)
        found = [events_pb2.ApiKeySnapshot.FromString(row["payload"]) for row in rows]
        for row, snapshot in zip(rows, found, strict=True):
            assert row["key"] == f"{snapshot.tenant_id}/{snapshot.api_key_id}"
            assert row["version"] == snapshot.version
        return found

    async def create(self, request_id: str = "r1", **changes: Any) -> key_pb.IssuedApiKey:
        """Creates a key."""
        stated: dict[str, Any] = {
            "tenant_id": TENANT,
            "display_name": "Checkout",
            "roles": [key_pb.ROLE_STOREFRONT],
            "actor": ACTOR,
        }
        issued: key_pb.IssuedApiKey = await self.keys.CreateApiKey(
            key_pb.CreateApiKeyRequest(request_id=request_id, **(stated | changes))
        )
        return issued

    async def rotate(self, api_key_id: str, request_id: str, **changes: Any) -> key_pb.IssuedApiKey:
        """Gives a key another secret."""
        issued: key_pb.IssuedApiKey = await self.keys.RotateApiKey(
            key_pb.RotateApiKeyRequest(
                tenant_id=TENANT, api_key_id=api_key_id, request_id=request_id, actor=ACTOR, **changes
            )
        )
        return issued

    async def revoke(self, api_key_id: str, secret_id: str = "", tenant_id: str = TENANT) -> key_pb.ApiKey:
        """Ends a key or a secret."""
        ended: key_pb.ApiKey = await self.keys.RevokeApiKey(
            key_pb.RevokeApiKeyRequest(
                tenant_id=tenant_id, api_key_id=api_key_id, secret_id=secret_id, actor=ACTOR
            )
        )
        return ended


@contextlib.asynccontextmanager
async def running(dsn: str) -> AsyncIterator[Client]:
    """A server without a relay, with one tenant."""
    database = await Database.open(dsn, name="test-access", acquire_s_max=5)
    access = Access(
        database,
        tenant_snapshot=events.tenant_snapshot,
        key_snapshot=events.key_snapshot,
        after_commit=lambda: None,
    )
    server = make_server(AccessSettings(dsn=dsn), max_concurrent=100)
    tenant_grpc.add_TenantServiceServicer_to_server(rpc.TenantService(access), server)
    key_grpc.add_ApiKeyServiceServicer_to_server(rpc.ApiKeyService(access), server)
    limit_grpc.add_RateLimitServiceServicer_to_server(rpc.RateLimitService(access), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with make_channel(f"127.0.0.1:{port}", retryable_methods=()) as channel:
            client = Client(
                tenant_grpc.TenantServiceStub(channel),
                key_grpc.ApiKeyServiceStub(channel),
                limit_grpc.RateLimitServiceStub(channel),
                access,
                database,
            )
            await client.tenants.CreateTenant(
                tenant_pb.CreateTenantRequest(tenant_id=TENANT, display_name="Acme", actor=ACTOR)
            )
            yield client
    finally:
        await server.stop(1)
        await database.close()


@contextlib.contextmanager
def refused(code: str, reason: str) -> Iterator[None]:
    """Expects a failed call with this status and reason."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    error = error_of(caught.value)
    assert (error.code, error.reason, error.domain) == (code, reason, "sampan.access")
