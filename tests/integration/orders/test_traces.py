"""A sampled order can be followed by its trace id, through the log and through the events; others cost no line."""

import pytest
from sampan.orders.v1 import order_service_pb2 as pb
from structlog.testing import capture_logs

from tests.integration.orders.messages import request_of
from tests.integration.orders.running import Running, running

pytestmark = pytest.mark.postgres

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE_ID}-b7ad6b7169203331-01"
NOT_SAMPLED = f"00-{TRACE_ID}-b7ad6b7169203331-00"


async def journey(orders: Running, traceparent: str) -> pb.Order:
    """Placed, reserved, paid, captured."""
    (result,) = await orders.place(
        request_of(traceparent=traceparent, payment_terms=pb.PAYMENT_TERMS_PAY_LATER)
    )
    await orders.reserved(result.order)
    await orders.pay(result.order, "card_authorised")
    await orders.work()
    return result.order


async def test_a_sampled_order(dsn: str) -> None:
    async with running(dsn) as orders:
        with capture_logs() as lines:
            order = await journey(orders, SAMPLED)
        followed = [line for line in lines if line.get("trace_id") == TRACE_ID]
        assert {line["order_id"] for line in followed} == {order.order_id}
        assert [line.get("event_type", "OrderPlaced") for line in followed] == [
            "OrderPlaced",
            "OrderAwaitingPayment",
            "OrderProgressed",
            "OrderConfirmed",
            "OrderProgressed",
        ]
        async with orders.desk.db.connection() as connection:
            rows = await connection.fetch("SELECT DISTINCT traceparent FROM outbox")
        assert [row["traceparent"] for row in rows] == [SAMPLED]


async def test_an_order_that_is_not_sampled(dsn: str) -> None:
    async with running(dsn) as orders:
        with capture_logs() as lines:
            await journey(orders, NOT_SAMPLED)
        assert not [line for line in lines if "order_id" in line]
