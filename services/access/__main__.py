"""Wires access together: `python -m services.access [setup | ...]`."""

import functools

from sampan.access.v1 import api_key_service_pb2_grpc as key_grpc
from sampan.access.v1 import rate_limit_service_pb2_grpc as limit_grpc
from sampan.access.v1 import tenant_service_pb2_grpc as tenant_grpc

from services.access import events, rpc, workers
from services.access.commands import Access
from services.access.config import AccessSettings
from services.chassis import assembly, cli
from services.chassis.lifecycle import Runtime
from services.chassis.outbox import attach_relay
from services.chassis.rpc.server import make_server
from services.chassis.snapshots import Snapshots


async def setup(settings: AccessSettings) -> None:
    """Brings the database to the newest schema and creates the topics."""
    await assembly.set_up(settings, "access", events.topics)


async def serve(settings: AccessSettings) -> None:
    """Runs until told to stop."""
    async with Runtime(settings, name="access") as runtime:
        database = await assembly.attach_database(runtime, settings, "access")

        relay = attach_relay(
            runtime, settings, "access", source=events.SOURCE, snapshot_topics=events.SNAPSHOTS
        )

        access = Access(
            database,
            tenant_snapshot=events.tenant_snapshot,
            key_snapshot=events.key_snapshot,
            after_commit=relay.wake,
        )
        runtime.repeat(
            functools.partial(
                workers.forget_requests, database, older_than_s=settings.request_key_ttl_h * 3600
            ),
            "request key sweep",
            pause_s=workers.SWEEP_PERIOD_S,
            full=workers.SWEEP_ROWS_MAX,
        )
        runtime.repeat(
            functools.partial(workers.forget_use, access),
            "rate limit sweep",
            pause_s=workers.USE_SWEEP_PERIOD_S,
            full=workers.SWEEP_ROWS_MAX,
        )

        server = make_server(settings, max_concurrent=settings.concurrent_calls_max)
        tenant_grpc.add_TenantServiceServicer_to_server(rpc.TenantService(access), server)
        key_grpc.add_ApiKeyServiceServicer_to_server(rpc.ApiKeyService(access), server)
        limit_grpc.add_RateLimitServiceServicer_to_server(rpc.RateLimitService(access), server)
        await runtime.serve(server, services=rpc.SERVICES)


COMMANDS = cli.Service(
    name="access",
    settings=AccessSettings,
    serve=serve,
    setup=setup,
    topics=events.topics,
    publish_snapshots=Snapshots("access", events.SNAPSHOTS).publish,
)

if __name__ == "__main__":
    cli.run(COMMANDS)
