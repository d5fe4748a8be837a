"""Tenants and API keys between the contracts and the public documents."""

import msgspec
from sampan.access.v1 import api_key_service_pb2 as key_pb
from sampan.access.v1 import rate_limit_service_pb2 as limit_pb
from sampan.access.v1 import tenant_service_pb2 as tenant_pb

from services.chassis.rpc import times
from services.gateway.schemas.access import (
    ApiKey,
    ApiKeySecret,
    CreateApiKey,
    IssuedApiKey,
    RateLimits,
    Tenant,
)
from services.gateway.translate.values import Words, time_of

ROLE = Words(key_pb.Role, "ROLE_")
TENANT_STATE = Words(tenant_pb.TenantState, "TENANT_STATE_")
KEY_STATE = Words(key_pb.ApiKeyState, "API_KEY_STATE_")
SECRET_MARK = "sampan_"


def tenant_of(message: tenant_pb.Tenant) -> Tenant:
    """A tenant's document."""
    return Tenant(
        tenant_id=message.tenant_id,
        display_name=message.display_name,
        state=TENANT_STATE.word(message.state),
        limits=_limits_of(message.limits),
        version=message.version,
        create_time=time_of(message, "create_time"),
        update_time=time_of(message, "update_time"),
    )


def create_proto(
    asked: CreateApiKey, *, tenant_id: str, request_id: str, actor: str
) -> key_pb.CreateApiKeyRequest:
    """The contract's form of a creation."""
    request = key_pb.CreateApiKeyRequest(
        tenant_id=tenant_id,
        request_id=request_id,
        display_name=asked.display_name,
        roles=[ROLE.number(role) for role in asked.roles],
        merchant_ids=asked.merchant_ids,
        warehouse_ids=asked.warehouse_ids,
        limits=limits_proto(asked.limits),
        actor=actor,
    )
    times.write(request.expire_time, asked.expire_time)
    return request


def api_key_of(message: key_pb.ApiKey) -> ApiKey:
    """A key's document."""
    return ApiKey(
        api_key_id=message.api_key_id,
        display_name=message.display_name,
        roles=[ROLE.word(role) for role in message.roles],
        merchant_ids=list(message.merchant_ids),
        warehouse_ids=list(message.warehouse_ids),
        expire_time=time_of(message, "expire_time"),
        state=KEY_STATE.word(message.state),
        limits=_limits_of(message.limits),
        secrets=[
            ApiKeySecret(
                secret_id=secret.secret_id,
                prefix=f"{SECRET_MARK}{secret.secret_id}",
                create_time=time_of(secret, "create_time"),
                expire_time=time_of(secret, "expire_time"),
                revoke_time=time_of(secret, "revoke_time"),
            )
            for secret in message.secrets
        ],
        version=message.version,
        create_time=time_of(message, "create_time"),
        update_time=time_of(message, "update_time"),
    )


def issued_of(message: key_pb.IssuedApiKey) -> IssuedApiKey:
    """The document of a key with its new secret."""
    return IssuedApiKey(api_key=api_key_of(message.api_key), secret=message.secret or None)


def limits_proto(asked: RateLimits) -> limit_pb.RateLimits:
    """The contract's form of limits."""
    return limit_pb.RateLimits(**msgspec.structs.asdict(asked))


def _limits_of(message: limit_pb.RateLimits) -> RateLimits:
    return RateLimits(**{name: getattr(message, name) or None for name in RateLimits.__struct_fields__})
