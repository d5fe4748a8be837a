"""News of orders, from the tail of the orders topic, for those who wait for one or follow one.

Nothing is kept: an event of an order that nobody here asks about costs one dictionary lookup, and while nobody asks
about any the topic is not read at all: reading topics was measured as a quarter of the gateway's work. A follower
asks for the order's state after the feed is live, so that nothing falls between the two.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

from google.protobuf.message import DecodeError
from prometheus_client import Gauge
from sampan.orders.v1 import events_pb2

from services.chassis import log
from services.chassis.envelope import Event
from services.chassis.errors import ResourceExhausted

NEWS_WAITING_MAX = 64
LINGER_S = 5.0
LIVE_S_MAX = 0.5

_log = log.get(__name__)
_FOLLOWERS = Gauge("sampan_gateway_order_followers", "Open event streams and waits.")

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


class Source(Protocol):
    """Where the events come from; reads on demand."""

    live: asyncio.Event

    def demand(self, wanted: bool) -> None:
        """Whether anybody wants them."""


class OrderFeed:
    """Hands events to the followers of their orders."""

    def __init__(self, *, subscriptions_max: int) -> None:
        self.source: Source | None = None
        self._resting: asyncio.TimerHandle | None = None
        self._subscriptions_max = subscriptions_max
        self._by_order: dict[str, set[Subscription]] = {}
        self._count = 0
        self.closing = False
        _FOLLOWERS.set_function(lambda: self._count)

    @contextmanager
    def follow(self, order_id: str) -> Iterator[Subscription]:
        """Listens as long as the block lasts; raises ResourceExhausted where too many do."""
        if self._count >= self._subscriptions_max:
            raise ResourceExhausted("OVERLOADED", "too many orders are being followed", retry_after_s=5)
        self._begin()
        subscription = Subscription()
        self._by_order.setdefault(order_id, set()).add(subscription)
        self._count += 1
        try:
            yield subscription
        finally:
            self._count -= 1
            followers = self._by_order[order_id]
            followers.discard(subscription)
            if not followers:
                del self._by_order[order_id]
            if not self._by_order and self.source is not None:
                # Not at once: the next follower would have to wait until the reader is in its place again.
                self._resting = asyncio.get_running_loop().call_later(LINGER_S, self.source.demand, False)

    @property
    def is_live(self) -> bool:
        """Whether events arrive now."""
        return self.source is None or self.source.live.is_set()

    async def live(self) -> None:
        """Returns once events arrive; or after a bounded time, since followers also ask from time to time."""
        if self.source is not None and not self.source.live.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(LIVE_S_MAX):
                    await self.source.live.wait()

    def wants(self, key: bytes) -> bool:
        """Whether anybody follows the order of this key."""
        return key.decode("utf-8", "replace") in self._by_order

    def _begin(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if self.source is not None:
            self.source.demand(True)

    def apply(self, events: Sequence[Event]) -> None:
        """Takes events from the topic."""
        if not self._by_order:
            return
        for event in events:
            followers = self._by_order.get(event.key)
            if not followers:
                continue
            head = events_pb2.OrderEventHead()
            try:
                head.ParseFromString(event.payload)
            except DecodeError:
                _log.error("unreadable order event", partition=event.partition, offset=event.offset)
                continue
            for subscription in followers:
                subscription.push((head.version, head.state))

    def close(self) -> None:
        """Tells the followers that the process is going: it wakes them, and their streams end."""
        self.closing = True
        for followers in self._by_order.values():
            for subscription in followers:
                subscription.push((0, 0))
