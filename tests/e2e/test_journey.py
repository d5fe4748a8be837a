"""The journey of an order, from an empty shop to a delivered parcel, as the public API shows it."""

from __future__ import annotations

import json
import threading
from uuid import uuid4

import pytest

from tests.e2e.conftest import Document, Shop, key, order_body

pytestmark = pytest.mark.stack


def follow(shop: Shop, order_id: str, seen: list[Document]) -> None:
    """Reads an order's events to their end."""
    with shop.storefront.stream("GET", f"/v1/orders/{order_id}/events", timeout=90) as stream:
        seen.extend(
            json.loads(line.removeprefix("data: "))
            for line in stream.iter_lines()
            if line.startswith("data: ")
        )


def test_an_order_travels_from_the_storefront_to_the_buyer(shop: Shop) -> None:
    sku = shop.new_sku(100, price="89.90")
    shop.eventually(lambda: availability(shop, sku) == 100)
    cart = {"currency_code": "EUR", "lines": [{"sku": sku, "quantity": 2}]}
    quote = shop.must(shop.storefront.post("/v1/quotes", json=cart))
    assert quote["total"] == {"currency_code": "EUR", "amount": "179.80"}

    order = shop.place(order_body((sku, 2), expected_total=quote["total"]))
    order_id = order["order_id"]
    assert order["state"] == "awaiting_payment"
    assert order["lines"][0]["hs_code"] == "670411"
    assert order["payment_expire_time"]
    shop.eventually(lambda: availability(shop, sku) == 98)

    seen: list[Document] = []
    following = threading.Thread(target=follow, args=(shop, order_id, seen))
    following.start()
    paid = shop.must(
        shop.storefront.post(
            f"/v1/orders/{order_id}:pay", json={"payment_token": PAYING_TOKEN}, headers=key()
        )
    )
    assert paid["state"] == "confirmed"
    shop.eventually(lambda: shop.order(order_id)["parcels"])
    [parcel] = shop.order(order_id)["parcels"]
    assert (parcel["warehouse_id"], parcel["state"]) == ("madrid", "allocated")

    path = f"/v1/parcels/{parcel['parcel_id']}"
    assert shop.must(shop.operator.get(path))["items"] == [{"sku": sku, "quantity": 2}]
    too_early = shop.operator.post(f"{path}:deliver")
    assert (too_early.status_code, too_early.json()["reason"]) == (409, "PARCEL_STATE_WRONG")
    assert shop.must(shop.operator.post(f"{path}:pack"))["state"] == "packed"
    shop.eventually(lambda: shop.order(order_id)["state"] == "fulfilling")
    label = {"carrier": "SEUR", "tracking_number": "SE123"}
    assert shop.must(shop.operator.post(f"{path}:ship", json=label))["tracking_number"] == "SE123"
    shop.eventually(lambda: shop.order(order_id)["state"] == "shipped")
    moved = {"requests": [{"parcel_id": parcel["parcel_id"], "state": "delivered"}]}
    [result] = shop.must(shop.operator.post("/v1/parcels:batchAdvance", json=moved))["results"]
    assert result["parcel"]["state"] == "delivered"
    shop.eventually(lambda: shop.order(order_id)["state"] == "delivered")

    following.join(30)
    assert not following.is_alive()
    versions = [event["version"] for event in seen]
    assert versions == sorted(versions)
    assert seen[-1]["state"] == "delivered"
    assert seen[-1]["final"]
    assert {"fulfilling", "shipped"} <= {event["state"] for event in seen}

    shop.eventually(lambda: shop.order(order_id)["payment_state"] == "captured")
    done = shop.order(order_id)
    assert done["parcels"][0]["tracking_number"] == "SE123"
    history = shop.must(shop.storefront.get(f"/v1/orders/{order_id}/history"))["transitions"]
    assert [one["version"] for one in history] == list(range(1, len(history) + 1))
    assert history[0]["from_state"] == "none"
    assert history[-1]["to_state"] == "delivered"

    entries = shop.must(shop.operator.get("/v1/stock/ledger", params={"sku": sku}))["entries"]
    assert [(entry["reason"], entry["delta"]) for entry in entries] == [
        ("pick", -2),
        ("inbound_receive", 100),
    ]
    [stock] = shop.must(shop.operator.get("/v1/stock", params={"sku": sku}))["stock"]
    assert (stock["on_hand"], stock["reserved"]) == (98, 0)


PAYING_TOKEN = "card_authorised"


def availability(shop: Shop, sku: str) -> int:
    """Units that can be promised to Spain."""
    answer = shop.must(shop.storefront.get("/v1/availability", params={"skus": sku, "region_code": "ES"}))
    available: int = answer["availabilities"][0]["available"]
    return available


def test_a_prepaid_order_is_confirmed_by_its_reservation(shop: Shop) -> None:
    order = shop.place(order_body((shop.new_sku(), 1), payment_terms="prepaid"))
    shop.eventually(lambda: shop.order(order["order_id"])["parcels"])
    done = shop.order(order["order_id"])
    assert (done["state"], done["payment_state"]) == ("confirmed", "captured")


def test_an_order_beyond_stock_is_rejected_and_holds_nothing(shop: Shop) -> None:
    sku = shop.new_sku(5)
    order = shop.place(order_body((sku, 6)))
    assert (order["state"], order["reason"]) == ("rejected", "STOCK_INSUFFICIENT")
    [stock] = shop.must(shop.operator.get("/v1/stock", params={"sku": sku}))["stock"]
    assert (stock["on_hand"], stock["reserved"]) == (5, 0)


def test_a_sold_out_sku_is_refused_at_once_until_it_is_back(shop: Shop) -> None:
    sku = shop.new_sku(1)
    body = order_body((sku, 1))
    first = key()
    bought = shop.place(body, headers=first)
    assert bought["state"] == "awaiting_payment"
    refused = key()

    def is_refused() -> bool:
        nonlocal refused
        refused = key()
        return shop.storefront.post("/v1/orders", json=body, headers=refused).status_code == 409

    shop.eventually(is_refused)
    answer = shop.storefront.post("/v1/orders", json=body, headers=refused)
    assert (answer.json()["reason"], answer.json()["metadata"]) == ("SOLD_OUT", {"sku": sku})
    # Whoever has an order keeps it, however often it asks.
    assert shop.place(body, headers=first)["order_id"] == bought["order_id"]

    shop.add_stock(sku, 1)
    shop.eventually(lambda: shop.storefront.post("/v1/orders", json=body, headers=key()).status_code == 201)
    again = shop.storefront.post("/v1/orders", json=body, headers=refused)
    assert (again.status_code, again.json()["reason"]) == (409, "SOLD_OUT")


def test_a_cancelled_order_gives_its_stock_back(shop: Shop) -> None:
    sku = shop.new_sku(5)
    order = shop.place(order_body((sku, 5)))
    path = f"/v1/orders/{order['order_id']}"
    stale = shop.storefront.post(f"{path}:cancel", headers={"If-Match": '"0"'})
    assert (stale.status_code, stale.json()["reason"]) == (412, "ETAG_MISMATCH")
    current = shop.storefront.get(path).headers["etag"]
    cancelled = shop.must(
        shop.storefront.post(
            f"{path}:cancel", json={"reason": "changed my mind"}, headers={"If-Match": current}
        )
    )
    assert cancelled["state"] == "cancelled"
    shop.eventually(lambda: availability(shop, sku) == 5)
    again = shop.storefront.post(f"{path}:pay", json={"payment_token": PAYING_TOKEN}, headers=key())
    assert (again.status_code, again.json()["reason"]) == (409, "ORDER_STATE_WRONG")


def test_a_repetition_is_byte_identical_however_far_the_order_has_come(shop: Shop) -> None:
    sku = shop.new_sku()
    headers = key()
    body = order_body((sku, 1), (sku, 2))
    first = shop.storefront.post("/v1/orders", json=body, headers=headers)
    order = shop.must(first, 201)
    assert [line["quantity"] for line in order["lines"]] == [1, 2]
    shop.eventually(lambda: shop.order(order["order_id"])["state"] == "awaiting_payment")
    second = shop.storefront.post("/v1/orders", json=body, headers=headers)
    assert (second.status_code, second.content) == (201, first.content)
    assert second.headers["location"] == first.headers["location"]
    other = shop.storefront.post("/v1/orders", json=order_body((sku, 9)), headers=headers)
    assert (other.status_code, other.json()["reason"]) == (422, "REQUEST_ID_REUSED")


def test_a_refusal_is_repeated_too(shop: Shop) -> None:
    headers = key()
    body = order_body(("NO-SUCH-SKU", 1))
    first = shop.storefront.post("/v1/orders", json=body, headers=headers)
    second = shop.storefront.post("/v1/orders", json=body, headers=headers)
    assert first.status_code == second.status_code == 422
    drop = {"trace_id"}
    assert {k: v for k, v in first.json().items() if k not in drop} == {
        k: v for k, v in second.json().items() if k not in drop
    }


def test_a_total_other_than_expected_is_told(shop: Shop) -> None:
    sku = shop.new_sku(price="10.00")
    body = order_body((sku, 3), expected_total={"currency_code": "EUR", "amount": "29.00"})
    answer = shop.storefront.post("/v1/orders", json=body, headers=key())
    assert (answer.status_code, answer.json()["reason"]) == (409, "TOTAL_CHANGED")
    assert answer.json()["metadata"]["total"].startswith("30")


def test_marketplaces_do_not_see_each_other(shop: Shop) -> None:
    sku = shop.new_sku()
    order = shop.place(order_body((sku, 1), payment_terms="prepaid"))
    shop.eventually(lambda: shop.order(order["order_id"])["parcels"])
    parcel_id = shop.order(order["order_id"])["parcels"][0]["parcel_id"]
    order_path = f"/v1/orders/{order['order_id']}"
    for method, path, body in (
        ("GET", order_path, None),
        ("GET", f"{order_path}/history", None),
        ("GET", f"{order_path}/events", None),
        ("POST", f"{order_path}:cancel", None),
        ("POST", f"{order_path}:pay", {"payment_token": PAYING_TOKEN}),
        ("GET", f"/v1/parcels/{parcel_id}", None),
        ("POST", f"/v1/parcels/{parcel_id}:pack", None),
        ("GET", f"/v1/products/{sku.lower()}", None),
        ("GET", "/v1/merchants/north-lights", None),
        ("GET", "/v1/warehouses/madrid", None),
    ):
        answer = shop.other.request(method, path, json=body, headers=key())
        assert answer.status_code == 404, f"{method} {path}: {answer.text}"
    assert shop.must(shop.other.get("/v1/orders"))["orders"] == []
    assert shop.must(shop.other.get("/v1/parcels"))["parcels"] == []
    assert shop.must(shop.other.get("/v1/stock"))["stock"] == []
    assert shop.must(shop.other.get("/v1/products"))["products"] == []
    assert (
        shop.must(shop.other.get("/v1/availability", params={"skus": sku}))["availabilities"][0]["available"]
        == 0
    )
    placed = shop.other.post("/v1/orders", json=order_body((sku, 1)), headers=key())
    assert (placed.status_code, placed.json()["reason"]) == (422, "SKU_UNKNOWN")


def test_lists_page_on_within_their_filter(shop: Shop) -> None:
    sku = shop.new_sku()
    buyer = f"buyer-{uuid4()}"
    ids = [shop.place(order_body((sku, 1), buyer_ref=buyer))["order_id"] for _ in range(3)]
    first = shop.must(shop.storefront.get("/v1/orders", params={"buyer_ref": buyer, "page_size": 2}))
    token = first["next_page_token"]
    rest = shop.must(
        shop.storefront.get("/v1/orders", params={"buyer_ref": buyer, "page_size": 2, "page_token": token})
    )
    assert [order["order_id"] for order in first["orders"] + rest["orders"]] == ids[::-1]
    assert rest["next_page_token"] == ""
    elsewhere = shop.storefront.get("/v1/orders", params={"buyer_ref": "another", "page_token": token})
    assert (elsewhere.status_code, elsewhere.json()["reason"]) == (400, "PAGE_TOKEN_MISMATCH")
    assert elsewhere.json()["errors"][0]["parameter"] == "page_token"
    junk = shop.storefront.get("/v1/orders", params={"page_token": "junk"})
    assert (junk.status_code, junk.json()["reason"]) == (400, "PAGE_TOKEN_INVALID")
    some = shop.must(shop.storefront.get("/v1/orders", params={"buyer_ref": buyer, "state": "delivered"}))
    assert some["orders"] == []
