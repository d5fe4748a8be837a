"""Tenants, for the platform's own people: the marketplaces, and the first key of each."""

import msgspec
from sampan.access.v1 import tenant_service_pb2 as pb

from services.gateway import params
from services.gateway.call import Call, Reply
from services.gateway.roles import PLATFORM_ONLY
from services.gateway.routes import api_keys, examples
from services.gateway.routes.resource import Resource, document
from services.gateway.routes.route import Route
from services.gateway.schemas.access import CreateApiKey, IssuedApiKey, RateLimits, Tenant, TenantPage
from services.gateway.translate.access import limits_proto, tenant_of


class Tenants(Resource):
    """Create, get, list, suspend, activate, limit; issue a key."""

    _decoder = msgspec.json.Decoder(Tenant)
    _limit_decoder = msgspec.json.Decoder(RateLimits)

    async def create(self, call: Call) -> Reply:
        """POST /v1/tenants"""
        asked = await self.read(call, self._decoder)
        request = pb.CreateTenantRequest(
            tenant_id=asked.tenant_id, display_name=asked.display_name, actor=call.caller.actor
        )
        made = await self.clients.call(self.clients.tenants.CreateTenant, request)
        return document(tenant_of(made), status=201, location=f"/v1/tenants/{made.tenant_id}")

    async def get(self, call: Call) -> Reply:
        """GET /v1/tenants/{tenant_id}"""
        request = pb.GetTenantRequest(tenant_id=call.path["tenant_id"])
        return document(tenant_of(await self.clients.call(self.clients.tenants.GetTenant, request)))

    async def page(self, call: Call) -> Reply:
        """GET /v1/tenants"""
        request = pb.ListTenantsRequest(
            page_size=call.query["page_size"], page_token=call.query["page_token"]
        )
        page = await self.clients.call(self.clients.tenants.ListTenants, request)
        return document(TenantPage([tenant_of(one) for one in page.tenants], page.next_page_token))

    async def suspend(self, call: Call) -> Reply:
        """POST /v1/tenants/{tenant_id}:suspend"""
        request = pb.SuspendTenantRequest(tenant_id=call.path["tenant_id"], actor=call.caller.actor)
        return document(tenant_of(await self.clients.call(self.clients.tenants.SuspendTenant, request)))

    async def activate(self, call: Call) -> Reply:
        """POST /v1/tenants/{tenant_id}:activate"""
        request = pb.ActivateTenantRequest(tenant_id=call.path["tenant_id"], actor=call.caller.actor)
        return document(tenant_of(await self.clients.call(self.clients.tenants.ActivateTenant, request)))

    async def limit(self, call: Call) -> Reply:
        """POST /v1/tenants/{tenant_id}:limit"""
        limits = limits_proto(await self.read(call, self._limit_decoder))
        request = pb.LimitTenantRequest(
            tenant_id=call.path["tenant_id"], limits=limits, actor=call.caller.actor
        )
        return document(tenant_of(await self.clients.call(self.clients.tenants.LimitTenant, request)))

    async def issue(self, call: Call) -> Reply:
        """POST /v1/tenants/{tenant_id}/api-keys"""
        return await api_keys.issue(self, call, call.path["tenant_id"])

    def routes(self) -> tuple[Route, ...]:
        """The table."""
        return (
            Route(
                "POST",
                "/v1/tenants",
                self.create,
                PLATFORM_ONLY,
                "tenants",
                "Create a tenant",
                "Repeating it with the same name returns the stored tenant.",
                body=Tenant,
                body_example=examples.TENANT,
                status=201,
                answer=Tenant,
                answer_headers={"Location": "The tenant's path."},
                reasons=("TENANT_EXISTS", "TENANT_RESERVED"),
            ),
            Route(
                "GET",
                "/v1/tenants",
                self.page,
                PLATFORM_ONLY,
                "tenants",
                "List tenants",
                query=params.paging(200, 50),
                answer=TenantPage,
                reasons=("PAGE_TOKEN_INVALID", "PAGE_TOKEN_MISMATCH"),
            ),
            Route(
                "GET",
                "/v1/tenants/{tenant_id}",
                self.get,
                PLATFORM_ONLY,
                "tenants",
                "Get a tenant",
                answer=Tenant,
                reasons=("TENANT_NOT_FOUND",),
            ),
            Route(
                "POST",
                "/v1/tenants/{tenant_id}:suspend",
                self.suspend,
                PLATFORM_ONLY,
                "tenants",
                "Close the door to all keys and tokens of a tenant",
                answer=Tenant,
                reasons=("TENANT_NOT_FOUND", "TENANT_RESERVED"),
            ),
            Route(
                "POST",
                "/v1/tenants/{tenant_id}:activate",
                self.activate,
                PLATFORM_ONLY,
                "tenants",
                "Open it again",
                answer=Tenant,
                reasons=("TENANT_NOT_FOUND", "TENANT_RESERVED"),
            ),
            Route(
                "POST",
                "/v1/tenants/{tenant_id}:limit",
                self.limit,
                PLATFORM_ONLY,
                "tenants",
                "Set how many requests of a tenant are let in per minute",
                "Of all its keys and tokens together, in place of all limits that it has; an empty object ends them.",
                body=RateLimits,
                body_example=examples.RATE_LIMITS,
                answer=Tenant,
                reasons=("TENANT_NOT_FOUND", "TENANT_RESERVED"),
            ),
            Route(
                "POST",
                "/v1/tenants/{tenant_id}/api-keys",
                self.issue,
                PLATFORM_ONLY,
                "tenants",
                "Create a key for a tenant, as its first administrator's",
                api_keys.ONCE,
                name="createTenantApiKey",
                body=CreateApiKey,
                body_example=examples.API_KEY,
                status=201,
                answer=IssuedApiKey,
                answer_headers=api_keys.REPLAYED,
                idempotency_key="required",
                reasons=("TENANT_NOT_FOUND", "API_KEYS_AT_MAX", "REQUEST_ID_REUSED"),
            ),
        )
