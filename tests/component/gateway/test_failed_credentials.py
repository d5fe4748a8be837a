"""What a client sees that sends wrong keys again and again, and that nobody else sees it."""

from __future__ import annotations

from hashlib import sha256

import httpx
import pytest
from prometheus_client import REGISTRY

from services.gateway.auth import Caller
from services.gateway.routes import examples
from tests.component.gateway.conftest import Start, System
from tests.component.gateway.ordering import key
from tests.component.gateway.test_edge import assert_problem

WRONG = {"X-API-Key": "wrong-key-of-nobody"}
PATH = "/v1/orders"


def counted(answer: str) -> float:
    """How many failures were answered so."""
    name = "sampan_gateway_failed_credentials_total"
    return REGISTRY.get_sample_value(name, {"answer": answer}) or 0.0


async def exhaust(system: System, failures: int, **headers: str) -> None:
    """Fails as often as may be."""
    for _ in range(failures):
        answer = await system.anonymous.get(PATH, headers=WRONG | headers)
        assert_problem(answer, 401, "CREDENTIAL_UNKNOWN")


def assert_limited(answer: httpx.Response, failures: int) -> None:
    """Asserts that an answer tells to stop for a while."""
    problem = assert_problem(answer, 429, "TOO_MANY_FAILURES")
    assert problem["metadata"] == {"policy": "failures", "failures_per_minute": str(failures)}
    assert answer.headers["ratelimit-policy"] == f'"failures";q={failures};w=60'
    assert answer.headers["ratelimit"] == f'"failures";r=0;t={answer.headers["retry-after"]}'
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert answer.headers["x-request-id"]


async def test_beyond_the_limit_failures_are_429_and_good_keys_come_in_all_the_same(start: Start) -> None:
    system = await start(failed_credentials_per_minute=2)
    refused, limited = counted("refused"), counted("limited")
    await exhaust(system, 2)
    posted = await system.anonymous.post(PATH, json=examples.ORDER, headers=WRONG | key())
    for answer in (
        await system.anonymous.get(PATH, headers=WRONG),
        await system.anonymous.get(PATH, headers={"Authorization": "Bearer wrong"}),
        await system.anonymous.get(PATH),
        await system.anonymous.get("/v1/orders/events", headers=WRONG),
        posted,
    ):
        assert_limited(answer, 2)
    assert counted("refused") - refused == 2
    assert counted("limited") - limited == 5
    assert (await system.storefront.get(PATH)).status_code == 200
    placed = await system.storefront.post(PATH, json=examples.ORDER, headers=key())
    assert placed.status_code == 201
    assert not [one for one in system.orders.requests if "wrong" in str(one)]


async def test_what_a_known_key_is_told_stays_as_it_is(start: Start) -> None:
    system = await start(failed_credentials_per_minute=1)
    ring, digest = system.gateway.ring, sha256(b"a-suspended-one").digest()
    ring.put(digest, Caller("closed", frozenset(("reader",)), "key:1"), None)
    ring.suspend("closed", True)
    await exhaust(system, 1)
    known = await system.anonymous.get(PATH, headers={"X-API-Key": "a-suspended-one"})
    assert_problem(known, 403, "TENANT_SUSPENDED")
    assert_problem(await system.storefront.get("/v1/parcels"), 403, "ROLE_MISSING")


async def test_an_answer_to_head_has_no_body_that_would_be_taken_for_the_next_answer(start: Start) -> None:
    system = await start(failed_credentials_per_minute=1)
    await exhaust(system, 1)
    assert (await system.anonymous.head(PATH, headers=WRONG)).status_code == 405
    assert_limited(await system.anonymous.get(PATH, headers=WRONG), 1)


@pytest.mark.parametrize("path", ["/openapi.json", "/problems"])
async def test_what_needs_no_key_is_served_to_who_has_failed_too_often(start: Start, path: str) -> None:
    system = await start(failed_credentials_per_minute=1)
    await exhaust(system, 1)
    assert_limited(await system.anonymous.get(PATH, headers=WRONG), 1)
    assert (await system.anonymous.get(path, headers=WRONG)).status_code == 200


async def test_a_provider_is_heard_by_its_signature_from_where_keys_have_failed(start: Start) -> None:
    system = await start(failed_credentials_per_minute=1)
    await exhaust(system, 1)
    answer = await system.anonymous.post(
        "/v1/payments/notifications/sandbox", content=b"{}", headers=WRONG | {"webhook-id": "1"}
    )
    assert answer.status_code != 429


async def test_a_page_of_another_origin_can_read_that_it_is_to_stop(start: Start) -> None:
    system = await start(failed_credentials_per_minute=1, cors_origins="https://shop.example")
    await exhaust(system, 1)
    origin = {"Origin": "https://shop.example"}
    answer = await system.anonymous.get(PATH, headers=WRONG | origin)
    assert_limited(answer, 1)
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"


async def test_behind_a_trusted_proxy_each_client_has_a_limit_of_its_own(start: Start) -> None:
    system = await start(failed_credentials_per_minute=1, trusted_proxies="127.0.0.0/8")
    await exhaust(system, 1, **{"X-Forwarded-For": "203.0.113.1"})
    await exhaust(system, 1, **{"X-Forwarded-For": "203.0.113.1, 203.0.113.2"})
    for value in ("203.0.113.1", "198.51.100.7, 203.0.113.2", "203.0.113.1, 127.0.0.9"):
        assert_limited(await system.anonymous.get(PATH, headers=WRONG | {"X-Forwarded-For": value}), 1)
    await exhaust(system, 1, **{"X-Forwarded-For": "203.0.113.3"})


async def test_without_trusted_proxies_the_header_is_not_heard(start: Start) -> None:
    system = await start(failed_credentials_per_minute=1)
    await exhaust(system, 1, **{"X-Forwarded-For": "203.0.113.1"})
    forged = WRONG | {"X-Forwarded-For": "203.0.113.2"}
    assert_limited(await system.anonymous.get(PATH, headers=forged), 1)


async def test_while_the_keys_are_being_read_nobody_has_failed(start: Start) -> None:
    system = await start(failed_credentials_per_minute=1)
    await exhaust(system, 1)
    system.gateway.access.caught_up.clear()
    assert_problem(await system.anonymous.get(PATH, headers=WRONG), 503, "STARTING")
