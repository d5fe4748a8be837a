"""Warehouses, stock and parcels through the gateway."""

from __future__ import annotations

from uuid import uuid4

from sampan.warehouse.v1 import parcel_service_pb2, stock_service_pb2

from services.gateway.routes import examples
from tests.component.gateway.conftest import System
from tests.component.gateway.test_edge import assert_problem

KEY = {"Idempotency-Key": "k"}


async def test_a_warehouse_is_translated_both_ways(system: System) -> None:
    made = await system.operator.post("/v1/warehouses", json=examples.WAREHOUSE)
    assert made.status_code == 201, made.text
    assert made.headers["etag"] == '"1"'
    assert made.json()["kind"] == "overseas"
    assert made.json()["served_countries"] == examples.WAREHOUSE["served_countries"]
    changed = await system.operator.put("/v1/warehouses/madrid", json=made.json(), headers={"If-Match": "*"})
    assert changed.status_code == 200
    assert system.warehouse.requests[-1].warehouse.etag == "*"
    body = examples.WAREHOUSE | {"warehouse_id": "other"}
    answer = await system.operator.put("/v1/warehouses/madrid", json=body, headers={"If-Match": "*"})
    assert_problem(answer, 400, "FIELD_INVALID")


async def test_stock_is_received_by_the_role_and_never_by_the_body(system: System) -> None:
    answer = await system.operator.post("/v1/stock:receive", json=examples.RECEIVE, headers=KEY)
    assert answer.json()["stock"][0]["on_hand"] == 100
    sent: stock_service_pb2.ReceiveStockRequest = system.warehouse.requests[-1]
    assert (sent.tenant_id, sent.request_id, sent.actor) == ("demo", "k", "operator")
    refused = await system.operator.post(
        "/v1/stock:receive", json=examples.RECEIVE | {"actor": "me"}, headers=KEY
    )
    assert_problem(refused, 400, "FIELD_UNKNOWN")
    nowhere = examples.RECEIVE | {"warehouse_id": "nowhere"}
    problem = assert_problem(
        await system.operator.post("/v1/stock:receive", json=nowhere, headers=KEY), 422, "WAREHOUSE_NOT_FOUND"
    )
    assert problem["errors"][0]["pointer"] == "/warehouse_id"  # type: ignore[index]
    without_key = await system.operator.post("/v1/stock:receive", json=examples.RECEIVE)
    assert_problem(without_key, 400, "IDEMPOTENCY_KEY_REQUIRED")


async def test_parcels_move_one_by_one_and_together(system: System) -> None:
    parcel_id = str(uuid4())
    packed = await system.operator.post(f"/v1/parcels/{parcel_id}:pack")
    assert packed.json()["state"] == "packed"
    shipped = await system.operator.post(
        f"/v1/parcels/{parcel_id.upper()}:ship", json={"carrier": "SEUR", "tracking_number": "1"}
    )
    assert shipped.json()["carrier"] == "SEUR"
    sent = system.warehouse.requests[-1].requests[0]
    assert (sent.parcel_id, sent.state) == (parcel_id, parcel_service_pb2.PARCEL_STATE_SHIPPED)
    illegal = {"carrier": "nobody", "tracking_number": "1"}
    problem = assert_problem(
        await system.operator.post(f"/v1/parcels/{parcel_id}:ship", json=illegal), 409, "PARCEL_STATE_WRONG"
    )
    assert problem["metadata"] == {"state": "ALLOCATED"}
    requests = [
        {"parcel_id": parcel_id, "state": "delivered"},
        {"parcel_id": parcel_id, "state": "shipped", "carrier": "nobody", "tracking_number": "1"},
    ]
    batch = await system.operator.post("/v1/parcels:batchAdvance", json={"requests": requests})
    first, second = batch.json()["results"]
    assert first["parcel"]["state"] == "delivered"
    assert second == {
        "error": {
            "type": "/problems/parcel-state-wrong",
            "reason": "PARCEL_STATE_WRONG",
            "detail": "not packed",
        }
    }
    allocated = await system.operator.post(
        "/v1/parcels:batchAdvance", json={"requests": [{"parcel_id": parcel_id, "state": "allocated"}]}
    )
    assert_problem(allocated, 400, "FIELD_INVALID")
