"""The AsyncAPI document against a running system: its topics, their settings, and what is in their records."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from google.protobuf import json_format, symbol_database
from jsonschema import Draft202012Validator
from sampan.access.v1 import events_pb2 as access_pb
from sampan.catalog.v1 import events_pb2 as catalog_pb
from sampan.orders.v1 import events_pb2 as orders_pb
from sampan.warehouse.v1 import events_pb2 as warehouse_pb

from deploy.asyncapi import contracts, topics
from deploy.asyncapi.document import document
from tests.e2e.conftest import Shop, order_body

pytestmark = [pytest.mark.stack]

CONTRACTS = (access_pb, catalog_pb, orders_pb, warehouse_pb)
Document = dict[str, Any]


@pytest.fixture(scope="module")
def told() -> Document:
    """The document."""
    return document(topics.all_topics(), contracts.load())


async def test_the_broker_has_the_documents_channels_with_their_settings(shop: Shop, told: Document) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=shop.stack.bootstrap)
    await admin.start()
    try:
        names = {name for name in await admin.list_topics() if name.startswith("sampan.")}
        assert names == set(told["channels"])
        for described in await admin.describe_topics(sorted(names)):
            kafka = told["channels"][described["topic"]]["bindings"]["kafka"]
            assert len(described["partitions"]) == kafka["partitions"]
        for name in names:
            wanted = told["channels"][name]["bindings"]["kafka"]["topicConfiguration"]
            (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
            ((_, _, _, _, entries),) = answer.resources
            found = {entry[0]: entry[1] for entry in entries}
            for setting, value in wanted.items():
                text = ",".join(value) if isinstance(value, list) else str(value)
                assert found[setting].lower() == text.lower(), (name, setting)
    finally:
        await admin.close()


async def test_the_records_of_an_order_are_what_the_document_says(shop: Shop, told: Document) -> None:
    sku = shop.new_sku()
    order = shop.place(order_body((sku, 1), payment_terms="prepaid"))
    assert order["state"] == "confirmed"
    keys = {order["order_id"], f"demo/{sku}", f"demo/{sku.lower()}", "demo/madrid"}
    # The events of its parcels follow in their own time.
    shop.eventually(lambda: shop.order(order["order_id"])["parcels"])

    seen: dict[str, set[str]] = {name: set() for name in told["channels"]}
    for record in await _records(shop.stack.bootstrap, list(told["channels"])):
        if record.key.decode() not in keys:
            continue
        headers = {name: value.decode() for name, value in record.headers}
        channel = told["channels"][record.topic]
        carried = {
            reference["$ref"].rpartition("/")[2]: reference for reference in channel["messages"].values()
        }
        assert headers["ce_type"] in carried
        message = told["components"]["messages"][headers["ce_type"]]
        Draft202012Validator(message["headers"]).validate(headers)
        assert headers["ce_subject"] == record.key.decode()
        kind = symbol_database.Default().GetSymbol(headers["ce_type"])
        value = kind.FromString(record.value)
        # A message of another type would leave fields that this one does not know.
        assert json_format.MessageToDict(value)
        assert value.SerializeToString() == record.value
        seen[record.topic].add(headers["ce_type"].rpartition(".")[2])
    assert seen["sampan.orders.orders.v1"] >= {"OrderPlaced", "OrderConfirmed"}
    assert seen["sampan.warehouse.fulfilments.v1"] >= {"StockReserved", "ParcelsAllocated"}
    assert seen["sampan.catalog.products.v1"] == {"ProductSnapshot"}
    assert seen["sampan.warehouse.availability.v1"] == {"AvailabilitySnapshot"}
    assert seen["sampan.warehouse.warehouses.v1"] == {"WarehouseSnapshot"}


async def _records(bootstrap: str, names: list[str]) -> list[Any]:
    """Everything that the topics hold now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        parts = [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in await _described(bootstrap, names)
            for partition in topic["partitions"]
        ]
        consumer.assign(parts)
        begins = await consumer.beginning_offsets(parts)
        ends = await consumer.end_offsets(parts)
        for part in parts:
            consumer.seek(part, begins[part])
        records: list[Any] = []
        while any([await consumer.position(part) < ends[part] for part in parts]):
            for batch in (await consumer.getmany(timeout_ms=1000)).values():
                records += batch
        return records
    finally:
        await consumer.stop()


async def _described(bootstrap: str, names: list[str]) -> list[Any]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        return list(await admin.describe_topics(names))
    finally:
        await admin.close()
