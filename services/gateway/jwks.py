"""The issuer's public keys: fetched when they are needed, kept with bounds, looked for again when a key is unknown,
but seldom: whoever sends tokens with invented key ids must not make us ask the issuer for each.
"""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import jwt
from prometheus_client import Counter

from services.chassis import log
from services.chassis.errors import Unavailable

BYTES_MAX = 256 * 1024
KEYS_MAX = 100
FETCH_S_MAX = 5.0
REFETCH_S_MIN = 30.0
"""Between two fetches at least, whatever key ids are asked for and however the last one ended."""
FRESH_S_MAX = 600.0
"""After so long the keys are fetched again before one is used: an issuer takes keys back."""
STALE_S_MAX = 3_600.0
"""For so long keys are used that could not be fetched again."""
RSA_BITS_MIN = 2_048
LOOPBACK = ("127.0.0.1", "::1", "localhost")

# The algorithm follows from the kind of key, never from the token: a public key is no secret for HMAC.
_ALGORITHM_OF: Mapping[tuple[str, str], str] = {
    ("RSA", ""): "RS256",
    ("EC", "P-256"): "ES256",
    ("OKP", "Ed25519"): "EdDSA",
}

_log = log.get(__name__)
_FETCHES = Counter("sampan_gateway_jwks_fetches_total", "Fetches of the issuer's keys.", ["outcome"])

Fetch = Callable[[], Awaitable[bytes]]


def check_url(url: str) -> str:
    """The URL if keys may be fetched from it; raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return url
    if parts.scheme == "http" and parts.hostname in LOOPBACK:
        return url
    raise ValueError("the keys of an issuer come by https, or from loopback")


def over_http(url: str) -> Fetch:
    """Fetches from a URL, following nothing: a redirect would lead past the check of it."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())
    request = urllib.request.Request(url, headers={"Accept": "application/json"})

    def fetch() -> bytes:
        with opener.open(request, timeout=FETCH_S_MAX) as answer:
            content: bytes = answer.read(BYTES_MAX + 1)
        if len(content) > BYTES_MAX:
            raise ValueError(f"more than {BYTES_MAX} bytes")
        return content

    async def in_thread() -> bytes:
        # The timeout of a socket is for each read; this one is for all of them.
        async with asyncio.timeout(FETCH_S_MAX * 2):
            return await asyncio.to_thread(fetch)

    return in_thread


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: object) -> None:
        return None


class KeySet:
    """The keys by id. Those who ask at the same time share one fetch."""

    def __init__(self, fetch: Fetch, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._monotonic = monotonic
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched_s = float("-inf")
        self._tried_s = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, kid: str) -> jwt.PyJWK | None:
        """The key of an id, None where the issuer has none; raises Unavailable where its keys cannot be had."""
        age_s = self._monotonic() - self._fetched_s
        if age_s > FRESH_S_MAX or kid not in self._keys:
            await self._refresh()
            age_s = self._monotonic() - self._fetched_s
        if age_s > STALE_S_MAX:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "the issuer's keys cannot be had", retry_after_s=5)
        return self._keys.get(kid)

    async def _refresh(self) -> None:
        if self._fetching is None:
            now_s = self._monotonic()
            if now_s - self._tried_s < REFETCH_S_MIN:
                return
            self._tried_s = now_s
            self._fetching = asyncio.create_task(self._load(), name="jwks")
            self._fetching.add_done_callback(self._on_loaded)
        # One of those who wait may go away: the others go on waiting.
        await asyncio.shield(self._fetching)

    def _on_loaded(self, _done: asyncio.Task[None]) -> None:
        self._fetching = None

    async def _load(self) -> None:
        try:
            keys = keys_of(await self._fetch())
        except (OSError, ValueError, TimeoutError, jwt.PyJWTError) as error:
            _FETCHES.labels("failed").inc()
            _log.warning("the issuer's keys could not be fetched", error=repr(error))
            return
        _FETCHES.labels("done").inc()
        self._keys = keys
        self._fetched_s = self._monotonic()


def keys_of(document: bytes) -> dict[str, jwt.PyJWK]:
    """The keys of a JWKS document that we take, by id; raises ValueError where it is none."""
    try:
        listed = json.loads(document)["keys"]
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("not a JWKS document") from error
    if not isinstance(listed, list) or len(listed) > KEYS_MAX:
        raise ValueError(f"not a list of at most {KEYS_MAX} keys")
    found = {}
    for entry in listed:
        key = _key_of(entry)
        if key is not None:
            found[str(entry["kid"])] = key
    return found


def _key_of(entry: Any) -> jwt.PyJWK | None:
    """The key of an entry, None where it is of a kind that we do not take."""
    if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str):
        return None
    kind = str(entry.get("kty")), str(entry.get("crv", ""))
    algorithm = _ALGORITHM_OF.get(kind)
    if algorithm is None or entry.get("alg", algorithm) != algorithm or entry.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.PyJWK.from_dict(entry, algorithm=algorithm)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    # An entry that holds a private key has been published by mistake: whoever saw it can sign.
    if hasattr(key.key, "private_numbers") or hasattr(key.key, "private_bytes"):
        _log.error("the issuer publishes a private key; it is not taken", kid=entry["kid"])
        return None
    if algorithm == "RS256" and key.key.key_size < RSA_BITS_MIN:
        return None
    return key
