"""Puts the parts together: clients, read models, collector, feed and routes into one application."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec

from services.chassis.envelope import Event
from services.chassis.replay import replaying
from services.chassis.snapshot_reader import SnapshotReader
from services.chassis.tls import Watched
from services.gateway.admission import Admission
from services.gateway.app import Edge
from services.gateway.auth import Callers, KeyRing
from services.gateway.availability_feed import AvailabilityFeed
from services.gateway.clients import Clients
from services.gateway.collector import PlacementCollector
from services.gateway.config import GatewaySettings
from services.gateway.cors import Cors, origins_of
from services.gateway.failed_credentials import FailedCredentials
from services.gateway.limits import RateLimits
from services.gateway.limits_exchange import LimitsExchange
from services.gateway.openapi import openapi_document
from services.gateway.order_feed import OrderFeed
from services.gateway.order_reader import OrderReader
from services.gateway.readmodel.availability import AvailabilityModel
from services.gateway.readmodel.keys import KEYS_TOPIC, TENANTS_TOPIC, Keys
from services.gateway.readmodel.lists import ProductPages
from services.gateway.readmodel.products import Products
from services.gateway.readmodel.warehouses import Warehouses as WarehouseModel
from services.gateway.routes.api_keys import ApiKeys
from services.gateway.routes.availability import AvailabilityRoutes
from services.gateway.routes.availability_events import AvailabilityEvents
from services.gateway.routes.imports import Imports
from services.gateway.routes.merchants import Merchants
from services.gateway.routes.meta import Meta
from services.gateway.routes.order_events import OrderEvents
from services.gateway.routes.order_stream import OrderStream
from services.gateway.routes.orders import Orders
from services.gateway.routes.parcels import Parcels
from services.gateway.routes.parked_events import ParkedEvents
from services.gateway.routes.payments import Payments
from services.gateway.routes.products import ProductRoutes
from services.gateway.routes.route import Route
from services.gateway.routes.stock import StockRoutes
from services.gateway.routes.tenants import Tenants
from services.gateway.routes.warehouses import Warehouses
from services.gateway.routes.web import Web
from services.gateway.routes.webhooks import Webhooks
from services.gateway.sold_out import SoldOut
from services.gateway.streams import Streams
from services.gateway.tokens import make_tokens
from services.gateway.web_files import WebFiles

PRODUCTS_TOPIC = "sampan.catalog.products.v1"
AVAILABILITY_TOPIC = "sampan.warehouse.availability.v1"
WAREHOUSES_TOPIC = "sampan.warehouse.warehouses.v1"
ORDERS_TOPIC = "sampan.orders.orders.v1"
READ_BATCH_MAX = 500
# Pauses after a batch that was not full. Without them a busy topic is fetched record by record, which was
# measured as a quarter of the gateway's work; the price is that much delay, at most.
SNAPSHOTS_PAUSE_S = 0.1
FEED_PAUSE_S = 0.005
KEYS_PAUSE_S = 0.05
EXCHANGE_S_MAX = 2.0


class Gateway:
    """All parts of one gateway process; `app` is what a server serves."""

    def __init__(self, settings: GatewaySettings) -> None:
        files = settings.grpc_files
        self.clients = clients = Clients(
            access=settings.access_address,
            catalog=settings.catalog_address,
            orders=settings.orders_address,
            warehouse=settings.warehouse_address,
            webhooks=settings.webhooks_address,
            deadline_s=settings.rpc_deadline_s,
            certificates=None if files is None else Watched("grpc", files, files.channel_credentials),
        )
        self.collector = PlacementCollector(
            lambda request: clients.call(clients.orders.BatchPlaceOrders, request),
            batch_orders_max=settings.place_batch_orders_max,
            batch_lines_max=settings.place_batch_lines_max,
            queue_orders_max=settings.place_queue_orders_max,
            calls_max=settings.place_calls_max,
            place_s_max=settings.rpc_deadline_s,
        )
        self.admission = Admission(
            under_way_min=settings.place_under_way_min,
            under_way_max=settings.place_under_way_max,
            target_s=settings.place_latency_target_s,
        )
        self.products = Products(
            bytes_max=settings.products_bytes_max,
            miss_ttl_s=settings.product_miss_ttl_s,
            batch_get=lambda request: clients.call(clients.products.BatchGetProducts, request),
        )
        self.pages = ProductPages(bytes_max=settings.product_pages_bytes_max)
        self.warehouses = WarehouseModel()
        self.availability = AvailabilityModel(self.warehouses)
        self.sold_out = SoldOut(
            self.availability,
            lambda request: clients.call(clients.stock.BatchGetAvailability, request),
            ttl_s=settings.sold_out_ttl_s,
        )
        self.reader = OrderReader(
            lambda request: clients.call(clients.orders.BatchGetOrders, request),
            lambda request: clients.call(clients.orders.GetOrder, request),
        )
        self.streams = streams = Streams(
            in_all_max=settings.streams_max, of_caller_max=settings.streams_of_caller_max
        )
        self.feed = OrderFeed(streams)
        self.availability_feed = AvailabilityFeed()
        self.snapshots = SnapshotReader(
            topics=(WAREHOUSES_TOPIC, PRODUCTS_TOPIC, AVAILABILITY_TOPIC),
            on_batch=_paced(self.apply_snapshots, SNAPSHOTS_PAUSE_S),
            bootstrap=settings.kafka_bootstrap,
            batch_records_max=READ_BATCH_MAX,
            name="gateway-read-models",
        )
        self.tail = SnapshotReader(
            topics=(ORDERS_TOPIC,),
            on_batch=_paced(self.feed.apply, FEED_PAUSE_S),
            bootstrap=settings.kafka_bootstrap,
            mode="tail",
            batch_records_max=READ_BATCH_MAX,
            name="gateway-order-feed",
            wants=self.feed.wants,
            on_demand=True,
            on_gap=self.feed.lose,
        )
        self.feed.source = self.tail
        self.ring = KeyRing(settings.api_keys)
        self.limits = RateLimits(settings.rate_limits_default)
        self.limits_exchange = LimitsExchange(
            self.limits,
            lambda request: clients.call(clients.rate_limits.ExchangeUse, request, deadline_s=EXCHANGE_S_MAX),
            period_s=settings.rate_limits_exchange_s,
        )
        self.keys = Keys(self.ring, self.limits)
        # A reader of its own: a revocation must not wait behind a million products.
        self.access = SnapshotReader(
            topics=(TENANTS_TOPIC, KEYS_TOPIC),
            on_batch=_paced(self.keys.apply, KEYS_PAUSE_S),
            bootstrap=settings.kafka_bootstrap,
            batch_records_max=READ_BATCH_MAX,
            name="gateway-keys",
        )
        is_caught_up = self.snapshots.caught_up.is_set
        meta = Meta(self.condition)
        self.routes: tuple[Route, ...] = (
            *Merchants(clients, settings).routes(),
            *ProductRoutes(clients, settings, self.products, self.pages).routes(),
            *AvailabilityRoutes(clients, settings, self.availability, is_caught_up).routes(),
            *AvailabilityEvents(
                clients, settings, self.availability, self.availability_feed, streams, is_caught_up
            ).routes(),
            *Orders(
                clients,
                settings,
                self.collector,
                self.feed,
                self.sold_out,
                self.admission,
                self.reader,
            ).routes(),
            *OrderEvents(clients, settings, self.feed, self.reader).routes(),
            *OrderStream(
                clients,
                settings,
                self.feed,
                streams,
                partial(replaying, ORDERS_TOPIC, bootstrap=settings.kafka_bootstrap),
            ).routes(),
            *Payments(clients, settings).routes(),
            *Imports(clients, settings).routes(),
            *Warehouses(clients, settings).routes(),
            *StockRoutes(clients, settings).routes(),
            *Parcels(clients, settings).routes(),
            *ApiKeys(clients, settings).routes(),
            *Tenants(clients, settings).routes(),
            *ParkedEvents(clients, settings).routes(),
            *Webhooks(clients, settings).routes(),
            *meta.routes(),
            *Web(WebFiles(settings.web_dir)).routes(),
        )
        meta.openapi = msgspec.json.encode(openapi_document(self.routes))
        callers = Callers(
            self.ring, is_caught_up=self.access.caught_up.is_set, tokens=make_tokens(settings.oidc())
        )
        origins = origins_of(settings.cors_origins)
        self.app = Edge(
            self.routes,
            callers,
            self.limits,
            FailedCredentials(settings.client_addresses(), per_minute=settings.failed_credentials_per_minute),
            requests_max=settings.requests_max,
            cors=Cors(origins) if origins else None,
            compress_bytes_min=settings.compress_bytes_min,
        )

    def condition(self) -> dict[str, str]:
        """What keeps the gateway from being ready, by part."""
        parts = {
            "keys": self.access.caught_up,
            "read models": self.snapshots.caught_up,
            "order feed": self.tail.caught_up,
        }
        return {name: "ok" if event.is_set() else "catching up" for name, event in parts.items()}

    def end_streams(self) -> None:
        """Ends all streams and waits, which never end by themselves."""
        self.feed.close()
        self.availability_feed.close()

    async def close(self) -> None:
        """Carries the last orders over and closes the channels."""
        await self.collector.close()
        await self.reader.close()
        await self.sold_out.close()
        await self.clients.close()

    def apply_snapshots(self, events: Sequence[Event]) -> None:
        """Feeds the read models with snapshots of any of their topics."""
        by_topic: dict[str, list[Event]] = {WAREHOUSES_TOPIC: [], PRODUCTS_TOPIC: [], AVAILABILITY_TOPIC: []}
        for event in events:
            by_topic[event.topic].append(event)
        self.warehouses.apply(by_topic[WAREHOUSES_TOPIC])
        self.products.apply(by_topic[PRODUCTS_TOPIC])
        for tenant_id in {event.key.partition("/")[0] for event in by_topic[PRODUCTS_TOPIC]}:
            self.pages.changed(tenant_id)
        self.availability.apply(by_topic[AVAILABILITY_TOPIC])
        self.availability_feed.stock_changed(by_topic[AVAILABILITY_TOPIC])
        self.availability_feed.warehouses_changed(by_topic[WAREHOUSES_TOPIC])


def _paced(
    apply: Callable[[Sequence[Event]], None], pause_s: float
) -> Callable[[Sequence[Event]], Awaitable[None]]:
    async def apply_and_pause(events: Sequence[Event]) -> None:
        apply(events)
        # After a full one those who were told something get their turn.
        await asyncio.sleep(pause_s if len(events) < READ_BATCH_MAX else 0)

    return apply_and_pause
