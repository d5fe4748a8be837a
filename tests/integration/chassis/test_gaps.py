"""What counts as a gap in an aggregate's events, and what only looks like one."""

from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition

from services.chassis.consumer import Event, list_parked
from services.chassis.consumer import batch as batch_module
from services.chassis.consumer.batch import BatchProcessor, decode
from services.chassis.consumer.sweep import AppliedSweep
from services.chassis.pg import Connection, Database
from tests.integration.chassis.topics import TYPE, headers

pytestmark = pytest.mark.postgres

PLACE = TopicPartition("gaps", 0)


async def nothing(connection: Connection, events: Sequence[Event]) -> None:
    """A handler without effects."""


def counted(group: str) -> tuple[float, float]:
    """Gaps and unplaced events so far."""
    events = batch_module._EVENTS
    return events[group, "gap"]._value.get(), events[group, "unplaced"]._value.get()


async def processing(ledger: Database, *catch_up_types: str) -> Callable[..., Awaitable[None]]:
    """Applies versions of one aggregate, as a group at the beginning of its partition."""
    async with ledger.connection() as connection:
        await connection.execute("INSERT INTO consumer_offset VALUES ('gaps', 'gaps', 0, 0)")
    processor = BatchProcessor(
        group="gaps",
        handler=nothing,
        db=ledger,
        after_commit=None,
        snapshot_topics=(),
        catch_up_types=catch_up_types,
    )
    processor.positions = {PLACE: 0}

    async def apply(*versions: int) -> None:
        first = processor.positions[PLACE]
        records = [
            SimpleNamespace(
                topic="gaps",
                partition=0,
                offset=first + n,
                timestamp=0,
                key=b"a",
                value=b"x",
                headers=headers("a", version),
            )
            for n, version in enumerate(versions)
        ]
        await processor.process(decode(PLACE, records))

    return apply


async def applied(ledger: Database) -> int:
    """The version applied."""
    async with ledger.connection() as connection:
        version: int = await connection.fetchval("SELECT version FROM consumer_applied")
        return version


async def test_an_event_that_tells_all_that_is_missing_may_follow_a_gap(ledger: Database) -> None:
    apply = await processing(ledger, TYPE)
    await apply(1, 4)
    assert await applied(ledger) == 4
    # What was missing and comes after all has been told already.
    await apply(2, 3, 5)
    assert await applied(ledger) == 5
    assert await list_parked(ledger, "gaps") == []


async def test_an_aggregate_that_was_idle_until_it_was_forgotten_has_no_gap(ledger: Database) -> None:
    apply = await processing(ledger)
    before = counted("gaps")
    await apply(1, 2, 3)
    async with ledger.connection() as connection:
        await connection.execute("UPDATE consumer_applied SET update_time = now() - interval '15 days'")
    assert await AppliedSweep(ledger, retention_days=14).step() == 1
    await apply(4, 5)
    assert counted("gaps") == (before[0], before[1] + 1)
    await apply(7)
    assert [one.version for one in await list_parked(ledger, "gaps")] == [7], (
        "now it is known what comes next"
    )
    assert counted("gaps") == (before[0], before[1] + 1)
