"""The processes of a cluster: the services' replicas, PostgreSQL and Kafka, each under supervision."""

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.local.kafka import Kafka, serves
from deploy.local.postgres import Postgres
from deploy.local.processes import BackgroundProcess
from deploy.local.services import ServiceProcess
from deploy.local.settings import SERVICES, StackError

READY_POLL_S = 0.1
READY_S_MAX = 60.0
STARTED_IN_VAIN = re.compile(r"(^|\| )failed: the database does not answer")
"""The last words of a service that found its database away when it started."""


@dataclass(slots=True)
class UnaskedEnd:
    """A process that ended although no fault had ended it."""

    name: str
    at_s: float
    last_words: str

    @property
    def is_legal(self) -> bool:
        """Servers may end by themselves (a full disk); a service only while it starts without its database."""
        return (
            self.name.partition("-")[0] not in SERVICES or STARTED_IN_VAIN.search(self.last_words) is not None
        )


class Member:
    """One process. While `wanted`, the cluster's supervisor starts it again whenever it has ended."""

    def __init__(self, name: str, process: BackgroundProcess) -> None:
        self.name = name
        self.process = process
        self.wanted = False
        self._layers: list[Mapping[str, str]] = []
        self.expected_ends = 0
        """How often it ended because a fault ended it; the supervisor blames the service for further ends."""
        self._excuses = 0
        self.end_is_seen = False
        """Whether the supervisor has taken note that it is down."""

    @property
    def service(self) -> str:
        """The service of a replica ("orders" of "orders-1"), else the name."""
        return self.name.partition("-")[0]

    @property
    def extra_environment(self) -> dict[str, str]:
        """Variables for the next start, as CRASH_POINTS; services only. Of several faults the last one's win."""
        return {name: value for layer in self._layers for name, value in layer.items()}

    @property
    def is_excused(self) -> bool:
        """Whether the supervisor blames nobody for its ends, however many; see `excused`."""
        return self._excuses > 0

    @property
    def pid(self) -> int | None:
        """The pid while it runs."""
        return self.process.pid

    @property
    def log_file(self) -> Path:
        """Where it logs; restarts append."""
        return self.process.log_file

    async def start(self) -> None:
        """Starts it and returns when it runs, for servers when it serves."""
        self.end_is_seen = False
        await asyncio.to_thread(self._start)

    async def kill(self) -> bool:
        """SIGKILL with all children; the supervisor starts it again. Whether it ran."""
        if self.pid is None:
            return False
        self.expected_ends += 1
        await asyncio.to_thread(self._kill)
        return True

    async def stop(self) -> bool:
        """Asks it to drain and end, and waits for that; the supervisor starts it again. Whether it ran."""
        if self.pid is None:
            return False
        self.expected_ends += 1
        await asyncio.to_thread(self._stop)
        return True

    @contextmanager
    def excused(self) -> Iterator[None]:
        """Inside the block the supervisor starts it again as ever, and blames nobody for its ends."""
        self._excuses += 1
        try:
            yield
        finally:
            self._excuses -= 1
            # An end that is over and not yet noted still belongs to the block; none after it does.
            self.expected_ends = int(self.pid is None and not self.end_is_seen)

    def send(self, number: int) -> None:
        """Sends any signal; count it in `expected_ends` where it ends the process."""
        if (pid := self.pid) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def pause(self) -> bool:
        """SIGSTOP to it and its children: a machine that hangs. Whether it ran."""
        return self._signal_family(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal_family(signal.SIGCONT)

    @asynccontextmanager
    async def kept_down(self) -> AsyncIterator[bool]:
        """Killed on entering and not started again before leaving. Whether it ran."""
        self.wanted = False
        try:
            yield await self.kill()
        finally:
            self.wanted = True

    @asynccontextmanager
    async def restarted_with(self, **variables: str) -> AsyncIterator[None]:
        """A service runs with further variables inside the block: it is drained and started anew, twice."""
        self._layers.append(variables)
        try:
            await self.stop()
            yield
        finally:
            # Its own and nobody else's: blocks of two faults may overlap and end in either order.
            self._layers = [layer for layer in self._layers if layer is not variables]
            await self.stop()

    async def ready(self) -> bool:
        """Whether it serves."""
        return self.pid is not None

    async def wait_ready(self, *, s_max: float = READY_S_MAX) -> bool:
        """Waits until it serves; False when the time was up before."""
        until = time.monotonic() + s_max
        while True:
            if await self.ready():
                return True
            if time.monotonic() > until:
                return False
            await asyncio.sleep(READY_POLL_S)

    def _start(self) -> None:
        raise NotImplementedError

    def _kill(self) -> None:
        self.process.kill()

    def _stop(self) -> None:
        self.process.stop()

    def _signal_family(self, number: signal.Signals) -> bool:
        pid = self.pid
        if pid is None:
            return False
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            for process in (root, *root.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
        return True


class ServiceMember(Member):
    """A replica of a service."""

    def __init__(self, replica: ServiceProcess) -> None:
        super().__init__(replica.process.name, replica.process)
        self.replica = replica
        self._environment = dict(replica.environment)

    @property
    def admin_url(self) -> str:
        """Base of /metrics, /healthz and /readyz."""
        return self.replica.admin_url

    async def ready(self) -> bool:
        """As /readyz says."""
        return self.pid is not None and await asyncio.to_thread(lambda: self.replica.ready)

    def _start(self) -> None:
        environment = self.replica.environment = self._environment | self.extra_environment
        self.process.start(self.replica.command, environment=environment, fingerprint="")
        if environment != self._environment | self.extra_environment:
            # A fault took its variables back meanwhile and found nothing to stop: this start came too late for it.
            self.expected_ends += 1
            self._kill()


class PostgresMember(Member):
    """The one PostgreSQL server with all databases."""

    def __init__(self, server: Postgres) -> None:
        super().__init__("postgres", server.process)
        self.server = server

    async def ready(self) -> bool:
        """Whether it takes connections."""
        return self.pid is not None and await asyncio.to_thread(self.server.answers)

    def _start(self) -> None:
        # A lock file of a server that was killed together with its backends.
        if self.pid is None:
            (self.server.folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        with suppress(StackError):
            self.server.start()

    def _kill(self) -> None:
        self.server.kill()

    def _stop(self) -> None:
        self.server.stop()


class KafkaMember(Member):
    """The one broker."""

    def __init__(self, server: Kafka) -> None:
        super().__init__("kafka", server.process)
        self.server = server

    async def ready(self) -> bool:
        """Whether it answers for itself."""
        return self.pid is not None and await asyncio.to_thread(serves, self.server.bootstrap)

    def _start(self) -> None:
        with suppress(StackError):
            self.server.start()

    def _stop(self) -> None:
        self.server.stop()
