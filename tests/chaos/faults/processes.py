"""Replicas of services that die, hang, are restarted or stay away for a while."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.chaos.cluster import Cluster
from tests.chaos.fault import BaseFault, Fault

DOWN = "it was down already"


class Kill(BaseFault):
    """kill -9, in the middle of whatever it does; the supervisor starts it again."""

    name = "process.kill"

    def targets(self, cluster: Cluster) -> Sequence[str]:
        """Every replica."""
        return cluster.replica_names

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Kills once."""
        if not await cluster.processes[target].kill():
            cluster.nothing_came_of(self.name, target, DOWN)
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
        async with cluster.processes[target].kept_down() as ran:
            if not ran:
                cluster.nothing_came_of(self.name, target, DOWN)
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
        if not member.pause():
            cluster.nothing_came_of(self.name, target, DOWN)
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
        if not await cluster.processes[target].stop():
            cluster.nothing_came_of(self.name, target, DOWN)
        yield


class KillAll(BaseFault):
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
            if not any([await member.kill() for member in members]):
                cluster.nothing_came_of(self.name, target, DOWN)
            yield
        finally:
            for member in members:
                member.wanted = True


FAULTS: Sequence[Fault] = (Kill(), Absent(), Freeze(), Restart(), KillAll())
