"""Replicas of services that die, hang, are restarted or stay away for a while."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.chaos.cluster import Cluster
from tests.chaos.fault import BaseFault, Fault


class Kill(BaseFault):
    """kill -9, in the middle of whatever it does; the supervisor starts it again."""

    name = "process.kill"

    def targets(self, cluster: Cluster) -> Sequence[str]:
        """Every replica."""
        return cluster.replica_names

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Kills once."""
        await cluster.processes[target].kill()
        yield


class Absent(BaseFault):
    """Killed and away for a while: its partitions and outbox buckets go to the other replica, and come back."""

    name = "process.absent"
    duration_s = (2.0, 8.0)

    def targets(self, cluster: Cluster) -> Sequence[str]:
        """Every replica."""
        return cluster.replica_names

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Keeps it down."""
        async with cluster.processes[target].kept_down():
            yield


class Freeze(BaseFault):
    """SIGSTOP, later SIGCONT: a machine that hangs and then goes on as if nothing had happened."""

    name = "process.freeze"
    duration_s = (1.0, 8.0)

    def targets(self, cluster: Cluster) -> Sequence[str]:
        """Every replica."""
        return cluster.replica_names

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Freezes and thaws."""
        member = cluster.processes[target]
        member.pause()
        try:
            yield
        finally:
            member.resume()


class Restart(BaseFault):
    """SIGTERM, as at every deployment: it drains, ends and is started again."""

    name = "process.restart"

    def targets(self, cluster: Cluster) -> Sequence[str]:
        """Every replica."""
        return cluster.replica_names

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Stops in order."""
        await cluster.processes[target].stop()
        yield


class RestartAll(BaseFault):
    """All replicas of a service die at once, as when their host loses power."""

    name = "process.kill-all"
    duration_s = (0.5, 4.0)

    def targets(self, cluster: Cluster) -> Sequence[str]:
        """Every service."""
        return list(cluster.replicas)

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Keeps all of them down."""
        members = [member for member in cluster.services if member.service == target]
        for member in members:
            member.wanted = False
        try:
            for member in members:
                await member.kill()
            yield
        finally:
            for member in members:
                member.wanted = True


FAULTS: Sequence[Fault] = (Kill(), Absent(), Freeze(), Restart(), RestartAll())
