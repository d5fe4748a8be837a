"""API keys: names with roles and scopes, each with one secret or, while it is rotated, two.

A secret is 256 random bits of the kernel as text, behind an id that may be shown. What is kept is its SHA-256.
A slow hash, as passwords need it, would add nothing: it makes guessing dear where there is little to guess, and
nobody finds 256 random bits at any speed. It would cost every first request of a key its time.
"""

import secrets
import string
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import IntEnum
from hashlib import blake2b, sha256

import msgspec

from services.access.domain import checks
from services.access.domain.limits import NO_LIMITS, Limits
from services.access.domain.tenants import PLATFORM
from services.access.errors import ApiKeyRevoked, SecretNotFound, SecretsAtMax
from services.chassis.errors import FieldInvalid, FieldRequired

DISPLAY_NAME_CHARS_MAX = 100
SECRETS_MAX = 2
SECRETS_SHOWN_MAX = 10
KEYS_MAX = 1_000
GRACE_MAX = timedelta(days=90)
SECRET_MARK = "sampan_"
"""With what every secret begins, so that scanners of repositories find those that were let slip."""
SECRET_BYTES = 32
SECRET_ID_CHARS = 10
FINGERPRINT_BYTES = 16
_ID_ALPHABET = string.ascii_lowercase + string.digits


class Role(IntEnum):
    """What a key may do; the numbers are those of the contract."""

    STOREFRONT = 1
    MERCHANT = 2
    WAREHOUSE = 3
    READER = 4
    ADMINISTRATOR = 5
    PLATFORM = 6


class KeyState(IntEnum):
    """Whether a key is good; the numbers are those of the contract."""

    ACTIVE = 1
    REVOKED = 2


class Secret(msgspec.Struct, frozen=True, gc=False):
    """A secret, without its text."""

    secret_id: str
    digest: bytes
    create_time: datetime
    expire_time: datetime | None = None
    revoke_time: datetime | None = None

    def is_good(self, now: datetime) -> bool:
        """Whether it opens the door."""
        return self.revoke_time is None and (self.expire_time is None or self.expire_time > now)


class KeyContent(msgspec.Struct, frozen=True, gc=False):
    """What a caller states about a key, checked."""

    display_name: str
    roles: tuple[Role, ...]
    merchant_ids: tuple[str, ...] = ()
    warehouse_ids: tuple[str, ...] = ()
    expire_time: datetime | None = None


class ApiKey(msgspec.Struct, frozen=True, gc=False):
    """A key as it stands; its secrets are the newest first."""

    tenant_id: str
    api_key_id: str
    content: KeyContent
    state: KeyState
    version: int
    create_time: datetime
    update_time: datetime
    secrets: tuple[Secret, ...]
    limits: Limits = NO_LIMITS


def content(
    tenant_id: str,
    *,
    display_name: str,
    roles: Sequence[int],
    merchant_ids: Sequence[str],
    warehouse_ids: Sequence[str],
    expire_time: datetime | None,
    now: datetime,
) -> KeyContent:
    """What a key of the tenant shall be; raises the InvalidArgument of the first fault."""
    checked = KeyContent(
        checks.line(display_name, "display_name", chars_max=DISPLAY_NAME_CHARS_MAX),
        _roles(roles),
        checks.scope(merchant_ids, "merchant_ids"),
        checks.scope(warehouse_ids, "warehouse_ids"),
        expire_time,
    )
    if (tenant_id == PLATFORM) != (Role.PLATFORM in checked.roles) or (
        Role.PLATFORM in checked.roles and len(checked.roles) > 1
    ):
        raise FieldInvalid("roles", f"the platform's role alone, in the tenant {PLATFORM} and in no other")
    # A scope beside a second role would leave open to which of them it belongs.
    if checked.merchant_ids and checked.roles != (Role.MERCHANT,):
        raise FieldInvalid("merchant_ids", "empty where the merchant's is not the only role")
    if checked.warehouse_ids and checked.roles != (Role.WAREHOUSE,):
        raise FieldInvalid("warehouse_ids", "empty where the warehouse's is not the only role")
    if expire_time is not None and expire_time <= now:
        raise FieldInvalid("expire_time", "in the future")
    return checked


def grace(period: timedelta | None) -> timedelta | None:
    """How long a secret stays good beside its successor; None: until it is revoked."""
    if period is not None and not timedelta(0) <= period <= GRACE_MAX:
        raise FieldInvalid("grace_period", f"0 to {GRACE_MAX.days} days")
    return period


def new_secret_text() -> tuple[str, str]:
    """A new secret's id and its text."""
    secret_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(SECRET_ID_CHARS))
    return secret_id, f"{SECRET_MARK}{secret_id}_{secrets.token_urlsafe(SECRET_BYTES)}"


def digest_of(text: str) -> bytes:
    """By what a secret is known."""
    return sha256(text.encode()).digest()


def fingerprint(*stated: object) -> bytes:
    """Stands for everything that a request states."""
    return blake2b(msgspec.json.encode(stated), digest_size=FINGERPRINT_BYTES).digest()


def rotated(key: ApiKey, added: Secret, period: timedelta | None, now: datetime) -> ApiKey:
    """The key with a further secret; those before end with the grace period, or not. Raises ApiKeyRevoked,
    SecretsAtMax."""
    if key.state == KeyState.REVOKED:
        raise ApiKeyRevoked(key.api_key_id)
    if sum(secret.is_good(now) for secret in key.secrets) >= SECRETS_MAX:
        raise SecretsAtMax(SECRETS_MAX)
    before = key.secrets
    if period is not None:
        end = now + period
        before = tuple(_ending(secret, end) if secret.is_good(now) else secret for secret in before)
    return _changed(key, now, secrets=(added, *before))


def secret_revoked(key: ApiKey, secret_id: str, now: datetime) -> ApiKey:
    """The key with one secret ended; the same value where it had ended by revocation. Raises SecretNotFound."""
    found = next((secret for secret in key.secrets if secret.secret_id == secret_id), None)
    if found is None:
        raise SecretNotFound(secret_id)
    if found.revoke_time is not None:
        return key
    return _changed(
        key,
        now,
        secrets=tuple(_revoked(secret, now) if secret is found else secret for secret in key.secrets),
    )


def limited(key: ApiKey, limits: Limits, now: datetime) -> ApiKey:
    """The key with other limits; the same value where it has them. Raises ApiKeyRevoked."""
    if key.state == KeyState.REVOKED:
        raise ApiKeyRevoked(key.api_key_id)
    return key if key.limits == limits else _changed(key, now, limits=limits)


def revoked(key: ApiKey, now: datetime) -> ApiKey:
    """The key, ended for good; the same value where it is."""
    if key.state == KeyState.REVOKED:
        return key
    ended = tuple(_revoked(secret, now) for secret in key.secrets)
    return _changed(key, now, state=KeyState.REVOKED, secrets=ended)


def _roles(roles: Sequence[int]) -> tuple[Role, ...]:
    if not roles:
        raise FieldRequired("roles")
    known = {int(role) for role in Role}
    for index, role in enumerate(roles):
        if role not in known:
            raise FieldInvalid(f"roles[{index}]", "a role of the contract")
    if len(set(roles)) != len(roles):
        raise FieldInvalid("roles", "each stated once")
    return tuple(sorted(map(Role, roles)))


def _ending(secret: Secret, end: datetime) -> Secret:
    if secret.expire_time is not None and secret.expire_time <= end:
        return secret
    return msgspec.structs.replace(secret, expire_time=end)


def _revoked(secret: Secret, now: datetime) -> Secret:
    return secret if secret.revoke_time is not None else msgspec.structs.replace(secret, revoke_time=now)


def _changed(key: ApiKey, now: datetime, **changes: object) -> ApiKey:
    return msgspec.structs.replace(key, version=key.version + 1, update_time=now, **changes)
