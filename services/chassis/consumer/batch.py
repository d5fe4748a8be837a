"""One fetched batch becomes one transaction: claim the offsets, drop what is applied, set aside what is blocked,
run the handler, remember the versions. A batch that fails for good is halved until the one event is found.
"""

import functools
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from aiokafka import TopicPartition
from prometheus_client import Counter, Histogram

from services.chassis import log, metrics
from services.chassis.consumer import gaps
from services.chassis.consumer.handlers import Handler, Independent
from services.chassis.consumer.tracing import followed
from services.chassis.crash import crash_point
from services.chassis.envelope import EnvelopeError, Event, decode_record
from services.chassis.pg import Connection, Database, is_timeout, is_transient
from services.chassis.pg_errors import describe
from services.chassis.queries import load_queries

AggregateKey: TypeAlias = gaps.AggregateKey
DETAIL_CHARACTERS_MAX = 2_000

_log = log.get(__name__)
_EVENTS = metrics.Kept(
    Counter("sampan_consumer_events_total", "Events by outcome, after the commit.", ["group", "outcome"])
)
_BATCH = metrics.Kept(
    Histogram(
        "sampan_consumer_batch_events", "Records per transaction.", ["group"], buckets=metrics.BATCH_BUCKETS
    )
)
_TRANSACTION_S = metrics.Kept(
    Histogram(
        "sampan_consumer_transaction_seconds",
        "Time of a batch's transaction, committed or not.",
        ["group"],
        buckets=metrics.LATENCY_BUCKETS_S,
    )
)


class Fenced(Exception):
    """Somebody else has moved the group's offsets: this member is a zombie, or a lost answer was a commit."""


@dataclass(slots=True)
class Item:
    """A record with its event, or with what is wrong with its envelope."""

    place: TopicPartition
    record: Any
    event: Event | None
    fault: str = ""


@dataclass(slots=True)
class Outcome:
    """What one transaction did.

    `gaps`: events of which one before was given up, or is made good by them. `unplaced`: first events known of
    their aggregate that are not its first: those before were forgotten, because it was idle for long, or removed
    before this group began.
    """

    applied: int = 0
    duplicate: int = 0
    superseded: int = 0
    parked: int = 0
    gaps: int = 0
    unplaced: int = 0


@dataclass(slots=True)
class _Triage:
    """What to do with each event of a batch."""

    fresh: list[Event] = field(default_factory=list)
    versions: dict[AggregateKey, int] = field(default_factory=dict)
    parked: list[tuple[Item, str, str]] = field(default_factory=list)
    ahead: set[AggregateKey] = field(default_factory=set)
    """Aggregates with an event whose predecessors are missing."""
    outcome: Outcome = field(default_factory=Outcome)


def decode(place: TopicPartition, records: Sequence[Any]) -> list[Item]:
    """The items of a partition's records; an unreadable one becomes an item too."""
    items: list[Item] = []
    for record in records:
        try:
            items.append(Item(place, record, decode_record(record)))
        except EnvelopeError as error:
            items.append(Item(place, record, None, str(error)))
    return items


class BatchProcessor:
    """Applies batches and holds the group's positions in the partitions assigned to it."""

    def __init__(
        self,
        *,
        group: str,
        handler: Handler,
        db: Database,
        after_commit: Callable[[], None] | None,
        snapshot_topics: Collection[str],
        catch_up_types: Collection[str] = (),
    ) -> None:
        self.positions: dict[TopicPartition, int] = {}
        self._group = group
        self._handler = handler
        self._is_independent = isinstance(handler, Independent)
        self._db = db
        self._after_commit = after_commit
        self._snapshot_topics = frozenset(snapshot_topics)
        self._catch_up_types = frozenset(catch_up_types)
        self._queries = load_queries("services.chassis")

    async def process(self, items: Sequence[Item]) -> None:
        """Applies all items, in one transaction if nothing is wrong with them.

        Raises `Fenced`, or a transient error with the positions telling how far it came.
        """
        positions = self.positions
        items = [
            item for item in items if item.place in positions and item.record.offset >= positions[item.place]
        ]
        if not items:
            return
        error = await self._attempt(items)
        if error is None:
            return
        # Outside of the handler of the exception: else every halving would chain one more traceback to it.
        if len(items) > 1:
            middle = len(items) // 2
            await self.process(items[:middle])
            await self.process(items[middle:])
            return
        _log.error(
            "event parked",
            group=self._group,
            topic=items[0].place.topic,
            partition=items[0].place.partition,
            offset=items[0].record.offset,
            exc_info=error,
        )
        await self._commit(items, failure=describe(error))

    async def _attempt(self, items: Sequence[Item]) -> Exception | None:
        """Commits the items, or returns what speaks for trying with fewer of them."""
        try:
            await self._commit(items)
        except Fenced:
            raise
        except Exception as error:
            if is_transient(error) and not (is_timeout(error) and len(items) > 1):
                raise
            return error
        return None

    async def _commit(self, items: Sequence[Item], *, failure: str | None = None) -> None:
        positions = self.positions
        last = {item.place: item.record.offset + 1 for item in items}
        first = {place: positions[place] for place in last}
        events = [item.event for item in items if item.event is not None]
        with followed(self._group, events), _TRANSACTION_S[self._group].time():
            outcome = await self._db.transact(functools.partial(self._apply, items, first, last, failure))
        crash_point("consumer.after_commit")
        if positions is self.positions:
            positions.update(last)
        _BATCH[self._group].observe(len(items))
        self._count(outcome)
        if self._after_commit is not None:
            self._after_commit()

    async def _apply(
        self,
        items: Sequence[Item],
        first: dict[TopicPartition, int],
        last: dict[TopicPartition, int],
        failure: str | None,
        connection: Connection,
    ) -> Outcome:
        keys = [] if self._is_independent else list({_aggregate(item): None for item in items})
        applied, blocked = await self._claim(connection, keys, first, last)
        triage = self._take_all(items) if self._is_independent else self._triage(items, applied, blocked)
        if triage.ahead:
            given_up = await gaps.given_up(connection, self._group, triage.ahead)
            if given_up:
                triage = self._triage(items, applied, blocked, given_up)
        if failure is not None:
            # A single item, known to fail. If it is a duplicate or blocked by now, that has already been said.
            triage.parked += [(items[0], "FAILED", failure)] * len(triage.fresh)
            triage.outcome.applied, triage.fresh, triage.versions = 0, [], {}
        if triage.fresh:
            await self._handler(connection, triage.fresh)
        if triage.versions:
            await connection.execute(
                self._queries["record_applied"],
                self._group,
                [topic for topic, _ in triage.versions],
                [aggregate_id for _, aggregate_id in triage.versions],
                list(triage.versions.values()),
            )
        if triage.parked:
            await self._park(connection, triage.parked)
            crash_point("consumer.park.before_commit")
            triage.outcome.parked = len(triage.parked)
        crash_point("consumer.before_commit")
        return triage.outcome

    async def _claim(
        self,
        connection: Connection,
        keys: Sequence[AggregateKey],
        first: dict[TopicPartition, int],
        last: dict[TopicPartition, int],
    ) -> tuple[dict[AggregateKey, int], set[AggregateKey]]:
        """Moves the offsets, which fences others; the applied versions of aggregates, and which of them are blocked."""
        places = sorted(first)
        rows = await connection.fetch(
            self._queries["claim_and_look_up"],
            self._group,
            [place.topic for place in places],
            [place.partition for place in places],
            [first[place] for place in places],
            [last[place] for place in places],
            [topic for topic, _ in keys],
            [aggregate_id for _, aggregate_id in keys],
        )
        applied: dict[AggregateKey, int] = {}
        claimed = 0
        any_parked = False
        for topic, aggregate_id, version, parked in rows:
            if topic is None:
                claimed, any_parked = version, parked
            else:
                applied[topic, aggregate_id] = version
        if claimed != len(places):
            raise Fenced(
                f"{claimed} of {len(places)} partitions stood where group {self._group} expected them"
            )
        if not any_parked or not keys:
            return applied, set()
        blocked, replayed = await self._wait_for_replay(connection, keys)
        return applied | replayed, blocked

    async def _wait_for_replay(
        self, connection: Connection, keys: Sequence[AggregateKey]
    ) -> tuple[set[AggregateKey], dict[AggregateKey, int]]:
        """The blocked aggregates, and versions applied meanwhile.

        Without the wait an event could be parked behind others that a replay is just about to clear.
        """
        found = await connection.fetch(
            self._queries["find_blocked"],
            self._group,
            [topic for topic, _ in keys],
            [aggregate_id for _, aggregate_id in keys],
        )
        if not found:
            return set(), {}
        arrays = ([topic for topic, _ in found], [aggregate_id for _, aggregate_id in found])
        still = await connection.fetch(self._queries["lock_parked"], self._group, *arrays)
        rows = await connection.fetch(self._queries["look_up_applied"], self._group, *arrays)
        return (
            {(topic, aggregate_id) for topic, aggregate_id in still},
            {(topic, aggregate_id): version for topic, aggregate_id, version in rows},
        )

    def _triage(
        self,
        items: Sequence[Item],
        applied: dict[AggregateKey, int],
        blocked: set[AggregateKey],
        given_up: Mapping[AggregateKey, Set[int]] = gaps.NOTHING_GIVEN_UP,
    ) -> _Triage:
        triage = _Triage()
        blocked = set(blocked)
        outcome, versions = triage.outcome, triage.versions
        fresh: list[tuple[AggregateKey, Event]] = []
        for item in items:
            event = item.event
            key = _aggregate(item)
            if event is None:
                triage.parked.append((item, "UNREADABLE", item.fault))
                blocked.add(key)
                continue
            known = versions.get(key) or applied.get(key, 0)
            if event.version <= known:
                outcome.duplicate += 1
            elif key in blocked:
                triage.parked.append((item, "BLOCKED", "an earlier event of this aggregate is parked"))
            else:
                if event.version > known + 1 and event.topic not in self._snapshot_topics:
                    lacking = gaps.missing(known, event.version, given_up.get(key, frozenset()))
                    if lacking and event.type not in self._catch_up_types:
                        triage.ahead.add(key)
                        triage.parked.append((item, "BLOCKED", lacking))
                        blocked.add(key)
                        continue
                    if known:
                        outcome.gaps += 1
                    else:
                        outcome.unplaced += 1
                versions[key] = event.version
                fresh.append((key, event))
        self._keep_newest(triage, fresh, versions)
        return triage

    def _take_all(self, items: Sequence[Item]) -> _Triage:
        """What to do with events that count by themselves."""
        triage = _Triage()
        fresh: list[tuple[AggregateKey, Event]] = []
        newest: dict[AggregateKey, int] = {}
        for item in items:
            event = item.event
            if event is None:
                triage.parked.append((item, "UNREADABLE", item.fault))
                continue
            key = _aggregate(item)
            newest[key] = max(event.version, newest.get(key, 0))
            fresh.append((key, event))
        self._keep_newest(triage, fresh, newest)
        return triage

    def _keep_newest(
        self,
        triage: _Triage,
        fresh: Sequence[tuple[AggregateKey, Event]],
        newest: Mapping[AggregateKey, int],
    ) -> None:
        """Of snapshots only the newest says anything."""
        triage.fresh = [
            event
            for key, event in fresh
            if event.version == newest[key] or event.topic not in self._snapshot_topics
        ]
        triage.outcome.superseded = len(fresh) - len(triage.fresh)
        triage.outcome.applied = len(triage.fresh)

    async def _park(self, connection: Connection, parked: Sequence[tuple[Item, str, str]]) -> None:
        await connection.executemany(
            self._queries["park_event"],
            [
                (
                    self._group,
                    item.place.topic,
                    item.place.partition,
                    item.record.offset,
                    datetime.fromtimestamp(max(0, item.record.timestamp) / 1000, UTC),
                    item.record.key or b"",
                    [_storable(name) for name, _ in item.record.headers],
                    [value or b"" for _, value in item.record.headers],
                    item.record.value or b"",
                    _aggregate(item)[1],
                    item.event.version if item.event is not None else None,
                    _storable(item.event.type) if item.event is not None else None,
                    cause,
                    _storable(detail[:DETAIL_CHARACTERS_MAX]),
                )
                for item, cause, detail in parked
            ],
        )

    def _count(self, outcome: Outcome) -> None:
        for name, count in (
            ("applied", outcome.applied),
            ("duplicate", outcome.duplicate),
            ("superseded", outcome.superseded),
            ("parked", outcome.parked),
            ("gap", outcome.gaps),
            ("unplaced", outcome.unplaced),
        ):
            if count:
                _EVENTS[self._group, name].inc(count)


def _aggregate(item: Item) -> AggregateKey:
    """The topic and the aggregate; for an unreadable record the subject if that can be read, else the key."""
    if item.event is not None:
        return item.place.topic, item.event.aggregate_id
    subject = dict(item.record.headers).get("ce_subject") or item.record.key or b""
    return item.place.topic, _storable(subject.decode("utf-8", "replace"))


def _storable(text: str) -> str:
    """PostgreSQL's text holds neither NUL nor lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
