"""The stream of an order's changes (Server-Sent Events): its present state first, then every further one."""

from collections.abc import AsyncGenerator

from services.chassis.errors import DomainError
from services.gateway import sse
from services.gateway.call import Call, Stream
from services.gateway.clients import Clients
from services.gateway.config import GatewaySettings
from services.gateway.order_feed import OrderFeed, Subscription
from services.gateway.order_reader import OrderReader
from services.gateway.roles import MERCHANTS, allow
from services.gateway.routes import examples
from services.gateway.routes.resource import Resource, encode
from services.gateway.routes.route import EVENT_STREAM_MEDIA_TYPE, Route
from services.gateway.routes.scopes import require_order
from services.gateway.schemas.orders import OrderChange
from services.gateway.streams import SENT
from services.gateway.translate.orders import FINAL_STATES, STATE


class OrderEvents(Resource):
    """Streams; bounded in number by the feed."""

    def __init__(
        self, clients: Clients, settings: GatewaySettings, feed: OrderFeed, reader: OrderReader
    ) -> None:
        super().__init__(clients, settings)
        self._feed = feed
        self._reader = reader

    async def follow(self, call: Call) -> Stream:
        """GET /v1/orders/{order_id}/events"""
        order_id = call.path["order_id"]
        pieces = self._pieces(call, order_id)
        # The first piece is made before anything is sent, so that a refusal is still a proper answer.
        first = await anext(pieces)
        return Stream(first, pieces, media_type=sse.MEDIA_TYPE)

    async def _pieces(self, call: Call, order_id: str) -> AsyncGenerator[bytes, None]:
        with self._feed.follow(order_id) as subscription:
            await self._feed.live()
            order = await self._reader.read(call.tenant_id, order_id)
            require_order(call, order)
            seen = order.version
            yield sse.RETRY + _event(order_id, order.version, order.state)
            if order.state in FINAL_STATES:
                return
            while not self._feed.closing:
                version, state = await self._next(call, order_id, subscription)
                if not await call.still_known():
                    # Its key was revoked or its token has expired: it may come again with another.
                    return
                if version <= seen:
                    yield sse.ALIVE
                    continue
                seen = version
                yield _event(order_id, version, state)
                if state in FINAL_STATES:
                    return

    async def _next(self, call: Call, order_id: str, subscription: Subscription) -> tuple[int, int]:
        """The next news; after a silent heartbeat's time the order's state is read, should an event be missed.
        (0, 0) means that there is nothing new."""
        news = await subscription.next(self.settings.stream_heartbeat_s)
        if news is not None:
            return news
        try:
            order = await self._reader.read(call.tenant_id, order_id)
        except DomainError:
            # The service may be away for a while; the stream outlives that.
            return 0, 0
        return order.version, order.state

    def routes(self) -> tuple[Route, ...]:
        """The table."""
        return (
            Route(
                "GET",
                "/v1/orders/{order_id}/events",
                self.follow,
                allow("storefront", "merchant", "reader"),
                "orders",
                "Follow an order",
                "Server-Sent Events: one `order` event with the present state, then one per change; the event's "
                "id is the order's version. Comments keep the connection alive. The stream ends after a final state.",
                name="followOrder",
                answer=OrderChange,
                answer_media_type=EVENT_STREAM_MEDIA_TYPE,
                answer_example=examples.EVENTS,
                reasons=("ORDER_NOT_FOUND", "OVERLOADED"),
                scopes=MERCHANTS,
            ),
        )


def _event(order_id: str, version: int, state: int) -> bytes:
    data = encode(OrderChange(order_id, version, STATE.word(state), state in FINAL_STATES))
    SENT["order"].inc()
    return sse.event(b"order", data, b"%d" % version)
