"""What the catalog tells: full snapshots of products. It listens to nobody.

topic      sampan.catalog.products.v1
owner      catalog
key        tenant_id/product_id, which is the aggregate's id as well
retention  compacted: the newest record of each key, for ever
schema     sampan.catalog.v1.ProductSnapshot
version    the product's; it only grows, and readers may see only the newest
"""

from collections.abc import Mapping, Sequence

from sampan.catalog.v1 import events_pb2 as events_pb

from services.catalog import store
from services.catalog.domain.products import StoredProduct
from services.catalog.wire import product_message
from services.chassis import trace
from services.chassis.envelope import OutboxMessage
from services.chassis.kafka import TopicSpec
from services.chassis.pg import Connection
from services.chassis.snapshots import Page

SOURCE = "/sampan/catalog"
PRODUCTS_TOPIC = "sampan.catalog.products.v1"
PRODUCT_SNAPSHOT = events_pb.ProductSnapshot.DESCRIPTOR.full_name
EVENT_TYPES: dict[str, tuple[str, ...]] = {PRODUCTS_TOPIC: (PRODUCT_SNAPSHOT,)}
"""Every type that is sent, by topic."""


def topics(*, partitions: int, replication: int) -> list[TopicSpec]:
    """The topics that the catalog owns."""
    return [TopicSpec.snapshots(PRODUCTS_TOPIC, partitions, replication)]


def product_snapshots(tenant_id: str, changed: Sequence[StoredProduct]) -> list[OutboxMessage]:
    """One event per changed product, with everything that there is to know of it."""
    traceparent = trace.current_traceparent()
    messages = []
    for stored in changed:
        key = f"{tenant_id}/{stored.product.product_id}"
        snapshot = events_pb.ProductSnapshot(tenant_id=tenant_id, product=product_message(stored))
        messages.append(
            OutboxMessage(
                topic=PRODUCTS_TOPIC,
                key=key,
                aggregate_id=key,
                version=stored.version,
                type=PRODUCT_SNAPSHOT,
                payload=snapshot.SerializeToString(),
                traceparent=traceparent,
                time=stored.update_time,
            )
        )
    return messages


async def _products(connection: Connection, after: str, limit: int) -> list[OutboxMessage]:
    tenant_id, _, product_id = after.partition("/")
    found = await store.lock_products_after(connection, tenant_id, product_id, limit)
    return [message for tenant, products in found for message in product_snapshots(tenant, products)]


SNAPSHOTS: Mapping[str, Page] = {PRODUCTS_TOPIC: _products}
"""What can be told anew."""
