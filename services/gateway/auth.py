"""Static API keys. The key decides the tenant and the role; nothing in a request's body can."""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.gateway.errors import Problem

Role = Literal["storefront", "operator"]

KEY_CHARS_MAX = 256
_CHALLENGE = {"www-authenticate": 'Bearer realm="sampan"'}


class ApiKey(BaseModel):
    """One entry of the keys file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Annotated[str, Field(min_length=16, max_length=KEY_CHARS_MAX, pattern=r"^[\x21-\x7e]+$", repr=False)]
    tenant_id: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
    role: Role


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    tenant_id: str
    role: Role

    def may(self, role: Role) -> bool:
        """An operator may do everything that a storefront may."""
        return self.role == "operator" or role == "storefront"


class KeyRing:
    """Knows the SHA-256 of every key. The first half of a digest finds the entry, then all of it is compared
    in constant time: neither step tells anything about a key to somebody who measures it."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._entries: dict[bytes, tuple[bytes, Caller]] = {}
        for entry in keys:
            digest = sha256(entry.key.encode()).digest()
            self._entries[digest[:16]] = (digest, Caller(entry.tenant_id, entry.role))

    def caller(self, headers: Mapping[bytes, bytes]) -> Caller:
        """The caller of a request; raises a 401 problem."""
        key = _key_in(headers)
        if key is None:
            raise Problem("CREDENTIAL_REQUIRED", "the request carries no API key", headers=dict(_CHALLENGE))
        digest = sha256(key).digest()
        entry = self._entries.get(digest[:16])
        if entry is None or not hmac.compare_digest(entry[0], digest):
            raise Problem("CREDENTIAL_UNKNOWN", "the API key is not known", headers=dict(_CHALLENGE))
        return entry[1]


def _key_in(headers: Mapping[bytes, bytes]) -> bytes | None:
    value = headers.get(b"authorization")
    if value is not None:
        scheme, _, key = value.partition(b" ")
        return key.strip() if scheme.lower() == b"bearer" and key.strip() else None
    value = headers.get(b"x-api-key")
    return (value.strip() or None) if value is not None else None
