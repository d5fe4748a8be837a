"""Movements of stock: all lines or none, once per request id, large ones quickly."""

import asyncio

import pytest

from services.chassis import request_keys
from services.chassis.errors import RequestIdReused
from services.warehouse.commands.stock import ADJUST, Movement
from services.warehouse.domain.stock import LedgerReason
from services.warehouse.errors import StockInsufficient, StockOwnerMismatch, WarehouseNotFound
from tests.integration.warehouse.scene import MERCHANT, TENANT, Scene, order_id, post, reserve

pytestmark = pytest.mark.postgres


def adjustment(units: dict[str, int], reason: LedgerReason, request_id: str = "a-1") -> Movement:
    return Movement(
        TENANT,
        ADJUST,
        request_id,
        "madrid",
        MERCHANT,
        "C-1",
        reason,
        "operator",
        tuple(units.items()),
        tuple(range(len(units))),
    )


async def test_receiving_is_repeatable(scene: Scene) -> None:
    first = await scene.receive({"B": 2, "A": 5}, request_id="r-1")
    assert [(row.sku, row.on_hand) for row in first.stock] == [("A", 5), ("B", 2)]
    again = await scene.receive({"B": 2, "A": 5}, request_id="r-1")
    assert again == (first.stock, True)
    with pytest.raises(RequestIdReused):
        await scene.receive({"B": 3, "A": 5}, request_id="r-1")
    assert await scene.level("A") == (5, 0)
    await scene.assert_sound()


async def test_the_same_request_at_once_has_one_effect(scene: Scene) -> None:
    moved = await asyncio.gather(*[scene.receive({"A": 5}, request_id="r-1") for _ in range(8)])
    assert sorted(one.replayed for one in moved) == [False] + [True] * 7
    assert await scene.level("A") == (5, 0)


async def test_concurrent_receipts_of_new_skus_add_up(scene: Scene) -> None:
    units = {f"S{number}": 1 for number in range(50)}
    backwards = dict(reversed(units.items()))
    await asyncio.gather(
        *[
            scene.receive(units if number % 2 else backwards, ("madrid", "paris")[number % 2])
            for number in range(8)
        ]
    )
    assert await scene.level("S7") == (4, 0)
    await scene.assert_sound()


async def test_a_refused_line_refuses_all(scene: Scene) -> None:
    await scene.receive({"A": 5, "B": 2})
    await scene.run(reserve(order_id(), {"B": 1}))
    with pytest.raises(StockInsufficient) as refused:
        await scene.stock.move(adjustment({"A": -1, "B": -2}, LedgerReason.DAMAGE))
    assert refused.value.metadata == {"sku": "B", "available": "1", "field": "lines[1].quantity"}
    assert await scene.level("A") == (5, 0)
    await scene.stock.move(adjustment({"A": -1, "B": -1}, LedgerReason.DAMAGE))
    assert await scene.level("B") == (1, 1)
    await scene.assert_sound()


async def test_stock_that_never_was_cannot_be_lost(scene: Scene) -> None:
    with pytest.raises(StockInsufficient):
        await scene.stock.move(adjustment({"A": -1}, LedgerReason.COUNT_LOSS))
    found = await scene.stock.move(adjustment({"A": 3}, LedgerReason.COUNT_GAIN))
    assert [(row.on_hand, row.reserved) for row in found.stock] == [(3, 0)]
    await scene.assert_sound()


async def test_stock_belongs_to_one_merchant(scene: Scene) -> None:
    await scene.receive({"A": 5})
    with pytest.raises(StockOwnerMismatch) as refused:
        await scene.receive({"B": 1, "A": 1}, "paris", merchant_id="toys")
    assert refused.value.metadata == {"sku": "A", "field": "lines[1].sku"}
    await scene.receive({"B": 1}, merchant_id="toys")


async def test_a_wrong_first_receipt_can_be_given_to_the_right_merchant(scene: Scene) -> None:
    await scene.receive({"A": 5})
    await scene.stock.move(adjustment({"A": -5}, LedgerReason.DISPOSE))
    await scene.receive({"A": 3}, "paris", merchant_id="toys")
    with pytest.raises(StockOwnerMismatch):
        await scene.receive({"A": 1})
    owners = await scene.fetch("SELECT DISTINCT merchant_id FROM stock WHERE sku = 'A'")
    assert [row["merchant_id"] for row in owners] == ["toys"]
    await scene.assert_sound()


async def test_a_sku_that_was_sold_keeps_its_merchant(scene: Scene) -> None:
    await scene.receive({"A": 1})
    order = order_id()
    await scene.run(reserve(order, {"A": 1}))
    await scene.run(post(order))
    assert await scene.level("A") == (0, 0)
    with pytest.raises(StockOwnerMismatch):
        await scene.receive({"A": 1}, merchant_id="toys")


async def test_an_unknown_warehouse_takes_nothing(scene: Scene) -> None:
    with pytest.raises(WarehouseNotFound):
        await scene.receive({"A": 5}, "atlantis")


async def test_a_full_receipt_is_booked(scene: Scene) -> None:
    units = {f"SKU-{number}": 10 for number in range(5_000)}
    await scene.receive(units)
    moved = await scene.receive(units)
    assert {row.on_hand for row in moved.stock} == {20}
    assert len(moved.stock) == 5_000
    await scene.assert_sound()


async def test_old_request_ids_are_forgotten(scene: Scene) -> None:
    await scene.receive({"A": 5}, request_id="r-1")
    assert await request_keys.forget(scene.database, older_than_s=3_600, limit=10) == 0
    assert await request_keys.forget(scene.database, older_than_s=0, limit=10) == 1
