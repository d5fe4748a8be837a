"""Wires the warehouse together: `python -m services.warehouse [setup | ...]`."""

import functools
from collections.abc import Mapping

from sampan.warehouse.v1 import (
    parcel_service_pb2_grpc,
    reservation_service_pb2_grpc,
    stock_service_pb2_grpc,
    warehouse_service_pb2_grpc,
)

from services.chassis import assembly, cli
from services.chassis.batcher import MicroBatcher
from services.chassis.consumer import Consumer, Handler
from services.chassis.crash import crash_point
from services.chassis.lifecycle import Runtime
from services.chassis.outbox import attach_relay
from services.chassis.pg import Database
from services.chassis.rpc.server import make_server
from services.chassis.snapshots import Snapshots
from services.warehouse import events, workers
from services.warehouse.commands.availability import Availability
from services.warehouse.commands.holds import Holds
from services.warehouse.commands.news import News
from services.warehouse.commands.parcels import Parcels
from services.warehouse.commands.stock import Stock
from services.warehouse.commands.warehouses import Warehouses
from services.warehouse.config import WarehouseSettings
from services.warehouse.domain.holds import Command, Fulfilment
from services.warehouse.rpc import holds as holds_rpc
from services.warehouse.rpc import parcels as parcels_rpc
from services.warehouse.rpc import stock as stock_rpc
from services.warehouse.rpc import warehouses as warehouses_rpc

NAME = "warehouse"
SERVICES = tuple(
    f"sampan.warehouse.v1.{service}"
    for service in ("WarehouseService", "StockService", "ReservationService", "ParcelService")
)


async def setup(settings: WarehouseSettings) -> None:
    """Brings the database to the newest schema and creates the topics."""
    await assembly.set_up(settings, NAME, events.topics)


async def serve(settings: WarehouseSettings) -> None:
    """Runs until told to stop."""
    async with Runtime(settings, name=NAME) as runtime:
        database = await assembly.attach_database(runtime, settings, NAME)
        relay = attach_relay(runtime, settings, NAME, source=events.SOURCE, snapshot_topics=events.SNAPSHOTS)

        def after_batch() -> None:
            crash_point("warehouse.decide.after_commit")
            relay.wake()

        news = News(events.messages_of, events.warehouse_message, relay.wake)
        holds, stock = Holds(database, news), Stock(database, news)
        batcher: MicroBatcher[Command, Fulfilment] = MicroBatcher(
            "warehouse.holds",
            holds.decide_batch,
            items_max=settings.hold_batch_items_max,
            size_max=holds_rpc.BATCH_BYTES_MAX,
            delay_ms_max=settings.hold_delay_ms_max,
            queue_items_max=settings.hold_queue_items_max,
            size_of=holds_rpc.size_of,
            in_flight_max=settings.hold_in_flight_max,
            wait_s_max=settings.hold_wait_s_max,
        )
        runtime.on_close("hold batcher", batcher.close)
        orders = Consumer(
            group=events.GROUP,
            topics=[events.ORDERS_TOPIC],
            handler=events.handler(holds.apply),
            db=database,
            bootstrap=settings.kafka_bootstrap,
            after_commit=after_batch,
            catch_up_types=events.CATCH_UP_TYPES,
            batch_records_max=settings.consumer_batch_records_max,
            linger_s=settings.consumer_linger_ms / 1000,
        )
        runtime.spawn(orders.run(), "order consumer", stop=orders.stop)
        runtime.repeat(
            functools.partial(workers.expire_holds, holds, holds_max=settings.expiry_sweep_holds_max),
            "hold expiry",
            pause_s=settings.expiry_sweep_period_s,
        )
        runtime.repeat(
            functools.partial(
                workers.forget_requests, database, older_than_s=settings.request_key_ttl_h * 3600
            ),
            "request key sweep",
            pause_s=workers.FORGET_PERIOD_S,
            full=workers.FORGET_ROWS_MAX,
        )

        server = make_server(settings, max_concurrent=settings.concurrent_calls_max)
        warehouse_service_pb2_grpc.add_WarehouseServiceServicer_to_server(
            warehouses_rpc.WarehouseService(Warehouses(database, news)), server
        )
        stock_service_pb2_grpc.add_StockServiceServicer_to_server(
            stock_rpc.StockService(stock, Availability(database)), server
        )
        reservation_service_pb2_grpc.add_ReservationServiceServicer_to_server(
            holds_rpc.ReservationService(holds, batcher), server
        )
        parcel_service_pb2_grpc.add_ParcelServiceServicer_to_server(
            parcels_rpc.ParcelService(Parcels(database, news)), server
        )
        parked = PARKED.attach(server, database, after_replay=relay.wake)
        await runtime.serve(server, services=(*SERVICES, parked))


def handlers(database: Database) -> Mapping[str, Handler]:
    """The handler of each consumer group; a serving process sends what comes of it."""
    news = News(events.messages_of, events.warehouse_message, lambda: None)
    return {events.GROUP: events.handler(Holds(database, news).apply)}


PARKED = assembly.ParkedEvents(NAME, handlers)
COMMANDS = cli.Service(
    name=NAME,
    settings=WarehouseSettings,
    serve=serve,
    setup=setup,
    topics=events.topics,
    list_parked=PARKED.list,
    replay_parked=PARKED.replay,
    discard_parked=PARKED.discard,
    publish_snapshots=Snapshots(NAME, events.SNAPSHOTS).publish,
)

if __name__ == "__main__":
    cli.run(COMMANDS)
