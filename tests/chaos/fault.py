"""What a fault is: something that is done to one target of a cluster for a while, and undone."""

import random
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from tests.chaos.cluster import Cluster


class Fault(Protocol):
    """One kind of fault. Instances keep no state between injections; two of one kind never run on one target."""

    @property
    def name(self) -> str:
        """A stable word for the report and `--faults`, as "process.kill"; its family before the dot."""
        ...

    @property
    def duration_s(self) -> tuple[float, float]:
        """The shortest and the longest time between injection and healing; (0, 0) for what happens at once."""
        ...

    def targets(self, cluster: Cluster) -> Sequence[str]:
        """Names of what it may be done to (processes, links, topics, …); asked before the cluster has started.

        Must be the same for the same shape of cluster, or a seed would not repeat its plan.
        """
        ...

    def available(self) -> str | None:
        """Why it cannot be injected on this machine, in words for the report; None where it can."""
        ...

    def prepare(self, cluster: Cluster) -> None:
        """Called once before the cluster starts: what must be in place by then (a small disk, a variable).

        What has to be taken away again is given to `cluster.on_removed`. Most faults have nothing to do here.
        """
        ...

    def inject(
        self, cluster: Cluster, target: str, rng: random.Random
    ) -> AbstractAsyncContextManager[object]:
        """Entering injects, leaving heals. Choices are drawn from `rng` only.

        Leaving returns when the cause is gone, not when everything has recovered: that is measured outside. It
        must heal even when it is left by a cancellation, and must bear that its target is down.
        """
        ...


class BaseFault:
    """The parts that most faults share: available everywhere, nothing to prepare."""

    name: str
    duration_s: tuple[float, float] = (0.0, 0.0)

    def available(self) -> str | None:
        """Nothing speaks against it."""
        return None

    def prepare(self, cluster: Cluster) -> None:
        """Nothing has to be in place."""
