"""Endpoints: where a tenant wants to be told, of what, and with which secrets what it is told is signed."""

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import IntEnum
from hashlib import blake2b

import msgspec

from services.chassis.errors import FieldInvalid, TooManyItems
from services.chassis.signatures import SECRET_MARK
from services.webhooks.domain import addresses, checks, messages
from services.webhooks.errors import EventTypeUnknown

ENDPOINTS_MAX = 50
EVENT_TYPES_MAX = 50
DESCRIPTION_CHARS_MAX = 200
SECRET_BYTES = 32
GRACE_DEFAULT = timedelta(days=1)
GRACE_MAX = timedelta(days=30)
FINGERPRINT_BYTES = 16


class EndpointState(IntEnum):
    """Whether an endpoint is told; the numbers are those of the contract."""

    ENABLED = 1
    DISABLED = 2


class DisableReason(IntEnum):
    """Why an endpoint is disabled; the numbers are those of the contract."""

    NONE = 0
    REQUESTED = 1
    GONE = 2
    FAILING = 3


class Secret(msgspec.Struct, frozen=True, gc=False):
    """A secret as it is stored: sealed."""

    secret_id: str
    sealed: bytes
    create_time: datetime
    expire_time: datetime | None = None

    def signs(self, now: datetime) -> bool:
        """Whether what is sent is signed with it."""
        return self.expire_time is None or self.expire_time > now


class EndpointContent(msgspec.Struct, frozen=True, gc=False):
    """What a caller states about an endpoint, checked."""

    url: str
    description: str = ""
    event_types: tuple[str, ...] = ()


class Endpoint(msgspec.Struct, frozen=True, gc=False):
    """An endpoint as it stands; its secrets are the newest first. Nothing is sent until `paused_until` is over."""

    tenant_id: str
    endpoint_id: str
    content: EndpointContent
    state: EndpointState
    disable_reason: DisableReason
    failing_since: datetime | None
    paused_until: datetime | None
    version: int
    create_time: datetime
    update_time: datetime
    secrets: tuple[Secret, ...]


def content(url: str, description: str, event_types: Sequence[str], *, insecure: bool) -> EndpointContent:
    """What an endpoint shall be; raises the InvalidArgument of the first fault."""
    return EndpointContent(
        addresses.checked_url(url, insecure=insecure),
        checks.line(description, "description", chars_max=DESCRIPTION_CHARS_MAX),
        _event_types(event_types),
    )


def new_secret_text() -> str:
    """The text of a new secret."""
    return SECRET_MARK + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def grace(period: timedelta | None) -> timedelta:
    """How long the secret before goes on signing."""
    if period is None:
        return GRACE_DEFAULT
    if not timedelta(0) <= period <= GRACE_MAX:
        raise FieldInvalid("grace_period", f"0 to {GRACE_MAX.days} days")
    return period


def fingerprint(*parts: object) -> bytes:
    """Stands for a request's content, so that a repetition can be told from another request of the same id."""
    return blake2b(msgspec.json.encode(parts), digest_size=FINGERPRINT_BYTES).digest()


def replaced(endpoint: Endpoint, new: EndpointContent, now: datetime) -> Endpoint:
    """The endpoint with other content; the same value where it is the same. A pause was asked for by what it was."""
    return endpoint if endpoint.content == new else _changed(endpoint, now, content=new, paused_until=None)


def rotated(endpoint: Endpoint, added: Secret, period: timedelta, now: datetime) -> Endpoint:
    """The endpoint with another secret; of those before only the newest goes on, for the grace period."""
    end = now + period
    before = [secret for secret in endpoint.secrets if secret.signs(now)][:1]
    going = tuple(
        msgspec.structs.replace(secret, expire_time=min(secret.expire_time or end, end)) for secret in before
    )
    return _changed(endpoint, now, secrets=(added, *(secret for secret in going if secret.signs(now))))


def enabled(endpoint: Endpoint, now: datetime) -> Endpoint:
    """The endpoint, told again; the same value where it is."""
    if endpoint.state == EndpointState.ENABLED:
        return endpoint
    return _changed(
        endpoint,
        now,
        state=EndpointState.ENABLED,
        disable_reason=DisableReason.NONE,
        failing_since=None,
        paused_until=None,
    )


def disabled(endpoint: Endpoint, reason: DisableReason, now: datetime) -> Endpoint:
    """The endpoint, told no more; the same value where it is not."""
    if endpoint.state == EndpointState.DISABLED:
        return endpoint
    return _changed(endpoint, now, state=EndpointState.DISABLED, disable_reason=reason)


def after_attempts(
    endpoint: Endpoint,
    *,
    succeeded: bool,
    gone: bool,
    retry_after_s: float,
    now: datetime,
    disable_after: timedelta,
) -> Endpoint:
    """The endpoint after some attempts: disabled where it asked for that, or where none has succeeded for so long.

    `succeeded` says whether any of them did, `gone` whether any was answered by 410, `retry_after_s` for how long the
    endpoint asked to be left alone; 0 where it did not.
    """
    failing_since = None if succeeded else endpoint.failing_since or now
    after = msgspec.structs.replace(
        endpoint,
        failing_since=failing_since,
        paused_until=now + timedelta(seconds=retry_after_s) if retry_after_s else None,
    )
    if gone:
        return disabled(after, DisableReason.GONE, now)
    if failing_since is not None and now - failing_since >= disable_after:
        return disabled(after, DisableReason.FAILING, now)
    return after


def _event_types(names: Sequence[str]) -> tuple[str, ...]:
    if len(names) > EVENT_TYPES_MAX:
        raise TooManyItems("event_types", EVENT_TYPES_MAX)
    for index, name in enumerate(names):
        if name not in messages.EVENT_TYPES:
            raise EventTypeUnknown(index, name)
    if len(set(names)) != len(names):
        raise FieldInvalid("event_types", "types that are each stated once")
    return tuple(sorted(names))


def _changed(endpoint: Endpoint, now: datetime, **changes: object) -> Endpoint:
    return msgspec.structs.replace(endpoint, version=endpoint.version + 1, update_time=now, **changes)
