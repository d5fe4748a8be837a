"""What a buyer and an operator do with the pages, by what they see: labels, buttons, headings."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.web.conftest import texts


def put_into_cart(page: Page, language: str, title: str) -> None:
    """From the shelves into the cart."""
    words = texts(language)
    page.get_by_role("link", name=title, exact=True).click()
    expect(page.get_by_role("heading", level=1, name=title)).to_be_focused()
    page.get_by_role("button", name=words["product.add"]).click()
    expect(page.get_by_text(words["product.added"])).to_be_visible()


def place_order(page: Page, language: str) -> str:
    """From the cart to an order that waits for its payment; returns its id."""
    words = texts(language)
    page.get_by_role("banner").get_by_role("link", name=re.compile(words["cart"])).click()
    page.get_by_role("link", name=words["cart.checkout"], exact=True).click()
    for field, text in (
        ("address.name", "Ana García"),
        ("address.street", "Calle Mayor 1"),
        ("address.postalCode", "28013"),
        ("address.city", "Madrid"),
    ):
        page.get_by_label(words[field]).fill(text)
    page.get_by_role("button", name=words["checkout.place"]).click()
    expect(current_step(page)).to_contain_text(words["state.awaiting_payment"])
    return page.url.rpartition("/")[2]


def pay(page: Page, language: str, card: str = "card.authorised") -> None:
    """By one of the sandbox's cards."""
    words = texts(language)
    page.get_by_label(words[card], exact=True).check()
    page.get_by_role("button", name=words["pay.now"].replace("{amount}", "")).click()


def current_step(page: Page) -> Locator:
    """Where the timeline stands."""
    return page.locator("ol li[aria-current=step]")


def parcel_of(page: Page, order_id: str) -> Locator:
    """The card of an order's parcel in the console."""
    return page.get_by_role("listitem").filter(has=page.locator(f"a[href$='{order_id}']"))
