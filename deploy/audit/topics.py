"""Reads a topic once from its beginning, a partition at a time, and keeps one number per aggregate."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from deploy.audit.checks import BrokerUnreachable
from services.chassis import kafka
from services.chassis.envelope import EnvelopeError, decode_record

FETCH_BYTES_MAX = 8 * 1024 * 1024
FETCH_WAIT_MS = 10
RECORDS_MAX = 5_000
POLL_TIMEOUT_MS = 100
SILENT_POLLS_MAX = 300
COORDINATOR_ATTEMPTS_MAX = 40
COORDINATOR_PAUSE_S = 0.5


@dataclass(slots=True)
class Aggregate:
    """What a partition says of one aggregate."""

    version: int
    """The newest version seen in order."""
    types: dict[str, int] = field(default_factory=dict)
    """How often each kind of event occurred for the first time, by the message's short name."""


@dataclass(slots=True)
class PartitionScan:
    """What one partition holds up to the end that it had when the scan began."""

    topic: str
    partition: int
    begin: int
    end: int
    records: int = 0
    repeated: int = 0
    """Records that a relay sent again: allowed, consumers drop them."""
    aggregates: dict[str, Aggregate] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    """Gaps, unreadable records and records in another aggregate's place."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing was deleted by retention yet: then every aggregate begins with version 1."""
        return self.begin == 0

    def take(self, record: ConsumerRecord, *, gapless: bool) -> None:
        """One more record. Versions of snapshots may skip; those of events may not."""
        self.records += 1
        try:
            event = decode_record(record)
        except EnvelopeError as error:
            self.faults.append(f"{self.topic}/{self.partition} at {record.offset}: {error}")
            return
        known = self.aggregates.get(event.aggregate_id)
        if known is not None and event.version <= known.version:
            self.repeated += 1
            return
        if gapless:
            expected = known.version + 1 if known is not None else 1
            skipped = event.version > expected and (known is not None or self.is_whole)
            if skipped:
                self.faults.append(
                    f"{self.topic}/{self.partition} at {record.offset}: {event.aggregate_id} has version "
                    f"{event.version} where {expected} was due"
                )
        if known is None:
            known = self.aggregates[event.aggregate_id] = Aggregate(event.version)
        known.version = event.version
        name = event.type.rpartition(".")[2]
        known.types[name] = known.types.get(name, 0) + 1


class Topics:
    """The broker as an audit reads it: no group, nothing committed."""

    def __init__(self, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient) -> None:
        self._consumer = consumer
        self._admin = admin

    @classmethod
    @asynccontextmanager
    async def opened(cls, bootstrap: str) -> AsyncIterator["Topics"]:
        """Connects; raises BrokerUnreachable."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            client_id="sampan-audit",
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=FETCH_BYTES_MAX,
            # A fetch left over from the partition before would hold the next one up for as long.
            fetch_max_wait_ms=FETCH_WAIT_MS,
            check_crcs=True,
            **kafka.security(),
        )
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, client_id="sampan-audit", **kafka.security())
        try:
            await consumer.start()
            await admin.start()
        except (KafkaError, OSError) as error:
            await kafka.stop_consumer(consumer)
            await admin.close()
            raise BrokerUnreachable(f"Kafka at {bootstrap}: {error!r}") from error
        try:
            yield cls(consumer, admin)
        except KafkaError as error:
            raise BrokerUnreachable(f"Kafka at {bootstrap}: {error!r}") from error
        finally:
            await kafka.stop_consumer(consumer)
            await admin.close()

    async def partitions(self, topic: str) -> list[TopicPartition]:
        """The partitions of a topic; raises BrokerUnreachable where there is none."""
        (described,) = await self._admin.describe_topics([topic])
        parts = sorted(partition["partition"] for partition in described["partitions"])
        if not parts:
            raise BrokerUnreachable(f"there is no topic {topic}")
        return [TopicPartition(topic, part) for part in parts]

    async def ends(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset after the last record of each partition."""
        return dict(await self._consumer.end_offsets(partitions)) if partitions else {}

    async def committed(self, group: str) -> dict[TopicPartition, int]:
        """What a group last told Kafka, for lag tools."""
        for _ in range(COORDINATOR_ATTEMPTS_MAX):
            try:
                offsets = await self._admin.list_consumer_group_offsets(group)
                return {partition: meta.offset for partition, meta in offsets.items()}
            except KafkaError as error:
                # The first question after a broker's start makes it create its own topic of offsets.
                if not error.retriable:
                    raise
            await asyncio.sleep(COORDINATOR_PAUSE_S)
        raise BrokerUnreachable(f"no coordinator for group {group}")

    async def scan(
        self,
        partition: TopicPartition,
        *,
        gapless: bool,
        injected: Collection[tuple[str, int, int]] = frozenset(),
    ) -> PartitionScan:
        """Reads a partition from its first record to its present end, without those that a test put there."""
        begin, end = await self._bounds(partition)
        scan = PartitionScan(partition.topic, partition.partition, begin, end)
        async for record in self._between(partition, begin, end):
            if (record.topic, record.partition, record.offset) not in injected:
                scan.take(record, gapless=gapless)
        return scan

    async def records(self, partition: TopicPartition) -> AsyncIterator[ConsumerRecord]:
        """The records of a partition from its first to its present end."""
        async for record in self._between(partition, *await self._bounds(partition)):
            yield record

    async def _bounds(self, partition: TopicPartition) -> tuple[int, int]:
        begin = (await self._consumer.beginning_offsets([partition]))[partition]
        end = (await self._consumer.end_offsets([partition]))[partition]
        return begin, end

    async def _between(
        self, partition: TopicPartition, begin: int, end: int
    ) -> AsyncIterator[ConsumerRecord]:
        if begin == end:
            # Stopped just after it was given a partition, the consumer loses its own cancellation and never ends.
            return
        self._consumer.assign([partition])
        self._consumer.seek(partition, begin)
        position, silent = begin, 0
        while position < end:
            batches = await self._consumer.getmany(
                partition, timeout_ms=POLL_TIMEOUT_MS, max_records=RECORDS_MAX
            )
            for record in batches.get(partition, ()):
                if record.offset < end:
                    yield record
            moved = await self._consumer.position(partition)
            silent = 0 if moved > position else silent + 1
            if silent > SILENT_POLLS_MAX:
                raise BrokerUnreachable(f"{partition.topic}/{partition.partition} stands still at {position}")
            position = moved
