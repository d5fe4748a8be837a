"""Reading topics into memory: from the beginning, from the end, whatever is in them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.chassis import kafka
from services.chassis.envelope import Event
from services.chassis.snapshot_reader import SnapshotReader
from tests.integration.chassis.topics import eventually, produce, producer, versions

pytestmark = pytest.mark.kafka


@contextlib.asynccontextmanager
async def reading(
    bootstrap: str, *topics: str, **options: Any
) -> AsyncIterator[tuple[SnapshotReader, list[Event]]]:
    """A reader that is stopped in the end, and what it has read."""
    seen: list[Event] = []
    reader = SnapshotReader(topics=topics, on_batch=seen.extend, bootstrap=bootstrap, **options)
    task = asyncio.create_task(reader.run())
    try:
        yield reader, seen
    finally:
        await reader.stop()
        await task


async def test_a_topic_is_read_whole_and_followed(kafka_server: str, topic: str) -> None:
    """Caught up means: everything that was there at the start has been passed on."""
    await produce(kafka_server, topic, [(f"a{n}", 1) for n in range(500)])
    async with reading(kafka_server, topic, batch_records_max=64) as (reader, seen):
        async with asyncio.timeout(20):
            await reader.caught_up.wait()
        assert len(versions(seen)) == 500
        await produce(kafka_server, topic, [("a1", 2)])
        await eventually(lambda: versions(seen)["a1"] == [1, 2])


async def test_an_empty_topic_is_caught_up_with(kafka_server: str, topic: str) -> None:
    """A new system must become ready."""
    async with reading(kafka_server, topic) as (reader, seen), asyncio.timeout(20):
        await reader.caught_up.wait()
        assert seen == []


async def test_a_tail_starts_at_the_end(kafka_server: str, topic: str) -> None:
    """Only what comes later, or from some seconds ago on."""
    await produce(kafka_server, topic, [("old", 1)])
    async with (
        reading(kafka_server, topic, mode="tail", name="tail") as (reader, seen),
        reading(kafka_server, topic, mode="tail", rewind_s=3_600, name="rewound") as (
            rewound,
            seen_from_before,
        ),
    ):
        async with asyncio.timeout(20):
            await asyncio.gather(reader.caught_up.wait(), rewound.caught_up.wait())
        await produce(kafka_server, topic, [("new", 1)])
        await eventually(lambda: "new" in versions(seen) and "new" in versions(seen_from_before))
        assert versions(seen) == {"new": [1]}
        assert versions(seen_from_before) == {"old": [1], "new": [1]}


async def test_on_demand_nothing_is_read_before_it_is_wanted_and_nothing_missed_afterwards(
    kafka_server: str, topic: str
) -> None:
    """What is produced while nobody wants it never arrives; what comes after `live` does, even after a rest."""
    seen: list[Event] = []
    reader = SnapshotReader(
        topics=[topic],
        on_batch=seen.extend,
        bootstrap=kafka_server,
        mode="tail",
        on_demand=True,
        wants=lambda key: key != b"unwanted",
    )
    running = asyncio.create_task(reader.run())
    try:
        async with asyncio.timeout(60):
            await reader.caught_up.wait()
            for number in (1, 2):
                await produce(kafka_server, topic, [(f"missed {number}", 1)])
                assert not reader.live.is_set()
                reader.demand(True)
                await reader.live.wait()
                wanted = f"wanted {number}"
                await produce(kafka_server, topic, [("unwanted", number), (wanted, 1)])
                await eventually(lambda name=wanted: name in versions(seen))  # type: ignore[misc]
                # Wanted again before it has come to rest: it goes on.
                reader.demand(False)
                reader.demand(True)
                await reader.live.wait()
                await produce(kafka_server, topic, [(f"still {wanted}", 1)])
                await eventually(lambda name=wanted: f"still {name}" in versions(seen))  # type: ignore[misc]
                reader.demand(False)
                await eventually(lambda: not reader.live.is_set())
        assert set(versions(seen)) == {"wanted 1", "still wanted 1", "wanted 2", "still wanted 2"}
    finally:
        await reader.stop()
        await running


async def test_unreadable_records_are_left_out(kafka_server: str, topic: str) -> None:
    """A tombstone or garbage does not stop the reader, nor keep it from catching up."""
    async with producer(kafka_server) as sender:
        await sender.send_and_wait(topic, b"garbage", key=b"a")
        await sender.send_and_wait(topic, None, key=b"b")
    async with reading(kafka_server, topic) as (reader, seen):
        async with asyncio.timeout(20):
            await reader.caught_up.wait()
        await produce(kafka_server, topic, [("a", 1)])
        await eventually(lambda: versions(seen) == {"a": [1]})


async def test_a_topic_that_comes_later_is_waited_for(kafka_server: str, topic: str) -> None:
    """The gateway may start before the owner of a topic has made it."""
    late = f"{topic}.late"
    async with reading(kafka_server, topic, late) as (reader, seen):
        await asyncio.sleep(1)
        assert not reader.caught_up.is_set()
        await kafka.ensure_topics(kafka_server, [kafka.TopicSpec.snapshots(late, 2)])
        async with asyncio.timeout(20):
            await reader.caught_up.wait()
        await produce(kafka_server, late, [("a", 1)])
        await eventually(lambda: versions(seen) == {"a": [1]})


async def test_what_the_callback_raises_ends_the_reader(kafka_server: str, topic: str) -> None:
    """A fault of ours must not be a silent hole in a read model."""

    async def fail(events: Any) -> None:
        raise KeyError("bug")

    await produce(kafka_server, topic, [("a", 1)])
    reader = SnapshotReader(topics=[topic], on_batch=fail, bootstrap=kafka_server)
    with pytest.raises(KeyError):
        await reader.run()


async def test_topics_are_made_once_and_their_partitions_guarded(kafka_server: str, topic: str) -> None:
    """Several may make topics at once; a changed partition count is refused."""
    name = f"{topic}.made"
    await asyncio.gather(
        *(kafka.ensure_topics(kafka_server, [kafka.TopicSpec.snapshots(name, 3)]) for _ in range(3))
    )
    with pytest.raises(kafka.TopicMismatch, match="has 3 partitions, the setting says 4"):
        await kafka.ensure_topics(kafka_server, [kafka.TopicSpec.snapshots(name, 4)])
