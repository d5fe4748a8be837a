"""Concurrent placements travel together: whatever arrives while the allowed number of batch calls is in flight
joins the next one. Under little load an order leaves at once and alone; under much, a call carries many.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from prometheus_client import Gauge, Histogram
from sampan.orders.v1 import order_service_pb2 as pb

from services.chassis import metrics, trace
from services.chassis.crash import crash_point
from services.chassis.errors import DeadlineExceeded, DomainError, Internal, ResourceExhausted, Unavailable
from services.chassis.rpc import deadline

BatchPlace = Callable[[pb.BatchPlaceOrdersRequest], Awaitable[pb.BatchPlaceOrdersResponse]]
Waiting = tuple[pb.PlaceOrderRequest, asyncio.Future[pb.PlaceOrderResult], float]
"""The order, its answer, and until when, by the loop's clock, there has to be one."""

BATCH_BYTES_MAX = 8 * 1024 * 1024
"""Half of what a gRPC message may have: one tenant's large orders must not fail the call of all."""
SHARED_ORDERS_MIN = 16
"""A call's share of the orders is at least this: smaller ones would cost more than they save."""
REST_S_MIN = 0.1
"""With less time than this left an order no longer joins a call, whose deadline it would set for all others."""

_WAITING = Gauge("sampan_gateway_place_waiting", "Orders that wait for a batch call.")
_BATCH_ORDERS = Histogram(
    "sampan_gateway_place_batch_orders", "Orders per batch call.", buckets=metrics.BATCH_BUCKETS
)


class PlacementCollector:
    """Bounded in waiting orders, in orders, lines and bytes per call, and in calls in flight."""

    def __init__(
        self,
        batch_place: BatchPlace,
        *,
        batch_orders_max: int,
        batch_lines_max: int,
        queue_orders_max: int,
        calls_max: int,
        place_s_max: float,
    ) -> None:
        self._batch_place = batch_place
        self._batch_orders_max = batch_orders_max
        self._batch_lines_max = batch_lines_max
        self._queue_orders_max = queue_orders_max
        self._calls_max = calls_max
        self._place_s_max = place_s_max
        self._waiting: deque[Waiting] = deque()
        self._calls: set[asyncio.Task[None]] = set()
        # Orders in calls in flight.
        self._carried = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        # One timer for the oldest that waits: one for each order was a twentieth of the gateway's work.
        self._timer: asyncio.TimerHandle | None = None
        _WAITING.set_function(lambda: len(self._waiting))

    async def place(self, request: pb.PlaceOrderRequest) -> pb.PlaceOrderResult:
        """What became of the order. Raises when the whole call failed, ResourceExhausted when too many wait, and
        DeadlineExceeded when the answer is not there in time, however the time was spent.

        A caller that is cancelled leaves its place; its order may have been placed all the same.
        """
        if len(self._waiting) >= self._queue_orders_max:
            raise ResourceExhausted("OVERLOADED", "too many orders wait to be placed", retry_after_s=1)
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        future: asyncio.Future[pb.PlaceOrderResult] = loop.create_future()
        due_s = loop.time() + self._place_s_max
        self._waiting.append((request, future, due_s))
        if self._timer is None:
            self._timer = loop.call_at(due_s, self._give_up)
        self._start_call()
        return await future

    async def close(self) -> None:
        """Waits for the calls in flight and for those that follow from what waits."""
        while self._calls:
            await asyncio.wait(set(self._calls))

    def _give_up(self) -> None:
        """Ends the waiting of those whose time is up; those under way have the same time as a deadline."""
        self._timer = None
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        while self._waiting and self._waiting[0][2] <= now_s:
            _fail_late(self._waiting.popleft()[1])
        if self._waiting:
            self._timer = loop.call_at(self._waiting[0][2], self._give_up)

    def _start_call(self) -> None:
        if len(self._calls) < self._calls_max and self._waiting:
            task = asyncio.create_task(self._carry(), name="place orders")
            self._calls.add(task)
            task.add_done_callback(self._on_call_done)

    def _on_call_done(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        self._start_call()

    async def _carry(self) -> None:
        # Whatever else is ready to run in this turn of the loop may still come along.
        await asyncio.sleep(0)
        batch = self._take()
        if not batch:
            return
        # The call serves many requests: none of them lends it its trace, and the oldest its deadline.
        deadline.begin(batch[0][2] - asyncio.get_running_loop().time())
        trace.set_current(
            next((one.traceparent for one, _, _ in batch if trace.is_sampled(one.traceparent)), None)
        )
        self._carried += len(batch)
        try:
            self._start_call()
            _BATCH_ORDERS.observe(len(batch))
            crash_point("gateway.place.before_call")
            reply = await self._batch_place(pb.BatchPlaceOrdersRequest(requests=[one for one, _, _ in batch]))
            crash_point("gateway.place.before_answer")
            if len(reply.results) != len(batch):
                raise Unavailable("DEPENDENCY_UNAVAILABLE", "orders answered another number of orders")
            for (_, future, _), result in zip(batch, reply.results, strict=True):
                if not future.done():
                    future.set_result(result)
        except DomainError as error:
            for _, future, _ in batch:
                if not future.done():
                    future.set_exception(copy_of(error))
        finally:
            self._carried -= len(batch)
            for _, future, _ in batch:
                if not future.done():
                    future.set_exception(Internal("INTERNAL", "the batch call failed unexpectedly"))

    def _take(self) -> list[Waiting]:
        batch: list[Waiting] = []
        lines = size_bytes = 0
        # A call takes its share of all that is under way: if one took everything, this process would have nothing to do
        # until its answer, and orders nothing until the next call.
        share = -(-(len(self._waiting) + self._carried) // self._calls_max)
        orders_max = min(self._batch_orders_max, max(share, SHARED_ORDERS_MIN))
        late_s = asyncio.get_running_loop().time() + min(REST_S_MIN, self._place_s_max / 2)
        while self._waiting and len(batch) < orders_max:
            request, future, due_s = self._waiting[0]
            if future.cancelled() or due_s <= late_s:
                self._waiting.popleft()
                _fail_late(future)
                continue
            lines += len(request.lines)
            size_bytes += request.ByteSize()
            if batch and (lines > self._batch_lines_max or size_bytes > BATCH_BYTES_MAX):
                break
            self._waiting.popleft()
            batch.append((request, future, due_s))
        return batch


def _fail_late(future: asyncio.Future[pb.PlaceOrderResult]) -> None:
    if not future.done():
        future.set_exception(DeadlineExceeded("DEADLINE_EXCEEDED", "orders did not answer in time"))


def copy_of(error: DomainError) -> DomainError:
    """An exception of its own for each caller: a shared one would gather all their tracebacks."""
    return type(error)(
        error.reason,
        error.message,
        metadata=error.metadata,
        retry_after_s=error.retry_after_s,
        domain=error.domain,
    )
