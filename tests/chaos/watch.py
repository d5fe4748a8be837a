"""Looks at the system from outside while it is being broken: is it well again, is work left, do positions go back.

Every look bears that servers are down: then nothing was learnt, which is not a fault.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from deploy.audit import checks as audit_checks
from deploy.audit.checks import Connection
from deploy.local.settings import PUBLISHERS
from tests.chaos.cluster import Cluster

CONNECT_S_MAX = 2.0
LOOK_S_MAX = 5.0
FRESH_S = 1.5
"""While work flows, no event and no order waits longer than this."""

UNREACHABLE = (*audit_checks.UNREACHABLE, KafkaError)

OLDEST_EVENT = (
    "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(event_time)), 0)::float8 FROM outbox"
)
OLDEST_ORDER = (
    "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(update_time)), 0)::float8 "
    "FROM orders WHERE state IN ('PENDING', 'CANCELLING')"
)
WAITING_ORDERS = "SELECT count(*) FROM orders WHERE state IN ('PENDING', 'CANCELLING')"
OVERDUE_ORDERS = (
    "SELECT count(*) FROM orders WHERE state = 'AWAITING_PAYMENT' "
    "AND payment_expire_time < clock_timestamp() - interval '5 seconds'"
)
OVERDUE_HOLDS = (
    "SELECT count(*) FROM fulfilments WHERE hold_state = 'PENDING' "
    "AND expire_time < clock_timestamp() - interval '5 seconds'"
)
POSITIONS = "SELECT grp, topic, part, next FROM consumer_offset"


@dataclass(slots=True)
class Positions:
    """Every position of every consumer that was seen, and those that went back."""

    samples: int = 0
    newest: dict[tuple[str, str, int], int] = field(default_factory=dict)
    went_back: list[str] = field(default_factory=list)

    def take(self, found: Mapping[tuple[str, str, int], int]) -> None:
        """One look at all positions of a database."""
        for place, next_ in found.items():
            self.samples += 1
            before = self.newest.get(place, 0)
            if next_ < before:
                self.went_back.append(f"{place[0]} in {place[1]}/{place[2]}: from {before} to {next_}")
            self.newest[place] = max(before, next_)


class Watch:
    """Holds direct connections to everything; opens them anew when they break."""

    def __init__(self, cluster: Cluster) -> None:
        self.positions = Positions()
        self._cluster = cluster
        self._connections: dict[str, Connection] = {}
        self._locks = {database: asyncio.Lock() for database in PUBLISHERS}
        self._consumer: AIOKafkaConsumer | None = None

    async def is_well(self) -> bool:
        """All replicas are ready, and nothing waits longer than it does when all is well."""
        if not all(await asyncio.gather(*(member.ready() for member in self._cluster.services))):
            return False
        try:
            ages = [await self._value(database, OLDEST_EVENT) for database in PUBLISHERS]
            ages.append(await self._value("orders", OLDEST_ORDER))
        except UNREACHABLE:
            return False
        return all(age < FRESH_S for age in ages)

    async def work_left(self) -> list[str]:
        """What is still under way, in words; empty at rest."""
        left = []
        try:
            for database in PUBLISHERS:
                if count := await self._value(database, "SELECT count(*) FROM outbox"):
                    left.append(f"{count:g} events in the outbox of {database}")
            for words, database, query in (
                ("orders pending or cancelling", "orders", WAITING_ORDERS),
                ("orders past their payment deadline", "orders", OVERDUE_ORDERS),
                ("holds past their deadline", "warehouse", OVERDUE_HOLDS),
            ):
                if count := await self._value(database, query):
                    left.append(f"{count:g} {words}")
            left += await self._lag()
        except UNREACHABLE as error:
            left.append(f"cannot look: {error!r}")
        return left

    async def sample_positions(self) -> None:
        """Takes one look at every consumer's position."""
        for database in audit_checks.CONSUMING_DATABASES:
            with suppress(*UNREACHABLE):
                rows = await self._rows(database, POSITIONS)
                self.positions.take({(row["grp"], row["topic"], row["part"]): row["next"] for row in rows})

    async def close(self) -> None:
        """Gives everything back."""
        for connection in self._connections.values():
            connection.terminate()
        self._connections.clear()
        if self._consumer is not None:
            await self._consumer.stop()
            self._consumer = None

    async def _lag(self) -> list[str]:
        positions: dict[tuple[str, TopicPartition], int] = {}
        for database in audit_checks.CONSUMING_DATABASES:
            for row in await self._rows(database, POSITIONS):
                positions[row["grp"], TopicPartition(row["topic"], row["part"])] = row["next"]
        ends = await self._ends({place for _, place in positions})
        return [
            f"{group} is {ends[place] - next_} records behind in {place.topic}/{place.partition}"
            for (group, place), next_ in sorted(positions.items())
            if next_ < ends[place]
        ]

    async def _ends(self, places: set[TopicPartition]) -> dict[TopicPartition, int]:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._cluster.bootstrap, client_id="chaos-watch", enable_auto_commit=False
            )
            try:
                async with asyncio.timeout(LOOK_S_MAX):
                    await consumer.start()
            except UNREACHABLE:
                await consumer.stop()
                raise
            self._consumer = consumer
        async with asyncio.timeout(LOOK_S_MAX):
            return dict(await self._consumer.end_offsets(list(places)))

    async def _value(self, database: str, query: str) -> float:
        (row,) = await self._rows(database, query)
        return float(row[0])

    async def _rows(self, database: str, query: str) -> list[asyncpg.Record]:
        async with self._locks[database]:
            connection = self._connections.get(database)
            if connection is None or connection.is_closed():
                connection = self._connections[database] = await asyncpg.connect(
                    self._cluster.dsn(database), timeout=CONNECT_S_MAX, statement_cache_size=0
                )
            try:
                return list(await connection.fetch(query, timeout=LOOK_S_MAX))
            except UNREACHABLE:
                connection.terminate()
                raise
