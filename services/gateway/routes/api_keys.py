"""API keys, for the administrators of a tenant."""

import msgspec
from google.protobuf.duration_pb2 import Duration
from sampan.access.v1 import api_key_service_pb2 as pb

from services.gateway import params
from services.gateway.call import Call, Reply
from services.gateway.roles import KEEPERS_OF_KEYS
from services.gateway.routes import examples
from services.gateway.routes.resource import Resource, document
from services.gateway.routes.route import Route
from services.gateway.schemas.access import (
    ApiKey,
    ApiKeyPage,
    CreateApiKey,
    IssuedApiKey,
    RateLimits,
    RevokeApiKey,
    RotateApiKey,
)
from services.gateway.translate.access import api_key_of, create_proto, issued_of, limits_proto

ONCE = (
    "The secret is in this answer and nowhere else: only its SHA-256 is kept. A repetition with the same "
    "Idempotency-Key answers the key without it (`secret` is null): who missed the first answer rotates or revokes."
)
REPLAYED = {"Idempotency-Replayed": "`true` where the key was used before; the secret is not told again."}
_NEVER_STORED = (b"cache-control", b"no-store")
_create_decoder = msgspec.json.Decoder(CreateApiKey)


class ApiKeys(Resource):
    """Create, get, list, rotate, revoke, limit."""

    _rotate_decoder = msgspec.json.Decoder(RotateApiKey)
    _revoke_decoder = msgspec.json.Decoder(RevokeApiKey)
    _limit_decoder = msgspec.json.Decoder(RateLimits)

    async def create(self, call: Call) -> Reply:
        """POST /v1/api-keys"""
        return await issue(self, call, call.tenant_id)

    async def get(self, call: Call) -> Reply:
        """GET /v1/api-keys/{api_key_id}"""
        request = pb.GetApiKeyRequest(tenant_id=call.tenant_id, api_key_id=call.path["api_key_id"])
        return document(api_key_of(await self.clients.call(self.clients.api_keys.GetApiKey, request)))

    async def page(self, call: Call) -> Reply:
        """GET /v1/api-keys"""
        request = pb.ListApiKeysRequest(
            tenant_id=call.tenant_id, page_size=call.query["page_size"], page_token=call.query["page_token"]
        )
        page = await self.clients.call(self.clients.api_keys.ListApiKeys, request)
        return document(ApiKeyPage([api_key_of(one) for one in page.api_keys], page.next_page_token))

    async def rotate(self, call: Call) -> Reply:
        """POST /v1/api-keys/{api_key_id}:rotate"""
        request_id = call.idempotency_key()
        asked = await self.read_optional(call, self._rotate_decoder, RotateApiKey())
        request = pb.RotateApiKeyRequest(
            tenant_id=call.tenant_id,
            api_key_id=call.path["api_key_id"],
            request_id=request_id,
            actor=call.caller.actor,
        )
        if asked.grace_period_s is not None:
            request.grace_period.CopyFrom(Duration(seconds=asked.grace_period_s))
        return _issued(await self.clients.call(self.clients.api_keys.RotateApiKey, request), status=200)

    async def revoke(self, call: Call) -> Reply:
        """POST /v1/api-keys/{api_key_id}:revoke"""
        asked = await self.read_optional(call, self._revoke_decoder, RevokeApiKey())
        request = pb.RevokeApiKeyRequest(
            tenant_id=call.tenant_id,
            api_key_id=call.path["api_key_id"],
            secret_id=asked.secret_id,
            actor=call.caller.actor,
        )
        return document(api_key_of(await self.clients.call(self.clients.api_keys.RevokeApiKey, request)))

    async def limit(self, call: Call) -> Reply:
        """POST /v1/api-keys/{api_key_id}:limit"""
        request = pb.LimitApiKeyRequest(
            tenant_id=call.tenant_id,
            api_key_id=call.path["api_key_id"],
            limits=limits_proto(await self.read(call, self._limit_decoder)),
            actor=call.caller.actor,
        )
        return document(api_key_of(await self.clients.call(self.clients.api_keys.LimitApiKey, request)))

    def routes(self) -> tuple[Route, ...]:
        """The table."""
        return (
            Route(
                "POST",
                "/v1/api-keys",
                self.create,
                KEEPERS_OF_KEYS,
                "api-keys",
                "Create a key",
                ONCE,
                body=CreateApiKey,
                body_example=examples.API_KEY,
                status=201,
                answer=IssuedApiKey,
                answer_headers={"Location": "The key's path.", **REPLAYED},
                idempotency_key="required",
                reasons=("API_KEYS_AT_MAX", "REQUEST_ID_REUSED", "TENANT_NOT_FOUND"),
            ),
            Route(
                "GET",
                "/v1/api-keys",
                self.page,
                KEEPERS_OF_KEYS,
                "api-keys",
                "List keys, never their secrets",
                query=params.paging(200, 50),
                answer=ApiKeyPage,
                reasons=("PAGE_TOKEN_INVALID", "PAGE_TOKEN_MISMATCH"),
            ),
            Route(
                "GET",
                "/v1/api-keys/{api_key_id}",
                self.get,
                KEEPERS_OF_KEYS,
                "api-keys",
                "Get a key, without its secrets",
                answer=ApiKey,
                reasons=("API_KEY_NOT_FOUND",),
            ),
            Route(
                "POST",
                "/v1/api-keys/{api_key_id}:rotate",
                self.rotate,
                KEEPERS_OF_KEYS,
                "api-keys",
                "Give a key a second secret",
                "The secret before stays good until it is revoked, or until the grace period is over where one is "
                f"given; a key has at most two that are good. {ONCE}",
                body=RotateApiKey,
                body_required=False,
                body_example={"grace_period_s": 86_400},
                answer=IssuedApiKey,
                answer_headers=REPLAYED,
                idempotency_key="required",
                reasons=("API_KEY_NOT_FOUND", "API_KEY_REVOKED", "SECRETS_AT_MAX", "REQUEST_ID_REUSED"),
            ),
            Route(
                "POST",
                "/v1/api-keys/{api_key_id}:revoke",
                self.revoke,
                KEEPERS_OF_KEYS,
                "api-keys",
                "End a key, or one secret of it",
                "Effective within about a second at every gateway. What has ended stays as it is.",
                body=RevokeApiKey,
                body_required=False,
                body_example={"secret_id": "k3x9q2m7ab"},
                answer=ApiKey,
                reasons=("API_KEY_NOT_FOUND", "SECRET_NOT_FOUND"),
            ),
            Route(
                "POST",
                "/v1/api-keys/{api_key_id}:limit",
                self.limit,
                KEEPERS_OF_KEYS,
                "api-keys",
                "Set how many requests of a key are let in per minute",
                "In place of all limits that it has; an empty object ends them. Effective within about a second "
                "at every gateway.",
                body=RateLimits,
                body_example=examples.RATE_LIMITS,
                answer=ApiKey,
                reasons=("API_KEY_NOT_FOUND", "API_KEY_REVOKED"),
            ),
        )


async def issue(resource: Resource, call: Call, tenant_id: str) -> Reply:
    """Creates a key of a tenant."""
    request_id = call.idempotency_key()
    asked = await resource.read(call, _create_decoder)
    request = create_proto(asked, tenant_id=tenant_id, request_id=request_id, actor=call.caller.actor)
    made = await resource.clients.call(resource.clients.api_keys.CreateApiKey, request)
    reply = _issued(made, status=201)
    if tenant_id == call.tenant_id:
        reply.headers.append((b"location", f"/v1/api-keys/{made.api_key.api_key_id}".encode()))
    return reply


def _issued(made: pb.IssuedApiKey, *, status: int) -> Reply:
    reply = document(issued_of(made), status=status)
    reply.headers.append(_NEVER_STORED)
    if made.replayed:
        reply.headers.append((b"idempotency-replayed", b"true"))
    return reply
