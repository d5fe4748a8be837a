"""A whole system of several replicas with a breakable link between any two parts, for faults to work on.

`processes`: "postgres", "kafka", "catalog-1", "orders-1", "orders-2", "warehouse-1", …, "gateway-1", "gateway-2".
`links`: "<service replica>>postgres", "<replica>>kafka", "gateway-1>orders-2" and so on, "client>gateway-1".
What checks and recordings use (`dsn`, `bootstrap`) passes through no link.
"""

import asyncio
import os
import random
import shutil
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.local.kafka import Distribution, Kafka, Listener
from deploy.local.keys import ensure_keys
from deploy.local.postgres import Postgres
from deploy.local.services import ServiceProcess
from deploy.local.settings import DATABASES, LOOPBACK, ROOT, SERVICES, WEBHOOK_KEYS_FILE
from tests.chaos.history import History
from tests.chaos.links import Link, ProxyProcess
from tests.chaos.members import KafkaMember, Member, PostgresMember, ServiceMember, UnaskedEnd

if TYPE_CHECKING:
    from tests.chaos.client import Client
    from tests.chaos.shop import Shop

REPLICAS: Mapping[str, int] = {
    "access": 1,
    "catalog": 1,
    "orders": 2,
    "warehouse": 2,
    "webhooks": 1,
    "gateway": 2,
}
RESTART_DELAY_S = 0.5
SUPERVISE_S = 0.2
PORTS = range(20_000, 32_000)
"""Below the range that outgoing connections take theirs from: a port stays ours while its process is down."""

VARIABLES: Mapping[str, str] = {
    # Long enough for a request to outlive most faults, short enough for the run to see the answer.
    "GATEWAY_RPC_DEADLINE_S": "5",
    "ORDERS_HOLD_GRACE_S": "2",
    "ORDERS_PAYMENT_CALL_S_MAX": "2",
    "ORDERS_PAYMENT_CHECK_DELAY_S": "3",
    "GATEWAY_DRAIN_GRACE_S": "8",
    "ORDERS_DRAIN_GRACE_S": "8",
    "CATALOG_DRAIN_GRACE_S": "8",
    "WAREHOUSE_DRAIN_GRACE_S": "8",
}


@dataclass(slots=True)
class Cluster:
    """The system under test. Make it, let faults `prepare`, `start` it, and `remove` it at the end."""

    folder: Path
    downloads: Path = ROOT / ".local" / "downloads"
    replicas: Mapping[str, int] = field(default_factory=lambda: dict(REPLICAS))
    variables: Mapping[str, str] = field(default_factory=dict)
    """Further variables of all services."""
    processes: dict[str, Member] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    unasked_ends: list[UnaskedEnd] = field(default_factory=list)
    came_to_nothing: Counter[str] = field(default_factory=Counter)
    """Injections, by fault, that found nothing to do anything to."""
    crash_hits: Counter[str] = field(default_factory=Counter)
    """Deaths by crash point."""

    # Set by the engine before the first fault.
    history: History = field(init=False)
    shop: "Shop" = field(init=False)
    """What is on sale: SKUs, merchant, warehouses."""
    client: "Client" = field(init=False)
    """Speaks to the gateways by the client's rules and records every operation; for faults that need load."""

    _proxy: ProxyProcess = field(init=False)
    _ports: Iterator[int] = field(init=False)
    _on_removed: list[Callable[[], None]] = field(default_factory=list)
    _supervisor: "asyncio.Task[None] | None" = None

    def __post_init__(self) -> None:
        self.folder = self.folder.absolute()
        self._ports = _free_ports()
        self._proxy = ProxyProcess(self._common_environment)

    # --- Names, known before the start

    @property
    def replica_names(self) -> list[str]:
        """All replicas of all services."""
        return [
            f"{service}-{number}" for service in SERVICES for number in range(1, self.replicas[service] + 1)
        ]

    @property
    def process_names(self) -> list[str]:
        """Servers first."""
        return ["postgres", "kafka", *self.replica_names]

    @property
    def link_names(self) -> list[str]:
        """Every link that there will be."""
        names = []
        for replica in self.replica_names:
            if replica.startswith("gateway-"):
                names.append(f"client>{replica}")
                names += [f"{replica}>{other}" for other in self.replica_names if "gateway" not in other]
            else:
                names.append(f"{replica}>postgres")
            names.append(f"{replica}>kafka")
        return names

    # --- Addresses

    @property
    def postgres_folder(self) -> Path:
        """PostgreSQL's data; a fault's `prepare` may mount something here."""
        return self.folder / "postgres"

    @property
    def kafka_folder(self) -> Path:
        """Kafka's data and configuration; likewise."""
        return self.folder / "kafka"

    @property
    def logs_folder(self) -> Path:
        """All logs."""
        return self.folder / "logs"

    @property
    def postgres(self) -> PostgresMember:
        """The database server."""
        member = self.processes["postgres"]
        assert isinstance(member, PostgresMember)
        return member

    @property
    def kafka(self) -> KafkaMember:
        """The broker."""
        member = self.processes["kafka"]
        assert isinstance(member, KafkaMember)
        return member

    @property
    def services(self) -> list[ServiceMember]:
        """All replicas."""
        return [member for member in self.processes.values() if isinstance(member, ServiceMember)]

    def dsn(self, service: str, *, role: str | None = None) -> str:
        """A database, past all links; role "postgres" for the superuser."""
        return self.postgres.server.dsn(service, role=role)

    @property
    def dsns(self) -> dict[str, str]:
        """All databases, past all links."""
        return {service: self.dsn(service) for service in DATABASES}

    @property
    def bootstrap(self) -> str:
        """Kafka, past all links."""
        return self.kafka.server.bootstrap

    @property
    def gateway_urls(self) -> list[str]:
        """The gateways as clients reach them, through the links "client>gateway-n"."""
        return [
            f"http://{LOOPBACK}:{link.port}"
            for name, link in self.links.items()
            if name.startswith("client>")
        ]

    @property
    def api_keys(self) -> Mapping[str, str]:
        """The key of each role: storefront, operator."""
        return ensure_keys(self.folder / "keys")

    # --- What faults tell

    def nothing_came_of(self, fault: str, target: str, why: str) -> None:
        """An injection that did nothing to the system: counted apart, since it proves nothing."""
        self.came_to_nothing[fault] += 1
        self.history.note("came to nothing", fault=fault, target=target, why=why)

    # --- Life

    def on_removed(self, undo: Callable[[], None]) -> None:
        """Calls `undo` once everything has been stopped, the newest first."""
        self._on_removed.append(undo)

    async def start(self) -> None:
        """Starts everything and returns when all replicas are ready."""
        for folder in (self.folder, self.logs_folder):
            folder.mkdir(parents=True, exist_ok=True)
        await self._proxy.start()
        await self._start_servers()
        replicas = await self._replicas()
        first = {replica.service: replica for replica in reversed(replicas)}
        await asyncio.gather(*(asyncio.to_thread(first[service].replica.setup) for service in DATABASES))
        for replica in replicas:
            self.processes[replica.name] = replica
            await replica.start()
        for replica in replicas:
            if not await replica.wait_ready():
                raise RuntimeError(f"{replica.name} is not ready: {replica.process.last_words()}")
        for member in self.processes.values():
            member.wanted = True
        self._supervisor = asyncio.create_task(self._supervise())

    async def stop(self) -> None:
        """Stops everything; data and logs stay."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
            self._supervisor = None
        for member in self.processes.values():
            member.wanted = False
            member.resume()
        services = [member for member in self.processes.values() if isinstance(member, ServiceMember)]
        await asyncio.gather(*(member.stop() for member in services))
        await asyncio.gather(
            *(self.processes[name].stop() for name in ("postgres", "kafka") if name in self.processes)
        )
        await self._proxy.stop()

    async def remove(self, *, keep_logs: bool = False) -> None:
        """Stops everything and deletes the data."""
        try:
            await self.stop()
        finally:
            while self._on_removed:
                self._on_removed.pop()()
            if "postgres" in self.processes:
                log = self.postgres.log_file
                kept = log.read_bytes() if log.exists() else b""
                await asyncio.to_thread(self.postgres.server.remove)
                if keep_logs:
                    log.write_bytes(kept)
            shutil.rmtree(self.folder / "kafka", ignore_errors=True)
            if not keep_logs:
                shutil.rmtree(self.folder, ignore_errors=True)

    async def mend_all(self) -> None:
        """Heals whatever a fault may have left: links, paused processes, processes kept down."""
        for link in self.links.values():
            await link.mend()
        for member in self.processes.values():
            member.resume()
            member.wanted = True

    # --- Parts

    async def _start_servers(self) -> None:
        postgres = Postgres(
            self.postgres_folder,
            next(self._ports),
            log_file=self.logs_folder / "postgres.log",
            pid_file=self.folder / "run" / "postgres.pid",
        )
        listeners = []
        for replica in self.replica_names:
            real = next(self._ports)
            link = await self._open_link(f"{replica}>kafka", real)
            listeners.append(Listener(replica.replace("-", "").upper(), real, link.port))
        kafka = Kafka(
            self.kafka_folder,
            next(self._ports),
            next(self._ports),
            distribution=Distribution(self.downloads),
            log_file=self.logs_folder / "kafka.log",
            pid_file=self.folder / "run" / "kafka.pid",
            listeners=listeners,
            # Beside the disk that a fault may fill: docs/reliability.md says why.
            metadata_folder=self.folder / "kafka-metadata",
        )
        self.processes = {"postgres": PostgresMember(postgres), "kafka": KafkaMember(kafka)}
        await asyncio.gather(asyncio.to_thread(postgres.start), asyncio.to_thread(kafka.start))
        await asyncio.to_thread(postgres.ensure_databases)

    async def _replicas(self) -> list[ServiceMember]:
        """Every replica with its own ports, and its own links to whatever it talks to."""
        grpc_ports = {name: next(self._ports) for name in self.replica_names}
        ensure_keys(self.folder / "keys")
        members = []
        for name in self.replica_names:
            service = name.partition("-")[0]
            admin_port = next(self._ports)
            environment = {
                **self._common_environment,
                **VARIABLES,
                **self.variables,
                "KAFKA_BOOTSTRAP": f"{LOOPBACK}:{self.links[f'{name}>kafka'].port}",
                f"{service.upper()}_ADMIN_PORT": str(admin_port),
            }
            if service == "gateway":
                port = next(self._ports)
                await self._open_link(f"client>{name}", port)
                environment |= {
                    "GATEWAY_PORT": str(port),
                    "GATEWAY_API_KEYS_FILE": str(self.folder / "keys" / "gateway-api-keys.json"),
                    **await self._gateway_addresses(name, grpc_ports),
                }
            else:
                link = await self._open_link(f"{name}>postgres", self.postgres.server.port)
                direct = self.dsn(service)
                environment |= {
                    f"{service.upper()}_GRPC_PORT": str(grpc_ports[name]),
                    f"{service.upper()}_DSN": direct.replace(f":{link.to}/", f":{link.port}/"),
                }
            members.append(
                ServiceMember(
                    ServiceProcess(
                        service,
                        environment,
                        admin_url=f"http://{LOOPBACK}:{admin_port}",
                        pid_file=self.folder / "run" / f"{name}.pid",
                        log_file=self.logs_folder / f"{name}.log",
                        process_name=name,
                    )
                )
            )
        return members

    async def _gateway_addresses(self, gateway: str, grpc_ports: Mapping[str, int]) -> dict[str, str]:
        addresses = {}
        for service in DATABASES:
            ports = []
            for number in range(1, self.replicas[service] + 1):
                replica = f"{service}-{number}"
                link = await self._open_link(f"{gateway}>{replica}", grpc_ports[replica])
                ports.append(f"{LOOPBACK}:{link.port}")
            addresses[f"{service.upper()}_ADDRESS"] = f"ipv4:{','.join(ports)}"
        return addresses

    async def _open_link(self, name: str, to: int) -> Link:
        port = next(self._ports)
        await self._proxy.ask(op="open", name=name, port=port, to=to)
        link = self.links[name] = Link(name, port, to, self._proxy)
        return link

    @property
    def _common_environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "gen"))),
            "PYTHONUNBUFFERED": "1",
            "WEBHOOKS_SECRET_KEYS_FILE": str(self.folder / "keys" / WEBHOOK_KEYS_FILE),
        }

    async def _supervise(self) -> None:
        """Starts again what has ended, shortly afterwards, as any supervisor of processes would."""
        await asyncio.gather(*(self._keep_up(member) for member in self.processes.values()))

    def _account(self, member: Member) -> None:
        """Notes an end that nobody has asked for."""
        if not (member.expected_ends or member.is_excused):
            words = member.process.last_words()
            self.unasked_ends.append(UnaskedEnd(member.name, self.history.now_s, words))
        member.expected_ends = 0

    async def _keep_up(self, member: Member) -> None:
        while True:
            await asyncio.sleep(SUPERVISE_S)
            if member.pid is not None or not member.wanted:
                continue
            # One that a fault keeps down may be met again: its end was the same.
            if not member.end_is_seen:
                member.end_is_seen = True
                self._account(member)
            await asyncio.sleep(RESTART_DELAY_S)
            if member.wanted:
                await member.start()


def _free_ports() -> Iterator[int]:
    """Ports that nothing listens on, each once."""
    for port in random.Random(os.getpid() * 1_000 + time.monotonic_ns()).sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((LOOPBACK, port))
                yield port
