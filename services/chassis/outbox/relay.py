"""Sends the outbox to Kafka in per-aggregate order and deletes what is acknowledged.

Sixteen buckets of aggregates are shared out among a process's shards. A shard holds its buckets by session
locks on its own connection, so that one relay at a time serves a bucket however many replicas run and
whatever their shard counts; a replica that finds a bucket taken stands by. One round of a shard:

    SELECT the oldest rows -> one batch per partition at a time, each acknowledged before the next -> DELETE

A crash between acknowledgement and DELETE sends rows again: consumers drop what they have applied.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any
from zlib import crc32

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge, Histogram

from services.chassis import kafka, log, metrics, pg
from services.chassis.crash import crash_point
from services.chassis.envelope import encode_headers
from services.chassis.outbox.append import BUCKETS
from services.chassis.queries import load_queries

LOCK_CLASS = 0x53414D50
RELOCK_S = 1.0
BUSY_AFTER_ROWS_S = 2.0
MEASURE_S = 2.0
MEASURE_ROWS_MAX = 100_000
RETRY_S_MAX = 5.0

_log = log.get(__name__)
_ROWS = Gauge("sampan_outbox_rows", f"Events not yet in Kafka, counted up to {MEASURE_ROWS_MAX}.")
_OLDEST_AGE_S = Gauge("sampan_outbox_oldest_age_seconds", "Age of the oldest event not yet in Kafka.")
_HELD = Gauge("sampan_outbox_buckets_held", f"Buckets that this process relays, of {BUCKETS}.")
_SENT = metrics.Kept(Counter("sampan_outbox_sent_total", "Events acknowledged by Kafka.", ["topic"]))
_COALESCED = Counter("sampan_outbox_coalesced_total", "Snapshots left out for a newer one of the same key.")
_FAILURES = Counter("sampan_outbox_send_failures_total", "Rounds in which Kafka refused or did not answer.")
_BATCH = Histogram("sampan_outbox_batch_events", "Events read in one round.", buckets=metrics.BATCH_BUCKETS)
_ROUND_S = Histogram(
    "sampan_outbox_round_seconds", "One round: read, send, delete.", buckets=metrics.LATENCY_BUCKETS_S
)

# One row of read_outbox: id, topic, key, aggregate_id, version, type, payload, traceparent, event_id, event_time.
Row = Any


class OutboxRelay:
    """Relays one database's outbox until stopped.

    `source` names the service in every event, such as "/sampan/orders". Of `snapshot_topics`, which are
    compacted, a snapshot that a newer one of the same read replaces is not sent.
    """

    def __init__(
        self,
        *,
        dsn: str,
        bootstrap: str,
        source: str,
        shards: int = 2,
        batch_rows_max: int = 1_000,
        snapshot_topics: Collection[str] = (),
        poll_busy_s: float = 0.01,
        poll_idle_s: float = 0.05,
        send_alarm_s: float = 10.0,
        send_s_max: float = 120.0,
        name: str = "outbox",
    ) -> None:
        if not 1 <= shards <= BUCKETS:
            raise ValueError(f"shards must be 1 to {BUCKETS}")
        self._dsn = dsn
        self._bootstrap = bootstrap
        self._source = source.encode()
        self._batch_rows_max = batch_rows_max
        self._snapshot_topics = frozenset(snapshot_topics)
        self._poll_busy_s = poll_busy_s
        self._poll_idle_s = poll_idle_s
        self._send_alarm_s = send_alarm_s
        self._send_s_max = send_s_max
        self._name = name
        self._queries = load_queries("services.chassis")
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self._shards = [_Shard(self, number, shards) for number in range(shards)]

    def wake(self) -> None:
        """Says that rows were committed, so that they are sent without waiting for the next poll."""
        for shard in self._shards:
            shard.woken.set()

    async def run(self) -> None:
        """Relays until `stop`; returns then. Outages of PostgreSQL and Kafka are waited out."""
        tasks = [
            asyncio.create_task(shard.run(), name=f"{self._name}-{shard.number}") for shard in self._shards
        ]
        tasks.append(asyncio.create_task(self._measure(), name=f"{self._name}-measure"))
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._stopped.set()

    async def stop(self, *, s_max: float = 10.0) -> None:
        """Finishes the round under way; what is left in the table is for the next relay."""
        self._stopping.set()
        self.wake()
        try:
            await asyncio.wait_for(self._stopped.wait(), s_max)
        except TimeoutError:
            _log.warning("relay still busy when stopped", relay=self._name)

    async def _measure(self) -> None:
        """Keeps the gauges; a failure shows as a missing update and in the shards' logs."""
        connection: pg.Connection | None = None
        try:
            while not self._stopping.is_set():
                try:
                    if connection is None or connection.is_closed():
                        connection = await pg.connect(self._dsn, name=f"{self._name}-measure")
                    row = await connection.fetchrow(self._queries["measure_outbox"], MEASURE_ROWS_MAX)
                    if row is not None:
                        _ROWS.set(row["rows"])
                        _OLDEST_AGE_S.set(max(0.0, row["oldest_age_s"]))
                except Exception as error:
                    if not pg.is_transient(error):
                        raise
                    _log.warning("outbox not measured", error=repr(error))
                _HELD.set(sum(len(shard.held) for shard in self._shards))
                await _wait(self._stopping, MEASURE_S)
        finally:
            if connection is not None:
                connection.terminate()


class _Shard:
    """One connection, one producer, every `count`-th bucket."""

    def __init__(self, relay: OutboxRelay, number: int, count: int) -> None:
        self.number = number
        self.woken = asyncio.Event()
        self.held: list[int] = []
        self._relay = relay
        self._buckets = list(range(number, BUCKETS, count))
        self._producer: AIOKafkaProducer | None = None
        self._failures = 0
        self._relock_at = 0.0
        self._busy_until = 0.0

    async def run(self) -> None:
        relay = self._relay
        try:
            while not relay._stopping.is_set():
                try:
                    await self._hold_connection()
                except Exception as error:
                    # The locks went with the connection; another replica may have taken over.
                    if not pg.is_transient(error):
                        raise
                    _log.warning("relay lost its connection", shard=self.number, error=repr(error))
                    await _wait(relay._stopping, self._delay_s())
        finally:
            await self._drop_producer()

    async def _hold_connection(self) -> None:
        relay = self._relay
        connection = await pg.connect(relay._dsn, name=f"{relay._name}-{self.number}")
        self._relock_at = 0.0
        try:
            while not relay._stopping.is_set():
                self.woken.clear()
                await self._lock_free_buckets(connection)
                full = bool(self.held) and await self._round(connection)
                if not full:
                    now = asyncio.get_running_loop().time()
                    busy = now < self._busy_until
                    await _wait(self.woken, relay._poll_busy_s if busy else relay._poll_idle_s)
        finally:
            self.held = []
            # Closing releases the locks; a connection that hangs is cut.
            try:
                await connection.close(timeout=2)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                connection.terminate()

    async def _lock_free_buckets(self, connection: pg.Connection) -> None:
        now = asyncio.get_running_loop().time()
        missing = [bucket for bucket in self._buckets if bucket not in self.held]
        if not missing or now < self._relock_at:
            return
        self._relock_at = now + RELOCK_S
        rows = await connection.fetch(self._relay._queries["lock_buckets"], LOCK_CLASS, missing)
        if rows:
            self.held = sorted([*self.held, *(row["bucket"] for row in rows)])
            _log.info("relay holds buckets", shard=self.number, buckets=self.held)

    async def _round(self, connection: pg.Connection) -> bool:
        """One read, send and delete; true if there may be more to send at once."""
        relay = self._relay
        rows = await connection.fetch(relay._queries["read_outbox"], self.held, relay._batch_rows_max)
        if not rows:
            return False
        _BATCH.observe(len(rows))
        crash_point("relay.before_send")
        with _ROUND_S.time():
            acknowledged, failure = await self._send(rows)
            crash_point("relay.before_delete")
            if acknowledged:
                await connection.execute(relay._queries["delete_outbox"], acknowledged)
            crash_point("relay.after_delete")
        self._busy_until = asyncio.get_running_loop().time() + BUSY_AFTER_ROWS_S
        if failure is None:
            self._failures = 0
            return len(rows) == relay._batch_rows_max or self.woken.is_set()
        _FAILURES.inc()
        _log.warning("Kafka did not take the outbox", shard=self.number, rows=len(rows), error=repr(failure))
        await self._drop_producer()
        await _wait(relay._stopping, self._delay_s())
        return True

    async def _send(self, rows: Sequence[Row]) -> tuple[list[int], Exception | None]:
        """Sends rows; returns the ids that need not be sent again, and the first failure."""
        try:
            producer = await self._started_producer()
        except (KafkaError, OSError) as error:
            return [], error
        keep, done = self._coalesce(rows)
        by_topic: dict[str, list[Row]] = {}
        for row in keep:
            by_topic.setdefault(row[1], []).append(row)
        results = await asyncio.gather(
            *(self._send_topic(producer, topic, topic_rows) for topic, topic_rows in by_topic.items())
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
        topics = self._relay._snapshot_topics
        if not topics:
            return rows, {}
        newest = {(row[1], row[2]): row[0] for row in rows if row[1] in topics}
        keep = [row for row in rows if newest.get((row[1], row[2]), row[0]) == row[0]]
        superseded = {
            row[0]: newest[row[1], row[2]] for row in rows if newest.get((row[1], row[2]), row[0]) != row[0]
        }
        _COALESCED.inc(len(superseded))
        return keep, superseded

    async def _send_topic(
        self, producer: AIOKafkaProducer, topic: str, rows: Sequence[Row]
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
                self._send_partition(producer, topic, part, part_rows)
                for part, part_rows in by_partition.items()
            )
        )
        acknowledged = [id_ for ids, _ in results for id_ in ids]
        if acknowledged:
            _SENT[topic].inc(len(acknowledged))
        return acknowledged, next((error for _, error in results if error is not None), None)

    async def _send_partition(
        self, producer: AIOKafkaProducer, topic: str, partition: int, rows: Sequence[Row]
    ) -> tuple[list[int], Exception | None]:
        """Sends batch after batch, never past a failure: the order within the partition holds even then."""
        source = self._relay._source
        acknowledged: list[int] = []
        position = 0
        try:
            while position < len(rows):
                batch = producer.create_batch()
                ids: list[int] = []
                for id_, _, key, aggregate_id, version, type_, payload, traceparent, event_id, time in rows[
                    position:
                ]:
                    headers = encode_headers(
                        source,
                        event_id=event_id,
                        type=type_,
                        aggregate_id=aggregate_id,
                        version=version,
                        time=time,
                        traceparent=traceparent,
                    )
                    time_ms = int(time.timestamp() * 1000)
                    if (
                        batch.append(timestamp=time_ms, key=key.encode(), value=payload, headers=headers)
                        is None
                    ):
                        break
                    ids.append(id_)
                batch.close()
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
            done, _ = await asyncio.wait([delivery], timeout=self._relay._send_alarm_s)
            if done:
                delivery.result()
                return
            waited_s += self._relay._send_alarm_s
            _log.warning("Kafka does not acknowledge", shard=self.number, topic=topic, waited_s=waited_s)
            if waited_s >= self._relay._send_s_max or self._relay._stopping.is_set():
                raise TimeoutError(f"no acknowledgement for {topic} within {waited_s:g} s")

    async def _started_producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = kafka.make_producer(
                self._relay._bootstrap, client_id=f"sampan-{self._relay._name}-{self.number}"
            )
            try:
                await producer.start()
            except BaseException:
                await kafka.abandon_producer(producer)
                raise
            self._producer = producer
        return self._producer

    async def _drop_producer(self) -> None:
        """After a failure the sequence numbers of an idempotent producer may be out of step: never reuse it."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await kafka.abandon_producer(producer)

    def _delay_s(self) -> float:
        self._failures += 1
        return min(RETRY_S_MAX, 0.1 * 2.0**self._failures)


async def _wait(event: asyncio.Event, s_max: float) -> None:
    """Waits for the event, or for so long."""
    if event.is_set():
        return
    try:
        async with asyncio.timeout(s_max):
            await event.wait()
    except TimeoutError:
        return
