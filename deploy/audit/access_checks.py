"""The check that compares what the gateways are told of tenants and keys with what access has stored."""

from collections.abc import AsyncIterator, Collection
from typing import TypeAlias
from uuid import UUID

from google.protobuf.message import DecodeError, Message
from sampan.access.v1 import events_pb2 as events_pb

from deploy.audit.checks import Check, Connection, Findings, connected
from deploy.audit.topics import Topics
from services.access import events, store
from services.access.domain.tenants import PLATFORM
from services.chassis.envelope import EnvelopeError, Event, OutboxMessage, decode_record

PAGE = 500
FIRST_ID = UUID(int=0)
MESSAGES: dict[str, type[Message]] = {
    events.TENANT_SNAPSHOT: events_pb.TenantSnapshot,
    events.KEY_SNAPSHOT: events_pb.ApiKeySnapshot,
}

Name: TypeAlias = tuple[str, str]
"""(type of snapshot, id of the tenant or key)"""


class AccessExamination:
    """Reads both topics whole: a marketplace has some thousand keys at most."""

    def __init__(
        self,
        bootstrap: str,
        dsn: str,
        *,
        topics: Collection[str] = (events.TENANTS_TOPIC, events.KEYS_TOPIC),
        injected: Collection[tuple[str, int, int]] = frozenset(),
    ) -> None:
        self._bootstrap = bootstrap
        self._dsn = dsn
        self._topics = topics
        self._injected = injected

    def checks(self) -> list[Check]:
        """The one."""
        sentence = "Of each tenant and key, the topic's newest snapshot is what access has stored."
        return [Check("12 access", sentence, self._examine)]

    async def _examine(self) -> Findings:
        findings = Findings()
        told = await self._told(findings)
        async with connected(self._dsn) as connection:
            waiting = {
                row["aggregate_id"] for row in await connection.fetch("SELECT aggregate_id FROM outbox")
            }
            async for stored in _stored(connection):
                findings.examined += 1
                event = told.pop((stored.type, stored.aggregate_id), None)
                if stored.aggregate_id not in waiting and (fault := _judge(stored, event)):
                    findings.blame(f"{stored.topic}: {stored.aggregate_id} {fault}")
        for event in told.values():
            findings.blame(f"{event.topic}: {event.aggregate_id} is not in the database")
        return findings

    async def _told(self, findings: Findings) -> dict[Name, Event]:
        """The newest snapshots, as a gateway would find them."""
        newest: dict[Name, Event] = {}
        async with Topics.opened(self._bootstrap) as topics:
            for topic in self._topics:
                for partition in await topics.partitions(topic):
                    async for record in topics.records(partition):
                        place = (record.topic, record.partition, record.offset)
                        if place in self._injected:
                            continue
                        try:
                            event = decode_record(record)
                        except EnvelopeError as error:
                            findings.blame(f"{'/'.join(map(str, place))}: {error}")
                            continue
                        name = (event.type, event.aggregate_id)
                        if name not in newest or newest[name].version < event.version:
                            newest[name] = event
        return newest


def _judge(stored: OutboxMessage, event: Event | None) -> str | None:
    """What is wrong with the newest snapshot of something stored; None where nothing is."""
    if event is None:
        # Made with the schema and never changed: nobody is told, and nobody has to be.
        return None if stored.aggregate_id == PLATFORM else "was never told"
    if event.version != stored.version:
        return f"is told in version {event.version}, stored is {stored.version}"
    try:
        same = _message(event.type, event.payload) == _message(stored.type, stored.payload)
    except DecodeError as error:
        return f"cannot be read: {error}"
    return None if same else f"is told otherwise in version {event.version} than it is stored"


def _message(type_: str, payload: bytes) -> Message:
    message = MESSAGES[type_].FromString(payload)
    _drop_defaults(message)
    return message


def _drop_defaults(message: Message) -> None:
    """Makes a part that says nothing the same as one that is absent: an older release did not know it."""
    for field, value in message.ListFields():
        if isinstance(value, Message):
            _drop_defaults(value)
            if not value.ByteSize():
                message.ClearField(field.name)


async def _stored(connection: Connection) -> AsyncIterator[OutboxMessage]:
    """Every tenant and every key as its snapshot says it."""
    after = ""
    while tenants := await store.tenants_after(connection, after, PAGE):
        for tenant in tenants:
            yield events.tenant_snapshot(tenant)
            last = FIRST_ID
            while keys := await store.keys_after(connection, tenant.tenant_id, last, PAGE):
                for key in keys:
                    yield events.key_snapshot(key)
                last = UUID(keys[-1].api_key_id)
        after = tenants[-1].tenant_id
