"""Gateways beside that of the stack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from deploy.local.services import ServiceProcess
from deploy.local.settings import LOOPBACK, free_ports
from tests.e2e.conftest import Shop


class Further(NamedTuple):
    """Where a further gateway is: its API, and its metrics."""

    url: str
    metrics_url: str


@contextmanager
def further_gateway(shop: Shop, **settings: str) -> Iterator[Further]:
    """Another gateway of the same services, with settings of its own, while the context lasts."""
    port, admin_port = free_ports(2)
    stack = shop.stack
    environment = stack.settings.service_environment(bootstrap=stack.bootstrap, dsns=stack.dsns)
    ports = {"GATEWAY_PORT": str(port), "GATEWAY_ADMIN_PORT": str(admin_port)}
    gateway = ServiceProcess(
        "gateway",
        environment | ports | settings,
        admin_url=f"http://{LOOPBACK}:{admin_port}",
        pid_file=stack.settings.pids / "gateway-2.pid",
        log_file=stack.settings.logs / "gateway-2.log",
    )
    gateway.start()
    try:
        gateway.wait_ready()
        yield Further(f"http://{LOOPBACK}:{port}", f"http://{LOOPBACK}:{admin_port}/metrics")
    finally:
        gateway.stop()
