"""The micro-batcher: bounds, order, cancellation, failures; as properties and as examples."""

import asyncio
import math
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.batcher import MicroBatcher
from services.chassis.errors import DomainError, NotFound, ResourceExhausted, Unavailable
from tests import laws

Flush = Callable[[list[int]], Awaitable[list[int | DomainError]]]


def make(
    flush: Flush,
    *,
    items_max: int = 4,
    size_max: int = 1_000,
    delay_ms_max: float = 0,
    queue_items_max: int = 100,
    in_flight_max: int = 1,
    wait_s_max: float = math.inf,
) -> MicroBatcher[int, int]:
    """A batcher of numbers; a number is as large as itself."""
    return MicroBatcher(
        "test",
        flush,
        items_max=items_max,
        size_max=size_max,
        delay_ms_max=delay_ms_max,
        queue_items_max=queue_items_max,
        size_of=abs,
        in_flight_max=in_flight_max,
        wait_s_max=wait_s_max,
    )


class Recorder:
    """A flush that doubles numbers and remembers what it got; with `gate` it waits to be let through."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.running = 0
        self.running_max = 0
        self.started = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, items: list[int]) -> list[int | DomainError]:
        """Flushes."""
        self.batches.append(items)
        self.started.set()
        self.running += 1
        self.running_max = max(self.running_max, self.running)
        await asyncio.sleep(0)
        await self.gate.wait()
        self.running -= 1
        return [item * 2 for item in items]


def size(batch: list[int]) -> int:
    """A batch's bytes."""
    return sum(abs(item) for item in batch)


@settings(max_examples=laws.examples(80))
@given(
    items_max=st.integers(1, 6),
    size_max=st.integers(1, 40),
    in_flight_max=st.integers(1, 3),
    delay_ms_max=st.sampled_from([0, 0.5]),
    calls=st.lists(
        st.tuples(
            st.lists(st.integers(0, 30), min_size=1, max_size=5),  # the items of one caller
            st.sampled_from(["wait", "cancel at once", "cancel later"]),
            st.integers(0, 2),  # turns of the loop before the next caller
        ),
        max_size=25,
    ),
)
def test_every_live_item_is_flushed_once_within_all_bounds(
    items_max: int,
    size_max: int,
    in_flight_max: int,
    delay_ms_max: float,
    calls: list[tuple[list[int], str, int]],
) -> None:
    """Whatever callers do: bounds hold, order holds, each waiting caller gets the results of its own items."""

    async def run() -> None:
        recorder = Recorder()
        batcher = make(
            recorder,
            items_max=items_max,
            size_max=size_max,
            in_flight_max=in_flight_max,
            delay_ms_max=delay_ms_max,
            queue_items_max=1_000,
        )
        waiting: list[tuple[list[int], asyncio.Task[list[int | DomainError]]]] = []
        for items, fate, turns in calls:
            task = asyncio.create_task(batcher.submit_many(items))
            if fate == "wait":
                waiting.append((items, task))
            else:
                if fate == "cancel later":
                    await asyncio.sleep(0)
                task.cancel()
            for _ in range(turns):
                await asyncio.sleep(0)
        for items, task in waiting:
            assert await task == [item * 2 for item in items]
        await batcher.close()
        flushed = [item for batch in recorder.batches for item in batch]
        for batch in recorder.batches:
            assert 1 <= len(batch) <= items_max
            assert len(batch) == 1 or size(batch) <= size_max
        assert recorder.running_max <= in_flight_max
        wanted = [item for items, _ in waiting for item in items]
        remaining = iter(flushed)
        assert all(item in remaining for item in wanted), "not a subsequence"
        assert len(flushed) <= sum(len(items) for items, _, _ in calls)
        assert (batcher._queued, batcher._queued_size, len(batcher._queue)) == (0, 0, 0)

    asyncio.run(run())


async def test_callers_of_one_turn_share_a_batch() -> None:
    """A delay of nothing still gathers those that come together."""
    recorder = Recorder()
    batcher = make(recorder, items_max=100)
    assert await asyncio.gather(*(batcher.submit(n) for n in range(10))) == [n * 2 for n in range(10)]
    assert recorder.batches == [list(range(10))]
    await batcher.close()


async def test_an_idle_batcher_does_not_wait_longer_than_the_delay() -> None:
    """A lone caller is served after the delay; a full batch is served before it."""
    recorder = Recorder()
    batcher = make(recorder, delay_ms_max=30, items_max=3)
    loop = asyncio.get_running_loop()
    started = loop.time()
    await batcher.submit(1)
    assert 0.02 < loop.time() - started < 1
    patient = make(recorder, delay_ms_max=60_000, items_max=3)
    async with asyncio.timeout(5):
        await asyncio.gather(*(patient.submit(n) for n in range(3)))
    await asyncio.gather(batcher.close(), patient.close())


async def test_what_arrives_during_a_flush_joins_the_next() -> None:
    """And that one starts at once when the first ends, whatever the delay."""
    recorder = Recorder()
    recorder.gate.clear()
    batcher = make(recorder, items_max=100, delay_ms_max=1)
    first = asyncio.create_task(batcher.submit(1))
    await recorder.started.wait()
    late = [asyncio.create_task(batcher.submit(n)) for n in (2, 3, 4)]
    await asyncio.sleep(0.02)
    assert recorder.batches == [[1]]
    recorder.gate.set()
    await asyncio.gather(first, *late)
    assert recorder.batches == [[1], [2, 3, 4]]
    await batcher.close()


async def test_each_caller_gets_its_own_error() -> None:
    """A refused item does not touch its neighbours."""

    async def flush(items: list[int]) -> list[int | DomainError]:
        return [NotFound("NONE", f"no {item}") if item % 2 else item for item in items]

    batcher = make(flush, items_max=10)
    results = await asyncio.gather(*(batcher.submit(n) for n in range(4)), return_exceptions=True)
    assert [isinstance(result, NotFound) for result in results] == [False, True, False, True]
    many = await batcher.submit_many([1, 2])
    assert isinstance(many[0], NotFound)
    assert many[1] == 2
    await batcher.close()


async def test_a_failed_flush_reaches_every_caller_of_its_batch_only() -> None:
    """Callers of other batches are not concerned; the batcher goes on."""

    async def flush(items: list[int]) -> list[int | DomainError]:
        if 13 in items:
            raise OSError("no network")
        return list(items)

    batcher = make(flush, items_max=2)
    results = await asyncio.gather(*(batcher.submit(n) for n in (1, 2, 13, 3, 4, 5)), return_exceptions=True)
    assert [type(result) for result in results] == [int, int, OSError, OSError, int, int]
    with pytest.raises(OSError, match="no network"):
        await batcher.submit_many([1, 2, 13])
    assert await batcher.submit(6) == 6
    await batcher.close()


async def test_a_flush_that_forgets_an_item_is_an_error() -> None:
    """Nobody waits for ever for a result that was never made."""

    async def flush(items: list[int]) -> list[int | DomainError]:
        return list(items[1:])

    batcher = make(flush)
    with pytest.raises(RuntimeError, match="0 results for 1 items"):
        await batcher.submit(1)
    await batcher.close()


async def test_the_queue_is_bounded() -> None:
    """Beyond the bound callers are refused at once; a cancelled caller makes room."""
    recorder = Recorder()
    recorder.gate.clear()
    batcher = make(recorder, items_max=1, queue_items_max=3)
    tasks = [asyncio.create_task(batcher.submit(0))]
    await recorder.started.wait()
    tasks += [asyncio.create_task(batcher.submit(n)) for n in (1, 2, 3)]
    await asyncio.sleep(0)
    with pytest.raises(ResourceExhausted) as refused:
        await batcher.submit(4)
    assert refused.value.metadata == {"cause": "QUEUE_FULL", "queue": "test"}
    assert refused.value.retry_after_s
    tasks[2].cancel()
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(batcher.submit(5)))
    await asyncio.sleep(0)
    recorder.gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert recorder.batches == [[0], [1], [3], [5]]
    await batcher.close()


async def test_a_cancelled_caller_does_not_stop_a_flush_under_way() -> None:
    """It is completed; the result is dropped."""
    recorder = Recorder()
    recorder.gate.clear()
    batcher = make(recorder)
    leaving = asyncio.create_task(batcher.submit(1))
    staying = asyncio.create_task(batcher.submit(2))
    await recorder.started.wait()
    leaving.cancel()
    await asyncio.sleep(0)
    recorder.gate.set()
    assert await staying == 4
    assert leaving.cancelled()
    assert recorder.batches == [[1, 2]]
    await batcher.close()


async def test_closing_drains() -> None:
    """What was accepted is flushed, without the delay; nothing more is accepted."""
    recorder = Recorder()
    batcher = make(recorder, delay_ms_max=60_000, items_max=2)
    tasks = [asyncio.create_task(batcher.submit(n)) for n in range(5)]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await batcher.close()
    assert await asyncio.gather(*tasks) == [0, 2, 4, 6, 8]
    with pytest.raises(Unavailable, match="shutting down"):
        await batcher.submit(1)


async def test_senseless_bounds_are_refused() -> None:
    """A batcher that could never flush is not made."""
    with pytest.raises(ValueError, match="at least 1"):
        make(Recorder(), items_max=0)


async def test_while_the_oldest_has_waited_too_long_more_are_refused_and_those_inside_are_served() -> None:
    flush = Recorder()
    flush.gate.clear()
    batcher = make(flush, items_max=1, wait_s_max=0.02)
    under_way = asyncio.create_task(batcher.submit(1))
    await flush.started.wait()
    waiting = asyncio.create_task(batcher.submit(2))
    await asyncio.sleep(0)
    refusal: ResourceExhausted | None = None
    while refusal is None:
        more = asyncio.create_task(batcher.submit(3))
        await asyncio.wait({more}, timeout=0.005)
        if more.done():
            refusal = more.exception()  # type: ignore[assignment]
        else:
            more.cancel()
    assert isinstance(refusal, ResourceExhausted)
    assert refusal.metadata["cause"] == "QUEUE_SLOW"
    flush.gate.set()
    assert (await under_way, await waiting) == (2, 4)
    assert await batcher.submit(5) == 10
