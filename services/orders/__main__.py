"""Wires orders together: `python -m services.orders [setup | ...]`."""

import functools

from sampan.orders.v1 import order_service_pb2_grpc as pb_grpc
from sampan.orders.v1 import payment_service_pb2_grpc as payment_grpc

from services.chassis import assembly, cli
from services.chassis.batcher import MicroBatcher
from services.chassis.consumer import Consumer
from services.chassis.lifecycle import Runtime
from services.chassis.outbox import attach_relay
from services.chassis.pg import ONE_PLAN, Database
from services.chassis.rpc.server import make_server
from services.orders import events, published, rpc, workers
from services.orders.commands.backlog import SAMPLE_PERIOD_S, Backlog
from services.orders.commands.desk import Desk
from services.orders.commands.notifying import Source, Sources
from services.orders.commands.paying import PaymentPolicy
from services.orders.commands.placing import PlacementPolicy, place_orders
from services.orders.commands.waiting import Waiting
from services.orders.config import OrdersSettings
from services.orders.payments import notifications
from services.orders.payments.external import ExternalMoney
from services.orders.payments.port import Providers
from services.orders.payments.sandbox import SandboxProvider
from services.orders.store.waiting import Patience

SERVICE = "orders"


async def setup(settings: OrdersSettings) -> None:
    """Brings the database to the newest schema and creates the topics."""
    await assembly.set_up(settings, SERVICE, published.topics)


async def serve(settings: OrdersSettings) -> None:
    """Runs until told to stop."""
    async with Runtime(settings, name=SERVICE) as runtime:
        db = await assembly.attach_database(runtime, settings, SERVICE)
        relay = attach_relay(runtime, settings, SERVICE, source=published.SOURCE)

        desk = Desk(db, relay.wake)
        sandbox = SandboxProvider(db)
        external = ExternalMoney()
        providers: Providers = {sandbox.name: sandbox, external.name: external}
        payments = PaymentPolicy(
            providers, settings.payment_provider, settings.payment_call_s_max, settings.payment_check_delay_s
        )
        _start_consumers(runtime, settings, desk)
        placement = PlacementPolicy(
            settings.payment_window_default_s, settings.hold_grace_s, settings.prepaid_hold_s
        )
        patience = Patience(
            settings.answer_wait_s, settings.answer_wait_s_max, settings.answer_attempts_alarm
        )
        _start_workers(runtime, settings, desk, payments, sandbox, Waiting(desk, placement, patience))
        placing_db = await _attach_placing_database(runtime, settings)
        placer: rpc.Placer = MicroBatcher(
            "orders.place",
            functools.partial(place_orders, desk, placing_db, placement),
            items_max=settings.place_batch_items_max,
            size_max=settings.place_batch_lines_max,
            delay_ms_max=settings.place_delay_ms_max,
            queue_items_max=settings.place_queue_items_max,
            size_of=lambda wanted: len(wanted.cart.lines),
            in_flight_max=settings.place_in_flight_max,
            wait_s_max=settings.place_wait_s_max,
        )
        runtime.on_close("placements", placer.close)

        backlog = Backlog(desk, age_s_max=settings.undecided_age_s_max, ignored=settings.undecided_ignored)
        runtime.repeat(backlog.sample, "backlog", pause_s=SAMPLE_PERIOD_S)

        # A provider with words of its own gets its own way of reading them here.
        sources: Sources = {
            name: Source(secrets, notifications.read)
            for name, secrets in settings.payment_notification_secrets.items()
        }
        server = make_server(settings, max_concurrent=settings.concurrent_calls_max)
        service = rpc.OrderService(desk, placer, payments, backlog)
        pb_grpc.add_OrderServiceServicer_to_server(service, server)
        payment_grpc.add_PaymentServiceServicer_to_server(rpc.PaymentService(desk, sources), server)
        parked = PARKED.attach(server, db, after_replay=desk.wake)
        await runtime.serve(server, services=(*rpc.SERVICES, parked))


async def _attach_placing_database(runtime: Runtime, settings: OrdersSettings) -> Database:
    """Connections of their own for placements: one statement, planned once."""
    database = await Database.open(
        settings.dsn,
        pool_size_max=settings.place_in_flight_max,
        statement_timeout_ms=settings.statement_timeout_ms,
        name="orders-placing",
        session=ONE_PLAN,
    )
    runtime.on_close("placing database", database.close)
    return database


def _start_consumers(runtime: Runtime, settings: OrdersSettings, desk: Desk) -> None:
    for group, topic in (
        (events.CATALOG_GROUP, events.PRODUCTS_TOPIC),
        (events.FULFILMENTS_GROUP, events.FULFILMENTS_TOPIC),
    ):
        consumer = Consumer(
            group=group,
            topics=[topic],
            handler=events.HANDLERS[group],
            db=desk.db,
            bootstrap=settings.kafka_bootstrap,
            after_commit=desk.wake,
            snapshot_topics=[events.PRODUCTS_TOPIC],
            catch_up_types=events.CATCH_UP_TYPES,
            batch_records_max=settings.consumer_batch_records_max,
            linger_s=settings.consumer_linger_ms / 1000,
        )
        runtime.spawn(consumer.run(), f"consumer {group}", stop=consumer.stop)


def _start_workers(
    runtime: Runtime,
    settings: OrdersSettings,
    desk: Desk,
    payments: PaymentPolicy,
    sandbox: SandboxProvider,
    waiting: Waiting,
) -> None:
    limit, pause_s = settings.worker_batch_max, settings.worker_pause_s
    works = {
        "payment deadlines": functools.partial(workers.expire_unpaid, desk, limit=limit),
        "sandbox notifications": functools.partial(workers.deliver_notifications, desk, sandbox, limit=limit),
    } | {
        f"payments {kind}": functools.partial(workers.work_off, desk, payments, kind, limit=limit)
        for kind in workers.PAYMENT_KINDS
    }
    for name, work in works.items():
        runtime.repeat(work, name, pause_s=pause_s, full=limit)
    runtime.repeat(waiting.look, "asking again", pause_s=workers.ASK_PERIOD_S, full=workers.ASK_WITHOUT_END)
    rows = workers.FORGET_ROWS_MAX
    forgetting = {
        "forgetting request ids": functools.partial(
            workers.forget_requests, desk, older_than_s=settings.request_key_ttl_h * 3600, limit=rows
        ),
        "forgetting notifications": functools.partial(workers.forget_notifications, desk, limit=rows),
    }
    for name, work in forgetting.items():
        runtime.repeat(work, name, pause_s=workers.FORGET_PERIOD_S, full=rows)
    measuring = {
        "measuring": (workers.sample, workers.SAMPLE_PERIOD_S),
        "counting open orders": (workers.count_open, workers.COUNT_PERIOD_S),
    }
    for name, (look, period_s) in measuring.items():
        runtime.repeat(functools.partial(look, desk), name, pause_s=period_s)


PARKED = assembly.ParkedEvents(SERVICE, lambda _: events.HANDLERS)
COMMANDS = cli.Service(
    name=SERVICE,
    settings=OrdersSettings,
    serve=serve,
    setup=setup,
    topics=published.topics,
    list_parked=PARKED.list,
    replay_parked=PARKED.replay,
    discard_parked=PARKED.discard,
)

if __name__ == "__main__":
    cli.run(COMMANDS)
