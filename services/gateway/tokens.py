"""Bearer tokens of an OpenID Connect issuer: JWTs that its keys have signed.

A token is taken only if its key is one of the issuer's, its algorithm is the one that follows from that key, it is
from the configured issuer, meant for us, and its time is neither over nor yet to come.
"""

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import jwt

from services.gateway.auth import Caller, CredentialFault, Tokens, caller_of, claims_text, refused_token
from services.gateway.jwks import KeySet, check_url, over_http
from services.gateway.params import SLUG
from services.gateway.roles import ScopeKind

ALGORITHMS = ("RS256", "ES256", "EdDSA")
TOKEN_BYTES_MAX = 8_192
KID_CHARS_MAX = 256
SUBJECT_CHARS_MAX = 80
SCOPE_IDS_MAX = 50
VERIFIED_MAX = 10_000
VERIFIED_S_MAX = 60.0
"""For so long a token is known without being verified again: a key that the issuer takes back ends within it."""


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """What tokens are taken, and where in them tenant, roles and scopes stand."""

    issuer: str
    audience: str
    jwks_url: str
    tenant_claim: str
    roles_claim: str
    scope_claims: Mapping[ScopeKind, str]
    leeway_s: float

    def __post_init__(self) -> None:
        if not (self.issuer and self.audience and self.jwks_url):
            raise ValueError("GATEWAY_OIDC_ISSUER, _AUDIENCE and _JWKS_URL go together: set all or none")
        check_url(self.jwks_url)


def make_tokens(settings: OidcSettings | None) -> Tokens | None:
    """Verifies tokens as the settings say; None where none are taken."""
    if settings is None:
        return None
    return BearerTokens(settings, KeySet(over_http(settings.jwks_url)))


class BearerTokens:
    """Verifies, and remembers for a short time what it has verified."""

    def __init__(self, settings: OidcSettings, keys: KeySet) -> None:
        self._settings = settings
        self._keys = keys
        # By digest: the caller, and until when by the wall clock it may be taken from here.
        self._verified: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()

    async def caller(self, token: bytes) -> Caller:
        """Whom a token speaks for; raises a 401 problem, or Unavailable where the issuer's keys cannot be had."""
        if len(token) > TOKEN_BYTES_MAX:
            raise refused_token(f"the token has more than {TOKEN_BYTES_MAX} bytes")
        digest = sha256(token).digest()
        held = self._verified.get(digest)
        now_s = time.time()
        if held is not None and held[1] > now_s:
            return held[0]
        claims = await self._claims(token)
        caller = self._caller_of(claims)
        self._remember(
            digest, caller, min(now_s + VERIFIED_S_MAX, float(claims["exp"]) + self._settings.leeway_s)
        )
        return caller

    async def _claims(self, token: bytes) -> Mapping[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError):
            raise refused_token("the token cannot be read") from None
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS:
            raise refused_token(f"the token's algorithm is none of {', '.join(ALGORITHMS)}")
        if "crit" in header:
            # RFC 7515, 4.1.11: what is marked critical and not understood makes a token invalid.
            raise refused_token("the token has a critical header that is not understood")
        if not isinstance(kid, str) or not 0 < len(kid) <= KID_CHARS_MAX:
            raise refused_token("the token does not name its key")
        key = await self._keys.key(kid)
        if key is None or key.algorithm_name != algorithm:
            raise refused_token("the token's key is none of the issuer's")
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm_name],
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=self._settings.leeway_s,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise refused_token("the token's time is over") from None
        except jwt.MissingRequiredClaimError as error:
            raise refused_token(f"the token lacks the claim {error.claim}") from None
        except (jwt.InvalidIssuerError, jwt.InvalidAudienceError):
            raise refused_token("the token is from another issuer or meant for somebody else") from None
        except (jwt.PyJWTError, ValueError, OverflowError):
            raise refused_token("the token is not valid") from None
        return claims

    def _caller_of(self, claims: Mapping[str, Any]) -> Caller:
        settings = self._settings
        tenant_id = claims.get(settings.tenant_claim)
        if not isinstance(tenant_id, str) or SLUG.fullmatch(tenant_id) is None:
            raise refused_token(f"the claim {settings.tenant_claim} names no tenant")
        roles = claims_text(claims.get(settings.roles_claim))
        if roles is None:
            raise refused_token(f"the claim {settings.roles_claim} lists no roles")
        subject = str(claims["sub"])
        if not 0 < len(subject) <= SUBJECT_CHARS_MAX or not subject.isprintable():
            raise refused_token(f"the claim sub is not 1 to {SUBJECT_CHARS_MAX} printable characters")
        scopes: dict[ScopeKind, list[str]] = {}
        for scope, claim in settings.scope_claims.items():
            ids = claims_text(claims.get(claim, ""))
            # An empty list says "none": only where the claim is absent does it say nothing.
            if ids is None or len(ids) > SCOPE_IDS_MAX or (claim in claims and not ids):
                raise refused_token(f"the claim {claim} lists no ids, or more than {SCOPE_IDS_MAX}")
            scopes[scope] = ids
        try:
            return caller_of(tenant_id, roles, f"token:{subject}", scopes)
        except CredentialFault as fault:
            raise refused_token(str(fault)) from None

    def _remember(self, digest: bytes, caller: Caller, until_s: float) -> None:
        self._verified[digest] = (caller, until_s)
        self._verified.move_to_end(digest)
        while len(self._verified) > VERIFIED_MAX:
            self._verified.popitem(last=False)
