"""The consumer: exactly-once effects whatever is re-delivered, fenced, poisoned or down."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.chassis import kafka
from services.chassis.consumer import (
    Consumer,
    ConsumerStalled,
    Event,
    Handler,
    OffsetBeyondEnd,
    discard_parked,
    list_parked,
    replay_parked,
)
from services.chassis.consumer import positions as positions_module
from services.chassis.consumer.batch import BatchProcessor, decode
from services.chassis.consumer.sweep import AppliedSweep
from services.chassis.errors import FailedPrecondition
from services.chassis.pg import Connection, Database
from tests.integration.chassis.topics import eventually, headers, produce, producer, versions

pytestmark = [pytest.mark.postgres, pytest.mark.kafka]


async def record(connection: Connection, events: Sequence[Event]) -> None:
    """A handler: one row per event."""
    await connection.execute(
        "INSERT INTO effect (aggregate_id, version) SELECT * FROM unnest($1::text[], $2::bigint[])",
        [event.aggregate_id for event in events],
        [event.version for event in events],
    )


def poisoned_by(*poison: tuple[str, int]) -> Handler:
    """A handler that refuses these events, after having had effects."""

    async def handle(connection: Connection, events: Sequence[Event]) -> None:
        await record(connection, events)
        for event in events:
            if (event.aggregate_id, event.version) in poison:
                raise FailedPrecondition("POISON", f"{event.aggregate_id} {event.version}")

    return handle


@contextlib.asynccontextmanager
async def consuming(
    db: Database, bootstrap: str, topic: str, handler: Handler = record, **options: Any
) -> AsyncIterator[Consumer]:
    """A consumer that is stopped in the end."""
    consumer = Consumer(
        group=f"group.{topic}", topics=[topic], handler=handler, db=db, bootstrap=bootstrap, **options
    )
    task = asyncio.create_task(consumer.run())
    try:
        yield consumer
    finally:
        await consumer.stop()
        await task


async def effects(database: Database) -> dict[str, list[int]]:
    """The versions per aggregate in the order of their effects."""
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT aggregate_id, version FROM effect ORDER BY id")
    found: dict[str, list[int]] = {}
    for aggregate_id, version in rows:
        found.setdefault(aggregate_id, []).append(version)
    return found


def effects_are(database: Database, wanted: dict[str, list[int]]) -> Callable[[], Any]:
    """A condition for `eventually`."""

    async def hold() -> bool:
        return await effects(database) == wanted

    return hold


def a_few(aggregates: int, versions_each: int) -> list[tuple[str, int]]:
    """Events of some aggregates, interleaved."""
    return [(f"a{n}", version) for version in range(1, versions_each + 1) for n in range(aggregates)]


async def positions(database: Database) -> dict[int, int]:
    """The group's next offsets by partition."""
    async with database.connection() as connection:
        return dict(await connection.fetch("SELECT part, next FROM consumer_offset"))


async def test_every_event_has_one_effect(ledger: Database, kafka_server: str, topic: str) -> None:
    """Duplicates in the topic (a relay's second sending) are dropped; order per aggregate is kept."""
    events = a_few(20, 5)
    await produce(kafka_server, topic, events)
    await produce(kafka_server, topic, events[:50])
    woken = 0

    def wake() -> None:
        nonlocal woken
        woken += 1

    wanted = {f"a{n}": [1, 2, 3, 4, 5] for n in range(20)}
    async with consuming(ledger, kafka_server, topic, batch_records_max=17, after_commit=wake):
        await eventually(effects_are(ledger, wanted))
        await eventually(lambda: woken >= 150 / 17)
        await produce(kafka_server, topic, [*events[50:], ("a0", 6)])
        await eventually(effects_are(ledger, wanted | {"a0": [1, 2, 3, 4, 5, 6]}))

        async def all_passed() -> bool:
            return sum((await positions(ledger)).values()) == 201

        await eventually(all_passed)


async def test_redelivery_starts_where_the_database_says(
    ledger: Database, kafka_server: str, topic: str
) -> None:
    """A second life neither repeats nor skips; with its offsets lost it repeats, without a second effect."""
    await produce(kafka_server, topic, a_few(10, 2))
    wanted = {f"a{n}": [1, 2] for n in range(10)}
    async with consuming(ledger, kafka_server, topic):
        await eventually(effects_are(ledger, wanted))
    await produce(kafka_server, topic, [("a1", 3)])
    async with ledger.connection() as connection:
        await connection.execute("UPDATE consumer_offset SET next = 0")
    async with consuming(ledger, kafka_server, topic):
        await eventually(effects_are(ledger, wanted | {"a1": [1, 2, 3]}))
        await eventually(lambda: _sum_is(ledger, 21))
    assert await effects(ledger) == wanted | {"a1": [1, 2, 3]}


async def _sum_is(database: Database, total: int) -> bool:
    return sum((await positions(database)).values()) == total


async def test_an_event_from_further_ahead_waits_for_those_before_it(
    ledger: Database, kafka_server: str, topic: str
) -> None:
    """Applied, a forged version would make all events that follow look like duplicates, and the order stand still."""
    group = f"group.{topic}"
    await produce(kafka_server, topic, [("a", 1), ("a", 900), ("b", 9)])
    async with consuming(ledger, kafka_server, topic):
        # Of "b" nothing is known: it may have been forgotten, and begins wherever it does.
        await eventually(effects_are(ledger, {"a": [1], "b": [9]}))
        await produce(kafka_server, topic, [("a", 2), ("a", 3)])
        await eventually(lambda: _sum_is(ledger, 5))
        parked = await list_parked(ledger, group)
        assert [(p.version, p.cause) for p in parked] == [(900, "BLOCKED"), (2, "BLOCKED"), (3, "BLOCKED")]
        assert parked[0].detail == "versions 2 to 899 are missing"

        # In the order of their versions, up to the gap.
        report = await replay_parked(ledger, group, record, actor="alice")
        assert (report.replayed, list(report.failures)) == (2, [(topic, "a")])
        await discard_parked(ledger, group, [parked[0].id], actor="alice", note="forged")
        await produce(kafka_server, topic, [("a", 4)])
        await eventually(effects_are(ledger, {"a": [1, 2, 3, 4], "b": [9]}))
        assert await list_parked(ledger, group) == []


async def test_what_was_discarded_is_no_gap(ledger: Database, kafka_server: str, topic: str) -> None:
    group = f"group.{topic}"
    await produce(kafka_server, topic, [("a", 1), ("a", 2)])
    async with consuming(ledger, kafka_server, topic, poisoned_by(("a", 2))):
        await eventually(lambda: _sum_is(ledger, 2))
        (poison,) = await list_parked(ledger, group)
        await discard_parked(ledger, group, [poison.id], actor="alice", note="void")
        await produce(kafka_server, topic, [("a", 3)])
        await eventually(effects_are(ledger, {"a": [1, 3]}))


async def test_a_person_may_give_up_what_is_missing(ledger: Database, kafka_server: str, topic: str) -> None:
    group = f"group.{topic}"
    await produce(kafka_server, topic, [("a", 1), ("a", 3)])
    async with consuming(ledger, kafka_server, topic):
        await eventually(lambda: _sum_is(ledger, 2))
        assert (await replay_parked(ledger, group, record, actor="alice")).replayed == 0
        assert (await replay_parked(ledger, group, record, actor="alice", across_gaps=True)).replayed == 1
        assert await effects(ledger) == {"a": [1, 3]}


async def test_offsets_moved_by_another_are_respected(
    ledger: Database, kafka_server: str, topic: str
) -> None:
    """Somebody moves the offsets while a batch is under way: its effects are rolled back, the rest goes on."""
    release = asyncio.Event()
    partition: int | None = None

    async def slow(connection: Connection, events: Sequence[Event]) -> None:
        nonlocal partition
        await record(connection, events)
        if partition is None:
            partition = events[0].partition
            await release.wait()
            raise asyncpg.ConnectionDoesNotExistError("connection lost")

    await produce(kafka_server, topic, [("a", 1), ("a", 2)])
    async with consuming(ledger, kafka_server, topic, slow):
        await eventually(lambda: partition is not None)
        async with ledger.connection() as connection:
            moving = asyncio.create_task(
                connection.execute("UPDATE consumer_offset SET next = 1 WHERE part = $1", partition)
            )
            await asyncio.sleep(0.1)
            release.set()
            await moving
        await produce(kafka_server, topic, [("a", 3)])
        await eventually(effects_are(ledger, {"a": [2, 3]}))


async def test_a_zombie_is_fenced(ledger: Database) -> None:
    """Two members believe to own a partition and apply the same batch at once: one of them succeeds."""
    place = TopicPartition("t", 0)
    async with ledger.connection() as connection:
        await connection.execute(
            "INSERT INTO consumer_offset (grp, topic, part, next) VALUES ('g', 't', 0, 0)"
        )
    records = [
        SimpleNamespace(
            topic="t", partition=0, offset=n, timestamp=0, key=b"a", value=b"", headers=headers("a", n + 1)
        )
        for n in range(10)
    ]
    processors = [
        BatchProcessor(group="g", handler=record, db=ledger, after_commit=None, snapshot_topics=())
        for _ in range(4)
    ]
    for processor in processors:
        processor.positions = {place: 0}
    results = await asyncio.gather(
        *(processor.process(decode(place, records)) for processor in processors), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["Fenced"] * 3 + ["NoneType"]
    assert sorted(processor.positions[place] for processor in processors) == [0, 0, 0, 10]
    assert await effects(ledger) == {"a": list(range(1, 11))}


async def test_two_consumers_share_and_hand_over(ledger: Database, kafka_server: str, topic: str) -> None:
    """Members come and go under load; every event still has exactly one effect, in order."""
    aggregates, rounds = 40, 12
    stop_producing = asyncio.Event()

    async def keep_producing() -> None:
        async with producer(kafka_server) as sender:
            for version in range(1, rounds + 1):
                for n in range(aggregates):
                    name = f"a{n}"
                    await sender.send(topic, b"x", key=name.encode(), headers=headers(name, version))
                await asyncio.sleep(0.5)
            await sender.flush()
        stop_producing.set()

    sending = asyncio.create_task(keep_producing())
    async with consuming(ledger, kafka_server, topic, batch_records_max=25) as first:
        await eventually(lambda: len(first.assigned) == 4)
        async with consuming(ledger, kafka_server, topic, batch_records_max=25) as second:
            await eventually(lambda: len(first.assigned) == 2 and len(second.assigned) == 2)
        await eventually(lambda: len(first.assigned) == 4)
        await sending
        await eventually(
            effects_are(ledger, {f"a{n}": list(range(1, rounds + 1)) for n in range(aggregates)})
        )


async def test_poison_is_parked_with_its_successors_and_replayed(
    ledger: Database, kafka_server: str, topic: str
) -> None:
    """Only the poisoned aggregate waits; replay applies it in order, and then it flows again."""
    group = f"group.{topic}"
    handler = poisoned_by(("a3", 2), ("a7", 1))
    await produce(kafka_server, topic, a_few(10, 3))
    sound = {f"a{n}": [1, 2, 3] for n in range(10) if n not in (3, 7)} | {"a3": [1]}
    async with consuming(ledger, kafka_server, topic, handler) as consumer:
        await eventually(effects_are(ledger, sound))
        await eventually(lambda: _sum_is(ledger, 30))
        parked = sorted(await list_parked(ledger, group), key=lambda p: (p.aggregate_id, p.offset))
        assert [(p.aggregate_id, p.version, p.cause) for p in parked] == [
            ("a3", 2, "FAILED"),
            ("a3", 3, "BLOCKED"),
            ("a7", 1, "FAILED"),
            ("a7", 2, "BLOCKED"),
            ("a7", 3, "BLOCKED"),
        ]
        assert all("POISON" in p.detail for p in parked if p.cause == "FAILED")

        # Later events of a parked aggregate are parked too, a second sending of an applied one is not.
        await produce(kafka_server, topic, [("a3", 4), ("a3", 1), ("a7", 1)])
        await eventually(lambda: _sum_is(ledger, 33))
        assert len(await list_parked(ledger, group)) == 7

        # While it still fails nothing moves.
        report = await replay_parked(ledger, group, handler, actor="alice")
        assert (report.replayed, sorted(a for _, a in report.failures)) == (0, ["a3", "a7"])
        assert await effects(ledger) == sound

        report = await replay_parked(ledger, group, record, actor="bob")
        assert (report.replayed, report.failures) == (7, {})
        sound |= {"a3": [1, 2, 3, 4], "a7": [1, 2, 3]}
        assert await effects(ledger) == sound
        async with ledger.connection() as connection:
            rows = await connection.fetch(
                "SELECT state, resolved_by, count(*) FROM parked_event GROUP BY 1, 2"
            )
        assert [tuple(row) for row in rows] == [("REPLAYED", "bob", 7)]

        await produce(kafka_server, topic, [("a3", 5)])
        await eventually(effects_are(ledger, sound | {"a3": [1, 2, 3, 4, 5]}))
        assert len(consumer.assigned) == 4


async def test_a_replay_that_fails_halfway_keeps_the_order(
    ledger: Database, kafka_server: str, topic: str
) -> None:
    """What can be applied is, up to the first failure of the aggregate; the rest stays parked."""
    group = f"group.{topic}"
    await produce(kafka_server, topic, [("a", version) for version in range(1, 6)])
    async with consuming(ledger, kafka_server, topic, poisoned_by(("a", 1))):
        await eventually(lambda: _sum_is(ledger, 5))
    report = await replay_parked(ledger, group, poisoned_by(("a", 4)), actor="alice")
    assert report.replayed == 3
    assert await effects(ledger) == {"a": [1, 2, 3]}
    left = await list_parked(ledger, group)
    assert [(p.version, p.attempts) for p in left] == [(4, 1), (5, 0)]

    assert await discard_parked(ledger, group, [left[0].id], actor="carol", note="void") == 1
    assert (await replay_parked(ledger, group, record, actor="carol")).replayed == 1
    assert await effects(ledger) == {"a": [1, 2, 3, 5]}


async def test_a_consumer_waits_for_a_replay_of_its_aggregate(
    ledger: Database, kafka_server: str, topic: str
) -> None:
    """An event that comes while the aggregate is being replayed is applied after it, not parked behind it."""
    group = f"group.{topic}"
    replaying = asyncio.Event()
    release = asyncio.Event()

    async def slow(connection: Connection, events: Sequence[Event]) -> None:
        replaying.set()
        await release.wait()
        await record(connection, events)

    await produce(kafka_server, topic, [("a", 1)])
    async with consuming(ledger, kafka_server, topic, poisoned_by(("a", 1))):
        await eventually(lambda: _sum_is(ledger, 1))
        replay = asyncio.create_task(replay_parked(ledger, group, slow, actor="alice"))
        await replaying.wait()
        await produce(kafka_server, topic, [("a", 2)])
        await asyncio.sleep(1)
        release.set()
        assert (await replay).replayed == 1
        await eventually(effects_are(ledger, {"a": [1, 2]}))
        assert await list_parked(ledger, group) == []


async def test_unreadable_records_are_parked(ledger: Database, kafka_server: str, topic: str) -> None:
    """Whatever bytes are in a topic, they are kept for a look and hold up nobody else."""
    good = headers("x", 1)
    async with producer(kafka_server) as sender:
        for key, bad in (
            (b"k1", []),
            (b"\xff\xfe", [("ce_type", b"\xff")]),
            (b"k3", [header for header in good if header[0] != "ce_aggregateversion"]),
            (b"k4", [(n, b"zero" if n == "ce_aggregateversion" else v) for n, v in good]),
            (b"k\x00", [(n, b"\x00" if n == "ce_subject" else v) for n, v in good]),
            (b"k6", [(n, b"99999999999999999999" if n == "ce_aggregateversion" else v) for n, v in good]),
        ):
            await sender.send_and_wait(topic, b"?", key=key, headers=bad)
    await produce(kafka_server, topic, [("a", 1), ("k1", 1)])
    async with consuming(ledger, kafka_server, topic):
        await eventually(lambda: _sum_is(ledger, 8))
    # "k1" shares its key with an unreadable record and must wait behind it.
    assert await effects(ledger) == {"a": [1]}
    parked = await list_parked(ledger, f"group.{topic}")
    assert sorted(p.cause for p in parked) == ["BLOCKED"] + ["UNREADABLE"] * 6
    report = await replay_parked(ledger, f"group.{topic}", record, actor="alice")
    assert report.replayed == 0
    assert len(report.failures) == 4


async def test_a_database_that_goes_away_is_waited_for(
    ledger: Database, kafka_server: str, topic: str
) -> None:
    """Transient failures are repeated in place, never parked; members stay in the group meanwhile."""
    outage = True
    attempts = 0

    async def unlucky(connection: Connection, events: Sequence[Event]) -> None:
        nonlocal attempts
        attempts += 1
        await record(connection, events)
        if outage:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    await produce(kafka_server, topic, a_few(5, 2))
    async with consuming(ledger, kafka_server, topic, unlucky, session_timeout_ms=6_000) as consumer:
        await eventually(lambda: attempts >= 5)
        assert await effects(ledger) == {}
        outage = False
        await eventually(effects_are(ledger, {f"a{n}": [1, 2] for n in range(5)}))
        assert len(consumer.assigned) == 4
    assert await list_parked(ledger, f"group.{topic}") == []


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.SerializationError("x"),
        asyncpg.CannotConnectNowError("x"),
        asyncpg.UndefinedColumnError("x"),
        ConnectionResetError("x"),
        TimeoutError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_transient_errors_are_not_the_events_fault(
    ledger: Database, kafka_server: str, topic: str, error: Exception
) -> None:
    """Each kind of transient error is retried until it is over."""
    left = 7

    async def unlucky(connection: Connection, events: Sequence[Event]) -> None:
        nonlocal left
        left -= 1
        if left > 0:
            raise error
        await record(connection, events)

    await produce(kafka_server, topic, [("a", 1)])
    async with consuming(ledger, kafka_server, topic, unlucky):
        await eventually(effects_are(ledger, {"a": [1]}))
    assert await list_parked(ledger, f"group.{topic}") == []


async def test_a_batch_that_takes_too_long_is_halved(
    ledger_dsn: str, ledger: Database, kafka_server: str, topic: str
) -> None:
    """A statement time-out that depends on the batch's size does not last for ever."""
    impatient = await Database.open(ledger_dsn, statement_timeout_ms=200, name="impatient")

    async def slow(connection: Connection, events: Sequence[Event]) -> None:
        await connection.execute("SELECT pg_sleep($1)", 0.02 * len(events))
        await record(connection, events)

    await produce(kafka_server, topic, a_few(40, 1))
    try:
        async with consuming(impatient, kafka_server, topic, slow):
            await eventually(lambda: _count_is(ledger, 40))
    finally:
        await impatient.close()
    assert await list_parked(ledger, f"group.{topic}") == []


async def _count_is(database: Database, count: int) -> bool:
    return len(await effects(database)) == count


async def test_snapshots_of_one_batch_are_coalesced(ledger: Database, kafka_server: str, topic: str) -> None:
    """The handler gets the newest of a compacted topic; the offsets pass over the rest."""
    await produce(kafka_server, topic, [("a", version) for version in range(1, 101)])
    async with consuming(ledger, kafka_server, topic, snapshot_topics=[topic]):
        await eventually(lambda: _sum_is(ledger, 100))
    assert (await effects(ledger))["a"][-1] == 100
    assert len((await effects(ledger))["a"]) < 20


async def test_a_topic_made_anew_is_not_read_silently(
    ledger: Database, kafka_server: str, topic: str
) -> None:
    """A position behind the end of the log stops the process with a text that says what to do."""
    async with ledger.connection() as connection:
        await connection.execute(
            "INSERT INTO consumer_offset (grp, topic, part, next) VALUES ($1, $2, 0, 1000)",
            f"group.{topic}",
            topic,
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(positions_module, "BEYOND_END_CHECK_S", 0.01)
        consumer = Consumer(
            group=f"group.{topic}", topics=[topic], handler=record, db=ledger, bootstrap=kafka_server
        )
        with pytest.raises(OffsetBeyondEnd, match="made anew"):
            await consumer.run()


async def test_a_handler_that_hangs_raises_the_alarm(ledger: Database, kafka_server: str, topic: str) -> None:
    """Records wait and nothing moves: the consumer ends, so that the process does."""

    async def hang(connection: Connection, events: Sequence[Event]) -> None:
        await asyncio.Event().wait()

    await produce(kafka_server, topic, [("a", 1)])
    consumer = Consumer(
        group=f"group.{topic}",
        topics=[topic],
        handler=hang,
        db=ledger,
        bootstrap=kafka_server,
        stall_s_max=2.0,
    )
    with pytest.raises(ConsumerStalled):
        await consumer.run()


async def test_applied_versions_are_forgotten_in_time(ledger: Database) -> None:
    """The sweep walks in pages, spares what is new and what a parked event may still need."""
    async with ledger.connection() as connection:
        await connection.execute(
            "INSERT INTO consumer_applied (grp, topic, aggregate_id, version, update_time) "
            "SELECT 'g', 't', 'a' || n, 1, now() - CASE WHEN n % 2 = 0 THEN interval '30 days' ELSE '0' END "
            "FROM generate_series(1, 100) AS n"
        )
    sweep = AppliedSweep(ledger, retention_days=14)
    deleted = [await sweep.step(page_rows=30) for _ in range(5)]
    assert sum(deleted) == 50
    async with ledger.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM consumer_applied") == 50


async def test_offsets_are_told_to_kafka(ledger: Database, kafka_server: str, topic: str) -> None:
    """Lag tools see the group's progress."""
    await produce(kafka_server, topic, a_few(20, 1))
    async with consuming(ledger, kafka_server, topic):
        await eventually(lambda: _sum_is(ledger, 20))
    client = AIOKafkaConsumer(
        bootstrap_servers=kafka_server, group_id=f"group.{topic}", enable_auto_commit=False
    )
    await client.start()
    try:
        places = [TopicPartition(topic, part) for part in range(4)]
        client.assign(places)
        committed = {place.partition: await client.committed(place) for place in places}
    finally:
        await client.stop()
    assert {part: offset or 0 for part, offset in committed.items()} == await positions(ledger)


async def test_random_faults_leave_one_effect_per_event(
    ledger: Database, kafka_server: str, topic: str
) -> None:
    """Duplicates, killed backends, poison and restarts together; after a replay everything is there once."""
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    aggregates, rounds = 30, 10
    poison = {(f"a{rng.randrange(aggregates)}", rng.randint(1, rounds)) for _ in range(4)}

    async def shaky(connection: Connection, events: Sequence[Event]) -> None:
        await record(connection, events)
        if rng.random() < 0.1:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        if any((event.aggregate_id, event.version) in poison for event in events):
            raise ValueError("poison")

    events = a_few(aggregates, rounds)
    for start in range(0, len(events), 50):
        await produce(kafka_server, topic, events[start : start + 50])
        await produce(kafka_server, topic, events[max(0, start - 30) : start + 20])
    total = sum(50 + len(events[max(0, s - 30) : s + 20]) for s in range(0, len(events), 50))
    for batch_records_max in (7, 23):
        async with consuming(
            ledger, kafka_server, topic, shaky, batch_records_max=batch_records_max, session_timeout_ms=6_000
        ):
            await asyncio.sleep(1.5)
    async with consuming(ledger, kafka_server, topic, shaky, session_timeout_ms=6_000):
        await eventually(lambda: _sum_is(ledger, total), s_max=60)
    parked = await list_parked(ledger, f"group.{topic}", limit=1_000)
    failed = {(p.aggregate_id, p.version) for p in parked if p.cause == "FAILED"}
    first_poison = {(a, min(v for b, v in poison if b == a)) for a, _ in poison}
    assert failed == first_poison, f"seed {seed}"
    await replay_parked(ledger, f"group.{topic}", record, actor="test")
    assert await effects(ledger) == {f"a{n}": list(range(1, rounds + 1)) for n in range(aggregates)}, (
        f"seed {seed}"
    )


async def test_two_topics_share_one_transaction(ledger: Database, kafka_server: str, topic: str) -> None:
    """The same aggregate id in two topics is two aggregates; a group may follow both."""
    other = f"{topic}.other"
    await kafka.ensure_topics(kafka_server, [kafka.TopicSpec.events(other, 2)])
    seen: list[Event] = []

    async def remember(connection: Connection, events: Sequence[Event]) -> None:
        seen.extend(events)

    await produce(kafka_server, topic, [("a", 1), ("a", 2)])
    await produce(kafka_server, other, [("a", 1), ("b", 1)])
    consumer = Consumer(
        group=f"group.{topic}", topics=[topic, other], handler=remember, db=ledger, bootstrap=kafka_server
    )
    task = asyncio.create_task(consumer.run())
    await eventually(lambda: len(seen) >= 4)
    await consumer.stop()
    await task
    assert versions(event for event in seen if event.topic == topic) == {"a": [1, 2]}
    assert versions(event for event in seen if event.topic == other) == {"a": [1], "b": [1]}


async def test_what_comes_while_a_batch_is_applied_is_the_next_batch(
    ledger: Database, kafka_server: str, topic: str
) -> None:
    """Whole: fetched ahead, only the first record of it would be, and the others a batch of their own."""
    batches: list[int] = []
    began, goes_on = asyncio.Event(), asyncio.Event()

    async def handle(connection: Connection, events: Sequence[Event]) -> None:
        batches.append(len(events))
        began.set()
        await goes_on.wait()
        await record(connection, events)

    async with consuming(ledger, kafka_server, topic, handle):
        await produce(kafka_server, topic, [("a0", 1)])
        await began.wait()
        async with producer(kafka_server) as sender:
            for number in range(1, 21):
                name = f"a{number}"
                await sender.send_and_wait(topic, b"x", key=name.encode(), headers=headers(name, 1))
        goes_on.set()
        await eventually(lambda: sum(batches) == 21)
    assert batches == [1, 20]
