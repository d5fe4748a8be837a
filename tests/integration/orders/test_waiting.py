"""Orders that have waited too long for the warehouse: who asks again, how often, and what a late answer then does."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sampan.orders.v1 import events_pb2
from sampan.orders.v1 import order_service_pb2 as pb
from sampan.warehouse.v1 import events_pb2 as warehouse_events
from sampan.warehouse.v1 import parcel_service_pb2 as parcel_pb
from sampan.warehouse.v1 import reservation_service_pb2 as hold_pb

from services.orders import measures
from services.orders.commands import waiting as waiting_commands
from services.orders.commands.placing import PlacementPolicy
from services.orders.commands.waiting import Waiting
from services.orders.domain.states import OrderState
from services.orders.store.waiting import Patience, list_waiting
from tests.integration.orders.messages import TENANT, advanced
from tests.integration.orders.running import Running, payment_name, running, state_name

pytestmark = pytest.mark.postgres

WAIT_S = 60.0
PATIENCE = Patience(WAIT_S, 480.0, 3)


def waiting(orders: Running) -> Waiting:
    return Waiting(orders.desk, PlacementPolicy(1_800, 900, 86_400), PATIENCE)


async def pass_time(orders: Running, seconds: float) -> None:
    """Moves everything that has happened to all orders into the past."""
    async with orders.desk.db.connection() as connection:
        for column, table in (
            ("create_time", "orders"),
            ("update_time", "orders"),
            ("time", "order_transitions"),
        ):
            await connection.execute(
                f"UPDATE {table} SET {column} = {column} - make_interval(secs => $1)", seconds
            )


async def asked(orders: Running, order: pb.Order) -> int:
    """How often the warehouse was asked again for the order."""
    return [name for name, _ in await orders.outbox(order)].count("OrderStalled")


def report(order: pb.Order, state: int, **more: Any) -> warehouse_events.FulfilmentReported:
    return warehouse_events.FulfilmentReported(
        tenant_id=TENANT, order_id=order.order_id, state=hold_pb.HoldState.ValueType(state), **more
    )


async def test_an_order_without_a_decision_is_asked_for_with_all_that_the_warehouse_needs(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.placed(payment_terms=pb.PAYMENT_TERMS_PAY_LATER)
        look = waiting(orders).look
        assert await look() == 0
        await pass_time(orders, WAIT_S + 1)
        assert await look() == 1
        [(_, placed), (_, stalled)] = await orders.outbox(order)
        assert isinstance(placed, events_pb2.OrderPlaced)
        assert isinstance(stalled, events_pb2.OrderStalled)
        for field in ("tenant_id", "merchant_id", "order_id", "state", "region_code", "lines"):
            assert getattr(stalled, field) == getattr(placed, field), field
        assert stalled.version == 2
        held_s = stalled.hold_expire_time.seconds - placed.hold_expire_time.seconds
        assert abs(held_s) <= 1, "held until when it was to be held at placement"
        assert await orders.history(order) == [(1, "PENDING", "PlaceOrder"), (2, "PENDING", "OrderStalled")]


async def test_it_is_asked_for_ever_more_seldom_and_never_given_up(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.placed()
        look = waiting(orders).look
        for number, pause_s in enumerate((60, 120, 240, 480, 480, 480), start=1):
            await pass_time(orders, pause_s - 2)
            assert await look() == 0, number
            await pass_time(orders, 4)
            assert await look() == 1, number
            assert await look() == 0, number
        assert await asked(orders, order) == 6
        gauge = OrderState.PENDING
        assert measures.STUCK[gauge]._value.get() == 1
        assert measures.UNANSWERED[gauge]._value.get() == 1
        await orders.reserved(order)
        assert await look() == 0
        assert measures.STUCK[gauge]._value.get() == 0
        assert measures.UNANSWERED[gauge]._value.get() == 0


async def test_only_orders_that_wait_for_the_warehouse_are_asked_for(dsn: str) -> None:
    async with running(dsn) as orders:
        without_parcels, with_parcels, cancelling, cancelled = [await orders.confirmed() for _ in range(4)]
        unpaid = await orders.awaiting_payment()
        await orders.opened(with_parcels)
        await orders.cancel(cancelling)
        await orders.cancel(cancelled)
        await orders.tell(warehouse_events.FulfilmentCancelled(order_id=cancelled.order_id))
        await pass_time(orders, WAIT_S + 1)
        async with orders.desk.db.connection() as connection:
            listed = {
                state: [
                    str(one.order_id) for one in await list_waiting(connection, state, wait_s=WAIT_S, limit=9)
                ]
                for state in measures.ANSWERED_BY_WAREHOUSE
            }
        assert listed == {
            OrderState.PENDING: [],
            OrderState.CONFIRMED: [without_parcels.order_id],
            OrderState.CANCELLING: [cancelling.order_id],
        }
        assert await waiting(orders).look() == 2
        for order, times in (
            (without_parcels, 1),
            (with_parcels, 0),
            (cancelling, 1),
            (cancelled, 0),
            (unpaid, 0),
        ):
            assert await asked(orders, order) == times


async def test_a_walk_goes_on_where_the_page_ended(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_commands, "PAGE_ROWS", 2)
    async with running(dsn) as orders:
        placed = [await orders.placed() for _ in range(5)]
        await pass_time(orders, WAIT_S + 1)
        look = waiting(orders).look
        assert [await look() for _ in range(3)] == [2, 2, 1]
        assert measures.STUCK[OrderState.PENDING]._value.get() == 5
        assert [await asked(orders, order) for order in placed] == [1] * 5


async def test_of_two_replicas_one_asks(dsn: str) -> None:
    async with running(dsn) as orders:
        placed = [await orders.placed() for _ in range(8)]
        await pass_time(orders, WAIT_S + 1)
        await asyncio.gather(*[waiting(orders).look() for _ in range(4)])
        assert [await asked(orders, order) for order in placed] == [1] * 8


async def test_a_hold_that_would_have_ended_by_now_is_asked_for_long_enough_to_be_used(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.placed(payment_terms=pb.PAYMENT_TERMS_PREPAID)
        await pass_time(orders, 100_000)
        assert await waiting(orders).look() == 1
        _, stalled = (await orders.outbox(order))[-1]
        assert isinstance(stalled, events_pb2.OrderStalled)
        async with orders.desk.db.connection() as connection:
            left_s = await connection.fetchval(
                "SELECT $1 - extract(epoch FROM now())::float8", float(stalled.hold_expire_time.seconds)
            )
        assert 800 < left_s < 1_000


@pytest.mark.parametrize("prepaid", [True, False])
@pytest.mark.parametrize("at_once", [True, False])
async def test_the_late_original_and_the_report_have_one_effect(
    dsn: str, prepaid: bool, at_once: bool
) -> None:
    """The original is always before the report: it has the smaller version in the same partition."""
    async with running(dsn) as orders:
        terms = pb.PAYMENT_TERMS_PREPAID if prepaid else pb.PAYMENT_TERMS_PAY_LATER
        order = await orders.placed(payment_terms=terms)
        await pass_time(orders, WAIT_S + 1)
        await waiting(orders).look()
        original = warehouse_events.StockReserved(order_id=order.order_id, sourcing="in-country")
        late = report(order, hold_pb.HOLD_STATE_PENDING, sourcing="in-country")
        if at_once:
            await orders.tell(original, late)
        else:
            await orders.tell(original)
            await orders.tell(late)
        history = await orders.history(order)
        assert [cause for _, _, cause in history] == ["PlaceOrder", "OrderStalled", "StockReserved"]
        assert await orders.rows_in("payments") == prepaid
        assert await orders.rows_in("timers") == (not prepaid)


async def test_a_report_instead_of_the_lost_parcels_brings_the_order_to_where_they_are(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.confirmed()
        parcel_id = str(UUID(int=7))
        told = warehouse_events.ReportedParcel(
            parcel_id=parcel_id,
            warehouse_id="mad-1",
            state=parcel_pb.PARCEL_STATE_SHIPPED,
            carrier="correos",
            tracking_number="ES123",
        )
        answer = report(order, hold_pb.HOLD_STATE_POSTED, parcels=[told])
        await orders.tell(answer)
        await orders.tell(answer)
        found = await orders.get(order)
        assert state_name(found.state) == "SHIPPED"
        [parcel] = found.parcels
        assert (parcel.parcel_id, parcel.carrier, parcel.tracking_number) == (parcel_id, "correos", "ES123")
        await orders.tell(advanced(order, parcel_id, "DELIVERED"))
        assert state_name((await orders.get(order)).state) == "DELIVERED"


async def test_a_report_that_the_goods_were_taken_back_cancels_and_refunds(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.confirmed()
        [parcel_id] = await orders.opened(order)
        await orders.cancel(order)
        await orders.tell(
            report(
                order,
                hold_pb.HOLD_STATE_POSTED,
                parcels=[
                    warehouse_events.ReportedParcel(
                        parcel_id=parcel_id, warehouse_id="mad-0", state=parcel_pb.PARCEL_STATE_CANCELLED
                    )
                ],
            )
        )
        found = await orders.get(order)
        assert (state_name(found.state), payment_name(found.payment_state)) == ("CANCELLED", "REFUND_PENDING")
        assert found.parcels[0].state == pb.ORDER_PARCEL_STATE_CANCELLED
