"""What the warehouse and the catalog say: whole batches, in order, once; what is impossible is poison."""

import re

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sampan.catalog.v1 import product_service_pb2 as catalog_pb
from sampan.orders.v1 import events_pb2
from sampan.orders.v1 import order_service_pb2 as pb
from sampan.warehouse.v1 import events_pb2 as warehouse_events
from sampan.warehouse.v1 import reservation_service_pb2 as reservation_pb

from services.chassis.errors import DomainError
from services.chassis.ids import uuid7
from services.orders.store.rows import queries
from tests.integration.orders.messages import TENANT, advanced, euros, product_of, request_of
from tests.integration.orders.running import Running, payment_name, refusal, running, state_name

pytestmark = pytest.mark.postgres


async def test_an_order_of_two_parcels_from_placement_to_delivery(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.confirmed()
        first, second = await orders.opened(order, 2)
        steps = [
            (first, "PACKED", "FULFILLING"),
            (first, "SHIPPED", "FULFILLING"),
            (second, "PACKED", "FULFILLING"),
            (first, "DELIVERED", "FULFILLING"),
            (second, "SHIPPED", "SHIPPED"),
            (second, "DELIVERED", "DELIVERED"),
        ]
        for parcel_id, state, expected in steps:
            await orders.tell(advanced(order, parcel_id, state))
            assert state_name((await orders.get(order)).state) == expected
        delivered = await orders.get(order)
        assert [(p.parcel_id, p.state, p.carrier, p.tracking_number) for p in delivered.parcels] == [
            (parcel_id, pb.ORDER_PARCEL_STATE_DELIVERED, "correos", "ES123") for parcel_id in (first, second)
        ]
        events = await orders.outbox(order)
        assert [message.version for _, message in events] == list(range(1, 10))  # type: ignore[attr-defined]
        assert (await orders.history(order))[-1] == (9, "DELIVERED", "ParcelAdvanced")


async def test_many_orders_and_several_events_of_each_in_one_batch(dsn: str) -> None:
    async with running(dsn) as orders:
        results = await orders.place(*(request_of() for _ in range(50)))
        placed = [result.order for result in results]
        parcel_ids = [str(uuid7()) for _ in placed]
        await orders.tell(
            *(warehouse_events.StockReserved(tenant_id=TENANT, order_id=order.order_id) for order in placed),
            *(
                warehouse_events.ParcelsAllocated(
                    tenant_id=TENANT,
                    order_id=order.order_id,
                    parcels=[warehouse_events.AllocatedParcel(parcel_id=parcel_id, warehouse_id="mad")],
                )
                for order, parcel_id in zip(placed, parcel_ids, strict=True)
            ),
            *(
                advanced(order, parcel_id, state)
                for state in ("PACKED", "SHIPPED", "DELIVERED")
                for order, parcel_id in zip(placed, parcel_ids, strict=True)
            ),
        )
        for order in placed:
            now = await orders.get(order)
            assert (state_name(now.state), now.version) == ("DELIVERED", 6)
            assert payment_name(now.payment_state) == "CAPTURED"
            assert len(await orders.history(order)) == 6
        assert await orders.rows_in("outbox") == 300


async def test_an_order_that_cannot_be_reserved(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.placed()
        await orders.tell(
            warehouse_events.StockRejected(
                tenant_id=TENANT,
                order_id=order.order_id,
                reason=reservation_pb.REJECTION_REASON_STOCK_INSUFFICIENT,
                shortages=[reservation_pb.Shortage(sku="WIG-18", requested=2, available=1)],
            )
        )
        rejected = await orders.get(order)
        assert (state_name(rejected.state), rejected.reason) == ("REJECTED", "STOCK_INSUFFICIENT")
        name, event = (await orders.outbox(order))[-1]
        assert name == "OrderRejected"
        assert isinstance(event, events_pb2.OrderRejected)
        assert event.reason == "STOCK_INSUFFICIENT"


async def test_stock_that_is_gone_after_confirmation_cancels_and_refunds(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.awaiting_payment()
        await orders.pay(order, "card_authorised")
        await orders.tell(warehouse_events.HoldExpired(tenant_id=TENANT, order_id=order.order_id))
        assert state_name((await orders.get(order)).state) == "CONFIRMED"
        await orders.tell(
            warehouse_events.StockRejected(
                tenant_id=TENANT,
                order_id=order.order_id,
                reason=reservation_pb.REJECTION_REASON_STOCK_INSUFFICIENT,
            )
        )
        lost = await orders.get(order)
        assert (state_name(lost.state), lost.reason) == ("CANCELLED", "STOCK_LOST")
        assert payment_name(lost.payment_state) == "REFUND_PENDING"
        await orders.work()
        refunded = await orders.get(order)
        assert payment_name(refunded.payment_state) == "REFUNDED"
        # The capture was still to be made; it must not be made any more.
        assert await orders.rows_in("timers") == 0
        async with orders.desk.db.connection() as connection:
            assert await connection.fetchval("SELECT state FROM sandbox_payment") == "REFUNDED"


async def test_an_expired_hold_ends_an_order_that_is_not_paid(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.awaiting_payment()
        await orders.tell(warehouse_events.HoldExpired(tenant_id=TENANT, order_id=order.order_id))
        assert state_name((await orders.get(order)).state) == "EXPIRED"
        assert await orders.rows_in("timers") == 0


async def test_holds_of_others_are_left_alone(dsn: str) -> None:
    async with running(dsn) as orders:
        await orders.tell(warehouse_events.StockReserved(tenant_id=TENANT, order_id=str(uuid7())))


async def test_the_impossible_is_poison_and_changes_nothing(dsn: str) -> None:
    async with running(dsn) as orders:
        good, bad = await orders.placed(), await orders.placed()
        for impossible in (
            warehouse_events.ParcelsAllocated(tenant_id=TENANT, order_id=bad.order_id),
            advanced(bad, str(uuid7()), "PACKED"),
            advanced(bad, "no-uuid", "PACKED"),
            warehouse_events.StockReserved(tenant_id=TENANT, order_id="no-uuid"),
        ):
            with pytest.raises(DomainError):
                await orders.tell(
                    warehouse_events.StockReserved(tenant_id=TENANT, order_id=good.order_id), impossible
                )
        assert (await orders.get(good)).version == 1
        assert (await orders.get(bad)).version == 1


# What the catalog says.


async def price_of(orders: Running, sku: str) -> str:
    """The price of a SKU in cents, or the reason why it cannot be ordered."""
    (result,) = await orders.place(request_of(lines={sku: 1}))
    if result.HasField("error"):
        return refusal(result).reason
    return f"{result.order.total.units * 100 + result.order.total.nanos // 10_000_000}"


async def test_offers_follow_the_newest_snapshot(dsn: str) -> None:
    async with running(dsn, products=[product_of("wig", {"A": "1", "B": "2"})]) as orders:
        assert [await price_of(orders, sku) for sku in "AB"] == ["100", "200"]
        await orders.offer(
            product_of("wig", {"A": "3"}, version=3), product_of("wig", {"A": "9", "B": "9"}, version=2)
        )
        assert [await price_of(orders, sku) for sku in "AB"] == ["300", "SKU_UNKNOWN"]
        # A stale snapshot neither changes a price nor brings back what was dropped.
        await orders.offer(product_of("wig", {"A": "5", "B": "5"}, version=2))
        assert [await price_of(orders, sku) for sku in "AB"] == ["300", "SKU_UNKNOWN"]
        await orders.offer(
            product_of("wig", {"A": "3"}, version=4, status=catalog_pb.PRODUCT_STATUS_ARCHIVED)
        )
        assert await price_of(orders, "A") == "SKU_UNKNOWN"
        await orders.offer(product_of("wig", {"B": "0.07"}, version=5))
        assert [await price_of(orders, sku) for sku in "AB"] == ["SKU_UNKNOWN", "7"]


async def test_a_sku_that_changes_its_product_in_any_order_of_arrival(dsn: str) -> None:
    def at(second: int) -> Timestamp:
        return Timestamp(seconds=1_780_000_000 + second)

    before = product_of("old", {"X": "1"}, version=1, update_time=at(0))
    dropped = product_of("old", {"Y": "1"}, version=2, update_time=at(1))
    taken = product_of("new", {"X": "2"}, version=1, update_time=at(2))
    for order in ([before, dropped, taken], [before, taken, dropped], [taken, before, dropped]):
        for one_batch in (True, False):
            tenant_id = f"t{order.index(taken)}{one_batch:d}"
            async with running(dsn, products=[]) as orders:
                for products in [order] if one_batch else [[product] for product in order]:
                    await orders.offer(*products, tenant_id=tenant_id)
                async with orders.desk.db.connection() as connection:
                    rows = await connection.fetch(
                        "SELECT sku, product_id FROM offers WHERE tenant_id = $1 ORDER BY sku", tenant_id
                    )
                assert [tuple(row) for row in rows] == [("X", "new"), ("Y", "old")], (order, one_batch)


async def test_a_batch_of_snapshots_looks_at_its_own_offers_alone(dsn: str) -> None:
    """Among many offers the planner once read all of them for every batch, and every pair within the batch."""
    async with running(dsn) as orders, orders.desk.db.connection() as connection:
        await connection.execute(
            """
            INSERT INTO offers (tenant_id, sku, product_id, merchant_id, titles, prices, hs_code, origin_region_code,
                                weight_grams, hazardous, on_sale, status, product_version, product_update_time)
            SELECT $1, 's' || n, 'p' || n, 'm', '{}', '{}', '', 'CN', 1, false, true, 'ACTIVE', 1, now()
            FROM generate_series(1, 20000) AS n
            """,
            TENANT,
        )
        await connection.execute("ANALYZE offers")
        tenants, products, skus = (
            [TENANT] * 200,
            [f"p{n}" for n in range(200)],
            [f"s{n}" for n in range(200)],
        )
        for name, arguments in (
            ("lock_offers", (tenants, products, tenants, skus)),
            ("delete_dropped_offers", (tenants, products, tenants, products, skus)),
        ):
            rows = await connection.fetch(f"EXPLAIN (ANALYZE) {queries()[name]}", *arguments)
            plan = "\n".join(row[0] for row in rows)
            dismissed = [int(count) for count in re.findall(r"Rows Removed by .*: (\d+)", plan)]
            assert sum(dismissed) < 400, plan
            assert "Seq Scan" not in plan, plan


async def test_a_placed_order_keeps_its_price(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.placed(lines={"WIG-18": 1})
        await orders.offer(product_of("bob-wig", {"WIG-18": "1"}, version=2))
        assert (await orders.get(order)).total == euros("119.50")
        assert (await orders.placed(lines={"WIG-18": 1})).total == euros("1")
