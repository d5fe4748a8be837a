"""Search in the storefront: as somebody types, in their language, on a phone, and in a shop of many products."""

from __future__ import annotations

import json
import re
from uuid import uuid4

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.web.conftest import PHONE, Open, Shop, only_with_test_web, texts
from tests.web.test_accessibility import assert_fits, violations

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300), only_with_test_web()]

PER_PAGE = 48


def searchbox(page: Page, language: str) -> Locator:
    """Where words are typed."""
    return page.get_by_role("searchbox", name=texts(language)["search.label"])


@pytest.mark.parametrize(
    ("language", "typed", "title", "others"),
    [
        ("th", "แพนด้า", "ตุ๊กตาแพนด้า", "หูฟังสตูดิโอแบบมีสาย"),
        ("es", "FRIGORIFICO", "Frigorífico de dos puertas, 210 l", "Panda de peluche"),
    ],
)
def test_what_is_typed_is_found_without_a_further_press_on_a_phone(
    open_page: Open, language: str, typed: str, title: str, others: str
) -> None:
    words = texts(language)
    page = open_page("/shop", key="storefront", language=language, viewport=PHONE, bypass_csp=True)
    expect(page.get_by_role("link", name=others)).to_be_visible()
    searchbox(page, language).press_sequentially(typed, delay=20)
    expect(page.get_by_role("heading", level=1)).to_have_text(words["search.title"].format(words=typed))
    expect(page.get_by_role("link", name=others)).to_have_count(0)
    expect(page.get_by_role("link", name=title)).to_be_visible()
    expect(
        page.get_by_role("status").filter(has_text=words["search.found.one"].format(count=1))
    ).to_be_visible()
    expect(searchbox(page, language)).to_be_focused()
    expect(searchbox(page, language)).to_have_value(typed)
    assert violations(page) == []
    assert_fits(page)


def test_an_older_answer_that_comes_late_is_dropped(open_page: Open) -> None:
    page = open_page("/shop", key="storefront")
    expect(page.get_by_role("link", name="Plush panda")).to_be_visible()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(re.compile("q=wig"), hold)
    box = searchbox(page, "en")
    with page.expect_request(re.compile("q=wig")):
        box.fill("wig")
    with page.expect_response(re.compile("q=plush")):
        box.fill("plush")
    expect(page.get_by_role("link", name="Human hair bob wig")).to_have_count(0)
    for route in held:
        route.continue_()
    expect(page.get_by_role("link", name="Plush panda")).to_be_visible()
    expect(page.get_by_role("link", name="Human hair bob wig")).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_contain_text("plush")


def test_words_and_department_are_in_the_address_and_going_back_is_followed(
    shop: Shop, open_page: Open
) -> None:
    words = texts("en")
    page = open_page("/shop", key="storefront")
    page.get_by_role("link", name="Plush panda").click()
    expect(page.get_by_role("heading", level=1, name="Plush panda")).to_be_visible()
    box = searchbox(page, "en")
    box.fill("black")
    box.press("Enter")
    expect(page.get_by_role("link", name="Human hair bob wig")).to_be_visible()
    expect(page.get_by_role("link", name="Wireless noise-cancelling headphones")).to_be_visible()
    page.get_by_role("link", name=words["department.hair"], exact=True).click()
    expect(page.get_by_role("link", name="Wireless noise-cancelling headphones")).to_have_count(0)
    assert page.url == f"{shop.url}/shop#/?q=black&department=hair"
    page.go_back()
    page.go_back()
    expect(page.get_by_role("heading", level=1, name="Plush panda")).to_be_visible()
    expect(box).to_have_value("")


def test_a_large_shop_is_searched_whole_and_shown_page_by_page(shop: Shop, open_page: Open) -> None:
    words = texts("en")
    # Behind the shop's own products, which other tests look for on the first page.
    mark = f"z{uuid4().hex[:8]}"
    rows = [
        {
            "product_id": f"{mark}-{number:03}",
            "merchant_id": "dongguan-playworks",
            "titles": {"en": f"Kite {mark} {number:03}"},
            "category": "toys/kites",
            "status": "active" if number != 50 else "archived",
            "variants": [
                {"sku": f"{mark}-{number:03}", "prices": [{"currency_code": "USD", "amount": "1.00"}]}
            ],
        }
        for number in range(PER_PAGE + 12)
    ]
    lines = "".join(json.dumps(one) + "\n" for one in rows)
    headers = {"Content-Type": "application/x-ndjson"}
    shop.must(shop.operator.post("/v1/imports/products", content=lines.encode(), headers=headers))
    page = open_page("/shop", key="storefront")
    searchbox(page, "en").fill(mark)
    cards = page.get_by_role("main").get_by_role("link", name=mark)
    expect(cards).to_have_count(PER_PAGE)
    told = page.get_by_role("main").get_by_role("status").first
    expect(told).to_have_text(words["search.first"].format(count=PER_PAGE))
    page.get_by_role("button", name=words["search.more"]).click()
    expect(cards).to_have_count(PER_PAGE + 11)
    expect(told).to_have_text(words["search.found.other"].format(count=PER_PAGE + 11))
    expect(cards.nth(PER_PAGE)).to_be_focused()
    expect(page.get_by_role("button", name=words["search.more"])).to_have_count(0)


def test_the_cart_knows_what_no_shelf_has_shown(shop: Shop, open_page: Open) -> None:
    words = texts("es")
    page = open_page("/shop#/products/toy-panda", key=None, language="es")
    page.get_by_label(words["gate.label"]).fill(shop.keys["storefront"])
    page.get_by_role("button", name=words["gate.enter"]).click()
    page.get_by_role("button", name=words["product.add"]).click()
    page.get_by_role("link", name=words["product.toCart"]).click()
    expect(page.get_by_role("main").get_by_role("link", name="Panda de peluche")).to_be_visible()
