"""The gRPC services of holds and parcels as their callers see them, over a real server and a real database."""

from typing import Any

import pytest
from sampan.warehouse.v1 import parcel_service_pb2 as parcel_pb
from sampan.warehouse.v1 import reservation_service_pb2 as hold_pb

from services.chassis.rpc.status import error_of
from tests.integration.warehouse.client import Client, refused, reserve_request, timestamp
from tests.integration.warehouse.scene import TENANT, order_id

pytestmark = pytest.mark.postgres


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
