"""How many requests of a key, and of a whole tenant, come in per minute, by class of route.

Every limit has windows of a minute. A replica counts what it has let in itself; what the others have let in access
tells it every second (`limits_exchange`). So nobody is refused before a limit is used up, and beyond it comes at most
what each replica lets in within two exchanges: docs/decisions/0059-limits-shared-by-the-second.md.
"""

import time
from collections.abc import Callable, Mapping
from math import ceil
from typing import Any, get_args
from zlib import crc32

from prometheus_client import Counter, Gauge

from services.chassis import metrics
from services.gateway.auth import Caller
from services.gateway.errors import Problem
from services.gateway.routes.route import RouteClass

CLASSES: tuple[RouteClass, ...] = get_args(RouteClass)
WINDOW_S = 60
METERS_MAX = 20_000
"""Limits that are counted at a time, some 300 bytes each; what is beyond does not hold until there is room."""
QUOTAS_MAX = 50_000
"""Callers, by class of route, whose limits have been looked up."""

Limits = Mapping[RouteClass, int]
"""Requests per minute; a class that is not there has no limit."""
Headers = tuple[tuple[bytes, bytes], ...]

_REFUSED = metrics.Kept(
    Counter(
        "sampan_gateway_rate_limited_total",
        "Requests refused because a limit of their key or their tenant is used up.",
        ["route_class", "of"],
    ),
    children_max=16,
)
_UNCOUNTED = Counter(
    "sampan_gateway_rate_limit_uncounted_total",
    "Limits that did not hold for a moment: too many others are counted.",
)
_METERS = Gauge("sampan_gateway_rate_limit_meters", "Limits of keys and tenants that are counted.")


def limits_of(message: Any) -> Limits:
    """The limits of a contract's RateLimits."""
    return {name: limit for name in CLASSES if (limit := getattr(message, name))}


class Meter:
    """Counts what comes in of one limit. `name` is the same at every replica."""

    __slots__ = ("_phase_s", "ends_s", "limit", "name", "of", "others", "own", "route_class", "subject")

    def __init__(self, subject: str, of: str, route_class: RouteClass) -> None:
        self.subject = subject
        self.name = f"{subject}/{route_class}"
        self.of = of
        self.route_class = route_class
        self.limit = 0
        self.own = 0
        """What this replica has let in since the window began."""
        self.others = 0
        """What the others have, as far as this one has heard."""
        self.ends_s = 0
        """When the window ends, in seconds since 1970."""
        # Windows of different limits do not begin together: else all who were refused would come again at once.
        self._phase_s = crc32(self.name.encode()) % WINDOW_S

    def left(self, now_s: float) -> int:
        """How many more may come in; not below 0."""
        if now_s >= self.ends_s:
            self.ends_s = (int(now_s) - self._phase_s) // WINDOW_S * WINDOW_S + self._phase_s + WINDOW_S
            self.own = self.others = 0
        left = self.limit - self.own - self.others
        return left if left > 0 else 0

    def heard(self, ends_s: int, others: int) -> None:
        """Takes what the others have let in, in the window that ends then."""
        if self.ends_s == ends_s and others > self.others:
            self.others = others


class Quota:
    """The limits that hold for one caller's requests of one class, and the headers that say so
    (draft-ietf-httpapi-ratelimit-headers-10)."""

    __slots__ = ("_meters", "_policy", "_state")

    def __init__(self, meters: tuple[Meter, ...]) -> None:
        self._meters = meters
        named = [(policy_name(meter), meter.limit) for meter in meters]
        policy = ", ".join(f'"{name}";q={limit};w={WINDOW_S}' for name, limit in named)
        self._policy = (b"ratelimit-policy", policy.encode())
        self._state = ", ".join(f'"{name}";r=%d;t=%d' for name, _ in named).encode()

    def take(self, now_s: float) -> Meter | None:
        """Lets a request in and counts it; else the limit that is used up, and nothing is counted."""
        for meter in self._meters:
            if not meter.left(now_s):
                return meter
        for meter in self._meters:
            meter.own += 1
        return None

    def headers(self, now_s: float) -> Headers:
        """What the answer tells of the limits."""
        numbers: list[int] = []
        for meter in self._meters:
            numbers += (meter.left(now_s), ceil(meter.ends_s - now_s))
        return self._policy, (b"ratelimit", self._state % tuple(numbers))


class RateLimits:
    """All limits that are set, and the meters of those that are used."""

    def __init__(self, defaults: Limits, *, now_s: Callable[[], float] = time.time) -> None:
        self._defaults = defaults
        self._now_s = now_s
        self._tenants: dict[str, Limits] = {}
        self._keys: dict[str, Limits] = {}
        self._meters: dict[tuple[str, RouteClass], Meter] = {}
        self._quotas: dict[tuple[str, str, RouteClass], Quota | None] = {}
        _METERS.set_function(lambda: len(self._meters))

    def limit_tenant(self, tenant_id: str, limits: Limits) -> None:
        """From now on these hold for all callers of a tenant together."""
        self._set(self._tenants, tenant_id, limits)

    def limit_key(self, key: str, limits: Limits) -> None:
        """From now on these hold for a key, `tenant_id/api_key_id`, and the defaults only where it has none."""
        self._set(self._keys, key.replace("/", "/key:"), limits)

    def admit(self, caller: Caller, route_class: RouteClass) -> tuple[Headers, Problem | None]:
        """Counts a request: the headers of its answer, and the 429 problem where a limit is used up."""
        key = (caller.tenant_id, caller.actor, route_class)
        try:
            quota = self._quotas[key]
        except KeyError:
            quota = self._look_up(caller, route_class)
            if len(self._quotas) >= QUOTAS_MAX:
                self._quotas.clear()
            self._quotas[key] = quota
        if quota is None:
            return (), None
        now_s = self._now_s()
        full = quota.take(now_s)
        return quota.headers(now_s), None if full is None else _refusal(full, now_s)

    def open_meters(self) -> list[Meter]:
        """Those that have let something in, in a window that is not over. Forgets the others where room is needed."""
        now_s = self._now_s()
        found = [meter for meter in self._meters.values() if meter.own and now_s < meter.ends_s]
        if len(self._meters) >= METERS_MAX:
            # Quotas hold meters, too, and those that found no room may find it now.
            self._meters = {(meter.subject, meter.route_class): meter for meter in found}
            self._quotas.clear()
        return found

    def _set(self, kept: dict[str, Limits], subject: str, limits: Limits) -> None:
        if kept.get(subject, {}) == limits:
            return
        if limits:
            kept[subject] = limits
        else:
            kept.pop(subject, None)
        self._quotas.clear()

    def _look_up(self, caller: Caller, route_class: RouteClass) -> Quota | None:
        own = f"{caller.tenant_id}/{caller.actor}"
        # Keys of the file are the installation's own; only their tenant's limits hold for them.
        defaults = {} if caller.is_of_file else self._defaults
        limit_of_key = self._keys.get(own, {}).get(route_class) or defaults.get(route_class)
        limit_of_tenant = self._tenants.get(caller.tenant_id, {}).get(route_class)
        meters = (
            self._meter(own, "key", route_class, limit_of_key),
            self._meter(caller.tenant_id, "tenant", route_class, limit_of_tenant),
        )
        in_use = tuple(meter for meter in meters if meter is not None)
        return Quota(in_use) if in_use else None

    def _meter(self, subject: str, of: str, route_class: RouteClass, limit: int | None) -> Meter | None:
        if not limit:
            return None
        meter = self._meters.get((subject, route_class))
        if meter is None:
            if len(self._meters) >= METERS_MAX:
                _UNCOUNTED.inc()
                return None
            meter = self._meters[subject, route_class] = Meter(subject, of, route_class)
        meter.limit = limit
        return meter


def policy_name(meter: Meter) -> str:
    """What the headers call a limit."""
    return meter.route_class if meter.of == "key" else f"tenant-{meter.route_class}"


def _refusal(meter: Meter, now_s: float) -> Problem:
    _REFUSED[meter.route_class, meter.of].inc()
    return Problem(
        "RATE_LIMITED",
        f"the {meter.of} may have {meter.limit} {meter.route_class} a minute let in, and has had them",
        metadata={"policy": policy_name(meter), "requests_per_minute": str(meter.limit)},
        retry_after_s=ceil(meter.ends_s - now_s),
    )
