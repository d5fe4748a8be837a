"""What cannot be applied is parked with all that follows it of its aggregate, until a person sees to it."""

import asyncio
from collections.abc import Sequence

import pytest

from services.chassis.consumer import Event, Independent, discard_parked, list_parked, replay_parked
from services.chassis.pg import Connection, Database
from tests.integration.chassis.consuming import (
    a_few,
    consuming,
    effects,
    effects_are,
    passed,
    poisoned_by,
    record,
)
from tests.integration.chassis.topics import eventually, headers, produce, producer

pytestmark = [pytest.mark.postgres, pytest.mark.kafka]


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
        await eventually(lambda: passed(ledger, 5))
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
        await eventually(lambda: passed(ledger, 2))
        (poison,) = await list_parked(ledger, group)
        await discard_parked(ledger, group, [poison.id], actor="alice", note="void")
        await produce(kafka_server, topic, [("a", 3)])
        await eventually(effects_are(ledger, {"a": [1, 3]}))


async def test_a_person_may_give_up_what_is_missing(ledger: Database, kafka_server: str, topic: str) -> None:
    group = f"group.{topic}"
    await produce(kafka_server, topic, [("a", 1), ("a", 3)])
    async with consuming(ledger, kafka_server, topic):
        await eventually(lambda: passed(ledger, 2))
        assert (await replay_parked(ledger, group, record, actor="alice")).replayed == 0
        assert (await replay_parked(ledger, group, record, actor="alice", across_gaps=True)).replayed == 1
        assert await effects(ledger) == {"a": [1, 3]}


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
        await eventually(lambda: passed(ledger, 30))
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
        await eventually(lambda: passed(ledger, 33))
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
        await eventually(lambda: passed(ledger, 5))
    report = await replay_parked(ledger, group, poisoned_by(("a", 4)), actor="alice")
    assert report.replayed == 3
    assert await effects(ledger) == {"a": [1, 2, 3]}
    left = await list_parked(ledger, group)
    assert [(p.version, p.attempts) for p in left] == [(4, 1), (5, 0)]

    assert await discard_parked(ledger, group, [left[0].id], actor="carol", note="void") == [left[0].id]
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
        await eventually(lambda: passed(ledger, 1))
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
        await eventually(lambda: passed(ledger, 8))
    # "k1" shares its key with an unreadable record and must wait behind it.
    assert await effects(ledger) == {"a": [1]}
    parked = await list_parked(ledger, f"group.{topic}")
    assert sorted(p.cause for p in parked) == ["BLOCKED"] + ["UNREADABLE"] * 6
    report = await replay_parked(ledger, f"group.{topic}", record, actor="alice")
    assert report.replayed == 0
    assert len(report.failures) == 4


async def test_independent_events_wait_for_nothing_and_leave_no_versions(
    ledger: Database, kafka_server: str, topic: str
) -> None:
    """Out of order, behind a gap or behind a parked one: each is applied, and again if it comes again."""
    group = f"group.{topic}"
    handler = Independent(poisoned_by(("a", 2), ("a", 7)))
    async with producer(kafka_server) as sender:
        await sender.send_and_wait(topic, b"?", key=b"a", headers=[])
    await produce(kafka_server, topic, [("a", 2), ("a", 9), ("a", 4), ("a", 7), ("a", 4), ("a", 5)])
    async with consuming(ledger, kafka_server, topic, handler):
        await eventually(effects_are(ledger, {"a": [9, 4, 4, 5]}))
        await eventually(lambda: passed(ledger, 7))
        parked = await list_parked(ledger, group)
        assert [(p.version, p.cause) for p in parked] == [(None, "UNREADABLE"), (2, "FAILED"), (7, "FAILED")]

        await discard_parked(ledger, group, [parked[0].id], actor="alice", note="void")
        report = await replay_parked(ledger, group, Independent(record), actor="alice")
        assert (report.replayed, report.failures) == (2, {})
        assert await effects(ledger) == {"a": [9, 4, 4, 5, 2, 7]}
        async with ledger.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM consumer_applied") == 0


async def test_of_independent_snapshots_the_newest_of_a_batch_counts(
    ledger: Database, kafka_server: str, topic: str
) -> None:
    await produce(kafka_server, topic, [("a", version) for version in range(1, 101)])
    async with consuming(
        ledger, kafka_server, topic, Independent(record), snapshot_topics=[topic], linger_s=0.2
    ):
        await eventually(lambda: passed(ledger, 100))
    assert (await effects(ledger))["a"][-1] == 100
    assert len((await effects(ledger))["a"]) < 20
