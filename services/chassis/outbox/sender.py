"""Sends rows of the outbox to Kafka: one batch per partition at a time, each acknowledged before the next."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any
from zlib import crc32

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import Counter

from services.chassis import kafka, log, metrics, trace
from services.chassis.crash import crash_point
from services.chassis.envelope import encode_headers

_log = log.get(__name__)
_SENT = metrics.Kept(Counter("sampan_outbox_sent_total", "Events acknowledged by Kafka.", ["topic"]))
_COALESCED = Counter("sampan_outbox_coalesced_total", "Snapshots left out for a newer one of the same key.")

# One row of read_outbox: id, topic, key, aggregate_id, version, type, payload, traceparent, event_id, event_time.
Row = Any
Confirm = Callable[[], Awaitable[None]]
"""Raises an `OSError` where the rows may no longer be sent."""


class Sender:
    """One producer, made when it is first needed and made anew after a failure."""

    def __init__(
        self,
        *,
        bootstrap: str,
        source: bytes,
        snapshot_topics: Collection[str],
        stopping: asyncio.Event,
        alarm_s: float,
        s_max: float,
        name: str,
    ) -> None:
        self._bootstrap = bootstrap
        self._source = source
        self._snapshot_topics = frozenset(snapshot_topics)
        self._stopping = stopping
        self._alarm_s = alarm_s
        self._s_max = s_max
        self._name = name
        self._producer: AIOKafkaProducer | None = None

    async def probe(self) -> Exception | None:
        """Reaches Kafka without sending anything; the failure where that is impossible."""
        try:
            await self._started_producer()
        except (KafkaError, OSError) as error:
            return error
        return None

    async def send(self, rows: Sequence[Row], confirm: Confirm) -> tuple[list[int], Exception | None]:
        """Sends rows; returns the ids that need not be sent again, and the first failure.

        `confirm` is awaited before each batch, and nothing is sent once it has raised.
        """
        try:
            producer = await self._started_producer()
        except (KafkaError, OSError) as error:
            return [], error
        keep, done = self._coalesce(rows)
        by_topic: dict[str, list[Row]] = {}
        for row in keep:
            by_topic.setdefault(row[1], []).append(row)
        results = await asyncio.gather(
            *(
                self._send_topic(producer, topic, topic_rows, confirm)
                for topic, topic_rows in by_topic.items()
            )
        )
        failure: Exception | None = None
        acknowledged: list[int] = []
        for ids, refusal in results:
            acknowledged += ids
            failure = failure or refusal
        # A superseded snapshot may only go once its successor is in Kafka.
        sent = set(acknowledged)
        acknowledged += [old for old, successor in done.items() if successor in sent]
        return acknowledged, failure

    def _coalesce(self, rows: Sequence[Row]) -> tuple[Sequence[Row], dict[int, int]]:
        """Of snapshots only the newest per key; and for each one left out, the id of that newest."""
        topics = self._snapshot_topics
        if not topics:
            return rows, {}
        newest = {(row[1], row[2]): row[0] for row in rows if row[1] in topics}
        keep: list[Row] = []
        superseded: dict[int, int] = {}
        for row in rows:
            last = newest.get((row[1], row[2]), row[0])
            if last == row[0]:
                keep.append(row)
            else:
                superseded[row[0]] = last
        _COALESCED.inc(len(superseded))
        return keep, superseded

    async def _send_topic(
        self, producer: AIOKafkaProducer, topic: str, rows: Sequence[Row], confirm: Confirm
    ) -> tuple[list[int], Exception | None]:
        try:
            partitions = len(await producer.partitions_for(topic))
        except (KafkaError, OSError) as error:
            return [], error
        by_partition: dict[int, list[Row]] = {}
        for row in rows:
            # librdkafka's "consistent" partitioner; Java's murmur2 would cost ten times as much in Python.
            by_partition.setdefault(crc32(row[2].encode()) % partitions, []).append(row)
        results = await asyncio.gather(
            *(
                self._send_partition(producer, topic, part, part_rows, confirm)
                for part, part_rows in by_partition.items()
            )
        )
        acknowledged = [id_ for ids, _ in results for id_ in ids]
        if acknowledged:
            _SENT[topic].inc(len(acknowledged))
        return acknowledged, next((error for _, error in results if error is not None), None)

    async def _send_partition(
        self,
        producer: AIOKafkaProducer,
        topic: str,
        partition: int,
        rows: Sequence[Row],
        confirm: Confirm,
    ) -> tuple[list[int], Exception | None]:
        """Sends batch after batch, never past a failure: the order within the partition holds even then."""
        source = self._source
        acknowledged: list[int] = []
        position = 0
        try:
            while position < len(rows):
                batch = producer.create_batch()
                ids: list[int] = []
                spans: list[trace.OpenSpan | None] = []
                for id_, _, key, aggregate_id, version, type_, payload, traceparent, event_id, time in rows[
                    position:
                ]:
                    span = _begin_span(traceparent, topic, partition)
                    headers = encode_headers(
                        source,
                        event_id=event_id,
                        type=type_,
                        aggregate_id=aggregate_id,
                        version=version,
                        time=time,
                        traceparent=traceparent if span is None else span.traceparent,
                    )
                    time_ms = int(time.timestamp() * 1000)
                    if (
                        batch.append(timestamp=time_ms, key=key.encode(), value=payload, headers=headers)
                        is None
                    ):
                        break
                    ids.append(id_)
                    spans.append(span)
                batch.close()
                with trace.ending(*spans):
                    await confirm()
                    delivery = await producer.send_batch(batch, topic, partition=partition)
                    crash_point("relay.before_acknowledgement")
                    await self._acknowledged(delivery, topic)
                acknowledged += ids
                position += len(ids)
        except (KafkaError, OSError, TimeoutError) as error:
            return acknowledged, error
        return acknowledged, None

    async def _acknowledged(self, delivery: "asyncio.Future[Any]", topic: str) -> None:
        """Waits for the acknowledgement; idempotent batches never expire, so the alarm is ours."""
        waited_s = 0.0
        while True:
            done, _ = await asyncio.wait([delivery], timeout=self._alarm_s)
            if done:
                delivery.result()
                return
            waited_s += self._alarm_s
            _log.warning("Kafka does not acknowledge", relay=self._name, topic=topic, waited_s=waited_s)
            if waited_s >= self._s_max or self._stopping.is_set():
                raise TimeoutError(f"no acknowledgement for {topic} within {waited_s:g} s")

    async def _started_producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = kafka.make_producer(self._bootstrap, client_id=f"sampan-{self._name}")
            try:
                await producer.start()
            except BaseException:
                await kafka.abandon_producer(producer)
                raise
            self._producer = producer
        return self._producer

    async def drop_producer(self) -> None:
        """After a failure the sequence numbers of an idempotent producer may be out of step: never reuse it."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await kafka.abandon_producer(producer)


def _begin_span(traceparent: str | None, topic: str, partition: int) -> trace.OpenSpan | None:
    # What was written outside of any request belongs to no trace, not to the one that happens to be current.
    if not trace.is_sampled(traceparent):
        return None
    about = {
        "messaging.system": "kafka",
        "messaging.operation.type": "send",
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(partition),
    }
    return trace.start(f"send {topic}", "producer", parent=traceparent, attributes=about)
