"""What a caller sees of its limits over HTTP. How replicas share them: tests/unit/gateway/test_limits.py, tests/e2e."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest

from services.gateway.auth import Caller
from services.gateway.routes import examples
from services.gateway.routes.route import Route
from tests.component.gateway.conftest import Start, System
from tests.component.gateway.ordering import key
from tests.component.gateway.test_edge import assert_problem

SECRET = {"X-API-Key": "of-a-key"}
STATE = re.compile(r'"(?P<policy>[a-z-]+)";r=(?P<left>\d+);t=(?P<rest_s>\d+)')


def give_key(system: System, **limits: int) -> None:
    """Makes a storefront's key with limits, as the topic of access would."""
    caller = Caller("demo", frozenset(("storefront",)), "key:1")
    system.gateway.ring.put(sha256(SECRET["X-API-Key"].encode()).digest(), caller, None)
    system.gateway.limits.limit_key("demo/1", limits)  # type: ignore[arg-type]


async def test_every_answer_tells_what_is_left_and_then_429_when_there_is_more(system: System) -> None:
    give_key(system, reads=3)
    left = []
    for path, status in (("/v1/orders", 200), ("/v1/orders/not-a-uuid", 404), ("/v1/orders?colour=red", 400)):
        answer = await system.anonymous.get(path, headers=SECRET)
        assert answer.status_code == status
        assert answer.headers["ratelimit-policy"] == '"reads";q=3;w=60'
        found = STATE.fullmatch(answer.headers["ratelimit"])
        assert found is not None
        left.append(int(found["left"]))
    assert left == [2, 1, 0]
    asked = len(system.orders.requests)
    answer = await system.anonymous.get("/v1/orders", headers=SECRET)
    problem = assert_problem(answer, 429, "RATE_LIMITED")
    assert problem["metadata"] == {"policy": "reads", "requests_per_minute": "3"}
    found = STATE.fullmatch(answer.headers["ratelimit"])
    assert found is not None
    assert found["left"] == "0"
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert answer.headers["retry-after"] == found["rest_s"]
    assert len(system.orders.requests) == asked


async def test_classes_are_counted_apart_and_what_has_no_limit_says_nothing(system: System) -> None:
    give_key(system, orders=1, reads=1)
    body = examples.ORDER
    placed = await system.anonymous.post("/v1/orders", json=body, headers=SECRET | key())
    assert placed.headers["ratelimit-policy"] == '"orders";q=1;w=60'
    again = await system.anonymous.post("/v1/orders", json=body, headers=SECRET | key())
    assert_problem(again, 429, "RATE_LIMITED")
    # A POST that only reads.
    quote = await system.anonymous.post("/v1/quotes", json=examples.QUOTE, headers=SECRET)
    assert quote.headers["ratelimit-policy"] == '"reads";q=1;w=60'
    cancel = "/v1/orders/019ab3c0-5e1f-7c3e-8f65-0d6c2f3f5b11:cancel"
    answer = await system.anonymous.post(cancel, headers=SECRET)
    assert "ratelimit" not in answer.headers
    other = await system.storefront.get("/v1/orders")
    assert (other.status_code, "ratelimit" in other.headers) == (200, False)


async def test_who_is_not_let_in_anyway_uses_nothing_up(system: System) -> None:
    give_key(system, reads=1)
    forbidden = await system.anonymous.get("/v1/parcels", headers=SECRET)
    assert (forbidden.status_code, "ratelimit" in forbidden.headers) == (403, False)
    assert (await system.anonymous.get("/v1/orders")).status_code == 401
    assert (await system.anonymous.get("/v1/orders", headers=SECRET)).status_code == 200


async def test_a_tenants_limit_holds_for_the_files_keys_as_well(system: System) -> None:
    system.gateway.limits.limit_tenant("demo", {"reads": 1})
    assert (await system.operator.get("/v1/orders")).status_code == 200
    problem = assert_problem(await system.storefront.get("/v1/orders"), 429, "RATE_LIMITED")
    assert problem["metadata"] == {"policy": "tenant-reads", "requests_per_minute": "1"}
    assert (await system.other.get("/v1/orders")).status_code == 200


async def test_pages_of_other_origins_can_read_the_limits(start: Start) -> None:
    system = await start(cors_origins="https://shop.example.com")
    give_key(system, reads=1)
    answer = await system.anonymous.get("/v1/orders", headers=SECRET | {"Origin": "https://shop.example.com"})
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= set(exposed)
    assert answer.headers["ratelimit"]


@pytest.mark.parametrize(
    ("route_class", "routes"),
    [
        ("orders", {"POST /v1/orders"}),
        ("imports", {"POST /v1/imports/products"}),
        ("streams", {"GET /v1/orders/{order_id}/events"}),
    ],
)
async def test_classes_of_routes(system: System, route_class: str, routes: set[str]) -> None:
    def names(one: Route) -> bool:
        return one.route_class == route_class

    assert {f"{one.method} {one.path}" for one in filter(names, system.gateway.routes)} >= routes
    changing = {
        one.method for one in system.gateway.routes if one.route_class == "reads" and one.body is None
    }
    assert changing == {"GET"}


async def test_the_document_tells_the_headers_and_the_refusal(system: System) -> None:
    document = (await system.anonymous.get("/openapi.json")).json()
    responses = document["paths"]["/v1/orders"]["post"]["responses"]
    assert {"RateLimit", "RateLimit-Policy"} <= set(responses["201"]["headers"])
    assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= set(responses["429"]["headers"])
    problems = responses["429"]["content"]["application/problem+json"]["examples"]
    assert set(problems) == {"RATE_LIMITED", "OVERLOADED", "TOO_MANY_FAILURES"}
    assert "RateLimit" not in document["paths"]["/healthz"]["get"]["responses"]["200"]["headers"]
