"""Wires the catalog together: `python -m services.catalog [setup | ...]`."""

import functools

from sampan.catalog.v1 import merchant_service_pb2_grpc as merchant_grpc
from sampan.catalog.v1 import product_service_pb2_grpc as product_grpc

from services.catalog import events, rpc, workers
from services.catalog.commands import Catalog
from services.catalog.config import CatalogSettings
from services.chassis import assembly, cli
from services.chassis.lifecycle import Runtime
from services.chassis.outbox import attach_relay
from services.chassis.rpc.server import make_server
from services.chassis.snapshots import Snapshots


async def setup(settings: CatalogSettings) -> None:
    """Brings the database to the newest schema and creates the topics."""
    await assembly.set_up(settings, "catalog", events.topics)


async def serve(settings: CatalogSettings) -> None:
    """Runs until told to stop."""
    async with Runtime(settings, name="catalog") as runtime:
        database = await assembly.attach_database(runtime, settings, "catalog")

        relay = attach_relay(
            runtime, settings, "catalog", source=events.SOURCE, snapshot_topics=events.SNAPSHOTS
        )

        catalog = Catalog(database, snapshots=events.product_snapshots, after_commit=relay.wake)
        runtime.repeat(
            functools.partial(
                workers.forget_requests, database, older_than_s=settings.request_key_ttl_h * 3600
            ),
            "request key sweep",
            pause_s=workers.SWEEP_PERIOD_S,
            full=workers.SWEEP_ROWS_MAX,
        )
        runtime.repeat(
            workers.WordFiller(catalog).fill,
            "words",
            pause_s=workers.FILL_PERIOD_S,
            full=workers.FILL_ROWS_MAX,
        )

        server = make_server(settings, max_concurrent=settings.concurrent_calls_max)
        product_grpc.add_ProductServiceServicer_to_server(
            rpc.ProductService(catalog, import_streams_max=settings.import_streams_max), server
        )
        merchant_grpc.add_MerchantServiceServicer_to_server(rpc.MerchantService(catalog), server)
        await runtime.serve(server, services=rpc.SERVICES)


COMMANDS = cli.Service(
    name="catalog",
    settings=CatalogSettings,
    serve=serve,
    setup=setup,
    topics=events.topics,
    publish_snapshots=Snapshots("catalog", events.SNAPSHOTS).publish,
)

if __name__ == "__main__":
    cli.run(COMMANDS)
