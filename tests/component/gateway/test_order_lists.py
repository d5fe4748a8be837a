"""Lists of orders: what is asked for, and what a key for some merchants is shown."""

from __future__ import annotations

from hashlib import sha256

import httpx
from sampan.orders.v1 import order_service_pb2 as pb

from services.gateway.auth import Caller
from services.gateway.roles import ScopeKind
from tests.component.gateway.conftest import System
from tests.component.gateway.ordering import placed_order
from tests.component.gateway.test_edge import assert_problem

PATH = "/v1/orders"


def restricted(system: System, *merchant_ids: str) -> httpx.AsyncClient:
    """A client whose key is for these merchants only; for all where there are none."""
    scope: ScopeKind | None = "merchants" if merchant_ids else None
    caller = Caller("demo", frozenset(("merchant",)), "key:1", scope, frozenset(merchant_ids))
    system.gateway.ring.put(sha256(b"a-sellers-key").digest(), caller, None)
    system.anonymous.headers["X-API-Key"] = "a-sellers-key"
    return system.anonymous


def asked(system: System) -> pb.ListOrdersRequest:
    """The last list that orders was asked for."""
    request = system.orders.requests[-1]
    assert isinstance(request, pb.ListOrdersRequest)
    return request


async def test_the_filters_are_handed_on(system: System) -> None:
    filters = {
        "merchant_id": "north-lights",
        "buyer_ref": "buyer-1",
        "state": "shipped",
        "create_time_from": "2026-09-01T00:00:00Z",
        "page_size": "7",
    }
    await placed_order(system)
    listed = await system.storefront.get(PATH, params=filters)
    assert len(listed.json()["orders"]) == 1
    request = asked(system)
    assert (request.tenant_id, request.merchant_id, request.buyer_ref) == ("demo", "north-lights", "buyer-1")
    assert (request.state, request.page_size) == (pb.ORDER_STATE_SHIPPED, 7)
    assert request.create_time_from.seconds == 1_788_220_800


async def test_a_key_for_one_merchant_lists_that_ones_orders_without_naming_it(system: System) -> None:
    client = restricted(system, "north-lights")
    for params in ({}, {"merchant_id": "north-lights"}):
        assert (await client.get(PATH, params=params)).json()["orders"] == []
        assert asked(system).merchant_id == "north-lights"
    before = len(system.orders.requests)
    refusal = await client.get(PATH, params={"merchant_id": "south-lights"})
    assert_problem(refusal, 404, "MERCHANT_NOT_FOUND")
    assert len(system.orders.requests) == before


async def test_a_key_for_several_merchants_names_one(system: System) -> None:
    client = restricted(system, "north-lights", "south-lights")
    refusal = assert_problem(await client.get(PATH), 400, "FIELD_REQUIRED")
    assert "'parameter': 'merchant_id'" in str(refusal["errors"])
    assert not system.orders.requests
    assert (await client.get(PATH, params={"merchant_id": "south-lights"})).status_code == 200
    assert asked(system).merchant_id == "south-lights"


async def test_a_merchants_key_without_a_scope_lists_the_orders_of_all(system: System) -> None:
    order = await placed_order(system)
    listed = (await restricted(system).get(PATH)).json()
    assert [one["order_id"] for one in listed["orders"]] == [order.order_id]
    assert asked(system).merchant_id == ""


async def test_a_page_of_an_earlier_orders_service_is_not_shown_with_those_of_others(system: System) -> None:
    """The stand-in knows no merchant in a filter, as the release before."""
    await placed_order(system)
    refusal = await restricted(system, "south-lights").get(PATH)
    assert_problem(refusal, 503, "DEPENDENCY_UNAVAILABLE")
    assert "north-lights" not in refusal.text
