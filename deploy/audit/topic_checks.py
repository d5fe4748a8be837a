"""The checks that compare topics with the databases that wrote them and those that read them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from deploy.audit.checks import CONSUMING_DATABASES, Check, Connection, Findings, connected
from deploy.audit.topics import Aggregate, PartitionScan, Topics
from services.chassis.queries import load_queries

ORDERS_TOPIC = "sampan.orders.orders.v1"
FULFILMENTS_TOPIC = "sampan.warehouse.fulfilments.v1"
PRODUCTS_TOPIC = "sampan.catalog.products.v1"
WAREHOUSES_TOPIC = "sampan.warehouse.warehouses.v1"
CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class EventTopic:
    """A topic of gapless events and the database whose rows it must match."""

    name: str
    database: str
    versions: str
    count_sent: str


EVENT_TOPICS = (
    EventTopic(ORDERS_TOPIC, "orders", "order_versions", "count_orders_sent"),
    EventTopic(FULFILMENTS_TOPIC, "warehouse", "fulfilment_versions", "count_fulfilments_sent"),
)
SNAPSHOT_TOPICS = (PRODUCTS_TOPIC, WAREHOUSES_TOPIC)


@dataclass(slots=True)
class _Found:
    """The findings of every topic check; one scan serves them all."""

    order: Findings = field(default_factory=Findings)
    sent: Findings = field(default_factory=Findings)
    effects: Findings = field(default_factory=Findings)
    ends: Findings = field(default_factory=Findings)
    positions: Findings = field(default_factory=Findings)
    lag: Findings = field(default_factory=Findings)


class TopicExamination:
    """Scans every topic once for all topic checks; the first check that asks pays for it."""

    def __init__(
        self,
        bootstrap: str,
        dsns: Mapping[str, str],
        *,
        event_topics: Sequence[EventTopic] = EVENT_TOPICS,
        snapshot_topics: Sequence[str] = SNAPSHOT_TOPICS,
        injected: Collection[tuple[str, int, int]] = frozenset(),
    ) -> None:
        self._bootstrap = bootstrap
        self._event_topics = event_topics
        self._snapshot_topics = snapshot_topics
        self._injected = injected
        self._dsns = dsns
        self._queries = load_queries("deploy.audit")
        self._found: _Found | None = None

    def checks(self) -> list[Check]:
        """All of them."""
        return [
            Check(
                "5 one end, told",
                "No hold was posted twice or voided twice, and none was both.",
                self._ends,
            ),
            Check(
                "12 order",
                "Per aggregate, first occurrences in the topic are in order and without gaps.",
                self._order,
            ),
            Check(
                "12 sent",
                "Every version of an aggregate whose event left the outbox is in the topic.",
                self._sent,
            ),
            Check(
                "13 effect", "Every event was applied by each of its consumers or is parked.", self._effects
            ),
            Check(
                "14 offsets",
                "A consumer's position lies between what it told Kafka and the end of the log.",
                self._positions,
            ),
            Check("15 lag", "Every consumer has read to the end.", self._lag),
        ]

    async def _ends(self) -> Findings:
        return (await self._all()).ends

    async def _order(self) -> Findings:
        return (await self._all()).order

    async def _sent(self) -> Findings:
        return (await self._all()).sent

    async def _effects(self) -> Findings:
        return (await self._all()).effects

    async def _positions(self) -> Findings:
        return (await self._all()).positions

    async def _lag(self) -> Findings:
        return (await self._all()).lag

    async def _all(self) -> _Found:
        if self._found is None:
            found = _Found()
            async with Topics.opened(self._bootstrap) as topics:
                # Positions first: a scan takes time, in which a living system reads on.
                groups = await self._examine_positions(topics, found)
                for topic in self._event_topics:
                    await self._examine_events(topics, topic, groups, found)
                for name in self._snapshot_topics:
                    for partition in await topics.partitions(name):
                        scan = await topics.scan(partition, gapless=False, injected=self._injected)
                        _note_order(found.order, scan)
                        await self._examine_effects(scan, groups, found.effects, gapless=False)
            self._found = found
        return self._found

    async def _examine_events(
        self, topics: Topics, topic: EventTopic, groups: Mapping[str, set[tuple[str, str]]], found: _Found
    ) -> None:
        seen, whole = 0, True
        async with connected(self._dsns[topic.database]) as connection:
            # Counted before the scan, so that what is placed meanwhile cannot be missed in it.
            sent = await connection.fetchval(self._queries[topic.count_sent], topic.name)
        for partition in await topics.partitions(topic.name):
            scan = await topics.scan(partition, gapless=True, injected=self._injected)
            seen += len(scan.aggregates)
            whole = whole and scan.is_whole
            _note_order(found.order, scan)
            if topic.database == "warehouse":
                _note_ends(found.ends, scan)
            await self._examine_sent(topic, scan, found.sent)
            await self._examine_effects(scan, groups, found.effects, gapless=scan.is_whole)
        if whole and seen < sent:
            found.sent.blame(f"{topic.name}: {sent - seen} aggregates of the database never appeared in it")

    async def _examine_sent(self, topic: EventTopic, scan: PartitionScan, findings: Findings) -> None:
        """The topic's newest version against the database's: less is a lost event, more an invented one."""
        async with connected(self._dsns[topic.database]) as connection:
            for chunk in _chunks(scan.aggregates):
                rows = await connection.fetch(self._queries[topic.versions], list(chunk), topic.name)
                stored = {row["aggregate_id"]: row for row in rows}
                for aggregate_id, aggregate in chunk.items():
                    findings.examined += 1
                    row = stored.get(aggregate_id)
                    ends = f"{topic.name}: {aggregate_id} ends with version {aggregate.version}, the database"
                    if row is None:
                        findings.blame(f"{topic.name}: {aggregate_id} is not in the database")
                    elif row["version"] > aggregate.version:
                        findings.blame(f"{ends} sent {row['version']}")
                    elif row["stored"] < aggregate.version:
                        findings.blame(f"{ends} has {row['stored']}")

    async def _examine_effects(
        self,
        scan: PartitionScan,
        groups: Mapping[str, set[tuple[str, str]]],
        findings: Findings,
        *,
        gapless: bool,
    ) -> None:
        for database, group in sorted(groups.get(scan.topic, ())):
            async with connected(self._dsns[database]) as connection:
                for chunk in _chunks(scan.aggregates):
                    findings.examined += len(chunk)
                    findings.blame_all(
                        await self._without_effect(connection, group, scan.topic, chunk, gapless=gapless)
                    )

    async def _without_effect(
        self, connection: Connection, group: str, topic: str, chunk: Mapping[str, Aggregate], *, gapless: bool
    ) -> list[str]:
        rows = await connection.fetch(self._queries["effects_of_events"], group, topic, list(chunk))
        offenders = []
        for row in rows:
            newest = chunk[row["aggregate_id"]].version
            if row["applied"] < newest and not _is_held_back(row, gapless=gapless):
                offenders.append(
                    f"{group}: {topic} {row['aggregate_id']} has version {newest}, applied {row['applied']}"
                    + (f", parked from {row['parked']}" if row["parked"] is not None else "")
                )
        return offenders

    async def _examine_positions(self, topics: Topics, found: _Found) -> dict[str, set[tuple[str, str]]]:
        """Also returns who consumes what: (database, group) by topic."""
        groups: dict[str, set[tuple[str, str]]] = {}
        for database in CONSUMING_DATABASES:
            async with connected(self._dsns[database]) as connection:
                rows = await connection.fetch(self._queries["positions"])
            for group, topic in sorted({(row["grp"], row["topic"]) for row in rows}):
                groups.setdefault(topic, set()).add((database, group))
                partitions = await topics.partitions(topic)
                ends = await topics.ends(partitions)
                committed = await topics.committed(group)
                stands = {
                    row["part"]: row["next"] for row in rows if (row["grp"], row["topic"]) == (group, topic)
                }
                for partition in partitions:
                    next_ = stands.get(partition.partition)
                    where = f"{group} in {topic}/{partition.partition}"
                    found.positions.examined += 1
                    found.lag.examined += 1
                    if next_ is None:
                        found.lag.blame(f"{where}: never read")
                        continue
                    if next_ > ends[partition] or committed.get(partition, 0) > next_:
                        found.positions.blame(
                            f"{where}: at {next_}, told Kafka {committed.get(partition)}, ends at {ends[partition]}"
                        )
                    if next_ < ends[partition]:
                        found.lag.blame(f"{where}: {ends[partition] - next_} records behind")
        return groups


def _is_held_back(row: Mapping[str, Any], *, gapless: bool) -> bool:
    """Whether all that was not applied waits behind a parked event: the very next version, but for discarded ones."""
    parked = row["parked"]
    return parked is not None and (not gapless or parked <= row["applied"] + row["discarded"] + 1)


def _note_order(findings: Findings, scan: PartitionScan) -> None:
    findings.examined += scan.records
    findings.blame_all(scan.faults)


def _note_ends(findings: Findings, scan: PartitionScan) -> None:
    for aggregate_id, aggregate in scan.aggregates.items():
        findings.examined += 1
        posted = aggregate.types.get("ParcelsAllocated", 0)
        voided = aggregate.types.get("HoldVoided", 0)
        if posted > 1 or voided > 1 or (posted and voided):
            findings.blame(f"{aggregate_id}: posted {posted} times, voided {voided} times")


def _chunks(aggregates: Mapping[str, Aggregate]) -> Iterator[dict[str, Aggregate]]:
    items = iter(aggregates.items())
    while chunk := dict(islice(items, CHUNK)):
        yield chunk
