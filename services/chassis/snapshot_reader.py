"""Reads whole topics into memory, without a group and without a database: read models of compacted topics, and
live tails of event topics. Every process reads everything.
"""

import asyncio
import contextlib
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from prometheus_client import Counter, Gauge

from services.chassis import kafka, log, metrics
from services.chassis.envelope import EnvelopeError, Event, decode_record

POLL_MS = 200
RETRY_S_MIN = 0.2
RETRY_S_MAX = 5.0
METADATA_S = 0.2

_log = log.get(__name__)
_READ = metrics.Kept(Counter("sampan_reader_events_total", "Events read into memory.", ["topic"]))
_UNREADABLE = metrics.Kept(
    Counter("sampan_reader_unreadable_total", "Records left out as unreadable.", ["topic"])
)
_CAUGHT_UP = metrics.Kept(
    Gauge("sampan_reader_caught_up", "1 once the start's end of log was reached.", ["reader"])
)
_AGE_S = metrics.Kept(
    Gauge("sampan_reader_last_event_age_seconds", "Age of the last event when it was read.", ["reader"])
)

OnBatch = Callable[[Sequence[Event]], Awaitable[None] | None]


class SnapshotReader:
    """Feeds `on_batch` with the topics' events in partition order, from the beginning (`mode="snapshot"`) or
    from the end (`mode="tail"`, optionally `rewind_s` seconds before it).

    `caught_up` is set once everything that was there at the start has been passed on. An event may come again,
    after a lost connection or because a relay sent it twice: compare versions. A tombstone has an empty payload.
    Unreadable records are counted and left out. After an outage reading goes on where it stopped.

    `on_gap` is told when records are passed over that nobody has read: retention was faster, or the log is another one.

    Records whose key `wants` refuses are passed over before they are decoded. With `on_demand` (tails only) nothing
    is even fetched while `demand(False)` holds, as at first; after `demand(True)` everything from the moment on when
    `live` is set is passed on.
    """

    def __init__(
        self,
        *,
        topics: Sequence[str],
        on_batch: OnBatch,
        bootstrap: str,
        mode: Literal["snapshot", "tail"] = "snapshot",
        rewind_s: float = 0.0,
        batch_records_max: int = 2_000,
        partition_fetch_bytes_max: int = 1024 * 1024,
        name: str = "reader",
        wants: Callable[[bytes], bool] | None = None,
        on_demand: bool = False,
        on_gap: Callable[[], None] | None = None,
    ) -> None:
        self.caught_up = asyncio.Event()
        self.live = asyncio.Event()
        self._wants = wants
        self._on_gap = on_gap
        self._demanded = asyncio.Event()
        self.demand(not on_demand)
        self._topics = tuple(topics)
        self._on_batch = on_batch
        self._bootstrap = bootstrap
        self._mode = mode
        self._rewind_s = rewind_s
        self._batch_records_max = batch_records_max
        self._partition_fetch_bytes_max = partition_fetch_bytes_max
        self._name = name
        self._positions: dict[TopicPartition, int] = {}
        self._targets: dict[TopicPartition, int] | None = None
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self._task: asyncio.Task[Any] | None = None

    async def run(self) -> None:
        """Reads until `stop`. Outages of Kafka are waited out; what `on_batch` raises is raised."""
        self._task = asyncio.current_task()
        delay_s = RETRY_S_MIN
        try:
            while not self._stopping.is_set():
                try:
                    await self._session()
                    delay_s = RETRY_S_MIN
                except (KafkaError, OSError) as error:
                    _log.warning("reader restarts", reader=self._name, error=repr(error), delay_s=delay_s)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._stopping.wait(), delay_s)
                    delay_s = min(RETRY_S_MAX, delay_s * 2)
        finally:
            self._stopped.set()

    def demand(self, wanted: bool) -> None:
        """Whether anybody wants what is read, where reading is on demand."""
        if wanted:
            self._demanded.set()
        else:
            # Still live until the reader comes to rest: demand may be back before it notices.
            self._demanded.clear()

    @property
    def positions(self) -> Mapping[TopicPartition, int]:
        """The offset of the next record of each partition: all before it has been passed on. Empty at rest."""
        return self._positions

    async def stop(self, *, s_max: float = 5.0) -> None:
        """Ends the reading and returns when the client is closed."""
        self._stopping.set()
        self._demanded.set()
        if self._task is None:
            return
        try:
            await asyncio.wait_for(self._stopped.wait(), s_max)
        except TimeoutError:
            self._task.cancel()

    async def _session(self) -> None:
        client = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            client_id=f"sampan-{self._name}",
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_partition_fetch_bytes=self._partition_fetch_bytes_max,
            fetch_max_wait_ms=250,
            metadata_max_age_ms=60_000,
            **kafka.security(),
        )
        try:
            await client.start()
            places = await self._known_partitions(client)
            client.assign(places)
            await self._take_positions(client, places)
            while not self._stopping.is_set():
                await self._check_caught_up(client)
                if not self._demanded.is_set():
                    await self._rest(client, places)
                    continue
                try:
                    fetched = await client.getmany(timeout_ms=POLL_MS, max_records=self._batch_records_max)
                except OffsetOutOfRangeError:
                    await self._move_into_range(client, places)
                    continue
                if fetched:
                    await self._pass_on(fetched)
        finally:
            await kafka.stop_consumer(client)

    async def _known_partitions(self, client: AIOKafkaConsumer) -> list[TopicPartition]:
        """All partitions, once every topic exists."""
        while not self._stopping.is_set():
            # Fetches metadata of topics that the client has not asked for yet.
            existing = await client.topics()
            if existing.issuperset(self._topics):
                client._client.set_topics(self._topics)
                await client._client.force_metadata_update()
                places = kafka.partitions_of(client, self._topics)
                if {place.topic for place in places} == set(self._topics):
                    return places
            _log.info("reader waits for its topics", reader=self._name)
            await asyncio.sleep(METADATA_S)
        return []

    async def _take_positions(self, client: AIOKafkaConsumer, places: Sequence[TopicPartition]) -> None:
        ends: dict[TopicPartition, int] = await client.end_offsets(places)
        if not self._positions:
            self._positions = await self._start_positions(client, places, ends)
        if self._targets is None:
            self._targets = ends
        for place in places:
            client.seek(place, self._positions[place])
        if self._demanded.is_set():
            self.live.set()

    async def _rest(self, client: AIOKafkaConsumer, places: Sequence[TopicPartition]) -> None:
        """Fetches nothing until there is demand, then begins at the end."""
        self.live.clear()
        client.pause(*places)
        self._positions = {}
        await self._demanded.wait()
        if self._stopping.is_set():
            return
        await self._take_positions(client, places)
        client.resume(*places)

    async def _start_positions(
        self, client: AIOKafkaConsumer, places: Sequence[TopicPartition], ends: dict[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        if self._mode == "snapshot":
            begins: dict[TopicPartition, int] = await client.beginning_offsets(places)
            return begins
        if self._rewind_s <= 0:
            return dict(ends)
        since_ms = int((time.time() - self._rewind_s) * 1000)
        found = await client.offsets_for_times(dict.fromkeys(places, since_ms))
        return {place: found[place].offset if found.get(place) else ends[place] for place in places}

    async def _move_into_range(self, client: AIOKafkaConsumer, places: Sequence[TopicPartition]) -> None:
        """Retention has overtaken us, or the log was made anew: go to the nearest record that exists."""
        begins = await client.beginning_offsets(places)
        ends = await client.end_offsets(places)
        for place in places:
            position = self._positions[place]
            if not begins[place] <= position <= ends[place]:
                _log.error(
                    "reader lost its place", reader=self._name, topic=place.topic, partition=place.partition
                )
                self._positions[place] = begins[place]
                if self._on_gap is not None:
                    self._on_gap()
            client.seek(place, self._positions[place])

    async def _pass_on(self, fetched: dict[TopicPartition, list[Any]]) -> None:
        events: list[Event] = []
        wants = self._wants
        for place, records in fetched.items():
            count = len(events)
            for record in records:
                if wants is not None and not wants(record.key or b""):
                    continue
                try:
                    events.append(decode_record(record))
                except EnvelopeError as error:
                    _UNREADABLE[place.topic].inc()
                    _log.error("unreadable record", topic=place.topic, offset=record.offset, error=str(error))
            _READ[place.topic].inc(len(events) - count)
        # First, and in one go with the passing on: who asks for the positions afterwards has seen all before them.
        for place, records in fetched.items():
            self._positions[place] = records[-1].offset + 1
        if events:
            passed = self._on_batch(events)
            if inspect.isawaitable(passed):
                await passed
            _AGE_S[self._name].set(max(0.0, time.time() - events[-1].time_ms / 1000))

    async def _check_caught_up(self, client: AIOKafkaConsumer) -> None:
        if self.caught_up.is_set() or self._targets is None:
            return
        for place, end in self._targets.items():
            # The client's position also passes over records that compaction has removed.
            if max(self._positions[place], await client.position(place)) < end:
                return
        self.caught_up.set()
        _CAUGHT_UP[self._name].set(1)
        _log.info("reader caught up", reader=self._name)
