"""The door of payment providers: what is passed on, as it came, and what is refused before anybody is asked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.chassis.errors import FailedPrecondition, NotFound, Unauthenticated, Unavailable
from services.gateway.routes.payments import AT_ONCE_MAX, NOTIFICATION_BYTES_MAX
from tests.component.gateway.conftest import System
from tests.component.gateway.ordering import until
from tests.component.gateway.test_edge import assert_problem

PATH = "/v1/payments/notifications/sandbox"
HEADERS = {
    "webhook-id": "msg_1",
    "webhook-timestamp": "1772357400",
    "webhook-signature": "v1,one v1,two",
    "content-type": "application/json",
}


async def test_bytes_and_headers_are_passed_on_as_they_came_and_nobody_needs_a_key(system: System) -> None:
    body = b' {"a" :\t1.0, "b": "\xc3\xb1\\u00f1" , \xff }\r\n'
    for client in (system.anonymous, system.storefront):
        answer = await client.post(PATH, content=body, headers=HEADERS)
        assert (answer.status_code, answer.content) == (204, b"")
        assert "content-type" not in answer.headers
        got = system.payments.requests.pop()
        assert (got.provider, got.body) == ("sandbox", body)
        assert [got.webhook_id, got.webhook_timestamp, got.webhook_signature] == [*HEADERS.values()][:3]


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
async def test_each_header_is_required_and_bounded(system: System, name: str) -> None:
    for value, status, reason in (
        (None, 400, "FIELD_REQUIRED"),
        ("", 400, "FIELD_REQUIRED"),
        (b"\xe9", 400, "HEADER_INVALID"),
        ("x" * 2_049, 431, "HEADERS_TOO_LARGE"),
    ):
        sent: dict[str, Any] = {**HEADERS, name: value}
        if value is None:
            del sent[name]
        answer = await system.anonymous.post(PATH, content=b"{}", headers=sent)
        problem = assert_problem(answer, status, reason)
        if status == 400:
            assert problem["errors"][0]["header"].lower() == name  # type: ignore[index]
    assert system.payments.requests == []


async def test_what_cannot_be_a_notification_is_refused_here(system: System) -> None:
    async def refused(
        status: int, reason: str, path: str = PATH, body: bytes = b"{}", **changed: str
    ) -> None:
        sent = HEADERS | {name.replace("_", "-"): value for name, value in changed.items()}
        assert_problem(await system.anonymous.post(path, content=body, headers=sent), status, reason)

    await refused(400, "HEADER_INVALID", webhook_id="x" * 256)
    await refused(400, "BODY_REQUIRED", body=b"")
    await refused(413, "BODY_TOO_LARGE", body=b" " * (NOTIFICATION_BYTES_MAX + 1))
    await refused(415, "MEDIA_TYPE_UNSUPPORTED", content_type="text/plain")
    await refused(404, "PAYMENT_PROVIDER_NOT_FOUND", path="/v1/payments/notifications/No_Such")
    await refused(404, "ROUTE_NOT_FOUND", path="/v1/payments/notifications")
    await refused(400, "PARAMETER_UNKNOWN", path=f"{PATH}?a=1")
    assert_problem(await system.anonymous.get(PATH), 405, "METHOD_NOT_ALLOWED")
    assert system.payments.requests == []


async def test_a_refusal_of_orders_is_told_so_that_the_provider_tries_again_where_it_helps(
    system: System,
) -> None:
    for failure, status in (
        (Unauthenticated("SIGNATURE_INVALID", "m"), 401),
        (Unauthenticated("SIGNATURE_TIME_WRONG", "m"), 401),
        (NotFound("PAYMENT_NOT_FOUND", "m"), 404),
        (NotFound("PAYMENT_PROVIDER_NOT_FOUND", "m"), 404),
        (FailedPrecondition("PAYMENT_STATE_WRONG", "m", metadata={"state": "PENDING"}), 409),
        (FailedPrecondition("NOTIFICATION_ID_REUSED", "m"), 422),
        (Unavailable("DEPENDENCY_UNAVAILABLE", "m"), 503),
    ):
        system.payments.failure = failure
        answer = await system.anonymous.post(PATH, content=b"{}", headers=HEADERS)
        assert_problem(answer, status, failure.reason)
        assert ("www-authenticate" in answer.headers) == (status == 401)
        assert ("retry-after" in answer.headers) == (status == 503)


async def test_strangers_take_no_more_of_orders_than_their_part(system: System) -> None:
    system.payments.gate = asyncio.Event()
    held = [
        asyncio.ensure_future(system.anonymous.post(PATH, content=b"{}", headers=HEADERS))
        for _ in range(AT_ONCE_MAX)
    ]
    await until(lambda: len(system.payments.requests) == AT_ONCE_MAX)
    answer = await system.anonymous.post(PATH, content=b"{}", headers=HEADERS)
    assert_problem(answer, 429, "OVERLOADED")
    assert answer.headers["retry-after"] == "1"
    assert (await system.storefront.get("/v1/orders")).status_code == 200
    system.payments.gate.set()
    assert {one.status_code for one in await asyncio.gather(*held)} == {204}
    assert (await system.anonymous.post(PATH, content=b"{}", headers=HEADERS)).status_code == 204
