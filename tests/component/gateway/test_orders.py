"""Placing orders and waiting for them."""

from __future__ import annotations

import asyncio
import json
from uuid import uuid4

import pytest
from sampan.orders.v1 import order_service_pb2 as pb

from services.gateway.routes import examples
from tests.component.gateway.conftest import Start, System
from tests.component.gateway.ordering import key, order_event, placed_order, until
from tests.component.gateway.test_edge import assert_problem


async def test_an_order_is_translated_both_ways(system: System) -> None:
    headers = {
        "Idempotency-Key": "first",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }
    answer = await system.storefront.post("/v1/orders", json=examples.ORDER, headers=headers)
    assert answer.status_code == 201, answer.text
    order = answer.json()
    assert answer.headers["location"] == f"/v1/orders/{order['order_id']}"
    assert order["state"] == "pending"
    assert order["total"] == {"currency_code": "EUR", "amount": "2.00"}
    assert order["create_time"] == "2026-09-21T14:13:20.123456Z"
    assert order["payment_state"] == "none"
    sent = system.orders.requests[0].requests[0]
    assert (sent.tenant_id, sent.request_id, sent.buyer_ref) == ("demo", "first", "buyer-1001")
    assert sent.payment_window.seconds == 1800
    assert (sent.expected_total.units, sent.expected_total.nanos) == (179, 800_000_000)
    assert sent.ship_to.address_lines == ["Calle Mayor 1"]
    assert sent.payment_terms == pb.PAYMENT_TERMS_PAY_LATER
    assert sent.traceparent.startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")


async def test_a_repetition_gives_the_same_bytes(system: System) -> None:
    headers = key()
    first = await system.storefront.post("/v1/orders", json=examples.ORDER, headers=headers)
    system.orders.move(first.json()["order_id"], pb.ORDER_STATE_CONFIRMED)
    second = await system.storefront.post("/v1/orders", json=examples.ORDER, headers=headers)
    assert second.status_code == first.status_code == 201
    assert second.content == first.content
    assert second.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers


async def test_the_key_is_required(system: System) -> None:
    answer = await system.storefront.post("/v1/orders", json=examples.ORDER)
    assert_problem(answer, 400, "IDEMPOTENCY_KEY_REQUIRED")
    assert not system.orders.requests


async def test_a_refused_item_becomes_a_problem_with_its_pointer(system: System) -> None:
    body = examples.ORDER | {"lines": [{"sku": "WIG-18", "quantity": 1}, {"sku": "UNKNOWN", "quantity": 1}]}
    problem = assert_problem(
        await system.storefront.post("/v1/orders", json=body, headers=key()), 422, "SKU_UNKNOWN"
    )
    assert problem["errors"] == [
        {"pointer": "/lines/1/sku", "reason": "SKU_UNKNOWN", "detail": "no such SKU"}
    ]
    assert problem["metadata"] == {"sku": "UNKNOWN"}


async def test_what_arrives_while_two_calls_are_in_flight_joins_the_next(system: System) -> None:
    system.orders.gate = asyncio.Event()

    async def place() -> int:
        answer = await system.storefront.post("/v1/orders", json=examples.ORDER, headers=key())
        return answer.status_code

    first = [asyncio.create_task(place()) for _ in range(2)]
    await until(lambda: sum(system.orders.batch_sizes) == 2)
    rest = [asyncio.create_task(place()) for _ in range(40)]
    waiting = system.gateway.collector._waiting
    await until(lambda: len(waiting) + sum(system.orders.batch_sizes) == 42, timeout_s=8)
    assert len(system.orders.batch_sizes) <= 2
    system.orders.gate.set()
    assert set(await asyncio.gather(*first, *rest)) == {201}
    assert len(system.orders.batch_sizes) <= 6
    assert sum(system.orders.batch_sizes) == 42


async def test_too_many_waiting_orders_are_429(start: Start) -> None:
    system = await start(place_queue_orders_max=3, place_calls_max=1, place_batch_orders_max=1)
    system.orders.gate = asyncio.Event()
    tasks = []
    for _ in range(8):
        tasks.append(
            asyncio.create_task(system.storefront.post("/v1/orders", json=examples.ORDER, headers=key()))
        )
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)
    system.orders.gate.set()
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*tasks))
    assert statuses == [201] * 4 + [429] * 4


async def test_prefer_wait_answers_when_the_order_is_decided(system: System) -> None:
    async def decide() -> None:
        await until(lambda: bool(system.orders.orders))
        await asyncio.sleep(0.2)
        order_id = next(iter(system.orders.orders))[1]
        system.gateway.feed.apply(
            [order_event(system.orders.move(order_id, pb.ORDER_STATE_AWAITING_PAYMENT))]
        )

    deciding = asyncio.create_task(decide())
    headers = key() | {"Prefer": "respond-async, wait=20"}
    answer = await asyncio.wait_for(
        system.storefront.post("/v1/orders", json=examples.ORDER, headers=headers), 5
    )
    await deciding
    assert answer.json()["state"] == "awaiting_payment"
    assert answer.headers["preference-applied"] == "wait=20"


async def test_prefer_wait_gives_up_in_time_and_is_capped(start: Start) -> None:
    system = await start(wait_s_max=1)
    headers = key() | {"Prefer": "wait=600"}
    answer = await asyncio.wait_for(
        system.storefront.post("/v1/orders", json=examples.ORDER, headers=headers), 4
    )
    assert answer.json()["state"] == "pending"
    assert answer.headers["preference-applied"] == "wait=1"


async def test_prefer_wait_does_without_the_feed(system: System) -> None:
    async def decide() -> None:
        await until(lambda: bool(system.orders.orders))
        system.orders.move(next(iter(system.orders.orders))[1], pb.ORDER_STATE_REJECTED)

    deciding = asyncio.create_task(decide())
    headers = key() | {"Prefer": "wait=10"}
    answer = await asyncio.wait_for(
        system.storefront.post("/v1/orders", json=examples.ORDER, headers=headers), 5
    )
    await deciding
    assert answer.json()["state"] == "rejected"


async def test_get_has_an_etag_and_cancel_takes_one(system: System) -> None:
    order = await placed_order(system)
    path = f"/v1/orders/{order.order_id}"
    answer = await system.storefront.get(path)
    assert answer.headers["etag"] == '"1"'
    assert (await system.storefront.get(path, headers={"If-None-Match": 'W/"1"'})).status_code == 304
    headers = key() | {"If-Match": '"7"'}
    answer = await system.storefront.post(f"{path}:cancel", json={"reason": "changed"}, headers=headers)
    assert answer.json()["state"] == "cancelled"
    assert (system.orders.requests[-1].etag, system.orders.requests[-1].reason) == ("7", "changed")
    answer = await system.storefront.post(f"{path}:cancel")
    assert answer.status_code == 200
    assert system.orders.requests[-1].request_id == ""


async def test_a_declined_payment_is_402(system: System) -> None:
    path = f"/v1/orders/{uuid4()}:pay"
    answer = await system.storefront.post(path, json={"payment_token": "tok"}, headers=key())
    problem = assert_problem(answer, 402, "PAYMENT_DECLINED")
    assert problem["metadata"] == {"decline_code": "insufficient_funds"}


ORDER = examples.ORDER
BAD_BODIES: list[tuple[str, bytes | dict[str, object], str, str]] = [
    ("empty", b"", "BODY_REQUIRED", ""),
    ("no json", b"{", "BODY_MALFORMED", ""),
    ("trailing", json.dumps(examples.ORDER).encode() + b" {}", "BODY_MALFORMED", ""),
    ("not utf-8", b'{"buyer_ref": "\xff"}', "BODY_MALFORMED", ""),
    ("surrogate", b'{"buyer_ref": "\\ud800"}', "BODY_MALFORMED", ""),
    ("nan", b'{"payment_window_s": NaN}', "BODY_MALFORMED", ""),
    ("deep", b'{"lines": ' + b"[" * 200_000, "", ""),
    ("deep unknown", b'{"x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "", ""),
    ("an array", b"[]", "FIELD_INVALID", ""),
    ("null", b"null", "FIELD_INVALID", ""),
    ("unknown field", ORDER | {"price": 1}, "FIELD_UNKNOWN", "/price"),
    ("tenant in body", ORDER | {"tenant_id": "other"}, "FIELD_UNKNOWN", "/tenant_id"),
    (
        "unknown in line",
        ORDER | {"lines": [{"sku": "a", "quantity": 1, "unit_price": 0}]},
        "FIELD_UNKNOWN",
        "",
    ),
    (
        "no lines",
        {name: value for name, value in ORDER.items() if name != "lines"},
        "FIELD_REQUIRED",
        "/lines",
    ),
    ("empty lines", ORDER | {"lines": []}, "FIELD_INVALID", "/lines"),
    ("quantity 0", ORDER | {"lines": [{"sku": "a", "quantity": 0}]}, "QUANTITY_INVALID", "/lines/0/quantity"),
    ("negative", ORDER | {"lines": [{"sku": "a", "quantity": -1}]}, "QUANTITY_INVALID", "/lines/0/quantity"),
    ("huge", ORDER | {"lines": [{"sku": "a", "quantity": 10**30}]}, "QUANTITY_INVALID", "/lines/0/quantity"),
    ("float", ORDER | {"lines": [{"sku": "a", "quantity": 1.5}]}, "QUANTITY_INVALID", "/lines/0/quantity"),
    ("text", ORDER | {"lines": [{"sku": "a", "quantity": "1"}]}, "QUANTITY_INVALID", "/lines/0/quantity"),
    ("bool", ORDER | {"lines": [{"sku": "a", "quantity": True}]}, "QUANTITY_INVALID", "/lines/0/quantity"),
    ("empty sku", ORDER | {"lines": [{"sku": "", "quantity": 1}]}, "FIELD_INVALID", "/lines/0/sku"),
    ("long sku", ORDER | {"lines": [{"sku": "a" * 65, "quantity": 1}]}, "FIELD_INVALID", "/lines/0/sku"),
    ("nul in sku", ORDER | {"lines": [{"sku": "a\0", "quantity": 1}]}, "FIELD_INVALID", "/lines/0/sku"),
    ("many lines", ORDER | {"lines": [{"sku": "a", "quantity": 1}] * 10_000}, "TOO_MANY_LINES", "/lines"),
    ("terms", ORDER | {"payment_terms": "never"}, "FIELD_INVALID", "/payment_terms"),
    ("no country", ORDER | {"ship_to": {}}, "FIELD_REQUIRED", "/ship_to/region_code"),
    ("window", ORDER | {"payment_window_s": 10**12}, "FIELD_INVALID", "/payment_window_s"),
    (
        "amount",
        ORDER | {"expected_total": {"currency_code": "EUR", "amount": "1e3"}},
        "AMOUNT_INVALID",
        "/expected_total/amount",
    ),
    (
        "precise",
        ORDER | {"expected_total": {"currency_code": "JPY", "amount": "1.5"}},
        "AMOUNT_TOO_PRECISE",
        "/expected_total/amount",
    ),
    (
        "large amount",
        ORDER | {"expected_total": {"currency_code": "EUR", "amount": "9" * 20}},
        "AMOUNT_OUT_OF_RANGE",
        "/expected_total/amount",
    ),
    (
        "negative total",
        ORDER | {"expected_total": {"currency_code": "EUR", "amount": "-0.50"}},
        "FIELD_INVALID",
        "/expected_total/amount",
    ),
    (
        "currency",
        ORDER | {"expected_total": {"currency_code": "XXX", "amount": "1"}},
        "CURRENCY_UNKNOWN",
        "/expected_total/currency_code",
    ),
    (
        "amount as number",
        ORDER | {"expected_total": {"currency_code": "EUR", "amount": 1.5}},
        "FIELD_INVALID",
        "",
    ),
    ("digits", b'{"buyer_ref": ' + b"9" * 10_000 + b"}", "", ""),
]


async def test_a_bad_body_is_refused_with_its_place_and_goes_nowhere(
    system: System, subtests: pytest.Subtests
) -> None:
    for name, body, reason, pointer in BAD_BODIES:
        with subtests.test(name):
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers = key() | {"Content-Type": "application/json"}
            answer = await system.storefront.post("/v1/orders", content=content, headers=headers)
            assert answer.status_code == 400, answer.text
            problem = assert_problem(answer, 400, reason or answer.json()["reason"])
            if pointer:
                assert [place["pointer"] for place in problem["errors"]] == [pointer]  # type: ignore[attr-defined]
    assert not system.orders.requests


@pytest.mark.parametrize(
    ("change", "reason", "pointer"),
    [
        ({"address_lines": ["x"] * 11}, "TOO_MANY_ITEMS", "/ship_to/address_lines"),
        ({"recipients": ["x"] * 11}, "TOO_MANY_ITEMS", "/ship_to/recipients"),
        ({"locality": "x" * 301}, "FIELD_INVALID", "/ship_to/locality"),
    ],
)
async def test_an_address_beyond_its_bounds_does_not_travel_with_the_orders_of_others(
    system: System, change: dict[str, object], reason: str, pointer: str
) -> None:
    body = {**examples.ORDER, "ship_to": {**examples.ORDER["ship_to"], **change}}
    answer = await system.storefront.post("/v1/orders", json=body, headers=key())
    assert_problem(answer, 400, reason)
    (place,) = answer.json()["errors"]
    assert place["pointer"] == pointer
    assert system.orders.batch_sizes == []
