"""The pages in a real Chromium, served by the whole system with the demonstration's shop."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from deploy import web
from deploy.local import demo
from deploy.local.keys import ensure_keys
from deploy.local.settings import ROOT, TENANT_ID, WEB_PAGES
from deploy.local.stack import Stack
from tests import servers
from tests.refusing import refusing_orders

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)
SCREENSHOTS = ROOT / "dist" / "screenshots"
TEXTS = web.SOURCES / "storefront" / "texts"
PATIENCE_S = 30.0
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}

Document = dict[str, Any]


def only_with_test_web() -> pytest.MarkDecorator:
    """Keeps what takes longer to `make test-web`."""
    return pytest.mark.skipif(not os.environ.get("TEST_WEB"), reason="`make test-web` runs it")


def texts(language: str) -> dict[str, str]:
    """The storefront's words in a language."""
    known: dict[str, str] = json.loads((TEXTS / f"{language}.json").read_text(encoding="utf-8"))
    return known


@dataclass
class Shop:
    """The running system with the demonstration's catalogue and stock."""

    stack: Stack
    keys: dict[str, str]
    operator: httpx.Client
    storefront: httpx.Client

    @property
    def url(self) -> str:
        return self.stack.settings.gateway_url

    def must(self, answer: httpx.Response, status: int = 200) -> Document:
        """The document of an answer that has to be what it is."""
        assert answer.status_code == status, f"{answer.status_code} {answer.text}"
        document: Document = answer.json()
        return document

    def order(self, order_id: str) -> Document:
        """An order as it stands."""
        return self.must(self.storefront.get(f"/v1/orders/{order_id}"))

    def place(self, *, wait_s: int = 20, **changes: object) -> Document:
        """An order, once it is decided."""
        body: Document = {
            "buyer_ref": "buyer-of-tests",
            "currency_code": "EUR",
            "payment_terms": "prepaid",
            "lines": [{"sku": "TOY-BLK-500", "quantity": 1}],
            "ship_to": {"region_code": "ES", "postal_code": "28013", "recipients": ["Ana García"]},
        }
        headers = {"Idempotency-Key": str(uuid4()), "Prefer": f"wait={wait_s}"}
        return self.must(self.storefront.post("/v1/orders", json=body | changes, headers=headers), 201)

    @contextmanager
    def parked_event(self) -> Iterator[str]:
        """The id of an order whose next event is parked, and will be again as long as this lasts."""
        buyer = f"buyer-{uuid4().hex[:8]}"
        with refusing_orders(self.stack.dsns["orders"], buyer):
            order_id: str = self.place(wait_s=0, buyer_ref=buyer)["order_id"]
            asked = {"group": "orders.fulfilments", "aggregate_id": order_id}
            with _client(self.url, self.keys["platform"]) as platform:
                self.eventually(
                    lambda: self.must(platform.get("/v1/parked-events", params=asked))["parked_events"]
                )
            yield order_id

    def eventually(self, condition: Callable[[], object]) -> None:
        """Waits for what other services do in their own time."""
        until = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < until, "it did not happen in time"
            time.sleep(0.05)


@pytest.fixture(scope="session")
def pages_are_built() -> None:
    """Skips where the pages were not built; those that are there must be made of what is there now."""
    if not (WEB_PAGES / "build.json").exists():
        pytest.skip("there are no pages: `make web`")
    assert web.is_current(), "the pages are of other sources: `make web`"


@pytest.fixture(scope="session")
def shop(session_folder: Path, pages_are_built: None) -> Iterator[Shop]:
    """The whole system, seeded."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: `apt-get install chromium`")
    stack = servers.whole_stack(session_folder / "web")
    try:
        stack.up()
        keys = ensure_keys(stack.settings.keys)
        url = stack.settings.gateway_url
        platform = demo.Shop(url, keys["platform"])
        platform.post("/v1/tenants", {"tenant_id": TENANT_ID, "display_name": "Demo"}, accept=(409,))
        platform.close()
        seeding = demo.Shop(url, keys["operator"])
        demo.seed(seeding, lambda said: None)
        seeding.close()
        with _client(url, keys["operator"]) as operator, _client(url, keys["storefront"]) as storefront:
            shop = Shop(stack, keys, operator, storefront)
            shop.eventually(lambda: _can_be_sold(storefront))
            yield shop
    finally:
        stack.remove()


def _client(url: str, key: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=40)


def _can_be_sold(storefront: httpx.Client) -> bool:
    """Whether what was seeded last has arrived everywhere."""
    skus = [variant["sku"] for product in demo_products() for variant in product["variants"]]
    quote = {
        "currency_code": "EUR",
        "lines": [{"sku": sku, "quantity": 1} for sku in skus if sku.startswith("TOY")],
    }
    answer = storefront.post("/v1/availability:batchGet", json={"skus": skus})
    return storefront.post("/v1/quotes", json=quote).status_code == 200 and all(
        one["available"] for one in answer.json()["availabilities"]
    )


def demo_products() -> list[Document]:
    """The demonstration's products."""
    products: list[Document] = json.loads(demo.CATALOGUE.read_text(encoding="utf-8"))["products"]
    return products


@pytest.fixture(scope="session")
def chromium(shop: Shop) -> Iterator[Browser]:
    """A real browser without a window."""
    expect.set_options(timeout=PATIENCE_S * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield browser
        browser.close()


class Open:
    """Opens pages, each in a browser of its own, as one that has never been here."""

    def __init__(self, browser: Browser, shop: Shop) -> None:
        self._browser = browser
        self._shop = shop
        self.contexts: list[BrowserContext] = []
        self.complaints: list[str] = []
        """What scripts have failed at, and what the content security policy has refused."""

    def __call__(self, path: str, *, key: str | None, language: str = "en", **options: Any) -> Page:
        """A page, given the key of that role by the fragment."""
        chosen: dict[str, Any] = {"locale": language, "viewport": DESKTOP, "reduced_motion": "reduce"}
        context = self._browser.new_context(**(chosen | options))
        self.contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text) if "Policy" in said.text else None)
        page.goto(f"{self._shop.url}{path}" + (f"#key={self._shop.keys[key]}" if key else ""))
        return page


@pytest.fixture
def open_page(chromium: Browser, shop: Shop, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens pages; whatever a script complains of fails the test."""
    opening = Open(chromium, shop)
    yield opening
    for number, context in enumerate(opening.contexts):
        for page in context.pages:
            picture(page, f"end-{request.node.name}-{number}")
        context.close()
    assert opening.complaints == []


def picture(page: Page, name: str) -> None:
    """Keeps what the page looks like, for people."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower())[:80]
    page.screenshot(path=SCREENSHOTS / f"{plain}.png", full_page=True)
