"""Tenants by gRPC over a real PostgreSQL."""

from __future__ import annotations

import pytest
from sampan.access.v1 import events_pb2
from sampan.access.v1 import tenant_service_pb2 as pb

from services.access import events
from tests.conftest import DatabaseFactory
from tests.integration.access.running import ACTOR, TENANT, Client, refused, running

pytestmark = pytest.mark.postgres


def creation(tenant_id: str, display_name: str = "Acme") -> pb.CreateTenantRequest:
    return pb.CreateTenantRequest(tenant_id=tenant_id, display_name=display_name, actor=ACTOR)


async def published(client: Client) -> list[pb.Tenant]:
    rows = await client.rows(
        "SELECT key, version, payload FROM outbox WHERE topic = $1 ORDER BY id", events.TENANTS_TOPIC
    )
    tenants = [events_pb2.TenantSnapshot.FromString(row["payload"]).tenant for row in rows]
    assert [(row["key"], row["version"]) for row in rows] == [(one.tenant_id, one.version) for one in tenants]
    return tenants


async def test_create_get_repeat_and_list(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("access")) as client:
        made = await client.tenants.CreateTenant(creation("bazaar", "Bazaar"))
        assert (made.state, made.version) == (pb.TENANT_STATE_ACTIVE, 1)
        assert await client.tenants.CreateTenant(creation("bazaar", "Bazaar")) == made
        assert await client.tenants.GetTenant(pb.GetTenantRequest(tenant_id="bazaar")) == made
        with refused("ALREADY_EXISTS", "TENANT_EXISTS"):
            await client.tenants.CreateTenant(creation("bazaar", "Another"))
        first = await client.tenants.ListTenants(pb.ListTenantsRequest(page_size=2))
        rest = await client.tenants.ListTenants(pb.ListTenantsRequest(page_token=first.next_page_token))
        listed = [one.tenant_id for one in (*first.tenants, *rest.tenants)]
        assert listed == [TENANT, "bazaar", "platform"]


async def test_a_suspension_is_published_recorded_and_reversible(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("access")) as client:
        suspend = pb.SuspendTenantRequest(tenant_id=TENANT, actor=ACTOR)
        suspended = await client.tenants.SuspendTenant(suspend)
        assert (suspended.state, suspended.version) == (pb.TENANT_STATE_SUSPENDED, 2)
        assert await client.tenants.SuspendTenant(suspend) == suspended
        active = await client.tenants.ActivateTenant(pb.ActivateTenantRequest(tenant_id=TENANT, actor=ACTOR))
        assert (active.state, active.version) == (pb.TENANT_STATE_ACTIVE, 3)
        assert [one.state for one in await published(client)] == [1, 2, 1]
        rows = await client.rows("SELECT action, actor FROM audit WHERE tenant_id = $1 ORDER BY id", TENANT)
        assert [tuple(row) for row in rows] == [
            ("TENANT_CREATED", ACTOR),
            ("TENANT_SUSPENDED", ACTOR),
            ("TENANT_ACTIVATED", ACTOR),
        ]


async def test_wrong_absent_and_reserved_tenants_are_refused(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("access")) as client:
        for tenant_id, name, reason in (
            ("", "A", "FIELD_REQUIRED"),
            ("A", "A", "FIELD_INVALID"),
            ("a", "", "FIELD_REQUIRED"),
            ("a", "\0", "FIELD_INVALID"),
        ):
            with refused("INVALID_ARGUMENT", reason):
                await client.tenants.CreateTenant(creation(tenant_id, name))
        with refused("NOT_FOUND", "TENANT_NOT_FOUND"):
            await client.tenants.SuspendTenant(pb.SuspendTenantRequest(tenant_id="nobody", actor=ACTOR))
        with refused("FAILED_PRECONDITION", "TENANT_RESERVED"):
            await client.tenants.SuspendTenant(pb.SuspendTenantRequest(tenant_id="platform", actor=ACTOR))
        with refused("FAILED_PRECONDITION", "TENANT_RESERVED"):
            await client.tenants.CreateTenant(creation("platform", "Ours"))
