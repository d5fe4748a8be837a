"""The stream of all orders of a tenant (Server-Sent Events), which can be taken up again where it was left.

Each event's id is a place in the orders topic. Who comes back with one, at whatever gateway, is first told what the
topic has had since, by a reader of its own, and then what the feed tells everybody. The two are joined where the feed
stands: what comes through both is told once.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing

from aiokafka.errors import KafkaError
from sampan.orders.v1.events_pb2 import OrderEventHead

from services.chassis import log
from services.chassis.errors import Unavailable
from services.chassis.replay import PositionGone, Replay
from services.gateway import params, positions, sse
from services.gateway.call import Call, Stream
from services.gateway.clients import Clients
from services.gateway.config import GatewaySettings
from services.gateway.errors import at_header
from services.gateway.order_feed import OrderFeed, TenantNews, Wanted, Watch, head_of
from services.gateway.roles import MERCHANTS, allow
from services.gateway.routes import examples
from services.gateway.routes.resource import Resource, encode
from services.gateway.routes.route import EVENT_STREAM_MEDIA_TYPE, Route
from services.gateway.routes.scopes import require_merchant
from services.gateway.schemas.orders import OrderNews, OrderStreamReset
from services.gateway.streams import SENT, Streams
from services.gateway.translate.orders import FINAL_STATES, STATE

REPLAYS_MAX = 2
"""Streams that are catching up at a time; others wait."""
REPLAY_S_MAX = 120.0
"""After so long a stream that is still catching up ends: its client takes up from there, behind those that wait."""
REPLAY_PAUSE_S = 0.01
JOIN_RECORDS_MAX = 500
"""So near to the feed, a stream begins to listen to it as well."""
PIECE_EVENTS_MAX = 100
BEGIN_S_MAX = 5.0

Replaying = Callable[[Sequence[int]], AbstractAsyncContextManager[Replay]]
"""Opens the topic at the offsets of each partition's next record."""

_log = log.get(__name__)


class _TooOld(Exception):
    """There is more since the place than a stream may catch up with."""


class OrderStream(Resource):
    """All orders of a tenant; bounded in number in all and by caller."""

    def __init__(
        self,
        clients: Clients,
        settings: GatewaySettings,
        feed: OrderFeed,
        streams: Streams,
        replaying: Replaying,
    ) -> None:
        super().__init__(clients, settings)
        self._feed = feed
        self._streams = streams
        self._replaying = replaying
        self._replays = asyncio.Semaphore(REPLAYS_MAX)

    async def follow(self, call: Call) -> Stream:
        """GET /v1/orders/events"""
        merchant_id = call.query["merchant_id"]
        if merchant_id:
            require_merchant(call, merchant_id)
        pieces = self._pieces(call, _wanted(call, merchant_id, call.query["state"]), _since(call))
        # The first piece is made before anything is sent, so that a refusal is still a proper answer.
        first = await anext(pieces)
        return Stream(first, pieces, media_type=sse.MEDIA_TYPE)

    async def _pieces(
        self, call: Call, wanted: Wanted, since: list[int] | None
    ) -> AsyncGenerator[bytes, None]:
        feed = self._feed
        with (
            self._streams.open("orders", call.caller),
            feed.reading(),
            feed.watch(call.tenant_id, wanted) as watch,
        ):
            await feed.live(BEGIN_S_MAX)
            here = feed.positions
            if not here:
                raise Unavailable("DEPENDENCY_UNAVAILABLE", "the events of orders cannot be read now")
            place = _Place(here if since is None else since)
            if since is None:
                watch.begin()
            yield sse.RETRY + sse.place(place.id)
            if since is not None:
                async for beat in self._turn():
                    yield beat
                try:
                    async with aclosing(self._missed(watch, wanted, place)) as pieces:
                        async for piece in pieces:
                            if not await call.still_known():
                                return
                            yield piece
                except (PositionGone, _TooOld) as error:
                    watch.begin()
                    place.offsets = feed.positions
                    reset = OrderStreamReset("too_old" if isinstance(error, _TooOld) else "gone")
                    yield sse.event(b"reset", encode(reset), place.id)
                except (KafkaError, OSError) as error:
                    _log.warning("a stream of orders could not catch up", error=repr(error))
                    return
                finally:
                    self._replays.release()
            while True:
                news = await watch.next(self.settings.stream_heartbeat_s, PIECE_EVENTS_MAX)
                is_known = await call.still_known()
                if watch.has_ended or not is_known:
                    # It fell behind, the process goes, or its key was revoked: it may come again with its last id.
                    return
                piece = _piece(place, news)
                if watch.is_empty:
                    place.offsets = list(map(max, place.offsets, feed.positions))
                yield piece or sse.ALIVE + sse.place(place.id)

    async def _turn(self) -> AsyncGenerator[bytes, None]:
        """Waits until a replay may begin, with signs of life meanwhile."""
        while True:
            try:
                async with asyncio.timeout(self.settings.stream_heartbeat_s):
                    await self._replays.acquire()
                return
            except TimeoutError:
                yield sse.ALIVE

    async def _missed(self, watch: Watch, wanted: Wanted, place: "_Place") -> AsyncGenerator[bytes, None]:
        """What there was since the place; in the end the place is where the watch has begun."""
        feed, clock = self._feed, asyncio.get_running_loop().time
        until_s, quiet_since_s = clock() + REPLAY_S_MAX, clock()
        if feed.closing:
            watch.end()
            return
        async with self._replaying(place.offsets) as replay:
            if _behind(replay.positions, feed.positions) > self.settings.stream_resume_events_max:
                raise _TooOld
            target: list[int] | None = None
            while target is None or _behind(replay.positions, target):
                if target is None and _behind(replay.positions, feed.positions) <= JOIN_RECORDS_MAX:
                    watch.begin()
                    target = feed.positions
                    continue
                if watch.has_ended or clock() > until_s:
                    watch.end()
                    return
                found = [
                    TenantNews(event.partition, event.offset, head)
                    for event in await replay.read()
                    if (head := head_of(event)) is not None and wanted(head)
                ]
                piece = _piece(place, found)
                place.offsets = list(replay.positions)
                if piece or clock() - quiet_since_s > self.settings.stream_heartbeat_s:
                    quiet_since_s = clock()
                    yield piece or sse.ALIVE + sse.place(place.id)
                await asyncio.sleep(REPLAY_PAUSE_S)

    def routes(self) -> tuple[Route, ...]:
        """The table."""
        return (
            Route(
                "GET",
                "/v1/orders/events",
                self.follow,
                allow("storefront", "merchant", "reader"),
                "orders",
                "Follow all orders",
                "Server-Sent Events: one `order` event per change of any order of the tenant, from now on, or, with "
                "`Last-Event-ID`, from the event of that id on, at any gateway and after a restart of it. An event may "
                "come twice: compare `version`. A `reset` event says that the id is older than what can be told again: "
                "read the orders by `GET /v1/orders`; the stream goes on from now. Comments keep the connection alive; "
                "an `id` alone moves the place on. A client that does not keep up is cut off, and may come again.",
                name="followOrders",
                query=(
                    params.text("merchant_id", "Only this merchant's.", chars_max=40),
                    params.word(
                        "state", "Only changes after which an order is in this state.", STATE.number_of
                    ),
                ),
                answer=(OrderNews, OrderStreamReset),
                answer_media_type=EVENT_STREAM_MEDIA_TYPE,
                answer_example=examples.ORDERS_EVENTS,
                resumable=True,
                reasons=("HEADER_INVALID", "MERCHANT_NOT_FOUND", "OVERLOADED"),
                scopes=MERCHANTS,
            ),
        )


class _Place:
    """How far a stream has come: the offset of the next record of each partition."""

    def __init__(self, offsets: list[int]) -> None:
        self.offsets = offsets

    @property
    def id(self) -> bytes:
        """As the id of an event."""
        return positions.encode(self.offsets)

    def reach(self, news: TenantNews) -> bool:
        """Moves on behind the event; False where it has been told before."""
        if news.offset < self.offsets[news.partition]:
            return False
        self.offsets[news.partition] = news.offset + 1
        return True


def _since(call: Call) -> list[int] | None:
    text = call.header(b"last-event-id")
    if not text:
        return None
    try:
        return positions.decode(text)
    except ValueError:
        raise at_header("HEADER_INVALID", "Last-Event-ID", "not the id of an event of this stream") from None


def _wanted(call: Call, merchant_id: str, state: int) -> Wanted:
    caller, tenant_id = call.caller, call.tenant_id

    def wanted(head: OrderEventHead) -> bool:
        return (
            head.tenant_id == tenant_id
            and (not state or head.state == state)
            and (not merchant_id or head.merchant_id == merchant_id)
            and caller.sees("merchants", head.merchant_id)
        )

    return wanted


def _behind(offsets: Sequence[int], target: Sequence[int]) -> int:
    """How many records are between a place and a later one."""
    return sum(max(0, there - here) for here, there in zip(offsets, target, strict=True))


def _piece(place: _Place, news: Iterable[TenantNews]) -> bytes:
    events = [_event(one.head, place.id) for one in news if place.reach(one)]
    SENT["orders"].inc(len(events))
    return b"".join(events)


def _event(head: OrderEventHead, last_id: bytes) -> bytes:
    state = head.state
    news = OrderNews(head.order_id, head.merchant_id, head.version, STATE.word(state), state in FINAL_STATES)
    return sse.event(b"order", encode(news), last_id)
