"""The gRPC server that every service runs."""

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha import reflection

from services.chassis.config import ServiceSettings
from services.chassis.rpc import status
from services.chassis.rpc.interceptors import CallGuard
from services.chassis.rpc.options import server_options

HEALTH_CALLS_MAX = 64


def make_server(settings: ServiceSettings, *, max_concurrent: int) -> grpc.aio.Server:
    """A server with the chassis' interceptor and options, not yet bound to a port: see `Runtime.serve`.

    Calls beyond `max_concurrent` are refused with RESOURCE_EXHAUSTED; health checks have room of their own.
    """
    status.set_own_domain(settings.service_name())
    return grpc.aio.server(
        interceptors=[
            CallGuard(
                max_concurrent=max_concurrent,
                deadline_s_max=settings.grpc_deadline_s_max,
                clients=frozenset(settings.grpc_tls_clients),
            )
        ],
        options=server_options(
            connection_age_s_max=settings.grpc_connection_age_s_max,
            connection_age_grace_s=settings.grpc_connection_age_grace_s,
        ),
        maximum_concurrent_rpcs=max_concurrent + HEALTH_CALLS_MAX,
    )


class Health(health.aio.HealthServicer):
    """The gRPC health service, for the whole server and for each named service alike.

    Watches end with the drain; else one forgotten watcher would hold the server for its whole grace.
    """

    def __init__(self, services: Sequence[str] = ()) -> None:
        super().__init__()
        self._services = ("", *services)
        self._draining = asyncio.Event()

    async def tell(self, serving: bool) -> None:
        """Sets the status that callers and watchers see."""
        value = HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING
        for service in self._services:
            await self.set(service, value)

    async def drain(self) -> None:
        """NOT_SERVING from now on, whatever is told later."""
        await self.enter_graceful_shutdown()
        self._draining.set()

    async def Watch(self, request: HealthCheckRequest, context: Any) -> None:
        """Streams the status until the caller leaves or the server drains."""
        watching = asyncio.ensure_future(super().Watch(request, context))
        draining = asyncio.ensure_future(self._draining.wait())
        try:
            await asyncio.wait((watching, draining), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in (watching, draining):
                waiter.cancel()
            await asyncio.gather(watching, draining, return_exceptions=True)


def add_health(server: grpc.aio.Server, services: Sequence[str]) -> Health:
    """Adds the health service, NOT_SERVING until it is told otherwise."""
    servicer = Health(services)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    return servicer


def add_reflection(server: grpc.aio.Server, services: Sequence[str]) -> None:
    """Serves the schema of the named services."""
    reflection.enable_server_reflection((*services, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
