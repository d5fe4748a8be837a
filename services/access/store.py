"""Rows <-> domain. Functions take a connection, run named statements and leave the transaction alone."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

import asyncpg
from msgspec.structs import astuple

from services.access.domain.keys import SECRETS_SHOWN_MAX, ApiKey, KeyContent, KeyState, Role, Secret
from services.access.domain.limits import Limits, Use
from services.access.domain.tenants import Tenant, TenantState
from services.chassis.pg import Connection
from services.chassis.queries import load_queries

PACKAGE = "services.access"


def _sql(name: str) -> str:
    return load_queries(PACKAGE)[name]


async def insert_tenant(connection: Connection, tenant: Tenant) -> bool:
    """Whether the tenant was added; False where the id is taken."""
    added = await connection.fetchval(
        _sql("insert_tenant"),
        tenant.tenant_id,
        tenant.display_name,
        tenant.state,
        tenant.version,
        tenant.create_time,
        tenant.update_time,
    )
    return added is not None


async def tenant(connection: Connection, tenant_id: str) -> Tenant | None:
    """One tenant, if there is one."""
    row = await connection.fetchrow(_sql("select_tenant"), tenant_id)
    return None if row is None else _tenant_of(row)


async def lock_tenant(connection: Connection, tenant_id: str) -> Tenant | None:
    """One tenant, locked."""
    row = await connection.fetchrow(_sql("lock_tenant"), tenant_id)
    return None if row is None else _tenant_of(row)


async def tenants_after(
    connection: Connection, after: str, limit: int, *, lock: bool = False
) -> list[Tenant]:
    """At most `limit` tenants after an id, in the order of their ids; locked where `lock`."""
    statement = _sql("lock_tenant_page" if lock else "select_tenant_page")
    return [_tenant_of(row) for row in await connection.fetch(statement, after, limit)]


async def update_tenant(connection: Connection, tenant: Tenant) -> None:
    """Stores a locked tenant's next version: its state and its limits."""
    await connection.execute(
        _sql("update_tenant"),
        tenant.tenant_id,
        tenant.state,
        tenant.version,
        tenant.update_time,
        astuple(tenant.limits),
    )


async def count_active_keys(connection: Connection, tenant_id: str) -> int:
    """How many keys a locked tenant has that are not revoked."""
    count: int = await connection.fetchval(_sql("count_active_keys"), tenant_id)
    return count


async def insert_key(connection: Connection, key: ApiKey) -> None:
    """Adds a key and its secrets."""
    content = key.content
    await connection.execute(
        _sql("insert_key"),
        key.tenant_id,
        UUID(key.api_key_id),
        content.display_name,
        content.roles,
        content.merchant_ids,
        content.warehouse_ids,
        content.expire_time,
        key.state,
        key.version,
        key.create_time,
        key.update_time,
        astuple(key.limits),
    )
    for secret in key.secrets:
        await _insert_secret(connection, key, secret)


async def update_key(connection: Connection, before: ApiKey, key: ApiKey) -> None:
    """Stores a locked key's next version: its state, its limits, the ends of its secrets and those that are new."""
    await connection.execute(
        _sql("update_key"),
        key.tenant_id,
        UUID(key.api_key_id),
        key.state,
        key.version,
        key.update_time,
        astuple(key.limits),
    )
    known = {secret.secret_id: secret for secret in before.secrets}
    for secret in key.secrets:
        if secret.secret_id not in known:
            await _insert_secret(connection, key, secret)
    changed = [secret for secret in key.secrets if known.get(secret.secret_id, secret) != secret]
    if changed:
        await connection.execute(
            _sql("update_secrets"),
            key.tenant_id,
            UUID(key.api_key_id),
            [secret.secret_id for secret in changed],
            [secret.expire_time for secret in changed],
            [secret.revoke_time for secret in changed],
        )


async def key(connection: Connection, tenant_id: str, api_key_id: UUID, *, lock: bool) -> ApiKey | None:
    """One key with its secrets, if there is one; locked until the transaction's end where `lock`."""
    row = await connection.fetchrow(_sql("lock_key" if lock else "select_key"), tenant_id, api_key_id)
    return None if row is None else (await _with_secrets(connection, tenant_id, [row]))[0]


async def keys_after(connection: Connection, tenant_id: str, after: UUID, limit: int) -> list[ApiKey]:
    """At most `limit` keys after an id, in the order of their ids."""
    rows = await connection.fetch(_sql("select_key_page"), tenant_id, after, limit)
    return await _with_secrets(connection, tenant_id, rows)


async def lock_keys_after(connection: Connection, tenant_id: str, after: UUID, limit: int) -> list[ApiKey]:
    """At most `limit` keys of all tenants after a tenant's key, in the order of tenants and ids; locked."""
    rows = await connection.fetch(_sql("lock_key_page"), tenant_id, after, limit)
    found: list[ApiKey] = []
    for tenant, of_tenant in groupby(rows, key=itemgetter("tenant_id")):
        found += await _with_secrets(connection, tenant, list(of_tenant))
    return found


async def insert_audit(
    connection: Connection,
    *,
    time: datetime,
    actor: str,
    action: str,
    tenant_id: str,
    version: int,
    api_key_id: str = "",
    secret_id: str = "",
) -> None:
    """Notes who has done what."""
    await connection.execute(
        _sql("insert_audit"),
        time,
        actor,
        action,
        tenant_id,
        UUID(api_key_id) if api_key_id else None,
        secret_id or None,
        version,
    )


async def insert_request_key(
    connection: Connection, tenant_id: str, request_id: str, fingerprint: bytes, api_key_id: UUID
) -> bool:
    """Whether the request id was new; waits for a request at work with the same one."""
    added = await connection.fetchval(
        _sql("insert_request_key"), tenant_id, request_id, fingerprint, api_key_id
    )
    return added is not None


async def request_of(connection: Connection, tenant_id: str, request_id: str) -> tuple[bytes, UUID]:
    """Fingerprint and key of an earlier request; SerializationError where it is just forgotten."""
    row = await connection.fetchrow(_sql("select_request_key"), tenant_id, request_id)
    if row is None:
        raise asyncpg.SerializationError("the request id was forgotten meanwhile")
    return row["fingerprint"], row["api_key_id"]


async def exchange_use(connection: Connection, replica_id: UUID, uses: Sequence[Use]) -> list[int]:
    """Keeps what a replica has let in; what all others have, in the same order."""
    rows = await connection.fetch(
        _sql("exchange_use"),
        replica_id,
        [use.limit for use in uses],
        [use.window_start for use in uses],
        [use.requests for use in uses],
    )
    return [row["others"] for row in rows]


async def delete_use(connection: Connection, *, before: int, limit: int) -> int:
    """Forgets counts of windows that began before that second since 1970; how many."""
    done: str = await connection.execute(_sql("delete_use"), before, limit)
    return int(done.rpartition(" ")[2])


async def _insert_secret(connection: Connection, key: ApiKey, secret: Secret) -> None:
    await connection.execute(
        _sql("insert_secret"),
        key.tenant_id,
        UUID(key.api_key_id),
        secret.secret_id,
        secret.digest,
        secret.create_time,
    )


async def _with_secrets(connection: Connection, tenant_id: str, rows: Sequence[Any]) -> list[ApiKey]:
    found: dict[UUID, list[Secret]] = {row["api_key_id"]: [] for row in rows}
    for row in await connection.fetch(_sql("select_secrets"), tenant_id, list(found), SECRETS_SHOWN_MAX):
        found[row["api_key_id"]].append(
            Secret(
                row["secret_id"], row["digest"], row["create_time"], row["expire_time"], row["revoke_time"]
            )
        )
    return [_key_of(row, found[row["api_key_id"]]) for row in rows]


def _tenant_of(row: Any) -> Tenant:
    return Tenant(
        row["tenant_id"],
        row["display_name"],
        TenantState(row["state"]),
        row["version"],
        row["create_time"],
        row["update_time"],
        Limits(*row["limits"]),
    )


def _key_of(row: Any, secrets: Sequence[Secret]) -> ApiKey:
    return ApiKey(
        row["tenant_id"],
        str(row["api_key_id"]),
        KeyContent(
            row["display_name"],
            tuple(map(Role, row["roles"])),
            tuple(row["merchant_ids"]),
            tuple(row["warehouse_ids"]),
            row["expire_time"],
        ),
        KeyState(row["state"]),
        row["version"],
        row["create_time"],
        row["update_time"],
        tuple(secrets),
        Limits(*row["limits"]),
    )
