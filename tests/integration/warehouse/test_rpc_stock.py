"""The gRPC service of stock as its callers see it, over a real server and a real database."""

import pytest
from sampan.warehouse.v1 import stock_service_pb2 as stock_pb
from sampan.warehouse.v1 import warehouse_service_pb2 as pb

from tests.integration.warehouse.client import Client, refused
from tests.integration.warehouse.scene import MERCHANT, TENANT

pytestmark = pytest.mark.postgres


async def test_pages(client: Client) -> None:
    await client.scene.receive({f"S{number}": number + 1 for number in range(5)})
    seen: list[str] = []
    token = ""
    while True:
        page = await client.stock.ListStock(
            stock_pb.ListStockRequest(tenant_id=TENANT, page_size=2, page_token=token)
        )
        seen += [row.sku for row in page.stock]
        token = page.next_page_token
        if not token:
            break
    assert seen == ["S0", "S1", "S2", "S3", "S4"]
    first = await client.warehouses.ListWarehouses(pb.ListWarehousesRequest(tenant_id=TENANT, page_size=1))
    with refused("PAGE_TOKEN_MISMATCH"):
        await client.stock.ListStock(
            stock_pb.ListStockRequest(tenant_id=TENANT, page_token=first.next_page_token)
        )
    with refused("PAGE_TOKEN_INVALID"):
        await client.stock.ListStock(stock_pb.ListStockRequest(tenant_id=TENANT, page_token="!"))
    with refused("FIELD_INVALID", "page_size"):
        await client.stock.ListStock(stock_pb.ListStockRequest(tenant_id=TENANT, page_size=-1))


async def test_receiving_adjusting_and_the_ledger(client: Client) -> None:
    receipt = stock_pb.ReceiveStockRequest(
        tenant_id=TENANT,
        request_id="r-1",
        warehouse_id="madrid",
        merchant_id=MERCHANT,
        document="GR-1",
        lines=[stock_pb.StockLine(sku="A", quantity=3), stock_pb.StockLine(sku="A", quantity=4)],
        actor="operator",
    )
    moved = await client.stock.ReceiveStock(receipt)
    assert [(row.sku, row.on_hand, row.available) for row in moved.stock] == [("A", 7, 7)]
    again = await client.stock.ReceiveStock(receipt)
    assert again.replayed
    assert list(again.stock) == list(moved.stock)
    adjust = stock_pb.AdjustStockRequest(
        tenant_id=TENANT,
        request_id="r-1",
        warehouse_id="madrid",
        merchant_id=MERCHANT,
        document="C-1",
        reason=stock_pb.LEDGER_REASON_COUNT_LOSS,
        lines=[stock_pb.StockLine(sku="A", quantity=-2)],
        actor="operator",
    )
    assert (await client.stock.AdjustStock(adjust)).stock[0].on_hand == 5
    ledger = await client.stock.ListLedger(stock_pb.ListLedgerRequest(tenant_id=TENANT, sku="A"))
    assert [(entry.delta, entry.document) for entry in ledger.entries] == [(-2, "C-1"), (7, "GR-1")]
    adjust.reason = stock_pb.LEDGER_REASON_COUNT_GAIN
    with refused("QUANTITY_INVALID", "lines[0].quantity"):
        await client.stock.AdjustStock(adjust)
    adjust.reason = stock_pb.LEDGER_REASON_PICK
    with refused("FIELD_INVALID", "reason"):
        await client.stock.AdjustStock(adjust)
    receipt.request_id = ""
    with refused("FIELD_REQUIRED", "request_id"):
        await client.stock.ReceiveStock(receipt)


async def test_availability_by_destination(client: Client) -> None:
    await client.scene.receive({"A": 3})
    await client.scene.receive({"A": 4, "B": 1}, "xuchang")
    request = stock_pb.BatchGetAvailabilityRequest(tenant_id=TENANT, skus=["B", "A", "none"])
    anywhere = await client.stock.BatchGetAvailability(request)
    assert [(one.sku, one.available) for one in anywhere.availabilities] == [("B", 1), ("A", 7), ("none", 0)]
    request.region_code = "BR"
    brazil = await client.stock.BatchGetAvailability(request)
    assert [one.available for one in brazil.availabilities] == [1, 4, 0]
    assert brazil.availabilities[1].warehouses[0].transit_days_max == 4
    request.region_code = "brazil"
    with refused("REGION_UNKNOWN", "region_code"):
        await client.stock.BatchGetAvailability(request)
