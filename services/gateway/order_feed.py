"""News of orders, from the tail of the orders topic, for those who wait for one, follow one or follow all of a tenant.

Nothing is kept: an event of an order that nobody here asks about costs one dictionary lookup, and while nobody asks
about any the topic is not read at all: reading topics was measured as a quarter of the gateway's work. A follower
asks for the order's state after the feed is live, so that nothing falls between the two.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, Protocol

from google.protobuf.message import DecodeError
from sampan.orders.v1 import events_pb2

from services.chassis import log
from services.chassis.envelope import Event
from services.gateway.streams import CUT, Kind, Streams

NEWS_WAITING_MAX = 64
WATCH_NEWS_MAX = 2_000
LINGER_S = 5.0
LIVE_S_MAX = 0.5

_log = log.get(__name__)

News = tuple[int, int]
"""The order's version and its state's number after the event."""


class Subscription:
    """The news of one order for one follower, oldest first. One who falls far behind loses the oldest."""

    def __init__(self) -> None:
        self._news: asyncio.Queue[News] = asyncio.Queue(NEWS_WAITING_MAX)

    def push(self, news: News) -> None:
        """Adds news."""
        if self._news.full():
            self._news.get_nowait()
        self._news.put_nowait(news)

    async def next(self, timeout_s: float) -> News | None:
        """The next news, None when there was none in time."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._news.get()
        except TimeoutError:
            return None


class TenantNews(NamedTuple):
    """An event of an order, and where it is in the topic."""

    partition: int
    offset: int
    head: events_pb2.OrderEventHead


Wanted = Callable[[events_pb2.OrderEventHead], bool]


def head_of(event: Event) -> events_pb2.OrderEventHead | None:
    """What every order event begins with; None where it cannot be read."""
    head = events_pb2.OrderEventHead()
    try:
        head.ParseFromString(event.payload)
    except DecodeError:
        _log.error("unreadable order event", partition=event.partition, offset=event.offset)
        return None
    return head


class Watch:
    """The news of a tenant's orders for one stream. One who falls far behind gets no more: it is to come again with
    the last id that it has, and misses nothing."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._news: deque[TenantNews] = deque()
        self._woken = asyncio.Event()
        self._has_begun = False
        self.has_ended = False

    def begin(self) -> None:
        """Listens from now on, that is, from the feed's `positions`."""
        self._has_begun = True

    def push(self, news: TenantNews) -> None:
        """Adds news, if they are wanted."""
        if not self._has_begun or self.has_ended or not self._wanted(news.head):
            return
        if len(self._news) >= WATCH_NEWS_MAX:
            CUT["orders"].inc()
            self.end()
            return
        self._news.append(news)
        self._woken.set()

    def end(self) -> None:
        """No more news, not even those that wait."""
        self.has_ended = True
        self._news.clear()
        self._woken.set()

    async def next(self, timeout_s: float, count_max: int) -> list[TenantNews]:
        """The next news in their order; none when there were none in time, or at the end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        taken = [self._news.popleft() for _ in range(min(len(self._news), count_max))]
        if not self._news and not self.has_ended:
            self._woken.clear()
        return taken

    @property
    def is_empty(self) -> bool:
        """Whether no news wait."""
        return not self._news


class Source(Protocol):
    """Where the events come from; reads on demand."""

    live: asyncio.Event

    def demand(self, wanted: bool) -> None:
        """Whether anybody wants them."""

    @property
    def positions(self) -> Mapping[Any, int]:
        """The offset of the next record by partition: all before it was passed on."""


class OrderFeed:
    """Hands events to the followers of their orders and of their tenants."""

    def __init__(self, streams: Streams) -> None:
        self.source: Source | None = None
        self._streams = streams
        self._resting: asyncio.TimerHandle | None = None
        self._by_order: dict[str, set[Subscription]] = {}
        self._by_tenant: dict[str, set[Watch]] = {}
        self._readers = 0
        self.closing = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """The topic is read as long as the block lasts."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if self.source is not None:
            self.source.demand(True)
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1
            if not self._readers and self.source is not None:
                # Not at once: the next follower would have to wait until the reader is in its place again.
                self._resting = asyncio.get_running_loop().call_later(LINGER_S, self.source.demand, False)

    @contextmanager
    def follow(self, order_id: str, kind: Kind = "order") -> Iterator[Subscription]:
        """Listens as long as the block lasts; raises ResourceExhausted where too many do."""
        with self._streams.open(kind), self.reading():
            subscription = Subscription()
            self._by_order.setdefault(order_id, set()).add(subscription)
            try:
                yield subscription
            finally:
                _discard(self._by_order, order_id, subscription)

    @contextmanager
    def watch(self, tenant_id: str, wanted: Wanted) -> Iterator[Watch]:
        """Listens to all orders of a tenant, once it has begun, as long as the block lasts."""
        watch = Watch(wanted)
        self._by_tenant.setdefault(tenant_id, set()).add(watch)
        try:
            yield watch
        finally:
            _discard(self._by_tenant, tenant_id, watch)

    @property
    def positions(self) -> list[int]:
        """The offset of the next record of each partition, in their order; empty while none are known."""
        return [] if self.source is None else [at for _, at in sorted(self.source.positions.items())]

    @property
    def is_live(self) -> bool:
        """Whether events arrive now."""
        return self.source is None or self.source.live.is_set()

    async def live(self, s_max: float = LIVE_S_MAX) -> None:
        """Returns once events arrive; or after a bounded time, since followers also ask from time to time."""
        if self.source is not None and not self.source.live.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(s_max):
                    await self.source.live.wait()

    def wants(self, key: bytes) -> bool:
        """Whether anybody follows the order of this key, or a tenant: whose order it is, the key does not say."""
        return bool(self._by_tenant) or key.decode("utf-8", "replace") in self._by_order

    def apply(self, events: Sequence[Event]) -> None:
        """Takes events from the topic."""
        if not self._by_order and not self._by_tenant:
            return
        for event in events:
            followers = self._by_order.get(event.key, ())
            if not followers and not self._by_tenant:
                continue
            head = head_of(event)
            if head is None:
                continue
            for subscription in followers:
                subscription.push((head.version, head.state))
            for watch in self._by_tenant.get(head.tenant_id, ()):
                watch.push(TenantNews(event.partition, event.offset, head))

    def lose(self) -> None:
        """Some events will never be passed on: who follows a tenant is to come again, and will be told so."""
        self._end_watches()

    def close(self) -> None:
        """Tells the followers that the process is going: it wakes them, and their streams end."""
        self.closing = True
        for followers in self._by_order.values():
            for subscription in followers:
                subscription.push((0, 0))
        self._end_watches()

    def _end_watches(self) -> None:
        for watches in self._by_tenant.values():
            for watch in watches:
                watch.end()


def _discard(those: dict[str, set[Any]], key: str, one: Any) -> None:
    of_key = those[key]
    of_key.discard(one)
    if not of_key:
        del those[key]
