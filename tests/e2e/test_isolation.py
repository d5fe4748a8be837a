"""No tenant reaches what is another's, and no restricted key what is outside its scope: every route, taken from the
gateway's own table, so that a new one fails here until it is shown to keep tenants apart.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.gateway.config import GatewaySettings
from services.gateway.roles import PLATFORM_ONLY
from services.gateway.routes.route import Route
from services.gateway.wiring import Gateway
from tests.e2e.conftest import Document, Shop, key, order_body
from tests.e2e.hooks import receiving

pytestmark = pytest.mark.stack


@pytest.fixture
async def routes() -> tuple[Route, ...]:
    """All routes that need a credential, wired to nothing."""
    gateway = Gateway(GatewaySettings())
    await gateway.close()
    return tuple(route for route in gateway.routes if route.roles is not None)


@dataclass
class Foreign:
    """What the tenant `demo` has, by the names of ids in paths; `key` placed its order."""

    ids: dict[str, str]
    sku: str
    key: dict[str, str]


@pytest.fixture(scope="module")
def foreign(shop: Shop) -> Foreign:
    """One thing of each kind."""
    sku = shop.new_sku()
    used = key()
    order = shop.place(order_body((sku, 1), payment_terms="prepaid"), headers=used)
    shop.eventually(lambda: shop.order(order["order_id"])["parcels"])
    [parcel] = shop.order(order["order_id"])["parcels"]
    issued = shop.operator.post(
        "/v1/api-keys", json={"display_name": "Theirs", "roles": ["reader"]}, headers=key()
    )
    endpoint_id, delivery_id = webhook_of(shop)
    ids = {
        "tenant_id": "demo",
        "merchant_id": "north-lights",
        "product_id": sku.lower(),
        "warehouse_id": "madrid",
        "order_id": order["order_id"],
        "parcel_id": parcel["parcel_id"],
        "api_key_id": shop.must(issued, 201)["api_key"]["api_key_id"],
        "webhook_endpoint_id": endpoint_id,
        "delivery_id": delivery_id,
    }
    return Foreign(ids, sku, used)


def webhook_of(shop: Shop) -> tuple[str, str]:
    """An endpoint and a delivery to it, both of which stay as they are."""
    with receiving() as hook:
        body = {"url": hook.url, "event_types": ["order.expired"]}
        issued = shop.must(shop.operator.post("/v1/webhook-endpoints", json=body, headers=key()), 201)
        endpoint_id = issued["webhook_endpoint"]["webhook_endpoint_id"]
        path = f"/v1/webhook-endpoints/{endpoint_id}"
        delivery_id = shop.must(shop.operator.post(f"{path}:test"), 201)["delivery_id"]
        delivery = f"/v1/webhook-deliveries/{delivery_id}"
        shop.eventually(lambda: shop.must(shop.operator.get(delivery))["state"] == "delivered")
        shop.must(shop.operator.post(f"{path}:disable"))
    return endpoint_id, delivery_id


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
        ("GET", "/v1/orders"): [({"params": {"buyer_ref": "buyer-1"}}, empty("orders"))],
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


@dataclass
class Restricted:
    """Keys of the tenant `demo` that are for something else than what is there."""

    merchants: httpx.Client
    warehouses: httpx.Client


@pytest.fixture(scope="module")
def restricted(shop: Shop) -> Iterator[Restricted]:
    """Made by the API, and revoked at the end."""
    with ExitStack() as stack:

        def issued(**what: Any) -> httpx.Client:
            body = {"display_name": "Restricted", **what}
            made = shop.must(shop.operator.post("/v1/api-keys", json=body, headers=key()), 201)
            client = stack.enter_context(
                httpx.Client(
                    base_url=shop.stack.settings.gateway_url,
                    headers={"X-API-Key": made["secret"]},
                    timeout=40,
                )
            )
            path = f"/v1/api-keys/{made['api_key']['api_key_id']}:revoke"
            stack.callback(lambda: shop.must(shop.operator.post(path)))
            shop.eventually(lambda: client.get("/v1/products").status_code != 401)
            return client

        yield Restricted(
            merchants=issued(roles=["merchant"], merchant_ids=["south-lights"]),
            warehouses=issued(roles=["warehouse"], warehouse_ids=["canton"]),
        )


async def test_what_is_outside_a_keys_scope_is_not_there(
    routes: tuple[Route, ...],
    shop: Shop,
    foreign: Foreign,
    restricted: Restricted,
    subtests: pytest.Subtests,
) -> None:
    theirs = {
        "merchants": {"merchant_id", "product_id", "order_id"},
        "warehouses": {"warehouse_id", "parcel_id"},
    }
    for scope, role, client in (
        ("merchants", "merchant", restricted.merchants),
        ("warehouses", "warehouse", restricted.warehouses),
    ):
        for route in routes:
            if role not in (route.roles or ()) or scope not in route.scopes:
                wanted = 403
            elif theirs[scope].isdisjoint(route.path_names):
                continue
            else:
                wanted = 404
            with subtests.test(f"{role} {route.method} {route.path}"):
                answer = send(client, route, foreign.ids)
                assert answer.status_code == wanted, answer.text
                assert told(answer, foreign.ids) == told(send(client, route, ABSENT), ABSENT)


async def test_lists_and_bodies_keep_to_the_keys_scope(
    shop: Shop, foreign: Foreign, restricted: Restricted
) -> None:
    merchants, warehouses = restricted.merchants, restricted.warehouses
    expected = cases(foreign)
    of_merchants = [
        ("POST", "/v1/products"),
        ("POST", "/v1/products:batchGet"),
        ("POST", "/v1/imports/products"),
        ("GET", "/v1/merchants"),
    ]
    of_warehouses = [("POST", "/v1/stock:receive"), ("POST", "/v1/stock:adjust")]
    for client, routes in ((merchants, of_merchants), (warehouses, of_warehouses)):
        for method, path in routes:
            for request, is_kept_apart in expected[method, path]:
                sent = request | {"headers": key() | request.get("headers", {})}
                answer = client.request(method, path, **sent)
                assert is_kept_apart(answer.json()), f"{path} {answer.text}"
    # A list without a filter is that of the only one; with another's it is as if that were not there.
    assert shop.must(merchants.get("/v1/products"))["products"] == []
    assert merchants.get("/v1/products", params={"merchant_id": "north-lights"}).status_code == 404
    assert (
        shop.must(merchants.get("/v1/products", params={"ids": foreign.ids["product_id"]}))["products"] == []
    )
    [seen] = shop.must(warehouses.get("/v1/warehouses"))["warehouses"]
    assert seen["warehouse_id"] == "canton"
    for path in ("/v1/stock", "/v1/parcels"):
        found = shop.must(warehouses.get(path))
        assert {one["warehouse_id"] for one in next(iter(found.values()))} <= {"canton"}
        assert warehouses.get(path, params={"warehouse_id": "madrid"}).status_code == 404
    ledger = shop.must(warehouses.get("/v1/stock/ledger", params={"sku": foreign.sku}))
    assert ledger["entries"] == []
    # Its own things are there, and what it does is done in its name.
    booking = {
        "merchant_id": "north-lights",
        "document": "D-2",
        "lines": [{"sku": foreign.sku, "quantity": 3}],
    }
    shop.must(warehouses.post("/v1/stock:receive", json=booking | {"warehouse_id": "canton"}, headers=key()))
    [entry] = shop.must(warehouses.get("/v1/stock/ledger", params={"sku": foreign.sku}))["entries"]
    assert entry["actor"].startswith("key:")
