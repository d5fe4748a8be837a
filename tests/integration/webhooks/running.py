"""Webhooks over a real database: the calls of a client, the sender, and events as the consumer hands them over."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest
from cryptography.fernet import Fernet
from sampan.webhooks.v1 import delivery_service_pb2 as delivery_pb
from sampan.webhooks.v1 import delivery_service_pb2_grpc as delivery_grpc
from sampan.webhooks.v1 import endpoint_service_pb2 as endpoint_pb
from sampan.webhooks.v1 import endpoint_service_pb2_grpc as endpoint_grpc

from services.chassis.pg import Database
from services.chassis.rpc.channel import make_channel
from services.chassis.rpc.server import make_server
from services.chassis.rpc.status import error_of
from services.webhooks import rpc
from services.webhooks.clients import Receivers
from services.webhooks.commands import deliveries as delivery_commands
from services.webhooks.commands.deliveries import Deliveries
from services.webhooks.commands.endpoints import Endpoints
from services.webhooks.commands.sending import Sending
from services.webhooks.config import WebhooksSettings
from services.webhooks.domain import messages
from services.webhooks.domain.deliveries import RetryPolicy
from services.webhooks.domain.messages import Message
from services.webhooks.sealing import Vault
from services.webhooks.workers.sending import Sender

TENANT = "acme"
KEY = Fernet.generate_key().decode()
PATIENCE_S = 30.0


def told(event_type: str = "order.placed", tenant_id: str = TENANT, **data: object) -> Message:
    """A message of a new event."""
    return messages.message(tenant_id, uuid4(), event_type, datetime.now(UTC), data)


class Client:
    """Stubs, and what is below the server."""

    def __init__(self, database: Database, channel: Any, *, insecure: bool) -> None:
        self.database = database
        self.vault = Vault([KEY])
        self.insecure = insecure
        self.endpoints: Any = endpoint_grpc.EndpointServiceStub(channel)
        self.deliveries: Any = delivery_grpc.DeliveryServiceStub(channel)

    async def create(
        self, url: str, *event_types: str, tenant_id: str = TENANT, request_id: str = ""
    ) -> endpoint_pb.IssuedEndpoint:
        """Creates an endpoint."""
        request = endpoint_pb.CreateEndpointRequest(
            tenant_id=tenant_id, request_id=request_id or str(uuid4()), url=url, event_types=event_types
        )
        issued: endpoint_pb.IssuedEndpoint = await self.endpoints.CreateEndpoint(request)
        return issued

    async def get(self, endpoint_id: str) -> endpoint_pb.Endpoint:
        """An endpoint as it stands."""
        request = endpoint_pb.GetEndpointRequest(tenant_id=TENANT, endpoint_id=endpoint_id)
        found: endpoint_pb.Endpoint = await self.endpoints.GetEndpoint(request)
        return found

    async def log(self, endpoint_id: str, **filter: Any) -> list[delivery_pb.Delivery]:
        """An endpoint's newest deliveries."""
        request = delivery_pb.ListDeliveriesRequest(tenant_id=TENANT, endpoint_id=endpoint_id, **filter)
        return list((await self.deliveries.ListDeliveries(request)).deliveries)

    async def settled(self, endpoint_id: str, count: int) -> list[delivery_pb.Delivery]:
        """An endpoint's deliveries, once so many of them have ended."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = [
                    one
                    for one in await self.log(endpoint_id, page_size=200)
                    if one.state != delivery_pb.DELIVERY_STATE_PENDING
                ]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.02)

    async def redeliver(self, delivery_id: str) -> delivery_pb.Delivery:
        """Sends a delivery again."""
        request = delivery_pb.RedeliverRequest(tenant_id=TENANT, delivery_id=delivery_id)
        again: delivery_pb.Delivery = await self.deliveries.Redeliver(request)
        return again

    async def tell(self, *told: Message) -> None:
        """Hands events over, as the consumer does."""
        await self.database.transact(lambda connection: delivery_commands.enqueue(connection, told))

    async def rows(self, query: str, *arguments: object) -> list[Any]:
        """What a query finds."""
        async with self.database.connection() as connection:
            return list(await connection.fetch(query, *arguments))

    @contextlib.asynccontextmanager
    async def sending(
        self,
        *,
        endpoints_max: int = 20,
        in_flight_max: int = 4,
        attempt_s_max: float = 20,
        first_s: float = 0.05,
        disable_after: timedelta = timedelta(days=5),
    ) -> AsyncIterator[Sender]:
        """A sender at work."""
        receivers = Receivers(attempt_s_max=attempt_s_max, insecure=self.insecure)
        sending = Sending(
            self.database,
            self.vault,
            policy=RetryPolicy(first_s),
            attempt_s_max=attempt_s_max,
            disable_after=disable_after,
        )
        sender = Sender(
            sending, receivers, endpoints_max=endpoints_max, in_flight_max=in_flight_max, poll_s=0.02
        )
        work = asyncio.create_task(sender.run())
        try:
            yield sender
            sender.stop()
            await work
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await receivers.close()


@contextlib.asynccontextmanager
async def running(dsn: str, *, insecure: bool = True) -> AsyncIterator[Client]:
    """A server without a sender and without a consumer."""
    database = await Database.open(dsn, name="test-webhooks", acquire_s_max=5)
    settings = WebhooksSettings(dsn=dsn, secret_keys=(KEY,))
    server = make_server(settings, max_concurrent=100)
    endpoints = Endpoints(database, Vault([KEY]), insecure=insecure)
    endpoint_grpc.add_EndpointServiceServicer_to_server(rpc.EndpointService(endpoints), server)
    delivery_grpc.add_DeliveryServiceServicer_to_server(rpc.DeliveryService(Deliveries(database)), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with make_channel(f"127.0.0.1:{port}", retryable_methods=()) as channel:
            yield Client(database, channel, insecure=insecure)
    finally:
        await server.stop(1)
        await database.close()


@contextlib.contextmanager
def refused(code: str, reason: str, field: str = "") -> Iterator[None]:
    """Expects a failed call with this status, reason and field."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    error = error_of(caught.value)
    assert (error.code, error.reason, error.domain) == (code, reason, "sampan.webhooks")
    assert (error.field or "") == field
