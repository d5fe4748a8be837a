"""What the storefront promises beside the plain way: keys stay hidden, texts stay texts, a broken stream comes back."""

from __future__ import annotations

from uuid import uuid4

import pytest
from playwright.sync_api import Error, expect

from tests.web.conftest import Document, Open, Shop, only_with_test_web, texts
from tests.web.steps import current_step, pay, place_order, put_into_cart

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300), only_with_test_web()]

PANDA = "Plush panda"
SCRIPT = "<script>window.broken = true</script><img src=x onerror='window.broken = true'>"


def test_the_key_leaves_the_address_and_stays_in_the_tab(shop: Shop, open_page: Open) -> None:
    page = open_page("/shop", key="storefront")
    expect(page.get_by_role("link", name=PANDA)).to_be_visible()
    secret = shop.keys["storefront"]
    assert page.url == f"{shop.url}/shop"
    assert secret not in page.evaluate("JSON.stringify({...localStorage}) + document.cookie")
    assert secret in page.evaluate("JSON.stringify({...sessionStorage})")
    page.reload()
    expect(page.get_by_role("link", name=PANDA)).to_be_visible()
    another_tab = page.context.new_page()
    another_tab.goto(f"{shop.url}/shop")
    expect(another_tab.get_by_role("heading", level=1)).to_have_text(texts("en")["gate.title"])


def test_a_wrong_key_is_told_and_another_can_be_given(shop: Shop, open_page: Open) -> None:
    words = texts("en")
    page = open_page("/shop#key=none-of-ours", key=None)
    expect(page.get_by_role("alert")).to_contain_text(words["gate.refused"])
    page.get_by_label(words["gate.label"]).fill(shop.keys["storefront"])
    page.get_by_role("button", name=words["gate.enter"]).click()
    expect(page.get_by_role("link", name=PANDA)).to_be_visible()
    page.get_by_role("button", name=words["footer.forget"]).click()
    expect(page.get_by_label(words["gate.label"])).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0


def test_a_title_that_is_a_script_stays_a_text_on_every_view(shop: Shop, open_page: Open) -> None:
    title = f"{SCRIPT} {uuid4().hex[:8]}"
    sku = sell(shop, title)
    page = open_page("/shop", key="storefront", language="es")
    put_into_cart(page, "es", title)
    order_id = place_order(page, "es")
    expect(page.get_by_text(title)).to_be_visible()
    console = open_page(f"/console#/orders/{order_id}", key=None)
    console.get_by_label("Operator key").fill(shop.keys["operator"])
    console.get_by_role("button", name="Open the console").click()
    expect(console.get_by_text(title)).to_be_visible()
    for one in (page, console):
        assert one.evaluate("window.broken") is None
    assert shop.order(order_id)["lines"][0]["sku"] == sku


def test_the_page_may_not_run_what_is_not_its_own(open_page: Open) -> None:
    page = open_page("/shop", key="storefront")
    expect(page.get_by_role("link", name=PANDA)).to_be_visible()
    refused = page.evaluate(
        """() => {
            try { document.body.innerHTML = "<p>anything</p>"; return "taken"; } catch (error) { return error.name; }
        }"""
    )
    assert refused == "TypeError"
    with pytest.raises(Error, match="Failed to fetch"):
        page.evaluate("fetch('http://127.0.0.1:9/')")
    assert all("Security Policy" in said or "TrustedHTML" in said for said in open_page.complaints)
    assert open_page.complaints
    open_page.complaints.clear()


def test_a_declined_card_is_told_and_another_one_pays(open_page: Open) -> None:
    words = texts("es")
    page = open_page("/shop", key="storefront", language="es")
    put_into_cart(page, "es", "Panda de peluche")
    place_order(page, "es")
    pay(page, "es", "card.declined")
    expect(page.get_by_role("alert")).to_contain_text(words["problem.PAYMENT_DECLINED"])
    pay(page, "es", "card.authorised")
    expect(current_step(page)).to_contain_text(words["state.confirmed"])


def test_what_is_pressed_twice_is_ordered_once(shop: Shop, open_page: Open) -> None:
    words = texts("en")
    page = open_page("/shop", key="storefront")
    put_into_cart(page, "en", PANDA)
    page.goto(f"{shop.url}/shop#/cart")
    page.get_by_role("link", name=words["cart.checkout"], exact=True).click()
    for field in ("address.name", "address.street", "address.postalCode", "address.city"):
        page.get_by_label(words[field]).fill("1")
    page.get_by_role("button", name=words["checkout.place"]).dblclick()
    expect(current_step(page)).to_contain_text(words["state.awaiting_payment"])
    buyer = page.evaluate("JSON.parse(localStorage.getItem('sampan.buyer'))")
    listed = shop.must(shop.storefront.get("/v1/orders", params={"buyer_ref": buyer}))
    assert len(listed["orders"]) == 1


def test_an_order_that_is_cancelled_says_so(open_page: Open) -> None:
    words = texts("en")
    page = open_page("/shop", key="storefront")
    put_into_cart(page, "en", PANDA)
    place_order(page, "en")
    page.get_by_role("button", name=words["order.cancel"]).click()
    page.get_by_role("button", name=words["order.cancelYes"]).click()
    expect(page.get_by_text(words["reason.CANCELLED_BY_REQUEST"])).to_be_visible()
    expect(page.locator("ol li").last).to_contain_text(words["state.cancelled"])


def test_prices_and_stock_follow_currency_and_destination(open_page: Open) -> None:
    words = texts("en")
    page = open_page("/shop", key="storefront")
    card = page.get_by_role("listitem").filter(has_text=PANDA)
    expect(card).to_contain_text("$16.00")
    page.get_by_role("combobox", name=words["currency"]).select_option("THB")
    expect(card).to_contain_text("฿490.00")
    page.get_by_role("combobox", name=words["destination"]).select_option("ES")
    expect(card).to_contain_text(words["stock.days"].format(least=1, most=3))
    page.get_by_role("combobox", name=words["language"]).select_option("th")
    expect(page.get_by_role("link", name="ตุ๊กตาแพนด้า")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "th")


def test_a_timeline_outlives_a_restart_of_the_gateway(shop: Shop, open_page: Open) -> None:
    words = texts("en")
    page = open_page("/shop", key="storefront")
    put_into_cart(page, "en", PANDA)
    order_id = place_order(page, "en")
    expect(page.get_by_text(words["live.on"], exact=True)).to_be_visible()
    gateway = shop.stack.services["gateway"]
    gateway.stop()
    expect(page.get_by_text(words["live.off"])).to_be_visible()
    gateway.start()
    gateway.wait_ready()
    paid = shop.storefront.post(
        f"/v1/orders/{order_id}:pay",
        json={"payment_token": "card_authorised"},
        headers={"Idempotency-Key": str(uuid4())},
    )
    shop.must(paid)
    expect(current_step(page)).to_contain_text(words["state.confirmed"])


def sell(shop: Shop, title: str) -> str:
    """A product of this title, in stock in Madrid; returns its SKU."""
    sku = f"ODD-{uuid4().hex[:8]}".upper()
    product: Document = {
        "product_id": sku.lower(),
        "merchant_id": "dongguan-playworks",
        "titles": {"en": title, "es": title},
        "category": "toys/odd",
        "variants": [
            {"sku": sku, "prices": [{"currency_code": "EUR", "amount": "5.00"}], "weight_grams": 100}
        ],
    }
    shop.must(shop.operator.post("/v1/products", json=product, headers={"Idempotency-Key": sku}), 201)
    received = {
        "warehouse_id": "madrid",
        "merchant_id": "dongguan-playworks",
        "document": sku,
        "lines": [{"sku": sku, "quantity": 10}],
    }
    shop.must(shop.operator.post("/v1/stock:receive", json=received, headers={"Idempotency-Key": sku}))
    quote = {"currency_code": "EUR", "lines": [{"sku": sku, "quantity": 1}]}
    shop.eventually(lambda: shop.storefront.post("/v1/quotes", json=quote).status_code == 200)
    wanted = {"skus": [sku], "region_code": "ES"}
    shop.eventually(
        lambda: shop.storefront.post("/v1/availability:batchGet", json=wanted).json()["availabilities"][0][
            "available"
        ]
    )
    return sku
