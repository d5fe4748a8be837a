"""The stream of some SKUs' availability (Server-Sent Events): how each stands, then each again when it has changed."""

from collections.abc import AsyncGenerator, Sequence

from services.gateway import params, sse
from services.gateway.availability_feed import AvailabilityFeed
from services.gateway.call import Call, Stream
from services.gateway.clients import Clients
from services.gateway.config import GatewaySettings
from services.gateway.errors import Problem, at_parameter
from services.gateway.readmodel.availability import AvailabilityModel
from services.gateway.roles import allow
from services.gateway.routes import examples
from services.gateway.routes.availability import IsCaughtUp
from services.gateway.routes.resource import Resource, encode
from services.gateway.routes.route import EVENT_STREAM_MEDIA_TYPE, Route
from services.gateway.schemas.warehouse import Availability
from services.gateway.streams import SENT, Streams

SKUS_MAX = 200


class AvailabilityEvents(Resource):
    """Streams; bounded in number in all and by caller."""

    def __init__(
        self,
        clients: Clients,
        settings: GatewaySettings,
        model: AvailabilityModel,
        feed: AvailabilityFeed,
        streams: Streams,
        is_caught_up: IsCaughtUp,
    ) -> None:
        super().__init__(clients, settings)
        self._model = model
        self._feed = feed
        self._streams = streams
        self._is_caught_up = is_caught_up

    async def follow(self, call: Call) -> Stream:
        """GET /v1/availability/events"""
        region_code: str = call.query["region_code"]
        if region_code and not params.is_region(region_code):
            raise at_parameter("REGION_UNKNOWN", "region_code", "not an ISO 3166-1 alpha-2 country")
        if not self._is_caught_up():
            raise Problem("STARTING", "availability is being rebuilt", retry_after_s=1)
        pieces = self._pieces(call, call.query["skus"], region_code)
        # The first piece is made before anything is sent, so that a refusal is still a proper answer.
        first = await anext(pieces)
        return Stream(first, pieces, media_type=sse.MEDIA_TYPE)

    async def _pieces(self, call: Call, skus: Sequence[str], region_code: str) -> AsyncGenerator[bytes, None]:
        told: dict[str, Availability] = {}
        with (
            self._streams.open("availability", call.caller),
            self._feed.watch(call.tenant_id, skus) as watch,
        ):
            yield sse.RETRY
            while True:
                changed = await watch.next(self.settings.stream_heartbeat_s)
                if self._feed.closing or not await call.still_known():
                    return
                events = []
                for sku in changed:
                    now = self._model.get(call.tenant_id, sku, region_code)
                    if told.get(sku) != now:
                        told[sku] = now
                        events.append(sse.told(b"availability", encode(now)))
                SENT["availability"].inc(len(events))
                # What changes while a slow client still reads this is told as it stands then.
                yield b"".join(events) or sse.ALIVE

    def routes(self) -> tuple[Route, ...]:
        """The table."""
        return (
            Route(
                "GET",
                "/v1/availability/events",
                self.follow,
                allow("storefront", "merchant", "warehouse", "reader"),
                "availability",
                "Follow the availability of some SKUs",
                "Server-Sent Events: one `availability` event for each SKU as it stands, then one whenever it has "
                "changed, always with the newest state; who reads slowly is told fewer of those between. The stream "
                "has no ids: it begins anew with how everything stands. Comments keep the connection alive.",
                name="followAvailability",
                query=(
                    params.several(
                        "skus",
                        "The SKUs.",
                        items_max=SKUS_MAX,
                        chars_max=params.SKU_CHARS_MAX,
                        required=True,
                        example="WIG-18,ICE-200",
                    ),
                    params.text(
                        "region_code", "Destination: only warehouses that serve it count.", chars_max=64
                    ),
                ),
                answer=Availability,
                answer_media_type=EVENT_STREAM_MEDIA_TYPE,
                answer_example=examples.AVAILABILITY_EVENTS,
                reasons=("FIELD_REQUIRED", "REGION_UNKNOWN", "TOO_MANY_ITEMS", "STARTING"),
            ),
        )
