"""Prometheus metrics that every process has, and the one rule for labels: few values, kept children.

`.labels(...)` costs more than the observation that follows it, and every new value is a new time series for
ever. So children are kept in a `Kept`, which also bounds how many there can be:

    PLACED = metrics.Kept(Counter("sampan_orders_placed_total", "Orders by outcome.", ["outcome"]), children_max=16)
    PLACED["accepted"].inc()

Never label by an id, a SKU, a path or the text of an error.
"""

import asyncio
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, Protocol, TypeVar

from prometheus_client import REGISTRY, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase

M = TypeVar("M", bound=MetricWrapperBase)

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
LOOP_LAG_PERIOD_S = 0.25
OTHER = "other"

# A `_created` beside every counter and histogram would be a quarter of all series, and nobody asks for it.
disable_created_metrics()  # type: ignore[no-untyped-call]

_BUILD = Info("sampan_build", "What runs here.")
_LOOP_LAG = Histogram(
    "sampan_event_loop_lag_seconds", "How late the event loop woke a sleeper.", buckets=LATENCY_BUCKETS_S
)
_TASKS = Gauge("sampan_event_loop_tasks", "asyncio tasks alive.")
_watched: dict[str, Gauge] = {}
_labelled: dict[str, tuple[MetricWrapperBase, int]] = {}
_POOL = Gauge("sampan_pool_connections", "Connections of a pool by state.", ["pool", "state"])


class Kept(dict[str | tuple[str, ...], M], Generic[M]):
    """The children of a labelled metric by label value (or tuple of values), made once each.

    Beyond `children_max` every further combination shares one child whose labels all read "other". Children of `known`
    values are there from the start, at 0: so a rate sees what happens for the first time, however rare it is.
    """

    def __init__(
        self, metric: M, *, children_max: int = 64, known: Iterable[str | tuple[str, ...]] = ()
    ) -> None:
        super().__init__()
        self._metric = metric
        self._children_max = children_max
        for family in metric.describe():
            _labelled[family.name] = metric, children_max
        for values in known:
            self.__missing__(values)

    def __missing__(self, values: str | tuple[str, ...]) -> M:
        labels = (values,) if isinstance(values, str) else values
        if len(self) >= self._children_max:
            return self._metric.labels(*[OTHER] * len(labels))
        child = self[values] = self._metric.labels(*labels)
        return child


class PoolStats(Protocol):
    """What asyncpg's pool tells about itself."""

    def get_size(self) -> int:
        """Open connections."""

    def get_idle_size(self) -> int:
        """Open connections that nobody holds."""

    def get_max_size(self) -> int:
        """The bound."""


def watch_pool(name: str, pool: PoolStats) -> None:
    """Publishes a pool's use; read when scraped, so it costs the serving path nothing."""
    watch = {
        "idle": pool.get_idle_size,
        "busy": lambda: pool.get_size() - pool.get_idle_size(),
        "max": pool.get_max_size,
    }
    for state, read in watch.items():
        _POOL.labels(name, state).set_function(read)


def watch(name: str, documentation: str, read: Callable[[], float]) -> None:
    """A gauge that is read when scraped. `read` runs on the admin thread: it may only read plain values.

    Watching the same name again replaces what is read.
    """
    if name not in _watched:
        _watched[name] = Gauge(name, documentation)
    _watched[name].set_function(read)


def series_max() -> Mapping[str, int]:
    """How many time series each metric of this process can have at most, by the metric's name.

    A labelled metric without a bound of its own counts as the children that it has now: those of pools.
    """
    bounds: dict[str, int] = {}
    for family in REGISTRY.collect():
        if family.name not in _labelled:
            bounds[family.name] = len(family.samples)
            continue
        metric, children_max = _labelled[family.name]
        # A histogram has a series per bucket, a sum and a count.
        per_child = len(metric._upper_bounds) + 2 if isinstance(metric, Histogram) else 1
        bounds[family.name] = (children_max + 1) * per_child
    return bounds


def describe_build(service: str, version: str) -> None:
    """Sets the labels of `sampan_build_info`."""
    _BUILD.info({"service": service, "version": version, "python": platform.python_version()})


async def sample_event_loop() -> None:
    """Observes the loop's lag four times a second, for ever."""
    while True:
        due = time.perf_counter() + LOOP_LAG_PERIOD_S
        await asyncio.sleep(LOOP_LAG_PERIOD_S)
        _LOOP_LAG.observe(max(0.0, time.perf_counter() - due))
        _TASKS.set(len(asyncio.all_tasks()))
