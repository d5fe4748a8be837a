"""A consumer whose handler, database or topic fails: it repeats what may pass, and ends where nothing moves."""

import asyncio
import random
from collections.abc import Sequence

import asyncpg
import pytest

from services.chassis.consumer import (
    Consumer,
    ConsumerStalled,
    Event,
    OffsetBeyondEnd,
    list_parked,
    replay_parked,
)
from services.chassis.consumer import positions as positions_module
from services.chassis.pg import Connection, Database
from tests.integration.chassis.consuming import (
    a_few,
    consuming,
    effects,
    effects_are,
    passed,
    record,
)
from tests.integration.chassis.topics import eventually, produce

pytestmark = [pytest.mark.postgres, pytest.mark.kafka]


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
        await eventually(lambda: passed(ledger, total), s_max=60)
    parked = await list_parked(ledger, f"group.{topic}", limit=1_000)
    failed = {(p.aggregate_id, p.version) for p in parked if p.cause == "FAILED"}
    first_poison = {(a, min(v for b, v in poison if b == a)) for a, _ in poison}
    assert failed == first_poison, f"seed {seed}"
    await replay_parked(ledger, f"group.{topic}", record, actor="test")
    assert await effects(ledger) == {f"a{n}": list(range(1, rounds + 1)) for n in range(aggregates)}, (
        f"seed {seed}"
    )
