"""PostgreSQL and Kafka that die, hang, restart, drop their clients or become slow."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import asyncpg
import psutil

from deploy.local.settings import DATABASES
from tests.chaos import tasks
from tests.chaos.cluster import Cluster
from tests.chaos.fault import BaseFault, Fault

PULSE_S = (0.2, 0.8)
CONNECT_S_MAX = 3.0


class _OfServer(BaseFault):
    """A fault of one server."""

    server = ""

    def targets(self, cluster: Cluster) -> Sequence[str]:
        """There is one."""
        return [self.server]


class Kill(_OfServer):
    """kill -9 with all children, away for a while, then recovered from its log."""

    duration_s = (0.5, 3.0)

    def __init__(self, server: str) -> None:
        self.server = server
        self.name = f"{server}.kill"

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Keeps it down."""
        async with cluster.processes[target].kept_down():
            yield


class Restart(_OfServer):
    """Shut down in order and started again."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.name = f"{server}.restart"

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Stops it; the supervisor starts it."""
        await cluster.processes[target].stop()
        yield


class Freeze(_OfServer):
    """SIGSTOP and SIGCONT: it holds every connection and answers nothing."""

    duration_s = (1.0, 6.0)

    def __init__(self, server: str) -> None:
        self.server = server
        self.name = f"{server}.freeze"

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Freezes and thaws."""
        member = cluster.processes[target]
        member.pause()
        try:
            yield
        finally:
            member.resume()


class Slow(_OfServer):
    """Frozen for parts of a second, over and over: a server on a machine that is far too busy."""

    duration_s = (3.0, 8.0)

    def __init__(self, server: str) -> None:
        self.server = server
        self.name = f"{server}.slow"

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Pulses until left."""
        member = cluster.processes[target]

        async def pulse() -> None:
            while True:
                member.pause()
                await asyncio.sleep(rng.uniform(*PULSE_S))
                member.resume()
                await asyncio.sleep(rng.uniform(*PULSE_S) / 2)

        task = asyncio.create_task(pulse())
        try:
            yield
        finally:
            await tasks.end([task])
            member.resume()


class Immediate(_OfServer):
    """SIGQUIT to PostgreSQL: every connection is cut at once, nothing is flushed, the next start recovers."""

    name = "postgres.immediate"
    server = "postgres"

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Shuts it down; the supervisor starts it."""
        member = cluster.processes[target]
        if member.pid is not None:
            member.expected_ends += 1
            member.send(signal.SIGQUIT)
        yield


class BackendKill(_OfServer):
    """kill -9 of one backend: PostgreSQL then ends all of them and recovers, without ending itself."""

    name = "postgres.backend-kill"
    server = "postgres"

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Kills one that serves a client, if there is one."""
        if (pid := cluster.processes[target].pid) is not None:
            with suppress(psutil.NoSuchProcess):
                backends = [
                    child for child in psutil.Process(pid).children() if "postgres: " in _title(child)
                ]
                clients = [child for child in backends if any(name in _title(child) for name in DATABASES)]
                if clients:
                    rng.choice(clients).kill()
        yield


class Terminate(BaseFault):
    """An administrator ends all connections to one database."""

    name = "postgres.terminate"

    def targets(self, cluster: Cluster) -> Sequence[str]:
        """Every database."""
        return DATABASES

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Ends all but its own; none if the server is down."""
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            connection = await asyncpg.connect(
                cluster.dsn("postgres", role="postgres"), timeout=CONNECT_S_MAX
            )
            try:
                await connection.fetch(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = $1 AND pid <> pg_backend_pid()",
                    target,
                    timeout=CONNECT_S_MAX,
                )
            finally:
                connection.terminate()
        yield


class ForeignMember(BaseFault):
    """A stranger joins a consumer group, is given partitions, does nothing with them, and leaves again."""

    name = "kafka.foreign-member"
    duration_s = (2.0, 6.0)

    def targets(self, cluster: Cluster) -> Sequence[str]:
        """Every group, with its topic."""
        return [f"{group} {topic}" for group, topic in GROUPS]

    def inject(
        self, cluster: Cluster, target: str, rng: random.Random
    ) -> AbstractAsyncContextManager[object]:
        """Holds the membership."""
        group, _, topic = target.partition(" ")
        return _membership(cluster.bootstrap, group, topic)


GROUPS = (
    ("orders.catalog", "sampan.catalog.products.v1"),
    ("orders.fulfilments", "sampan.warehouse.fulfilments.v1"),
    ("warehouse.orders", "sampan.orders.orders.v1"),
)


@asynccontextmanager
async def _membership(bootstrap: str, group: str, topic: str) -> AsyncIterator[None]:
    from aiokafka import AIOKafkaConsumer
    from aiokafka.errors import KafkaError

    member = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=group,
        client_id="chaos-stranger",
        enable_auto_commit=False,
        auto_offset_reset="latest",
    )
    with suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(10):
            await member.start()
    try:
        yield
    finally:
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(5):
                await member.stop()


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


FAULTS: Sequence[Fault] = (
    *(kind(server) for kind in (Kill, Restart, Freeze, Slow) for server in ("postgres", "kafka")),
    Immediate(),
    BackendKill(),
    Terminate(),
    ForeignMember(),
)
