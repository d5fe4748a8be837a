"""Warehouses and stock told anew, over a real PostgreSQL."""

from __future__ import annotations

import pytest

from services.warehouse import events
from tests.integration.chassis.anew import a_change_comes_after, told_anew
from tests.integration.warehouse.scene import Scene

pytestmark = pytest.mark.postgres


async def test_warehouses_and_stock_are_told_anew_as_they_stand(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.receive({f"S{number}": 10 + number for number in range(5)})
    await scene.receive({"S1": 7, "S/2": 3}, "paris")
    added = await told_anew(scene.database, events.SNAPSHOTS, monkeypatch)
    assert added == {topic: set() for topic in events.SNAPSHOT_TOPICS}


async def test_stock_that_changes_meanwhile_is_told_last(scene: Scene) -> None:
    await scene.receive({"S1": 10})
    topic = events.AVAILABILITY_TOPIC
    page = events.SNAPSHOTS[topic]
    await a_change_comes_after(scene.database, topic, page, lambda: scene.receive({"S1": 1}))
    assert await scene.outbox("acme/S1") == ["AvailabilitySnapshot"] * 3
