"""The AsyncAPI 3 document, as JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deploy.asyncapi.contracts import Contracts, Kind, relative
from deploy.asyncapi.topics import Topic
from services.chassis.envelope import PAYLOAD_BYTES_MAX, VERSION_MAX
from services.gateway.openapi import API_VERSION

Json = dict[str, Any]

ASYNCAPI = "3.0.0"
BINDING = "0.5.0"
CONTENT_TYPE = "application/protobuf"
SCHEMA_FORMAT = "application/vnd.google.protobuf;version=3"

INTRODUCTION = f"""\
Every topic of Sampan: who owns it, its key, its events, how long it keeps them, and who reads it.

* A record's value is one protobuf message, the one that the header `ce_type` names: at most {PAYLOAD_BYTES_MAX:,} B.
* The headers are CloudEvents 1.0 attributes (Kafka protocol binding, binary mode) and W3C trace context, all of them
  UTF-8 text.
* Records of one key are in the order of `ce_aggregateversion`. An event may come more than once, with the same version:
  keep the last version of each key that you applied, and drop what is not beyond it.
* Topics of events have no gaps in their versions; topics of snapshots have: each record tells the whole state.
* Event types are added as time goes by: pass over those that you do not know. Fields are added, never changed.
* No event holds personal data. Names and addresses are to be had from the HTTP API only.
"""


def document(topics: Sequence[Topic], contracts: Contracts) -> Json:
    """The document of these topics."""
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": "Sampan events",
            "version": API_VERSION,
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "The installation's brokers; by their access rules each topic has one writer.",
                "variables": {
                    "bootstrap": {
                        "default": "127.0.0.1:9092",
                        "description": "`KAFKA_BOOTSTRAP` of the services.",
                    }
                },
            }
        },
        "channels": {topic.name: _channel(topic, contracts) for topic in topics},
        "operations": _operations(topics),
        "components": {
            "messages": {
                full_name: _message(topic, contracts.kinds[full_name], contracts)
                for topic in topics
                for full_name in topic.types
            },
        },
    }


def _channel(topic: Topic, contracts: Contracts) -> Json:
    config = topic.spec.config
    settings: Json = {"cleanup.policy": config["cleanup.policy"].split(",")}
    settings |= {
        name: _plain(value)
        for name, value in config.items()
        if name not in ("cleanup.policy", "retention.ms")
    }
    if "retention.ms" in config:
        settings["retention.ms"] = int(config["retention.ms"])
    return {
        "address": topic.name,
        "title": topic.name,
        "summary": f"Owned by {topic.owner}, keyed by `{topic.key}`, {topic.kept}.",
        "description": _reading(topic),
        "servers": [{"$ref": "#/servers/kafka"}],
        "tags": [{"name": topic.owner, "description": f"Owned and written by {topic.owner} alone."}],
        "messages": {
            contracts.kinds[name].name: {"$ref": f"#/components/messages/{name}"} for name in topic.types
        },
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.spec.partitions,
                "replicas": topic.spec.replication,
                "topicConfiguration": settings,
                "bindingVersion": BINDING,
            }
        },
    }


def _reading(topic: Topic) -> str:
    own = "own place in it" if topic.is_compacted else "own group"
    readers = ", ".join(
        f"{reader.service} (group `{reader.group}`)" if reader.group else f"{reader.service} (no group)"
        for reader in topic.readers
    )
    return (
        f"Read by {readers or 'none of ours'}; others bring their {own}. Partitions and replicas are the "
        "defaults of TOPIC_PARTITIONS and TOPIC_REPLICATION at the topic's creation."
    )


def _plain(value: str) -> Any:
    if value in ("true", "false"):
        return value == "true"
    return int(value) if value.isdigit() else value


def _operations(topics: Sequence[Topic]) -> Json:
    operations: Json = {}
    for topic in topics:
        short = topic.name.removeprefix("sampan.").removesuffix(".v1")
        channel = {"$ref": f"#/channels/{topic.name}"}
        operations[f"{topic.owner}.publish.{short}"] = {
            "action": "send",
            "channel": channel,
            "title": f"{topic.owner.title()} publishes",
            "tags": [{"name": topic.owner}],
        }
        for reader in topic.readers:
            operation: Json = {
                "action": "receive",
                "channel": channel,
                "title": f"{reader.service.title()} reads",
                "tags": [{"name": reader.service}],
            }
            if reader.group:
                group = {"type": "string", "const": reader.group}
                operation["bindings"] = {"kafka": {"groupId": group, "bindingVersion": BINDING}}
            operations[f"{reader.service}.read.{short}"] = operation
    return operations


def _message(topic: Topic, kind: Kind, contracts: Contracts) -> Json:
    return {
        "name": kind.full_name,
        "title": kind.name,
        "summary": kind.summary,
        "description": f"{kind.comment}\n\nContract: `{relative(kind)}`.",
        "contentType": CONTENT_TYPE,
        "headers": headers(topic, kind.full_name),
        "payload": {"schemaFormat": SCHEMA_FORMAT, "schema": contracts.schema(kind.full_name)},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": f"`{topic.key}`, UTF-8."},
                "bindingVersion": BINDING,
            }
        },
    }


def headers(topic: Topic, full_name: str) -> Json:
    """The JSON schema of a record's headers, taken as an object of texts."""
    return {
        "type": "object",
        "required": [
            "ce_specversion",
            "ce_id",
            "ce_type",
            "ce_source",
            "ce_time",
            "ce_subject",
            "ce_aggregateversion",
        ],
        "properties": {
            "ce_specversion": {"type": "string", "const": "1.0"},
            "ce_id": {
                "type": "string",
                "format": "uuid",
                "description": "UUIDv7; the same when it is sent again.",
            },
            "ce_type": {"type": "string", "const": full_name},
            "ce_source": {"type": "string", "const": topic.source},
            "ce_time": {
                "type": "string",
                "format": "date-time",
                "description": "When it was decided, in UTC.",
            },
            "ce_subject": {
                "type": "string",
                "description": "The aggregate's id, the same as the record's key.",
            },
            "ce_aggregateversion": {
                "type": "string",
                "pattern": "^[1-9][0-9]{0,18}$",
                "description": f"The aggregate's version after the event, from 1 to {VERSION_MAX}.",
            },
            "traceparent": {
                "type": "string",
                "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
                "description": "W3C trace context of the request or event that caused it.",
            },
        },
    }
