"""The envelope of an event: CloudEvents attributes (Kafka protocol binding, binary mode) and W3C trace context
in the record's headers, the serialized protobuf message as its value.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from services.chassis import clock, ids

Headers = list[tuple[str, bytes]]
PAYLOAD_BYTES_MAX = 900_000
AGGREGATE_ID_BYTES_MAX = 1_000
VERSION_MAX = 2**63 - 1
_SPECVERSION = ("ce_specversion", b"1.0")


class Record(Protocol):
    """What is read of aiokafka's ConsumerRecord."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(slots=True)
class OutboxMessage:
    """An event to be sent. `type` is the full name of the protobuf message, `version` the aggregate's, from 1."""

    topic: str
    key: str
    aggregate_id: str
    version: int
    type: str
    payload: bytes
    traceparent: str | None = None
    event_id: UUID = field(default_factory=ids.uuid7)
    time: datetime = field(default_factory=clock.now_utc)


@dataclass(slots=True)
class Event:
    """An event that came in. `time_ms` is when it was decided, in Unix milliseconds; a tombstone's payload is empty."""

    topic: str
    partition: int
    offset: int
    key: str
    type: str
    aggregate_id: str
    version: int
    payload: bytes
    traceparent: str | None
    event_id: UUID
    time_ms: int


class EnvelopeError(ValueError):
    """The record is no event of ours: a header is missing or wrong."""


@functools.lru_cache(maxsize=1_024)
def _encoded(text: str) -> bytes:
    """For the few texts that repeat in every event: types."""
    return text.encode()


def encode_headers(
    source: bytes,
    *,
    event_id: UUID,
    type: str,
    aggregate_id: str,
    version: int,
    time: datetime,
    traceparent: str | None,
) -> Headers:
    """The headers of one event; `source` is the service's, such as b"/sampan/orders"."""
    headers = [
        _SPECVERSION,
        ("ce_id", str(event_id).encode()),
        ("ce_type", _encoded(type)),
        ("ce_source", source),
        ("ce_time", time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z").encode()),
        ("ce_subject", aggregate_id.encode()),
        ("ce_aggregateversion", b"%d" % version),
    ]
    if traceparent is not None:
        headers.append(("traceparent", traceparent.encode()))
    return headers


def decode_record(record: Any) -> Event:
    """The event in a Kafka record; raises `EnvelopeError` that names the faulty header."""
    headers = dict(record.headers)
    name, specversion = _SPECVERSION
    try:
        if headers[name] != specversion:
            raise ValueError(f"is not {specversion.decode()}")
        name = "ce_type"
        type_ = headers[name].decode()
        name = "ce_subject"
        aggregate_id = headers[name].decode()
        name = "ce_aggregateversion"
        version = _number(headers[name])
        name = "ce_id"
        event_id = UUID(headers[name].decode())
        name = "traceparent"
        traceparent = headers.get(name)
        decoded_traceparent = traceparent.decode("ascii") if traceparent is not None else None
        name = "key"
        key = record.key.decode() if record.key is not None else ""
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        raise EnvelopeError(f"{name}: {_fault(error)}") from error
    if not type_:
        raise EnvelopeError("ce_type: is empty")
    if not aggregate_id or len(aggregate_id) > AGGREGATE_ID_BYTES_MAX or "\x00" in aggregate_id:
        raise EnvelopeError("ce_subject: is empty, too long or holds a NUL")
    if not 0 < version <= VERSION_MAX:
        raise EnvelopeError(f"ce_aggregateversion: {version} is out of range")
    return Event(
        record.topic,
        record.partition,
        record.offset,
        key,
        type_,
        aggregate_id,
        version,
        record.value if record.value is not None else b"",
        decoded_traceparent,
        event_id,
        record.timestamp,
    )


def _number(text: bytes) -> int:
    try:
        return int(text)
    except ValueError:
        # Python's own words quote the text, which may be anybody's.
        raise ValueError("is no whole number") from None


def _fault(error: Exception) -> str:
    return "is missing" if isinstance(error, KeyError | AttributeError | TypeError) else str(error)
