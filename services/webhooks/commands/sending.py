"""The database's side of sending: who works for which endpoint, and what came of it.

An endpoint is leased to one sender at a time, of whatever replica: that bounds what hits it at once. A sender that dies
leaves its lease to run out; what it had sent without having recorded it is sent again, with the same id.
"""

from collections.abc import Sequence
from datetime import timedelta
from random import random
from typing import NamedTuple
from uuid import UUID

from services.chassis import clock, ids, log, signatures
from services.chassis.pg import Connection, Database
from services.webhooks.domain import deliveries as rules
from services.webhooks.domain import endpoints as endpoint_rules
from services.webhooks.domain.deliveries import GONE, Delivery, DeliveryState, Outcome, RetryPolicy
from services.webhooks.domain.endpoints import Endpoint, EndpointState
from services.webhooks.sealing import Vault
from services.webhooks.store import deliveries as store
from services.webhooks.store import endpoints as endpoint_store

LEASE_MARGIN_S = 10.0

_log = log.get(__name__)


class Leased(NamedTuple):
    """An endpoint that this process alone sends to, until the lease ends."""

    endpoint: Endpoint
    lease_id: UUID


class Recorded(NamedTuple):
    """What is known after attempts. `leased` is None where the endpoint is not ours any more, or not to be told."""

    leased: Leased | None
    settled: Sequence[DeliveryState]
    """Of the deliveries that ended by them."""
    disabled: bool
    """Whether the endpoint was, by what came of them."""


class Sending:
    """The use cases of a sender on one database."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        *,
        policy: RetryPolicy,
        attempt_s_max: float,
        disable_after: timedelta,
        now: clock.Clock = clock.now_utc,
    ) -> None:
        self._database = database
        self._vault = vault
        self._policy = policy
        self._lease_s = attempt_s_max + LEASE_MARGIN_S
        self._disable_after = disable_after
        self._now = now

    async def claim(self, *, failing: bool, limit: int) -> list[Leased]:
        """Leases at most `limit` endpoints that have something due: of those that fail, or of those that do not."""
        lease_id = ids.uuid7()

        async def work(connection: Connection) -> list[Endpoint]:
            return await store.claim_endpoints(
                connection, lease_id, failing=failing, limit=limit, lease_s=self._lease_s
            )

        return [Leased(endpoint, lease_id) for endpoint in await self._database.transact(work)]

    async def take(self, leased: Leased, limit: int) -> list[Delivery]:
        """At most so many deliveries that are due, the longest due first."""
        async with self._database.connection() as connection:
            return await store.due_deliveries(connection, leased.endpoint, limit)

    def headers(self, leased: Leased, delivery: Delivery) -> dict[str, str]:
        """What an attempt made now carries, signed with every secret that signs.

        Raises `cryptography.fernet.InvalidToken` where a key is missing.
        """
        now = self._now()
        secrets = [self._vault.open(one.sealed) for one in leased.endpoint.secrets if one.signs(now)]
        return signatures.headers(delivery.message_id, delivery.body, secrets, now)

    async def record(self, leased: Leased, attempts: Sequence[tuple[Delivery, Outcome]]) -> Recorded:
        """Stores what came of attempts, and goes on with the endpoint as it now is."""
        now = self._now()
        tried = [
            rules.attempted(delivery, outcome, now, self._policy, random()) for delivery, outcome in attempts
        ]

        async def work(connection: Connection) -> Recorded:
            before = await self._lock(connection, leased)
            if before is None:
                return Recorded(None, (), False)
            await store.update_deliveries(connection, before, tried)
            after = endpoint_rules.after_attempts(
                before,
                succeeded=any(outcome.failure is None for _, outcome in attempts),
                gone=any(outcome.status == GONE for _, outcome in attempts),
                retry_after_s=max(outcome.retry_after_s for _, outcome in attempts),
                now=now,
                disable_after=self._disable_after,
            )
            if after != before:
                await endpoint_store.update_endpoint(connection, after)
            await store.extend_lease(connection, after, self._lease_s)
            is_told = after.state == EndpointState.ENABLED
            return Recorded(
                leased._replace(endpoint=after) if is_told else None,
                [one.state for one in tried if one.state != DeliveryState.PENDING],
                not is_told and before.state == EndpointState.ENABLED,
            )

        recorded = await self._database.transact(work)
        if recorded.disabled:
            _log.warning(
                "endpoint disabled by what it answered",
                tenant_id=leased.endpoint.tenant_id,
                endpoint_id=leased.endpoint.endpoint_id,
            )
        return recorded

    async def release(self, leased: Leased) -> None:
        """Lets an endpoint go, for whoever is next. One that fails has a pause first: what refuses at once would
        otherwise be tried without end."""

        async def work(connection: Connection) -> None:
            endpoint = await self._lock(connection, leased)
            if endpoint is not None:
                pause_s = self._policy.first_s if endpoint.failing_since is not None else 0.0
                await store.release_endpoint(connection, endpoint, pause_s)

        await self._database.transact(work)

    @staticmethod
    async def _lock(connection: Connection, leased: Leased) -> Endpoint | None:
        endpoint = leased.endpoint
        return await endpoint_store.leased_endpoint(
            connection, endpoint.tenant_id, UUID(endpoint.endpoint_id), leased.lease_id
        )
