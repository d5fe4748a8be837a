"""Where a group stands, from the database, checked against what Kafka still has."""

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import Counter

from services.chassis import log, metrics
from services.chassis.pg import Connection, Database
from services.chassis.queries import load_queries

# After a broker's crash its high watermark may for a moment be older than what was read from it before.
BEYOND_END_CHECKS_MAX = 15
BEYOND_END_CHECK_S = 2.0

_log = log.get(__name__)
_SKIPPED = metrics.Kept(
    Counter(
        "sampan_consumer_skipped_records_total",
        "Records that retention removed before they were applied.",
        ["group"],
    )
)


class OffsetBeyondEnd(RuntimeError):
    """The database stands behind the end of the log: the topic was truncated or made anew. A person must decide."""


class PositionStore:
    """A group's rows of consumer_offset."""

    def __init__(self, group: str, db: Database) -> None:
        self._group = group
        self._db = db
        self._queries = load_queries("services.chassis")

    async def take(
        self, client: AIOKafkaConsumer, places: Sequence[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """The positions to go on from; a partition never seen before starts at its earliest record.

        Raises `OffsetBeyondEnd`, Kafka's errors, and the database's.
        """
        begins: dict[TopicPartition, int] = await client.beginning_offsets(places)
        positions = await self._load_or_start(places, begins)
        lost = {place: begins[place] for place, position in positions.items() if position < begins[place]}
        if lost:
            await self._skip(lost, positions)
            positions |= lost
        ends: dict[TopicPartition, int] = {}
        beyond: list[TopicPartition] = []
        for _ in range(BEYOND_END_CHECKS_MAX):
            ends = await client.end_offsets(places)
            beyond = [place for place in places if positions[place] > ends[place]]
            if not beyond:
                return positions
            await asyncio.sleep(BEYOND_END_CHECK_S)
        raise OffsetBeyondEnd(
            f"group {self._group} stands at "
            + ", ".join(f"{positions[p]} of {p.topic}/{p.partition}, which ends at {ends[p]}" for p in beyond)
            + ": the topic was truncated or made anew; restore it, or delete the group's rows of consumer_offset"
        )

    async def _load_or_start(
        self, places: Sequence[TopicPartition], begins: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        arrays = ([place.topic for place in places], [place.partition for place in places])

        async def load(connection: Connection) -> dict[TopicPartition, int]:
            await connection.execute(
                self._queries["start_offsets"], self._group, *arrays, [begins[place] for place in places]
            )
            rows = await connection.fetch(self._queries["load_offsets"], self._group, *arrays)
            return {TopicPartition(topic, part): position for topic, part, position in rows}

        return await self._db.transact(load)

    async def _skip(
        self, lost: Mapping[TopicPartition, int], positions: Mapping[TopicPartition, int]
    ) -> None:
        count = sum(begin - positions[place] for place, begin in lost.items())
        _SKIPPED[self._group].inc(count)
        _log.error("records were removed before they were applied", group=self._group, count=count)

        async def skip(connection: Connection) -> None:
            await connection.execute(
                self._queries["skip_offsets"],
                self._group,
                [place.topic for place in lost],
                [place.partition for place in lost],
                list(lost.values()),
            )

        await self._db.transact(skip)
