"""Webhook endpoints over the public API, for tests."""

from __future__ import annotations

import httpx

from tests.e2e.conftest import Document, Shop, key

ENDPOINTS = "/v1/webhook-endpoints"


def create(shop: Shop, client: httpx.Client, url: str, *event_types: str) -> Document:
    """A new endpoint with its secret."""
    body = {"url": url, "event_types": event_types}
    return shop.must(client.post(ENDPOINTS, json=body, headers=key()), 201)


def path_of(issued: Document) -> str:
    """Where an endpoint is."""
    return f"{ENDPOINTS}/{issued['webhook_endpoint']['webhook_endpoint_id']}"
