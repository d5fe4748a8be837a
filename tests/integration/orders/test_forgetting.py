"""Request ids and notifications are kept for as long as they can be repeated, and no longer."""

from typing import Any

import pytest
from prometheus_client import REGISTRY

from services.chassis.pg import Connection
from services.chassis.queries import load_queries
from services.orders import workers
from services.orders.store.rows import queries
from tests.integration.orders.messages import request_of
from tests.integration.orders.running import Running, refused, running

pytestmark = pytest.mark.postgres

TTL_S = 48 * 3_600.0


async def aged(orders: Running, table: str, column: str, where: str, *arguments: Any) -> None:
    """Makes some rows 60 days older."""
    async with orders.desk.db.connection() as connection:
        await connection.execute(
            f"UPDATE {table} SET {column} = {column} - interval '60 days' WHERE {where}", *arguments
        )


async def test_request_ids_of_every_route_are_forgotten_in_time(dsn: str) -> None:
    async with running(dsn) as orders:
        old, new = request_of(request_id="old"), request_of(request_id="new")
        first, second = await orders.place(old, new)
        await orders.cancel(first.order, request_id="old cancel")
        waiting = await orders.awaiting_payment(request_id="old too")
        await orders.pay(waiting, "card_authorised", request_id="old pay")
        await aged(orders, "request_key", "create_time", "request_id LIKE 'old%'")
        name = "sampan_orders_request_keys_forgotten_total"
        before = REGISTRY.get_sample_value(name) or 0.0
        assert await workers.forget_requests(orders.desk, older_than_s=TTL_S, limit=3) == 3
        assert await workers.forget_requests(orders.desk, older_than_s=TTL_S, limit=3) == 1
        assert await workers.forget_requests(orders.desk, older_than_s=TTL_S, limit=3) == 0
        assert REGISTRY.get_sample_value(name) == before + 4
        assert await orders.rows_in("request_key") == 1
        (again,) = await orders.place(new)
        assert again.replayed
        assert again.order == second.order
        (anew,) = await orders.place(old)
        assert not anew.replayed
        assert anew.order.order_id != first.order.order_id
        # What was cancelled or paid is not so a second time, with or without its request id.
        with refused("FAILED_PRECONDITION", "ORDER_STATE_WRONG"):
            await orders.pay(waiting, "card_authorised", request_id="old pay")


async def test_notifications_are_forgotten_where_the_payment_is_through(dsn: str) -> None:
    async with running(dsn) as orders, orders.desk.db.connection() as connection:
        for state in ("PENDING", "AUTHORISED", "CAPTURED", "DECLINED", "REFUND_PENDING", "REFUNDED"):
            for age_days in (1, 60):
                await connection.execute(NOTIFIED, state, f"{state} {age_days}", age_days)
        assert await workers.forget_notifications(orders.desk, limit=2) == 2
        assert await workers.forget_notifications(orders.desk, limit=2) == 1
        left = await connection.fetch("SELECT notification_id FROM payment_notifications")
        assert {row[0] for row in left if row[0].endswith(" 60")} == {
            "PENDING 60",
            "AUTHORISED 60",
            "REFUND_PENDING 60",
        }
        assert len(left) == 9


NOTIFIED = """
WITH paid AS (
    INSERT INTO payments (payment_id, order_id, tenant_id, provider, state, amount_minor, currency_code)
    VALUES (gen_random_uuid(), gen_random_uuid(), 't', 'sandbox', $1, 1, 'EUR') RETURNING payment_id
)
INSERT INTO payment_notifications (notification_id, payment_id, outcome, receive_time)
SELECT $2, payment_id, 'AUTHORISED', now() - make_interval(days => $3) FROM paid
"""


@pytest.mark.parametrize(
    ("name", "index", "arguments"),
    [
        ("forget_request_keys", "request_key_by_age", (TTL_S, 1_000)),
        ("delete_notifications", "payment_notifications_by_age", (TTL_S, 1_000)),
    ],
)
async def test_an_index_leads_to_what_is_old(
    dsn: str, name: str, index: str, arguments: tuple[object, ...]
) -> None:
    async with running(dsn) as orders, orders.desk.db.connection() as connection:
        await connection.execute("SET enable_seqscan = off")
        assert index in await plan_of(connection, name, *arguments)


async def plan_of(connection: Connection, name: str, *arguments: object) -> str:
    """How PostgreSQL would run a statement."""
    statement = {**load_queries("services.chassis"), **queries()}[name]
    rows = await connection.fetch(f"EXPLAIN {statement}", *arguments)
    return "\n".join(row[0] for row in rows)
