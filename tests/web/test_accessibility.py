"""Both pages for everybody: no violation of axe's rules, by keyboard, on a phone, without motion."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from deploy import web
from tests.web.conftest import DESKTOP, PHONE, Open, Shop, only_with_test_web, picture, texts
from tests.web.steps import pay, place_order, put_into_cart

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300), only_with_test_web()]

AXE = (web.WORK / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
TOUCH_PX = 44
# A link within a sentence is as high as its line (WCAG 2.5.8).
TARGETS = "button, select, input:not([type=radio]), label.variant, nav a, a.button, a.brand, a.bar-brand"


def violations(page: Page) -> list[str]:
    """What axe finds, each with the element that it finds it on."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run()")["violations"]
    return [f"{one['id']} ({one['impact']}): {node['html'][:200]}" for one in found for node in one["nodes"]]


def views(page: Page, shop: Shop, language: str) -> Iterator[str]:
    """Every view of the storefront, one after the other."""
    words = texts(language)
    titles = {"en": "Plush panda", "es": "Panda de peluche", "th": "ตุ๊กตาแพนด้า"}
    expect(page.get_by_role("link", name=titles[language])).to_be_visible()
    expect(page.locator(".badge").first).to_be_visible()
    yield "shelves"
    put_into_cart(page, language, titles[language])
    yield "product"
    page.goto(f"{shop.url}/shop#/cart")
    expect(page.get_by_role("link", name=words["cart.checkout"], exact=True)).to_be_visible()
    yield "cart"
    page.get_by_role("link", name=words["cart.checkout"], exact=True).click()
    expect(page.get_by_role("button", name=words["checkout.place"])).to_be_visible()
    yield "checkout"
    place_order(page, language)
    yield "payment"
    pay(page, language)
    expect(page.get_by_role("region", name=words["parcels"])).to_be_visible()
    yield "order"
    page.goto(f"{shop.url}/shop#/orders")
    expect(page.get_by_role("main").get_by_role("listitem")).to_have_count(1)
    yield "orders"
    page.goto(f"{shop.url}/shop#/?q=zzzz")
    expect(page.get_by_text(words["search.empty"].format(words="zzzz"))).to_be_visible()
    yield "nothing-found"


CONSOLE_VIEWS = {
    "orders": "table",
    "parcels": ".parcel, .empty",
    "stock": "table",
    "imports": "form",
}


@pytest.mark.parametrize("language", ["en", "es", "th"])
@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_every_view_of_the_storefront_is_accessible_and_fits(
    shop: Shop, open_page: Open, subtests: pytest.Subtests, language: str, viewport: dict[str, int]
) -> None:
    page = open_page("/shop", key="storefront", language=language, viewport=viewport, bypass_csp=True)
    for view in views(page, shop, language):
        picture(page, f"storefront-{view}-{language}-{viewport['width']}")
        with subtests.test(view):
            assert violations(page) == []
            assert_fits(page)


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_every_view_of_the_console_is_accessible_and_fits(
    open_page: Open, shop: Shop, subtests: pytest.Subtests, viewport: dict[str, int]
) -> None:
    page = open_page("/console", key="operator", viewport=viewport, bypass_csp=True)
    for view, sign in CONSOLE_VIEWS.items():
        page.goto(f"{shop.url}/console#/{view}")
        expect(page.locator(sign).first).to_be_visible()
        picture(page, f"console-{view}-{viewport['width']}")
        with subtests.test(view):
            assert violations(page) == []
            assert_fits(page)


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_parked_events_are_accessible_and_fit(open_page: Open, shop: Shop, viewport: dict[str, int]) -> None:
    page = open_page("/console", key="platform", viewport=viewport, bypass_csp=True)
    with shop.parked_event() as order_id:
        page.goto(f"{shop.url}/console#/parked")
        event = page.get_by_role("listitem").filter(has_text=order_id).first
        event.get_by_role("button", name="Discard").click()
        picture(page, f"console-parked-{viewport['width']}")
        assert violations(page) == []
        assert_fits(page)
    event.get_by_role("button", name="Keep it").click()
    event.get_by_role("button", name="Replay").click()
    expect(page.get_by_text("Nothing is parked")).to_be_visible()
    assert violations(page) == []
    assert_fits(page)


def test_the_gate_is_accessible(open_page: Open) -> None:
    page = open_page("/shop", key=None, viewport=PHONE, bypass_csp=True)
    expect(page.get_by_label(texts("en")["gate.label"])).to_be_visible()
    picture(page, "gate")
    assert violations(page) == []


def assert_fits(page: Page) -> None:
    """Nothing has to be moved sideways to be read, and everything can be hit by a finger."""
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    small = page.evaluate(
        """([targets, least]) => [...document.querySelectorAll(targets)]
            .filter((one) => one.checkVisibility() && !one.closest(".unseen"))
            .filter((one) => one.getBoundingClientRect().height < least)
            .map((one) => one.outerHTML.slice(0, 120))""",
        [TARGETS, TOUCH_PX],
    )
    assert small == []


def test_by_keyboard_one_comes_past_the_header_and_into_a_product(open_page: Open) -> None:
    page = open_page("/shop", key="storefront")
    expect(page.get_by_role("link", name="Plush panda")).to_be_visible()
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name=texts("en")["skip"])
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.get_by_role("link", name="Plush panda").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Plush panda")).to_be_focused()
    page.go_back()
    expect(page.get_by_role("link", name="Plush panda")).to_be_visible()


def test_nothing_moves_for_those_who_want_it_so(open_page: Open) -> None:
    for wish, moves in (("reduce", False), ("no-preference", True)):
        page = open_page("/shop", key="storefront", reduced_motion=wish)
        expect(page.get_by_role("link", name="Plush panda")).to_be_visible()
        found = page.evaluate(
            """() => {
                const one = document.body.appendChild(document.createElement("i"));
                one.className = "spinner";
                return getComputedStyle(one).animationName !== "none";
            }"""
        )
        assert found is moves, json.dumps(wish)
