"""How many streams there are: bounded in all, and those that tell of a whole tenant or of many SKUs by caller too."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

from prometheus_client import Counter as CounterMetric
from prometheus_client import Gauge

from services.chassis import metrics
from services.chassis.errors import ResourceExhausted
from services.gateway.auth import Caller

Kind = Literal["wait", "order", "orders", "availability"]
"""What is followed: a placement that is waited for, one order, all orders of a tenant, the availability of SKUs."""
RETRY_AFTER_S = 5

_OPEN = metrics.Kept(
    Gauge("sampan_gateway_streams", "Open event streams and waits.", ["kind"]),
    children_max=len(get_args(Kind)),
)
SENT = metrics.Kept(
    CounterMetric("sampan_gateway_stream_events_total", "Events sent to those who follow.", ["kind"]),
    children_max=len(get_args(Kind)),
)
CUT = metrics.Kept(
    CounterMetric(
        "sampan_gateway_streams_cut_total", "Streams ended because their client did not keep up.", ["kind"]
    ),
    children_max=len(get_args(Kind)),
    # Only these are cut: the others pass over what was not read.
    known=("orders",),
)


class Streams:
    """Counts the open ones."""

    def __init__(self, *, in_all_max: int, of_caller_max: int) -> None:
        self._in_all_max = in_all_max
        self._of_caller_max = of_caller_max
        self._in_all = 0
        self._of_caller: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def open(self, kind: Kind, caller: Caller | None = None) -> Iterator[None]:
        """One more, as long as the block lasts; raises ResourceExhausted beyond a bound, also of a caller's own."""
        if self._in_all >= self._in_all_max:
            raise ResourceExhausted("OVERLOADED", "too many streams are open", retry_after_s=RETRY_AFTER_S)
        key = None if caller is None else (caller.tenant_id, caller.actor)
        if key is not None and self._of_caller[key] >= self._of_caller_max:
            raise ResourceExhausted(
                "OVERLOADED",
                f"the caller has {self._of_caller_max} such streams open already",
                retry_after_s=RETRY_AFTER_S,
            )
        self._in_all += 1
        _OPEN[kind].inc()
        if key is not None:
            self._of_caller[key] += 1
        try:
            yield
        finally:
            self._in_all -= 1
            _OPEN[kind].dec()
            if key is not None:
                self._of_caller[key] -= 1
                if not self._of_caller[key]:
                    del self._of_caller[key]
