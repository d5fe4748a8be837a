"""Which events become deliveries, over a real PostgreSQL: those of tenants who listen."""

from __future__ import annotations

import pytest
from sampan.orders.v1 import events_pb2 as orders_pb
from sampan.orders.v1 import order_service_pb2 as order_pb

from services.chassis.consumer import Event
from services.chassis.errors import EventMalformed
from services.chassis.ids import uuid7
from services.webhooks.events import Telling
from tests.conftest import DatabaseFactory
from tests.integration.webhooks.running import TENANT, running

pytestmark = pytest.mark.postgres


def confirmed(tenant_id: str, state: int = order_pb.ORDER_STATE_CONFIRMED) -> Event:
    """An order was paid for."""
    message = orders_pb.OrderConfirmed(
        tenant_id=tenant_id,
        merchant_id="m",
        order_id="o",
        version=2,
        state=state,  # type: ignore[arg-type]
    )
    return Event(
        topic="t",
        partition=0,
        offset=0,
        key="o",
        type=message.DESCRIPTOR.full_name,
        aggregate_id="o",
        version=2,
        payload=message.SerializeToString(),
        traceparent=None,
        event_id=uuid7(),
        time_ms=0,
    )


async def test_only_tenants_with_an_endpoint_are_told_and_only_then_is_the_sender_woken(
    database_factory: DatabaseFactory,
) -> None:
    woken: list[None] = []
    telling = Telling(after_made=lambda: woken.append(None))
    async with running(database_factory("webhooks")) as client:

        async def consume(*events: Event) -> None:
            await client.database.transact(lambda connection: telling.handle(connection, events))
            telling.after_commit()

        listening = (await client.create("https://shop.example/hook")).endpoint.endpoint_id
        await client.create("https://shop.example/hook", "order.cancelled", tenant_id="picky")
        await consume(confirmed("silent"), confirmed("picky"))
        assert not woken
        await consume(confirmed(TENANT), confirmed("silent"), confirmed(TENANT))
        assert len(woken) == 1
        await consume(confirmed("silent"))
        assert len(woken) == 1
        assert [one.event_type for one in await client.log(listening)] == ["order.confirmed"] * 2
        async with client.database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM deliveries") == 2

        # A state of a newer release: parked where somebody would be told of it, and of no matter where nobody would.
        await consume(confirmed("silent", state=99))
        with pytest.raises(EventMalformed):
            await consume(confirmed(TENANT, state=99))
