"""The gRPC services of access: protobuf in and out, the errors of the contract; no rules and no SQL."""

from typing import Any, TypeAlias

import grpc
from sampan.access.v1 import api_key_service_pb2 as key_pb
from sampan.access.v1 import api_key_service_pb2_grpc as key_grpc
from sampan.access.v1 import rate_limit_service_pb2 as limit_pb
from sampan.access.v1 import rate_limit_service_pb2_grpc as limit_grpc
from sampan.access.v1 import tenant_service_pb2 as tenant_pb
from sampan.access.v1 import tenant_service_pb2_grpc as tenant_grpc

from services.access import wire
from services.access.commands import Access, Issued
from services.access.domain.tenants import TenantState

SERVICES = (
    tenant_pb.DESCRIPTOR.services_by_name["TenantService"].full_name,
    key_pb.DESCRIPTOR.services_by_name["ApiKeyService"].full_name,
    limit_pb.DESCRIPTOR.services_by_name["RateLimitService"].full_name,
)

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class TenantService(tenant_grpc.TenantServiceServicer):
    """See tenant_service.proto."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def CreateTenant(
        self, request: tenant_pb.CreateTenantRequest, context: Context
    ) -> tenant_pb.Tenant:
        """Adds a tenant."""
        made = await self._access.create_tenant(request.tenant_id, request.display_name, actor=request.actor)
        return wire.tenant_message(made)

    async def GetTenant(self, request: tenant_pb.GetTenantRequest, context: Context) -> tenant_pb.Tenant:
        """Reads one tenant."""
        return wire.tenant_message(await self._access.get_tenant(request.tenant_id))

    async def ListTenants(
        self, request: tenant_pb.ListTenantsRequest, context: Context
    ) -> tenant_pb.ListTenantsResponse:
        """Reads a page of tenants."""
        page = await self._access.list_tenants(request.page_size, request.page_token)
        return tenant_pb.ListTenantsResponse(
            tenants=map(wire.tenant_message, page.tenants), next_page_token=page.next_page_token
        )

    async def SuspendTenant(
        self, request: tenant_pb.SuspendTenantRequest, context: Context
    ) -> tenant_pb.Tenant:
        """Closes the door to a tenant's keys."""
        moved = await self._access.move_tenant(request.tenant_id, TenantState.SUSPENDED, actor=request.actor)
        return wire.tenant_message(moved)

    async def ActivateTenant(
        self, request: tenant_pb.ActivateTenantRequest, context: Context
    ) -> tenant_pb.Tenant:
        """Opens it again."""
        moved = await self._access.move_tenant(request.tenant_id, TenantState.ACTIVE, actor=request.actor)
        return wire.tenant_message(moved)

    async def LimitTenant(self, request: tenant_pb.LimitTenantRequest, context: Context) -> tenant_pb.Tenant:
        """Sets how many of its requests are let in."""
        limited = await self._access.limit_tenant(
            request.tenant_id, wire.limits(request.limits), actor=request.actor
        )
        return wire.tenant_message(limited)


class ApiKeyService(key_grpc.ApiKeyServiceServicer):
    """See api_key_service.proto."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def CreateApiKey(
        self, request: key_pb.CreateApiKeyRequest, context: Context
    ) -> key_pb.IssuedApiKey:
        """Adds a key."""
        issued = await self._access.create_key(
            request.tenant_id,
            request.request_id,
            wire.key_draft(request),
            wire.limits(request.limits),
            actor=request.actor,
        )
        return _issued_message(issued)

    async def GetApiKey(self, request: key_pb.GetApiKeyRequest, context: Context) -> key_pb.ApiKey:
        """Reads one key."""
        return wire.key_message(await self._access.get_key(request.tenant_id, request.api_key_id))

    async def ListApiKeys(
        self, request: key_pb.ListApiKeysRequest, context: Context
    ) -> key_pb.ListApiKeysResponse:
        """Reads a page of keys."""
        page = await self._access.list_keys(request.tenant_id, request.page_size, request.page_token)
        return key_pb.ListApiKeysResponse(
            api_keys=map(wire.key_message, page.keys), next_page_token=page.next_page_token
        )

    async def RotateApiKey(
        self, request: key_pb.RotateApiKeyRequest, context: Context
    ) -> key_pb.IssuedApiKey:
        """Gives a key another secret."""
        issued = await self._access.rotate_key(
            request.tenant_id,
            request.api_key_id,
            request.request_id,
            wire.grace_period(request),
            actor=request.actor,
        )
        return _issued_message(issued)

    async def RevokeApiKey(self, request: key_pb.RevokeApiKeyRequest, context: Context) -> key_pb.ApiKey:
        """Ends a key or one secret of it."""
        ended = await self._access.revoke_key(
            request.tenant_id, request.api_key_id, request.secret_id, actor=request.actor
        )
        return wire.key_message(ended)

    async def LimitApiKey(self, request: key_pb.LimitApiKeyRequest, context: Context) -> key_pb.ApiKey:
        """Sets how many of its requests are let in."""
        limited = await self._access.limit_key(
            request.tenant_id, request.api_key_id, wire.limits(request.limits), actor=request.actor
        )
        return wire.key_message(limited)


class RateLimitService(limit_grpc.RateLimitServiceServicer):
    """See rate_limit_service.proto."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def ExchangeUse(
        self, request: limit_pb.ExchangeUseRequest, context: Context
    ) -> limit_pb.ExchangeUseResponse:
        """Takes what one replica of the gateway has let in and answers what all others have."""
        others = await self._access.exchange_use(request.replica_id, wire.uses(request))
        return limit_pb.ExchangeUseResponse(others=others)


def _issued_message(issued: Issued) -> key_pb.IssuedApiKey:
    return key_pb.IssuedApiKey(
        api_key=wire.key_message(issued.key), secret=issued.secret, replayed=issued.replayed
    )
