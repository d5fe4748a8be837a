"""What providers say through the door: signed, repeated, late, out of order; and what is refused without an effect."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY
from sampan.orders.v1 import order_service_pb2 as pb
from sampan.orders.v1 import payment_service_pb2 as payment_pb

from services.chassis import signatures
from services.orders import measures, workers
from services.orders.payments.port import Notification
from tests.integration.orders.running import (
    NEW_SECRET,
    OLD_SECRET,
    Running,
    now,
    payment_name,
    refused,
    running,
    state_name,
)

pytestmark = pytest.mark.postgres


def request(
    payment_id: object,
    outcome: str = "authorised",
    *,
    webhook_id: str = "n-1",
    secret: str = NEW_SECRET,
    late_s: float = 0,
    provider: str = "sandbox",
    **fields: Any,
) -> payment_pb.NotifyPaymentRequest:
    """A signed notification."""
    body = json.dumps({"payment_id": str(payment_id), "outcome": outcome} | fields)
    headers = signatures.headers(webhook_id, body, [secret], now() - timedelta(seconds=late_s))
    return payment_pb.NotifyPaymentRequest(
        provider=provider,
        webhook_id=headers[signatures.ID],
        webhook_timestamp=headers[signatures.TIMESTAMP],
        webhook_signature=headers[signatures.SIGNATURE],
        body=body.encode(),
    )


async def waiting(orders: Running, token: str = "card_late_3600") -> tuple[pb.Order, str]:
    """An order whose payment the provider has not answered yet, and the payment's id."""
    order = await orders.pay(await orders.awaiting_payment(), token)
    assert payment_name(order.payment_state) == "PENDING"
    return order, order.payment_id


async def standing(orders: Running, order: pb.Order) -> tuple[str, str]:
    """The order's state and its payment's."""
    found = await orders.get(order)
    return state_name(found.state), payment_name(found.payment_state)


async def make_answers_due(orders: Running) -> None:
    """Makes what the sandbox still has to say due now."""
    async with orders.desk.db.connection() as connection:
        await connection.execute("UPDATE sandbox_notification SET due_time = now()")


def counted(result: str, provider: str = "sandbox") -> float:
    """How many notifications had this result."""
    labels = {"provider": provider, "result": result}
    return REGISTRY.get_sample_value("sampan_orders_payment_notifications_total", labels) or 0.0


async def test_a_notification_confirms_the_order_and_its_repetitions_do_nothing(dsn: str) -> None:
    async with running(dsn) as orders:
        order, payment_id = await waiting(orders)
        accepted = counted("accepted")
        await orders.door.NotifyPayment(request(payment_id))
        assert await standing(orders, order) == ("CONFIRMED", "AUTHORISED")
        history = await orders.history(order)
        # Signed anew, by the older secret, and all at once: it is still the same.
        again = [request(payment_id, late_s=number, secret=OLD_SECRET) for number in range(8)]
        await asyncio.gather(*map(orders.door.NotifyPayment, again))
        assert await orders.history(order) == history
        assert await orders.rows_in("payment_notifications") == 1
        assert counted("accepted") == accepted + 9


async def test_first_notifications_that_come_at_once_have_one_effect(dsn: str) -> None:
    async with running(dsn) as one, running(dsn) as two:
        order, payment_id = await waiting(one)
        sent = [
            orders.door.NotifyPayment(request(payment_id, webhook_id=f"n-{number % 3}"))
            for number in range(12)
            for orders in (one, two)
        ]
        await asyncio.gather(*sent)
        causes = [cause for _, _, cause in await one.history(order)]
        assert causes.count("PaymentAuthorised") == 1
        assert await standing(one, order) == ("CONFIRMED", "AUTHORISED")


async def test_the_sandboxs_late_and_duplicated_answers_come_in_by_the_door(dsn: str) -> None:
    async with running(dsn) as orders:
        late, _ = await waiting(orders, "card_late_60")
        declined, _ = await waiting(orders, "card_late_declined_60")
        duplicated, _ = await waiting(orders, "card_duplicated")

        async def notify(told: Notification) -> None:
            fields: dict[str, Any] = (
                {"decline_code": told.answer.decline_code} if told.answer.decline_code else {}
            )
            await orders.door.NotifyPayment(
                request(
                    told.payment_id, told.answer.outcome.lower(), webhook_id=told.notification_id, **fields
                )
            )

        delivered = 0
        for _ in range(4):
            await make_answers_due(orders)
            delivered += await orders.sandbox.deliver(notify, limit=10)
        assert delivered == 5
        await orders.work()
        assert await standing(orders, late) == ("CONFIRMED", "CAPTURED")
        assert await standing(orders, declined) == ("AWAITING_PAYMENT", "DECLINED")
        assert await standing(orders, duplicated) == ("CONFIRMED", "CAPTURED")
        assert await orders.rows_in("payment_notifications") == 3
        assert await orders.rows_in("timers") == 1, "the deadline of the one that is still unpaid"


async def test_what_comes_by_the_door_and_from_the_sandbox_itself_is_one_notification(dsn: str) -> None:
    async with running(dsn) as orders:
        order, payment_id = await waiting(orders)
        await make_answers_due(orders)
        await workers.deliver_notifications(orders.desk, orders.sandbox, limit=10)
        await orders.door.NotifyPayment(request(payment_id, webhook_id=f"sandbox-{payment_id}"))
        assert await orders.rows_in("payment_notifications") == 1
        assert await standing(orders, order) == ("CONFIRMED", "AUTHORISED")


async def test_an_authorisation_after_the_deadline_goes_back(dsn: str) -> None:
    async with running(dsn) as orders:
        order, payment_id = await waiting(orders)
        await orders.pass_deadline(order)
        await workers.expire_unpaid(orders.desk, limit=10)
        for webhook_id in ("n-1", "n-1", "n-2"):
            await orders.door.NotifyPayment(request(payment_id, webhook_id=webhook_id))
        assert await standing(orders, order) == ("EXPIRED", "REFUND_PENDING")
        await orders.work()
        assert await standing(orders, order) == ("EXPIRED", "REFUNDED")
        await orders.door.NotifyPayment(request(payment_id, "refunded", webhook_id="n-3"))
        await orders.door.NotifyPayment(request(payment_id, webhook_id="n-4"))
        assert await standing(orders, order) == ("EXPIRED", "REFUNDED")


async def test_an_authorisation_of_a_payment_that_was_declined_is_given_back(dsn: str) -> None:
    async with running(dsn) as orders:
        order, payment_id = await waiting(orders)
        await orders.door.NotifyPayment(
            request(payment_id, "declined", decline_code="card_expired", webhook_id="n-1")
        )
        assert await standing(orders, order) == ("AWAITING_PAYMENT", "DECLINED")
        await orders.door.NotifyPayment(request(payment_id, webhook_id="n-2"))
        assert await standing(orders, order) == ("AWAITING_PAYMENT", "REFUND_PENDING")


async def test_what_overtakes_the_authorisation_is_refused_until_that_has_come(dsn: str) -> None:
    async with running(dsn) as orders:
        order, payment_id = await waiting(orders)
        alarms = measures.CONTRADICTIONS._value.get()
        captured = request(payment_id, "captured", webhook_id="n-2")
        with refused("FAILED_PRECONDITION", "PAYMENT_STATE_WRONG", state="PENDING"):
            await orders.door.NotifyPayment(captured)
        assert await orders.rows_in("payment_notifications") == 0
        await orders.door.NotifyPayment(request(payment_id, webhook_id="n-1"))
        await orders.door.NotifyPayment(captured)
        assert await standing(orders, order) == ("CONFIRMED", "CAPTURED")
        assert await orders.rows_in("timers") == 0, "nobody has to collect it any more"
        # The authorisation once more, under another id, after what followed from it.
        await orders.door.NotifyPayment(request(payment_id, webhook_id="n-3"))
        assert await standing(orders, order) == ("CONFIRMED", "CAPTURED")
        assert measures.CONTRADICTIONS._value.get() == alarms, "nobody has to look"


async def test_a_contradiction_is_refused_and_an_alarm(dsn: str) -> None:
    async with running(dsn) as orders:
        order, payment_id = await waiting(orders)
        await orders.door.NotifyPayment(request(payment_id))
        alarms = measures.CONTRADICTIONS._value.get()
        with refused("FAILED_PRECONDITION", "PAYMENT_STATE_WRONG", state="AUTHORISED", cause="DECLINED"):
            await orders.door.NotifyPayment(request(payment_id, "declined", webhook_id="n-2"))
        assert measures.CONTRADICTIONS._value.get() == alarms + 1
        assert await standing(orders, order) == ("CONFIRMED", "AUTHORISED")


async def test_an_id_that_was_used_for_something_else_is_refused(dsn: str) -> None:
    async with running(dsn) as orders:
        _, first = await waiting(orders)
        order, second = await waiting(orders)
        await orders.door.NotifyPayment(request(first))
        for told in (request(second), request(first, "captured")):
            with refused("FAILED_PRECONDITION", "NOTIFICATION_ID_REUSED"):
                await orders.door.NotifyPayment(told)
        assert await standing(orders, order) == ("AWAITING_PAYMENT", "PENDING")
        await orders.door.NotifyPayment(request(second, webhook_id="n-2"))
        assert await standing(orders, order) == ("CONFIRMED", "AUTHORISED")


async def test_a_provider_speaks_of_its_own_payments_only(dsn: str) -> None:
    async with running(dsn) as orders:
        order, payment_id = await waiting(orders)
        prepaid = await orders.confirmed()
        for told in (
            request(uuid4()),
            request(payment_id, provider="external"),
            request(prepaid.payment_id, "refunded"),
        ):
            with refused("NOT_FOUND", "PAYMENT_NOT_FOUND"):
                await orders.door.NotifyPayment(told)
        assert await standing(orders, order) == ("AWAITING_PAYMENT", "PENDING")
        assert await standing(orders, prepaid) == ("CONFIRMED", "CAPTURED")


async def test_what_is_not_signed_by_the_provider_now_has_no_effect(dsn: str) -> None:
    async with running(dsn) as orders:
        order, payment_id = await waiting(orders)
        good = request(payment_id)
        other = request(payment_id, "declined")

        def changed(**fields: Any) -> payment_pb.NotifyPaymentRequest:
            made = payment_pb.NotifyPaymentRequest()
            made.CopyFrom(good)
            made.MergeFrom(payment_pb.NotifyPaymentRequest(**fields))
            return made

        wrong_secret = request(payment_id, secret="whsec_" + "A" * 44)
        for reason, told in (
            ("SIGNATURE_INVALID", wrong_secret),
            ("SIGNATURE_INVALID", changed(body=other.body)),
            ("SIGNATURE_INVALID", changed(body=good.body + b" ")),
            ("SIGNATURE_INVALID", changed(body=b"\xff")),
            ("SIGNATURE_INVALID", changed(webhook_id="n-2")),
            ("SIGNATURE_INVALID", changed(webhook_signature=other.webhook_signature)),
            ("SIGNATURE_INVALID", changed(webhook_signature="v1,")),
            ("SIGNATURE_TIME_WRONG", request(payment_id, late_s=310)),
            ("SIGNATURE_TIME_WRONG", request(payment_id, late_s=-310)),
            ("SIGNATURE_TIME_WRONG", changed(webhook_timestamp="yesterday")),
        ):
            before = counted(reason)
            with refused("UNAUTHENTICATED", reason):
                await orders.door.NotifyPayment(told)
            assert counted(reason) == before + 1
        before = counted("PAYMENT_PROVIDER_NOT_FOUND", "other")
        with refused("NOT_FOUND", "PAYMENT_PROVIDER_NOT_FOUND"):
            await orders.door.NotifyPayment(changed(provider="someone-else"))
        assert counted("PAYMENT_PROVIDER_NOT_FOUND", "other") == before + 1
        assert await standing(orders, order) == ("AWAITING_PAYMENT", "PENDING")
        assert await orders.rows_in("payment_notifications") == 0
        await orders.door.NotifyPayment(good)


async def test_a_signed_body_of_another_form_and_headers_out_of_bounds_are_refused(dsn: str) -> None:
    async with running(dsn) as orders:
        with refused("INVALID_ARGUMENT", "NOTIFICATION_MALFORMED"):
            await orders.door.NotifyPayment(request(uuid4(), "paid"))
        good = request(UUID(int=1))
        for field, value in (
            ("webhook_id", ""),
            ("webhook_id", "x" * 256),
            ("webhook_id", "n\n1"),
            ("webhook_timestamp", ""),
            ("webhook_signature", "v1," * 1_000),
            ("body", b" " * 65_537),
        ):
            told = payment_pb.NotifyPaymentRequest()
            told.CopyFrom(good)
            setattr(told, field, value)
            reason = "FIELD_INVALID" if value else "FIELD_REQUIRED"
            with refused("INVALID_ARGUMENT", reason, field=field):
                await orders.door.NotifyPayment(told)
