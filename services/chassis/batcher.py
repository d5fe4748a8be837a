"""The micro-batcher: concurrent calls of one kind become one set-based transaction, each with its own answer.

    placer = MicroBatcher("orders.place", place_all, items_max=128, size_max=1_000_000, delay_ms_max=2,
                          queue_items_max=2_000, size_of=lambda order: order.ByteSize())
    order = await placer.submit(command)

An idle batcher waits at most `delay_ms_max` for company (0: only for callers of the same turn of the event
loop). What arrives while `in_flight_max` flushes run joins the next one, which starts as soon as one ends:
batches grow with the load by themselves. The queue is bounded in items and, by `wait_s_max`, in time: while its
oldest item has waited for longer, or beyond `queue_items_max`, callers are refused at once.
"""

import asyncio
import contextvars
import functools
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeAlias, TypeVar

from prometheus_client import Counter, Gauge, Histogram

from services.chassis import metrics
from services.chassis.errors import DomainError, ResourceExhausted, Unavailable

Q = TypeVar("Q")
R = TypeVar("R")

RETRY_AFTER_S = 1.0

_BATCH = metrics.Kept(
    Histogram("sampan_batcher_batch_items", "Items per flush.", ["batcher"], buckets=metrics.BATCH_BUCKETS)
)
_FLUSH_S = metrics.Kept(
    Histogram(
        "sampan_batcher_flush_seconds", "Time of a flush.", ["batcher"], buckets=metrics.LATENCY_BUCKETS_S
    )
)
_QUEUED = metrics.Kept(Gauge("sampan_batcher_queued_items", "Items that wait for a flush.", ["batcher"]))
_REFUSED = metrics.Kept(
    Counter("sampan_batcher_refused_items_total", "Items refused: queue full or slow.", ["batcher"])
)


def _shutting_down() -> Unavailable:
    return Unavailable(
        "DEPENDENCY_UNAVAILABLE",
        "the service is shutting down",
        metadata={"cause": "SHUTTING_DOWN"},
        retry_after_s=RETRY_AFTER_S,
    )


class _Call(Generic[R]):
    """One caller's items and the future that gets all their results."""

    __slots__ = ("error", "future", "left", "queued_at_s", "results")

    def __init__(
        self, count: int, future: "asyncio.Future[list[R | DomainError]]", queued_at_s: float
    ) -> None:
        self.left = count
        self.queued_at_s = queued_at_s
        self.results: list[R | DomainError | None] = [None] * count
        self.error: BaseException | None = None
        self.future = future


_Entry: TypeAlias = tuple[Q, int, _Call[R], int]
"""Item, size, the call that it belongs to, its place there."""


class MicroBatcher(Generic[Q, R]):
    """Collects items and gives them to `flush` in batches of at most `items_max` and `size_max`, in order.

    `size_of` counts in what makes a batch long: bytes, lines; `size_max` is in the same unit.

    `flush` returns one result or `DomainError` per item, in order; what it raises reaches every caller of that
    batch. It runs in a task of its own, so no caller's cancellation can tear it apart: an item that is still
    queued is taken out, one under way is completed and its result dropped. An item larger than `size_max`
    travels alone.
    """

    def __init__(
        self,
        name: str,
        flush: Callable[[list[Q]], Awaitable[list[R | DomainError]]],
        *,
        items_max: int,
        size_max: int,
        delay_ms_max: float,
        queue_items_max: int,
        size_of: Callable[[Q], int],
        in_flight_max: int = 1,
        wait_s_max: float = math.inf,
    ) -> None:
        if min(items_max, size_max, queue_items_max, in_flight_max) < 1 or delay_ms_max < 0:
            raise ValueError(f"batcher {name}: bounds must be at least 1, the delay at least 0")
        self._name = name
        self._flush = flush
        self._items_max = items_max
        self._size_max = size_max
        self._delay_s_max = delay_ms_max / 1000
        self._queue_items_max = queue_items_max
        self._size_of = size_of
        self._in_flight_max = in_flight_max
        self._wait_s_max = wait_s_max
        self._queue: deque[_Entry[Q, R]] = deque()
        # The items of the deque and their size; those of a cancelled call are taken out of both.
        self._queued = 0
        self._queued_size = 0
        self._flushes: set[asyncio.Task[list[R | DomainError]]] = set()
        self._timer: asyncio.Handle | None = None
        self._closed = False
        self._batch_items = _BATCH[name]
        self._flush_s = _FLUSH_S[name]
        self._queued_gauge = _QUEUED[name]

    async def submit(self, item: Q) -> R:
        """The item's result; raises its `DomainError`, what the flush raised, or `ResourceExhausted` at once."""
        results = await self._enqueue((item,))
        result = results[0]
        if isinstance(result, DomainError):
            raise result
        return result

    async def submit_many(self, items: Sequence[Q]) -> list[R | DomainError]:
        """The items' results or errors, in order. All are accepted or none; they may go in several batches.

        Raises what a flush raised, once every batch with an item of this call has ended: what became of its
        other items is then unknown to the caller.
        """
        return await self._enqueue(items) if items else []

    async def close(self) -> None:
        """Accepts nothing more, flushes what is queued and waits for it."""
        self._closed = True
        self._cancel_timer()
        while self._queue or self._flushes:
            self._start_flushes()
            if self._flushes:
                await asyncio.wait(self._flushes, return_when=asyncio.FIRST_COMPLETED)

    async def _enqueue(self, items: Sequence[Q]) -> list[R | DomainError]:
        if self._closed:
            raise _shutting_down()
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        if self._queued + len(items) > self._queue_items_max:
            raise self._overloaded("QUEUE_FULL", len(items))
        if self._queue and now_s - self._queue[0][2].queued_at_s > self._wait_s_max:
            raise self._overloaded("QUEUE_SLOW", len(items))
        call: _Call[R] = _Call(len(items), loop.create_future(), now_s)
        sizes = [self._size_of(item) for item in items]
        self._queue.extend(
            (item, size, call, index) for index, (item, size) in enumerate(zip(items, sizes, strict=True))
        )
        self._queued += len(items)
        self._queued_size += sum(sizes)
        self._schedule()
        try:
            return await call.future
        except asyncio.CancelledError:
            self._withdraw(call)
            raise

    def _overloaded(self, cause: str, items: int) -> ResourceExhausted:
        _REFUSED[self._name].inc(items)
        return ResourceExhausted(
            "OVERLOADED",
            "too many requests are waiting",
            metadata={"cause": cause, "queue": self._name},
            retry_after_s=RETRY_AFTER_S,
        )

    def _withdraw(self, call: _Call[R]) -> None:
        """Takes the call's items that are still queued out of the queue."""
        call.future.cancel()
        sizes = [entry[1] for entry in self._queue if entry[2] is call]
        if sizes:
            self._queue = deque(entry for entry in self._queue if entry[2] is not call)
            self._queued -= len(sizes)
            self._queued_size -= sum(sizes)
            self._queued_gauge.set(self._queued)

    def _schedule(self) -> None:
        self._queued_gauge.set(self._queued)
        if len(self._flushes) >= self._in_flight_max:
            return
        loop = asyncio.get_running_loop()
        full = self._queued >= self._items_max or self._queued_size >= self._size_max
        if full and self._delay_s_max > 0:
            self._cancel_timer()
            self._start_flushes()
        elif self._timer is None:
            if self._delay_s_max > 0:
                self._timer = loop.call_later(self._delay_s_max, self._on_timer)
            else:
                self._timer = loop.call_soon(self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._start_flushes()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start_flushes(self) -> None:
        while self._queue and len(self._flushes) < self._in_flight_max:
            entries = self._take()
            # An empty context: a batch belongs to no single caller's trace.
            task = asyncio.get_running_loop().create_task(
                self._run([entry[0] for entry in entries]),
                name=f"batcher-{self._name}",
                context=contextvars.Context(),
            )
            self._flushes.add(task)
            task.add_done_callback(functools.partial(self._on_flushed, entries))

    def _take(self) -> list[_Entry[Q, R]]:
        """The next batch: at least one item, then as many as the bounds allow."""
        entries: list[_Entry[Q, R]] = []
        size = 0
        while self._queue and len(entries) < self._items_max:
            if entries and size + self._queue[0][1] > self._size_max:
                break
            entry = self._queue.popleft()
            size += entry[1]
            entries.append(entry)
        self._queued -= len(entries)
        self._queued_size -= size
        self._queued_gauge.set(self._queued)
        return entries

    async def _run(self, items: list[Q]) -> list[R | DomainError]:
        self._batch_items.observe(len(items))
        with self._flush_s.time():
            return await self._flush(items)

    def _on_flushed(self, entries: list[_Entry[Q, R]], task: "asyncio.Task[list[R | DomainError]]") -> None:
        self._flushes.discard(task)
        error: BaseException | None = None
        results: list[R | DomainError] = []
        if task.cancelled():
            # Only the end of the process does that; the callers must not wait for ever.
            error = _shutting_down()
        elif (error := task.exception()) is None:
            results = task.result()
            if len(results) != len(entries):
                error = RuntimeError(f"batcher {self._name}: {len(results)} results for {len(entries)} items")
        self._settle(entries, results, error)
        # What has waited for this flush has waited enough.
        if self._queue:
            self._cancel_timer()
            self._start_flushes()

    def _settle(
        self, entries: list[_Entry[Q, R]], results: Sequence[R | DomainError], error: BaseException | None
    ) -> None:
        for position, (_, _, call, index) in enumerate(entries):
            if error is not None:
                call.error = error
            else:
                call.results[index] = results[position]
            call.left -= 1
            if call.left or call.future.done():
                continue
            if call.error is not None:
                call.future.set_exception(call.error)
            else:
                call.future.set_result(call.results)  # type: ignore[arg-type]
