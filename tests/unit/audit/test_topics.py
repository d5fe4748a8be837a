"""What a scan of a partition makes of its records: gaps are faults, repetitions are not."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from deploy.audit.checks import Findings
from deploy.audit.topic_checks import _note_ends
from deploy.audit.topics import PartitionScan
from services.chassis.envelope import Headers, encode_headers


@dataclass
class FakeRecord:
    """As much of a Kafka record as is read."""

    offset: int
    headers: Headers
    topic: str = "t"
    partition: int = 0
    timestamp: int = 0
    key: bytes | None = b"a"
    value: bytes | None = b""
    checksum: int | None = None
    serialized_key_size: int = 1
    serialized_value_size: int = 0
    timestamp_type: int = 0
    extra: list[str] = field(default_factory=list)


def record(offset: int, aggregate_id: str, version: int, kind: str = "OrderPlaced") -> FakeRecord:
    headers = encode_headers(
        b"/sampan/orders",
        event_id=UUID(int=offset + 1),
        type=f"sampan.orders.v1.{kind}",
        aggregate_id=aggregate_id,
        version=version,
        time=datetime(2026, 1, 1, tzinfo=UTC),
        traceparent=None,
    )
    return FakeRecord(offset, headers)


def scan(*records: FakeRecord, begin: int = 0, gapless: bool = True) -> PartitionScan:
    result = PartitionScan("t", 0, begin, begin + len(records))
    for one in records:
        result.take(one, gapless=gapless)
    return result


def test_versions_in_order_are_no_fault_and_a_repetition_is_counted() -> None:
    found = scan(
        record(0, "a", 1), record(1, "b", 1), record(2, "a", 2), record(3, "a", 1), record(4, "a", 2)
    )
    assert found.faults == []
    assert found.repeated == 2
    assert {name: one.version for name, one in found.aggregates.items()} == {"a": 2, "b": 1}


def test_a_gap_is_named_once() -> None:
    found = scan(record(0, "a", 1), record(1, "a", 3), record(2, "a", 4))
    assert found.faults == ["t/0 at 1: a has version 3 where 2 was due"]


def test_an_aggregate_must_begin_with_version_1_unless_retention_has_removed_its_beginning() -> None:
    assert scan(record(0, "a", 2)).faults == ["t/0 at 0: a has version 2 where 1 was due"]
    assert scan(record(7, "a", 2), begin=7).faults == []
    assert scan(record(7, "a", 2), record(8, "a", 4), begin=7).faults != []


def test_snapshots_may_skip_versions() -> None:
    assert scan(record(0, "a", 4), record(1, "a", 9), gapless=False).faults == []


def test_a_record_that_is_no_event_is_named() -> None:
    found = scan(FakeRecord(3, []))
    assert found.faults == ["t/0 at 3: ce_specversion: is missing"]
    assert found.records == 1


def test_two_ends_of_one_hold_are_named() -> None:
    findings = Findings()
    posted_and_voided = scan(
        record(0, "a", 1, "StockReserved"),
        record(1, "a", 2, "ParcelsAllocated"),
        record(2, "a", 3, "HoldVoided"),
    )
    posted = scan(record(0, "b", 1, "StockReserved"), record(1, "b", 2, "ParcelsAllocated"))
    _note_ends(findings, posted)
    _note_ends(findings, posted_and_voided)
    assert findings.examined == 2
    assert findings.offenders == ["a: posted 1 times, voided 1 times"]
