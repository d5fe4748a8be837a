"""Wall clocks that jump by minutes, forward and back, under a replica or under PostgreSQL (libfaketime).

Deadlines are due by the database's clock: holds and payments that end early under a jump are legal, what is lost
or doubled is not. The monotonic clock goes on as it is, as it does when a machine's clock is set.
"""

import asyncio
import random
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.chaos import tasks
from tests.chaos.cluster import Cluster
from tests.chaos.fault import BaseFault, Fault

LIBRARIES = (
    "/usr/lib/*/faketime/libfaketimeMT.so.1",
    "/usr/lib*/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
)
JUMP_S = (60, 600)
PAUSE_S = (1.0, 2.5)


def library() -> Path | None:
    """Debian's package `faketime`, where it is installed."""
    if not sys.platform.startswith("linux"):
        return None
    found = (path for pattern in LIBRARIES for path in Path("/").glob(pattern.removeprefix("/")))
    return next(found, None)


class _Jumps(BaseFault):
    """Jumps every few seconds, back and forth; at the end the clock is right again."""

    duration_s = (8.0, 14.0)

    def available(self) -> str | None:
        """Needs libfaketime."""
        return (
            None
            if library() is not None
            else "libfaketime is not installed (Debian: apt-get install faketime)"
        )

    def _variables(self, file: Path) -> Mapping[str, str]:
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            # Read again every second; at every call would cost more than all the rest.
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    @asynccontextmanager
    async def _jumping(
        self, cluster: Cluster, target: str, file: Path, rng: random.Random
    ) -> AsyncIterator[None]:
        async def jump() -> None:
            while True:
                offset_s = rng.randint(*JUMP_S) * rng.choice((-1, 1))
                _set(file, offset_s)
                cluster.history.note("clock", target=target, offset_s=offset_s)
                await asyncio.sleep(rng.uniform(*PAUSE_S))

        task = asyncio.create_task(jump())
        try:
            yield
        finally:
            await tasks.end([task])
            _set(file, 0)


class OfReplica(_Jumps):
    """The clock of one replica: ids, event times, token and cache ages, what it tells of lags."""

    name = "clock.replica"

    def targets(self, cluster: Cluster) -> Sequence[str]:
        """Every replica."""
        return cluster.replica_names

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Runs under a clock of its own until left."""
        file = cluster.folder / "run" / f"{target}.clock"
        _set(file, 0)
        async with (
            cluster.processes[target].restarted_with(**self._variables(file)),
            self._jumping(cluster, target, file, rng),
        ):
            yield


class OfPostgres(_Jumps):
    """The database's clock, by which payment deadlines, holds, leases and retries are due."""

    name = "clock.postgres"

    def targets(self, cluster: Cluster) -> Sequence[str]:
        """There is one."""
        return ["postgres"]

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """The server is restarted twice: into the other clock and out of it."""
        member, server = cluster.postgres, cluster.postgres.server
        file = _file_for_everybody()
        with member.excused():
            try:
                server.environment |= self._variables(file)
                await member.stop()
                await member.wait_ready()
                async with self._jumping(cluster, target, file, rng):
                    yield
            finally:
                server.environment.clear()
                await member.stop()
                shutil.rmtree(file.parent, ignore_errors=True)


def _file_for_everybody() -> Path:
    """The server's user may not enter the cluster's folder, and the server's own may be full."""
    folder = Path(tempfile.mkdtemp(prefix="sampan-clock-"))
    folder.chmod(0o755)
    _set(folder / "clock", 0)
    return folder / "clock"


def _set(file: Path, offset_s: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_text(f"{offset_s:+d}s\n")
    new.chmod(0o644)
    new.replace(file)


FAULTS: Sequence[Fault] = (OfReplica(), OfPostgres())
