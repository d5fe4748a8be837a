"""What pages of other origins, thrifty readers and caches are promised."""

from __future__ import annotations

import gzip
import json

import httpx
import pytest
import zstandard
from pydantic import ValidationError

from services.gateway.catalogue import CATALOGUE, slug
from services.gateway.config import GatewaySettings
from services.gateway.routes import examples
from tests.component.gateway.conftest import Start, System
from tests.component.gateway.ordering import key
from tests.component.gateway.snapshots import product_event
from tests.component.gateway.test_edge import assert_problem

SHOP = "https://shop.example.com"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
ASKING = {
    "Origin": SHOP,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
}


async def raw(system: System, path: str, **headers: str) -> httpx.Response:
    """An answer to a storefront, its body as it came over the wire."""
    request = system.storefront.build_request("GET", path, headers=headers)
    if "accept-encoding" not in headers:
        del request.headers["accept-encoding"]
    answer = await system.storefront.send(request, stream=True)
    answer._content = b"".join([piece async for piece in answer.aiter_raw()])
    return answer


async def add_products(system: System, count: int) -> None:
    """Products with texts long enough to be worth compressing."""
    for number in range(count):
        product = system.catalog.add("demo", f"p-{number:03}", title="A silk wig of some length. " * 10)
        system.gateway.products.apply([product_event("demo", product)])


# --- Pages of other origins


async def test_no_origin_is_allowed_unless_it_is_configured(system: System) -> None:
    answer = await system.storefront.get("/v1/products", headers={"Origin": SHOP})
    assert answer.status_code == 200
    asked = await system.anonymous.options("/v1/orders", headers=ASKING)
    for headers in (answer.headers, asked.headers):
        assert not [name for name in headers if name.startswith("access-control-")]


async def test_a_page_of_an_allowed_origin_may_ask_and_read(start: Start) -> None:
    system = await start(cors_origins=f"{SHOP}, https://ops.example.com:8443")
    for path in ("/v1/orders", "/v1/orders/019ab3c0-5e1f-7c3e-8f65-0d6c2f3f5b11:pay"):
        asked = await system.anonymous.options(path, headers=ASKING)
        assert (asked.status_code, asked.content) == (204, b"")
        assert asked.headers["access-control-allow-origin"] == SHOP
        assert "POST" in asked.headers["access-control-allow-methods"]
        allowed = asked.headers["access-control-allow-headers"].lower().split(", ")
        assert {"authorization", "content-type", "idempotency-key", "if-match"} <= set(allowed)
        assert asked.headers["access-control-max-age"] == "7200"
        assert "access-control-allow-credentials" not in asked.headers
    placed = await system.storefront.post("/v1/orders", json=examples.ORDER, headers=key() | {"Origin": SHOP})
    refused = await system.anonymous.get("/v1/orders", headers={"Origin": SHOP})
    assert (placed.status_code, refused.status_code) == (201, 401)
    for answer in (placed, refused, await system.storefront.get("/v1/products", headers={"Origin": SHOP})):
        assert answer.headers["access-control-allow-origin"] == SHOP
        assert {"ETag", "Location", "Retry-After"} <= set(
            answer.headers["access-control-expose-headers"].split(", ")
        )
        assert "origin" in answer.headers["vary"]


async def test_a_page_of_another_origin_gets_no_permission(start: Start) -> None:
    system = await start(cors_origins=SHOP)
    for origin in ("https://evil.example.com", f"{SHOP}.evil.example.com", "null"):
        asked = await system.anonymous.options("/v1/orders", headers=ASKING | {"Origin": origin})
        read = await system.storefront.get("/v1/products", headers={"Origin": origin})
        for headers in (asked.headers, read.headers):
            assert not [name for name in headers if name.startswith("access-control-")]
            assert "origin" in headers["vary"]
    without = await system.storefront.get("/v1/products")
    assert "origin" in without.headers["vary"]


async def test_every_origin_may_be_allowed(start: Start) -> None:
    system = await start(cors_origins="*")
    asked = await system.anonymous.options("/v1/orders", headers=ASKING)
    assert asked.headers["access-control-allow-origin"] == "*"
    assert "vary" not in asked.headers


async def test_options_that_is_no_preflight_still_tells_the_methods(start: Start) -> None:
    system = await start(cors_origins=SHOP)
    answer = await system.anonymous.options("/v1/orders", headers={"Origin": SHOP})
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, OPTIONS, POST")


async def test_a_page_can_read_that_it_was_turned_away_at_the_door(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = await start(cors_origins=SHOP)
    (place,) = [one for one in system.gateway.routes if (one.method, one.path) == ("POST", "/v1/orders")]
    admission = place.is_open.__self__  # type: ignore[union-attr]
    admission.pause(60.0)
    answer = await system.storefront.post("/v1/orders", json=examples.ORDER, headers=key() | {"Origin": SHOP})
    assert_problem(answer, 429, "OVERLOADED")
    assert answer.headers["access-control-allow-origin"] == SHOP


@pytest.mark.parametrize(
    "text", ["shop.example.com", f"{SHOP}/", f"{SHOP}/a", f"*,{SHOP}", "HTTPS://A.example"]
)
def test_an_origin_that_no_browser_sends_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValidationError, match="cors_origins"):
        GatewaySettings(api_keys="[]", cors_origins=text)


# --- Compression


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        ("gzip", "gzip"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, zstd;q=0.5", "gzip"),
        ("zstd;q=0, gzip", "gzip"),
        ("*", "zstd"),
        ("GZIP", "gzip"),
    ],
)
@pytest.mark.parametrize("count", [20, 200], ids=["small", "large"])
async def test_a_list_is_compressed_as_the_caller_takes_it(
    system: System, accept: str, encoding: str, count: int
) -> None:
    await add_products(system, count)
    plain = await raw(system, "/v1/products")
    assert "content-encoding" not in plain.headers
    answer = await raw(system, "/v1/products", **{"accept-encoding": accept})
    assert answer.headers["content-encoding"] == encoding
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.content) < len(plain.content) / 4
    body = gzip.decompress(answer.content) if encoding == "gzip" else zstandard.decompress(answer.content)
    assert body == plain.content
    assert answer.headers["vary"] == plain.headers["vary"] == "accept-language, accept-encoding"


@pytest.mark.parametrize(
    "accept", ["", "identity", "br", "gzip;q=0", "gzip;q=x", "identity, gzip;q=0.1", "*;q=0"]
)
async def test_who_takes_no_encoding_of_ours_gets_the_bytes_as_they_are(system: System, accept: str) -> None:
    await add_products(system, 20)
    answer = await raw(system, "/v1/products", **{"accept-encoding": accept})
    assert "content-encoding" not in answer.headers
    assert len(answer.json()["products"]) == 20


async def test_what_is_small_or_has_an_etag_is_never_compressed(system: System) -> None:
    long = system.catalog.add("demo", "long", title="A silk wig. " * 1000)
    system.gateway.products.apply([product_event("demo", long)])
    takes = {"accept-encoding": "gzip, zstd"}
    detail = await raw(system, "/v1/products/long", **takes)
    assert len(detail.content) > 10_000
    assert detail.headers["etag"] == '"1"'
    small = await raw(system, "/v1/products?ids=none", **takes)
    for answer in (detail, small):
        assert "content-encoding" not in answer.headers
        assert answer.headers["vary"] == "accept-language"


async def test_compression_can_be_left_to_a_proxy(start: Start) -> None:
    system = await start(compress_bytes_min=0)
    await add_products(system, 20)
    answer = await raw(system, "/v1/products", **{"accept-encoding": "gzip"})
    assert "content-encoding" not in answer.headers


# --- Some of the fields


async def test_a_product_can_be_read_in_part(system: System) -> None:
    product = system.catalog.add("demo", "silk-wig", version=3)
    system.gateway.products.apply([product_event("demo", product)])
    whole = (await system.storefront.get("/v1/products/silk-wig")).json()
    answer = await system.storefront.get("/v1/products/silk-wig", params={"fields": "titles,product_id"})
    assert answer.json() == {"product_id": "silk-wig", "titles": whole["titles"]}
    assert answer.headers["etag"] == '"3"'
    again = await system.storefront.get(
        "/v1/products/silk-wig", params={"fields": "titles"}, headers={"If-None-Match": '"3"'}
    )
    assert (again.status_code, again.content) == (304, b"")
    # The whole one is still whole.
    assert (await system.storefront.get("/v1/products/silk-wig")).json() == whole
    assert (await system.storefront.get("/v1/products/silk-wig", params={"fields": ""})).json() == whole


async def test_lists_of_products_can_be_read_in_part(system: System) -> None:
    await add_products(system, 3)
    thin = [{"product_id": f"p-{number:03}", "status": "active"} for number in range(3)]
    wanted = {"fields": "product_id,status"}
    page = (await system.storefront.get("/v1/products", params=wanted)).json()
    assert page == {"products": thin, "next_page_token": "more"}
    batch = await system.storefront.get("/v1/products", params=wanted | {"ids": "p-000,p-001,p-002,none"})
    assert batch.json() == {"products": thin, "missing": ["none"]}
    whole = (await system.storefront.get("/v1/products")).json()
    assert all("variants" in product for product in whole["products"])


async def test_orders_can_be_read_in_part(system: System) -> None:
    placed = (await system.storefront.post("/v1/orders", json=examples.ORDER, headers=key())).json()
    path = f"/v1/orders/{placed['order_id']}"
    answer = await system.storefront.get(path, params={"fields": "order_id,total"})
    assert answer.json() == {"order_id": placed["order_id"], "total": placed["total"]}
    assert answer.headers["etag"] == f'"{placed["etag"]}"'
    page = await system.storefront.get("/v1/orders", params={"fields": "state"})
    assert page.json() == {"orders": [{"state": "pending"}], "next_page_token": ""}


@pytest.mark.parametrize(
    "path",
    ["/v1/products", "/v1/products/p-000", "/v1/orders", f"/v1/orders/{'0' * 8}-0000-0000-0000-{'0' * 12}"],
)
@pytest.mark.parametrize("fields", ["nothing", "version,nothing", "version,", "titles.en" + "x" * 5000])
async def test_an_unknown_field_is_refused_at_the_parameter(system: System, path: str, fields: str) -> None:
    problem = assert_problem(
        await system.storefront.get(path, params={"fields": fields}), 400, "FIELD_INVALID"
    )
    places = problem["errors"]
    assert isinstance(places, list)
    assert [place["parameter"] for place in places] == ["fields"]
    assert len(json.dumps(problem)) < 1000


# --- Copies


async def test_a_warehouse_that_did_not_change_is_not_sent_again(system: System) -> None:
    answer = await system.operator.get("/v1/warehouses/madrid")
    assert answer.headers["etag"] == '"7"'
    again = await system.operator.get("/v1/warehouses/madrid", headers={"If-None-Match": '"7"'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", '"7"')
    other = await system.operator.get("/v1/warehouses/madrid", headers={"If-None-Match": '"6"'})
    assert other.status_code == 200


# --- The catalogue of problems


async def test_a_problems_address_explains_itself_to_programs_and_to_people(system: System) -> None:
    refused = (await system.anonymous.get("/v1/orders")).json()
    told = await system.anonymous.get(refused["type"])
    assert told.headers["content-type"] == "application/json"
    assert told.json()["reason"] == "CREDENTIAL_REQUIRED"
    page = await system.anonymous.get(refused["type"], headers={"Accept": BROWSER})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "CREDENTIAL_REQUIRED" in page.text
    assert "<code>Authorization: Bearer</code>" in page.text
    for answer in (told, page):
        assert "accept" in answer.headers["vary"].split(", ")
    assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_the_page_of_all_problems_links_each(system: System) -> None:
    page = await system.anonymous.get("/problems", headers={"Accept": BROWSER})
    for kind in CATALOGUE.values():
        assert f'href="{kind.uri}"' in page.text
        one = await system.anonymous.get(kind.uri, headers={"Accept": BROWSER})
        assert kind.reason in one.text, slug(kind.reason)
    assert "http" not in page.text.replace("http-equiv", "")


@pytest.mark.parametrize(
    "accept", ["*/*", "application/json", "application/json, text/html", "application/problem+json"]
)
async def test_a_program_gets_json(system: System, accept: str) -> None:
    answer = await system.anonymous.get("/problems", headers={"Accept": accept})
    assert answer.headers["content-type"] == "application/json"
