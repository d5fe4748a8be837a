"""The topics as their owners create and fill them, and who reads them: gathered from the services themselves."""

from __future__ import annotations

from dataclasses import dataclass

from services.access import events as access
from services.catalog import events as catalog
from services.chassis.config import DatabaseServiceSettings
from services.chassis.kafka import DAY_MS, TopicSpec
from services.gateway import wiring as gateway
from services.orders import events as orders_reads
from services.orders import published as orders
from services.warehouse import events as warehouse
from services.webhooks import events as webhooks


@dataclass(frozen=True)
class Reader:
    """Who reads a topic: a consumer group, or a process that keeps its own place in it."""

    service: str
    topic: str
    group: str
    """Empty where there is none."""


@dataclass(frozen=True)
class Topic:
    """A topic with its owner. `key` is a pattern over ids, as the records' keys follow it."""

    owner: str
    source: str
    spec: TopicSpec
    key: str
    types: tuple[str, ...]
    readers: tuple[Reader, ...]

    @property
    def name(self) -> str:
        """The topic's name."""
        return self.spec.name

    @property
    def is_compacted(self) -> bool:
        """Whether it keeps the newest record of each key for ever."""
        return self.spec.config["cleanup.policy"] == "compact"

    @property
    def kept(self) -> str:
        """How long its records are kept, in words."""
        if self.is_compacted:
            return "compacted: the newest record of each key, for ever"
        return f"{int(self.spec.config['retention.ms']) // DAY_MS} days"


KEYS = {
    access.TENANTS_TOPIC: "{tenant_id}",
    access.KEYS_TOPIC: "{tenant_id}/{api_key_id}",
    catalog.PRODUCTS_TOPIC: "{tenant_id}/{product_id}",
    orders.ORDERS_TOPIC: "{order_id}",
    warehouse.FULFILMENTS_TOPIC: "{order_id}",
    warehouse.AVAILABILITY_TOPIC: "{tenant_id}/{sku}",
    warehouse.WAREHOUSES_TOPIC: "{tenant_id}/{warehouse_id}",
}
READERS = (
    Reader("orders", orders_reads.FULFILMENTS_TOPIC, orders_reads.FULFILMENTS_GROUP),
    Reader("orders", orders_reads.PRODUCTS_TOPIC, orders_reads.CATALOG_GROUP),
    Reader("warehouse", warehouse.ORDERS_TOPIC, warehouse.GROUP),
    *(Reader("webhooks", topic, webhooks.GROUP) for topic in webhooks.TOPICS),
    Reader("gateway", access.TENANTS_TOPIC, ""),
    Reader("gateway", access.KEYS_TOPIC, ""),
    Reader("gateway", gateway.PRODUCTS_TOPIC, ""),
    Reader("gateway", gateway.AVAILABILITY_TOPIC, ""),
    Reader("gateway", gateway.WAREHOUSES_TOPIC, ""),
    Reader("gateway", gateway.ORDERS_TOPIC, ""),
)


def all_topics() -> list[Topic]:
    """Every topic, as `setup` with default settings would create it."""
    fields = DatabaseServiceSettings.model_fields
    size = {
        "partitions": fields["topic_partitions"].default,
        "replication": fields["topic_replication"].default,
    }
    owners = (
        ("access", access.SOURCE, access.topics(**size), access.EVENT_TYPES),
        ("catalog", catalog.SOURCE, catalog.topics(**size), catalog.EVENT_TYPES),
        ("orders", orders.SOURCE, orders.topics(**size), orders.EVENT_TYPES),
        ("warehouse", warehouse.SOURCE, warehouse.topics(**size), warehouse.EVENT_TYPES),
    )
    return [
        Topic(
            owner,
            source,
            spec,
            KEYS[spec.name],
            types[spec.name],
            tuple(reader for reader in READERS if reader.topic == spec.name),
        )
        for owner, source, specs, types in owners
        for spec in specs
    ]
