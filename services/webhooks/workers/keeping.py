"""Measures where endpoints stand, and tidies: old deliveries, old request ids, secrets under an older key."""

import asyncio
from collections.abc import Awaitable, Callable

from cryptography.fernet import InvalidToken
from prometheus_client import Counter, Gauge

from services.chassis import log, metrics
from services.chassis.errors import DomainError
from services.webhooks.commands.deliveries import Deliveries
from services.webhooks.commands.endpoints import Endpoints

SWEEP_PERIOD_S = 600.0
SWEEP_ROWS_MAX = 5_000
ROUNDS_PER_SWEEP_MAX = 1_000
MEASURE_PERIOD_S = 15.0

_log = log.get(__name__)
_ENDPOINTS = metrics.Kept(Gauge("sampan_webhooks_endpoints", "Endpoints by where they stand.", ["state"]))
_OLDEST_DUE_S = Gauge(
    "sampan_webhooks_oldest_due_seconds",
    "How long an endpoint that does not fail has waited for a sender, at most.",
)
_FORGOTTEN = metrics.Kept(
    Counter("sampan_webhooks_forgotten_total", "What was too old to be kept, by kind.", ["kind"])
)


async def measure(deliveries: Deliveries) -> None:
    """Measures for ever; an outage of the database is waited out."""
    while True:
        try:
            found = await deliveries.measure()
            _ENDPOINTS["enabled"].set(found.enabled)
            _ENDPOINTS["failing"].set(found.failing)
            _ENDPOINTS["disabled"].set(found.disabled)
            _OLDEST_DUE_S.set(found.waiting_s)
        except DomainError as error:
            _pass_over(error, "endpoints not measured")
        await asyncio.sleep(MEASURE_PERIOD_S)


async def tidy(
    endpoints: Endpoints, deliveries: Deliveries, *, kept_s: float, request_key_ttl_s: float
) -> None:
    """Sweeps for ever, in small transactions; an outage of the database is waited out."""
    while True:
        try:
            await endpoints_sealed_anew(endpoints)
            await _sweep("deliveries", lambda: deliveries.forget(older_than_s=kept_s, limit=SWEEP_ROWS_MAX))
            await _sweep(
                "request keys",
                lambda: endpoints.forget_requests(older_than_s=request_key_ttl_s, limit=SWEEP_ROWS_MAX),
            )
        except DomainError as error:
            _pass_over(error, "not swept")
        await asyncio.sleep(SWEEP_PERIOD_S)


async def endpoints_sealed_anew(endpoints: Endpoints) -> None:
    """Seals by the first key what an older one has sealed, so that the older one can be taken away."""
    try:
        for _ in range(ROUNDS_PER_SWEEP_MAX):
            if await endpoints.seal_anew(limit=SWEEP_ROWS_MAX) < SWEEP_ROWS_MAX:
                break
    except InvalidToken:
        _log.error("a secret is sealed by a key that WEBHOOKS_SECRET_KEYS does not hold")


async def _sweep(kind: str, forget: Callable[[], Awaitable[int]]) -> None:
    for _ in range(ROUNDS_PER_SWEEP_MAX):
        forgotten = await forget()
        _FORGOTTEN[kind].inc(forgotten)
        if forgotten < SWEEP_ROWS_MAX:
            break


def _pass_over(error: DomainError, what: str) -> None:
    if not error.retryable:
        raise error
    _log.warning(what, error=repr(error))
