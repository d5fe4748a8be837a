"""The audit's check of access' topics on a real broker: what is told as it is stored passes, all else is named."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest
from sampan.access.v1 import api_key_service_pb2 as key_pb
from sampan.access.v1 import events_pb2 as events_pb

from deploy.audit.access_checks import AccessExamination
from deploy.audit.checks import Result, run
from services.access import events
from services.access.commands import Access
from services.access.domain.keys import KeyContent, Role
from services.access.domain.tenants import TenantState
from services.chassis.envelope import OutboxMessage, encode_headers
from services.chassis.kafka import TopicSpec, ensure_topics, make_producer
from services.chassis.pg import Database
from tests.conftest import DatabaseFactory
from tests.integration.audit.world import catches

pytestmark = [pytest.mark.postgres, pytest.mark.kafka]

TENANT = "bazaar"
ACTOR = "test"


class World:
    """Access with a tenant and a key, and topics of the test's own."""

    def __init__(self, bootstrap: str, dsn: str, database: Database) -> None:
        self._bootstrap = bootstrap
        self._dsn = dsn
        self._database = database
        self._topics = {
            name: f"{name}.{uuid4().hex[:8]}" for name in (events.TENANTS_TOPIC, events.KEYS_TOPIC)
        }
        self.access = Access(
            database,
            tenant_snapshot=events.tenant_snapshot,
            key_snapshot=events.key_snapshot,
            after_commit=lambda: None,
        )

    async def begin(self) -> None:
        """Makes and tells a tenant and a key."""
        await ensure_topics(self._bootstrap, [TopicSpec.snapshots(name, 1) for name in self._topics.values()])
        await self.access.create_tenant(TENANT, "Bazaar", actor=ACTOR)
        content = KeyContent("A key", (Role.STOREFRONT,), (), (), None)
        issued = await self.access.create_key(TENANT, "r1", lambda _: content, actor=ACTOR)
        self.api_key_id = issued.key.api_key_id
        await self.tell(*await self.take())

    async def take(self) -> list[OutboxMessage]:
        """What the outbox holds, taken out of it."""
        async with self._database.connection() as connection:
            rows = await connection.fetch("DELETE FROM outbox RETURNING *")
        return [
            OutboxMessage(
                row["topic"], row["key"], row["aggregate_id"], row["version"], row["type"], row["payload"]
            )
            for row in sorted(rows, key=lambda row: int(row["id"]))
        ]

    async def tell(self, *messages: OutboxMessage) -> None:
        """Sends snapshots, as a relay or a forger would."""
        producer = make_producer(self._bootstrap)
        await producer.start()
        try:
            for one in messages:
                headers = encode_headers(
                    b"/test",
                    event_id=one.event_id,
                    type=one.type,
                    aggregate_id=one.aggregate_id,
                    version=one.version,
                    time=one.time,
                    traceparent=None,
                )
                await producer.send_and_wait(
                    self._topics[one.topic], one.payload, key=one.key.encode(), headers=headers
                )
        finally:
            await producer.stop()

    async def result(self) -> Result:
        """What the audit says."""
        (check,) = AccessExamination(self._bootstrap, self._dsn, topics=self._topics.values()).checks()
        found = await run(check)
        assert found.status != "could not run", found
        return found


@pytest.fixture
async def world(database_factory: DatabaseFactory, kafka_server: str) -> AsyncIterator[World]:
    dsn = database_factory("access")
    database = await Database.open(dsn, pool_size_max=2)
    try:
        made = World(kafka_server, dsn, database)
        await made.begin()
        yield made
    finally:
        await database.close()


async def test_what_is_told_as_it_is_stored_passes(world: World) -> None:
    found = await world.result()
    assert (found.status, found.examined) == ("ok", 3), found


async def test_what_still_waits_in_the_outbox_is_no_fault(world: World) -> None:
    await world.access.move_tenant(TENANT, TenantState.SUSPENDED, actor=ACTOR)
    assert (await world.result()).status == "ok"


async def test_what_an_older_release_could_not_say_is_no_fault(world: World) -> None:
    content = KeyContent("Another", (Role.READER,), (), (), None)
    await world.access.create_key(TENANT, "r2", lambda _: content, actor=ACTOR)
    (message,) = await world.take()
    snapshot = events_pb.ApiKeySnapshot.FromString(message.payload)
    assert snapshot.HasField("limits")
    snapshot.ClearField("limits")
    await world.tell(replace(message, payload=snapshot.SerializeToString()))
    assert (await world.result()).status == "ok"


@catches("12 access")
async def test_a_suspension_that_was_never_told_is_named(world: World) -> None:
    await world.access.move_tenant(TENANT, TenantState.SUSPENDED, actor=ACTOR)
    await world.take()
    found = await world.result()
    assert found.failed == 1
    assert f"{TENANT} is told in version 1, stored is 2" in found.offenders[0]


@catches("12 access")
async def test_a_key_that_was_never_told_is_named(world: World) -> None:
    content = KeyContent("Another", (Role.READER,), (), (), None)
    await world.access.create_key(TENANT, "r2", lambda _: content, actor=ACTOR)
    await world.take()
    found = await world.result()
    assert found.failed == 1
    assert "was never told" in found.offenders[0]


@catches("12 access")
async def test_a_forged_key_is_named(world: World) -> None:
    stranger = events_pb.ApiKeySnapshot(
        tenant_id=TENANT, api_key_id=str(uuid4()), roles=[key_pb.ROLE_ADMINISTRATOR], version=1
    )
    name = f"{TENANT}/{stranger.api_key_id}"
    message = OutboxMessage(
        events.KEYS_TOPIC, name, name, 1, events.KEY_SNAPSHOT, stranger.SerializeToString()
    )
    await world.tell(message)
    found = await world.result()
    assert found.failed == 1
    assert f"{name} is not in the database" in found.offenders[0]


@catches("12 access")
async def test_rights_that_were_widened_under_a_later_version_are_named(world: World) -> None:
    name = f"{TENANT}/{world.api_key_id}"
    widened = events_pb.ApiKeySnapshot(
        tenant_id=TENANT, api_key_id=world.api_key_id, roles=[key_pb.ROLE_ADMINISTRATOR], version=2
    )
    message = OutboxMessage(
        events.KEYS_TOPIC, name, name, 2, events.KEY_SNAPSHOT, widened.SerializeToString()
    )
    await world.tell(message)
    assert "is told in version 2, stored is 1" in (await world.result()).offenders[0]
    # The real second version is no better off: readers keep the first that they are told.
    await world.access.revoke_key(TENANT, world.api_key_id, "", actor=ACTOR)
    await world.tell(*await world.take())
    assert "is told otherwise in version 2" in (await world.result()).offenders[0]
