"""What tenants do to their endpoints."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from services.chassis import clock, fields, ids, log, pages
from services.chassis.errors import RequestIdReused
from services.chassis.pg import Connection, Database
from services.webhooks.domain import checks
from services.webhooks.domain import endpoints as rules
from services.webhooks.domain.endpoints import (
    ENDPOINTS_MAX,
    DisableReason,
    Endpoint,
    EndpointContent,
    EndpointState,
    Secret,
)
from services.webhooks.errors import EndpointNotFound, EndpointsAtMax
from services.webhooks.sealing import Vault
from services.webhooks.store import deliveries as delivery_store
from services.webhooks.store import endpoints as store

PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 200
_FIRST = UUID(int=0)

_log = log.get(__name__)


class EndpointPage(NamedTuple):
    """Some endpoints, and the token of the next page; empty on the last."""

    endpoints: list[Endpoint]
    next_page_token: str


class Issued(NamedTuple):
    """An endpoint and the text of the secret that it was given just now; without the text where the request is a
    repetition."""

    endpoint: Endpoint
    secret: str

    @property
    def replayed(self) -> bool:
        """Whether the request was answered before."""
        return not self.secret


class Endpoints:
    """The use cases on one database. `after_commit` is called when something may have become due.

    `insecure` allows http and addresses that are not public, for development.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        *,
        insecure: bool = False,
        after_commit: Callable[[], None] = lambda: None,
        now: clock.Clock = clock.now_utc,
    ) -> None:
        self._database = database
        self._vault = vault
        self._insecure = insecure
        self._after_commit = after_commit
        self._now = now

    async def create(
        self, tenant_id: str, request_id: str, url: str, description: str, event_types: Sequence[str]
    ) -> Issued:
        """Adds an endpoint with its first secret; a repetition gets the endpoint as it stands, without the secret.

        Raises EndpointsAtMax, RequestIdReused, UrlRefused, EventTypeUnknown.
        """
        checks.tenant_id(tenant_id)
        fields.request_id(request_id)
        content = self._content(url, description, event_types)
        fingerprint = rules.fingerprint("create", content)
        now = self._now()
        secret, text = self._new_secret()
        new = Endpoint(
            tenant_id,
            str(ids.uuid7()),
            content,
            EndpointState.ENABLED,
            DisableReason.NONE,
            None,
            None,
            1,
            now,
            now,
            (secret,),
        )

        async def work(connection: Connection) -> Issued:
            count = await store.lock_tenant(connection, tenant_id)
            again = await _repeated(connection, tenant_id, request_id, fingerprint, UUID(new.endpoint_id))
            if again is not None:
                return again
            if count >= ENDPOINTS_MAX:
                raise EndpointsAtMax(ENDPOINTS_MAX)
            await store.insert_endpoint(connection, new, sealed_by=self._vault.sealed_by)
            return Issued(new, text)

        return _noted("created", await self._database.transact(work))

    async def get(self, tenant_id: str, endpoint_id: str) -> Endpoint:
        """One endpoint; raises EndpointNotFound."""
        async with self._database.connection() as connection:
            return await stored(connection, tenant_id, endpoint_id, lock=False)

    async def page(self, tenant_id: str, page_size: int, page_token: str) -> EndpointPage:
        """A page of a tenant's endpoints in the order of their ids."""
        checks.tenant_id(tenant_id)
        size = pages.page_size(page_size, default=PAGE_SIZE_DEFAULT, maximum=PAGE_SIZE_MAX)
        bound_to = pages.filter_hash(tenant_id, "endpoints")
        cursor = pages.decode(bound_to, page_token)
        after = fields.uuid(str(cursor[0])) if cursor else None
        async with self._database.connection() as connection:
            found = await store.endpoints_after(connection, tenant_id, after or _FIRST, size + 1)
        more = len(found) > size
        found = found[:size]
        return EndpointPage(found, pages.encode(bound_to, [found[-1].endpoint_id]) if more else "")

    async def update(
        self, tenant_id: str, endpoint_id: str, url: str, description: str, event_types: Sequence[str]
    ) -> Endpoint:
        """Replaces what is stated about an endpoint; raises EndpointNotFound, UrlRefused, EventTypeUnknown."""
        content = self._content(url, description, event_types)
        return await self._change(
            tenant_id, endpoint_id, "updated", lambda before: rules.replaced(before, content, self._now())
        )

    async def enable(self, tenant_id: str, endpoint_id: str) -> Endpoint:
        """Goes on telling an endpoint, what waits for it first; raises EndpointNotFound."""
        return await self._change(
            tenant_id, endpoint_id, "enabled", lambda before: rules.enabled(before, self._now())
        )

    async def disable(self, tenant_id: str, endpoint_id: str) -> Endpoint:
        """Tells an endpoint nothing more; raises EndpointNotFound."""
        return await self._change(
            tenant_id,
            endpoint_id,
            "disabled",
            lambda before: rules.disabled(before, DisableReason.REQUESTED, self._now()),
        )

    async def delete(self, tenant_id: str, endpoint_id: str) -> Endpoint:
        """Removes an endpoint; its deliveries go with their age. Raises EndpointNotFound."""

        async def work(connection: Connection) -> Endpoint:
            found = await stored(connection, tenant_id, endpoint_id, lock=True)
            await store.delete_endpoint(connection, found)
            return found

        deleted = await self._database.transact(work)
        _note("deleted", deleted)
        return deleted

    async def rotate(
        self, tenant_id: str, endpoint_id: str, request_id: str, grace: timedelta | None
    ) -> Issued:
        """Gives an endpoint another secret; a repetition gets the endpoint as it stands, without it.

        Raises EndpointNotFound, RequestIdReused.
        """
        checks.tenant_id(tenant_id)
        fields.request_id(request_id)
        period = rules.grace(grace)
        fingerprint = rules.fingerprint("rotate", endpoint_id, period.total_seconds())
        secret, text = self._new_secret()

        async def work(connection: Connection) -> Issued:
            before = await stored(connection, tenant_id, endpoint_id, lock=True)
            again = await _repeated(connection, tenant_id, request_id, fingerprint, UUID(endpoint_id))
            if again is not None:
                return again
            after = rules.rotated(before, secret, period, secret.create_time)
            await store.update_endpoint(connection, after)
            await store.update_secrets(connection, after, sealed_by=self._vault.sealed_by)
            return Issued(after, text)

        return _noted("secret rotated", await self._database.transact(work))

    async def seal_anew(self, *, limit: int) -> int:
        """Seals at most `limit` secrets by the first key that an older one has sealed; how many."""

        async def work(connection: Connection) -> int:
            found = await store.sealed_otherwise(connection, self._vault.sealed_by, limit)
            if found:
                anew = [
                    (tenant_id, endpoint_id, secret_id, self._vault.seal_anew(sealed))
                    for tenant_id, endpoint_id, secret_id, sealed in found
                ]
                await store.update_sealed(connection, self._vault.sealed_by, anew)
            return len(found)

        return await self._database.transact(work)

    def _content(self, url: str, description: str, event_types: Sequence[str]) -> EndpointContent:
        return rules.content(url, description, event_types, insecure=self._insecure)

    def _new_secret(self) -> tuple[Secret, str]:
        text = rules.new_secret_text()
        return Secret(str(ids.uuid7()), self._vault.seal(text), self._now()), text

    async def _change(
        self, tenant_id: str, endpoint_id: str, what: str, change: Callable[[Endpoint], Endpoint]
    ) -> Endpoint:
        async def work(connection: Connection) -> tuple[Endpoint, bool]:
            before = await stored(connection, tenant_id, endpoint_id, lock=True)
            after = change(before)
            if after is before:
                return after, False
            await store.update_endpoint(connection, after)
            # What waits is looked through anew; where nothing does, a sender finds that out.
            await delivery_store.make_due(connection, {(after.tenant_id, UUID(after.endpoint_id))})
            return after, True

        after, changed = await self._database.transact(work)
        if changed:
            _note(what, after)
            self._after_commit()
        return after


async def stored(connection: Connection, tenant_id: str, endpoint_id: str, *, lock: bool) -> Endpoint:
    """One endpoint, locked until the transaction's end where `lock`; raises EndpointNotFound."""
    checks.tenant_id(tenant_id)
    asked = fields.uuid(endpoint_id)
    found = await store.endpoint(connection, tenant_id, asked, lock=lock) if asked is not None else None
    if found is None:
        raise EndpointNotFound(endpoint_id)
    return found


async def _repeated(
    connection: Connection, tenant_id: str, request_id: str, fingerprint: bytes, endpoint_id: UUID
) -> Issued | None:
    """What a repetition gets; None for a request id that is new, and is noted now."""
    if await store.insert_request_key(connection, tenant_id, request_id, fingerprint, endpoint_id):
        return None
    earlier, made = await store.request_of(connection, tenant_id, request_id)
    if earlier != fingerprint:
        raise RequestIdReused
    return Issued(await stored(connection, tenant_id, str(made), lock=False), "")


def _noted(what: str, issued: Issued) -> Issued:
    if not issued.replayed:
        _note(what, issued.endpoint)
    return issued


def _note(what: str, endpoint: Endpoint) -> None:
    _log.info(f"endpoint {what}", tenant_id=endpoint.tenant_id, endpoint_id=endpoint.endpoint_id)
