"""The whole system: PostgreSQL, Kafka and the services as processes, spoken to over HTTP only."""

from __future__ import annotations

import base64
import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from deploy.local.stack import Stack
from services.gateway.config import GatewaySettings
from services.gateway.routes.route import Route
from services.gateway.wiring import Gateway
from tests import servers
from tests.e2e.hooks import receiving

KEYS = {
    "operator": {"key": "operator-key-of-demo", "tenant_id": "demo", "role": "operator"},
    "storefront": {"key": "storefront-key-of-demo", "tenant_id": "demo", "role": "storefront"},
    "other": {"key": "operator-key-of-other", "tenant_id": "other", "role": "operator"},
    "scratch": {"key": "operator-key-of-scratch", "tenant_id": "scratch", "role": "operator"},
    "platform": {"key": "platform-key-of-tests", "tenant_id": "platform", "role": "platform"},
}
NOTIFICATION_SECRETS = tuple(f"whsec_{base64.b64encode(bytes([number] * 32)).decode()}" for number in (1, 2))
"""What the sandbox provider signs its notifications with: the new one, and the one before."""
PATIENCE_S = 30.0

Document = dict[str, Any]


@dataclass
class Shop:
    """The public API as an operator, as a storefront, as another marketplace, which has nothing, as one that
    nobody looks at, for rough tests, and as the platform, which keeps the marketplaces."""

    stack: Stack
    operator: httpx.Client
    storefront: httpx.Client
    other: httpx.Client
    scratch: httpx.Client
    platform: httpx.Client
    anonymous: httpx.Client

    def must(self, answer: httpx.Response, status: int = 200) -> Document:
        """The document of an answer that has to be what it is."""
        assert answer.status_code == status, f"{answer.status_code} {answer.text}"
        document: Document = answer.json()
        return document

    def add_product(self, product_id: str, *, price: str = "10.00", merchant_id: str = "north-lights") -> str:
        """A product with one variant; returns its SKU."""
        sku = product_id.upper()
        body = {
            "product_id": product_id,
            "merchant_id": merchant_id,
            "titles": {"en": f"The {product_id}"},
            "hs_code": "670411",
            "origin_region_code": "CN",
            "variants": [
                {"sku": sku, "prices": [{"currency_code": "EUR", "amount": price}], "weight_grams": 100}
            ],
        }
        self.must(self.operator.post("/v1/products", json=body, headers=key()), 201)
        return sku

    def add_stock(self, sku: str, quantity: int, *, warehouse_id: str = "madrid") -> None:
        """Goods come in."""
        body = {
            "warehouse_id": warehouse_id,
            "merchant_id": "north-lights",
            "document": f"receipt {uuid4()}",
            "lines": [{"sku": sku, "quantity": quantity}],
        }
        self.must(self.operator.post("/v1/stock:receive", json=body, headers=key()))

    def new_sku(self, quantity: int = 100, *, price: str = "10.00") -> str:
        """A product of its own, in stock, which orders already knows of."""
        sku = self.add_product(f"p-{uuid4().hex[:12]}", price=price)
        self.add_stock(sku, quantity)
        quote = {"currency_code": "EUR", "lines": [{"sku": sku, "quantity": 1}]}
        self.eventually(lambda: self.storefront.post("/v1/quotes", json=quote).status_code == 200)
        return sku

    def place(self, body: Document, *, headers: dict[str, str] | None = None, wait_s: int = 20) -> Document:
        """An order, once it is decided."""
        sent = (headers or key()) | {"Prefer": f"wait={wait_s}"}
        return self.must(self.storefront.post("/v1/orders", json=body, headers=sent), 201)

    def order(self, order_id: str) -> Document:
        """An order as it stands."""
        return self.must(self.storefront.get(f"/v1/orders/{order_id}"))

    def eventually(self, condition: Callable[[], object], *, timeout_s: float = PATIENCE_S) -> None:
        """Waits for what other services do in their own time."""
        until = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < until, "it did not happen in time"
            time.sleep(0.05)


def key() -> dict[str, str]:
    """A fresh Idempotency-Key."""
    return {"Idempotency-Key": str(uuid4())}


def order_body(*lines: tuple[str, int], **changes: Any) -> Document:
    """An order of (sku, quantity) lines to Spain."""
    body: Document = {
        "buyer_ref": "buyer-1",
        "currency_code": "EUR",
        "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in lines],
        "ship_to": {
            "region_code": "ES",
            "postal_code": "28013",
            "locality": "Madrid",
            "address_lines": ["Calle 1"],
        },
        "payment_terms": "pay_later",
    }
    return body | changes


def variables(folder: Path) -> dict[str, str]:
    """What a system is told for a shop that uses all of it; the files are in the folder."""
    keys_file = folder / "api-keys.json"
    keys_file.write_text(json.dumps(list(KEYS.values())))
    secrets_file = folder / "notification-secrets.json"
    secrets_file.write_text(json.dumps({"sandbox": NOTIFICATION_SECRETS}))
    return {
        "ORDERS_PAYMENT_NOTIFICATION_SECRETS_FILE": str(secrets_file),
        "GATEWAY_API_KEYS_FILE": str(keys_file),
        "GATEWAY_STREAM_HEARTBEAT_S": "1",
        # Receivers of tests are on loopback.
        "WEBHOOKS_INSECURE_TARGETS": "true",
        "WEBHOOKS_RETRY_FIRST_S": "0.2",
    }


@pytest.fixture(scope="session")
def system(session_folder: Path) -> Iterator[Stack]:
    """All servers and services, started once."""
    folder = session_folder / "e2e"
    folder.mkdir()
    stack = servers.whole_stack(folder, **variables(folder))
    try:
        stack.up()
        yield stack
    finally:
        stack.remove()


@pytest.fixture(scope="session")
def shop(system: Stack) -> Iterator[Shop]:
    """The API, with a merchant and two warehouses."""
    with open_shop(system) as shop:
        yield shop


@contextmanager
def open_shop(system: Stack, *, https: ssl.SSLContext | None = None) -> Iterator[Shop]:
    """Opens the API of a stack that runs, and makes a merchant and two warehouses."""
    url = system.settings.gateway_url
    with ExitStack() as clients:

        def client(key: str | None) -> httpx.Client:
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            made = httpx.Client(
                base_url=url if https is None else url.replace("http:", "https:"),
                headers=headers,
                timeout=40,
                verify=True if https is None else https,
            )
            return clients.enter_context(made)

        shop = Shop(
            system,
            operator=client(KEYS["operator"]["key"]),
            storefront=client(KEYS["storefront"]["key"]),
            other=client(KEYS["other"]["key"]),
            scratch=client(KEYS["scratch"]["key"]),
            platform=client(KEYS["platform"]["key"]),
            anonymous=client(None),
        )
        for tenant_id in ("demo", "other", "scratch"):
            tenant = {"tenant_id": tenant_id, "display_name": tenant_id.title()}
            shop.must(shop.platform.post("/v1/tenants", json=tenant), 201)
        merchant = {"merchant_id": "north-lights", "display_name": "North Lights", "region_code": "CN"}
        shop.must(shop.operator.post("/v1/merchants", json=merchant), 201)
        for warehouse_id, region, kind, priority in (
            ("madrid", "ES", "overseas", 1),
            ("canton", "CN", "origin", 9),
        ):
            cost = {"currency_code": "EUR", "amount": f"{priority}.00"}
            served = {
                "region_code": "ES",
                "transit_days_min": priority,
                "transit_days_max": priority + 2,
                "cost": cost,
            }
            body = {
                "warehouse_id": warehouse_id,
                "display_name": warehouse_id.title(),
                "region_code": region,
                "cell": "EU" if region == "ES" else "CN",
                "kind": kind,
                "served_countries": [served],
                "priority": priority,
            }
            shop.must(shop.operator.post("/v1/warehouses", json=body), 201)
        yield shop


@dataclass
class Foreign:
    """What the tenant `demo` has, by the names of ids in paths; `key` placed its order."""

    ids: dict[str, str]
    sku: str
    key: dict[str, str]


@pytest.fixture(scope="module")
def foreign(shop: Shop) -> Foreign:
    """One thing of each kind."""
    sku = shop.new_sku()
    used = key()
    order = shop.place(order_body((sku, 1), payment_terms="prepaid"), headers=used)
    shop.eventually(lambda: shop.order(order["order_id"])["parcels"])
    [parcel] = shop.order(order["order_id"])["parcels"]
    issued = shop.operator.post(
        "/v1/api-keys", json={"display_name": "Theirs", "roles": ["reader"]}, headers=key()
    )
    endpoint_id, delivery_id = webhook_of(shop)
    ids = {
        "tenant_id": "demo",
        "merchant_id": "north-lights",
        "product_id": sku.lower(),
        "warehouse_id": "madrid",
        "order_id": order["order_id"],
        "parcel_id": parcel["parcel_id"],
        "api_key_id": shop.must(issued, 201)["api_key"]["api_key_id"],
        "webhook_endpoint_id": endpoint_id,
        "delivery_id": delivery_id,
    }
    return Foreign(ids, sku, used)


def webhook_of(shop: Shop) -> tuple[str, str]:
    """An endpoint and a delivery to it, both of which stay as they are."""
    with receiving() as hook:
        body = {"url": hook.url, "event_types": ["order.expired"]}
        issued = shop.must(shop.operator.post("/v1/webhook-endpoints", json=body, headers=key()), 201)
        endpoint_id = issued["webhook_endpoint"]["webhook_endpoint_id"]
        path = f"/v1/webhook-endpoints/{endpoint_id}"
        delivery_id = shop.must(shop.operator.post(f"{path}:test"), 201)["delivery_id"]
        delivery = f"/v1/webhook-deliveries/{delivery_id}"
        shop.eventually(lambda: shop.must(shop.operator.get(delivery))["state"] == "delivered")
        shop.must(shop.operator.post(f"{path}:disable"))
    return endpoint_id, delivery_id


@pytest.fixture
async def routes() -> tuple[Route, ...]:
    """All routes that need a credential, wired to nothing."""
    gateway = Gateway(GatewaySettings())
    await gateway.close()
    return tuple(route for route in gateway.routes if route.roles is not None)
