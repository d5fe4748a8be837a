"""Tenants and keys over the public API, with the real service behind: what is made opens the door, what is ended
closes it, with access itself up or down.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from uuid import uuid4

import httpx
import pytest

from tests.e2e.conftest import Document, Shop, key

pytestmark = pytest.mark.stack


class Marketplace:
    """A tenant of a test's own, and clients with keys of it."""

    def __init__(self, shop: Shop, stack: ExitStack) -> None:
        self.shop = shop
        self._stack = stack
        self.tenant_id = f"t-{uuid4().hex[:12]}"
        body = {"tenant_id": self.tenant_id, "display_name": "Bazaar"}
        shop.must(shop.platform.post("/v1/tenants", json=body), 201)
        issued = shop.platform.post(
            f"/v1/tenants/{self.tenant_id}/api-keys",
            json={"display_name": "First", "roles": ["administrator"]},
            headers=key(),
        )
        self.administrator = self.client(shop.must(issued, 201)["secret"])

    def client(self, secret: str) -> httpx.Client:
        """The API with a secret, once it opens the door."""
        client = self._stack.enter_context(
            httpx.Client(
                base_url=self.shop.stack.settings.gateway_url,
                headers={"Authorization": f"Bearer {secret}"},
                timeout=40,
            )
        )
        self.shop.eventually(lambda: client.get("/v1/merchants").status_code != 401)
        return client

    def issue(self, *roles: str, **changes: object) -> Document:
        """A new key."""
        body = {"display_name": "A key", "roles": roles, **changes}
        return self.shop.must(self.administrator.post("/v1/api-keys", json=body, headers=key()), 201)


@pytest.fixture
def market(shop: Shop) -> Iterator[Marketplace]:
    """A new one."""
    with ExitStack() as stack:
        yield Marketplace(shop, stack)


def status(client: httpx.Client) -> tuple[int, str]:
    """What a client is told at the door."""
    answer = client.get("/v1/merchants")
    return answer.status_code, answer.json().get("reason", "")


def test_a_key_is_issued_rotated_and_revoked(shop: Shop, market: Marketplace) -> None:
    issued = market.issue("storefront")
    api_key = issued["api_key"]
    path = f"/v1/api-keys/{api_key['api_key_id']}"
    old = market.client(issued["secret"])
    assert issued["secret"].startswith(api_key["secrets"][0]["prefix"] + "_")
    assert shop.must(market.administrator.get(path)) == api_key

    rotated = shop.must(market.administrator.post(f"{path}:rotate", headers=key()))
    new = market.client(rotated["secret"])
    assert status(old) == status(new) == (200, "")
    third = market.administrator.post(f"{path}:rotate", headers=key())
    assert (third.status_code, third.json()["reason"]) == (409, "SECRETS_AT_MAX")

    secret_id = api_key["secrets"][0]["secret_id"]
    shop.must(market.administrator.post(f"{path}:revoke", json={"secret_id": secret_id}))
    shop.eventually(lambda: status(old) == (401, "CREDENTIAL_UNKNOWN"))
    assert status(new) == (200, "")
    ended = shop.must(market.administrator.post(f"{path}:revoke"))
    assert ended["state"] == "revoked"
    shop.eventually(lambda: status(new) == (401, "CREDENTIAL_UNKNOWN"))
    listed = market.administrator.get("/v1/api-keys")
    assert issued["secret"] not in listed.text
    assert rotated["secret"] not in listed.text


def test_a_repeated_creation_tells_the_key_and_never_the_secret_again(
    shop: Shop, market: Marketplace
) -> None:
    body = {"display_name": "Once", "roles": ["reader"]}
    used = key()
    first = market.administrator.post("/v1/api-keys", json=body, headers=used)
    again = market.administrator.post("/v1/api-keys", json=body, headers=used)
    assert first.headers["cache-control"] == again.headers["cache-control"] == "no-store"
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json() | {"secret": None}
    other = market.administrator.post("/v1/api-keys", json=body | {"display_name": "Twice"}, headers=used)
    assert (other.status_code, other.json()["reason"]) == (422, "REQUEST_ID_REUSED")


def test_no_administrator_makes_itself_the_platform(shop: Shop, market: Marketplace) -> None:
    for roles in (["platform"], ["administrator", "platform"]):
        answer = market.administrator.post(
            "/v1/api-keys", json={"display_name": "Mine", "roles": roles}, headers=key()
        )
        assert (answer.status_code, answer.json()["reason"]) == (400, "FIELD_INVALID")
    body = {"display_name": "Mine", "roles": ["administrator"]}
    for tenant_id in (market.tenant_id, "demo", "platform"):
        answer = market.administrator.post(f"/v1/tenants/{tenant_id}/api-keys", json=body, headers=key())
        assert (answer.status_code, answer.json()["reason"]) == (403, "ROLE_MISSING")
    named = body | {"tenant_id": "demo"}
    answer = market.administrator.post("/v1/api-keys", json=named, headers=key())
    assert (answer.status_code, answer.json()["reason"]) == (400, "FIELD_UNKNOWN")


@pytest.mark.parametrize("role", ["storefront", "merchant", "warehouse", "reader"])
def test_only_administrators_keep_keys(shop: Shop, market: Marketplace, role: str) -> None:
    client = market.client(market.issue(role)["secret"])
    body = {"display_name": "More", "roles": ["administrator"]}
    for answer in (client.post("/v1/api-keys", json=body, headers=key()), client.get("/v1/api-keys")):
        assert (answer.status_code, answer.json()["reason"]) == (403, "ROLE_MISSING")


def test_a_suspended_tenant_is_kept_out_until_it_is_active_again(shop: Shop, market: Marketplace) -> None:
    path = f"/v1/tenants/{market.tenant_id}"
    assert shop.must(shop.platform.post(f"{path}:suspend"))["state"] == "suspended"
    shop.eventually(lambda: status(market.administrator) == (403, "TENANT_SUSPENDED"))
    assert shop.must(shop.platform.post(f"{path}:activate"))["state"] == "active"
    shop.eventually(lambda: status(market.administrator) == (200, ""))
    assert shop.platform.post("/v1/tenants/platform:suspend").json()["reason"] == "TENANT_RESERVED"


def test_a_gateway_that_starts_while_access_is_down_knows_every_key(shop: Shop, market: Marketplace) -> None:
    good = market.client(market.issue("storefront")["secret"])
    ended = market.issue("storefront")
    bad = market.client(ended["secret"])
    shop.must(market.administrator.post(f"/v1/api-keys/{ended['api_key']['api_key_id']}:revoke"))
    shop.eventually(lambda: status(bad) == (401, "CREDENTIAL_UNKNOWN"))
    access, gateway = shop.stack.services["access"], shop.stack.services["gateway"]
    access.kill()
    try:
        gateway.stop()
        gateway.start()
        gateway.wait_ready()
        assert status(good) == (200, "")
        assert status(bad) == (401, "CREDENTIAL_UNKNOWN")
        answer = market.administrator.get("/v1/api-keys")
        assert (answer.status_code, answer.json()["reason"]) == (503, "DEPENDENCY_UNAVAILABLE")
    finally:
        access.start()
        access.wait_ready()
    shop.eventually(lambda: market.administrator.get("/v1/api-keys").status_code == 200)


def test_no_secret_is_in_any_log(shop: Shop, market: Marketplace) -> None:
    issued = market.issue("storefront")
    client = market.client(issued["secret"])
    traced = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    shop.must(client.get("/v1/merchants", headers=traced))
    random_part = issued["secret"].split("_", 2)[2]
    logs = [service.process.log_text() for service in shop.stack.services.values()]
    assert any(issued["api_key"]["api_key_id"] in text for text in logs)
    assert not any(random_part in text for text in logs)
