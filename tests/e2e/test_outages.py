"""A dead dependency is told as 503, and the read models are rebuilt at a restart. These tests stop services."""

from __future__ import annotations

import json
import threading

import httpx
import pytest

from tests.e2e.conftest import Shop, key, order_body

pytestmark = pytest.mark.stack


def assert_unavailable(answer: httpx.Response) -> None:
    """503, a problem, and when to come back."""
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1


def test_without_orders_nothing_is_placed_and_products_are_still_shown(shop: Shop) -> None:
    sku = shop.new_sku()
    orders = shop.stack.services["orders"]
    headers = key()
    body = order_body((sku, 1))
    orders.kill()
    try:
        assert_unavailable(shop.storefront.post("/v1/orders", json=body, headers=headers))
        assert_unavailable(shop.storefront.get("/v1/orders"))
        assert_unavailable(
            shop.storefront.post("/v1/quotes", json={"currency_code": "EUR", "lines": body["lines"]})
        )
        assert shop.storefront.get(f"/v1/products/{sku.lower()}").status_code == 200
        assert shop.storefront.get("/v1/availability", params={"skus": sku}).status_code == 200
    finally:
        orders.start()
        orders.wait_ready()
    shop.eventually(lambda: shop.storefront.post("/v1/orders", json=body, headers=headers).status_code == 201)
    placed = shop.place(body, headers=headers)
    assert placed["state"] == "awaiting_payment"
    assert shop.place(body, headers=headers)["order_id"] == placed["order_id"]


def test_the_read_models_are_rebuilt_at_a_restart_without_any_other_service(shop: Shop) -> None:
    sku = shop.new_sku(42)
    path = f"/v1/products/{sku.lower()}"
    asked = {"skus": sku, "region_code": "ES"}
    shop.eventually(lambda: shop.storefront.get("/v1/availability", params=asked).json() != {})
    before = shop.storefront.get(path)
    gateway, catalog, warehouse = (shop.stack.services[name] for name in ("gateway", "catalog", "warehouse"))
    catalog.stop()
    warehouse.stop()
    try:
        gateway.stop()
        gateway.start()
        gateway.wait_ready()
        after = shop.storefront.get(path)
        assert (after.status_code, after.content, after.headers["etag"]) == (
            200,
            before.content,
            before.headers["etag"],
        )
        [availability] = shop.must(shop.storefront.get("/v1/availability", params=asked))["availabilities"]
        assert availability["available"] == 42
        assert_unavailable(shop.storefront.get("/v1/products/not-in-memory"))
        assert_unavailable(shop.operator.get("/v1/warehouses"))
    finally:
        for service in (catalog, warehouse):
            service.start()
        for service in (catalog, warehouse):
            service.wait_ready()
    shop.eventually(lambda: shop.storefront.get("/v1/products/not-in-memory").status_code == 404)


def test_who_follows_all_orders_misses_nothing_while_the_gateway_is_restarted(shop: Shop) -> None:
    sku = shop.new_sku()
    path = "/v1/orders/events"
    with shop.storefront.stream("GET", path) as stream:
        place = next(line for line in stream.iter_lines() if line.startswith("id: "))
    order = shop.place(order_body((sku, 1)))
    gateway = shop.stack.services["gateway"]
    try:
        gateway.stop(grace_s=25)
    finally:
        gateway.start()
        gateway.wait_ready()
    states: list[str] = []
    headers = {"Last-Event-ID": place.removeprefix("id: ")}
    with shop.storefront.stream("GET", path, headers=headers) as stream:
        for line in stream.iter_lines():
            if line.startswith("data: ") and order["order_id"] in line:
                states.append(json.loads(line.removeprefix("data: "))["state"])
                if states[-1] == order["state"]:
                    break
    assert states == ["pending", "awaiting_payment"]


def test_a_gateway_that_is_told_to_go_answers_what_it_has_taken(shop: Shop) -> None:
    sku = shop.new_sku(1000)
    gateway = shop.stack.services["gateway"]
    url = f"{shop.stack.settings.gateway_url}/v1/orders"
    going = threading.Event()
    cut_off: list[dict[str, str]] = []
    placed: list[str] = []

    def buy() -> None:
        headers = dict(shop.storefront.headers) | {"Connection": "close"}
        while True:
            sent = headers | key()
            try:
                answer = httpx.post(url, json=order_body((sku, 1)), headers=sent, timeout=20)
            except httpx.ConnectError:
                return
            except httpx.TransportError:
                # The kernel had taken the connection, the gateway had not: unknown, so to be repeated.
                cut_off.append(sent)
                return
            assert answer.status_code == 201, answer.text
            placed.append(answer.json()["order_id"])
            if len(placed) > 20:
                going.set()

    order = shop.place(order_body((sku, 1)))
    events: list[str] = []

    def follow() -> None:
        with shop.storefront.stream("GET", f"/v1/orders/{order['order_id']}/events") as stream:
            events.extend(stream.iter_lines())

    threads = [threading.Thread(target=work) for work in (buy, buy, buy, buy, follow)]
    for thread in threads:
        thread.start()
    try:
        assert going.wait(30)
        gateway.stop(grace_s=25)
        for thread in threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in threads)
    finally:
        gateway.start()
        gateway.wait_ready()
    for sent in cut_off:
        assert httpx.post(url, json=order_body((sku, 1)), headers=sent, timeout=20).status_code == 201
    assert any(line.startswith("data: ") for line in events)
    for order_id in placed:
        assert shop.order(order_id)["order_id"] == order_id

    def left() -> int:
        [found] = shop.must(shop.storefront.get("/v1/availability", params={"skus": sku}))["availabilities"]
        return int(found["available"])

    bought = len(placed) + len(cut_off) + 1
    shop.eventually(lambda: left() == 1000 - bought)
