"""Webhooks over the public API, with all services behind: an order's events reach a tenant's own program, signed."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.e2e.conftest import Document, Shop, key, order_body
from tests.e2e.endpoints import ENDPOINTS, create, path_of
from tests.e2e.hooks import Hook, receiving

pytestmark = pytest.mark.stack


def log_of(shop: Shop, issued: Document, **query: str) -> list[Any]:
    """The endpoint's deliveries, the newest first."""
    params = {"webhook_endpoint_id": issued["webhook_endpoint"]["webhook_endpoint_id"], **query}
    found: list[Any] = shop.must(shop.operator.get("/v1/webhook-deliveries", params=params))["deliveries"]
    return found


def about(hook: Hook, order_id: str) -> dict[str, Document]:
    """What a hook was told of an order, by type."""
    documents = [httpx.Response(200, text=body).json() for _, body in hook.received]
    return {one["type"]: one["data"] for one in documents if one["data"].get("order_id") == order_id}


def test_an_orders_events_reach_the_tenants_program_and_nobody_elses(shop: Shop) -> None:
    sku = shop.new_sku()
    with receiving() as hook, receiving() as foreign:
        issued = create(shop, shop.operator, hook.url)
        other = create(shop, shop.other, foreign.url)
        placed = shop.place(order_body((sku, 2), payment_terms="prepaid"))
        order_id = placed["order_id"]
        shop.eventually(lambda: shop.order(order_id)["parcels"])
        [parcel] = shop.order(order_id)["parcels"]
        for body in (
            {"state": "packed"},
            {"state": "shipped", "carrier": "correos", "tracking_number": "T1"},
        ):
            asked = {"requests": [{"parcel_id": parcel["parcel_id"], **body}]}
            shop.must(shop.operator.post("/v1/parcels:batchAdvance", json=asked))
        expected = {
            "order.placed",
            "order.reserved",
            "order.confirmed",
            "order.progressed",
            "parcel.allocated",
            "parcel.packed",
            "parcel.shipped",
        }
        shop.eventually(lambda: about(hook, order_id).keys() >= expected)
        told = about(hook, order_id)
        assert told["order.placed"]["lines"] == [{"line_number": 1, "sku": sku, "quantity": 2}]
        assert told["parcel.shipped"]["tracking_number"] == "T1"
        for headers, text in hook.received:
            Webhook(issued["secret"]).verify(text, headers)
            with pytest.raises(WebhookVerificationError):
                Webhook(other["secret"]).verify(text, headers)
            # The buyer's address stays in the orders database.
            assert "Calle 1" not in text
            assert "28013" not in text
        ids = [headers["webhook-id"] for headers, _ in hook.received]
        assert len(set(ids)) == len(ids)
        assert foreign.received == []
        shop.eventually(lambda: {one["state"] for one in log_of(shop, issued)} == {"delivered"})
        # Taken away while they are still there to be told.
        shop.must(shop.operator.delete(path_of(issued)))
        shop.must(shop.other.delete(path_of(other)))


def test_an_endpoint_is_kept_by_the_api(shop: Shop) -> None:
    with receiving() as hook:
        used = key()
        body = {"url": hook.url, "event_types": ["order.expired"], "description": "ERP"}
        answer = shop.operator.post(ENDPOINTS, json=body, headers=used)
        issued = shop.must(answer, 201)
        endpoint, path = issued["webhook_endpoint"], path_of(issued)
        assert (answer.headers["location"], answer.headers["cache-control"]) == (path, "no-store")
        again = shop.operator.post(ENDPOINTS, json=body, headers=used)
        assert shop.must(again, 201) == {"webhook_endpoint": endpoint, "secret": None}
        assert again.headers["idempotency-replayed"] == "true"
        assert shop.must(shop.operator.get(path)) == endpoint
        assert endpoint in shop.must(shop.operator.get(ENDPOINTS))["webhook_endpoints"]

        test = shop.must(shop.operator.post(f"{path}:test"), 201)
        assert (test["event_type"], test["state"]) == ("webhook.test", "pending")
        delivery = f"/v1/webhook-deliveries/{test['delivery_id']}"
        shop.eventually(lambda: shop.must(shop.operator.get(delivery))["state"] == "delivered")
        assert [one["delivery_id"] for one in log_of(shop, issued, state="delivered")] == [
            test["delivery_id"]
        ]
        assert log_of(shop, issued, state="failed") == []
        shop.must(shop.operator.post(f"{delivery}:redeliver"))
        shop.eventually(lambda: len(hook.received) == 2)
        assert {headers["webhook-id"] for headers, _ in hook.received} == {test["message_id"]}

        rotated = shop.must(shop.operator.post(f"{path}:rotateSecret", headers=key()))
        assert len(rotated["webhook_endpoint"]["secrets"]) == 2
        shop.must(shop.operator.post(f"{path}:test"), 201)
        shop.eventually(lambda: len(hook.received) == 3)
        headers, text = hook.received[-1]
        for secret in (issued["secret"], rotated["secret"]):
            Webhook(secret).verify(text, headers)

        disabled = shop.must(shop.operator.post(f"{path}:disable"))
        assert (disabled["state"], disabled["disable_reason"]) == ("disabled", "requested")
        refused = shop.operator.post(f"{path}:test")
        assert (refused.status_code, refused.json()["reason"]) == (409, "ENDPOINT_DISABLED")
        assert shop.must(shop.operator.post(f"{path}:enable"))["state"] == "enabled"
        changed = shop.must(shop.operator.put(path, json=body | {"event_types": []}))
        assert (changed["event_types"], changed["description"]) == ([], "ERP")
        assert shop.must(shop.operator.delete(path))["webhook_endpoint_id"] == endpoint["webhook_endpoint_id"]
        gone = shop.operator.get(path)
        assert (gone.status_code, gone.json()["reason"]) == (404, "WEBHOOK_ENDPOINT_NOT_FOUND")


def test_only_administrators_keep_endpoints_and_faults_are_told_at_their_place(shop: Shop) -> None:
    for client in (shop.storefront, shop.anonymous):
        assert client.get(ENDPOINTS).status_code in (401, 403)
    for body, reason, pointer in (
        ({"url": "ftp://hooks.example.com/"}, "URL_REFUSED", "/url"),
        ({"url": "https://h.example/", "event_types": ["x"]}, "EVENT_TYPE_UNKNOWN", "/event_types/0"),
        ({}, "FIELD_REQUIRED", "/url"),
    ):
        answer = shop.operator.post(ENDPOINTS, json=body, headers=key())
        assert (answer.status_code, answer.json()["reason"]) == (400, reason)
        assert answer.json()["errors"][0]["pointer"] == pointer
    missing = shop.operator.get("/v1/webhook-deliveries")
    assert missing.json()["errors"][0]["parameter"] == "webhook_endpoint_id"
