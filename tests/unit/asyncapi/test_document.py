"""The AsyncAPI document holds every topic and every message, and is what AsyncAPI's own schema wants."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
import yaml
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor
from jsonschema import Draft7Validator
from sampan.access.v1 import events_pb2 as access_pb
from sampan.catalog.v1 import events_pb2 as catalog_pb
from sampan.orders.v1 import events_pb2 as orders_pb
from sampan.warehouse.v1 import events_pb2 as warehouse_pb

import deploy.asyncapi.__main__ as asyncapi
from deploy.asyncapi import contracts, page, topics
from deploy.site.__main__ import ASYNCAPI_SCHEMA
from services.access import events as access
from services.catalog import events as catalog
from services.gateway import wiring as gateway
from services.orders import events as orders_reads
from services.orders import published as orders
from services.warehouse import events as warehouse

Document = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Document:
    """The document as its readers have it."""
    read: Document = yaml.safe_load(asyncapi.text())
    return read


def test_every_topic_that_a_service_creates_is_a_channel_as_it_is_created(document: Document) -> None:
    created = [
        spec
        for owner in (access, catalog, orders, warehouse)
        for spec in owner.topics(partitions=4, replication=1)
    ]
    assert set(document["channels"]) == {spec.name for spec in created}
    for spec in created:
        channel = document["channels"][spec.name]
        assert channel["address"] == spec.name
        kafka = channel["bindings"]["kafka"]
        assert (kafka["partitions"], kafka["replicas"]) == (spec.partitions, spec.replication)
        told = {
            name: ",".join(value) if isinstance(value, list) else str(value).lower()
            for name, value in kafka["topicConfiguration"].items()
        }
        assert told == {name: value.lower() for name, value in spec.config.items()}


def test_every_topic_that_a_service_names_is_a_channel(document: Document) -> None:
    named = {
        value
        for module in (access, catalog, orders, warehouse, gateway, orders_reads)
        for name, value in inspect.getmembers(module)
        if name.endswith("_TOPIC")
    }
    assert named == set(document["channels"])


def test_every_event_of_the_contracts_is_a_message_of_one_channel(document: Document) -> None:
    events = {
        message.full_name
        for module in (access_pb, catalog_pb, orders_pb, warehouse_pb)
        for message in module.DESCRIPTOR.message_types_by_name.values()
        if not message.name.endswith("EventHead") and message.full_name not in _parts(module.DESCRIPTOR)
    }
    carried = [
        reference["$ref"].removeprefix("#/components/messages/")
        for channel in document["channels"].values()
        for reference in channel["messages"].values()
    ]
    assert sorted(carried) == sorted(events) == sorted(document["components"]["messages"])


def _parts(file: Any) -> set[str]:
    """The messages of a contract that are fields of others."""
    return {
        field.message_type.full_name
        for message in file.message_types_by_name.values()
        for field in message.fields
        if field.message_type is not None
    }


def test_the_schema_of_every_message_compiles_and_is_the_message(document: Document, tmp_path: Any) -> None:
    files = {}
    for name, message in document["components"]["messages"].items():
        files[name] = tmp_path / f"{name}.proto"
        # A package of its own: they repeat each other's types.
        text = message["payload"]["schema"].replace("package sampan.", f"package p{len(files)}.sampan.")
        files[name].write_text(text, encoding="utf-8")
    pool = descriptor_pool.DescriptorPool()
    for file in contracts.describe(list(files.values()), tmp_path).file:
        pool.Add(file)
    for number, name in enumerate(files, 1):
        ours = descriptor_pool.Default().FindMessageTypeByName(name)
        _assert_same(ours, pool.FindMessageTypeByName(f"p{number}.{name}"))


def _assert_same(ours: Descriptor, theirs: Descriptor) -> None:
    assert [(field.name, field.number, field.type, field.is_repeated) for field in ours.fields] == [
        (field.name, field.number, field.type, field.is_repeated) for field in theirs.fields
    ]
    for field, other in zip(ours.fields, theirs.fields, strict=True):
        if field.message_type is not None:
            assert other.message_type is not None
            _assert_same(field.message_type, other.message_type)
        elif field.enum_type is not None:
            assert other.enum_type is not None
            assert field.enum_type.values_by_name.keys() == other.enum_type.values_by_name.keys()


def test_everything_that_is_described_says_what_it_is(document: Document) -> None:
    for message in document["components"]["messages"].values():
        assert message["summary"]
    for kind in contracts.load().kinds.values():
        assert kind.comment, kind.full_name
        for field in kind.fields:
            # buf wants comments on messages; a value that says nothing but that nothing was said needs none.
            assert field.comment or not field.kind, (kind.full_name, field.name)


def test_the_document_fits_the_schema_of_asyncapi(document: Document) -> None:
    if not ASYNCAPI_SCHEMA.exists():
        pytest.skip("AsyncAPI's schema is not installed: `make docs`")
    schema = json.loads(ASYNCAPI_SCHEMA.read_text(encoding="utf-8"))
    faults = [
        f"{list(fault.path)}: {fault.message[:300]}"
        for fault in Draft7Validator(schema).iter_errors(document)
    ]
    assert faults == []
    broken = document | {"channels": {"x": {"address": 1}}}
    assert list(Draft7Validator(schema).iter_errors(broken))


def test_the_page_has_every_topic_message_and_field() -> None:
    loaded = contracts.load()
    text = page.page(topics.all_topics(), loaded)
    for topic in topics.all_topics():
        assert f"\n## {topic.name}\n" in text
        for name in topic.types:
            assert f"`{name}`" in text
            for kind in loaded.used_by(name):
                assert all(f"| `{field.name}` | {field.number} |" in text for field in kind.fields)
