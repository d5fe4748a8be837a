"""Endpoints, their secrets and request keys."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from services.chassis.pg import Connection
from services.chassis.queries import load_queries
from services.webhooks.domain.endpoints import (
    DisableReason,
    Endpoint,
    EndpointContent,
    EndpointState,
    Secret,
)

PACKAGE = "services.webhooks"


def _sql(name: str) -> str:
    return load_queries(PACKAGE)[name]


async def lock_tenant(connection: Connection, tenant_id: str) -> int:
    """How many endpoints a tenant has, which stays so until the transaction's end."""
    await connection.execute(_sql("lock_tenant"), tenant_id)
    count: int = await connection.fetchval(_sql("count_endpoints"), tenant_id)
    return count


async def insert_endpoint(connection: Connection, endpoint: Endpoint, *, sealed_by: str) -> None:
    """Adds an endpoint with its secrets."""
    content = endpoint.content
    await connection.execute(
        _sql("insert_endpoint"),
        endpoint.tenant_id,
        UUID(endpoint.endpoint_id),
        content.url,
        content.description,
        content.event_types,
        endpoint.state,
        endpoint.disable_reason,
        endpoint.version,
        endpoint.create_time,
        endpoint.update_time,
    )
    for secret in endpoint.secrets:
        await _insert_secret(connection, endpoint, secret, sealed_by)


async def endpoint(
    connection: Connection, tenant_id: str, endpoint_id: UUID, *, lock: bool
) -> Endpoint | None:
    """One endpoint with its secrets, if there is one; locked until the transaction's end where `lock`."""
    statement = _sql("lock_endpoint" if lock else "select_endpoint")
    row = await connection.fetchrow(statement, tenant_id, endpoint_id)
    return None if row is None else (await with_secrets(connection, [row]))[0]


async def leased_endpoint(
    connection: Connection, tenant_id: str, endpoint_id: UUID, lease_id: UUID
) -> Endpoint | None:
    """One endpoint, locked, if it is there and the lease is still this one."""
    row = await connection.fetchrow(_sql("lock_leased_endpoint"), tenant_id, endpoint_id, lease_id)
    return None if row is None else (await with_secrets(connection, [row]))[0]


async def endpoints_after(connection: Connection, tenant_id: str, after: UUID, limit: int) -> list[Endpoint]:
    """At most `limit` endpoints after an id, in the order of their ids."""
    rows = await connection.fetch(_sql("select_endpoint_page"), tenant_id, after, limit)
    return await with_secrets(connection, rows)


async def update_endpoint(connection: Connection, endpoint: Endpoint) -> None:
    """Stores a locked endpoint, without its secrets."""
    content = endpoint.content
    await connection.execute(
        _sql("update_endpoint"),
        endpoint.tenant_id,
        UUID(endpoint.endpoint_id),
        content.url,
        content.description,
        content.event_types,
        endpoint.state,
        endpoint.disable_reason,
        endpoint.failing_since,
        endpoint.version,
        endpoint.update_time,
        endpoint.paused_until,
    )


async def update_secrets(connection: Connection, endpoint: Endpoint, *, sealed_by: str) -> None:
    """Stores the secrets of a locked endpoint, of which the first is new."""
    added, *kept = endpoint.secrets
    await connection.execute(
        _sql("end_secrets"),
        endpoint.tenant_id,
        UUID(endpoint.endpoint_id),
        [UUID(secret.secret_id) for secret in kept],
        [secret.expire_time for secret in kept],
    )
    await _insert_secret(connection, endpoint, added, sealed_by)


async def delete_endpoint(connection: Connection, endpoint: Endpoint) -> None:
    """Removes a locked endpoint and its secrets."""
    await connection.execute(_sql("delete_endpoint"), endpoint.tenant_id, UUID(endpoint.endpoint_id))


async def sealed_otherwise(
    connection: Connection, sealed_by: str, limit: int
) -> list[tuple[str, UUID, UUID, bytes]]:
    """At most `limit` secrets that another key has sealed: tenant, endpoint, secret and what is sealed."""
    rows = await connection.fetch(_sql("select_secrets_sealed_otherwise"), sealed_by, limit)
    return [(row["tenant_id"], row["endpoint_id"], row["secret_id"], row["sealed"]) for row in rows]


async def update_sealed(
    connection: Connection, sealed_by: str, anew: Sequence[tuple[str, UUID, UUID, bytes]]
) -> None:
    """Stores secrets that were sealed anew."""
    await connection.execute(_sql("update_sealed"), sealed_by, *map(list, zip(*anew, strict=True)))


async def insert_request_key(
    connection: Connection, tenant_id: str, request_id: str, fingerprint: bytes, endpoint_id: UUID
) -> bool:
    """Whether the request id was new; waits for a request at work with the same one."""
    added = await connection.fetchval(
        _sql("insert_request_key"), tenant_id, request_id, fingerprint, endpoint_id
    )
    return added is not None


async def request_of(connection: Connection, tenant_id: str, request_id: str) -> tuple[bytes, UUID]:
    """Fingerprint and endpoint of an earlier request; SerializationError where it is just forgotten."""
    row = await connection.fetchrow(_sql("select_request_key"), tenant_id, request_id)
    if row is None:
        raise asyncpg.SerializationError("the request id was forgotten meanwhile")
    return row["fingerprint"], row["endpoint_id"]


async def with_secrets(connection: Connection, rows: Sequence[Any]) -> list[Endpoint]:
    """The endpoints of rows, with their secrets."""
    found: dict[UUID, list[Secret]] = {row["endpoint_id"]: [] for row in rows}
    tenants = list({row["tenant_id"] for row in rows})
    for row in await connection.fetch(_sql("select_secrets"), list(found), tenants):
        secret = Secret(str(row["secret_id"]), row["sealed"], row["create_time"], row["expire_time"])
        found[row["endpoint_id"]].append(secret)
    return [_endpoint_of(row, found[row["endpoint_id"]]) for row in rows]


async def _insert_secret(connection: Connection, endpoint: Endpoint, secret: Secret, sealed_by: str) -> None:
    await connection.execute(
        _sql("insert_secret"),
        endpoint.tenant_id,
        UUID(endpoint.endpoint_id),
        UUID(secret.secret_id),
        secret.sealed,
        sealed_by,
        secret.create_time,
    )


def _endpoint_of(row: Any, secrets: Sequence[Secret]) -> Endpoint:
    return Endpoint(
        row["tenant_id"],
        str(row["endpoint_id"]),
        EndpointContent(row["url"], row["description"], tuple(row["event_types"])),
        EndpointState(row["state"]),
        DisableReason(row["disable_reason"]),
        row["failing_since"],
        row["paused_until"],
        row["version"],
        row["create_time"],
        row["update_time"],
        tuple(secrets),
    )
