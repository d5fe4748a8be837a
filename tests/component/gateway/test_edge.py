"""Credentials, limits, headers and failures: what every route has in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus

import httpx
import pytest

from services.chassis.errors import FailedPrecondition, Internal, ResourceExhausted, Unavailable
from services.gateway.routes import examples
from tests.component.gateway.conftest import OPERATOR_KEY, Start, System

PROBLEM = "application/problem+json"


def assert_problem(answer: httpx.Response, status: int, reason: str) -> dict[str, object]:
    """Asserts that an answer is that refusal, in full."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    problem: dict[str, object] = answer.json()
    assert problem["reason"] == reason
    assert problem["type"] == f"/problems/{reason.lower().replace('_', '-')}"
    assert problem["status"] == status
    assert problem["trace_id"] == answer.headers["traceparent"].split("-")[1]
    return problem


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({}, 401, "CREDENTIAL_REQUIRED"),
        ({"Authorization": "Basic abc"}, 401, "CREDENTIAL_REQUIRED"),
        ({"Authorization": "Bearer"}, 401, "CREDENTIAL_REQUIRED"),
        ({"Authorization": "Bearer wrong-key-of-nobody"}, 401, "CREDENTIAL_UNKNOWN"),
        ({"X-API-Key": "wrong-key-of-nobody"}, 401, "CREDENTIAL_UNKNOWN"),
        ({"X-API-Key": OPERATOR_KEY[:-1]}, 401, "CREDENTIAL_UNKNOWN"),
    ],
)
async def test_a_wrong_credential_is_401_with_a_challenge(
    system: System, headers: dict[str, str], status: int, reason: str
) -> None:
    answer = await system.anonymous.get("/v1/orders", headers=headers)
    assert_problem(answer, status, reason)
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_both_ways_to_send_the_key_work_and_the_role_counts(system: System) -> None:
    assert (await system.anonymous.get("/v1/orders", headers={"X-API-Key": OPERATOR_KEY})).status_code == 200
    assert (await system.storefront.get("/v1/orders")).status_code == 200
    assert_problem(await system.storefront.get("/v1/parcels"), 403, "ROLE_MISSING")
    assert_problem(await system.storefront.post("/v1/merchants", json=examples.MERCHANT), 403, "ROLE_MISSING")


async def test_unknown_paths_and_methods(system: System) -> None:
    assert_problem(await system.storefront.get("/v2/orders"), 404, "ROUTE_NOT_FOUND")
    answer = await system.storefront.delete("/v1/orders")
    assert_problem(answer, 405, "METHOD_NOT_ALLOWED")
    assert "POST" in answer.headers["allow"]
    order = "/v1/orders/019ab3c0-5e1f-7c3e-8f65-0d6c2f3f5b11"
    assert_problem(await system.storefront.post(f"{order}:explode"), 404, "ROUTE_NOT_FOUND")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/orders", "GET, OPTIONS, POST"),
        ("/v1/products/silk-wig", "GET, OPTIONS, PUT"),
        ("/v1/orders/019ab3c0-5e1f-7c3e-8f65-0d6c2f3f5b11", "GET, OPTIONS"),
        ("/v1/orders/019ab3c0-5e1f-7c3e-8f65-0d6c2f3f5b11:pay", "OPTIONS, POST"),
    ],
)
async def test_a_path_tells_all_its_methods_and_no_others(system: System, path: str, allowed: str) -> None:
    answer = await system.anonymous.options(path)
    assert (answer.status_code, answer.headers["allow"]) == (204, allowed)
    for method in {"POST", "PUT", "DELETE", "QUERY"} - set(allowed.split(", ")):
        refused = await system.operator.request(method, path)
        assert_problem(refused, 405, "METHOD_NOT_ALLOWED")
        assert set(refused.headers["allow"].split(", ")) == set(allowed.split(", "))


IMPOSSIBLE_PATHS = [
    "/v1/orders/not-a-uuid",
    "/v1/orders/%00",
    "/v1/orders/%ff%fe",
    "/v1/orders/" + "a" * 5000,
    "/v1/orders/019ab3c0-5e1f-7c3e-8f65-0d6c2f3f5b11%0a",
    "/v1/orders/019AB3C0-5E1F-7C3E-8F65-0D6C2F3F5B1G",
    "/v1/products/%2e%2e%2fetc",
    "/v1/products/a%20b",
    "/v1/products/" + "a" * 65,
    "/v1/products/%E4%B8%AD",
    "/v1/merchants/UPPER",
    "/v1/warehouses/a_b",
    "/v1/parcels/1",
]


async def test_an_id_that_cannot_be_is_not_found(system: System, subtests: pytest.Subtests) -> None:
    for path in IMPOSSIBLE_PATHS:
        with subtests.test(path[:60]):
            answer = await system.operator.get(path)
            assert answer.status_code == 404
            assert answer.headers["content-type"] == PROBLEM
    assert not system.catalog.requests
    assert not system.orders.requests


WRONG_PARAMETERS = [
    ("/v1/orders?colour=red", "PARAMETER_UNKNOWN", "colour"),
    ("/v1/orders?page_size=ten", "FIELD_INVALID", "page_size"),
    ("/v1/orders?page_size=-1", "FIELD_INVALID", "page_size"),
    ("/v1/orders?page_size=99999999999999999999", "FIELD_INVALID", "page_size"),
    ("/v1/orders?page_size=1&page_size=2", "FIELD_INVALID", "page_size"),
    ("/v1/orders?page_size=%D9%A1", "FIELD_INVALID", "page_size"),
    ("/v1/orders?state=PENDING", "FIELD_INVALID", "state"),
    ("/v1/orders?buyer_ref=%ff", "FIELD_INVALID", "buyer_ref"),
    ("/v1/orders?buyer_ref=a%00b", "FIELD_INVALID", "buyer_ref"),
    ("/v1/orders?buyer_ref=" + "x" * 129, "FIELD_INVALID", "buyer_ref"),
    ("/v1/orders?create_time_from=yesterday", "FIELD_INVALID", "create_time_from"),
    ("/v1/orders?create_time_from=2026-01-01T00:00:00", "FIELD_INVALID", "create_time_from"),
    ("/v1/orders?create_time_from=9999-12-31T23:59:59-23:59", "FIELD_INVALID", "create_time_from"),
    ("/v1/stock/ledger", "FIELD_REQUIRED", "sku"),
    ("/v1/stock/ledger?sku=", "FIELD_REQUIRED", "sku"),
    ("/v1/parcels?order_id=1", "FIELD_INVALID", "order_id"),
    ("/v1/availability", "FIELD_REQUIRED", "skus"),
    ("/v1/availability?skus=a,,b", "FIELD_INVALID", "skus"),
    ("/v1/availability?skus=a&region_code=Spain", "REGION_UNKNOWN", "region_code"),
    ("/v1/availability?skus=" + ",".join(["a"] * 201), "TOO_MANY_ITEMS", "skus"),
    ("/v1/products?ids=a&status=active", "FIELD_INVALID", "status"),
]


async def test_a_wrong_parameter_is_named(system: System, subtests: pytest.Subtests) -> None:
    for path, reason, parameter in WRONG_PARAMETERS:
        with subtests.test(path[:60]):
            problem = assert_problem(await system.operator.get(path), 400, reason)
            assert [place["parameter"] for place in problem["errors"]] == [parameter]  # type: ignore[attr-defined]
    assert not system.orders.requests
    assert not system.warehouse.requests


async def test_a_body_over_the_limit_is_refused_by_its_bytes_however_it_is_announced(start: Start) -> None:
    system = await start(body_bytes_max=2048)
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    announced = await system.storefront.post("/v1/orders", content=b"x" * 4096, headers=headers)
    assert_problem(announced, 413, "BODY_TOO_LARGE")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield b"y" * 512

    chunked = await system.storefront.post("/v1/orders", content=pieces(), headers=headers)
    assert_problem(chunked, 413, "BODY_TOO_LARGE")


async def test_a_body_that_stops_midway_is_given_up(start: Start) -> None:
    system = await start(body_idle_s_max=0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", system.port)
    head = (
        f"POST /v1/orders HTTP/1.1\r\nHost: t\r\nX-API-Key: {OPERATOR_KEY}\r\nIdempotency-Key: k\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    writer.write(head.encode())
    status_line = await asyncio.wait_for(reader.readline(), 5)
    assert b" 408 " in status_line
    writer.close()


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_another_media_type_is_415(system: System, content_type: str) -> None:
    headers = {"Idempotency-Key": "k", "Content-Type": content_type}
    answer = await system.storefront.post("/v1/orders", content=b"{}", headers=headers)
    assert_problem(answer, 415, "MEDIA_TYPE_UNSUPPORTED")
    headers["Content-Type"] = "application/json; charset=latin-1"
    answer = await system.storefront.post("/v1/orders", content=b"{}", headers=headers)
    assert_problem(answer, 415, "MEDIA_TYPE_UNSUPPORTED")


async def test_headers_that_are_no_text_are_refused(system: System) -> None:
    headers = [(b"idempotency-key", b"\xff\xfe"), (b"content-type", b"application/json")]
    answer = await system.storefront.post("/v1/orders", content=b"{}", headers=headers)
    assert_problem(answer, 400, "HEADER_INVALID")
    headers = [(b"idempotency-key", b"k" * 256), (b"content-type", b"application/json")]
    assert_problem(
        await system.storefront.post("/v1/orders", content=b"{}", headers=headers), 400, "HEADER_INVALID"
    )
    headers = [(b"idempotency-key", b"k" * 3000), (b"content-type", b"application/json")]
    answer = await system.storefront.post("/v1/orders", content=b"{}", headers=headers)
    assert_problem(answer, 431, "HEADERS_TOO_LARGE")


async def test_a_failing_service_is_503_with_retry_after_and_a_bug_500_without_its_text(
    system: System,
) -> None:
    path = "/v1/orders/019ab3c0-5e1f-7c3e-8f65-0d6c2f3f5b11"
    system.orders.failure = Unavailable("DEPENDENCY_UNAVAILABLE", "the database is down", retry_after_s=3)
    answer = await system.storefront.get(path)
    assert_problem(answer, 503, "DEPENDENCY_UNAVAILABLE")
    assert answer.headers["retry-after"] == "3"
    system.orders.failure = ResourceExhausted("OVERLOADED", "too much")
    answer = await system.storefront.get(path)
    assert_problem(answer, 429, "OVERLOADED")
    assert answer.headers["retry-after"] == "1"
    system.orders.failure = Internal("INTERNAL", "secret stack trace")
    answer = await system.storefront.get(path)
    problem = assert_problem(answer, 500, "INTERNAL")
    assert "secret" not in str(problem)
    system.orders.failure = FailedPrecondition("SOMETHING_NEW", "a reason of a later contract")
    assert (await system.storefront.get(path)).status_code == 409


async def test_a_dead_service_is_503(start: Start) -> None:
    system = await start(orders_address="127.0.0.1:1", rpc_deadline_s=2)
    answer = await system.storefront.get("/v1/orders")
    assert_problem(answer, 503, "DEPENDENCY_UNAVAILABLE")
    assert answer.headers["retry-after"]
    placed = await system.storefront.post("/v1/orders", json=examples.ORDER, headers={"Idempotency-Key": "k"})
    assert placed.status_code == HTTPStatus.SERVICE_UNAVAILABLE


async def test_a_slow_service_is_503(start: Start) -> None:
    system = await start(rpc_deadline_s=0.2)
    system.orders.delay_s = 2
    assert_problem(await system.storefront.get("/v1/orders"), 503, "DEADLINE_EXCEEDED")
    headers = {"Idempotency-Key": "k"}
    placed = await system.storefront.post("/v1/orders", json=examples.ORDER, headers=headers)
    assert_problem(placed, 503, "DEADLINE_EXCEEDED")


async def test_requests_beyond_the_bound_are_429(start: Start) -> None:
    system = await start(requests_max=2)
    system.orders.delay_s = 0.3
    answers = await asyncio.gather(*(system.storefront.get("/v1/orders") for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 429, 429]


async def test_the_trace_goes_on_and_the_request_id_comes_back(system: System) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01", "X-Request-Id": "my-id"}
    answer = await system.storefront.get("/v1/orders", headers=headers)
    assert answer.headers["traceparent"].split("-")[1] == trace_id
    assert answer.headers["x-request-id"] == "my-id"
    answer = await system.storefront.get("/v1/orders", headers={"traceparent": "junk", "X-Request-Id": "a b"})
    fresh = answer.headers["traceparent"].split("-")[1]
    assert fresh != trace_id
    assert answer.headers["x-request-id"] == fresh


async def test_the_catalogue_of_problems_is_served(system: System) -> None:
    kinds = (await system.anonymous.get("/problems")).json()["problems"]
    for kind in kinds:
        answer = await system.anonymous.get(kind["type"])
        assert answer.json() == kind
    assert_problem(await system.anonymous.get("/problems/nonsense"), 404, "ROUTE_NOT_FOUND")


async def test_the_viewer_needs_nothing_from_elsewhere(system: System) -> None:
    page = await system.anonymous.get("/docs")
    assert "http" not in page.text.replace("http-equiv", "")
    for asset in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js", "favicon-32x32.png"):
        assert (await system.anonymous.get(f"/docs/{asset}")).status_code == 200
    assert_problem(await system.anonymous.get("/docs/other.js"), 404, "ROUTE_NOT_FOUND")
