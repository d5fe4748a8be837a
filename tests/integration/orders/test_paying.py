"""Payments: each test card, deadlines that race with payments, money that comes too late."""

import asyncio
from uuid import UUID

import grpc
import pytest
from sampan.orders.v1 import order_service_pb2 as pb
from sampan.warehouse.v1 import events_pb2 as warehouse_events

from services.chassis.rpc.status import error_of
from services.orders import measures, workers
from services.orders.commands import paying
from services.orders.domain.changes import TimerKind
from services.orders.payments.port import Answer, Outcome
from tests.integration.orders.messages import TENANT, advanced
from tests.integration.orders.running import Running, payment_name, refused, running, state_name

pytestmark = pytest.mark.postgres


async def standing(orders: Running, order: pb.Order) -> tuple[str, str]:
    """The order's state and its payment's."""
    now = await orders.get(order)
    async with orders.desk.db.connection() as connection:
        stored = await connection.fetchval(
            "SELECT state FROM payments WHERE payment_id::text = $1", now.payment_id
        )
    assert stored is None or stored == payment_name(now.payment_state)
    return state_name(now.state), payment_name(now.payment_state)


async def test_an_authorised_payment_confirms_and_is_captured_afterwards(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.awaiting_payment()
        assert state_name(order.state) == "AWAITING_PAYMENT"
        paid = await orders.pay(order, "card_authorised")
        assert (state_name(paid.state), payment_name(paid.payment_state)) == ("CONFIRMED", "AUTHORISED")
        await orders.work()
        assert await standing(orders, order) == ("CONFIRMED", "CAPTURED")
        assert await orders.history(order) == [
            (1, "PENDING", "PlaceOrder"),
            (2, "AWAITING_PAYMENT", "StockReserved"),
            (3, "AWAITING_PAYMENT", "PaymentStarted"),
            (4, "CONFIRMED", "PaymentAuthorised"),
            (5, "CONFIRMED", "PaymentCaptured"),
        ]
        assert [name for name, _ in await orders.outbox(order)] == [
            "OrderPlaced",
            "OrderAwaitingPayment",
            "OrderProgressed",
            "OrderConfirmed",
            "OrderProgressed",
        ]
        # Nothing is left to be done: neither the deadline nor a question to the provider.
        assert await orders.rows_in("timers") == 0


async def test_a_prepaid_order_is_confirmed_by_its_reservation(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.confirmed()
        assert await standing(orders, order) == ("CONFIRMED", "CAPTURED")
        assert order.sourcing == "in-country"
        assert await orders.rows_in("timers") == 0
        with refused("FAILED_PRECONDITION", "ORDER_STATE_WRONG", state="CONFIRMED"):
            await orders.pay(order, "card_authorised")


async def test_a_declined_payment_leaves_the_order_waiting_for_another(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.awaiting_payment()
        with refused("FAILED_PRECONDITION", "PAYMENT_DECLINED", decline_code="card_expired"):
            await orders.pay(order, "card_declined_card_expired", request_id="first")
        assert await standing(orders, order) == ("AWAITING_PAYMENT", "DECLINED")
        # The same request again ends as before and charges nothing.
        with refused("FAILED_PRECONDITION", "PAYMENT_DECLINED", decline_code="card_expired"):
            await orders.pay(order, "card_declined_card_expired", request_id="first")
        with refused("FAILED_PRECONDITION", "REQUEST_ID_REUSED"):
            await orders.pay(order, "card_authorised", request_id="first")
        assert await orders.rows_in("payments") == 1
        await orders.pay(order, "card_authorised", request_id="second")
        assert await standing(orders, order) == ("CONFIRMED", "AUTHORISED")


async def test_an_unknown_token_is_refused_and_another_may_be_tried(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.awaiting_payment()
        for _ in range(2):
            with refused("INVALID_ARGUMENT", "PAYMENT_TOKEN_UNKNOWN", field="payment_token"):
                await orders.pay(order, "4111111111111111", request_id="typo")
        with refused("INVALID_ARGUMENT", "FIELD_REQUIRED", field="payment_token"):
            await orders.pay(order, "")
        assert (await orders.pay(order, "card_authorised")).state == pb.ORDER_STATE_CONFIRMED


async def test_no_table_holds_a_token(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.awaiting_payment()
        with refused("INVALID_ARGUMENT", "PAYMENT_TOKEN_UNKNOWN"):
            await orders.pay(order, "4111-secret-1111")
        async with orders.desk.db.connection() as connection:
            tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            for (table,) in tables:
                rows = await connection.fetch(f'SELECT t::text FROM "{table}" AS t')
                assert not any("secret" in text for (text,) in rows), table


async def test_a_late_answer_confirms_when_it_comes(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.awaiting_payment()
        paid = await orders.pay(order, "card_late_3600", request_id="late")
        assert (state_name(paid.state), payment_name(paid.payment_state)) == ("AWAITING_PAYMENT", "PENDING")
        with refused("ABORTED", "PAYMENT_IN_PROGRESS"):
            await orders.pay(order, "card_authorised")
        again = await orders.pay(order, "card_late_3600", request_id="late")
        assert again == paid
        await orders.work()
        assert await standing(orders, order) == ("AWAITING_PAYMENT", "PENDING")
        async with orders.desk.db.connection() as connection:
            await connection.execute("UPDATE sandbox_notification SET due_time = now()")
        await orders.work()
        assert await standing(orders, order) == ("CONFIRMED", "CAPTURED")
        assert await orders.rows_in("sandbox_notification") == 0


async def test_a_late_decline(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.awaiting_payment()
        await orders.pay(order, "card_late_declined_5", request_id="late")
        async with orders.desk.db.connection() as connection:
            await connection.execute("UPDATE sandbox_notification SET due_time = now()")
        await orders.work()
        assert await standing(orders, order) == ("AWAITING_PAYMENT", "DECLINED")
        with refused("FAILED_PRECONDITION", "PAYMENT_DECLINED", decline_code="insufficient_funds"):
            await orders.pay(order, "card_late_declined_5", request_id="late")


async def test_a_duplicated_notification_has_one_effect(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.awaiting_payment()
        await orders.pay(order, "card_duplicated")
        delivered = 0
        for _ in range(4):
            async with orders.desk.db.connection() as connection:
                await connection.execute("UPDATE sandbox_notification SET due_time = now()")
            delivered += await workers.deliver_notifications(orders.desk, orders.sandbox, limit=10)
        assert delivered == 3
        assert await orders.rows_in("payment_notifications") == 1
        causes = [cause for _, _, cause in await orders.history(order)]
        assert causes.count("PaymentAuthorised") == 1
        assert await standing(orders, order) == ("CONFIRMED", "AUTHORISED")


async def test_money_that_comes_after_the_deadline_goes_back(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.awaiting_payment()
        await orders.pay(order, "card_late_after_expiry")
        await orders.pass_deadline(order)
        async with orders.desk.db.connection() as connection:
            due = await connection.fetchval("SELECT due_time FROM sandbox_notification")
        assert due is not None
        await workers.expire_unpaid(orders.desk, limit=10)
        assert await standing(orders, order) == ("EXPIRED", "PENDING")
        for _ in range(2):
            await orders.make_due()
            await orders.work()
        assert await standing(orders, order) == ("EXPIRED", "REFUNDED")
        assert [cause for _, _, cause in await orders.history(order)][-3:] == [
            "PaymentDeadlinePassed",
            "PaymentAuthorised",
            "PaymentRefunded",
        ]
        assert await orders.rows_in("timers") == 0


async def test_the_card_answers_just_after_the_deadline(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.awaiting_payment()
        await orders.pay(order, "card_late_after_expiry")
        async with orders.desk.db.connection() as connection:
            late_s = await connection.fetchval(
                "SELECT extract(epoch FROM n.due_time - o.payment_expire_time)::float8"
                " FROM sandbox_notification AS n JOIN payments USING (payment_id) JOIN orders AS o USING (order_id)"
            )
        assert 1 < late_s < 5


async def test_a_capture_that_fails_first_is_repeated(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.awaiting_payment()
        await orders.pay(order, "card_capture_retry")
        await orders.work()
        assert await standing(orders, order) == ("CONFIRMED", "AUTHORISED")
        assert await orders.rows_in("timers") == 1
        await orders.make_due()
        await orders.work()
        assert await standing(orders, order) == ("CONFIRMED", "CAPTURED")
        assert await orders.rows_in("timers") == 0


async def test_an_answer_that_never_came_is_asked_for(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.awaiting_payment()
        paid = await orders.pay(order, "card_timeout")
        assert payment_name(paid.payment_state) == "PENDING"
        await orders.make_due()
        await workers.work_off(orders.desk, orders.payments, TimerKind.PAYMENT_CHECK, limit=10)
        assert await standing(orders, order) == ("CONFIRMED", "AUTHORISED")


async def test_a_payment_that_the_provider_never_saw_is_declined_for_good(dsn: str) -> None:
    """A crash between storing the payment and calling the provider."""
    async with running(dsn) as orders:
        order = await orders.awaiting_payment()
        asked = paying.PaymentAsked(TENANT, UUID(order.order_id), "request", "token")
        begun = await orders.desk.change(lambda c, changes: paying._begin(c, changes, orders.payments, asked))
        assert begun.payment is not None
        await orders.make_due()
        await workers.work_off(orders.desk, orders.payments, TimerKind.PAYMENT_CHECK, limit=10)
        assert await standing(orders, order) == ("AWAITING_PAYMENT", "DECLINED")
        # Should the call arrive after all, the provider refuses it.
        answer = await orders.sandbox.authorise(
            begun.payment.payment_id, 1, "EUR", "card_authorised", useful_until=order.create_time.ToDatetime()
        )
        assert answer.outcome is Outcome.DECLINED


async def test_an_unpaid_order_expires_by_its_timer(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.awaiting_payment()
        await orders.work()
        assert await standing(orders, order) == ("AWAITING_PAYMENT", "UNSPECIFIED")
        await orders.pass_deadline(order)
        await orders.work()
        assert await standing(orders, order) == ("EXPIRED", "UNSPECIFIED")
        assert [name for name, _ in await orders.outbox(order)][-1] == "OrderExpired"
        assert await orders.rows_in("timers") == 0


async def test_the_deadline_counts_when_the_payment_comes_not_when_the_timer_runs(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.awaiting_payment()
        await orders.pass_deadline(order)
        with refused("FAILED_PRECONDITION", "ORDER_STATE_WRONG", state="EXPIRED"):
            await orders.pay(order, "card_authorised")
        assert await standing(orders, order) == ("EXPIRED", "UNSPECIFIED")
        assert await orders.rows_in("payments") == 0


async def test_expiry_against_payment_exactly_one_wins(dsn: str) -> None:
    async with running(dsn) as orders:
        waiting = [await orders.awaiting_payment() for _ in range(12)]
        for order in waiting:
            await orders.pay(order, "card_late_3600")
        async with orders.desk.db.connection() as connection:
            await connection.execute("UPDATE orders SET payment_expire_time = now() - interval '1 second'")
        await orders.make_due()
        payments = [UUID((await orders.get(order)).payment_id) for order in waiting]
        await asyncio.gather(
            *(paying.settle(orders.desk, payment_id, Answer(Outcome.AUTHORISED)) for payment_id in payments),
            *(workers.expire_unpaid(orders.desk, limit=3) for _ in range(8)),
        )
        await workers.expire_unpaid(orders.desk, limit=100)
        for order in waiting:
            assert await standing(orders, order) in {
                ("CONFIRMED", "AUTHORISED"),
                ("EXPIRED", "REFUND_PENDING"),
            }
            await orders.history(order)
            names = [name for name, _ in await orders.outbox(order)]
            assert names.count("OrderConfirmed") + names.count("OrderExpired") == 1


async def test_two_payments_at_once_one_charges(dsn: str) -> None:
    async with running(dsn) as one, running(dsn) as two:
        order = await one.awaiting_payment()

        async def attempt(orders: Running) -> str:
            try:
                await orders.pay(order, "card_authorised")
            except grpc.aio.AioRpcError as error:
                return error_of(error).reason
            return "paid"

        outcomes = await asyncio.gather(*(attempt(orders) for orders in (one, two) * 4))
        assert outcomes.count("paid") == 1
        assert set(outcomes) <= {"paid", "PAYMENT_IN_PROGRESS", "ORDER_STATE_WRONG"}
        assert await one.rows_in("payments") == 1


async def test_a_provider_that_contradicts_itself_stops_nobody_else(dsn: str) -> None:
    async with running(dsn) as orders:
        odd, other = await orders.awaiting_payment(), await orders.awaiting_payment()
        await orders.pay(odd, "card_late_declined_5")
        await orders.pay(other, "card_late_5")
        payment_id = UUID((await orders.get(odd)).payment_id)
        await paying.settle(orders.desk, payment_id, Answer(Outcome.AUTHORISED))
        async with orders.desk.db.connection() as connection:
            await connection.execute("UPDATE sandbox_notification SET due_time = now()")
        assert await workers.deliver_notifications(orders.desk, orders.sandbox, limit=10) == 2
        assert await standing(orders, odd) == ("CONFIRMED", "AUTHORISED")
        assert await standing(orders, other) == ("CONFIRMED", "AUTHORISED")
        # Its capture cannot succeed at the provider: it is repeated later and later, and never given up.
        assert await workers.work_off(orders.desk, orders.payments, TimerKind.CAPTURE, limit=10) == 2
        assert await standing(orders, other) == ("CONFIRMED", "CAPTURED")
        assert await orders.rows_in("timers") == 1


async def test_a_capture_that_is_refused_for_good_cancels_the_order_before_its_goods_leave(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.awaiting_payment()
        await orders.pay(order, "card_capture_declined")
        await orders.opened(order)
        await orders.work()
        assert await standing(orders, order) == ("CANCELLING", "CAPTURE_FAILED")
        assert (await orders.outbox(order))[-1][0] == "OrderCancellationRequested"
        assert await orders.rows_in("timers") == 0, "nobody asks again"
        alarms = measures.UNPAID_GOODS._value.get()
        await orders.tell(warehouse_events.FulfilmentCancelled(order_id=order.order_id))
        found = await orders.get(order)
        assert (state_name(found.state), found.reason) == ("CANCELLED", "PAYMENT_DECLINED")
        assert await standing(orders, order) == ("CANCELLED", "CAPTURE_FAILED"), (
            "there is nothing to give back"
        )
        assert await orders.rows_in("timers") == 0
        assert measures.UNPAID_GOODS._value.get() == alarms
        assert [cause for _, _, cause in await orders.history(order)][-3:] == [
            "ParcelsAllocated",
            "CaptureDeclined",
            "FulfilmentCancelled",
        ]


async def test_goods_that_have_left_before_the_capture_was_refused_are_an_alarm(dsn: str) -> None:
    async with running(dsn) as orders:
        shipped, packed = [await orders.awaiting_payment() for _ in range(2)]
        for order in (shipped, packed):
            await orders.pay(order, "card_capture_declined")
            [parcel_id] = await orders.opened(order)
            await orders.tell(advanced(order, parcel_id, "PACKED"))
        await orders.tell(advanced(shipped, (await orders.get(shipped)).parcels[0].parcel_id, "SHIPPED"))
        alarms = measures.UNPAID_GOODS._value.get()
        await orders.work()
        assert await standing(orders, shipped) == ("SHIPPED", "CAPTURE_FAILED")
        assert await standing(orders, packed) == ("CANCELLING", "CAPTURE_FAILED")
        assert measures.UNPAID_GOODS._value.get() == alarms + 1
        await orders.tell(warehouse_events.CancellationRefused(order_id=packed.order_id))
        assert await standing(orders, packed) == ("FULFILLING", "CAPTURE_FAILED")
        assert (await orders.get(packed)).reason == ""
        assert measures.UNPAID_GOODS._value.get() == alarms + 2


async def test_an_authorisation_that_was_released_at_the_provider_is_a_capture_that_failed(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.awaiting_payment()
        await orders.pay(order, "card_authorised")
        await orders.sandbox.refund(UUID((await orders.get(order)).payment_id))
        await orders.work()
        assert await standing(orders, order) == ("CANCELLING", "CAPTURE_FAILED")


async def test_a_refused_capture_of_an_order_that_is_cancelled_already_leaves_its_reason(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.awaiting_payment()
        await orders.pay(order, "card_capture_declined")
        await orders.cancel(order)
        await orders.work()
        assert await standing(orders, order) == ("CANCELLING", "CAPTURE_FAILED")
        await orders.tell(warehouse_events.FulfilmentCancelled(order_id=order.order_id))
        assert (await orders.get(order)).reason == "CANCELLED_BY_REQUEST"
