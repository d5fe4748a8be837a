"""Limits over real processes: two gateways let in one limit's worth together, and each goes on while access is away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.e2e.conftest import Shop
from tests.e2e.gateways import further_gateway
from tests.e2e.test_access import Marketplace

pytestmark = pytest.mark.stack

LIMIT = 200
ALONE = re.compile(r"^sampan_gateway_rate_limit_alone_seconds (\S+)$", re.MULTILINE)


@pytest.fixture
def market(shop: Shop) -> Iterator[Marketplace]:
    """A tenant of a test's own."""
    with ExitStack() as stack:
        yield Marketplace(shop, stack)


@pytest.fixture(scope="module")
def second_gateway(shop: Shop) -> Iterator[str]:
    """The address of another gateway beside that of the stack."""
    with further_gateway(shop) as gateway:
        yield gateway.url


class Reader:
    """A client at one gateway, that counts what was let in."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.let_in = 0

    def read(self) -> httpx.Response:
        """One request that counts as a read."""
        answer = self._client.get("/v1/merchants")
        assert answer.status_code in (200, 429)
        self.let_in += answer.status_code == 200
        return answer

    def is_refused(self) -> bool:
        """Whether the next request is."""
        return self.read().status_code == 429


def test_a_gateway_refuses_what_another_has_let_in(
    shop: Shop, market: Marketplace, second_gateway: str
) -> None:
    issued = market.issue("reader", limits={"reads": LIMIT})
    assert issued["api_key"]["limits"] == {"reads": LIMIT}
    client = market.client(issued["secret"])
    first = Reader(client)
    with httpx.Client(base_url=second_gateway, headers=client.headers, timeout=40) as other_client:
        second = Reader(other_client)
        shop.eventually(lambda: other_client.get("/v1/orders").status_code != 401)

        def is_refused() -> bool:
            for _ in range(LIMIT // 5):
                first.read()
            return second.is_refused()

        shop.eventually(is_refused)
        # By itself it would have let in more, in however many windows that was.
        assert second.let_in < LIMIT
        refused = second.read()
    assert refused.json()["reason"] == "RATE_LIMITED"
    assert refused.json()["metadata"] == {"policy": "reads", "requests_per_minute": str(LIMIT)}
    assert refused.headers["ratelimit-policy"] == f'"reads";q={LIMIT};w=60'
    assert refused.headers["ratelimit"] == f'"reads";r=0;t={refused.headers["retry-after"]}'


def test_limits_are_changed_by_their_keepers_and_hold_for_a_whole_tenant(
    shop: Shop, market: Marketplace
) -> None:
    key_id = market.issue("reader")["api_key"]["api_key_id"]
    limited = market.administrator.post(f"/v1/api-keys/{key_id}:limit", json={"orders": 5, "streams": 1})
    assert shop.must(limited)["limits"] == {"orders": 5, "streams": 1}
    assert shop.must(market.administrator.post(f"/v1/api-keys/{key_id}:limit", json={}))["limits"] == {}
    for wrong, status, reason in (
        ({"orders": 0}, 400, "FIELD_INVALID"),
        ({"orders": 10_000_001}, 400, "FIELD_INVALID"),
        ({"placements": 5}, 400, "FIELD_UNKNOWN"),
    ):
        answer = market.administrator.post(f"/v1/api-keys/{key_id}:limit", json=wrong)
        assert (answer.status_code, answer.json()["reason"]) == (status, reason)

    tenant = f"/v1/tenants/{market.tenant_id}"
    assert market.administrator.post(f"{tenant}:limit", json={}).status_code == 403
    assert shop.must(shop.platform.post(f"{tenant}:limit", json={"reads": 2}))["limits"] == {"reads": 2}
    reader = Reader(market.administrator)
    shop.eventually(reader.is_refused)
    assert reader.read().json()["metadata"]["policy"] == "tenant-reads"
    # Writes go on: the platform, and an administrator, can always change a limit.
    assert shop.must(shop.platform.post(f"{tenant}:limit", json={}))["limits"] == {}
    shop.eventually(lambda: not reader.is_refused())


def test_a_gateway_counts_by_itself_while_access_is_away(shop: Shop, market: Marketplace) -> None:
    issued = market.issue("reader", limits={"reads": LIMIT})
    reader = Reader(market.client(issued["secret"]))
    metrics = f"{shop.stack.settings.admin_url('gateway')}/metrics"

    def alone_s() -> float:
        reader.read()
        found = ALONE.search(httpx.get(metrics).text)
        assert found is not None
        return float(found[1])

    access = shop.stack.services["access"]
    assert alone_s() == 0
    access.kill()
    try:
        shop.eventually(lambda: alone_s() > 0)
        shop.eventually(reader.is_refused)
    finally:
        access.start()
        access.wait_ready()
    shop.eventually(lambda: alone_s() == 0)
