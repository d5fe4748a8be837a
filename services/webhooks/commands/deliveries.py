"""What becomes a delivery, and what tenants see of deliveries and do to them."""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from services.chassis import clock, fields, ids, pages
from services.chassis.errors import FieldInvalid
from services.chassis.pg import Connection, Database
from services.webhooks.commands.endpoints import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, stored
from services.webhooks.domain import checks, messages
from services.webhooks.domain import deliveries as rules
from services.webhooks.domain.deliveries import Delivery, DeliveryState
from services.webhooks.domain.endpoints import Endpoint, EndpointState
from services.webhooks.domain.messages import Message
from services.webhooks.errors import DeliveryNotFound, EndpointDisabled
from services.webhooks.store import deliveries as store

_LAST = UUID(int=2**128 - 1)


class DeliveryPage(NamedTuple):
    """Some deliveries, and the token of the next page; empty on the last."""

    deliveries: list[Delivery]
    next_page_token: str


async def listening(connection: Connection, tenant_ids: Collection[str]) -> set[str]:
    """Which of the tenants have an enabled endpoint."""
    return await store.listening_tenants(connection, sorted(tenant_ids)) if tenant_ids else set()


async def enqueue(connection: Connection, told: Sequence[Message]) -> bool:
    """Makes a delivery of each message for each endpoint that wants it, in the given transaction; whether any does."""
    of_tenant: dict[str, list[Message]] = defaultdict(list)
    for message in told:
        of_tenant[message.tenant_id].append(message)
    types = {message.event_type for message in told}
    endpoints = await store.lock_endpoints_told(connection, list(of_tenant), list(types))
    made = [
        (ids.uuid7(), endpoint.tenant_id, endpoint.endpoint_id, message)
        for endpoint in endpoints
        for message in of_tenant[endpoint.tenant_id]
        if not endpoint.event_types or message.event_type in endpoint.event_types
    ]
    if made:
        await store.insert_deliveries(connection, made)
    return bool(made)


class Deliveries:
    """The use cases on one database. `after_commit` is called when something may have become due."""

    def __init__(
        self,
        database: Database,
        *,
        after_commit: Callable[[], None] = lambda: None,
        now: clock.Clock = clock.now_utc,
    ) -> None:
        self._database = database
        self._after_commit = after_commit
        self._now = now

    async def test(self, tenant_id: str, endpoint_id: str) -> Delivery:
        """Makes a delivery that tells nothing; raises EndpointNotFound, EndpointDisabled."""
        delivery_id = ids.uuid7()
        message = messages.message(
            tenant_id, ids.uuid7(), messages.TEST, self._now(), {"webhook_endpoint_id": endpoint_id}
        )

        async def work(connection: Connection) -> Delivery:
            endpoint = await _enabled(connection, tenant_id, endpoint_id)
            made = (delivery_id, tenant_id, UUID(endpoint.endpoint_id), message)
            await store.insert_deliveries(connection, [made])
            return await _stored(connection, tenant_id, str(delivery_id))

        made = await self._database.transact(work)
        self._after_commit()
        return made

    async def get(self, tenant_id: str, delivery_id: str) -> Delivery:
        """One delivery; raises DeliveryNotFound."""
        async with self._database.connection() as connection:
            return await _stored(connection, tenant_id, delivery_id)

    async def page(
        self, tenant_id: str, endpoint_id: str, state: int, page_size: int, page_token: str
    ) -> DeliveryPage:
        """A page of an endpoint's deliveries, the newest first, of one state or with 0 of all.

        Raises EndpointNotFound.
        """
        size = pages.page_size(page_size, default=PAGE_SIZE_DEFAULT, maximum=PAGE_SIZE_MAX)
        if state not in (0, *DeliveryState):
            raise FieldInvalid("state", "a state of the contract")
        bound_to = pages.filter_hash(tenant_id, endpoint_id, "deliveries", state)
        cursor = pages.decode(bound_to, page_token)
        before = fields.uuid(str(cursor[0])) if cursor else None
        async with self._database.connection() as connection:
            endpoint = await stored(connection, tenant_id, endpoint_id, lock=False)
            found = await store.deliveries_before(
                connection, endpoint, before or _LAST, size + 1, DeliveryState(state) if state else None
            )
        more = len(found) > size
        found = found[:size]
        return DeliveryPage(found, pages.encode(bound_to, [found[-1].delivery_id]) if more else "")

    async def redeliver(self, tenant_id: str, delivery_id: str) -> Delivery:
        """Sends a delivery again, whatever came of it; raises DeliveryNotFound, EndpointDisabled."""

        async def work(connection: Connection) -> Delivery:
            found = await _stored(connection, tenant_id, delivery_id)
            endpoint = await _enabled(connection, tenant_id, found.endpoint_id)
            # As it stands now that its endpoint is locked: a sender may have recorded an attempt meanwhile.
            after = rules.again(await _stored(connection, tenant_id, delivery_id), self._now())
            await store.update_deliveries(connection, endpoint, [after])
            await store.make_due(connection, {(tenant_id, UUID(endpoint.endpoint_id))})
            return after

        after = await self._database.transact(work)
        self._after_commit()
        return after

    async def forget(self, *, older_than_s: float, limit: int) -> int:
        """Removes deliveries older than that, at most `limit` of them; how many."""

        async def work(connection: Connection) -> int:
            return await store.delete_old_deliveries(connection, older_than_s=older_than_s, limit=limit)

        return await self._database.transact(work)

    async def measure(self) -> store.Measures:
        """Where the endpoints of all tenants stand."""
        async with self._database.connection() as connection:
            return await store.measure(connection)


async def _enabled(connection: Connection, tenant_id: str, endpoint_id: str) -> Endpoint:
    endpoint = await stored(connection, tenant_id, endpoint_id, lock=True)
    if endpoint.state != EndpointState.ENABLED:
        raise EndpointDisabled
    return endpoint


async def _stored(connection: Connection, tenant_id: str, delivery_id: str) -> Delivery:
    checks.tenant_id(tenant_id)
    asked = fields.uuid(delivery_id)
    found = await store.delivery(connection, tenant_id, asked) if asked is not None else None
    if found is None:
        raise DeliveryNotFound(delivery_id)
    return found
