"""Holds on a real database: every path writes what it decided, and the tables stay sound."""

import asyncio
import random

import asyncpg
import pytest

from services.chassis.errors import FieldInvalid
from services.warehouse.domain.holds import HoldState, Intercept
from services.warehouse.errors import HoldNotFound, HoldStateWrong
from tests.integration.warehouse.scene import TENANT, Scene, in_future, order_id, post, reserve, void

pytestmark = pytest.mark.postgres


async def test_reserve_and_post(scene: Scene) -> None:
    await scene.receive({"A": 10})
    order = order_id()
    await scene.run(reserve(order, {"A": 4}))
    assert await scene.level("A") == (10, 4)
    await scene.run(post(order))
    assert await scene.level("A") == (6, 0)
    assert await scene.outbox(order) == ["StockReserved", "ParcelsAllocated"]
    hold = await scene.holds.get(TENANT, order)
    assert (hold.state, hold.version, hold.sourcing) == (
        HoldState.POSTED,
        2,
        "in-country, one parcel, 2-4 days",
    )
    await scene.assert_sound()


async def test_each_batch_tells_what_can_be_promised(scene: Scene) -> None:
    await scene.receive({"A": 10})
    await scene.receive({"A": 5}, "paris")
    await scene.run(*[reserve(order_id(), {"A": 2}) for _ in range(5)])
    rows = await scene.fetch(
        "SELECT version, key FROM outbox WHERE aggregate_id = $1 ORDER BY id", f"{TENANT}/A"
    )
    assert [row["version"] for row in rows] == [1, 2, 3], "one snapshot per batch, growing"


async def test_a_split_order_gets_a_parcel_per_warehouse(scene: Scene) -> None:
    await scene.receive({"A": 1, "B": 1})
    await scene.receive({"A": 2}, "paris")
    order = order_id()
    await scene.run(reserve(order, {"A": 3, "B": 1}), post(order))
    parcels = await scene.fetch(
        "SELECT warehouse_id FROM parcels WHERE order_id = $1 ORDER BY warehouse_id", order
    )
    assert [row["warehouse_id"] for row in parcels] == ["madrid", "paris"]
    await scene.assert_sound()


async def test_a_void_that_comes_first(scene: Scene) -> None:
    await scene.receive({"A": 1})
    order = order_id()
    await scene.run(void(order))
    await scene.run(reserve(order, {"A": 1}))
    assert await scene.level("A") == (1, 0)
    hold = await scene.holds.get(TENANT, order)
    assert (hold.state, hold.rejection) == (HoldState.VOIDED, "VOIDED_BEFORE")
    assert await scene.outbox(order) == ["HoldVoided", "StockRejected"]
    assert (await scene.run(reserve(order, {"A": 1}))).facts == []


async def test_interception_restocks(scene: Scene) -> None:
    await scene.receive({"A": 5})
    order = order_id()
    await scene.run(reserve(order, {"A": 3}), post(order))
    await scene.run(Intercept(order_id=order, tenant_id=TENANT, by_event=True))
    assert await scene.level("A") == (5, 0)
    assert (await scene.outbox(order))[-1] == "FulfilmentCancelled"
    states = await scene.fetch("SELECT state FROM parcels WHERE order_id = $1", order)
    assert [row["state"] for row in states] == ["CANCELLED"]
    await scene.assert_sound()


async def test_the_sweep_expires_what_nobody_uses(scene: Scene) -> None:
    await scene.receive({"A": 9})
    overdue = [order_id() for _ in range(5)]
    await scene.run(*[reserve(order, {"A": 1}, minutes=-1) for order in overdue])
    await scene.run(reserve(order_id(), {"A": 1}))
    overdue_holds, oldest_s = await scene.holds.measure_overdue(100)
    assert overdue_holds == 5
    assert oldest_s == pytest.approx(60, abs=30)
    assert [await scene.holds.expire_overdue(3) for _ in range(3)] == [3, 2, 0]
    assert await scene.level("A") == (9, 1)
    assert await scene.outbox(overdue[0]) == ["StockReserved", "HoldExpired"]
    await scene.assert_sound()


async def test_a_confirmed_order_whose_hold_expired_is_reserved_anew(scene: Scene) -> None:
    await scene.receive({"A": 2})
    order = order_id()
    await scene.run(reserve(order, {"A": 2}, minutes=-1))
    await scene.holds.expire_overdue(10)
    other = order_id()
    await scene.run(reserve(other, {"A": 1}))
    await scene.receive({"A": 1}, "paris")
    changes = await scene.run(post(order, by_event=True))
    assert changes.outcomes[0].result == "revived"
    assert len(changes.opened) == 2
    await scene.assert_sound()


async def test_a_confirmed_order_whose_stock_is_gone_is_rejected(scene: Scene) -> None:
    await scene.receive({"A": 2})
    order = order_id()
    await scene.run(reserve(order, {"A": 2}, minutes=-1))
    await scene.run(reserve(order_id(), {"A": 1}))
    await scene.holds.expire_overdue(10)
    await scene.run(reserve(order_id(), {"A": 1}))
    changes = await scene.run(post(order, by_event=True))
    assert changes.outcomes[0].result == "rejected"
    assert await scene.outbox(order) == ["StockReserved", "HoldExpired", "StockRejected"]
    await scene.assert_sound()


async def test_expiry_against_post_has_one_winner(scene: Scene) -> None:
    await scene.receive({"A": 50})
    orders = [order_id() for _ in range(50)]
    await scene.run(*[reserve(order, {"A": 1}, minutes=-1) for order in orders])
    await asyncio.gather(
        *[scene.run(post(order, by_event=True)) for order in orders],
        *[scene.holds.expire_overdue(5) for _ in range(10)],
    )
    states = await scene.fetch("SELECT hold_state FROM fulfilments")
    assert {row["hold_state"] for row in states} == {"POSTED"}, "goods were there: each order got its own"
    assert await scene.level("A") == (0, 0)
    await scene.assert_sound()


async def test_an_overdue_hold_may_be_used_in_the_batch_that_reserves_it(scene: Scene) -> None:
    await scene.receive({"A": 2})
    order = order_id()
    changes = await scene.run(reserve(order, {"A": 2}, minutes=-1), void(order, by_event=True))
    assert [outcome.result for outcome in changes.outcomes] == ["reserved", "unchanged"]
    assert await scene.outbox(order) == ["StockReserved", "HoldExpired"]
    assert await scene.level("A") == (2, 0)
    await scene.assert_sound()


async def test_extension(scene: Scene) -> None:
    await scene.receive({"A": 2})
    order = order_id()
    await scene.run(reserve(order, {"A": 1}, minutes=10))
    later = in_future(30)
    hold = await scene.holds.extend(TENANT, order, later)
    assert (hold.expire_time, hold.version) == (later, 1)
    with pytest.raises(FieldInvalid):
        await scene.holds.extend(TENANT, order, in_future(20))
    with pytest.raises(FieldInvalid):
        await scene.holds.extend(TENANT, order, in_future(-1))
    with pytest.raises(HoldNotFound):
        await scene.holds.extend("other", order, in_future(60))
    await scene.run(void(order))
    with pytest.raises(HoldStateWrong):
        await scene.holds.extend(TENANT, order, in_future(60))


async def test_the_same_order_twice_at_once_is_reserved_once(scene: Scene) -> None:
    await scene.receive({"A": 100})
    order = order_id()
    await asyncio.gather(
        *[scene.run(reserve(order, {"A": 1}), reserve(order_id(), {"A": 1})) for _ in range(8)]
    )
    assert await scene.level("A") == (100, 9)
    await scene.assert_sound()


async def test_concurrent_transactions_never_oversell(scene: Scene) -> None:
    await scene.receive({"HOT": 100, "A": 40, "B": 1_000})
    await scene.receive({"HOT": 50}, "paris")
    seed = random.randrange(1_000_000)
    choice = random.Random(seed)
    batches = [
        [
            reserve(order_id(), dict.fromkeys(choice.sample(["HOT", "A", "B"], choice.randint(1, 3)), 1))
            for _ in range(20)
        ]
        for _ in range(40)
    ]
    changes = await asyncio.gather(*[scene.run(*batch) for batch in batches])
    reserved = [
        command
        for batch, change in zip(batches, changes, strict=True)
        for command, outcome in zip(batch, change.outcomes, strict=True)
        if outcome.result == "reserved"
    ]
    for sku, units in (("HOT", 150), ("A", 40)):
        sold = sum(line.quantity for command in reserved for line in command.lines if line.sku == sku)
        assert sold == units, f"exactly what there is of {sku}, seed {seed}"
    await asyncio.gather(
        *[
            scene.run(*[(post if n % 2 else void)(c.order_id) for n, c in enumerate(reserved[i::8])])
            for i in range(8)
        ]
    )
    await scene.assert_sound()


async def test_the_database_itself_refuses_to_oversell(scene: Scene) -> None:
    await scene.receive({"A": 1})
    for change in ("reserved = 2", "reserved = -1", "on_hand = -1"):
        async with scene.database.connection() as connection:
            with pytest.raises(asyncpg.CheckViolationError, match="stock_reserved_within_on_hand"):
                await connection.execute(f"UPDATE stock SET {change}")


async def test_first_stock_in_another_warehouse_is_never_lost_from_a_snapshot(scene: Scene) -> None:
    await scene.receive({"A": 1_000})
    await asyncio.gather(
        *[scene.run(reserve(order_id(), {"A": 1})) for _ in range(20)],
        *[scene.receive({"A": 10}, name) for name in ("paris", "xuchang")],
    )
    rows = await scene.fetch(
        "SELECT version, payload FROM outbox WHERE aggregate_id = $1 ORDER BY id", f"{TENANT}/A"
    )
    versions = [row["version"] for row in rows]
    assert versions == sorted(set(versions)), "each snapshot is newer than the one before"
    total = await scene.fetchrow("SELECT sum(version) AS version FROM stock WHERE sku = 'A'")
    assert versions[-1] == total["version"]
    assert all(name in rows[-1]["payload"] for name in (b"madrid", b"paris", b"xuchang"))
