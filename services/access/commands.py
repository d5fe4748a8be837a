"""The use cases. Each owns its transaction, whose outbox holds the snapshot of what it changed, and whose audit
says who has done it.

Row locks are taken in one order everywhere: the tenant, then the key.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar
from uuid import UUID

from services.access import store
from services.access.domain import checks, keys, limits, tenants
from services.access.domain.keys import ApiKey, KeyContent, KeyState, Secret
from services.access.domain.limits import NO_LIMITS, Limits, Use
from services.access.domain.tenants import Tenant, TenantState
from services.access.errors import ApiKeyNotFound, ApiKeysAtMax, TenantExists, TenantNotFound, TenantReserved
from services.chassis import clock, fields, ids, log, outbox, pages
from services.chassis.envelope import OutboxMessage
from services.chassis.errors import RequestIdReused
from services.chassis.pg import Connection, Database

PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 200
_FIRST = UUID(int=0)

T = TypeVar("T")
TenantSnapshots = Callable[[Tenant], OutboxMessage]
KeySnapshots = Callable[[ApiKey], OutboxMessage]

_log = log.get(__name__)


class TenantPage(NamedTuple):
    """Some tenants, and the token of the next page; empty on the last."""

    tenants: list[Tenant]
    next_page_token: str


class KeyPage(NamedTuple):
    """Some keys, and the token of the next page; empty on the last."""

    keys: list[ApiKey]
    next_page_token: str


class Issued(NamedTuple):
    """A key and the text of the secret that it was given just now; without the text where the request is a
    repetition."""

    key: ApiKey
    secret: str

    @property
    def replayed(self) -> bool:
        """Whether the request was answered before."""
        return not self.secret


class Access:
    """The use cases on one database. `after_commit` is called when there may be news to publish."""

    def __init__(
        self,
        database: Database,
        *,
        tenant_snapshot: TenantSnapshots,
        key_snapshot: KeySnapshots,
        after_commit: Callable[[], None],
        now: clock.Clock = clock.now_utc,
    ) -> None:
        self._database = database
        self._tenant_snapshot = tenant_snapshot
        self._key_snapshot = key_snapshot
        self._after_commit = after_commit
        self._now = now

    async def create_tenant(self, tenant_id: str, display_name: str, *, actor: str) -> Tenant:
        """Adds a tenant, or returns the stored one of the same name; raises TenantExists, TenantReserved."""
        new = tenants.new_tenant(tenant_id, display_name, self._now())
        checks.actor(actor)
        if tenant_id == tenants.PLATFORM:
            raise TenantReserved(tenant_id)

        async def work(connection: Connection) -> Tenant:
            if not await store.insert_tenant(connection, new):
                stored = await store.tenant(connection, tenant_id)
                if stored is None or stored.display_name != display_name:
                    raise TenantExists(tenant_id)
                return stored
            await self._note_tenant(connection, new, actor, "TENANT_CREATED")
            return new

        return await self._transact(work)

    async def get_tenant(self, tenant_id: str) -> Tenant:
        """One tenant; raises TenantNotFound."""
        if not checks.can_be_tenant_id(tenant_id):
            raise TenantNotFound(tenant_id)
        async with self._database.connection() as connection:
            found = await store.tenant(connection, tenant_id)
        if found is None:
            raise TenantNotFound(tenant_id)
        return found

    async def list_tenants(self, page_size: int, page_token: str) -> TenantPage:
        """A page of tenants in the order of their ids."""
        size = _page_size(page_size)
        bound_to = pages.filter_hash("tenants")
        cursor = pages.decode(bound_to, page_token)
        async with self._database.connection() as connection:
            found = await store.tenants_after(connection, str(cursor[0]) if cursor else "", size + 1)
        more = len(found) > size
        found = found[:size]
        return TenantPage(found, pages.encode(bound_to, [found[-1].tenant_id]) if more else "")

    async def move_tenant(self, tenant_id: str, state: TenantState, *, actor: str) -> Tenant:
        """Suspends or activates a tenant; raises TenantNotFound, TenantReserved."""
        action = "TENANT_SUSPENDED" if state == TenantState.SUSPENDED else "TENANT_ACTIVATED"
        now = self._now()
        return await self._change_tenant(
            tenant_id, lambda tenant: tenants.in_state(tenant, state, now), actor, action
        )

    async def limit_tenant(self, tenant_id: str, stated: Limits, *, actor: str) -> Tenant:
        """Sets how many requests of a tenant are let in; raises TenantNotFound, TenantReserved."""
        checked = limits.checked(stated)
        now = self._now()
        return await self._change_tenant(
            tenant_id, lambda tenant: tenants.limited(tenant, checked, now), actor, "TENANT_LIMITED"
        )

    async def _change_tenant(
        self, tenant_id: str, change: Callable[[Tenant], Tenant], actor: str, action: str
    ) -> Tenant:
        checks.actor(actor)
        if not checks.can_be_tenant_id(tenant_id):
            raise TenantNotFound(tenant_id)
        if tenant_id == tenants.PLATFORM:
            raise TenantReserved(tenant_id)

        async def work(connection: Connection) -> Tenant:
            before = await store.lock_tenant(connection, tenant_id)
            if before is None:
                raise TenantNotFound(tenant_id)
            after = change(before)
            if after is not before:
                await store.update_tenant(connection, after)
                await self._note_tenant(connection, after, actor, action)
            return after

        return await self._transact(work)

    async def create_key(
        self,
        tenant_id: str,
        request_id: str,
        draft: Callable[[datetime], KeyContent],
        stated: Limits = NO_LIMITS,
        *,
        actor: str,
    ) -> Issued:
        """Adds a key with its first secret; a repetition gets the key as it stands, without the secret.

        `draft` makes the content for a time, which its expiry must be after. Raises TenantNotFound, ApiKeysAtMax,
        RequestIdReused, and what `draft` raises.
        """
        checks.tenant_id(tenant_id)
        fields.request_id(request_id)
        checks.actor(actor)
        now = self._now()
        content = draft(now)
        of_limits = () if limits.checked(stated) == NO_LIMITS else (stated,)
        fingerprint = keys.fingerprint("create", content, *of_limits)
        new, secret = _new_key(tenant_id, content, stated, now)

        async def work(connection: Connection) -> Issued:
            # The tenant first: so that its keys can be counted, and so that nothing is kept of one that is not there.
            if await store.lock_tenant(connection, tenant_id) is None:
                raise TenantNotFound(tenant_id)
            again = await self._repeated(connection, tenant_id, request_id, fingerprint, UUID(new.api_key_id))
            if again is not None:
                return again
            if await store.count_active_keys(connection, tenant_id) >= keys.KEYS_MAX:
                raise ApiKeysAtMax(keys.KEYS_MAX)
            await store.insert_key(connection, new)
            await self._note_key(connection, new, actor, "KEY_CREATED", new.secrets[0].secret_id)
            return Issued(new, secret)

        return await self._transact(work)

    async def get_key(self, tenant_id: str, api_key_id: str) -> ApiKey:
        """One key; raises ApiKeyNotFound."""
        checks.tenant_id(tenant_id)
        async with self._database.connection() as connection:
            return await _stored(connection, tenant_id, api_key_id, lock=False)

    async def list_keys(self, tenant_id: str, page_size: int, page_token: str) -> KeyPage:
        """A page of a tenant's keys in the order of their ids."""
        checks.tenant_id(tenant_id)
        size = _page_size(page_size)
        bound_to = pages.filter_hash(tenant_id, "keys")
        cursor = pages.decode(bound_to, page_token)
        after = fields.uuid(str(cursor[0])) if cursor else None
        async with self._database.connection() as connection:
            found = await store.keys_after(connection, tenant_id, after or _FIRST, size + 1)
        more = len(found) > size
        found = found[:size]
        return KeyPage(found, pages.encode(bound_to, [found[-1].api_key_id]) if more else "")

    async def rotate_key(
        self, tenant_id: str, api_key_id: str, request_id: str, grace: timedelta | None, *, actor: str
    ) -> Issued:
        """Gives a key another secret; a repetition gets the key as it stands, without it.

        Raises ApiKeyNotFound, ApiKeyRevoked, SecretsAtMax, RequestIdReused.
        """
        checks.tenant_id(tenant_id)
        fields.request_id(request_id)
        checks.actor(actor)
        period = keys.grace(grace)
        now = self._now()
        fingerprint = keys.fingerprint("rotate", api_key_id, period)
        secret_id, text = keys.new_secret_text()
        added = Secret(secret_id, keys.digest_of(text), now)

        async def work(connection: Connection) -> Issued:
            before = await _stored(connection, tenant_id, api_key_id, lock=True)
            again = await self._repeated(connection, tenant_id, request_id, fingerprint, UUID(api_key_id))
            if again is not None:
                return again
            after = keys.rotated(before, added, period, now)
            await store.update_key(connection, before, after)
            await self._note_key(connection, after, actor, "KEY_ROTATED", secret_id)
            return Issued(after, text)

        return await self._transact(work)

    async def revoke_key(self, tenant_id: str, api_key_id: str, secret_id: str, *, actor: str) -> ApiKey:
        """Ends a key, or where `secret_id` is given one secret of it; raises ApiKeyNotFound, SecretNotFound."""
        now = self._now()
        if secret_id:
            return await self._change_key(
                tenant_id,
                api_key_id,
                lambda key: keys.secret_revoked(key, secret_id, now),
                actor,
                "SECRET_REVOKED",
                secret_id,
            )
        return await self._change_key(
            tenant_id, api_key_id, lambda key: keys.revoked(key, now), actor, "KEY_REVOKED"
        )

    async def limit_key(self, tenant_id: str, api_key_id: str, stated: Limits, *, actor: str) -> ApiKey:
        """Sets how many requests of a key are let in; raises ApiKeyNotFound, ApiKeyRevoked."""
        checked = limits.checked(stated)
        now = self._now()
        return await self._change_key(
            tenant_id, api_key_id, lambda key: keys.limited(key, checked, now), actor, "KEY_LIMITED"
        )

    async def _change_key(
        self,
        tenant_id: str,
        api_key_id: str,
        change: Callable[[ApiKey], ApiKey],
        actor: str,
        action: str,
        secret_id: str = "",
    ) -> ApiKey:
        checks.tenant_id(tenant_id)
        checks.actor(actor)

        async def work(connection: Connection) -> ApiKey:
            before = await _stored(connection, tenant_id, api_key_id, lock=True)
            after = change(before)
            if after is not before:
                await store.update_key(connection, before, after)
                await self._note_key(connection, after, actor, action, secret_id)
            return after

        return await self._transact(work)

    async def exchange_use(self, replica_id: str, uses: Sequence[Use]) -> list[int]:
        """Keeps what one replica of the gateway has let in; what all others have, in the same order."""
        teller, told = limits.replica(replica_id), limits.checked_uses(uses)

        async def work(connection: Connection) -> list[int]:
            return await store.exchange_use(connection, teller, told)

        return await self._database.transact(work)

    async def forget_use(self, *, before: int, limit: int) -> int:
        """Forgets counts of windows that began before that second since 1970, at most `limit`; how many."""

        async def work(connection: Connection) -> int:
            return await store.delete_use(connection, before=before, limit=limit)

        return await self._database.transact(work)

    async def _transact(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        result = await self._database.transact(work)
        self._after_commit()
        return result

    async def _repeated(
        self, connection: Connection, tenant_id: str, request_id: str, fingerprint: bytes, api_key_id: UUID
    ) -> Issued | None:
        """What a repetition gets; None for a request id that is new, and is noted now."""
        if await store.insert_request_key(connection, tenant_id, request_id, fingerprint, api_key_id):
            return None
        earlier, made = await store.request_of(connection, tenant_id, request_id)
        if earlier != fingerprint:
            raise RequestIdReused
        return Issued(await _stored(connection, tenant_id, str(made), lock=False), "")

    async def _note_tenant(self, connection: Connection, tenant: Tenant, actor: str, action: str) -> None:
        """Records and publishes a change of a locked tenant."""
        await store.insert_audit(
            connection,
            time=tenant.update_time,
            actor=actor,
            action=action,
            tenant_id=tenant.tenant_id,
            version=tenant.version,
        )
        await outbox.append(connection, [self._tenant_snapshot(tenant)])
        _log.info("tenant changed", action=action, tenant_id=tenant.tenant_id, actor=actor)

    async def _note_key(
        self, connection: Connection, key: ApiKey, actor: str, action: str, secret_id: str
    ) -> None:
        """Records and publishes a change of a locked key."""
        await store.insert_audit(
            connection,
            time=key.update_time,
            actor=actor,
            action=action,
            tenant_id=key.tenant_id,
            api_key_id=key.api_key_id,
            secret_id=secret_id,
            version=key.version,
        )
        await outbox.append(connection, [self._key_snapshot(key)])
        _log.info(
            "key changed", action=action, tenant_id=key.tenant_id, api_key_id=key.api_key_id, actor=actor
        )


def _new_key(tenant_id: str, content: KeyContent, stated: Limits, now: datetime) -> tuple[ApiKey, str]:
    secret_id, text = keys.new_secret_text()
    secret = Secret(secret_id, keys.digest_of(text), now)
    key = ApiKey(tenant_id, str(ids.uuid7()), content, KeyState.ACTIVE, 1, now, now, (secret,), stated)
    return key, text


async def _stored(connection: Connection, tenant_id: str, api_key_id: str, *, lock: bool) -> ApiKey:
    asked = fields.uuid(api_key_id)
    found = await store.key(connection, tenant_id, asked, lock=lock) if asked is not None else None
    if found is None:
        raise ApiKeyNotFound(api_key_id)
    return found


def _page_size(requested: int) -> int:
    return pages.page_size(requested, default=PAGE_SIZE_DEFAULT, maximum=PAGE_SIZE_MAX)
