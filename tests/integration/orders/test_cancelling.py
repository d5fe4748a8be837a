"""Cancelling in each state, the warehouse's answer to it, and refunds."""

import pytest
from sampan.orders.v1 import order_service_pb2 as pb
from sampan.warehouse.v1 import events_pb2 as warehouse_events
from sampan.warehouse.v1 import reservation_service_pb2 as reservation_pb

from tests.integration.orders.messages import TENANT, advanced
from tests.integration.orders.running import Running, payment_name, refused, running, state_name

pytestmark = pytest.mark.postgres


async def last_event(orders: Running, order: pb.Order) -> str:
    """The newest event about an order."""
    return (await orders.outbox(order))[-1][0]


async def test_before_confirmation_at_once(dsn: str) -> None:
    async with running(dsn) as orders:
        for order in (await orders.placed(), await orders.awaiting_payment()):
            cancelled = await orders.cancel(order, reason="wrong size")
            assert (state_name(cancelled.state), cancelled.reason) == ("CANCELLED", "CANCELLED_BY_REQUEST")
            assert await last_event(orders, order) == "OrderCancelled"
        history = await orders.stub.GetOrderHistory(
            pb.GetOrderHistoryRequest(tenant_id=TENANT, order_id=order.order_id)
        )
        assert (history.transitions[-1].cause, history.transitions[-1].detail) == (
            "CancelOrder",
            "wrong size",
        )
        assert await orders.rows_in("timers") == 0


async def test_what_the_warehouse_says_of_a_cancelled_order_changes_nothing(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.cancel(await orders.placed())
        await orders.reserved(order)
        await orders.tell(
            warehouse_events.HoldVoided(tenant_id=TENANT, order_id=order.order_id),
            warehouse_events.StockRejected(
                tenant_id=TENANT,
                order_id=order.order_id,
                reason=reservation_pb.REJECTION_REASON_VOIDED_BEFORE,
            ),
        )
        assert await orders.get(order) == order


async def test_after_confirmation_the_warehouse_intercepts(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.awaiting_payment()
        await orders.pay(order, "card_authorised")
        await orders.work()
        await orders.opened(order, 2)
        cancelling = await orders.cancel(order)
        assert state_name(cancelling.state) == "CANCELLING"
        assert await last_event(orders, order) == "OrderCancellationRequested"
        await orders.tell(warehouse_events.FulfilmentCancelled(tenant_id=TENANT, order_id=order.order_id))
        cancelled = await orders.get(order)
        assert state_name(cancelled.state) == "CANCELLED"
        assert payment_name(cancelled.payment_state) == "REFUND_PENDING"
        assert {parcel.state for parcel in cancelled.parcels} == {pb.ORDER_PARCEL_STATE_CANCELLED}
        await orders.work()
        assert payment_name((await orders.get(order)).payment_state) == "REFUNDED"
        assert [cause for _, _, cause in await orders.history(order)][-3:] == [
            "CancelOrder",
            "FulfilmentCancelled",
            "PaymentRefunded",
        ]
        async with orders.desk.db.connection() as connection:
            assert await connection.fetchval("SELECT state FROM sandbox_payment") == "REFUNDED"
        assert await orders.rows_in("timers") == 0


async def test_money_of_a_prepaid_order_goes_back_through_the_storefront(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.cancel(await orders.confirmed())
        await orders.tell(warehouse_events.FulfilmentCancelled(tenant_id=TENANT, order_id=order.order_id))
        await orders.work()
        assert payment_name((await orders.get(order)).payment_state) == "REFUNDED"


async def test_too_late_to_intercept(dsn: str) -> None:
    async with running(dsn) as orders:
        for packed_first in (True, False):
            order = await orders.confirmed()
            (parcel_id,) = await orders.opened(order)
            if packed_first:
                await orders.tell(advanced(order, parcel_id, "PACKED"))
                assert state_name((await orders.get(order)).state) == "FULFILLING"
            await orders.cancel(order)
            if not packed_first:
                # Packed while the request was on its way.
                await orders.tell(advanced(order, parcel_id, "PACKED"))
                assert state_name((await orders.get(order)).state) == "CANCELLING"
            await orders.tell(warehouse_events.CancellationRefused(tenant_id=TENANT, order_id=order.order_id))
            back = await orders.get(order)
            assert (state_name(back.state), back.reason) == ("FULFILLING", "")
            assert await last_event(orders, order) == "OrderProgressed"
            await orders.tell(advanced(order, parcel_id, "SHIPPED"), advanced(order, parcel_id, "DELIVERED"))
            assert state_name((await orders.get(order)).state) == "DELIVERED"


async def test_a_refused_cancellation_does_not_confirm_anew(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.cancel(await orders.confirmed())
        await orders.tell(warehouse_events.CancellationRefused(tenant_id=TENANT, order_id=order.order_id))
        assert state_name((await orders.get(order)).state) == "CONFIRMED"
        names = [name for name, _ in await orders.outbox(order)]
        assert names.count("OrderConfirmed") == 1


async def test_too_late_for_the_state(dsn: str) -> None:
    async with running(dsn) as orders:
        shipped = await orders.confirmed()
        (parcel_id,) = await orders.opened(shipped)
        await orders.tell(advanced(shipped, parcel_id, "PACKED"), advanced(shipped, parcel_id, "SHIPPED"))
        cancelled = await orders.cancel(await orders.placed())
        cancelling = await orders.cancel(await orders.confirmed())
        for order, state in ((shipped, "SHIPPED"), (cancelled, "CANCELLED"), (cancelling, "CANCELLING")):
            with refused("FAILED_PRECONDITION", "ORDER_STATE_WRONG", state=state):
                await orders.cancel(order)


async def test_etags_and_repetition(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.placed()
        with refused("ABORTED", "ETAG_MISMATCH"):
            await orders.cancel(order, etag="7")
        cancelled = await orders.cancel(order, etag=order.etag, request_id="once")
        assert cancelled.version == 2
        assert await orders.cancel(order, etag=order.etag, request_id="once") == cancelled
        with refused("FAILED_PRECONDITION", "REQUEST_ID_REUSED"):
            await orders.cancel(order, etag=order.etag, request_id="once", reason="another reason")


async def test_what_is_wrong_is_refused(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.placed()
        with refused("INVALID_ARGUMENT", "FIELD_INVALID", field="reason"):
            await orders.cancel(order, reason="r" * 201)
        for order_id in ("no-uuid", "01890000-0000-7000-8000-000000000000"):
            with refused("NOT_FOUND", "ORDER_NOT_FOUND"):
                await orders.cancel(pb.Order(order_id=order_id))
        with refused("NOT_FOUND", "ORDER_NOT_FOUND"):
            await orders.stub.CancelOrder(
                pb.CancelOrderRequest(tenant_id="other", order_id=order.order_id, request_id="r")
            )
        assert (await orders.get(order)).version == 1
