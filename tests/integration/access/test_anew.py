"""Tenants and keys told anew, over a real PostgreSQL."""

from __future__ import annotations

import pytest
from sampan.access.v1 import tenant_service_pb2 as pb

from services.access import events
from services.chassis import snapshots
from services.chassis.errors import Unavailable
from tests.conftest import DatabaseFactory
from tests.integration.access.running import ACTOR, TENANT, running
from tests.integration.chassis.anew import a_change_comes_after, told_anew

pytestmark = pytest.mark.postgres


async def test_tenants_and_keys_are_told_anew_as_they_stand(
    database_factory: DatabaseFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(database_factory("access")) as client:
        for tenant_id in ("bazaar", "zebra"):
            await client.tenants.CreateTenant(
                pb.CreateTenantRequest(tenant_id=tenant_id, display_name=tenant_id, actor=ACTOR)
            )
        await client.tenants.SuspendTenant(pb.SuspendTenantRequest(tenant_id="bazaar", actor=ACTOR))
        keys = [
            (await client.create(f"r{number}", tenant_id=tenant_id)).api_key.api_key_id
            for number, tenant_id in enumerate((TENANT, TENANT, TENANT, "zebra", "bazaar"))
        ]
        await client.rotate(keys[0], "rotation")
        await client.revoke(keys[1])
        added = await told_anew(client.database, events.SNAPSHOTS, monkeypatch)
        # The platform's tenant is made with the schema.
        assert added == {events.TENANTS_TOPIC: {"platform"}, events.KEYS_TOPIC: set()}


async def test_a_revocation_meanwhile_is_told_last(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("access")) as client:
        api_key_id = (await client.create()).api_key.api_key_id
        topic = events.KEYS_TOPIC
        page = events.SNAPSHOTS[topic]
        await a_change_comes_after(client.database, topic, page, lambda: client.revoke(api_key_id))
        assert [one.version for one in await client.snapshots()] == [1, 1, 2]


async def test_nothing_is_told_anew_where_nobody_relays_what_waits(
    database_factory: DatabaseFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "WAITING_ROWS_MAX", 1)
    monkeypatch.setattr(snapshots, "ROOM_S_MAX", 0.2)
    async with running(database_factory("access")) as client:
        with pytest.raises(Unavailable, match="OUTBOX_FULL"):
            await snapshots.tell_anew(client.database, events.SNAPSHOTS[events.TENANTS_TOPIC])
        assert len(await client.rows("SELECT FROM outbox")) == 1
