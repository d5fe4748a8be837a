"""Measures where endpoints stand, and tidies: old deliveries, old request ids, secrets under an older key."""

from cryptography.fernet import InvalidToken
from prometheus_client import Counter, Gauge

from services.chassis import log, metrics, request_keys
from services.chassis.pg import Database
from services.webhooks.commands.deliveries import Deliveries
from services.webhooks.commands.endpoints import Endpoints

SWEEP_PERIOD_S = 600.0
SWEEP_ROWS_MAX = 5_000
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


async def measure(deliveries: Deliveries) -> int:
    """Counts the endpoints, and how long one waits."""
    found = await deliveries.measure()
    _ENDPOINTS["enabled"].set(found.enabled)
    _ENDPOINTS["failing"].set(found.failing)
    _ENDPOINTS["disabled"].set(found.disabled)
    _OLDEST_DUE_S.set(found.waiting_s)
    return 0


async def seal_anew(endpoints: Endpoints) -> int:
    """Seals by the first key what an older one has sealed, so that the older one can be taken away; how much."""
    try:
        return await endpoints.seal_anew(limit=SWEEP_ROWS_MAX)
    except InvalidToken:
        _log.error("a secret is sealed by a key that WEBHOOKS_SECRET_KEYS does not hold")
        return 0


async def forget_deliveries(deliveries: Deliveries, *, older_than_s: float) -> int:
    """Forgets deliveries older than that; how many."""
    forgotten = await deliveries.forget(older_than_s=older_than_s, limit=SWEEP_ROWS_MAX)
    _FORGOTTEN["deliveries"].inc(forgotten)
    return forgotten


async def forget_requests(database: Database, *, older_than_s: float) -> int:
    """Forgets request ids older than that; how many."""
    forgotten = await request_keys.forget(database, older_than_s=older_than_s, limit=SWEEP_ROWS_MAX)
    _FORGOTTEN["request keys"].inc(forgotten)
    return forgotten
