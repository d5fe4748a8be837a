"""Parked events: looked at, replayed through the normal handler, or given up; always by a named person's command."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from services.chassis import log
from services.chassis.consumer import gaps
from services.chassis.consumer.batch import DETAIL_CHARACTERS_MAX, AggregateKey
from services.chassis.consumer.handlers import Handler, Independent
from services.chassis.envelope import Event, decode_record
from services.chassis.pg import Connection, Database, is_transient
from services.chassis.pg_errors import describe
from services.chassis.queries import load_queries

TRANSACTION_EVENTS_MAX = 500
AGGREGATES_PAGE = 200
LIST_MAX = 1_000
COUNT_MAX = 10_000

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class ParkedEvent:
    """A parked event as operators see it."""

    id: int
    topic: str
    partition: int
    offset: int
    aggregate_id: str
    version: int | None
    type: str | None
    cause: str
    detail: str
    record_time: datetime
    park_time: datetime
    attempts: int


@dataclass(slots=True)
class ReplayReport:
    """What a replay did; `failures` tells the reason per (topic, aggregate) that stays parked.

    `after` is set where a bound has ended it: another one goes on behind that aggregate.
    """

    replayed: int = 0
    failures: dict[AggregateKey, str] = field(default_factory=dict)
    after: AggregateKey | None = None


async def measure_parked(db: Database, group: str) -> tuple[int, datetime | None]:
    """How many events are parked, counted up to `COUNT_MAX`, and since when the first of those is."""
    async with db.connection() as connection:
        [row] = await connection.fetch(load_queries("services.chassis")["measure_parked"], group, COUNT_MAX)
    return row["events"], row["since"]


async def list_parked(
    db: Database, group: str, *, after_id: int = 0, aggregate_id: str | None = None, limit: int = 100
) -> list[ParkedEvent]:
    """Events still parked, oldest first; the next page starts after the last id."""
    async with db.connection() as connection:
        rows = await connection.fetch(
            load_queries("services.chassis")["list_parked"],
            group,
            after_id,
            min(limit, LIST_MAX),
            aggregate_id,
        )
    return [ParkedEvent(*row) for row in rows]


async def discard_parked(db: Database, group: str, ids: Sequence[int], *, actor: str, note: str) -> list[int]:
    """Gives events up for good; their aggregates go on without them. Returns the ids of those that were parked."""
    queries = load_queries("services.chassis")

    async def discard(connection: Connection) -> list[int]:
        rows = await connection.fetch(queries["resolve_parked"], group, list(ids), "DISCARDED", actor, note)
        return sorted(row["id"] for row in rows)

    discarded = await db.transact(discard)
    _log.warning("parked events discarded", group=group, ids=discarded, actor=actor, note=note)
    return discarded


async def replay_parked(
    db: Database,
    group: str,
    handler: Handler,
    *,
    actor: str,
    aggregate_id: str | None = None,
    aggregates_max: int | None = None,
    events_max: int | None = None,
    across_gaps: bool = False,
    after: AggregateKey = ("", ""),
) -> ReplayReport:
    """Runs the normal handler over parked events, aggregate by aggregate behind `after`, each in order.

    It ends with the last aggregate, or once it has tried `aggregates_max` of them or replayed `events_max` events.
    An aggregate is replayed in transactions of many events, one by one where that fails; it
    stops at its first failure, and later aggregates are still tried. An event whose predecessors are missing
    fails, unless `across_gaps` gives them up: should they come later, they are dropped as duplicates.
    Raises transient errors: run it again.
    """
    replay = _Replay(db, group, handler, actor, across_gaps)
    report = ReplayReport()
    left = sys.maxsize if aggregates_max is None else aggregates_max
    events_max = sys.maxsize if events_max is None else events_max
    while report.after is None:
        size = min(left, AGGREGATES_PAGE)
        async with db.connection() as connection:
            page = await connection.fetch(
                replay.queries["parked_aggregates"], group, *after, aggregate_id, size
            )
        for topic, parked_aggregate_id in page:
            if not await replay.aggregate(topic, parked_aggregate_id, report, events_max):
                report.after = after
                break
            after = (topic, parked_aggregate_id)
        else:
            left -= len(page)
            if len(page) < size:
                break
            if left == 0:
                report.after = after
    _log.info(
        "parked events replayed",
        group=group,
        actor=actor,
        replayed=report.replayed,
        failed=len(report.failures),
    )
    return report


class _Replay:
    def __init__(
        self,
        db: Database,
        group: str,
        handler: Handler,
        actor: str,
        across_gaps: bool,
    ) -> None:
        self.queries = load_queries("services.chassis")
        self._db = db
        self._group = group
        self._handler = handler
        self._actor = actor
        self._across_gaps = across_gaps

    async def aggregate(self, topic: str, aggregate_id: str, report: ReplayReport, events_max: int) -> bool:
        """Replays until nothing of the aggregate is parked or the next event fails.

        False where something may be left because the report counts `events_max` events.
        """
        count = TRANSACTION_EVENTS_MAX
        while left := events_max - report.replayed:
            count = min(count, left)
            ids: list[int] = []

            async def step(connection: Connection, seen: list[int] = ids, count: int = count) -> int:
                return await self._step(connection, topic, aggregate_id, count, seen)

            try:
                done = await self._db.transact(step)
            except Exception as error:
                if is_transient(error):
                    raise
                if count > 1:
                    count = 1
                    continue
                detail = describe(error).replace("\x00", "\ufffd")[:DETAIL_CHARACTERS_MAX]
                await self._note_failure(ids, detail)
                report.failures[topic, aggregate_id] = detail
                return True
            report.replayed += done
            if done < count:
                return True
        return False

    async def _step(
        self, connection: Connection, topic: str, aggregate_id: str, count: int, seen: list[int]
    ) -> int:
        seen.clear()
        place = (self._group, topic, aggregate_id)
        await connection.fetch(self.queries["lock_parked_aggregate"], *place)
        # Read after the locks are held: the consumer may have parked more while we waited.
        rows = await connection.fetch(self.queries["read_parked_aggregate"], *place, count)
        if not rows:
            return 0
        seen += [row["id"] for row in rows]
        events = [_event(row) for row in rows]
        if isinstance(self._handler, Independent):
            await self._handler(connection, events)
        else:
            await self._apply_in_order(connection, events)
        await connection.execute(
            self.queries["resolve_parked"], self._group, seen, "REPLAYED", self._actor, None
        )
        return len(rows)

    async def _apply_in_order(self, connection: Connection, events: Sequence[Event]) -> None:
        keys = list({(event.topic, event.aggregate_id): None for event in events})
        applied = {
            (row["topic"], row["aggregate_id"]): row["version"]
            for row in await connection.fetch(
                self.queries["look_up_applied"], self._group, [t for t, _ in keys], [a for _, a in keys]
            )
        }
        fresh: list[Event] = []
        given_up = await gaps.given_up(connection, self._group, keys)
        for event in events:
            key = (event.topic, event.aggregate_id)
            known = applied.get(key, 0)
            if event.version > known:
                lacking = gaps.missing(known, event.version, given_up.get(key, frozenset()))
                if lacking and not self._across_gaps:
                    raise gaps.VersionsMissing(lacking)
                applied[key] = event.version
                fresh.append(event)
        if fresh:
            await self._handler(connection, fresh)
            await connection.execute(
                self.queries["record_applied"],
                self._group,
                [t for t, _ in applied],
                [a for _, a in applied],
                list(applied.values()),
            )

    async def _note_failure(self, ids: Sequence[int], detail: str) -> None:
        async def note(connection: Connection) -> None:
            await connection.execute(self.queries["note_failed_replay"], list(ids), detail)

        await self._db.transact(note)


def _event(row: Any) -> Event:
    """The event of a parked row, decoded anew: what could not be read then may be readable now."""
    return decode_record(
        SimpleNamespace(
            topic=row["topic"],
            partition=row["part"],
            offset=row["offset"],
            timestamp=int(row["record_time"].timestamp() * 1000),
            key=row["record_key"],
            value=row["payload"],
            headers=list(zip(row["header_names"], row["header_values"], strict=True)),
        )
    )
