"""The consumer's life: joining the group, taking positions from the database, fetching, surviving outages, leaving.

aiokafka is used for membership and fetching only. Things to know about it (0.14): `getmany` is never cancelled
while the client lives on; it blocks without a bound during a rebalance; the member must keep polling even when
it waits for the database, or it silently drops out of the group; a position or commit in Kafka means nothing here.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from prometheus_client import Counter, Gauge

from services.chassis import kafka, log, metrics
from services.chassis.consumer.batch import BatchProcessor, Fenced, Item, decode
from services.chassis.consumer.handlers import Handler
from services.chassis.consumer.positions import OffsetBeyondEnd, PositionStore
from services.chassis.consumer.watch import ConsumerStalled, PollBlocked, Watch
from services.chassis.pg import Database, is_transient

# Raised for a position that Kafka does not know (ours come from the database) or does not have any more.
WITHOUT_POSITION = (NoOffsetForPartitionError, OffsetOutOfRangeError)
RETRY_S_MIN = 0.1
RETRY_S_MAX = 5.0
REBALANCE_TIMEOUT_MS = 30_000
DRAIN_ON_REVOKE_S_MAX = 20.0

__all__ = ["Consumer", "ConsumerStalled", "OffsetBeyondEnd"]

_log = log.get(__name__)
_RETRYING = metrics.Kept(
    Gauge("sampan_consumer_retrying", "1 while a batch waits for a dependency.", ["group"])
)
_PARTITIONS = metrics.Kept(
    Gauge("sampan_consumer_partitions", "Partitions assigned to this process.", ["group"])
)
_FENCED = metrics.Kept(
    Counter("sampan_consumer_fenced_total", "Batches given up for moved offsets.", ["group"])
)
_RESTARTS = metrics.Kept(Counter("sampan_consumer_restarts_total", "Kafka clients given up.", ["group"]))


class Consumer:
    """Applies a group's topics to a database until stopped.

    `after_commit` is called after every committed batch (an outbox relay's `wake`). Of `snapshot_topics` only
    the newest event per aggregate in a batch reaches the handler, and gaps in their versions mean nothing.
    Batches begin at least `linger_s` apart: fewer and larger ones cost less, for a little latency under load.
    """

    def __init__(
        self,
        *,
        group: str,
        topics: Sequence[str],
        handler: Handler,
        db: Database,
        bootstrap: str,
        after_commit: Callable[[], None] | None = None,
        snapshot_topics: Collection[str] = (),
        catch_up_types: Collection[str] = (),
        batch_records_max: int = 500,
        linger_s: float = 0.0,
        poll_ms: int = 200,
        partition_fetch_bytes_max: int = 512 * 1024,
        session_timeout_ms: int = 10_000,
        stall_s_max: float = 120.0,
        poll_blocked_s_max: float = 60.0,
        applied_retention_days: int = 14,
    ) -> None:
        self.group = group
        self._topics = tuple(topics)
        self._bootstrap = bootstrap
        self._batch_records_max = batch_records_max
        self._linger_s = linger_s
        self._poll_ms = poll_ms
        self._partition_fetch_bytes_max = partition_fetch_bytes_max
        self._session_timeout_ms = session_timeout_ms
        self._processor = BatchProcessor(
            group=group,
            handler=handler,
            db=db,
            after_commit=after_commit,
            snapshot_topics=snapshot_topics,
            catch_up_types=catch_up_types,
        )
        self._store = PositionStore(group, db)
        self._watch = Watch(
            group=group,
            topics=self._topics,
            db=db,
            processor=self._processor,
            stall_s_max=stall_s_max,
            poll_blocked_s_max=poll_blocked_s_max,
            applied_retention_days=applied_retention_days,
        )
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self._task: asyncio.Task[Any] | None = None
        self._epoch = 0
        self._awaiting_position: set[TopicPartition] = set()

    @property
    def assigned(self) -> frozenset[TopicPartition]:
        """The partitions whose records are being applied."""
        return frozenset(self._processor.positions)

    async def run(self) -> None:
        """Consumes until `stop`; outages are waited out.

        Raises `ConsumerStalled`, `OffsetBeyondEnd` and faults of ours: the process should end.
        """
        self._task = asyncio.current_task()
        failures = 0
        try:
            while not self._stopping.is_set():
                started = time.monotonic()
                try:
                    await self._session()
                except (KafkaError, PollBlocked, OSError) as error:
                    _RESTARTS[self.group].inc()
                    failures = 1 if time.monotonic() - started > RETRY_S_MAX * 4 else failures + 1
                    delay_s = min(RETRY_S_MAX, RETRY_S_MIN * 2.0**failures)
                    _log.warning("consumer restarts", group=self.group, error=repr(error), delay_s=delay_s)
                    await self._wait_for_stop(delay_s)
        finally:
            self._stopped.set()

    async def stop(self, *, s_max: float = 15.0) -> None:
        """Finishes and commits the batch under way, leaves the group, and returns when that is done."""
        self._stopping.set()
        if self._task is None:
            return
        try:
            await asyncio.wait_for(self._stopped.wait(), s_max)
        except TimeoutError:
            _log.warning("consumer did not drain in time", group=self.group)
            self._task.cancel()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), kafka.STOP_S_MAX)

    close = stop

    # One client's life

    async def _session(self) -> None:
        """One Kafka client from joining to leaving; returns when asked to stop."""
        client = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            client_id=f"sampan-{self.group}",
            group_id=self.group,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_partition_fetch_bytes=self._partition_fetch_bytes_max,
            fetch_max_wait_ms=250,
            session_timeout_ms=self._session_timeout_ms,
            heartbeat_interval_ms=self._session_timeout_ms // 4,
            rebalance_timeout_ms=REBALANCE_TIMEOUT_MS,
            metadata_max_age_ms=60_000,
            **kafka.security(),
        )
        tasks: list[asyncio.Task[None]] = []
        try:
            await client.start()
            client.subscribe(self._topics, listener=_Listener(self, client))
            tasks = [
                asyncio.create_task(work, name=f"{self.group}-{name}")
                for name, work in (
                    ("poll", self._poll(client)),
                    ("observe", self._watch.observe(client)),
                    ("commit", self._watch.commit_to_kafka(client)),
                    ("upkeep", self._watch.keep_up()),
                )
            ]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._watch.commit_positions(client, s_max=2.0)
            await kafka.stop_consumer(client)
            self._forget_partitions()

    async def _poll(self, client: AIOKafkaConsumer) -> None:
        while not self._stopping.is_set():
            if self._awaiting_position:
                await self._take_positions(client)
            try:
                fetched = await self._fetch(client, self._poll_ms)
            except WITHOUT_POSITION:
                if not self._awaiting_position:
                    self._reposition(client)
                continue
            items = [
                item
                for place, records in fetched.items()
                if place in self._processor.positions
                for item in decode(place, records)
            ]
            if items:
                await self._apply_at_leisure(client, items)

    async def _apply_at_leisure(self, client: AIOKafkaConsumer, items: Sequence[Item]) -> None:
        """Applies a batch; unless it was full, more is fetched only when the next one may begin.

        aiokafka fetches ahead as soon as records are taken from it, and what it then holds grows no more until it is
        taken: the next batch would be what had come by the beginning of this one.
        """
        began_s = time.monotonic()
        is_full = len(items) >= self._batch_records_max
        if not is_full:
            self._pause(client)
        try:
            await self._apply(client, items)
            left_s = began_s + self._linger_s - time.monotonic()
            if left_s > 0 and not is_full:
                await self._wait_for_stop(left_s)
        finally:
            self._resume(client)

    async def _fetch(self, client: AIOKafkaConsumer, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        self._watch.polling_since_s = time.monotonic()
        try:
            fetched: dict[TopicPartition, list[Any]] = await client.getmany(
                timeout_ms=timeout_ms, max_records=self._batch_records_max
            )
            return fetched
        except NoOffsetForPartitionError:
            # Kafka knows no offset of a new group, and we do not want its: `_take_positions` seeks.
            return {}
        finally:
            self._watch.polling_since_s = None

    async def _apply(self, client: AIOKafkaConsumer, items: Sequence[Item]) -> None:
        """Applies a batch, for ever if a dependency is down; gives it up if the partitions go or the process ends."""
        self._watch.idle.clear()
        delay_s = RETRY_S_MIN
        try:
            while True:
                before = dict(self._processor.positions)
                try:
                    await self._processor.process(items)
                    break
                except Fenced as error:
                    _FENCED[self.group].inc()
                    _log.warning("consumer fenced", group=self.group, error=str(error))
                    self._reposition(client)
                    break
                except Exception as error:
                    if not is_transient(error):
                        raise
                    if before != self._processor.positions:
                        delay_s = RETRY_S_MIN
                    _log.warning(
                        "batch waits for a dependency", group=self.group, error=repr(error), delay_s=delay_s
                    )
                if not await self._wait_while_polling(client, delay_s):
                    return
                delay_s = min(RETRY_S_MAX, delay_s * 2)
            self._note_progress(items)
        finally:
            self._watch.idle.set()

    def _note_progress(self, items: Sequence[Item]) -> None:
        self._watch.progress.stands_at(self._processor.positions, time.monotonic())
        for place, time_ms in {item.place: item.record.timestamp for item in items}.items():
            self._watch.progress.applied(place, time_ms)

    async def _wait_while_polling(self, client: AIOKafkaConsumer, s_max: float) -> bool:
        """Waits with all partitions paused, polling so that the member stays; false if the batch is to be given up."""
        _RETRYING[self.group].set(1)
        self._watch.waiting = True
        try:
            self._pause(client)
            deadline = time.monotonic() + s_max
            while (left_s := deadline - time.monotonic()) > 0:
                if self._stopping.is_set() or self._watch.revoking.is_set():
                    return False
                # Returns at once: nothing can be fetched while all is paused.
                with contextlib.suppress(*WITHOUT_POSITION):
                    await self._fetch(client, 0)
                await self._wait_for_stop(min(0.25, left_s))
            return not (self._stopping.is_set() or self._watch.revoking.is_set())
        finally:
            self._watch.waiting = False
            self._watch.progress.excuse(time.monotonic())
            _RETRYING[self.group].set(0)

    def _pause(self, client: AIOKafkaConsumer) -> None:
        with contextlib.suppress(IllegalStateError):
            client.pause(*client.assignment())

    def _resume(self, client: AIOKafkaConsumer) -> None:
        paused = set(client.paused()) - self._awaiting_position
        if paused:
            with contextlib.suppress(IllegalStateError):
                client.resume(*paused)

    # Positions

    def _reposition(self, client: AIOKafkaConsumer) -> None:
        """The positions held here are worth nothing: take them from the database again."""
        self._epoch += 1
        self._processor.positions = {}
        self._watch.progress.forget()
        self._awaiting_position = set(client.assignment())
        with contextlib.suppress(IllegalStateError):
            client.pause(*self._awaiting_position)

    async def _take_positions(self, client: AIOKafkaConsumer) -> None:
        """Loads, checks and seeks; on a fault of the database the partitions stay paused and it is tried again."""
        epoch, places = self._epoch, sorted(self._awaiting_position)
        try:
            positions = await self._store.take(client, places)
        except Exception as error:
            if not is_transient(error) or isinstance(error, KafkaError):
                raise
            _log.warning("positions wait for the database", group=self.group, error=repr(error))
            await self._wait_while_polling(client, 1.0)
            return
        if epoch != self._epoch:
            return
        for place, position in positions.items():
            client.seek(place, position)
        self._processor.positions = self._processor.positions | positions
        self._awaiting_position -= positions.keys()
        self._watch.progress.stands_at(positions, time.monotonic())
        client.resume(*positions)
        _log.info(
            "partitions taken",
            group=self.group,
            positions={f"{p.topic}/{p.partition}": o for p, o in positions.items()},
        )

    def _forget_partitions(self) -> None:
        self._epoch += 1
        self._processor.positions = {}
        self._awaiting_position = set()
        self._watch.progress.forget()
        _PARTITIONS[self.group].set(0)

    async def revoked(self) -> None:
        """Called before a rebalance: lets the batch under way commit, within bounds; fencing guards the rest."""
        self._watch.revoking.set()
        try:
            await asyncio.wait_for(self._watch.idle.wait(), DRAIN_ON_REVOKE_S_MAX)
        except TimeoutError:
            _log.warning("batch still running when its partitions went", group=self.group)
        self._forget_partitions()

    def assigned_now(self, client: AIOKafkaConsumer, places: Collection[TopicPartition]) -> None:
        """Called after a rebalance: must not wait, or the heartbeat stops; the poll loop does the work."""
        self._forget_partitions()
        self._awaiting_position = set(places)
        client.pause(*places)
        self._watch.revoking.clear()
        _PARTITIONS[self.group].set(len(places))

    async def _wait_for_stop(self, s_max: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), s_max)


class _Listener:
    """aiokafka's callbacks; exceptions in them would only be logged there."""

    def __init__(self, consumer: Consumer, client: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._client = client

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Before a rebalance."""
        await self._consumer.revoked()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """After a rebalance."""
        self._consumer.assigned_now(self._client, assigned)


ConsumerRebalanceListener.register(_Listener)
