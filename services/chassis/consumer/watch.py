"""What goes on beside a consumer's poll loop: lag, alarms, telling Kafka the offsets, forgetting the old."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import Gauge

from services.chassis import log, metrics
from services.chassis.consumer.batch import BatchProcessor
from services.chassis.consumer.parking import COUNT_MAX, measure_parked
from services.chassis.consumer.progress import Progress
from services.chassis.consumer.sweep import AppliedSweep
from services.chassis.pg import Database, is_transient

OBSERVE_S = 2.0
COMMIT_S = 1.0
COMMIT_S_MAX = 10.0
UPKEEP_S = 5.0

_log = log.get(__name__)
_LAG = metrics.Kept(Gauge("sampan_consumer_lag_records", "Records not yet applied.", ["group", "topic"]))
_AGE_S = metrics.Kept(
    Gauge("sampan_consumer_lag_age_seconds", "Age of the oldest record not yet applied.", ["group", "topic"])
)
_PARKED = metrics.Kept(
    Gauge("sampan_consumer_parked_events", f"Parked events, counted up to {COUNT_MAX}.", ["group"])
)


class ConsumerStalled(RuntimeError):
    """Records wait and nothing moves, for no known reason: the process should be started anew."""


class PollBlocked(RuntimeError):
    """A fetch has not come back for too long; the client is made anew."""


class Watch:
    """One consumer's state that others look at, and the tasks that do."""

    def __init__(
        self,
        *,
        group: str,
        topics: Sequence[str],
        db: Database,
        processor: BatchProcessor,
        stall_s_max: float,
        poll_blocked_s_max: float,
        applied_retention_days: int,
    ) -> None:
        self.progress = Progress()
        # Set while no batch is being applied: a revocation waits for it.
        self.idle = asyncio.Event()
        self.idle.set()
        # Set from the start of a rebalance to its end.
        self.revoking = asyncio.Event()
        # A batch waits for a dependency, which explains a standstill.
        self.waiting = False
        self.polling_since_s: float | None = None
        self._group = group
        self._topics = topics
        self._db = db
        self._processor = processor
        self._stall_s_max = stall_s_max
        self._poll_blocked_s_max = poll_blocked_s_max
        self._sweep = AppliedSweep(db, retention_days=applied_retention_days)

    async def observe(self, client: AIOKafkaConsumer) -> None:
        """Measures lag, for ever; raises the alarms `ConsumerStalled` and `PollBlocked`."""
        while True:
            await asyncio.sleep(OBSERVE_S)
            now_s = time.monotonic()
            since_s = self.polling_since_s
            if since_s is not None and now_s - since_s > self._poll_blocked_s_max:
                raise PollBlocked(
                    f"a fetch of group {self._group} has been under way for {now_s - since_s:.0f} s"
                )
            places = list(self._processor.positions)
            try:
                ends = await client.end_offsets(places) if places else {}
            except (KafkaError, OSError) as error:
                _log.warning("lag not measured", group=self._group, error=repr(error))
                self.progress.excuse(now_s)
                continue
            await self._pass_over_gaps(client, places)
            self._publish_lag(ends)
            if self.waiting:
                continue
            stalled = self.progress.stalled(ends, time.monotonic(), self._stall_s_max)
            if stalled is not None:
                raise ConsumerStalled(
                    f"group {self._group} has not moved in {stalled.topic}/{stalled.partition} "
                    f"for {self._stall_s_max:g} s although records wait"
                )

    async def _pass_over_gaps(self, client: AIOKafkaConsumer, places: Sequence[TopicPartition]) -> None:
        """Where compaction has removed the last records, only the client's position reaches the end of the log."""
        reached = {place: await client.position(place) for place in places if place in client.assignment()}
        if self.idle.is_set():
            held = self._processor.positions
            self.progress.stands_at(
                {place: max(reached[place], held[place]) for place in reached.keys() & held.keys()},
                time.monotonic(),
            )

    def _publish_lag(self, ends: dict[TopicPartition, int]) -> None:
        lags = self.progress.observe(ends, time.monotonic(), int(time.time() * 1000))
        for topic in self._topics:
            of_topic = [lag for place, lag in lags.items() if place.topic == topic]
            _LAG[self._group, topic].set(sum(lag.records for lag in of_topic))
            _AGE_S[self._group, topic].set(max((lag.age_s for lag in of_topic), default=0.0))

    async def commit_to_kafka(self, client: AIOKafkaConsumer) -> None:
        """Tells Kafka how far we are, for ever, for lag tools; the truth is in the database."""
        committed: dict[TopicPartition, int] = {}
        while True:
            await asyncio.sleep(COMMIT_S)
            positions = dict(self._processor.positions)
            if positions and positions != committed and not self.revoking.is_set():
                await self.commit_positions(client, s_max=COMMIT_S_MAX)
                committed = positions

    async def commit_positions(self, client: AIOKafkaConsumer, *, s_max: float) -> None:
        """Tells Kafka once, if it listens."""
        positions = dict(self._processor.positions)
        if not positions:
            return
        try:
            async with asyncio.timeout(s_max):
                await client.commit(positions)
        except (KafkaError, TimeoutError, OSError) as error:
            _log.info("offsets not told to Kafka", group=self._group, error=repr(error))

    async def keep_up(self) -> None:
        """Forgets old applied versions and counts the parked, for ever, a little at a time."""
        while True:
            await asyncio.sleep(UPKEEP_S)
            await self._while_database_is_up(self._sweep.step)
            await self._while_database_is_up(self._count_parked)

    async def _count_parked(self) -> None:
        count, _ = await measure_parked(self._db, self._group)
        _PARKED[self._group].set(count)

    async def _while_database_is_up(self, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except Exception as error:
            if not is_transient(error):
                raise
            _log.info("upkeep postponed", group=self._group, error=repr(error))
