"""What the catalog does by itself: it forgets request ids that are too old to be repeated."""

from prometheus_client import Counter

from services.chassis import request_keys
from services.chassis.pg import Database

SWEEP_PERIOD_S = 600.0
SWEEP_ROWS_MAX = 5_000

_FORGOTTEN = Counter(
    "sampan_catalog_request_keys_forgotten_total", "Request ids that were too old to be kept."
)


async def forget_requests(database: Database, *, older_than_s: float) -> int:
    """Forgets request ids older than that; how many."""
    forgotten = await request_keys.forget(database, older_than_s=older_than_s, limit=SWEEP_ROWS_MAX)
    _FORGOTTEN.inc(forgotten)
    return forgotten
