"""Wires webhooks together: `python -m services.webhooks [setup | ...]`."""

import functools
from datetime import timedelta

from sampan.webhooks.v1 import delivery_service_pb2_grpc as delivery_grpc
from sampan.webhooks.v1 import endpoint_service_pb2_grpc as endpoint_grpc

from services.chassis import assembly, cli, migrations
from services.chassis.consumer import Consumer, Independent
from services.chassis.lifecycle import Runtime, allow_open_files
from services.chassis.pg import Database
from services.chassis.rpc.server import make_server
from services.webhooks import events, rpc
from services.webhooks.clients import Receivers
from services.webhooks.commands.deliveries import Deliveries
from services.webhooks.commands.endpoints import Endpoints
from services.webhooks.commands.sending import Sending
from services.webhooks.config import WebhooksSettings
from services.webhooks.domain.deliveries import RetryPolicy
from services.webhooks.sealing import Vault
from services.webhooks.workers import keeping
from services.webhooks.workers.sending import Sender

NAME = "webhooks"


async def setup(settings: WebhooksSettings) -> None:
    """Brings the database to the newest schema; the topics are those of others."""
    await migrations.upgrade(settings.dsn, NAME)


async def serve(settings: WebhooksSettings) -> None:
    """Runs until told to stop."""
    async with Runtime(settings, name=NAME) as runtime:
        database = await assembly.attach_database(runtime, settings, NAME)
        vault = Vault(settings.secret_keys)
        # Attempts under way, and as many connections that are kept for the next.
        allow_open_files(2 * settings.endpoints_at_once_max * (settings.endpoint_in_flight_max + 1))
        receivers = Receivers(attempt_s_max=settings.attempt_s_max, insecure=settings.insecure_targets)
        runtime.on_close("receivers", receivers.close)
        sending = Sending(
            database,
            vault,
            policy=RetryPolicy(settings.retry_first_s, settings.retry_for_h * 3_600),
            attempt_s_max=settings.attempt_s_max,
            disable_after=timedelta(hours=settings.disable_after_h),
        )
        sender = Sender(
            sending,
            receivers,
            endpoints_max=settings.endpoints_at_once_max,
            in_flight_max=settings.endpoint_in_flight_max,
            poll_s=settings.poll_s,
        )
        runtime.spawn(sender.run(), "sender", stop=sender.stop)
        telling = events.Telling(after_made=sender.wake)
        consumer = Consumer(
            group=events.GROUP,
            topics=events.TOPICS,
            handler=Independent(telling.handle),
            db=database,
            bootstrap=settings.kafka_bootstrap,
            after_commit=telling.after_commit,
            snapshot_topics=[events.PRODUCTS_TOPIC],
            batch_records_max=settings.consumer_batch_records_max,
            linger_s=settings.consumer_linger_ms / 1_000,
        )
        runtime.spawn(consumer.run(), "event consumer", stop=consumer.stop)

        endpoints = Endpoints(database, vault, insecure=settings.insecure_targets, after_commit=sender.wake)
        deliveries = Deliveries(database, after_commit=sender.wake)
        runtime.repeat(
            functools.partial(keeping.measure, deliveries), "measuring", pause_s=keeping.MEASURE_PERIOD_S
        )
        _tidy(runtime, settings, database, endpoints, deliveries)

        server = make_server(settings, max_concurrent=settings.concurrent_calls_max)
        endpoint_grpc.add_EndpointServiceServicer_to_server(rpc.EndpointService(endpoints), server)
        delivery_grpc.add_DeliveryServiceServicer_to_server(rpc.DeliveryService(deliveries), server)
        parked = PARKED.attach(server, database, after_replay=sender.wake)
        await runtime.serve(server, services=(*rpc.SERVICES, parked))


def _tidy(
    runtime: Runtime,
    settings: WebhooksSettings,
    database: Database,
    endpoints: Endpoints,
    deliveries: Deliveries,
) -> None:
    works = {
        "sealing anew": functools.partial(keeping.seal_anew, endpoints),
        "forgetting deliveries": functools.partial(
            keeping.forget_deliveries, deliveries, older_than_s=settings.deliveries_kept_days * 86_400
        ),
        "forgetting request ids": functools.partial(
            keeping.forget_requests, database, older_than_s=settings.request_key_ttl_h * 3_600
        ),
    }
    for name, work in works.items():
        runtime.repeat(work, name, pause_s=keeping.SWEEP_PERIOD_S, full=keeping.SWEEP_ROWS_MAX)


PARKED = assembly.ParkedEvents(NAME, lambda _: {events.GROUP: Independent(events.Telling().handle)})
COMMANDS = cli.Service(
    name=NAME,
    settings=WebhooksSettings,
    serve=serve,
    setup=setup,
    list_parked=PARKED.list,
    replay_parked=PARKED.replay,
    discard_parked=PARKED.discard,
)

if __name__ == "__main__":
    cli.run(COMMANDS)
