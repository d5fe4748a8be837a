"""Several replicas of each service beside a stack's own servers, each with ports of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from deploy.local.keys import ensure_keys
from deploy.local.services import ServiceProcess
from deploy.local.settings import DATABASES, LOOPBACK, SERVICES, free_ports
from deploy.local.stack import Stack


class Replicas:
    """`counts[service]` processes of each service, on the PostgreSQL and Kafka of a stack whose own services rest.

    The gateways call all replicas of a service in turn. A caller spreads its requests over `gateway_ports`.
    """

    def __init__(self, stack: Stack, counts: Mapping[str, int]) -> None:
        self._stack = stack
        ports = iter(free_ports(2 * sum(counts.values())))
        self._ports = {
            (service, number): (next(ports), next(ports))
            for service in SERVICES
            for number in range(1, counts[service] + 1)
        }
        shared = stack.settings.service_environment(bootstrap=stack.bootstrap, dsns=stack.dsns)
        shared |= {f"{name.upper()}_ADDRESS": self.address(name) for name in DATABASES}
        self.processes = {
            f"{service}-{number}": self._process(service, number, shared) for service, number in self._ports
        }

    def address(self, service: str) -> str:
        """The gRPC target of all replicas of a service."""
        addresses = [f"{LOOPBACK}:{port}" for (name, _), (port, _) in self._ports.items() if name == service]
        return f"ipv4:{','.join(addresses)}"

    @property
    def gateway_ports(self) -> list[int]:
        """Where the gateways listen."""
        return [port for (name, _), (port, _) in self._ports.items() if name == "gateway"]

    @property
    def pids(self) -> dict[str, int | None]:
        """By name and number, as in orders-2."""
        return {name: process.process.pid for name, process in self.processes.items()}

    def start(self) -> None:
        """Prepare databases and topics, start everything, and wait until all are ready."""
        ensure_keys(self._stack.settings.keys)
        self._together([self.processes[f"{name}-1"].setup for name in DATABASES])
        for process in self.processes.values():
            process.start()
        self._together([process.wait_ready for process in self.processes.values()])

    def stop(self) -> None:
        """Let all drain and end, the gateways first."""
        for gateways in (True, False):
            self._together(
                [
                    process.stop
                    for name, process in self.processes.items()
                    if name.startswith("gateway") == gateways
                ]
            )

    def _process(self, service: str, number: int, shared: Mapping[str, str]) -> ServiceProcess:
        port, admin_port = self._ports[service, number]
        name = f"{service}-{number}"
        port_variable = "GATEWAY_PORT" if service == "gateway" else f"{service.upper()}_GRPC_PORT"
        return ServiceProcess(
            service,
            {**shared, port_variable: str(port), f"{service.upper()}_ADMIN_PORT": str(admin_port)},
            admin_url=f"http://{LOOPBACK}:{admin_port}",
            pid_file=self._stack.settings.pids / f"{name}.pid",
            log_file=self._stack.settings.logs / f"{name}.log",
        )

    @staticmethod
    def _together(works: list[Callable[[], None]]) -> None:
        """Run all in threads; raise the first fault when all have ended."""
        with ThreadPoolExecutor(max(1, len(works))) as pool:
            futures = [pool.submit(work) for work in works]
        for future in futures:
            future.result()
