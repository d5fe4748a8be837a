"""Who asks: API keys, known by their SHA-256. The credential decides tenant, roles and scope; nothing in a request's
body can.

Keys come from the topics of access (`readmodel.keys`), and a few from the keys file: the first of all, with which the
others are made. A slow hash would add nothing: see services/access/domain/keys.py.
"""

import hmac
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.chassis.errors import DomainError
from services.gateway.errors import Problem
from services.gateway.roles import PLATFORM_TENANT_ID, ROLE_OF_SCOPE, ROLES, Role, ScopeKind

FileRole = Role | Literal["operator"]

KEY_CHARS_MAX = 256
_CHALLENGE = {"www-authenticate": 'Bearer realm="sampan"'}


class ApiKey(BaseModel):
    """One entry of the keys file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Annotated[str, Field(min_length=16, max_length=KEY_CHARS_MAX, pattern=r"^[\x21-\x7e]+$", repr=False)]
    tenant_id: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
    role: FileRole

    @model_validator(mode="after")
    def _platform_is_apart(self) -> "ApiKey":
        if (self.role == "platform") != (self.tenant_id == PLATFORM_TENANT_ID):
            raise ValueError(f"the role platform is that of the tenant {PLATFORM_TENANT_ID}, and of no other")
        return self

    @property
    def roles(self) -> frozenset[Role]:
        """An operator, as earlier releases called it, may do everything in its tenant."""
        return frozenset(("administrator" if self.role == "operator" else self.role,))


class CredentialFault(ValueError):
    """Roles and scopes that no caller can have together."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `actor` names it in records of what it did. `scope_ids` are the only ones of `scope` that it is for."""

    tenant_id: str
    roles: frozenset[Role]
    actor: str
    scope: ScopeKind | None = None
    scope_ids: frozenset[str] = frozenset()

    @property
    def is_of_file(self) -> bool:
        """Whether its key is one of the file's, which are good before anything is read."""
        return ":" not in self.actor

    def sees(self, scope: ScopeKind, name: str) -> bool:
        """Whether a merchant or a warehouse of the tenant is there for this caller."""
        return self.scope != scope or name in self.scope_ids


def caller_of(
    tenant_id: str, roles: Iterable[str], actor: str, scopes: Mapping[ScopeKind, Sequence[str]]
) -> Caller:
    """The caller of a credential; roles that we do not know count for nothing.

    Raises CredentialFault for what access would never issue: rather no caller than one with more rights than meant.
    """
    known = frozenset(role for role in ROLES if role in set(roles))
    if ("platform" in known) != (tenant_id == PLATFORM_TENANT_ID) or ("platform" in known and len(known) > 1):
        raise CredentialFault("the platform's role is for the platform's tenant only")
    stated = [(scope, ids) for scope, ids in scopes.items() if ids]
    if not stated:
        return Caller(tenant_id, known, actor)
    scope, ids = stated[0]
    if len(stated) > 1 or known != {ROLE_OF_SCOPE[scope]}:
        raise CredentialFault("a scope goes with its own role only")
    return Caller(tenant_id, known, actor, scope, frozenset(ids))


class _Entry(NamedTuple):
    digest: bytes
    caller: Caller
    expires_s: float | None


class Tokens(Protocol):
    """Who a bearer token speaks for."""

    async def caller(self, token: bytes) -> Caller:
        """The caller; raises a 401 problem, or a 503 one where the issuer's keys cannot be had."""


class IsCaughtUp(Protocol):
    """Whether all keys are known that were there at the start."""

    def __call__(self) -> bool:
        """So it is."""


class KeyRing:
    """Knows the SHA-256 of every key. The first half of a digest finds the entry, then all of it is compared
    in constant time: neither step tells anything about a key to somebody who measures it."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._entries: dict[bytes, _Entry] = {}
        self._suspended: set[str] = set()
        for entry in keys:
            digest = sha256(entry.key.encode()).digest()
            self._entries[digest[:16]] = _Entry(
                digest, Caller(entry.tenant_id, entry.roles, entry.role), None
            )

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, digest: bytes, caller: Caller, expire_time: datetime | None) -> None:
        """From now on the secret of this digest speaks for the caller, until a time."""
        expires_s = None if expire_time is None else expire_time.timestamp()
        self._entries[digest[:16]] = _Entry(digest, caller, expires_s)

    def remove(self, digest: bytes) -> None:
        """From now on the secret of this digest is unknown."""
        self._entries.pop(digest[:16], None)

    def suspend(self, tenant_id: str, suspended: bool) -> None:
        """Closes the door to a tenant, or opens it."""
        if suspended:
            self._suspended.add(tenant_id)
        else:
            self._suspended.discard(tenant_id)

    def find(self, key: bytes) -> Caller | None:
        """The caller of a key, None where it is unknown; raises a 401 or 403 problem where it is no longer good."""
        digest = sha256(key).digest()
        entry = self._entries.get(digest[:16])
        if entry is None or not hmac.compare_digest(entry.digest, digest):
            return None
        if entry.expires_s is not None and entry.expires_s <= time.time():
            raise Problem("CREDENTIAL_EXPIRED", "the API key has expired", headers=dict(_CHALLENGE))
        self.admit(entry.caller)
        return entry.caller

    def admit(self, caller: Caller) -> None:
        """Raises a 403 problem where the caller's tenant is suspended."""
        if caller.tenant_id in self._suspended:
            raise Problem("TENANT_SUSPENDED", "the tenant is suspended")


class Callers:
    """Finds out who asks: a key costs one hash and one lookup, a token its verification."""

    def __init__(self, ring: KeyRing, *, is_caught_up: IsCaughtUp, tokens: Tokens | None = None) -> None:
        self._ring = ring
        self._is_caught_up = is_caught_up
        self._tokens = tokens

    def known(self, headers: Mapping[bytes, bytes]) -> Caller | None:
        """The caller of a request that carries a key that we know; raises a 401, 403 or 503 problem."""
        caller = self._ring.find(_credential_in(headers))
        if caller is not None and not self._is_caught_up() and not caller.is_of_file:
            # What has been read so far may be older than the key's end or its tenant's suspension.
            raise _starting()
        return caller

    def is_unknown(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a request carries what is certainly no good credential, as far as that is told at once."""
        if not self._is_caught_up():
            return False
        try:
            credential = _credential_in(headers)
            may_be_token = self._tokens is not None and _is_like_token(credential, headers)
            return not may_be_token and self._ring.find(credential) is None
        except Problem:
            return False

    async def still_known(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether the credential of a request that is long under way would be taken now; so it is where its issuer
        cannot be asked."""
        try:
            if self.known(headers) is None:
                await self.verified(headers)
        except Problem:
            return False
        except DomainError:
            return True
        return True

    async def verified(self, headers: Mapping[bytes, bytes]) -> Caller:
        """The caller of a request that carries something else; raises a 401, 403 or 503 problem."""
        credential = _credential_in(headers)
        if not self._is_caught_up():
            # Before that a good key would look unknown, and its owner would give it up.
            raise _starting()
        if self._tokens is not None and _is_like_token(credential, headers):
            caller = await self._tokens.caller(credential)
            self._ring.admit(caller)
            return caller
        raise Problem("CREDENTIAL_UNKNOWN", "the API key is not known", headers=dict(_CHALLENGE))


def _starting() -> Problem:
    return Problem("STARTING", "the keys are being read", retry_after_s=1)


def refused_token(detail: str) -> Problem:
    """The 401 problem of a token."""
    challenge = {"www-authenticate": 'Bearer realm="sampan", error="invalid_token"'}
    return Problem("TOKEN_INVALID", detail, headers=challenge)


def _credential_in(headers: Mapping[bytes, bytes]) -> bytes:
    value = headers.get(b"authorization")
    if value is not None:
        scheme, _, key = value.partition(b" ")
        if scheme.lower() == b"bearer" and (key := key.strip()):
            return key
    elif (value := headers.get(b"x-api-key")) is not None and (key := value.strip()):
        return key
    raise Problem(
        "CREDENTIAL_REQUIRED", "the request carries neither an API key nor a token", headers=dict(_CHALLENGE)
    )


def _is_like_token(credential: bytes, headers: Mapping[bytes, bytes]) -> bool:
    return credential.count(b".") == 2 and b"authorization" in headers


def claims_text(value: Any) -> list[str] | None:
    """A claim that lists words: a JSON list of them, or one text with spaces between; None for anything else."""
    if isinstance(value, str):
        return value.split()
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return value
    return None
