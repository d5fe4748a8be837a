"""Products by their words, through the gateway: in every language, page by page, and no tenant another's."""

from __future__ import annotations

import json
from uuid import uuid4

import httpx
import pytest

from tests.e2e.conftest import Document, Shop

pytestmark = pytest.mark.stack


def row(product_id: str, titles: Document, category: str = "") -> Document:
    """A product with one variant."""
    prices = [{"currency_code": "EUR", "amount": "10.00"}]
    return {
        "product_id": product_id,
        "merchant_id": "north-lights",
        "titles": titles,
        "category": category,
        "variants": [{"sku": product_id.upper(), "prices": prices, "weight_grams": 100}],
    }


def load(shop: Shop, client: httpx.Client, rows: list[Document]) -> None:
    """Imports products."""
    lines = "".join(json.dumps(one) + "\n" for one in rows)
    headers = {"Content-Type": "application/x-ndjson"}
    report = shop.must(client.post("/v1/imports/products", content=lines.encode(), headers=headers))
    assert report["failed"] == 0, report["errors"]


def found(shop: Shop, client: httpx.Client, q: str, **asked: str | int) -> list[str]:
    """The ids that a search finds, page by page."""
    seen: list[str] = []
    token = ""
    while True:
        query = {"q": q, "page_token": token, **asked}
        page = shop.must(client.get("/v1/products", params=query))
        seen += [product["product_id"] for product in page["products"]]
        token = page["next_page_token"]
        if not token:
            return seen


def test_a_product_is_found_in_each_of_its_languages_as_soon_as_it_is_stored(shop: Shop) -> None:
    mark = f"m{uuid4().hex[:8]}"
    titles = {
        "en": f"Plush panda {mark}",
        "es": "Panda de peluche, edición española",
        "th": "ตุ๊กตาแพนด้า",
        "zh": "毛绒熊猫",
    }
    load(
        shop,
        shop.operator,
        [row(f"panda-{mark}", titles, "toys/plush"), row(f"hat-{mark}", {"en": f"Hat {mark}"})],
    )
    for words in ("plush", "PELUCHE espanola", "แพนด้า", "ตุ๊กตา", "熊猫", "猫", "toys", f"PANDA-{mark}"):
        assert found(shop, shop.storefront, f"{words} {mark}") == [f"panda-{mark}"], words
    assert found(shop, shop.storefront, mark) == [f"hat-{mark}", f"panda-{mark}"]
    assert found(shop, shop.storefront, mark, category="toys") == [f"panda-{mark}"]
    assert found(shop, shop.storefront, f"{mark} แมว") == []
    spanish = shop.storefront.get("/v1/products", params={"q": mark}, headers={"Accept-Language": "es"})
    assert [one["title"] for one in shop.must(spanish)["products"]] == [f"Hat {mark}", titles["es"]]


def test_a_change_is_found_at_once_though_the_page_was_asked_for_before(shop: Shop) -> None:
    mark = f"m{uuid4().hex[:8]}"
    load(shop, shop.operator, [row(f"p-{mark}", {"en": f"Wig {mark}"})])
    assert found(shop, shop.storefront, f"hat {mark}") == []
    load(shop, shop.operator, [row(f"p-{mark}", {"en": f"Hat {mark}"})])
    shop.eventually(lambda: found(shop, shop.storefront, f"hat {mark}") == [f"p-{mark}"])


def test_another_marketplace_finds_none_of_it(shop: Shop) -> None:
    mark = f"m{uuid4().hex[:8]}"
    load(shop, shop.operator, [row(f"p-{mark}", {"en": f"Wig {mark}"})])
    assert found(shop, shop.storefront, mark) == [f"p-{mark}"]
    for q in (mark, "wig", "p"):
        assert found(shop, shop.other, q) == []


def test_pages_hold_all_that_is_found_and_their_tokens_the_search(shop: Shop) -> None:
    mark = f"m{uuid4().hex[:8]}"
    load(shop, shop.operator, [row(f"{mark}-{number:02}", {"en": f"Wig {mark}"}) for number in range(23)])
    expected = [f"{mark}-{number:02}" for number in range(23)]
    for page_size in (1, 10, 23, 200):
        assert found(shop, shop.storefront, f"{mark} wig", page_size=page_size) == expected
    first = shop.must(shop.storefront.get("/v1/products", params={"q": mark, "page_size": 5}))
    other = {"q": f"{mark} wig", "page_token": first["next_page_token"]}
    problem = shop.must(shop.storefront.get("/v1/products", params=other), 400)
    assert problem["reason"] == "PAGE_TOKEN_MISMATCH"


@pytest.mark.parametrize("q", ["?!", " ", "💇", "x" * 101])
def test_a_search_for_nothing_is_refused(shop: Shop, q: str) -> None:
    problem = shop.must(shop.storefront.get("/v1/products", params={"q": q}), 400)
    assert (problem["reason"], problem["errors"][0]["parameter"]) == ("FIELD_INVALID", "q")


@pytest.mark.parametrize("q", ["' | 'demo/p':*", "!p", "p:*", "a & (b", "\\'p", "other/p"])
def test_what_a_database_might_take_for_syntax_is_none(shop: Shop, q: str) -> None:
    assert found(shop, shop.other, q) == []
