"""How many requests of one address may be without a good credential: a bucket that is full again within a minute.

Only what fails is counted, and only what fails is refused: a good credential comes in from the same address all the
while (docs/decisions/0076-failures-are-counted-by-address.md).
"""

import time
from collections.abc import Callable, Mapping
from functools import cache
from math import ceil

from prometheus_client import Counter, Gauge

from services.chassis import metrics
from services.gateway.client_addresses import ClientAddresses
from services.gateway.errors import Problem

WINDOW_S = 60.0
ADDRESSES_MAX = 20_000
"""Addresses that are remembered, some 200 bytes each; beyond, the one that has not failed for longest is forgotten."""
REASON = "TOO_MANY_FAILURES"
POLICY = "failures"

_FAILED = metrics.Kept(
    Counter(
        "sampan_gateway_failed_credentials_total",
        "Requests without a good credential, by what they were told: that (refused), or to stop for a while (limited).",
        ["answer"],
    ),
    children_max=2,
)
_ADDRESSES = Gauge(
    "sampan_gateway_failing_addresses", "Addresses that have failed and whose bucket is not full yet."
)


class FailedCredentials:
    """Counts what failed. Times are seconds of a clock that does not go back."""

    def __init__(
        self, addresses: ClientAddresses, *, per_minute: int, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._addresses = addresses
        self._per_minute = per_minute
        self._interval_s = WINDOW_S / per_minute if per_minute else 0.0
        self._now_s = now_s
        # When each address's bucket is full again; the one that failed last is the last.
        self._full_s: dict[str, float] = {}
        # Until then there is an address whose bucket is empty.
        self._any_until_s = 0.0
        _ADDRESSES.set_function(self._count)

    def __len__(self) -> int:
        return len(self._full_s)

    @property
    def is_any_limited(self) -> bool:
        """Whether some address is to be told to stop: all that the way of a good request asks here."""
        return self._any_until_s > 0.0 and self._now_s() < self._any_until_s

    def note(self, peer: str, headers: Mapping[bytes, bytes]) -> Problem | None:
        """Counts a request that failed: the 429 problem where its address's bucket is empty, None where it was not."""
        if not self._per_minute:
            return None
        address, now_s = self._addresses.of(peer, headers), self._now_s()
        full_s = max(self._full_s.pop(address, now_s), now_s)
        wait_s = self._wait_s(full_s, now_s)
        is_limited = wait_s > 0
        if not is_limited:
            _FAILED["refused"].inc()
            full_s += self._interval_s
        self._full_s[address] = full_s
        self._any_until_s = max(self._any_until_s, now_s + self._wait_s(full_s, now_s))
        self._forget(now_s)
        return self._limited(wait_s) if is_limited else None

    def limited(self, peer: str, headers: Mapping[bytes, bytes]) -> Problem | None:
        """The 429 problem for a further failure of an address whose bucket is empty; None for all others."""
        now_s = self._now_s()
        full_s = self._full_s.get(self._addresses.of(peer, headers))
        if full_s is None or (wait_s := self._wait_s(full_s, now_s)) <= 0:
            return None
        return self._limited(wait_s)

    def _wait_s(self, full_s: float, now_s: float) -> float:
        """How long until there is something in the bucket; not above 0 where there is."""
        return full_s - now_s - (WINDOW_S - self._interval_s)

    def _limited(self, wait_s: float) -> Problem:
        _FAILED["limited"].inc()
        return _problem(self._per_minute, max(1, ceil(wait_s)))

    def _forget(self, now_s: float) -> None:
        """Lets go of the oldest: of two that are full again, as one was added, and of one where there are too many."""
        for _ in range(2):
            oldest = next(iter(self._full_s))
            if self._full_s[oldest] > now_s and len(self._full_s) <= ADDRESSES_MAX:
                return
            del self._full_s[oldest]

    def _count(self) -> int:
        now_s = self._now_s()
        return sum(full_s > now_s for full_s in [*self._full_s.values()])


@cache
def _problem(per_minute: int, retry_after_s: int) -> Problem:
    """One of at most a minute's seconds: a flood gets the same again and again. It is answered, never raised."""
    return Problem(
        REASON,
        "too many requests from the client's address had no good credential; those that have one are let in",
        headers={
            "ratelimit-policy": f'"{POLICY}";q={per_minute};w={int(WINDOW_S)}',
            "ratelimit": f'"{POLICY}";r=0;t={retry_after_s}',
        },
        metadata={"policy": POLICY, "failures_per_minute": str(per_minute)},
        retry_after_s=retry_after_s,
    )
