"""A flood of wrong keys at one gateway of real processes: it is told to stop, and nobody else notices."""

from __future__ import annotations

import httpx
import pytest

from tests.e2e.conftest import Shop, key, order_body
from tests.e2e.gateways import further_gateway

pytestmark = pytest.mark.stack

LIMIT = 10


def test_a_flood_of_wrong_keys_is_limited_and_orders_are_placed_from_the_same_address(shop: Shop) -> None:
    sku = shop.new_sku()
    own = dict(shop.storefront.headers)
    wrong = {"X-API-Key": "sampan_wrongwrong_of-nobody"}
    with (
        further_gateway(
            shop,
            GATEWAY_FAILED_CREDENTIALS_PER_MINUTE=str(LIMIT),
            GATEWAY_TRUSTED_PROXIES="127.0.0.0/8, ::1",
            GATEWAY_PROXY_HEADER="forwarded",
        ) as gateway,
        httpx.Client(base_url=gateway.url, timeout=40) as client,
    ):

        def asked(address: str) -> httpx.Response:
            return client.get("/v1/orders", headers=wrong | {"Forwarded": f'for="{address}"'})

        told = [asked("[2001:db8::1]:4711") for _ in range(5 * LIMIT)]
        reasons = [answer.json()["reason"] for answer in told]
        assert reasons[:LIMIT] == ["CREDENTIAL_UNKNOWN"] * LIMIT
        assert reasons[-1] == "TOO_MANY_FAILURES"
        assert told[-1].status_code == 429
        assert 1 <= int(told[-1].headers["retry-after"]) <= 60
        # A neighbour of the same site is told the same; another site, and another gateway, know nothing of it.
        assert asked("2001:db8::2").status_code == 429
        assert asked("2001:db8:0:1::1").status_code == 401
        assert shop.anonymous.get("/v1/orders", headers=wrong).status_code == 401
        from_there = own | key() | {"Forwarded": 'for="[2001:db8::1]"'}
        placed = client.post("/v1/orders", json=order_body((sku, 1)), headers=from_there)
        assert placed.status_code == 201, placed.text
        limited = reasons.count("TOO_MANY_FAILURES") + 1
        assert f'credentials_total{{answer="limited"}} {limited}.0' in httpx.get(gateway.metrics_url).text
