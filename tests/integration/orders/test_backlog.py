"""Placements are held back while placed orders wait too long, and only then."""

import pytest
from sampan.orders.v1 import order_service_pb2 as pb

from tests.integration.orders.messages import request_of
from tests.integration.orders.running import UNDECIDED_AGE_S_MAX, UNDECIDED_IGNORED, Running, refused, running
from tests.integration.orders.test_waiting import WAIT_S, pass_time, waiting

pytestmark = pytest.mark.postgres


async def make_late(orders: Running, order: pb.Order) -> None:
    """Lets an order have been placed just before the bound."""
    async with orders.desk.db.connection() as connection:
        await connection.execute(
            "UPDATE orders SET create_time = now() - make_interval(secs => $2) WHERE order_id = $1::text::uuid",
            order.order_id,
            UNDECIDED_AGE_S_MAX + 1,
        )


async def test_late_decisions_hold_placements_back_until_they_are_made(dsn: str) -> None:
    async with running(dsn) as orders:
        late = [await orders.placed() for _ in range(UNDECIDED_IGNORED + 1)]
        for order in late:
            await make_late(orders, order)
        await orders.backlog.sample()
        with refused("RESOURCE_EXHAUSTED", "OVERLOADED", cause="DECISIONS_LATE") as seen:
            await orders.place(request_of())
        assert seen[0].retry_after_s is not None
        await orders.reserved(late[0])
        await orders.backlog.sample()
        await orders.placed()


async def test_what_is_stuck_by_itself_does_not_close_the_door(dsn: str) -> None:
    """However many they are: once they were asked for again they no longer count."""
    async with running(dsn) as orders:
        for _ in range(UNDECIDED_IGNORED + 2):
            await make_late(orders, await orders.placed())
        await orders.backlog.sample()
        with refused("RESOURCE_EXHAUSTED", "OVERLOADED", cause="DECISIONS_LATE"):
            await orders.place(request_of())
        await pass_time(orders, WAIT_S + 1)
        await waiting(orders).look()
        await orders.backlog.sample()
        await orders.placed()


async def test_a_few_that_are_stuck_do_not_close_the_door_at_all(dsn: str) -> None:
    async with running(dsn) as orders:
        for _ in range(UNDECIDED_IGNORED):
            await make_late(orders, await orders.placed())
        await orders.placed()
        await orders.backlog.sample()
        await orders.placed()
