"""No tenant reaches what is another's: every route, taken from the gateway's own table, so that a new one fails here
until it is shown to keep tenants apart.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.gateway.roles import PLATFORM_ONLY
from services.gateway.routes.route import Route
from tests.e2e.conftest import Document, Foreign, Shop, key, order_body

pytestmark = pytest.mark.stack


ABSENT = {
    "tenant_id": "no-such-tenant",
    "merchant_id": "no-such-merchant",
    "product_id": "no-such-product",
    "warehouse_id": "no-such-warehouse",
    "order_id": str(uuid4()),
    "parcel_id": str(uuid4()),
    "api_key_id": str(uuid4()),
    "webhook_endpoint_id": str(uuid4()),
    "delivery_id": str(uuid4()),
}


def send(client: httpx.Client, route: Route, ids: dict[str, str]) -> httpx.Response:
    """A request that would be right if the ids were the caller's."""
    path = route.path
    for name in route.path_names:
        path = path.replace(f"{{{name}}}", ids[name])
    headers = key() | ({"If-Match": "*"} if route.etag == "required" else {})
    body = route.body_example
    if isinstance(body, dict):
        # The id in the path is the one that counts.
        body = {name: value for name, value in body.items() if name not in route.path_names}
    return client.request(route.method, path, headers=headers, json=body)


def told(answer: httpx.Response, ids: dict[str, str]) -> str:
    """What an answer says, without what has to differ: the trace and the ids that were asked for."""
    document = answer.json()
    document.pop("trace_id", None)
    text = str(document)
    for name, value in ids.items():
        text = text.replace(value, name)
    return f"{answer.status_code} {text}"


async def test_an_id_in_a_path_is_worth_nothing_to_another_tenant(
    routes: tuple[Route, ...], shop: Shop, foreign: Foreign, subtests: pytest.Subtests
) -> None:
    def state() -> list[Document]:
        return [
            shop.must(
                send(shop.platform if route.roles == PLATFORM_ONLY else shop.operator, route, foreign.ids)
            )
            for route in with_ids
            if route.method == "GET" and route.answer is not None and "/events" not in route.path
        ]

    with_ids = [route for route in routes if route.path_names]
    assert {name for route in with_ids for name in route.path_names} == foreign.ids.keys()
    before = state()
    for route in with_ids:
        with subtests.test(f"{route.method} {route.path}"):
            answer = send(shop.other, route, foreign.ids)
            assert answer.status_code == (403 if route.roles == PLATFORM_ONLY else 404), answer.text
            # Nor does the answer tell that there is such a thing.
            assert told(answer, foreign.ids) == told(send(shop.other, route, ABSENT), ABSENT)
    assert state() == before


def refused(status: int, reason: str) -> Callable[[Document], bool]:
    """Whether a document is that refusal."""
    return lambda document: (document.get("status"), document.get("reason")) == (status, reason)


def cases(their: Foreign) -> dict[tuple[str, str], list[tuple[dict[str, Any], Callable[[Document], bool]]]]:
    """By route what another tenant asks with foreign ids in body and query, and what it must be told."""
    ids, sku = their.ids, their.sku
    lines = [{"sku": sku, "quantity": 1}]
    booking = {"warehouse_id": "madrid", "merchant_id": "north-lights", "document": "D-1", "lines": lines}
    product = {
        "product_id": f"p-{uuid4().hex[:8]}",
        "merchant_id": "north-lights",
        "titles": {"en": "Stolen"},
        "variants": [{"sku": uuid4().hex[:8], "prices": [{"currency_code": "EUR", "amount": "1.00"}]}],
    }
    nowhere = refused(422, "WAREHOUSE_NOT_FOUND")
    unknown = refused(422, "SKU_UNKNOWN")

    def empty(name: str) -> Callable[[Document], bool]:
        return lambda document: document.get(name) == []

    def none_left(document: Document) -> bool:
        return [one["available"] for one in document["availabilities"]] == [0]

    def missing(document: Document) -> bool:
        return (document["products"], document["missing"]) == ([], [ids["product_id"]])

    return {
        ("GET", "/v1/merchants"): [({}, empty("merchants"))],
        ("POST", "/v1/products"): [({"json": product}, refused(422, "MERCHANT_NOT_FOUND"))],
        ("GET", "/v1/products"): [
            ({"params": {"ids": ids["product_id"]}}, missing),
            ({"params": {"merchant_id": "north-lights"}}, empty("products")),
        ],
        ("POST", "/v1/products:batchGet"): [({"json": {"ids": [ids["product_id"]]}}, missing)],
        ("GET", "/v1/availability"): [({"params": {"skus": sku}}, none_left)],
        ("POST", "/v1/availability:batchGet"): [({"json": {"skus": [sku]}}, none_left)],
        # Not even the Idempotency-Key of its order gets the order.
        ("POST", "/v1/orders"): [
            ({"json": order_body((sku, 1))}, unknown),
            ({"json": order_body((sku, 1), payment_terms="prepaid"), "headers": their.key}, unknown),
        ],
        ("GET", "/v1/orders"): [
            ({"params": {"buyer_ref": "buyer-1"}}, empty("orders")),
            ({"params": {"merchant_id": ids["merchant_id"]}}, empty("orders")),
        ],
        ("POST", "/v1/quotes"): [({"json": {"currency_code": "EUR", "lines": lines}}, unknown)],
        ("POST", "/v1/imports/products"): [
            (
                {"content": json.dumps(product), "headers": {"Content-Type": "application/x-ndjson"}},
                lambda document: [one["reason"] for one in document["errors"]] == ["MERCHANT_NOT_FOUND"],
            )
        ],
        ("GET", "/v1/warehouses"): [({}, empty("warehouses"))],
        ("GET", "/v1/stock"): [
            ({"params": {"sku": sku}}, empty("stock")),
            ({"params": {"warehouse_id": "madrid"}}, empty("stock")),
        ],
        ("GET", "/v1/stock/ledger"): [({"params": {"sku": sku, "warehouse_id": "madrid"}}, empty("entries"))],
        ("POST", "/v1/stock:receive"): [({"json": booking}, nowhere)],
        ("POST", "/v1/stock:adjust"): [({"json": booking | {"reason": "count_gain"}}, nowhere)],
        ("GET", "/v1/parcels"): [
            ({"params": {"order_id": ids["order_id"]}}, empty("parcels")),
            ({"params": {"warehouse_id": "madrid"}}, empty("parcels")),
        ],
        ("POST", "/v1/parcels:batchAdvance"): [
            (
                {"json": {"requests": [{"parcel_id": ids["parcel_id"], "state": "packed"}]}},
                lambda document: (
                    [one["error"]["reason"] for one in document["results"]] == ["PARCEL_NOT_FOUND"]
                ),
            )
        ],
        ("GET", "/v1/api-keys"): [
            ({}, lambda document: ids["api_key_id"] not in str(document) and "api_keys" in document)
        ],
        ("GET", "/v1/webhook-endpoints"): [
            (
                {},
                lambda document: (
                    ids["webhook_endpoint_id"] not in str(document) and "webhook_endpoints" in document
                ),
            )
        ],
        ("GET", "/v1/webhook-deliveries"): [
            (
                {"params": {"webhook_endpoint_id": ids["webhook_endpoint_id"]}},
                refused(404, "WEBHOOK_ENDPOINT_NOT_FOUND"),
            )
        ],
        ("GET", "/v1/tenants"): [({}, refused(403, "ROLE_MISSING"))],
        ("POST", "/v1/tenants"): [
            ({"json": {"tenant_id": "demo", "display_name": "Mine"}}, refused(403, "ROLE_MISSING"))
        ],
        # Of all tenants: the platform's alone.
        ("GET", "/v1/parked-groups"): [({}, refused(403, "ROLE_MISSING"))],
        ("GET", "/v1/parked-events"): [
            (
                {"params": {"group": "orders.fulfilments", "aggregate_id": ids["order_id"]}},
                refused(403, "ROLE_MISSING"),
            )
        ],
        ("POST", "/v1/parked-events:replay"): [
            (
                {"json": {"group": "orders.fulfilments", "aggregate_id": ids["order_id"]}},
                refused(403, "ROLE_MISSING"),
            )
        ],
        ("POST", "/v1/parked-events:discard"): [
            (
                {"json": {"group": "orders.fulfilments", "parked_event_ids": [1], "note": "mine"}},
                refused(403, "ROLE_MISSING"),
            )
        ],
    }


OWN_NAMES = {
    ("POST", "/v1/merchants"): "the id is a new name in the caller's own tenant",
    ("POST", "/v1/warehouses"): "the id is a new name in the caller's own tenant",
    ("POST", "/v1/api-keys"): "the scope restricts a key to names in the caller's own tenant",
    ("POST", "/v1/webhook-endpoints"): "an endpoint is told of the caller's own tenant; see test_webhooks.py",
}


FOLLOWED: dict[tuple[str, str], Callable[[Foreign], dict[str, str]]] = {
    ("GET", "/v1/orders/events"): lambda _: {},
    ("GET", "/v1/availability/events"): lambda their: {"skus": their.sku},
}
"""The streams that no id in the path narrows, and what is asked of them."""


async def test_an_id_in_a_body_or_a_query_is_worth_nothing_to_another_tenant(
    routes: tuple[Route, ...], shop: Shop, foreign: Foreign, subtests: pytest.Subtests
) -> None:
    expected = cases(foreign)
    without_ids = {(route.method, route.path) for route in routes if not route.path_names}
    assert without_ids == expected.keys() | OWN_NAMES.keys() | FOLLOWED.keys()
    for (method, path), asked in expected.items():
        for request, is_kept_apart in asked:
            with subtests.test(f"{method} {path} {request}"):
                sent = request | {"headers": key() | request.get("headers", {})}
                answer = shop.other.request(method, path, **sent)
                assert is_kept_apart(answer.json()), answer.text


def told_by(lines: Iterator[str]) -> Iterator[str]:
    """What a stream says of things, and an empty text for each sign of life."""
    for line in lines:
        if line.startswith("data: "):
            yield line.removeprefix("data: ")
        elif line.startswith(":"):
            yield ""


async def test_no_stream_tells_of_what_is_anothers(shop: Shop, foreign: Foreign) -> None:
    for (method, path), params in FOLLOWED.items():
        asked = params(foreign)
        begun_s = time.monotonic()
        with (
            shop.other.stream(method, path, params=asked) as theirs,
            shop.storefront.stream(method, path, params=asked) as own,
        ):
            told = (one for one in told_by(own.iter_lines()) if one)
            # Of availability a stream tells first how it stands.
            before = next(told) if asked else ""
            order = shop.place(order_body((foreign.sku, 1)))
            while (news := next(told)) == before or not (asked or order["order_id"] in news):
                pass
            # Both streams hang on the same news: what the other was to be told is before its next sign of life, of
            # which there was one a second at most.
            beats = int(time.monotonic() - begun_s) + 2
            for one in told_by(theirs.iter_lines()):
                assert not one or json.loads(one).get("available") == 0
                beats -= not one
                if not beats:
                    break


async def test_no_route_takes_a_credential_that_is_none(routes: tuple[Route, ...], shop: Shop) -> None:
    for route in routes:
        assert send(shop.anonymous, route, ABSENT).status_code == 401, route.path
