"""What access tells: full snapshots of tenants and keys. It listens to nobody.

topic      sampan.access.tenants.v1            sampan.access.keys.v1
owner      access                              access
key        tenant_id                           tenant_id/api_key_id; both are the aggregate's id as well
retention  compacted: the newest record of each key, for ever
schema     sampan.access.v1.TenantSnapshot     sampan.access.v1.ApiKeySnapshot
version    the tenant's or the key's; it only grows, and readers may see only the newest

Who may write to these topics can open every door, and who may read them learns who has keys, but no secret.
"""

from collections.abc import Mapping
from uuid import UUID

from sampan.access.v1 import events_pb2 as events_pb

from services.access import store, wire
from services.access.domain.keys import ApiKey
from services.access.domain.tenants import Tenant
from services.chassis import trace
from services.chassis.envelope import OutboxMessage
from services.chassis.kafka import TopicSpec
from services.chassis.pg import Connection
from services.chassis.snapshots import Page

SOURCE = "/sampan/access"
TENANTS_TOPIC = "sampan.access.tenants.v1"
KEYS_TOPIC = "sampan.access.keys.v1"
TENANT_SNAPSHOT = events_pb.TenantSnapshot.DESCRIPTOR.full_name
KEY_SNAPSHOT = events_pb.ApiKeySnapshot.DESCRIPTOR.full_name

EVENT_TYPES: dict[str, tuple[str, ...]] = {TENANTS_TOPIC: (TENANT_SNAPSHOT,), KEYS_TOPIC: (KEY_SNAPSHOT,)}
"""Every type that is sent, by topic."""


def topics(*, partitions: int, replication: int) -> list[TopicSpec]:
    """The topics that access owns."""
    return [TopicSpec.snapshots(name, partitions, replication) for name in (TENANTS_TOPIC, KEYS_TOPIC)]


def tenant_snapshot(tenant: Tenant) -> OutboxMessage:
    """Everything that there is to know of a tenant."""
    return OutboxMessage(
        topic=TENANTS_TOPIC,
        key=tenant.tenant_id,
        aggregate_id=tenant.tenant_id,
        version=tenant.version,
        type=TENANT_SNAPSHOT,
        payload=wire.tenant_snapshot(tenant).SerializeToString(),
        traceparent=trace.current_traceparent(),
        time=tenant.update_time,
    )


def key_snapshot(key: ApiKey) -> OutboxMessage:
    """What is needed to know a key's secrets and what it may do."""
    name = f"{key.tenant_id}/{key.api_key_id}"
    return OutboxMessage(
        topic=KEYS_TOPIC,
        key=name,
        aggregate_id=name,
        version=key.version,
        type=KEY_SNAPSHOT,
        payload=wire.key_snapshot(key).SerializeToString(),
        traceparent=trace.current_traceparent(),
        time=key.update_time,
    )


async def _tenants(connection: Connection, after: str, limit: int) -> list[OutboxMessage]:
    return [tenant_snapshot(one) for one in await store.tenants_after(connection, after, limit, lock=True)]


async def _keys(connection: Connection, after: str, limit: int) -> list[OutboxMessage]:
    tenant_id, _, api_key_id = after.partition("/")
    last = UUID(api_key_id) if api_key_id else UUID(int=0)
    return [key_snapshot(one) for one in await store.lock_keys_after(connection, tenant_id, last, limit)]


SNAPSHOTS: Mapping[str, Page] = {TENANTS_TOPIC: _tenants, KEYS_TOPIC: _keys}
"""What can be told anew."""
