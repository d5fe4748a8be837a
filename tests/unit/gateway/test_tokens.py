"""Bearer tokens: what is taken of an issuer, and what attackers try. The issuer's keys come over real HTTP."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from services.chassis.errors import Unavailable
from services.gateway import jwks
from services.gateway.auth import Caller, Callers, KeyRing
from services.gateway.errors import Problem
from services.gateway.jwks import KeySet, over_http
from services.gateway.tokens import VERIFIED_S_MAX, BearerTokens, OidcSettings
from tests.unit.gateway.issuer import AUDIENCE, ISSUER, Issuer, claims, serving


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """One with a key of each kind."""
    with serving() as found:
        for algorithm in ("RS256", "ES256", "EdDSA"):
            found.add(algorithm.lower(), algorithm)
        yield found


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """The clock of the key set."""
    return Clock()


@pytest.fixture
def tokens(issuer: Issuer, clock: Clock) -> BearerTokens:
    """The verifier of the issuer's tokens."""
    return BearerTokens(settings(issuer.url), KeySet(over_http(issuer.url), monotonic=clock))


def settings(url: str, **changes: Any) -> OidcSettings:
    stated: dict[str, Any] = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "jwks_url": url,
        "tenant_claim": "tenant_id",
        "roles_claim": "roles",
        "scope_claims": {"merchants": "merchant_ids", "warehouses": "warehouse_ids"},
        "leeway_s": 30.0,
    }
    return OidcSettings(**(stated | changes))


async def refusal(tokens: BearerTokens, token: bytes) -> str:
    """The detail of the 401 that a token gets."""
    with pytest.raises(Problem) as caught:
        await tokens.caller(token)
    assert (caught.value.reason, caught.value.status) == ("TOKEN_INVALID", 401)
    assert 'error="invalid_token"' in caught.value.headers["www-authenticate"]
    return caught.value.detail


def encoded(part: dict[str, Any]) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")


@pytest.mark.parametrize("kid", ["rs256", "es256", "eddsa"])
async def test_a_token_of_the_issuer_speaks_for_its_subject(
    issuer: Issuer, tokens: BearerTokens, kid: str
) -> None:
    caller = await tokens.caller(issuer.token(kid, roles="merchant unknown", merchant_ids=["north"]))
    assert caller == Caller("acme", frozenset(("merchant",)), "token:ana", "merchants", frozenset(("north",)))
    assert await tokens.caller(issuer.token(kid, aud=["other", AUDIENCE])) == Caller(
        "acme", frozenset(("storefront",)), "token:ana"
    )


async def test_a_token_without_a_signature_is_refused(issuer: Issuer, tokens: BearerTokens) -> None:
    for algorithm in ("none", "None", "NONE", ""):
        head = encoded({"alg": algorithm, "kid": "rs256", "typ": "JWT"})
        for signature in (b"", issuer.token("rs256").rpartition(b".")[2]):
            token = head + b"." + encoded(claims()) + b"." + signature
            assert "algorithm" in await refusal(tokens, token)
    stripped = issuer.token("rs256").rpartition(b".")[0] + b"."
    assert "not valid" in await refusal(tokens, stripped)


@pytest.mark.parametrize("kid", ["rs256", "es256", "eddsa"])
async def test_the_public_key_is_no_secret_for_hmac(issuer: Issuer, tokens: BearerTokens, kid: str) -> None:
    for secret in (issuer.public_pem(kid), json.dumps(issuer.published[0]).encode()):
        for algorithm in ("HS256", "HS512"):
            signed = encoded({"alg": algorithm, "kid": kid}) + b"." + encoded(claims())
            signature = hmac.new(secret, signed, algorithm.replace("HS", "sha")).digest()
            token = signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")
            assert "algorithm" in await refusal(tokens, token)


async def test_a_key_is_used_with_its_own_algorithm_only(issuer: Issuer, tokens: BearerTokens) -> None:
    for alg, kid in (("ES256", "rs256"), ("RS256", "eddsa"), ("EdDSA", "es256")):
        token = encoded({"alg": alg, "kid": kid}) + b"." + encoded(claims()) + b"." + b"c2ln"
        assert "none of the issuer's" in await refusal(tokens, token)
    # RS512 and PS256 are good algorithms, and none of the three.
    private = issuer.keys["rs256"][1]
    for alg in ("RS512", "PS256"):
        token = jwt.encode(claims(), private, algorithm=alg, headers={"kid": "rs256"}).encode()
        assert "algorithm" in await refusal(tokens, token)


async def test_a_key_that_a_token_brings_along_is_not_trusted(issuer: Issuer, tokens: BearerTokens) -> None:
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(own.public_key()))
    for extra in ({"jwk": jwk}, {"jku": "http://127.0.0.1:1/keys"}, {"x5u": "http://127.0.0.1:1/cert"}):
        token = jwt.encode(claims(), own, algorithm="RS256", headers={"kid": "rs256", **extra})
        assert "not valid" in await refusal(tokens, token.encode())


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"iss": "https://login.example.evil"}, "another issuer"),
        ({"iss": None}, "lacks the claim iss"),
        ({"iss": [ISSUER]}, "another issuer"),
        ({"aud": "somebody"}, "meant for somebody else"),
        ({"aud": ["a", "b"]}, "meant for somebody else"),
        ({"aud": None}, "lacks the claim aud"),
        ({"exp": None}, "lacks the claim exp"),
        ({"exp": int(time.time()) - 31}, "time is over"),
        ({"exp": "never"}, "not valid"),
        ({"nbf": int(time.time()) + 86_400}, "not valid"),
        ({"iat": int(time.time()) + 86_400}, "not valid"),
        ({"sub": None}, "lacks the claim sub"),
        ({"sub": ""}, "claim sub"),
        ({"sub": "a\nb"}, "claim sub"),
        ({"tenant_id": None}, "names no tenant"),
        ({"tenant_id": ["acme"]}, "names no tenant"),
        ({"tenant_id": "acme/../other"}, "names no tenant"),
        ({"roles": None}, "lists no roles"),
        ({"roles": {"storefront": True}}, "lists no roles"),
        ({"roles": [1]}, "lists no roles"),
        ({"roles": ["platform"]}, "platform"),
        ({"tenant_id": "platform", "roles": ["administrator"]}, "platform"),
        ({"roles": ["administrator"], "merchant_ids": ["north"]}, "scope"),
        ({"roles": ["merchant"], "merchant_ids": []}, "lists no ids"),
        ({"roles": ["merchant"], "merchant_ids": None, "warehouse_ids": ["madrid"]}, "scope"),
    ],
)
async def test_a_wrong_claim_is_refused(
    issuer: Issuer, tokens: BearerTokens, changes: dict[str, Any], detail: str
) -> None:
    # PyJWT would refuse to write some of these.
    algorithm, private = issuer.keys["es256"]
    payload = json.dumps(claims(**changes)).encode()
    token = jwt.api_jws.encode(payload, private, algorithm=algorithm, headers={"kid": "es256"})
    assert detail in await refusal(tokens, token.encode())


async def test_the_leeway_is_bounded(issuer: Issuer, tokens: BearerTokens) -> None:
    await tokens.caller(issuer.token("es256", exp=int(time.time()) - 25))
    assert "over" in await refusal(tokens, issuer.token("es256", exp=int(time.time()) - 35))


async def test_a_changed_token_is_refused(issuer: Issuer, tokens: BearerTokens) -> None:
    head, _, signature = issuer.token("es256").split(b".")
    forged = b".".join((head, encoded(claims(roles=["administrator"])), signature))
    assert "not valid" in await refusal(tokens, forged)


NO_TOKENS = [b"a.b.c", b"..", b"\xff.\xff.\xff", b"e30.e30.e30", b"W10.e30.", b".." + b"x" * 9_000]


@pytest.mark.parametrize("token", NO_TOKENS)
async def test_what_is_no_token_is_refused(tokens: BearerTokens, token: bytes) -> None:
    assert await refusal(tokens, token)


async def test_a_critical_header_that_is_not_understood_is_refused(
    issuer: Issuer, tokens: BearerTokens
) -> None:
    head = encoded({"alg": "ES256", "kid": "es256", "crit": ["exp"], "exp": 1})
    token = head + b"." + encoded(claims()) + b".c2ln"
    assert await refusal(tokens, token)


async def test_a_flood_of_unknown_key_ids_asks_the_issuer_once(
    issuer: Issuer, tokens: BearerTokens, clock: Clock
) -> None:
    await tokens.caller(issuer.token("es256"))
    assert issuer.requests == 1
    clock.now_s += jwks.REFETCH_S_MIN
    flood = [issuer.token("es256", headers={"kid": f"invented-{n}"}) for n in range(200)]
    await asyncio.gather(*(refusal(tokens, token) for token in flood))
    assert issuer.requests == 2
    # Those who come by a good key are not kept out meanwhile.
    await tokens.caller(issuer.token("rs256"))


async def test_a_new_key_is_found_and_one_taken_back_ends(
    issuer: Issuer, tokens: BearerTokens, clock: Clock
) -> None:
    await tokens.caller(issuer.token("es256"))
    issuer.add("new", "ES256")
    clock.now_s += jwks.REFETCH_S_MIN
    await tokens.caller(issuer.token("new"))
    issuer.published = [key for key in issuer.published if key["kid"] != "es256"]
    clock.now_s += jwks.FRESH_S_MAX + 1
    assert "none of the issuer's" in await refusal(tokens, issuer.token("es256", sub="bea"))


async def test_an_issuer_that_is_away_is_asked_seldom_and_its_keys_last_for_a_while(
    issuer: Issuer, tokens: BearerTokens, clock: Clock
) -> None:
    issuer.status = 503
    for _ in range(5):
        with pytest.raises(Unavailable):
            await tokens.caller(issuer.token("es256"))
    assert issuer.requests == 1
    issuer.status = 200
    clock.now_s += jwks.REFETCH_S_MIN
    await tokens.caller(issuer.token("es256"))
    issuer.status = 503
    clock.now_s += jwks.FRESH_S_MAX + 1
    await tokens.caller(issuer.token("es256", sub="bea"))
    clock.now_s += jwks.STALE_S_MAX
    with pytest.raises(Unavailable):
        await tokens.caller(issuer.token("es256", sub="carl"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": 1}',
        b"\xff",
        b'{"keys": [' + b",".join([b"{}"] * (jwks.KEYS_MAX + 1)) + b"]}",
        b'{"keys": []}' + b" " * jwks.BYTES_MAX,
    ],
)
async def test_an_answer_that_is_no_key_set_is_not_taken(
    issuer: Issuer, tokens: BearerTokens, body: bytes
) -> None:
    issuer.body = body
    with pytest.raises(Unavailable):
        await tokens.caller(issuer.token("es256"))


async def test_a_redirect_is_not_followed(issuer: Issuer, tokens: BearerTokens) -> None:
    with serving() as other:
        other.published = issuer.published
        issuer.status, issuer.location = 302, other.url
        with pytest.raises(Unavailable):
            await tokens.caller(issuer.token("es256"))
        assert other.requests == 0


async def test_weak_private_and_other_kinds_of_keys_are_not_taken(
    issuer: Issuer, tokens: BearerTokens
) -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    issuer.add("weak", "RS256", private=weak)
    issuer.add("for-encryption", "RS256", use="enc")
    issuer.add("another-alg", "RS256", alg="RS512")
    leaked = issuer.add("leaked", "ES256")
    issuer.published[-1] |= json.loads(jwt.algorithms.ECAlgorithm.to_jwk(leaked))
    issuer.published.append({"kid": "secret", "kty": "oct", "k": "c2VjcmV0", "alg": "HS256"})
    for kid in ("weak", "for-encryption", "another-alg", "leaked"):
        assert "none of the issuer's" in await refusal(tokens, issuer.token(kid))
    await tokens.caller(issuer.token("rs256"))


async def test_a_verified_token_is_remembered_no_longer_than_it_lasts(
    issuer: Issuer, tokens: BearerTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = time.time()
    short = issuer.token("es256", exp=int(now_s) + 5)
    long = issuer.token("es256", sub="bea")
    await tokens.caller(short)
    await tokens.caller(long)
    # Without its key a token that is asked for again shows whether it was remembered.
    tokens._keys._keys = {}
    await tokens.caller(short)
    monkeypatch.setattr(time, "time", lambda: now_s + 5 + 31)
    assert await refusal(tokens, short)
    await tokens.caller(long)
    monkeypatch.setattr(time, "time", lambda: now_s + VERIFIED_S_MAX + 1)
    assert await refusal(tokens, long)


async def test_keys_go_before_tokens_and_tokens_come_as_bearers_only(
    issuer: Issuer, tokens: BearerTokens
) -> None:
    ring = KeyRing(())
    callers = Callers(ring, is_caught_up=lambda: True, tokens=tokens)
    token = issuer.token("es256")
    ring.put(sha256(b"a.key.withdots").digest(), Caller("t", frozenset(), "k"), None)
    assert callers.known({b"authorization": b"Bearer a.key.withdots"}) is not None
    assert callers.known({b"authorization": b"Bearer " + token}) is None
    assert (await callers.verified({b"authorization": b"Bearer " + token})).tenant_id == "acme"
    with pytest.raises(Problem):
        await callers.verified({b"x-api-key": token})
    ring.suspend("acme", True)
    with pytest.raises(Problem) as caught:
        await callers.verified({b"authorization": b"Bearer " + token})
    assert caught.value.reason == "TENANT_SUSPENDED"


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": ""},
        {"audience": ""},
        {"jwks_url": ""},
        {"jwks_url": "http://login.example/jwks"},
        {"jwks_url": "http://127.0.0.1.example/jwks"},
        {"jwks_url": "file:///etc/passwd"},
        {"jwks_url": "https:///jwks"},
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"go together|come by https"):
        settings(changes.pop("jwks_url", "https://login.example/jwks"), **changes)
