"""The sandbox provider as a company of its own, for tests over HTTP: it decides late, and notifies."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import httpx
from standardwebhooks import Webhook

from tests.e2e.conftest import NOTIFICATION_SECRETS, Document, Shop, key, order_body

PATH = "/v1/payments/notifications/sandbox"
NEW, OLD = NOTIFICATION_SECRETS


def notify(
    shop: Shop,
    payment_id: str,
    outcome: str,
    *,
    webhook_id: str = "",
    secret: str = NEW,
    ago_s: float = 0,
    path: str = PATH,
    **fields: str,
) -> httpx.Response:
    """What a provider does, by the specification's own package."""
    body = json.dumps({"payment_id": payment_id, "outcome": outcome} | fields)
    at = datetime.now(UTC) - timedelta(seconds=ago_s)
    webhook_id = webhook_id or f"msg_{uuid4().hex}"
    headers = {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, at, body),
        "content-type": "application/json",
    }
    return shop.anonymous.post(path, content=body, headers=headers)


def decide(shop: Shop, payment_id: str, state: str) -> None:
    """The sandbox's decision, in its own books: it keeps them for the other company that it stands for."""

    async def write() -> None:
        connection = await asyncpg.connect(shop.stack.dsns["orders"])
        try:
            update = "UPDATE sandbox_payment SET state = $2 WHERE payment_id::text = $1"
            assert await connection.execute(update, payment_id, state) == "UPDATE 1"
        finally:
            await connection.close()

    asyncio.run(write())


def waiting(shop: Shop) -> Document:
    """An order whose payment the provider has not answered, and will not during the test."""
    order = shop.place(order_body((shop.new_sku(), 1)))
    assert order["state"] == "awaiting_payment"
    path = f"/v1/orders/{order['order_id']}:pay"
    paid = shop.must(shop.storefront.post(path, json={"payment_token": "card_late_86400"}, headers=key()))
    assert paid["payment_state"] == "pending"
    return paid
