"""The gRPC service of warehouses as its callers see it, over a real server and a real database."""

from typing import Any

import pytest
from google.type.money_pb2 import Money
from sampan.warehouse.v1 import warehouse_service_pb2 as pb

from tests.integration.warehouse.client import Client, refused
from tests.integration.warehouse.scene import TENANT

pytestmark = pytest.mark.postgres


def warehouse(warehouse_id: str, **changed: Any) -> pb.Warehouse:
    content: dict[str, Any] = {
        "warehouse_id": warehouse_id,
        "display_name": "Los Ángeles",
        "region_code": "US",
        "cell": "US",
        "kind": pb.WAREHOUSE_KIND_OVERSEAS,
        "served_countries": [
            pb.ServedCountry(
                region_code="US",
                transit_days_min=1,
                transit_days_max=4,
                cost=Money(currency_code="EUR", units=5, nanos=990_000_000),
            )
        ],
        "ships_hazards": True,
    }
    return pb.Warehouse(**(content | changed))


async def test_a_warehouse_is_created_once_and_replaced_under_its_etag(client: Client) -> None:
    created = await client.warehouses.CreateWarehouse(
        pb.CreateWarehouseRequest(tenant_id=TENANT, warehouse=warehouse("la"))
    )
    assert created.version == 1
    assert created.served_countries[0].cost.nanos == 990_000_000
    again = await client.warehouses.CreateWarehouse(
        pb.CreateWarehouseRequest(tenant_id=TENANT, warehouse=warehouse("la"))
    )
    assert again == created
    with refused("WAREHOUSE_EXISTS"):
        await client.warehouses.CreateWarehouse(
            pb.CreateWarehouseRequest(tenant_id=TENANT, warehouse=warehouse("la", priority=3))
        )
    changed = await client.warehouses.UpdateWarehouse(
        pb.UpdateWarehouseRequest(
            tenant_id=TENANT, warehouse=warehouse("la", disabled=True, etag=created.etag)
        )
    )
    assert (changed.version, changed.disabled) == (2, True)
    with refused("ETAG_MISMATCH"):
        await client.warehouses.UpdateWarehouse(
            pb.UpdateWarehouseRequest(tenant_id=TENANT, warehouse=warehouse("la", etag=created.etag))
        )
    assert await client.scene.outbox(f"{TENANT}/la") == ["WarehouseSnapshot", "WarehouseSnapshot"]
    with refused("WAREHOUSE_NOT_FOUND"):
        await client.warehouses.GetWarehouse(pb.GetWarehouseRequest(tenant_id="other", warehouse_id="la"))


@pytest.mark.parametrize(
    ("changed", "reason", "field"),
    [
        ({"warehouse_id": "LA"}, "FIELD_INVALID", "warehouse.warehouse_id"),
        ({"warehouse_id": ""}, "FIELD_REQUIRED", "warehouse.warehouse_id"),
        ({"display_name": "a\x07"}, "FIELD_INVALID", "warehouse.display_name"),
        ({"region_code": "XX"}, "REGION_UNKNOWN", "warehouse.region_code"),
        ({"cell": ""}, "FIELD_INVALID", "warehouse.cell"),
        ({"kind": 0}, "FIELD_INVALID", "warehouse.kind"),
        ({"priority": 1_001}, "FIELD_INVALID", "warehouse.priority"),
        (
            {"served_countries": [pb.ServedCountry(region_code="ES", cost=Money(currency_code="ZZZ"))]},
            "CURRENCY_UNKNOWN",
            "warehouse.served_countries[0].cost",
        ),
        (
            {"served_countries": [pb.ServedCountry(region_code="ES", transit_days_min=3)]},
            "FIELD_INVALID",
            "warehouse.served_countries[0].transit_days_max",
        ),
    ],
)
async def test_faulty_warehouses_are_refused(
    client: Client, changed: dict[str, Any], reason: str, field: str
) -> None:
    with refused(reason, field):
        await client.warehouses.CreateWarehouse(
            pb.CreateWarehouseRequest(
                tenant_id=TENANT, warehouse=warehouse(**({"warehouse_id": "la"} | changed))
            )
        )
