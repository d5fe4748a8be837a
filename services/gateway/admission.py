"""How many placements may be under way at once: as many as are still answered in time.

A queue before a busy service helps nobody: everyone in it waits longer. So the door lets in only so many that the
mean time to an answer stays below a target, and turns the others away at once, before their body is read. The
number is found by additive increase and multiplicative decrease, as TCP finds its window: while answers take
longer than the target it shrinks by a fifth per window; while it is used up and they do not, it grows by a
twentieth. It never falls below a floor that keeps batches worthwhile, and is back at full width seconds after a
flood. What lies behind may also ask for a pause by an OVERLOADED answer: orders does so when decisions are late.
"""

import time
from collections.abc import Callable

from prometheus_client import Counter, Gauge

from services.chassis import metrics

WINDOW_S = 0.1
SHRINK = 0.8
GROW = 0.05
RETRY_AFTER_S = 1.0

_LIMIT = Gauge("sampan_gateway_place_limit", "Placements that may be under way at once, as last found.")
_UNDER_WAY = Gauge("sampan_gateway_place_under_way", "Placements under way.")
_SHED = metrics.Kept(
    Counter(
        "sampan_gateway_place_shed_total", "Placements turned away before their body was read.", ["cause"]
    )
)


class Admission:
    """The width of the door."""

    def __init__(
        self,
        *,
        under_way_min: int,
        under_way_max: int,
        target_s: float,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._min = min(under_way_min, under_way_max)
        self._max = under_way_max
        self._target_s = target_s
        self._now_s = now_s
        self._limit = float(under_way_max)
        self._under_way = 0
        self._closed_until_s = 0.0
        self._window_ends_s = 0.0
        self._answers = 0
        self._seconds = 0.0
        self._is_used_up = False
        _LIMIT.set_function(lambda: self._limit)
        _UNDER_WAY.set_function(lambda: self._under_way)

    @property
    def limit(self) -> int:
        """How many may be under way now."""
        return int(self._limit)

    def is_open(self) -> bool:
        """Whether another placement may come in; counts those that may not."""
        if self._under_way >= self._limit:
            self._is_used_up = True
            _SHED["too many under way"].inc()
            return False
        if self._closed_until_s and self._now_s() < self._closed_until_s:
            _SHED["paused by orders"].inc()
            return False
        return True

    def enter(self) -> float:
        """Begins a placement; returns what `leave` wants."""
        self._under_way += 1
        return self._now_s()

    def leave(self, entered_s: float) -> None:
        """Ends a placement, however it went."""
        now_s = self._now_s()
        self._under_way -= 1
        self._answers += 1
        self._seconds += now_s - entered_s
        if now_s >= self._window_ends_s:
            self._adjust(now_s)

    def pause(self, seconds: float) -> None:
        """Lets nobody in for that long, at most `RETRY_AFTER_S`."""
        self._closed_until_s = self._now_s() + min(seconds, RETRY_AFTER_S)

    def _adjust(self, now_s: float) -> None:
        if self._seconds > self._target_s * self._answers:
            self._limit = max(float(self._min), self._limit * SHRINK)
        elif self._is_used_up:
            self._limit = min(float(self._max), self._limit * (1 + GROW) + 1)
        self._window_ends_s = now_s + WINDOW_S
        self._answers = 0
        self._seconds = 0.0
        self._is_used_up = self._under_way >= self._limit
