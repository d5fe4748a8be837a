"""An orders server on a free port over a real database, and what a client, the warehouse and the catalog do to it."""

import base64
import contextlib
import functools
import itertools
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from sampan.catalog.v1 import product_service_pb2 as catalog_pb
from sampan.orders.v1 import events_pb2
from sampan.orders.v1 import order_service_pb2 as pb
from sampan.orders.v1 import order_service_pb2_grpc as pb_grpc
from sampan.orders.v1 import payment_service_pb2_grpc as payment_grpc
from sampan.warehouse.v1 import events_pb2 as warehouse_events

from services.chassis.batcher import MicroBatcher
from services.chassis.errors import DomainError
from services.chassis.ids import uuid7
from services.chassis.pg import ONE_PLAN, Database
from services.chassis.rpc.channel import make_channel
from services.chassis.rpc.server import make_server
from services.chassis.rpc.status import error_of
from services.orders import events, rpc, workers
from services.orders.commands.backlog import Backlog
from services.orders.commands.desk import Desk
from services.orders.commands.notifying import Source
from services.orders.commands.paying import PaymentPolicy
from services.orders.commands.placing import PlacementPolicy, place_orders
from services.orders.config import OrdersSettings
from services.orders.payments import notifications
from services.orders.payments.external import ExternalMoney
from services.orders.payments.sandbox import SandboxProvider
from tests.integration.orders.messages import (
    MERCHANT,
    TENANT,
    demonstration,
    event_of,
    request_of,
    snapshot_event,
)

CALL_S_MAX = 0.3
UNDECIDED_AGE_S_MAX = 60.0
UNDECIDED_IGNORED = 1
NEW_SECRET, OLD_SECRET = (f"whsec_{base64.b64encode(bytes([number] * 32)).decode()}" for number in (1, 2))
"""What the sandbox signs its notifications with, while the older is replaced; `external` may notify, too."""

_numbers = itertools.count(1)


class Running(NamedTuple):
    """A stub, and the parts below the server for a look behind it."""

    stub: Any
    desk: Desk
    sandbox: SandboxProvider
    payments: PaymentPolicy
    backlog: Backlog
    door: Any
    """The stub of what providers call."""

    # As a storefront.

    async def place(self, *requests: pb.PlaceOrderRequest) -> list[pb.PlaceOrderResult]:
        """Places a batch."""
        reply = await self.stub.BatchPlaceOrders(pb.BatchPlaceOrdersRequest(requests=requests))
        return list(reply.results)

    async def placed(self, **changed: Any) -> pb.Order:
        """Places one order that is expected to be accepted."""
        (result,) = await self.place(request_of(**changed))
        assert result.HasField("order"), result
        return result.order

    async def get(self, order: pb.Order, *, tenant_id: str = TENANT) -> pb.Order:
        """The order as it is now."""
        found: pb.Order = await self.stub.GetOrder(
            pb.GetOrderRequest(tenant_id=tenant_id, order_id=order.order_id)
        )
        return found

    async def pay(self, order: pb.Order, token: str, *, request_id: str = "") -> pb.Order:
        """Pays."""
        paid: pb.Order = await self.stub.PayOrder(
            pb.PayOrderRequest(
                tenant_id=TENANT,
                order_id=order.order_id,
                request_id=request_id or f"pay {next(_numbers)}",
                payment_token=token,
            )
        )
        return paid

    async def cancel(
        self, order: pb.Order, *, reason: str = "changed my mind", etag: str = "", request_id: str = ""
    ) -> pb.Order:
        """Cancels."""
        cancelled: pb.Order = await self.stub.CancelOrder(
            pb.CancelOrderRequest(
                tenant_id=TENANT,
                order_id=order.order_id,
                request_id=request_id or f"cancel {next(_numbers)}",
                reason=reason,
                etag=etag,
            )
        )
        return cancelled

    async def history(self, order: pb.Order) -> list[tuple[int, str, str]]:
        """(version, state after it, cause) of each transition; checked for being without gaps."""
        history = await self.stub.GetOrderHistory(
            pb.GetOrderHistoryRequest(tenant_id=TENANT, order_id=order.order_id)
        )
        entries = [(t.version, state_name(t.to_state), t.cause) for t in history.transitions]
        assert [version for version, _, _ in entries] == list(range(1, len(entries) + 1))
        return entries

    # As the catalog and the warehouse.

    async def offer(self, *products: catalog_pb.Product, tenant_id: str = TENANT) -> None:
        """Applies product snapshots in one batch."""
        batch = [snapshot_event(product, tenant_id=tenant_id) for product in products]
        await self.desk.db.transact(lambda connection: events.handle_products(connection, batch))

    async def tell(self, *messages: Message) -> None:
        """Applies fulfilment events in one batch."""
        batch = [event_of(message) for message in messages]
        await self.desk.db.transact(lambda connection: events.handle_fulfilments(connection, batch))

    async def reserved(self, order: pb.Order) -> pb.Order:
        """The warehouse holds the order."""
        await self.tell(
            warehouse_events.StockReserved(tenant_id=TENANT, order_id=order.order_id, sourcing="in-country")
        )
        return await self.get(order)

    async def confirmed(self, **changed: Any) -> pb.Order:
        """A prepaid order that is reserved and so confirmed."""
        return await self.reserved(await self.placed(payment_terms=pb.PAYMENT_TERMS_PREPAID, **changed))

    async def awaiting_payment(self, **changed: Any) -> pb.Order:
        """A pay-later order that is reserved."""
        return await self.reserved(await self.placed(payment_terms=pb.PAYMENT_TERMS_PAY_LATER, **changed))

    async def opened(self, order: pb.Order, count: int = 1) -> list[str]:
        """The warehouse opens parcels; their ids."""
        parcel_ids = [str(uuid7()) for _ in range(count)]
        await self.tell(
            warehouse_events.ParcelsAllocated(
                tenant_id=TENANT,
                order_id=order.order_id,
                parcels=[
                    warehouse_events.AllocatedParcel(parcel_id=parcel_id, warehouse_id=f"mad-{number}")
                    for number, parcel_id in enumerate(parcel_ids)
                ],
            )
        )
        return parcel_ids

    # Time and workers.

    async def pass_deadline(self, order: pb.Order) -> None:
        """Moves the end of the payment window into the past."""
        async with self.desk.db.connection() as connection:
            await connection.execute(
                "UPDATE orders SET payment_expire_time = now() - interval '1 second' WHERE order_id = $1",
                UUID(order.order_id),
            )
        await self.make_due()

    async def make_due(self) -> None:
        """Makes every timer and every notification due now."""
        async with self.desk.db.connection() as connection:
            await connection.execute("UPDATE timers SET due_time = now()")
            await connection.execute("UPDATE sandbox_notification SET due_time = now()")

    async def work(self) -> None:
        """Everything that is due, once."""
        await workers.deliver_notifications(self.desk, self.sandbox, limit=100)
        for kind in workers.PAYMENT_KINDS:
            await workers.work_off(self.desk, self.payments, kind, limit=100)
        await workers.expire_unpaid(self.desk, limit=100)

    # Behind the server.

    async def outbox(self, order: pb.Order | None = None) -> list[tuple[str, Message]]:
        """(type, message) of the events that wait to be sent, oldest first; checked against their headers."""
        async with self.desk.db.connection() as connection:
            rows = await connection.fetch("SELECT * FROM outbox ORDER BY id")
        told = []
        for row in rows:
            name = row["type"].removeprefix("sampan.orders.v1.")
            message = getattr(events_pb2, name).FromString(row["payload"])
            head = events_pb2.OrderEventHead.FromString(row["payload"])
            assert row["key"] == row["aggregate_id"] == head.order_id
            assert row["version"] == head.version
            assert head.tenant_id == TENANT
            assert head.merchant_id == MERCHANT
            if order is None or head.order_id == order.order_id:
                told.append((name, message))
        return told

    async def rows_in(self, table: str) -> int:
        """Rows of a table."""
        async with self.desk.db.connection() as connection:
            found: int = await connection.fetchval(f"SELECT count(*) FROM {table}")
        return found


@contextlib.asynccontextmanager
async def running(
    dsn: str, *, products: Sequence[catalog_pb.Product] | None = None
) -> AsyncIterator[Running]:
    """A server without relay, consumers and workers, with some offers."""
    db = await Database.open(dsn, name="test-orders", acquire_s_max=5)
    placing_db = await Database.open(dsn, name="test-orders-placing", acquire_s_max=5, session=ONE_PLAN)
    desk = Desk(db, lambda: None)
    sandbox = SandboxProvider(db)
    external = ExternalMoney()
    payments = PaymentPolicy(
        {sandbox.name: sandbox, external.name: external}, sandbox.name, CALL_S_MAX, check_delay_s=1.0
    )
    placer: rpc.Placer = MicroBatcher(
        "test.orders.place",
        functools.partial(place_orders, desk, placing_db, PlacementPolicy(1_800, 900, 86_400)),
        items_max=128,
        size_max=4_000_000,
        delay_ms_max=1,
        queue_items_max=4_096,
        size_of=lambda _: 1,
        in_flight_max=2,
    )
    backlog = Backlog(desk, age_s_max=UNDECIDED_AGE_S_MAX, ignored=UNDECIDED_IGNORED)
    server = make_server(OrdersSettings(dsn=dsn), max_concurrent=1_000)
    pb_grpc.add_OrderServiceServicer_to_server(rpc.OrderService(desk, placer, payments, backlog), server)
    source = Source((NEW_SECRET, OLD_SECRET), notifications.read)
    sources = {sandbox.name: source, external.name: source}
    payment_grpc.add_PaymentServiceServicer_to_server(rpc.PaymentService(desk, sources), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with make_channel(f"127.0.0.1:{port}", retryable_methods=()) as channel:
            door = payment_grpc.PaymentServiceStub(channel)
            client = Running(pb_grpc.OrderServiceStub(channel), desk, sandbox, payments, backlog, door)
            await client.offer(*(demonstration() if products is None else products))
            yield client
    finally:
        await server.stop(1)
        await placer.close()
        await placing_db.close()
        await db.close()


def state_name(state: int) -> str:
    """A state without its prefix."""
    return pb.OrderState.Name(pb.OrderState.ValueType(state)).removeprefix("ORDER_STATE_")


def payment_name(state: int) -> str:
    """A payment state without its prefix."""
    return pb.PaymentState.Name(pb.PaymentState.ValueType(state)).removeprefix("PAYMENT_STATE_")


def now() -> datetime:
    """The present."""
    return datetime.now(UTC)


def refusal(result: pb.PlaceOrderResult) -> DomainError:
    """The refusal in an item of a batch."""
    assert result.WhichOneof("result") == "error", result
    status: Status = result.error
    return error_of(status)


@contextlib.contextmanager
def refused(code: str, reason: str, **metadata: str) -> Iterator[list[DomainError]]:
    """Expects a failed call with this status, reason and metadata; yields a list that will hold the error."""
    seen: list[DomainError] = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield seen
    error = error_of(caught.value)
    seen.append(error)
    assert (error.code, error.reason, error.domain) == (code, reason, "sampan.orders")
    assert error.metadata | metadata == error.metadata


async def succeeds(step: Awaitable[object]) -> bool:
    """Whether a step is taken; False where it is refused."""
    try:
        await step
    except (DomainError, grpc.aio.AioRpcError) as error:
        if isinstance(error, DomainError) or error.code().name in ("FAILED_PRECONDITION", "ABORTED"):
            return False
        raise
    return True
