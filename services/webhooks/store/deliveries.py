"""Deliveries, and the leases under which they are sent."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from services.chassis.pg import Connection
from services.chassis.queries import load_queries
from services.webhooks.domain.deliveries import Delivery, DeliveryState
from services.webhooks.domain.endpoints import Endpoint
from services.webhooks.domain.messages import Message
from services.webhooks.store.endpoints import PACKAGE, with_secrets


class Told(NamedTuple):
    """An endpoint that is to be told; of these types only, or of all where there are none."""

    tenant_id: str
    endpoint_id: UUID
    event_types: frozenset[str]


class Measures(NamedTuple):
    """Endpoints by where they stand, and how long the longest waiting has waited for a sender."""

    enabled: int
    failing: int
    disabled: int
    waiting_s: float


def _sql(name: str) -> str:
    return load_queries(PACKAGE)[name]


async def listening_tenants(connection: Connection, tenant_ids: Sequence[str]) -> set[str]:
    """Those of the tenants that have an enabled endpoint."""
    rows = await connection.fetch(_sql("select_listening_tenants"), tenant_ids)
    return {row["tenant_id"] for row in rows}


async def lock_endpoints_told(
    connection: Connection, tenant_ids: Sequence[str], event_types: Sequence[str]
) -> list[Told]:
    """The enabled endpoints of some tenants that are told of any of some types, locked."""
    rows = await connection.fetch(_sql("lock_endpoints_told"), tenant_ids, event_types)
    return [Told(row["tenant_id"], row["endpoint_id"], frozenset(row["event_types"])) for row in rows]


async def insert_deliveries(connection: Connection, made: Sequence[tuple[UUID, str, UUID, Message]]) -> None:
    """Adds deliveries (id, tenant, endpoint, message) of locked endpoints that are due at once; those that are there
    already stay as they are."""
    await connection.execute(
        _sql("insert_deliveries"),
        [delivery_id for delivery_id, _, _, _ in made],
        [endpoint_id for _, _, endpoint_id, _ in made],
        [message.message_id for *_, message in made],
        [message.event_type for *_, message in made],
        [message.event_time for *_, message in made],
        [message.body for *_, message in made],
    )
    await make_due(connection, {(tenant_id, endpoint_id) for _, tenant_id, endpoint_id, _ in made})


async def make_due(connection: Connection, endpoints: set[tuple[str, UUID]]) -> None:
    """Some locked endpoints (tenant, endpoint) have something to be sent now."""
    await connection.execute(
        _sql("make_due"),
        [tenant_id for tenant_id, _ in endpoints],
        [endpoint_id for _, endpoint_id in endpoints],
    )


async def claim_endpoints(
    connection: Connection, lease_id: UUID, *, failing: bool, limit: int, lease_s: float
) -> list[Endpoint]:
    """Leases at most `limit` endpoints that have something to be sent and that nobody works for."""
    rows = await connection.fetch(
        _sql("claim_endpoints"), failing, limit, lease_id, timedelta(seconds=lease_s)
    )
    return await with_secrets(connection, rows)


async def extend_lease(connection: Connection, endpoint: Endpoint, lease_s: float) -> None:
    """Goes on with a locked endpoint."""
    await connection.execute(
        _sql("extend_lease"), endpoint.tenant_id, UUID(endpoint.endpoint_id), timedelta(seconds=lease_s)
    )


async def release_endpoint(connection: Connection, endpoint: Endpoint, pause_s: float) -> None:
    """Lets a locked endpoint go; for `pause_s` seconds it is not claimed again."""
    await connection.execute(
        _sql("release_endpoint"), endpoint.tenant_id, UUID(endpoint.endpoint_id), timedelta(seconds=pause_s)
    )


async def due_deliveries(connection: Connection, endpoint: Endpoint, limit: int) -> list[Delivery]:
    """At most `limit` deliveries that are to be sent to a leased endpoint now."""
    rows = await connection.fetch(_sql("select_due_deliveries"), UUID(endpoint.endpoint_id), limit)
    return list(map(_delivery_of, rows))


async def update_deliveries(
    connection: Connection, endpoint: Endpoint, deliveries: Sequence[Delivery]
) -> None:
    """Stores where deliveries of a locked endpoint stand."""
    await connection.execute(
        _sql("update_deliveries"),
        UUID(endpoint.endpoint_id),
        [UUID(one.delivery_id) for one in deliveries],
        [one.state for one in deliveries],
        [one.attempts for one in deliveries],
        [one.retry_from for one in deliveries],
        [one.round_attempts for one in deliveries],
        [one.last_status for one in deliveries],
        [one.last_failure for one in deliveries],
        [one.last_attempt_time for one in deliveries],
        [one.next_attempt_time for one in deliveries],
    )


async def delivery(connection: Connection, tenant_id: str, delivery_id: UUID) -> Delivery | None:
    """One delivery with its body, if there is one to an endpoint of the tenant."""
    row = await connection.fetchrow(_sql("select_delivery"), tenant_id, delivery_id)
    return None if row is None else _delivery_of(row)


async def deliveries_before(
    connection: Connection,
    endpoint: Endpoint,
    before: UUID,
    limit: int,
    state: DeliveryState | None,
) -> list[Delivery]:
    """At most `limit` deliveries before an id, of one state where it is given, the newest first, without bodies."""
    arguments = (UUID(endpoint.endpoint_id), before, limit)
    if state is None:
        rows = await connection.fetch(_sql("select_delivery_page"), *arguments)
    else:
        rows = await connection.fetch(_sql("select_delivery_page_of_state"), *arguments, state)
    return list(map(_delivery_of, rows))


async def delete_old_deliveries(connection: Connection, *, older_than_s: float, limit: int) -> int:
    """Removes old deliveries; how many."""
    done: str = await connection.execute(
        _sql("delete_old_deliveries"), timedelta(seconds=older_than_s), limit
    )
    return int(done.rpartition(" ")[2])


async def measure(connection: Connection) -> Measures:
    """Where the endpoints of all tenants stand."""
    row = await connection.fetchrow(_sql("measure_endpoints"))
    return Measures(row["enabled"], row["failing"], row["disabled"], row["waiting_s"])


def _delivery_of(row: Any) -> Delivery:
    return Delivery(
        str(row["delivery_id"]),
        str(row["endpoint_id"]),
        row["message_id"],
        row["event_type"],
        row["event_time"],
        row["body"],
        DeliveryState(row["state"]),
        row["attempts"],
        row["round_attempts"],
        row["retry_from"],
        row["last_status"],
        row["last_failure"],
        row["last_attempt_time"],
        row["next_attempt_time"],
        row["create_time"],
    )
