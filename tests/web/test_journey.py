"""The way of an order through both pages: bought in Thai and in Spanish, packed and shipped in the console."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.web.conftest import DESKTOP, PHONE, Open, Shop, picture, texts
from tests.web.steps import current_step, parcel_of, pay, place_order, put_into_cart

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    ("language", "viewport", "search", "title", "total"),
    [
        ("th", PHONE, "แพนด้า", "ตุ๊กตาแพนด้า", "฿490.00"),
        ("es", DESKTOP, "frigorifico", "Frigorífico de dos puertas, 210 l", "289,00\u00a0€"),
    ],
)
def test_an_order_is_bought_packed_and_shipped_and_its_timeline_moves_by_itself(
    shop: Shop,
    open_page: Open,
    language: str,
    viewport: dict[str, int],
    search: str,
    title: str,
    total: str,
) -> None:
    words = texts(language)
    buyer = open_page("/shop", key="storefront", language=language, viewport=viewport)
    expect(buyer.get_by_role("heading", level=1)).to_have_text(words["home.title"])
    assert buyer.locator("html").get_attribute("lang") == language
    picture(buyer, f"shelves-{language}")

    buyer.get_by_role("searchbox").fill(search)
    buyer.get_by_role("searchbox").press("Enter")
    expect(buyer.get_by_role("main").get_by_role("listitem")).to_have_count(1)
    put_into_cart(buyer, language, title)
    picture(buyer, f"product-{language}")
    order_id = place_order(buyer, language)
    expect(buyer.get_by_role("button", name=total)).to_be_visible()
    picture(buyer, f"payment-{language}")
    pay(buyer, language)
    expect(current_step(buyer)).to_contain_text(words["state.confirmed"])
    # From here on nothing is done in the buyer's page, and what is in its memory stays there.
    buyer.evaluate("window.neverReloaded = true")

    shop.eventually(lambda: shop.order(order_id)["parcels"])
    operator = open_page("/console", key="operator")
    operator.get_by_role("link", name="Parcels").click()
    parcel = parcel_of(operator, order_id)
    parcel.get_by_role("button", name="Packed").click()
    expect(current_step(buyer)).to_contain_text(words["state.fulfilling"])

    parcel.get_by_label("Carrier").fill("Kerry")
    parcel.get_by_label("Tracking number").fill(f"TRACK-{language}")
    picture(operator, f"parcels-{language}")
    parcel.get_by_role("button", name="Shipped").click()
    expect(current_step(buyer)).to_contain_text(words["state.shipped"])
    expect(buyer.get_by_text(f"Kerry TRACK-{language}")).to_be_visible()
    picture(buyer, f"timeline-{language}")

    parcel.get_by_role("button", name="Delivered").click()
    expect(buyer.locator("ol li").last).to_contain_text(words["state.delivered"])
    way = ("pending", "awaiting_payment", "confirmed", "fulfilling", "shipped", "delivered")
    expect(buyer.locator("ol li .step-word")).to_have_text([words[f"state.{state}"] for state in way])
    expect(buyer.locator("ol li.step-ahead")).to_have_count(0)
    assert buyer.evaluate("window.neverReloaded") is True
    assert shop.order(order_id)["state"] == "delivered"
