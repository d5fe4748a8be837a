"""Links between any two parts that break, hang or become slow."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.chaos import tasks
from tests.chaos.cluster import Cluster
from tests.chaos.fault import BaseFault, Fault

CUT_PAUSE_S = (0.3, 1.5)
DELAY_MS = (20.0, 400.0)
BYTES_PER_S = (20_000.0, 200_000.0)


class _OfLink(BaseFault):
    """A fault of one link."""

    def targets(self, cluster: Cluster) -> Sequence[str]:
        """Every link there is."""
        return cluster.link_names


class Cut(_OfLink):
    """Connections are reset, again and again; new ones pass."""

    name = "network.cut"
    duration_s = (0.0, 5.0)

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Resets until left."""
        link = cluster.links[target]
        await link.reset()

        async def go_on() -> None:
            while True:
                await asyncio.sleep(rng.uniform(*CUT_PAUSE_S))
                await link.reset()

        task = asyncio.create_task(go_on())
        try:
            yield
        finally:
            await tasks.end([task])


class Refuse(_OfLink):
    """Connections are reset and new ones refused."""

    name = "network.refuse"
    duration_s = (1.0, 6.0)

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Closed while inside."""
        link = cluster.links[target]
        await link.set("refuse")
        try:
            yield
        finally:
            await link.mend()


class HalfOpen(_OfLink):
    """Everything is accepted and nothing passed on: neither side learns that the other is gone."""

    name = "network.half-open"
    duration_s = (2.0, 10.0)

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Silent while inside; then either what was held back arrives, or the connections are reset."""
        link = cluster.links[target]
        await link.set("blackhole")
        try:
            yield
        finally:
            if rng.random() < 0.5:
                await link.reset()
            await link.mend()


class Delay(_OfLink):
    """Every piece arrives late."""

    name = "network.delay"
    duration_s = (3.0, 10.0)

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Slow while inside."""
        link = cluster.links[target]
        await link.set(delay_ms=rng.uniform(*DELAY_MS))
        try:
            yield
        finally:
            await link.mend()


class Narrow(_OfLink):
    """Few bytes pass per second."""

    name = "network.narrow"
    duration_s = (3.0, 8.0)

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Narrow while inside."""
        link = cluster.links[target]
        await link.set(bytes_per_s=rng.uniform(*BYTES_PER_S))
        try:
            yield
        finally:
            await link.mend()


class Isolate(BaseFault):
    """A process loses all its links at once, to callers and to servers; it goes on by itself."""

    name = "network.isolate"
    duration_s = (2.0, 8.0)

    def targets(self, cluster: Cluster) -> Sequence[str]:
        """Every process but the clients'."""
        return cluster.process_names

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Silent on all sides while inside."""
        links = [link for link in cluster.links.values() if target in link.name.split(">")]
        try:
            for link in links:
                await link.set("blackhole")
            yield
        finally:
            for link in links:
                await link.set("pass")


FAULTS: Sequence[Fault] = (Cut(), Refuse(), HalfOpen(), Delay(), Narrow(), Isolate())
