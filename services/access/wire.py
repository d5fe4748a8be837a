"""Protobuf <-> domain, for the RPCs and for the events. No rules."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import msgspec
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from sampan.access.v1 import api_key_service_pb2 as key_pb
from sampan.access.v1 import events_pb2 as events_pb
from sampan.access.v1 import rate_limit_service_pb2 as limit_pb
from sampan.access.v1 import tenant_service_pb2 as tenant_pb

from services.access.domain import keys
from services.access.domain.keys import ApiKey, KeyContent, Secret
from services.access.domain.limits import Limits, Use
from services.access.domain.tenants import Tenant
from services.chassis.errors import FieldInvalid
from services.chassis.rpc import times


def tenant_message(tenant: Tenant) -> tenant_pb.Tenant:
    """A tenant as it is told to others."""
    return tenant_pb.Tenant(
        tenant_id=tenant.tenant_id,
        display_name=tenant.display_name,
        state=tenant_pb.TenantState.ValueType(tenant.state),
        version=tenant.version,
        create_time=times.to_proto(tenant.create_time),
        update_time=times.to_proto(tenant.update_time),
        limits=_limits_message(tenant.limits),
    )


def key_draft(request: key_pb.CreateApiKeyRequest) -> Callable[[datetime], KeyContent]:
    """What a caller states about a key, to be checked at a time."""
    return partial(_content_at, request)


def _content_at(request: key_pb.CreateApiKeyRequest, now: datetime) -> KeyContent:
    return keys.content(
        request.tenant_id,
        display_name=request.display_name,
        roles=request.roles,
        merchant_ids=request.merchant_ids,
        warehouse_ids=request.warehouse_ids,
        expire_time=_moment(request, "expire_time"),
        now=now,
    )


def grace_period(request: key_pb.RotateApiKeyRequest) -> timedelta | None:
    """The stated grace period; None where there is none."""
    if not request.HasField("grace_period"):
        return None
    period: Duration = request.grace_period
    try:
        return timedelta(seconds=period.seconds, microseconds=period.nanos // 1_000)
    except OverflowError:
        raise FieldInvalid("grace_period", f"0 to {keys.GRACE_MAX.days} days") from None


def key_message(key: ApiKey) -> key_pb.ApiKey:
    """A key as it is told to those who keep it."""
    content = key.content
    message = key_pb.ApiKey(
        api_key_id=key.api_key_id,
        display_name=content.display_name,
        roles=map(key_pb.Role.ValueType, content.roles),
        merchant_ids=content.merchant_ids,
        warehouse_ids=content.warehouse_ids,
        state=key_pb.ApiKeyState.ValueType(key.state),
        secrets=map(_secret_message, key.secrets),
        version=key.version,
        create_time=times.to_proto(key.create_time),
        update_time=times.to_proto(key.update_time),
        limits=_limits_message(key.limits),
    )
    times.write(message.expire_time, content.expire_time)
    return message


def tenant_snapshot(tenant: Tenant) -> events_pb.TenantSnapshot:
    """A tenant as it is published."""
    return events_pb.TenantSnapshot(tenant=tenant_message(tenant))


def key_snapshot(key: ApiKey) -> events_pb.ApiKeySnapshot:
    """A key as it is published: how to know its secrets, and not their ids, which nobody needs for that."""
    content = key.content
    snapshot = events_pb.ApiKeySnapshot(
        tenant_id=key.tenant_id,
        api_key_id=key.api_key_id,
        state=key_pb.ApiKeyState.ValueType(key.state),
        roles=map(key_pb.Role.ValueType, content.roles),
        merchant_ids=content.merchant_ids,
        warehouse_ids=content.warehouse_ids,
        version=key.version,
        limits=_limits_message(key.limits),
    )
    times.write(snapshot.expire_time, content.expire_time)
    for secret in key.secrets:
        if secret.is_good(key.update_time):
            digest = snapshot.secrets.add(sha256=secret.digest)
            times.write(digest.expire_time, secret.expire_time)
    return snapshot


def limits(message: limit_pb.RateLimits) -> Limits:
    """What a caller states about limits; unset is none."""
    return Limits(**{name: getattr(message, name) for name in Limits.__struct_fields__})


def uses(request: limit_pb.ExchangeUseRequest) -> list[Use]:
    """What a replica has let in."""
    return [Use(use.limit, use.window_start, use.requests) for use in request.uses]


def _limits_message(limits: Limits) -> limit_pb.RateLimits:
    return limit_pb.RateLimits(**msgspec.structs.asdict(limits))


def _secret_message(secret: Secret) -> key_pb.ApiKeySecret:
    message = key_pb.ApiKeySecret(secret_id=secret.secret_id, create_time=times.to_proto(secret.create_time))
    times.write(message.expire_time, secret.expire_time)
    times.write(message.revoke_time, secret.revoke_time)
    return message


def _moment(message: Message, field: str) -> datetime | None:
    if not message.HasField(field):
        return None
    try:
        return times.from_proto(getattr(message, field))
    except (ValueError, OverflowError):
        raise FieldInvalid(field, "a time of the years 1 to 9999") from None
