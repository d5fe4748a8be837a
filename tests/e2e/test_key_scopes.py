"""No restricted key reaches what is outside its scope: every route, taken from the gateway's own table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from services.gateway.routes.route import Route
from tests.e2e.conftest import Foreign, Shop, key
from tests.e2e.test_isolation import ABSENT, cases, send, told

pytestmark = pytest.mark.stack


@dataclass
class Restricted:
    """Keys of the tenant `demo` for some things, all but one for other than what is there."""

    merchants: httpx.Client
    owner: httpx.Client
    """Of the merchant whose things are there."""
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
            owner=issued(roles=["merchant"], merchant_ids=["north-lights"]),
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
    assert shop.must(merchants.get("/v1/orders"))["orders"] == []
    assert merchants.get("/v1/orders", params={"merchant_id": "north-lights"}).status_code == 404
    [seen] = shop.must(warehouses.get("/v1/warehouses"))["warehouses"]
    assert seen["warehouse_id"] == "canton"
    for path in ("/v1/stock", "/v1/parcels"):
        found = shop.must(warehouses.get(path))
        assert {one["warehouse_id"] for one in next(iter(found.values()))} <= {"canton"}
        assert warehouses.get(path, params={"warehouse_id": "madrid"}).status_code == 404
    ledger = shop.must(warehouses.get("/v1/stock/ledger", params={"sku": foreign.sku}))
    assert ledger["entries"] == []
    # Its own things are there, and what it does is done in its name.
    newest = shop.must(restricted.owner.get("/v1/orders", params={"page_size": 500}))["orders"]
    assert foreign.ids["order_id"] in {one["order_id"] for one in newest}
    assert {one["merchant_id"] for one in newest} == {"north-lights"}
    booking = {
        "merchant_id": "north-lights",
        "document": "D-2",
        "lines": [{"sku": foreign.sku, "quantity": 3}],
    }
    shop.must(warehouses.post("/v1/stock:receive", json=booking | {"warehouse_id": "canton"}, headers=key()))
    [entry] = shop.must(warehouses.get("/v1/stock/ledger", params={"sku": foreign.sku}))["entries"]
    assert entry["actor"].startswith("key:")
