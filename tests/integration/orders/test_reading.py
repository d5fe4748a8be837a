"""Getting, listing and history: pages that neither repeat nor lose an order, and nothing of another tenant."""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sampan.orders.v1 import order_service_pb2 as pb

from services.chassis.pg import Connection
from services.chassis.rpc.status import error_of
from services.orders import rpc
from services.orders.domain.states import FINAL, OrderState
from services.orders.store import reading
from services.orders.store.rows import queries
from tests.integration.orders.messages import MERCHANT, TENANT, product_of, request_of
from tests.integration.orders.running import Running, now, refused, running

pytestmark = pytest.mark.postgres


async def pages(orders: Running, **wanted: Any) -> list[list[str]]:
    """All pages of a list, as order ids."""
    request = pb.ListOrdersRequest(tenant_id=TENANT, **wanted)
    found = []
    while True:
        reply = await orders.stub.ListOrders(request)
        found.append([order.order_id for order in reply.orders])
        if not reply.next_page_token:
            return found
        request.page_token = reply.next_page_token


async def test_pages_newest_first(dsn: str) -> None:
    async with running(dsn) as orders:
        ids = []
        for turn in range(5):
            results = await orders.place(*(request_of(buyer_ref=f"b{turn}") for _ in range(5)))
            ids += [result.order.order_id for result in results]
        found = await pages(orders, page_size=7)
        assert [len(page) for page in found] == [7, 7, 7, 4]
        listed = [order_id for page in found for order_id in page]
        assert sorted(listed) == sorted(ids)
        first = await orders.stub.ListOrders(pb.ListOrdersRequest(tenant_id=TENANT, page_size=100))
        assert [order.order_id for order in first.orders] == listed
        times = [(order.create_time.ToNanoseconds(), order.order_id) for order in first.orders]
        assert times == sorted(times, reverse=True)
        assert first.orders[0] == await orders.get(first.orders[0])
        assert await pages(orders, page_size=25) == [listed]


async def test_filters(dsn: str) -> None:
    async with running(dsn) as orders:
        mine = [(await orders.placed(buyer_ref="me")).order_id for _ in range(3)]
        await orders.placed(buyer_ref="you")
        confirmed = (await orders.confirmed(buyer_ref="you")).order_id
        cancelled = (await orders.cancel(await orders.placed(buyer_ref="me"))).order_id
        assert await pages(orders, buyer_ref="me", state=pb.ORDER_STATE_PENDING) == [mine[::-1]]
        assert await pages(orders, buyer_ref="me", page_size=2) == [[cancelled, mine[2]], [mine[1], mine[0]]]
        assert await pages(orders, state=pb.ORDER_STATE_CONFIRMED) == [[confirmed]]
        assert await pages(orders, state=pb.ORDER_STATE_CANCELLED) == [[cancelled]]
        assert await pages(orders, buyer_ref="nobody") == [[]]
        second = (await orders.get(pb.Order(order_id=mine[1]))).create_time
        assert await pages(orders, create_time_before=second) == [[mine[0]]]
        assert (await pages(orders, create_time_from=second))[0][-1] == mine[1]


async def test_the_list_of_a_merchant_is_that_of_its_tenant_without_the_others_orders(dsn: str) -> None:
    async with running(dsn) as orders:
        for turn in range(4):
            await orders.placed(buyer_ref="me", lines={"FRIDGE": 1})
            await orders.placed(buyer_ref="me")
            wig = await orders.placed(buyer_ref="you")
            if turn % 2:
                await orders.cancel(wig)
        listed = await orders.stub.ListOrders(pb.ListOrdersRequest(tenant_id=TENANT))
        moments = sorted({order.create_time.ToMicroseconds() for order in listed.orders})
        middle = Timestamp()
        middle.FromMicroseconds(moments[len(moments) // 2])
        filters: list[dict[str, Any]] = [
            {},
            {"state": pb.ORDER_STATE_PENDING},
            {"state": pb.ORDER_STATE_CANCELLED},
            {"state": pb.ORDER_STATE_SHIPPED},
            {"create_time_from": middle},
            {"create_time_before": middle, "state": pb.ORDER_STATE_PENDING},
            {"buyer_ref": "me"},
            {"buyer_ref": "you", "state": pb.ORDER_STATE_CANCELLED},
        ]
        for wanted in filters:
            of_all = await orders.stub.ListOrders(pb.ListOrdersRequest(tenant_id=TENANT, **wanted))
            for merchant_id in (MERCHANT, "guangzhou-cold", "nobody"):
                expected = [one.order_id for one in of_all.orders if one.merchant_id == merchant_id]
                for size in (1, 3, 100):
                    found = await pages(orders, merchant_id=merchant_id, page_size=size, **wanted)
                    assert [order_id for page in found for order_id in page] == expected
                    assert len(found) == max(1, -(-len(expected) // size))


async def test_a_page_of_long_orders_ends_early(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE_LINES_MAX", 5)
    async with running(dsn) as orders:
        for _ in range(5):
            await orders.placed()
        assert [len(page) for page in await pages(orders, page_size=4)] == [2, 2, 1]


async def test_a_page_of_large_orders_ends_early(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Chinese character is 3 bytes: lines within their bound can still be more than a message may hold."""
    skus = {f"S{number}": "1" for number in range(100)}
    many = product_of("many", skus, titles={"en": "假" * 500})
    async with running(dsn, products=[many]) as orders:
        ids = []
        for _ in range(6):
            request = request_of(lines={})
            request.lines.extend(pb.PlaceOrderLine(sku=f"S{n % 100}", quantity=1) for n in range(2_000))
            (result,) = await orders.place(request)
            ids.append(result.order.order_id)
        reply = await orders.stub.ListOrders(pb.ListOrdersRequest(tenant_id=TENANT, page_size=6))
        assert 1 < len(reply.orders) < 6
        assert reply.ByteSize() <= rpc.REPLY_BYTES_MAX + 1_000
        found = await pages(orders, page_size=6)
        assert [order_id for page in found for order_id in page] == ids[::-1]
        monkeypatch.setattr(rpc, "REPLY_BYTES_MAX", 1)
        assert await pages(orders, page_size=6) == [[order_id] for order_id in ids[::-1]]


async def test_an_index_leads_to_the_orders_of_any_state(dsn: str) -> None:
    async with running(dsn) as orders, orders.desk.db.connection() as connection:
        await many_orders(connection)
        bounds = (TENANT, datetime(1970, 1, 1, tzinfo=UTC), now(), now(), UUID(int=0), 51)
        for state in OrderState:
            plan = await plan_of(connection, "select_page", *bounds, [state])
            assert "orders_by_state" in plan, plan


async def test_a_page_reads_no_more_than_its_size_in_each_state(dsn: str) -> None:
    async with running(dsn) as orders, orders.desk.db.connection() as connection:
        await many_orders(connection)
        bounds = (TENANT, datetime(1970, 1, 1, tzinfo=UTC), now(), now(), UUID(int=0), 51)
        for states in (
            list(OrderState),
            [OrderState.SHIPPED],
            [OrderState.DELIVERED],
            [OrderState.CANCELLED],
        ):
            for name, index, merchant in (
                ("select_page", "orders_by_state", ()),
                # All of them are cancelled.
                ("select_page_of_merchant", "orders_by_merchant", ("m7", "")),
                ("select_page_of_merchant", "orders_by_merchant", ("nobody", "")),
            ):
                plan = await plan_of(
                    connection, name, *bounds, states, *merchant, how="ANALYZE, TIMING OFF, COSTS OFF"
                )
                [search] = [line for line in plan.splitlines() if index in line]
                [rows] = re.findall(r"actual rows=([\d.]+)", search)
                assert float(rows) <= 51, plan
                assert "Seq Scan" not in plan, plan
                assert "Rows Removed" not in plan, plan


async def test_the_age_of_the_oldest_is_looked_up_and_not_searched(dsn: str) -> None:
    async with running(dsn) as orders, orders.desk.db.connection() as connection:
        await many_orders(connection)
        plan = await plan_of(connection, "select_oldest_waiting", [s for s in OrderState if s not in FINAL])
        assert "orders_unfinished" in plan, plan
        assert "Limit" in plan, plan
        assert "Seq Scan" not in plan, plan
        assert "Aggregate" not in plan, plan
        ages = await reading.oldest_waiting(connection)
        assert sorted(ages) == ["CONFIRMED", "PENDING"]
        assert ages["PENDING"] == pytest.approx(10_000, abs=60)


async def test_open_orders_are_counted_by_their_small_index_and_only_so_far(dsn: str) -> None:
    async with running(dsn) as orders, orders.desk.db.connection() as connection:
        await many_orders(connection)
        waiting = [state for state in OrderState if state not in FINAL]
        plan = await plan_of(connection, "count_open", waiting, 1_000)
        assert "orders_unfinished" in plan, plan
        assert "Limit" in plan, plan
        assert "Seq Scan" not in plan, plan
        counted = await reading.count_open(connection, 1_000)
        assert counted == dict.fromkeys(waiting, 0) | {"PENDING": 1_000, "CONFIRMED": 1_000}
        assert (await reading.count_open(connection, 10_000))["PENDING"] == 2_500


async def many_orders(connection: Connection) -> None:
    """Orders of the last 10,000 seconds, of 20 merchants, in four states, two of them final."""
    await connection.execute(
        """
        INSERT INTO orders (order_id, tenant_id, merchant_id, buyer_ref, currency_code, total_minor, line_count,
                            ship_to, region_code, payment_terms, language_code, create_time, state, version,
                            update_time)
        SELECT gen_random_uuid(), $1, 'm' || n % 20, 'b', 'EUR', 1, 1, '{}', 'ES', 'PREPAID', 'en',
               now() - make_interval(secs => n),
               (ARRAY['PENDING', 'CONFIRMED', 'DELIVERED', 'CANCELLED'])[1 + n % 4], 1, now()
        FROM generate_series(1, 10000) AS n
        """,
        TENANT,
    )
    await connection.execute("ANALYZE orders")


async def plan_of(connection: Connection, name: str, *arguments: object, how: str = "COSTS") -> str:
    """How PostgreSQL would run a statement, or has run it."""
    rows = await connection.fetch(f"EXPLAIN ({how}) {queries()[name]}", *arguments)
    return "\n".join(row[0] for row in rows)


async def test_bad_requests(dsn: str) -> None:
    async with running(dsn) as orders:
        for _ in range(3):
            await orders.placed()
        reply = await orders.stub.ListOrders(pb.ListOrdersRequest(tenant_id=TENANT, page_size=1))
        bad: list[tuple[str, dict[str, Any]]] = [
            ("PAGE_TOKEN_MISMATCH", {"page_token": reply.next_page_token, "buyer_ref": "x"}),
            ("PAGE_TOKEN_MISMATCH", {"page_token": reply.next_page_token, "merchant_id": "x"}),
            ("PAGE_TOKEN_INVALID", {"page_token": "rubbish"}),
            ("FIELD_INVALID", {"page_size": -1}),
            ("FIELD_INVALID", {"state": 99}),
            ("FIELD_INVALID", {"buyer_ref": "x" * 129}),
            ("FIELD_INVALID", {"merchant_id": "x" * 41}),
            ("FIELD_INVALID", {"create_time_from": Timestamp(seconds=-1)}),
        ]
        for reason, changed in bad:
            with refused("INVALID_ARGUMENT", reason):
                await orders.stub.ListOrders(pb.ListOrdersRequest(tenant_id=TENANT, **changed))
        with refused("INVALID_ARGUMENT", "PAGE_TOKEN_MISMATCH"):
            await orders.stub.ListOrders(
                pb.ListOrdersRequest(tenant_id="other", page_token=reply.next_page_token)
            )


async def test_nothing_of_another_tenant(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.placed()
        with refused("NOT_FOUND", "ORDER_NOT_FOUND"):
            await orders.get(order, tenant_id="other")
        with refused("NOT_FOUND", "ORDER_NOT_FOUND"):
            await orders.stub.GetOrderHistory(
                pb.GetOrderHistoryRequest(tenant_id="other", order_id=order.order_id)
            )
        with refused("NOT_FOUND", "ORDER_NOT_FOUND"):
            await orders.stub.PayOrder(
                pb.PayOrderRequest(
                    tenant_id="other",
                    order_id=order.order_id,
                    request_id="r",
                    payment_token="card_authorised",
                )
            )
        reply = await orders.stub.ListOrders(pb.ListOrdersRequest(tenant_id="other"))
        assert not reply.orders
        for order_id, reason in (("", "FIELD_REQUIRED"), ("x", "ORDER_NOT_FOUND")):
            code = "INVALID_ARGUMENT" if reason == "FIELD_REQUIRED" else "NOT_FOUND"
            with refused(code, reason):
                await orders.get(pb.Order(order_id=order_id))


async def test_a_batch_of_readings_answers_each_by_itself(dsn: str) -> None:
    async with running(dsn) as orders:
        wig = await orders.placed()
        asked = [
            pb.GetOrderRequest(tenant_id=TENANT, order_id=wig.order_id),
            pb.GetOrderRequest(tenant_id="another", order_id=wig.order_id),
            pb.GetOrderRequest(tenant_id=TENANT, order_id="no uuid"),
            pb.GetOrderRequest(tenant_id=TENANT),
            pb.GetOrderRequest(tenant_id=TENANT, order_id=wig.order_id),
        ]
        reply = await orders.stub.BatchGetOrders(pb.BatchGetOrdersRequest(requests=asked))
        answers = [
            result.order if result.HasField("order") else error_of(result.error).reason
            for result in reply.results
        ]
        assert answers == [wig, "ORDER_NOT_FOUND", "ORDER_NOT_FOUND", "FIELD_REQUIRED", wig]


async def test_what_would_make_a_batch_of_readings_too_large_is_left_out(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(dsn) as orders:
        wig = await orders.placed()
        monkeypatch.setattr(rpc, "REPLY_BYTES_MAX", 2 * wig.ByteSize())
        asked = [pb.GetOrderRequest(tenant_id=TENANT, order_id=wig.order_id) for _ in range(4)]
        reply = await orders.stub.BatchGetOrders(pb.BatchGetOrdersRequest(requests=asked))
        assert [result.WhichOneof("result") for result in reply.results] == ["order", "order", None, None]
        with refused("INVALID_ARGUMENT", "TOO_MANY_ITEMS"):
            await orders.stub.BatchGetOrders(pb.BatchGetOrdersRequest(requests=asked * 65))
        with refused("INVALID_ARGUMENT", "FIELD_REQUIRED"):
            await orders.stub.BatchGetOrders(pb.BatchGetOrdersRequest())
