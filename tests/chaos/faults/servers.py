"""PostgreSQL and Kafka that die, hang, restart, drop their clients or become slow."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import asyncpg
import psutil
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from deploy.local.settings import DATABASES
from tests.chaos import tasks
from tests.chaos.cluster import Cluster
from tests.chaos.fault import BaseFault, Fault
from tests.chaos.poison import GROUPS

PULSE_S = (0.2, 0.8)
CONNECT_S_MAX = 3.0
JOIN_S_MAX = 10.0
LEAVE_S_MAX = 5.0
DOWN = "it was down already"


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
        async with cluster.processes[target].kept_down() as ran:
            if not ran:
                cluster.nothing_came_of(self.name, target, DOWN)
            yield


class Restart(_OfServer):
    """Shut down in order and started again."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.name = f"{server}.restart"

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Stops it; the supervisor starts it."""
        if not await cluster.processes[target].stop():
            cluster.nothing_came_of(self.name, target, DOWN)
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
        if not member.pause():
            cluster.nothing_came_of(self.name, target, DOWN)
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
        else:
            cluster.nothing_came_of(self.name, target, DOWN)
        yield


class BackendKill(_OfServer):
    """kill -9 of one backend: PostgreSQL then ends all of them and recovers, without ending itself."""

    name = "postgres.backend-kill"
    server = "postgres"

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Kills one that serves a client, if there is one."""
        if (pid := cluster.processes[target].pid) is None or not _kill_backend(pid, rng):
            cluster.nothing_came_of(self.name, target, "there was no backend of a client")
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
        try:
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
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            cluster.nothing_came_of(self.name, target, repr(error))
        yield


class ForeignMember(BaseFault):
    """A stranger joins a consumer group, is given partitions, does nothing with them, and leaves again."""

    name = "kafka.foreign-member"
    duration_s = (2.0, 6.0)

    def targets(self, cluster: Cluster) -> Sequence[str]:
        """Every group, with its topic."""
        return [f"{group} {topic}" for topic, groups in GROUPS.items() for group in groups]

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Holds the membership."""
        group, _, topic = target.partition(" ")
        member = AIOKafkaConsumer(
            topic,
            bootstrap_servers=cluster.bootstrap,
            group_id=group,
            client_id="chaos-stranger",
            enable_auto_commit=False,
            auto_offset_reset="latest",
        )
        try:
            async with asyncio.timeout(JOIN_S_MAX):
                await member.start()
        except (KafkaError, OSError, TimeoutError) as error:
            cluster.nothing_came_of(self.name, target, repr(error))
        try:
            yield
        finally:
            with suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(LEAVE_S_MAX):
                    await member.stop()


def _kill_backend(server_pid: int, rng: random.Random) -> bool:
    """Kills a backend that serves a client; whether there was one."""
    with suppress(psutil.NoSuchProcess):
        backends = [child for child in psutil.Process(server_pid).children() if "postgres: " in _title(child)]
        if clients := [child for child in backends if any(name in _title(child) for name in DATABASES)]:
            rng.choice(clients).kill()
            return True
    return False


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
