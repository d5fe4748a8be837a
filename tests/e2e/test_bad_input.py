"""Bad input, against the whole system: a 4xx problem of a stable type with the faulty place, and nothing stored."""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from tests.e2e.conftest import Document, Shop, key, order_body

pytestmark = pytest.mark.stack


class Row(NamedTuple):
    """A change to a good order, and what comes of it."""

    name: str
    changes: dict[str, Any]
    status: int
    reason: str
    place: tuple[str, str] | None


def lines(*made: Any) -> dict[str, Any]:
    """Other lines than the good ones."""
    return {"lines": list(made)}


GOOD = "GOOD-SKU"


def line(**changes: Any) -> Document:
    """A good line, changed."""
    return {"sku": GOOD, "quantity": 1} | changes


ORDERS = [
    Row("unknown field", {"discount": 5}, 400, "FIELD_UNKNOWN", ("pointer", "/discount")),
    Row("tenant", {"tenant_id": "other"}, 400, "FIELD_UNKNOWN", ("pointer", "/tenant_id")),
    Row(
        "price of the client", lines(line(price="0.01")), 400, "FIELD_UNKNOWN", ("pointer", "/lines/0/price")
    ),
    Row("wrong type", {"buyer_ref": 5}, 400, "FIELD_INVALID", ("pointer", "/buyer_ref")),
    Row("empty buyer", {"buyer_ref": ""}, 400, "FIELD_REQUIRED", ("pointer", "/buyer_ref")),
    Row("long buyer", {"buyer_ref": "x" * 129}, 400, "FIELD_INVALID", ("pointer", "/buyer_ref")),
    Row("no lines", {"lines": []}, 400, "FIELD_INVALID", ("pointer", "/lines")),
    Row("unknown sku", lines(line(), line(sku="NOPE")), 422, "SKU_UNKNOWN", ("pointer", "/lines/1/sku")),
    Row("control in sku", lines(line(sku="a\nb")), 400, "FIELD_INVALID", ("pointer", "/lines/0/sku")),
    Row("nul in sku", lines(line(sku="a\0b")), 400, "FIELD_INVALID", ("pointer", "/lines/0/sku")),
    Row("zero", lines(line(quantity=0)), 400, "QUANTITY_INVALID", ("pointer", "/lines/0/quantity")),
    Row("negative", lines(line(quantity=-3)), 400, "QUANTITY_INVALID", ("pointer", "/lines/0/quantity")),
    Row(
        "too many units",
        lines(line(quantity=1_000_001)),
        400,
        "QUANTITY_INVALID",
        ("pointer", "/lines/0/quantity"),
    ),
    Row(
        "beyond int64", lines(line(quantity=2**70)), 400, "QUANTITY_INVALID", ("pointer", "/lines/0/quantity")
    ),
    Row("half a unit", lines(line(quantity=0.5)), 400, "QUANTITY_INVALID", ("pointer", "/lines/0/quantity")),
    Row("10,000 lines", {"lines": [line()] * 10_000}, 400, "TOO_MANY_LINES", ("pointer", "/lines")),
    Row("unknown currency", {"currency_code": "XXX"}, 400, "CURRENCY_UNKNOWN", ("pointer", "/currency_code")),
    Row("lower currency", {"currency_code": "eur"}, 400, "CURRENCY_UNKNOWN", ("pointer", "/currency_code")),
    Row("no price", {"currency_code": "JPY"}, 422, "PRICE_MISSING", ("pointer", "/lines/0/sku")),
    Row(
        "unknown country",
        {"ship_to": {"region_code": "XX"}},
        400,
        "REGION_UNKNOWN",
        ("pointer", "/ship_to/region_code"),
    ),
    Row(
        "country name",
        {"ship_to": {"region_code": "Spain"}},
        400,
        "REGION_UNKNOWN",
        ("pointer", "/ship_to/region_code"),
    ),
    Row("no country", {"ship_to": {}}, 400, "FIELD_REQUIRED", ("pointer", "/ship_to/region_code")),
    Row(
        "long address",
        {"ship_to": {"region_code": "ES", "address_lines": ["x" * 301]}},
        400,
        "FIELD_INVALID",
        ("pointer", "/ship_to/address_lines/0"),
    ),
    Row(
        "many address lines",
        {"ship_to": {"region_code": "ES", "address_lines": ["x"] * 11}},
        400,
        "",
        ("pointer", "/ship_to/address_lines"),
    ),
    Row("terms", {"payment_terms": "later"}, 400, "FIELD_INVALID", ("pointer", "/payment_terms")),
    Row("short window", {"payment_window_s": 59}, 400, "FIELD_INVALID", ("pointer", "/payment_window_s")),
    Row("long window", {"payment_window_s": 10**9}, 400, "FIELD_INVALID", ("pointer", "/payment_window_s")),
    Row(
        "language", {"language_code": "not a language!"}, 400, "FIELD_INVALID", ("pointer", "/language_code")
    ),
    Row(
        "expected in other currency",
        {"expected_total": {"currency_code": "USD", "amount": "1.00"}},
        0,
        "",
        None,
    ),
    Row(
        "expected too precise",
        {"expected_total": {"currency_code": "EUR", "amount": "1.001"}},
        400,
        "AMOUNT_TOO_PRECISE",
        ("pointer", "/expected_total/amount"),
    ),
]


def test_bad_orders(shop: Shop, subtests: pytest.Subtests) -> None:
    sku = shop.new_sku()
    buyer = f"buyer-{uuid4()}"
    for row in ORDERS:
        with subtests.test(row.name):
            body = json.loads(
                json.dumps(order_body((sku, 1), buyer_ref=buyer) | row.changes).replace(GOOD, sku)
            )
            answer = shop.storefront.post("/v1/orders", json=body, headers=key())
            assert 400 <= answer.status_code < 500, answer.text
            problem = answer.json()
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.status_code == (row.status or answer.status_code), answer.text
            assert problem["reason"] == (row.reason or problem["reason"])
            assert problem["type"] == "/problems/" + problem["reason"].lower().replace("_", "-")
            if row.place is not None:
                kind, name = row.place
                assert [place[kind] for place in problem["errors"]] == [name]
    assert shop.must(shop.storefront.get("/v1/orders", params={"buyer_ref": buyer}))["orders"] == []
    [stock] = shop.must(shop.operator.get("/v1/stock", params={"sku": sku}))["stock"]
    assert stock["reserved"] == 0


BYTES: list[tuple[str, bytes, int]] = [
    ("empty", b"", 400),
    ("cut off", b'{"buyer_ref": ', 400),
    ("not utf-8", b'{"buyer_ref": "\xc3\x28"}', 400),
    ("utf-16", '{"buyer_ref": "a"}'.encode("utf-16"), 400),
    ("nan", b'{"payment_window_s": NaN}', 400),
    ("surrogate", b'{"buyer_ref": "\\udfff"}', 400),
    ("deep", b"[" * 100_000, 400),
    ("xml", b"<order/>", 400),
    ("2 MiB and a byte", b'{"buyer_ref": "' + b"x" * (2 * 1024 * 1024) + b'"}', 413),
]


def test_bodies_that_are_no_orders(shop: Shop, subtests: pytest.Subtests) -> None:
    headers = {"Content-Type": "application/json"}
    for name, body, status in BYTES:
        with subtests.test(name):
            answer = shop.storefront.post("/v1/orders", content=body, headers=key() | headers)
            assert answer.status_code == status, answer.text
            assert answer.json()["type"].startswith("/problems/")


def test_headers_and_keys(shop: Shop, subtests: pytest.Subtests) -> None:
    body = order_body(("X", 1))
    rows: list[tuple[str, dict[str, str], int, str]] = [
        ("no key", {}, 400, "IDEMPOTENCY_KEY_REQUIRED"),
        ("long key", {"Idempotency-Key": "k" * 256}, 400, "HEADER_INVALID"),
        ("not json", key() | {"Content-Type": "text/plain"}, 415, "MEDIA_TYPE_UNSUPPORTED"),
        (
            "wrong credential",
            key() | {"Authorization": "Bearer nobody-knows-this"},
            401,
            "CREDENTIAL_UNKNOWN",
        ),
    ]
    for name, headers, status, reason in rows:
        with subtests.test(name):
            answer = shop.storefront.post("/v1/orders", json=body, headers=headers)
            assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    answer = shop.anonymous.post("/v1/orders", json=body, headers=key())
    assert (answer.status_code, answer.json()["reason"]) == (401, "CREDENTIAL_REQUIRED")


def variant(**changes: Any) -> dict[str, Any]:
    """A product's only variant, changed."""
    good = {"sku": f"S-{uuid4()}", "prices": [{"currency_code": "EUR", "amount": "1.00"}]}
    return {"variants": [good | changes]}


def test_bad_products(shop: Shop, subtests: pytest.Subtests) -> None:
    product_id = f"bad-{uuid4().hex}"
    good = {"product_id": product_id, "merchant_id": "north-lights", "titles": {"en": "A"}} | variant()
    taken = shop.new_sku()
    rows: list[tuple[str, dict[str, Any], int, str, str]] = [
        ("id", {"product_id": "a b"}, 400, "FIELD_INVALID", "/product_id"),
        ("no id", {"product_id": ""}, 400, "FIELD_REQUIRED", "/product_id"),
        ("merchant", {"merchant_id": "nobody"}, 422, "MERCHANT_NOT_FOUND", "/merchant_id"),
        ("no title", {"titles": {}}, 400, "FIELD_REQUIRED", "/titles"),
        ("hs code", {"hs_code": "12.34"}, 400, "FIELD_INVALID", "/hs_code"),
        ("origin", {"origin_region_code": "ZZ"}, 400, "REGION_UNKNOWN", "/origin_region_code"),
        ("category", {"category": "Hair & Wigs"}, 400, "FIELD_INVALID", "/category"),
        ("no variants", {"variants": []}, 400, "FIELD_REQUIRED", "/variants"),
        ("gtin", variant(gtin="4006381333932"), 400, "GTIN_INVALID", "/variants/0/gtin"),
        ("sku", variant(sku="a/b"), 400, "FIELD_INVALID", "/variants/0/sku"),
        ("spaces", variant(sku=" a"), 400, "FIELD_INVALID", "/variants/0/sku"),
        ("taken", variant(sku=taken), 409, "SKU_TAKEN", "/variants/0/sku"),
        ("weight", variant(weight_grams=1_000_001), 400, "FIELD_INVALID", "/variants/0/weight_grams"),
        ("hazard", variant(hazards=["fire"]), 400, "FIELD_INVALID", "/variants/0/hazards/0"),
        ("no price", variant(prices=[]), 400, "FIELD_REQUIRED", "/variants/0/prices"),
        (
            "currency",
            variant(prices=[{"currency_code": "ABC", "amount": "1"}]),
            400,
            "CURRENCY_UNKNOWN",
            "/variants/0/prices/0/currency_code",
        ),
        (
            "amount",
            variant(prices=[{"currency_code": "EUR", "amount": "-1.00"}]),
            400,
            "FIELD_INVALID",
            "/variants/0/prices/0",
        ),
    ]
    for name, changes, status, reason, pointer in rows:
        with subtests.test(name):
            answer = shop.operator.post("/v1/products", json=good | changes, headers=key())
            assert (answer.status_code, answer.json()["reason"]) == (status, reason), answer.text
            [place] = answer.json()["errors"]
            assert place["pointer"].startswith(pointer)
    assert shop.operator.get(f"/v1/products/{product_id}").status_code == 404


def test_a_stale_etag(shop: Shop) -> None:
    sku = shop.new_sku()
    path = f"/v1/products/{sku.lower()}"
    answer = shop.operator.get(path)
    product, etag = answer.json(), answer.headers["etag"]
    changed = shop.operator.put(path, json=product | {"category": "one"}, headers={"If-Match": etag})
    assert changed.status_code == 200, changed.text
    stale = shop.operator.put(path, json=product | {"category": "two"}, headers={"If-Match": etag})
    assert (stale.status_code, stale.json()["reason"]) == (412, "ETAG_MISMATCH")
    assert stale.json()["errors"][0]["header"] == "If-Match"
    missing = shop.operator.put(path, json=product)
    assert (missing.status_code, missing.json()["reason"]) == (428, "ETAG_REQUIRED")
    assert shop.must(shop.operator.get(path))["category"] == "one"
    assert shop.operator.get(path, headers={"If-None-Match": changed.headers["etag"]}).status_code == 304


def test_bad_stock(shop: Shop, subtests: pytest.Subtests) -> None:
    sku = shop.new_sku(10)
    good = {"warehouse_id": "madrid", "merchant_id": "north-lights", "document": "D-1"}
    one = {"lines": [{"sku": sku, "quantity": 1}]}
    rows: list[tuple[str, str, dict[str, Any], int, str]] = [
        ("nowhere", "receive", one | {"warehouse_id": "nowhere"}, 422, "WAREHOUSE_NOT_FOUND"),
        ("no document", "receive", one | {"document": ""}, 400, "FIELD_REQUIRED"),
        ("none", "receive", {"lines": [{"sku": sku, "quantity": 0}]}, 400, "QUANTITY_INVALID"),
        ("huge", "receive", {"lines": [{"sku": sku, "quantity": 10**10}]}, 400, "QUANTITY_INVALID"),
        ("sku", "receive", {"lines": [{"sku": "a/b", "quantity": 1}]}, 400, "FIELD_INVALID"),
        ("owner", "receive", one | {"merchant_id": "someone-else"}, 0, ""),
        ("reason", "adjust", one | {"reason": "stolen"}, 400, "FIELD_INVALID"),
        ("sign", "adjust", one | {"reason": "damage"}, 400, "QUANTITY_INVALID"),
        (
            "below zero",
            "adjust",
            {"reason": "damage", "lines": [{"sku": sku, "quantity": -11}]},
            409,
            "STOCK_INSUFFICIENT",
        ),
        (
            "beyond int64",
            "adjust",
            {"reason": "damage", "lines": [{"sku": sku, "quantity": -(2**64)}]},
            400,
            "QUANTITY_INVALID",
        ),
    ]
    for name, verb, changes, status, reason in rows:
        with subtests.test(name):
            answer = shop.operator.post(f"/v1/stock:{verb}", json=good | changes, headers=key())
            assert 400 <= answer.status_code < 500, answer.text
            assert answer.status_code == (status or answer.status_code), answer.text
            assert answer.json()["reason"] == (reason or answer.json()["reason"])
    [stock] = shop.must(shop.operator.get("/v1/stock", params={"sku": sku}))["stock"]
    assert stock["on_hand"] == 10


def test_bad_warehouses_and_merchants(shop: Shop, subtests: pytest.Subtests) -> None:
    good = {
        "warehouse_id": "spare",
        "display_name": "Spare",
        "region_code": "ES",
        "cell": "EU",
        "kind": "origin",
    }
    country = {"region_code": "ES", "transit_days_min": 5, "transit_days_max": 1}
    rows: list[tuple[str, str, dict[str, Any], int, str, str]] = [
        ("id", "warehouses", good | {"warehouse_id": "A B"}, 400, "FIELD_INVALID", "/warehouse_id"),
        ("region", "warehouses", good | {"region_code": "XX"}, 400, "REGION_UNKNOWN", "/region_code"),
        ("kind", "warehouses", good | {"kind": "barn"}, 400, "FIELD_INVALID", "/kind"),
        ("no kind", "warehouses", good | {"kind": "unspecified"}, 400, "", "/kind"),
        ("cell", "warehouses", good | {"cell": "eu"}, 400, "FIELD_INVALID", "/cell"),
        ("priority", "warehouses", good | {"priority": 1001}, 400, "FIELD_INVALID", "/priority"),
        (
            "days",
            "warehouses",
            good | {"served_countries": [country]},
            400,
            "FIELD_INVALID",
            "/served_countries/0",
        ),
        (
            "merchant id",
            "merchants",
            {"merchant_id": "A", "display_name": "A", "region_code": "ES"},
            400,
            "",
            "/merchant_id",
        ),
        (
            "merchant region",
            "merchants",
            {"merchant_id": "a", "display_name": "A", "region_code": "E"},
            400,
            "",
            "/region_code",
        ),
        (
            "other content",
            "merchants",
            {"merchant_id": "north-lights", "display_name": "B", "region_code": "CN"},
            409,
            "MERCHANT_EXISTS",
            "",
        ),
    ]
    for name, resource, body, status, reason, pointer in rows:
        with subtests.test(name):
            answer = shop.operator.post(f"/v1/{resource}", json=body)
            assert answer.status_code == status, answer.text
            assert answer.json()["reason"] == (reason or answer.json()["reason"])
            if pointer:
                assert answer.json()["errors"][0]["pointer"].startswith(pointer)
    assert shop.operator.get("/v1/warehouses/spare").status_code == 404


def test_bad_payments(shop: Shop) -> None:
    order = shop.place(order_body((shop.new_sku(), 1)))
    path = f"/v1/orders/{order['order_id']}:pay"
    declined = shop.storefront.post(path, json={"payment_token": "card_declined"}, headers=key())
    assert (declined.status_code, declined.json()["reason"]) == (402, "PAYMENT_DECLINED")
    assert declined.json()["metadata"]["decline_code"]
    unknown = shop.storefront.post(path, json={"payment_token": "4111111111111111"}, headers=key())
    assert (unknown.status_code, unknown.json()["reason"]) == (400, "PAYMENT_TOKEN_UNKNOWN")
    assert unknown.json()["errors"][0]["pointer"] == "/payment_token"
    assert shop.order(order["order_id"])["state"] == "awaiting_payment"
    nowhere = shop.storefront.post(
        f"/v1/orders/{uuid4()}:pay", json={"payment_token": "card_authorised"}, headers=key()
    )
    assert (nowhere.status_code, nowhere.json()["reason"]) == (404, "ORDER_NOT_FOUND")
