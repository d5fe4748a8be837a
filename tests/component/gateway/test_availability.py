"""Availability, told from memory."""

from __future__ import annotations

from prometheus_client import REGISTRY

from services.gateway.wiring import AVAILABILITY_TOPIC
from tests.component.gateway.conftest import System
from tests.component.gateway.snapshots import snapshot, stock_event, warehouse_event
from tests.component.gateway.test_edge import assert_problem


async def test_availability_counts_what_serves_the_destination(system: System) -> None:
    apply = system.gateway.apply_snapshots
    apply(
        [
            warehouse_event("madrid", "ES", "PT"),
            warehouse_event("canton", "CN"),
            warehouse_event("closed", "ES"),
        ]
    )
    apply([stock_event("W", 2, madrid=5, canton=7, closed=100, empty=0)])
    apply([stock_event("W", 1, madrid=1)])
    apply([warehouse_event("closed", "ES", disabled=True, version=2)])
    answer = await system.storefront.get("/v1/availability?skus=W,none&region_code=ES")
    assert answer.json() == {
        "availabilities": [
            {
                "sku": "W",
                "available": 5,
                "warehouses": [
                    {"warehouse_id": "madrid", "available": 5, "transit_days_min": 1, "transit_days_max": 4}
                ],
            },
            {"sku": "none", "available": 0, "warehouses": []},
        ]
    }
    everywhere = await system.storefront.post("/v1/availability:batchGet", json={"skus": ["W"]})
    assert everywhere.json()["availabilities"][0] == {
        "sku": "W",
        "available": 12,
        "warehouses": [
            {"warehouse_id": "canton", "available": 7},
            {"warehouse_id": "madrid", "available": 5},
        ],
    }
    theirs = await system.other.get("/v1/availability?skus=W")
    assert theirs.json()["availabilities"][0]["available"] == 0
    assert not system.warehouse.requests


async def test_availability_is_not_told_before_it_is_known(system: System) -> None:
    system.gateway.snapshots.caught_up.clear()
    answer = await system.storefront.get("/v1/availability?skus=W")
    assert_problem(answer, 503, "STARTING")
    assert answer.headers["retry-after"] == "1"
    assert (await system.anonymous.get("/readyz")).status_code == 503
    assert (await system.anonymous.get("/healthz")).status_code == 200


def sold_out() -> float:
    """SKUs in memory of which no warehouse has any."""
    return REGISTRY.get_sample_value("sampan_gateway_availability_skus_sold_out") or 0.0


async def test_skus_of_which_nothing_is_left_are_counted(system: System) -> None:
    apply = system.gateway.apply_snapshots
    apply([stock_event("A", 1, madrid=5), stock_event("B", 1, madrid=0), stock_event("C", 1)])
    assert sold_out() == 2
    apply([stock_event("A", 2, madrid=0), stock_event("A", 1, madrid=5)])
    assert sold_out() == 3
    apply([stock_event("B", 2, canton=1), snapshot(AVAILABILITY_TOPIC, "demo/C", None)])
    assert sold_out() == 1
    apply([snapshot(AVAILABILITY_TOPIC, "demo/C", None)])
    assert sold_out() == 1
