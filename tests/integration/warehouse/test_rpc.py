"""The gRPC services as their callers see them, over a real server and a real database."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money
from sampan.warehouse.v1 import parcel_service_pb2 as parcel_pb
from sampan.warehouse.v1 import parcel_service_pb2_grpc as parcel_grpc
from sampan.warehouse.v1 import reservation_service_pb2 as hold_pb
from sampan.warehouse.v1 import reservation_service_pb2_grpc as hold_grpc
from sampan.warehouse.v1 import stock_service_pb2 as stock_pb
from sampan.warehouse.v1 import stock_service_pb2_grpc as stock_grpc
from sampan.warehouse.v1 import warehouse_service_pb2 as pb
from sampan.warehouse.v1 import warehouse_service_pb2_grpc as pb_grpc

from services.chassis.batcher import MicroBatcher
from services.chassis.errors import DomainError
from services.chassis.rpc.channel import make_channel
from services.chassis.rpc.server import make_server
from services.chassis.rpc.status import error_of
from services.warehouse.commands.availability import Availability
from services.warehouse.config import WarehouseSettings
from services.warehouse.domain.holds import Command, Fulfilment
from services.warehouse.rpc import holds, parcels, stock, warehouses
from tests.integration.warehouse.scene import MERCHANT, TENANT, Scene, in_future, order_id

pytestmark = pytest.mark.postgres


class Client(NamedTuple):
    """Stubs of all services, and the scene behind them."""

    warehouses: Any
    stock: Any
    holds: Any
    parcels: Any
    scene: Scene


@pytest.fixture
async def client(scene: Scene) -> AsyncIterator[Client]:
    """A server on a free port."""
    server = make_server(WarehouseSettings(dsn=scene.database.dsn), max_concurrent=100)
    batcher: MicroBatcher[Command, Fulfilment] = MicroBatcher(
        "test.holds",
        scene.holds.decide_batch,
        items_max=256,
        size_max=holds.BATCH_BYTES_MAX,
        delay_ms_max=1,
        queue_items_max=1_000,
        size_of=holds.size_of,
        in_flight_max=2,
    )
    pb_grpc.add_WarehouseServiceServicer_to_server(warehouses.WarehouseService(scene.warehouses), server)
    stock_grpc.add_StockServiceServicer_to_server(
        stock.StockService(scene.stock, Availability(scene.database)), server
    )
    hold_grpc.add_ReservationServiceServicer_to_server(holds.ReservationService(scene.holds, batcher), server)
    parcel_grpc.add_ParcelServiceServicer_to_server(parcels.ParcelService(scene.parcels), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with make_channel(f"127.0.0.1:{port}", retryable_methods=()) as channel:
            yield Client(
                pb_grpc.WarehouseServiceStub(channel),
                stock_grpc.StockServiceStub(channel),
                hold_grpc.ReservationServiceStub(channel),
                parcel_grpc.ParcelServiceStub(channel),
                scene,
            )
    finally:
        await server.stop(1)
        await batcher.close()


@contextlib.contextmanager
def refused(reason: str, field: str | None = None) -> Iterator[None]:
    """The call inside fails with that reason of the contract, about that field."""
    with pytest.raises((grpc.aio.AioRpcError, DomainError)) as failure:
        yield
    raised = failure.value
    assert isinstance(raised, DomainError | grpc.aio.AioRpcError)
    error = raised if isinstance(raised, DomainError) else error_of(raised)
    assert (error.reason, error.domain) == (reason, "sampan.warehouse")
    assert field is None or error.field == field


def timestamp(minutes: float) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(in_future(minutes))
    return made


def reserve_request(order: str, units: dict[str, int], **changed: Any) -> hold_pb.ReserveRequest:
    content: dict[str, Any] = {
        "tenant_id": TENANT,
        "merchant_id": MERCHANT,
        "order_id": order,
        "region_code": "ES",
        "lines": [hold_pb.ReserveLine(sku=sku, quantity=quantity) for sku, quantity in units.items()],
        "expire_time": timestamp(60),
    }
    return hold_pb.ReserveRequest(**(content | changed))


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


async def test_holds_by_call(client: Client) -> None:
    await client.scene.receive({"A": 3})
    first, second = order_id(), order_id()
    reply = await client.holds.BatchReserve(
        hold_pb.BatchReserveRequest(
            requests=[
                reserve_request(first, {"A": 2}),
                reserve_request(second, {"A": 2}),
                reserve_request("no-uuid", {"A": 2}),
                reserve_request(order_id(), {"A": 0}),
                reserve_request(order_id(), {"A": 1}, expire_time=timestamp(-1)),
                reserve_request(first.upper(), {"A": 2}),
            ]
        )
    )
    states = [result.hold.state for result in reply.results]
    assert states[:2] == [hold_pb.HOLD_STATE_PENDING, hold_pb.HOLD_STATE_REJECTED]
    assert reply.results[1].hold.shortages[0] == hold_pb.Shortage(sku="A", requested=2, available=1)
    assert [error_of(reply.results[index].error).field for index in (2, 3, 4)] == [
        "order_id",
        "lines[0].quantity",
        "expire_time",
    ]
    assert reply.results[5].hold == reply.results[0].hold, "idempotent by order"
    names = [hold_pb.HoldName(tenant_id=TENANT, order_id=order) for order in (first, second, order_id())]
    posted = await client.holds.BatchPostHolds(hold_pb.BatchPostHoldsRequest(names=names))
    assert posted.results[0].hold.state == hold_pb.HOLD_STATE_POSTED
    assert [error_of(result.error).reason for result in posted.results[1:]] == [
        "HOLD_STATE_WRONG",
        "HOLD_NOT_FOUND",
    ]
    voided = await client.holds.BatchVoidHolds(hold_pb.BatchVoidHoldsRequest(names=names[2:]))
    assert voided.results[0].hold.state == hold_pb.HOLD_STATE_VOIDED
    hold = await client.holds.GetHold(hold_pb.GetHoldRequest(tenant_id=TENANT, order_id=first))
    assert [(line.sku, line.warehouse_id, line.quantity) for line in hold.allocations] == [("A", "madrid", 2)]
    with refused("HOLD_NOT_FOUND"):
        await client.holds.GetHold(hold_pb.GetHoldRequest(tenant_id="other", order_id=first))
    with refused("HOLD_STATE_WRONG"):
        await client.holds.ExtendHold(
            hold_pb.ExtendHoldRequest(tenant_id=TENANT, order_id=first, expire_time=timestamp(90))
        )
    with refused("TOO_MANY_ITEMS", "names"):
        await client.holds.BatchVoidHolds(hold_pb.BatchVoidHoldsRequest(names=names[:1] * 257))
    await client.scene.assert_sound()


async def test_parcels_go_their_way(client: Client) -> None:
    await client.scene.receive({"A": 3, "B": 3})
    order = order_id()
    await client.holds.BatchReserve(
        hold_pb.BatchReserveRequest(requests=[reserve_request(order, {"A": 2, "B": 1})])
    )
    names = [hold_pb.HoldName(tenant_id=TENANT, order_id=order)]
    await client.holds.BatchPostHolds(hold_pb.BatchPostHoldsRequest(names=names))
    listed = await client.parcels.ListParcels(parcel_pb.ListParcelsRequest(tenant_id=TENANT, order_id=order))
    (parcel,) = listed.parcels
    assert [(item.sku, item.quantity) for item in parcel.items] == [("A", 2), ("B", 1)]

    def wish(state: "parcel_pb.ParcelState.ValueType", **fields: str) -> parcel_pb.AdvanceParcelRequest:
        return parcel_pb.AdvanceParcelRequest(
            **({"tenant_id": TENANT, "parcel_id": parcel.parcel_id} | fields), state=state
        )

    shipped = wish(parcel_pb.PARCEL_STATE_SHIPPED, carrier="Correos", tracking_number="RN473124829GB")
    reply = await client.parcels.BatchAdvanceParcels(
        parcel_pb.BatchAdvanceParcelsRequest(
            requests=[
                wish(parcel_pb.PARCEL_STATE_DELIVERED),
                wish(parcel_pb.PARCEL_STATE_PACKED),
                wish(parcel_pb.PARCEL_STATE_SHIPPED),
                shipped,
                shipped,
                wish(parcel_pb.PARCEL_STATE_SHIPPED, carrier="DHL", tracking_number="1"),
                wish(parcel_pb.PARCEL_STATE_DELIVERED, tenant_id="other"),
                wish(parcel_pb.PARCEL_STATE_CANCELLED),
                wish(parcel_pb.PARCEL_STATE_DELIVERED),
            ]
        )
    )
    told = [
        parcel_pb.ParcelState.Name(result.parcel.state).removeprefix("PARCEL_STATE_")
        if result.HasField("parcel")
        else error_of(result.error).reason
        for result in reply.results
    ]
    assert told == [
        "PARCEL_STATE_WRONG",
        "PACKED",
        "FIELD_REQUIRED",
        "SHIPPED",
        "SHIPPED",
        "PARCEL_STATE_WRONG",
        "PARCEL_NOT_FOUND",
        "FIELD_INVALID",
        "DELIVERED",
    ]
    assert await client.scene.outbox(order) == ["StockReserved", "ParcelsAllocated"] + ["ParcelAdvanced"] * 3
    again = await client.parcels.BatchAdvanceParcels(
        parcel_pb.BatchAdvanceParcelsRequest(requests=[wish(parcel_pb.PARCEL_STATE_DELIVERED)])
    )
    got = await client.parcels.GetParcel(
        parcel_pb.GetParcelRequest(tenant_id=TENANT, parcel_id=parcel.parcel_id)
    )
    assert again.results[0].parcel == got
    assert (got.carrier, got.HasField("deliver_time")) == ("Correos", True)
    await client.scene.assert_sound()


async def test_parcel_lists(client: Client) -> None:
    await client.scene.receive({"A": 9})
    orders = [order_id() for _ in range(5)]
    await client.holds.BatchReserve(
        hold_pb.BatchReserveRequest(requests=[reserve_request(order, {"A": 1}) for order in orders])
    )
    await client.holds.BatchPostHolds(
        hold_pb.BatchPostHoldsRequest(
            names=[hold_pb.HoldName(tenant_id=TENANT, order_id=order) for order in orders]
        )
    )
    filters: list[dict[str, Any]] = [
        {},
        {"warehouse_id": "madrid"},
        {"warehouse_id": "madrid", "state": parcel_pb.PARCEL_STATE_ALLOCATED},
        {"state": parcel_pb.PARCEL_STATE_ALLOCATED},
    ]
    for chosen in filters:
        found: list[str] = []
        token = ""
        for _ in range(3):
            page = await client.parcels.ListParcels(
                parcel_pb.ListParcelsRequest(tenant_id=TENANT, page_size=2, page_token=token, **chosen)
            )
            found += [parcel.parcel_id for parcel in page.parcels]
            token = page.next_page_token
        assert token == ""
        assert len(found) == 5
        assert found == sorted(found)
    empty = await client.parcels.ListParcels(
        parcel_pb.ListParcelsRequest(tenant_id=TENANT, state=parcel_pb.PARCEL_STATE_PACKED)
    )
    assert not empty.parcels
