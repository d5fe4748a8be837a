"""Reads a topic once more from where somebody has read it before, without a group: for those who come back."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from services.chassis import kafka, log
from services.chassis.envelope import EnvelopeError, Event, decode_record

POLL_MS = 200
BATCH_RECORDS_MAX = 500

_log = log.get(__name__)


class PositionGone(Exception):
    """The topic has other partitions, or no longer or not yet the records at a position."""


class Replay:
    """One topic, read from a position on. `positions` are the offsets of the next records, by partition."""

    def __init__(self, client: AIOKafkaConsumer, places: Sequence[TopicPartition]) -> None:
        self._client = client
        self._places = places
        self.positions: list[int] = []

    async def begin(self, positions: Sequence[int]) -> None:
        """Goes to the positions; raises PositionGone where one of them is not in the topic."""
        begins = await self._client.beginning_offsets(self._places)
        ends = await self._client.end_offsets(self._places)
        if len(positions) != len(self._places):
            raise PositionGone
        for place, position in zip(self._places, positions, strict=True):
            if not begins[place] <= position <= ends[place]:
                raise PositionGone
            self._client.seek(place, position)
        self.positions = list(positions)

    async def read(self) -> list[Event]:
        """The next events of any partition, each partition's in its order; none where the end is reached for now.

        Raises PositionGone where retention has overtaken the reading, and KafkaError.
        """
        try:
            fetched = await self._client.getmany(timeout_ms=POLL_MS, max_records=BATCH_RECORDS_MAX)
        except OffsetOutOfRangeError as error:
            raise PositionGone from error
        events: list[Event] = []
        for place, records in fetched.items():
            for record in records:
                try:
                    events.append(decode_record(record))
                except EnvelopeError as error:
                    _log.error("unreadable record", topic=place.topic, offset=record.offset, error=str(error))
            self.positions[place.partition] = records[-1].offset + 1
        return events


@asynccontextmanager
async def replaying(topic: str, positions: Sequence[int], *, bootstrap: str) -> AsyncIterator[Replay]:
    """A replay of all partitions, as long as the block lasts; raises PositionGone and KafkaError."""
    client = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        client_id="sampan-replay",
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        metadata_max_age_ms=60_000,
        **kafka.security(),
    )
    try:
        await client.start()
        # Fetches metadata of a topic that the client has not asked for yet.
        await client.topics()
        client._client.set_topics((topic,))
        await client._client.force_metadata_update()
        places = kafka.partitions_of(client, (topic,))
        client.assign(places)
        replay = Replay(client, places)
        await replay.begin(positions)
        yield replay
    finally:
        await kafka.stop_consumer(client)
