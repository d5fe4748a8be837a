"""Orders as they stand now, asked of the orders service; readings that come together travel as one call.

News of many orders arrives at once, and everybody who waits for one of them then reads it: a call for each was a fifth
of what the orders service did at half load. A reading joins a call that has not begun yet, so that its answer is never
older than the question.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from prometheus_client import Histogram
from sampan.orders.v1 import order_service_pb2 as pb

from services.chassis import metrics, trace
from services.chassis.errors import DomainError, Internal, ResourceExhausted, Unavailable
from services.chassis.rpc import deadline
from services.chassis.rpc.status import error_of
from services.gateway.collector import copy_of

BATCH_ORDERS_MAX = 64
CALLS_MAX = 2
WAITING_MAX = 4_096

_BATCH_ORDERS = Histogram(
    "sampan_gateway_read_batch_orders", "Orders per reading call.", buckets=metrics.BATCH_BUCKETS
)

BatchGet = Callable[[pb.BatchGetOrdersRequest], Awaitable[pb.BatchGetOrdersResponse]]
Get = Callable[[pb.GetOrderRequest], Awaitable[pb.Order]]
Waiting = tuple[pb.GetOrderRequest, asyncio.Future[pb.Order | None]]


class OrderReader:
    """Bounded in readings that wait, in orders per call and in calls in flight."""

    def __init__(self, batch_get: BatchGet, get: Get) -> None:
        self._batch_get = batch_get
        self._get = get
        self._waiting: deque[Waiting] = deque()
        self._calls: set[asyncio.Task[None]] = set()

    async def read(self, tenant_id: str, order_id: str) -> pb.Order:
        """The order; raises ORDER_NOT_FOUND, and what the call raises."""
        if len(self._waiting) >= WAITING_MAX:
            raise ResourceExhausted("OVERLOADED", "too many orders wait to be read", retry_after_s=1)
        request = pb.GetOrderRequest(tenant_id=tenant_id, order_id=order_id)
        future: asyncio.Future[pb.Order | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        self._start_call()
        order = await future
        # One whose answer does not fit into a call together with others.
        return await self._get(request) if order is None else order

    async def close(self) -> None:
        """Waits for the calls in flight and for those that follow from what waits."""
        while self._calls:
            await asyncio.wait(set(self._calls))

    def _start_call(self) -> None:
        if len(self._calls) < CALLS_MAX and self._waiting:
            task = asyncio.create_task(self._carry(), name="read orders")
            self._calls.add(task)
            task.add_done_callback(self._on_call_done)

    def _on_call_done(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        self._start_call()

    async def _carry(self) -> None:
        # Whatever else is ready to run in this turn of the loop may still come along.
        await asyncio.sleep(0)
        batch: list[Waiting] = []
        while self._waiting and len(batch) < BATCH_ORDERS_MAX:
            waiting = self._waiting.popleft()
            if not waiting[1].cancelled():
                batch.append(waiting)
        if not batch:
            return
        # The call serves many requests: none of them lends it its deadline or its trace.
        deadline.forget()
        trace.set_current(None)
        _BATCH_ORDERS.observe(len(batch))
        try:
            reply = await self._batch_get(pb.BatchGetOrdersRequest(requests=[asked for asked, _ in batch]))
            if len(reply.results) != len(batch):
                raise Unavailable("DEPENDENCY_UNAVAILABLE", "orders answered another number of orders")
            for (_, future), result in zip(batch, reply.results, strict=True):
                _answer(future, result)
        except DomainError as error:
            _fail([future for _, future in batch], error)
        finally:
            _fail([future for _, future in batch], Internal("INTERNAL", "the batch call failed unexpectedly"))


def _answer(future: asyncio.Future[pb.Order | None], result: pb.GetOrderResult) -> None:
    if future.done():
        return
    if result.HasField("error"):
        future.set_exception(error_of(result.error))
    else:
        future.set_result(result.order if result.HasField("order") else None)


def _fail(futures: Sequence[asyncio.Future[pb.Order | None]], error: DomainError) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(copy_of(error))
