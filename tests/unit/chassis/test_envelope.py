"""The envelope: what is encoded decodes to the same; nothing else decodes."""

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.chassis.envelope import VERSION_MAX, EnvelopeError, decode_record, encode_headers

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=50)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def record(headers: list[tuple[str, Any]], **changes: Any) -> SimpleNamespace:
    """A Kafka record."""
    fields = {
        "topic": "t",
        "partition": 3,
        "offset": 7,
        "timestamp": 1_700_000_000_123,
        "key": b"k",
        "value": b"v",
    }
    return SimpleNamespace(**(fields | changes), headers=headers)


def encoded(**changes: Any) -> dict[str, bytes]:
    """The headers of an event."""
    fields: dict[str, Any] = {
        "event_id": UUID(int=5),
        "type": "sampan.test.v1.Happened",
        "aggregate_id": "a/1",
        "version": 4,
        "time": datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
        "traceparent": TRACE,
    }
    return dict(encode_headers(b"/sampan/test", **(fields | changes)))


@given(
    event_id=st.uuids(),
    type_=TEXTS,
    aggregate_id=TEXTS,
    version=st.integers(1, VERSION_MAX),
    traceparent=st.none() | st.just(TRACE),
    payload=st.binary(),
    key=TEXTS,
)
def test_encoding_and_decoding_are_inverse(
    event_id: UUID,
    type_: str,
    aggregate_id: str,
    version: int,
    traceparent: str | None,
    payload: bytes,
    key: str,
) -> None:
    """Every attribute comes back as it was."""
    headers = encoded(
        event_id=event_id, type=type_, aggregate_id=aggregate_id, version=version, traceparent=traceparent
    )
    event = decode_record(record(list(headers.items()), value=payload, key=key.encode()))
    assert (event.event_id, event.type, event.aggregate_id, event.version, event.traceparent) == (
        event_id,
        type_,
        aggregate_id,
        version,
        traceparent,
    )
    assert (event.topic, event.partition, event.offset, event.key, event.payload, event.time_ms) == (
        "t",
        3,
        7,
        key,
        payload,
        1_700_000_000_123,
    )


def test_the_attributes_are_those_of_cloudevents() -> None:
    """Other languages' libraries must find what they look for."""
    moment = datetime(2026, 3, 1, 17, 30, tzinfo=timezone(timedelta(hours=8)))
    assert encoded(time=moment) == {
        "ce_specversion": b"1.0",
        "ce_id": b"00000000-0000-0000-0000-000000000005",
        "ce_type": b"sampan.test.v1.Happened",
        "ce_source": b"/sampan/test",
        "ce_time": b"2026-03-01T09:30:00.000000Z",
        "ce_subject": b"a/1",
        "ce_aggregateversion": b"4",
        "traceparent": TRACE.encode(),
    }


def test_a_tombstone_is_an_empty_payload() -> None:
    """A compacted topic may hold records without a value."""
    assert decode_record(record(list(encoded().items()), value=None)).payload == b""


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("ce_specversion", b"2.0"),
        ("ce_type", None),
        ("ce_type", b""),
        ("ce_type", b"\xff"),
        ("ce_subject", b""),
        ("ce_subject", b"a\x00b"),
        ("ce_subject", b"x" * 1_001),
        ("ce_aggregateversion", b"0"),
        ("ce_aggregateversion", b"-1"),
        ("ce_aggregateversion", b"1.5"),
        ("ce_aggregateversion", str(VERSION_MAX + 1).encode()),
        ("ce_id", b"not-a-uuid"),
        ("traceparent", "\u00e9".encode()),
    ],
)
def test_a_wrong_header_is_named(header: str, value: bytes | None) -> None:
    """Missing and malformed attributes are faults of the envelope, with the attribute's name."""
    with pytest.raises(EnvelopeError, match=header):
        decode_record(record(list((encoded() | {header: value}).items())))
    if header != "traceparent":
        with pytest.raises(EnvelopeError, match=f"{header}: is missing"):
            decode_record(record([(name, kept) for name, kept in encoded().items() if name != header]))


@pytest.mark.parametrize("header", ["ce_specversion", "ce_aggregateversion", "ce_id"])
def test_what_is_wrong_is_told_without_its_text(header: str) -> None:
    """The text is seen where parked events are, and may be anybody's."""
    with pytest.raises(EnvelopeError) as caught:
        decode_record(record(list((encoded() | {header: b"Ana Garcia"}).items())))
    assert "Ana" not in str(caught.value)


@example(headers=[("ce_aggregateversion", None), ("ce_type", b"t"), ("ce_subject", b"s")], key=b"")
@given(st.lists(st.tuples(st.sampled_from(list(encoded())), st.binary(max_size=40) | st.none())), st.binary())
def test_no_bytes_raise_anything_else(headers: list[tuple[str, bytes | None]], key: bytes) -> None:
    """Whatever is in a topic, it is an event or an EnvelopeError."""
    try:
        decode_record(record(headers, key=key))
    except EnvelopeError:
        return
